//! Sessions: how they are laid over a stream, aggregated, and come out.
//!
//! Not here: what a session is ([`crate::session`]). Invariant: sessions come out when they are over and not before,
//! so there is nothing to take back; what comes out can be windowed again.

#![allow(clippy::type_complexity, reason = "a chain's type spells its operators, as iterator adapters do")]

use std::cell::RefCell;
use std::rc::Rc;

use state::StateKey;

use super::draft::Draft;
use super::stream::{Conclude, Ended, Grouped, Stream};
use super::topology::TopologyError;
use super::window::{declare, shuffle};
use crate::aggregate::{Aggregate, Fold, Mergeable, OfAggregate, fold_of};
use crate::plan::{StepKind, StoreKind};
use crate::process::{Head, Pipe, Stateless};
use crate::record::DurationMs;
use crate::repartition::pre_aggregate::PreAggregate;
use crate::session::{OnSessionClose, Run, RunFold, SessionStore, SessionWindows, Sessions, Stamp, Stamped};
use crate::windowed::{Intake, Local, Shuffled};
use crate::word::Settled;

/// A keyed stream with sessions laid over it.
#[must_use = "sessions do nothing until they are aggregated"]
pub struct Sessioned<S> {
    stream: S,
    windows: SessionWindows,
}

/// Aggregates by key and session.
#[must_use = "a table emits nothing until it is told when"]
pub struct SessionTable<I: Intake, A, O> {
    draft: Rc<RefCell<Draft>>,
    sub: usize,
    at: usize,
    intake: I,
    store: SessionStore<I::Key, A>,
    owed: O,
}

impl<P: Pipe, O> Grouped<P, O> {
    /// Lays sessions over the stream.
    pub fn sessions(self, sessions: Sessions) -> Sessioned<Self>
    where
        P::Key: StateKey,
        <P::Head as Head>::Word: Settled,
    {
        Sessioned { windows: checked(&self.0.draft, sessions), stream: self }
    }
}

impl<P: Pipe, O> Stream<P, O> {
    /// Lays sessions over a stream that is partitioned by its key: the output of another window, or a topic that is
    /// already keyed.
    pub fn sessions(self, sessions: Sessions) -> Sessioned<Self>
    where
        P::Key: StateKey,
        <P::Head as Head>::Word: Settled,
    {
        Sessioned { windows: checked(&self.draft, sessions), stream: self }
    }
}

/// Sessions of a stream that went through a repartition topic.
pub type ShuffledSessions<P, S, O> = SessionTable<
    Shuffled<<P as Pipe>::Key, Run<<S as Fold<<P as Pipe>::Value>>::State>>,
    <S as Fold<<P as Pipe>::Value>>::State,
    Ended<
        Stateless<P, Stamp>,
        PreAggregate<<P as Pipe>::Key, RunFold<S>, Stamped<<P as Pipe>::Value>, SessionWindows>,
        O,
    >,
>;

impl<P, O> Sessioned<Grouped<P, O>>
where
    P: Pipe<Key: StateKey>,
    P::Head: Conclude,
{
    /// Folds by an aggregate of one's own; `store` names its state and its topics.
    pub fn aggregate<A: Aggregate<P::Value>>(self, store: &'static str) -> ShuffledSessions<P, OfAggregate<A>, O> {
        self.fold(store, fold_of())
    }

    /// Folds by a recipe: `count()`, `(count(), sum(|e| e.fare))`.
    pub fn fold<S: Fold<P::Value>>(self, store: &'static str, fold: S) -> ShuffledSessions<P, S, O> {
        let Self { stream: Grouped(stream), windows } = self;
        let draft = Rc::clone(&stream.draft);
        let upstream = stream.sub as u16;
        let (place, output) = shuffle(&draft, (stream.sub, stream.at), store);
        let kind = StoreKind::Sessions(windows);
        let (column, at) = declare::<P::Key, Run<S::State>>(&draft, place, store, kind, DurationMs(0));
        let fold = PreAggregate::new(store, output, windows, RunFold(fold), upstream);
        let owed = stamped(stream).conclude(fold);
        let store = SessionStore::new(store, column, windows);
        SessionTable { draft, sub: place.0, at, intake: Shuffled::new(), store, owed }
    }
}

impl<P, O> Sessioned<Stream<P, O>>
where
    P: Pipe<Key: StateKey>,
{
    /// Folds by an aggregate of one's own; `store` names its state and its changelog.
    pub fn aggregate<A: Aggregate<P::Value>>(
        self,
        store: &'static str,
    ) -> SessionTable<Local<Stateless<P, Stamp>, RunFold<OfAggregate<A>>>, A, O> {
        self.fold(store, fold_of())
    }

    /// Folds by a recipe: `count()`, `(count(), sum(|e| e.fare))`.
    pub fn fold<S: Fold<P::Value>>(
        self,
        store: &'static str,
        fold: S,
    ) -> SessionTable<Local<Stateless<P, Stamp>, RunFold<S>>, S::State, O> {
        let Self { stream, windows } = self;
        let kind = StoreKind::Sessions(windows);
        let place = (stream.sub, stream.at);
        let (column, at) = declare::<P::Key, Run<S::State>>(&stream.draft, place, store, kind, DurationMs(0));
        let store = SessionStore::new(store, column, windows);
        let Stream { draft, sub, pipe, owed, .. } = stamped(stream);
        SessionTable { draft, sub, at, intake: Local { up: pipe, fold: RunFold(fold) }, store, owed }
    }
}

impl<I, A, O> SessionTable<I, A, O>
where
    I: Intake<State = Run<A>>,
    A: Mergeable,
{
    /// Emits each session once, when it is over: nothing can come any more that would continue it.
    pub fn on_close(self) -> Stream<OnSessionClose<I, A>, O> {
        let at = self.draft.borrow_mut().step(self.sub, StepKind::Operator("on-close"), &[self.at]);
        let pipe = OnSessionClose { intake: self.intake, store: self.store };
        Stream { draft: self.draft, sub: self.sub, at, pipe, owed: self.owed }
    }
}

/// The same stream, with each record's time beside its value; it is no step of its own.
fn stamped<P: Pipe, O>(stream: Stream<P, O>) -> Stream<Stateless<P, Stamp>, O> {
    let Stream { draft, sub, at, pipe, owed } = stream;
    Stream { draft, sub, at, pipe: Stateless { up: pipe, op: Stamp }, owed }
}

/// The arithmetic of sessions, or any and an error that `build` will answer.
fn checked(draft: &Rc<RefCell<Draft>>, sessions: Sessions) -> SessionWindows {
    sessions.windows().unwrap_or_else(|error| {
        draft.borrow_mut().errors.push(TopologyError::Windows(error));
        SessionWindows::EVERY_MILLISECOND
    })
}
