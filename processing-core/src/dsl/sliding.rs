//! Sliding windows: how they are laid over a stream, aggregated, and come out.
//!
//! Not here: what a sliding window is ([`crate::sliding_windows`]). Invariant: windows come out when they are closed and
//! not before, so there is nothing to take back; what comes out can be windowed again.

#![allow(clippy::type_complexity, reason = "a chain's type spells its operators, as iterator adapters do")]

use std::cell::RefCell;
use std::rc::Rc;

use state::StateKey;

use super::draft::Draft;
use super::stream::{Conclude, Ended, Grouped, Stream};
use super::topology::TopologyError;
use super::window::{declare, shuffle};
use crate::aggregate::{Aggregate, Fold, OfAggregate, fold_of};
use crate::plan::{StepKind, StoreKind};
use crate::process::{Head, Pipe};
use crate::record::DurationMs;
use crate::repartition::pre_aggregate::PreAggregate;
use crate::sliding_windows::{OnSlidingClose, SlidingSpans, SlidingStore, SlidingWindows};
use crate::windowed::{Intake, Local, Shuffled};
use crate::word::Settled;

/// A keyed stream with sliding windows laid over it.
#[must_use = "sliding windows do nothing until they are aggregated"]
pub struct SlidingWindowed<S> {
    stream: S,
    spans: SlidingSpans,
}

/// Aggregates by key and sliding window.
#[must_use = "a table emits nothing until it is told when"]
pub struct SlidingTable<I: Intake, O> {
    draft: Rc<RefCell<Draft>>,
    sub: usize,
    at: usize,
    intake: I,
    store: SlidingStore<I::Key, I::State>,
    owed: O,
}

impl<P: Pipe, O> Grouped<P, O> {
    /// Lays sliding windows over the stream.
    pub fn sliding(self, windows: SlidingWindows) -> SlidingWindowed<Self>
    where
        P::Key: StateKey,
        <P::Head as Head>::Word: Settled,
    {
        SlidingWindowed { spans: checked(&self.0.draft, windows), stream: self }
    }
}

impl<P: Pipe, O> Stream<P, O> {
    /// Lays sliding windows over a stream that is partitioned by its key: the output of another window, or a topic that
    /// is already keyed.
    pub fn sliding(self, windows: SlidingWindows) -> SlidingWindowed<Self>
    where
        P::Key: StateKey,
        <P::Head as Head>::Word: Settled,
    {
        SlidingWindowed { spans: checked(&self.draft, windows), stream: self }
    }
}

/// Sliding windows of a stream that went through a repartition topic.
pub type ShuffledSliding<P, S, O> = SlidingTable<
    Shuffled<<P as Pipe>::Key, <S as Fold<<P as Pipe>::Value>>::State>,
    Ended<P, PreAggregate<<P as Pipe>::Key, S, <P as Pipe>::Value, SlidingSpans>, O>,
>;

impl<P, O> SlidingWindowed<Grouped<P, O>>
where
    P: Pipe<Key: StateKey>,
    P::Head: Conclude,
{
    /// Folds by an aggregate of one's own; `store` names its state and its topics.
    pub fn aggregate<A: Aggregate<P::Value>>(self, store: &'static str) -> ShuffledSliding<P, OfAggregate<A>, O> {
        self.fold(store, fold_of())
    }

    /// Folds by a recipe: `count()`, `(count(), sum(|e| e.fare))`. What a key's records of one time fold to is one entry
    /// of the repartition topic, of the store and of its changelog.
    pub fn fold<S: Fold<P::Value>>(self, store: &'static str, fold: S) -> ShuffledSliding<P, S, O> {
        let Self { stream: Grouped(stream), spans } = self;
        let draft = Rc::clone(&stream.draft);
        let upstream = stream.sub as u16;
        let (place, output) = shuffle(&draft, (stream.sub, stream.at), store);
        let kind = StoreKind::Sliding(spans);
        let (column, at) = declare::<P::Key, S::State>(&draft, place, store, kind, DurationMs(0));
        let owed = stream.conclude(PreAggregate::new(store, output, spans, fold, upstream));
        let store = SlidingStore::new(store, column, spans);
        SlidingTable { draft, sub: place.0, at, intake: Shuffled::new(), store, owed }
    }
}

impl<P, O> SlidingWindowed<Stream<P, O>>
where
    P: Pipe<Key: StateKey>,
{
    /// Folds by an aggregate of one's own; `store` names its state and its changelog.
    pub fn aggregate<A: Aggregate<P::Value>>(self, store: &'static str) -> SlidingTable<Local<P, OfAggregate<A>>, O> {
        self.fold(store, fold_of())
    }

    /// Folds by a recipe: `count()`, `(count(), sum(|e| e.fare))`. What a key's records of one time fold to is one entry
    /// of the store and of its changelog.
    pub fn fold<S: Fold<P::Value>>(self, store: &'static str, fold: S) -> SlidingTable<Local<P, S>, O> {
        let Self { stream, spans } = self;
        let kind = StoreKind::Sliding(spans);
        let place = (stream.sub, stream.at);
        let (column, at) = declare::<P::Key, S::State>(&stream.draft, place, store, kind, DurationMs(0));
        let store = SlidingStore::new(store, column, spans);
        let Stream { draft, sub, pipe, owed, .. } = stream;
        SlidingTable { draft, sub, at, intake: Local { up: pipe, fold }, store, owed }
    }
}

impl<I: Intake, O> SlidingTable<I, O> {
    /// Emits each window once, when no record can come any more that would change it, in the order of (window end, key).
    pub fn on_close(self) -> Stream<OnSlidingClose<I>, O> {
        let at = self.draft.borrow_mut().step(self.sub, StepKind::Operator("on-close"), &[self.at]);
        let pipe = OnSlidingClose { intake: self.intake, store: self.store };
        Stream { draft: self.draft, sub: self.sub, at, pipe, owed: self.owed }
    }
}

/// The arithmetic of the windows, or any and an error that `build` will answer.
fn checked(draft: &Rc<RefCell<Draft>>, windows: SlidingWindows) -> SlidingSpans {
    windows.spans().unwrap_or_else(|error| {
        draft.borrow_mut().errors.push(TopologyError::Windows(error));
        SlidingSpans::EVERY_MILLISECOND
    })
}
