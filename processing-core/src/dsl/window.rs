//! The steps that remember: windows, aggregates, and how their results come out.
//!
//! Not here: how they work ([`crate::windowed`]). Invariant: a window can only be laid over a stream
//! with a key and a time, and what comes out on updates cannot be windowed again.

#![allow(clippy::type_complexity, reason = "a chain's type spells its operators, as iterator adapters do")]

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use state::{ColumnId, StateKey};

use super::draft::Draft;
use super::stream::{Conclude, Ended, Grouped, Stream};
use super::topology::TopologyError;
use crate::aggregate::{Aggregate, Fold, Mergeable, OfAggregate, fold_of};
use crate::hindsight::{Frame, Frames, Hindsight, NoHindsight};
use crate::latest::{Latest, Nobody};
use crate::plan::{StepKind, StoreKind};
use crate::previous::{Successive, WithPrevious};
use crate::process::{Head, Inlet, Pipe, Terminal};
use crate::record::DurationMs;
use crate::repartition::pre_aggregate::PreAggregate;
use crate::updates::{Unwatched, Updated, Updates, Watch};
use crate::window::{EvenlySpaced, SideBySide, Windowing, Windows};
use crate::windowed::{Closed, Intake, Local, OnClose, Panes, Shuffled};
use crate::word::{PresentWord, Settled};

/// A keyed stream with windows laid over it. `S` is the stream, `W` the kind of windows.
#[must_use = "a windowed stream does nothing until it is aggregated"]
pub struct Windowed<S, W> {
    pub(super) stream: S,
    pub(super) windows: Windows,
    pub(super) keep: DurationMs,
    pub(super) kind: PhantomData<W>,
}

/// Aggregates by key and window; choose how they come out.
#[must_use = "a table emits nothing until it is told when"]
pub struct Table<I: Intake, O, W> {
    pub(super) draft: Rc<RefCell<Draft>>,
    pub(super) sub: usize,
    pub(super) at: usize,
    pub(super) intake: I,
    pub(super) panes: Panes<I::Key, I::State>,
    pub(super) owed: O,
    pub(super) kind: PhantomData<W>,
}

impl<P: Pipe, O> Grouped<P, O> {
    /// Lays windows over the stream.
    pub fn window<W: Windowing>(self, windows: W) -> Windowed<Self, W>
    where
        P::Key: StateKey,
        <P::Head as Head>::Word: Settled,
    {
        Windowed { windows: checked(&self.0.draft, &windows), stream: self, keep: DurationMs(0), kind: PhantomData }
    }
}

impl<P: Pipe, O> Stream<P, O> {
    /// Lays windows over a stream that is partitioned by its key: the output of another window, or a topic
    /// that is already keyed.
    pub fn window<W: Windowing>(self, windows: W) -> Windowed<Self, W>
    where
        P::Key: StateKey,
        <P::Head as Head>::Word: Settled,
    {
        Windowed { windows: checked(&self.draft, &windows), stream: self, keep: DurationMs(0), kind: PhantomData }
    }
}

impl<S, W> Windowed<S, W> {
    /// Keeps closed windows readable for this much event time, for queries. Without it they go when no
    /// open window needs their panes.
    pub fn keep(mut self, keep: DurationMs) -> Self {
        self.keep = keep;
        self
    }
}

/// Aggregates of a stream that went through a repartition topic.
pub type ShuffledTable<P, S, O, W> = Table<
    Shuffled<<P as Pipe>::Key, <S as Fold<<P as Pipe>::Value>>::State>,
    Ended<P, PreAggregate<<P as Pipe>::Key, S, <P as Pipe>::Value>, O>,
    W,
>;

impl<P, O, W> Windowed<Grouped<P, O>, W>
where
    P: Pipe<Key: StateKey>,
    P::Head: Conclude,
{
    /// Folds by an aggregate of one's own; `store` names its state and its topics.
    pub fn aggregate<A: Aggregate<P::Value>>(self, store: &'static str) -> ShuffledTable<P, OfAggregate<A>, O, W> {
        self.fold(store, fold_of())
    }

    /// Folds by a recipe: `count()`, `(count(), sum(|e| e.fare))`.
    pub fn fold<S: Fold<P::Value>>(self, store: &'static str, fold: S) -> ShuffledTable<P, S, O, W> {
        let Self { stream: Grouped(stream), windows, keep, .. } = self;
        let draft = Rc::clone(&stream.draft);
        let upstream = stream.sub as u16;
        let (place, output) = shuffle(&draft, (stream.sub, stream.at), store);
        let kind = StoreKind::Panes(windows);
        let (column, at) = declare::<P::Key, S::State>(&draft, place, store, kind, keep);
        let owed = stream.conclude(PreAggregate::new(store, output, windows, fold, upstream));
        let panes = Panes::new(store, column, windows, keep.0);
        Table { draft, sub: place.0, at, intake: Shuffled::new(), panes, owed, kind: PhantomData }
    }
}

impl<P, O, W> Windowed<Stream<P, O>, W>
where
    P: Pipe<Key: StateKey>,
{
    /// Folds by an aggregate of one's own; `store` names its state and its changelog.
    pub fn aggregate<A: Aggregate<P::Value>>(self, store: &'static str) -> Table<Local<P, OfAggregate<A>>, O, W> {
        self.fold(store, fold_of())
    }

    /// Folds by a recipe: `count()`, `(count(), sum(|e| e.fare))`.
    pub fn fold<S: Fold<P::Value>>(self, store: &'static str, fold: S) -> Table<Local<P, S>, O, W> {
        let Self { stream, windows, keep, .. } = self;
        let kind = StoreKind::Panes(windows);
        let (column, at) = declare::<P::Key, S::State>(&stream.draft, (stream.sub, stream.at), store, kind, keep);
        let panes = Panes::new(store, column, windows, keep.0);
        let Stream { draft, sub, pipe, owed, .. } = stream;
        Table { draft, sub, at, intake: Local { up: pipe, fold }, panes, owed, kind: PhantomData }
    }
}

impl<I: Intake, O, W> Table<I, O, W> {
    /// Emits each window once, when it has closed: the last word.
    pub fn on_close(self) -> Stream<OnClose<I, Unwatched, NoHindsight>, O> {
        self.emit(Unwatched, NoHindsight)
    }

    /// Emits each window once, when it has closed, together with what lies before it: for each frame the
    /// merged `project`ions of the key's panes in it. `store` names the history that this keeps. Only
    /// aggregates that can take a value out again exactly can be looked back at.
    pub fn on_close_with<H, C>(
        mut self,
        store: &'static str,
        frames: &[Frame],
        project: C,
    ) -> Stream<OnClose<I, Unwatched, Frames<I::Key, H, C>>, O>
    where
        W: EvenlySpaced,
        H: Mergeable,
        C: Fn(&I::State) -> H + Clone + Send + 'static,
    {
        let remove = const {
            match H::REMOVE {
                Some(remove) => remove,
                None => panic!("a frame needs an aggregate with an exact REMOVE: integers, fixed point, counts"),
            }
        };
        let windows = self.panes.store.windows;
        let longest = frames.iter().map(|frame| frame.start).max().unwrap_or_default();
        let (column, at) =
            declare::<I::Key, H>(&self.draft, (self.sub, self.at), store, StoreKind::Panes(windows), longest);
        self.at = at;
        self.emit(Unwatched, Frames::new(store, column, windows, frames.to_vec(), project, remove))
    }

    /// Shows the present word on each window that has changed to a side chain, at each commit and at most
    /// once per key and `interval`; the last word on a window goes there as it closes, whatever the interval. Emits
    /// each window once when it has closed.
    ///
    /// This is how output is limited in rate: with `DurationMs::seconds(1)` a key is written at most once a second of the
    /// wall clock while its window is open, with the value that it has then; what changed in between is in it, and the
    /// last change is always written. For closed windows, [`Stream::on_latest`] limits in the same way,
    /// and for tables [`Stream::rate_limit`].
    pub fn on_update<S>(
        self,
        interval: DurationMs,
        side: impl FnOnce(UpdateStream<I>) -> S,
    ) -> Stream<OnClose<I, Updates<I::Key, S>, NoHindsight>, O>
    where
        W: SideBySide,
        S: Terminal<I::Key, Updated<I::State>>,
    {
        let at = self.draft.borrow_mut().step(self.sub, StepKind::Operator("on-update"), &[self.at]);
        let inlet = Stream { draft: Rc::clone(&self.draft), sub: self.sub, at, pipe: Inlet::new(), owed: () };
        self.emit(Updates::new(side(inlet), interval), NoHindsight)
    }

    fn emit<U, B>(self, watch: U, hindsight: B) -> Stream<OnClose<I, U, B>, O>
    where
        U: Watch<I::Key, I::State>,
        B: Hindsight<I::Key, I::State>,
    {
        let at = self.draft.borrow_mut().step(self.sub, StepKind::Operator("on-close"), &[self.at]);
        let pipe = OnClose { intake: self.intake, panes: self.panes, watch, hindsight };
        Stream { draft: self.draft, sub: self.sub, at, pipe, owed: self.owed }
    }
}

impl<I, U, O> Stream<OnClose<I, U, NoHindsight>, O>
where
    I: Intake,
    U: Watch<I::Key, I::State>,
{
    /// Puts each closed window beside the one before it. A key that falls silent gets one empty window, so
    /// that whoever shows the last one learns that it is over. `store` names what this keeps; `keep` is
    /// for how long rows stay readable for queries.
    pub fn with_previous(
        self,
        store: &'static str,
        keep: DurationMs,
    ) -> Stream<WithPrevious<OnClose<I, U, NoHindsight>, I::Key, I::State, Nobody>, O> {
        let windows = self.pipe.panes.store.windows;
        let kind = StoreKind::Panes(windows);
        let (column, at) = declare::<I::Key, I::State>(&self.draft, (self.sub, self.at), store, kind, keep);
        let pipe = WithPrevious::new(self.pipe, store, column, windows, keep);
        Stream { draft: self.draft, sub: self.sub, at, pipe, owed: self.owed }
    }
}

impl<P, K, A, O> Stream<WithPrevious<P, K, A, Nobody>, O>
where
    K: StateKey,
    A: Mergeable,
    P: Pipe<Key = K, Value = Closed<A>>,
{
    /// Shows each key's last closed window to a side chain, at most once per key and `interval`: for topics
    /// that hold the present word. A key that fell silent is shown as empty.
    pub fn on_latest<S>(
        self,
        interval: DurationMs,
        side: impl FnOnce(LatestStream<K, A>) -> S,
    ) -> Stream<WithPrevious<P, K, A, Latest<K, A, S>>, O>
    where
        S: Terminal<K, Successive<A>>,
    {
        let at = self.draft.borrow_mut().step(self.sub, StepKind::Operator("on-latest"), &[self.at]);
        let inlet = Stream { draft: Rc::clone(&self.draft), sub: self.sub, at, pipe: Inlet::new(), owed: () };
        let pipe = self.pipe.told_to(Latest::new(side(inlet), interval));
        Stream { draft: self.draft, sub: self.sub, at: self.at, pipe, owed: self.owed }
    }
}

/// A side chain of last closed windows: where it begins.
pub type LatestStream<K, A> = Stream<Inlet<K, Successive<A>, PresentWord>, ()>;

/// A side chain of updates: where it begins.
pub type UpdateStream<I> = Stream<Inlet<<I as Intake>::Key, Updated<<I as Intake>::State>, PresentWord>, ()>;

/// Writes a repartition topic for `store` into the draft, its end at this place and its beginning: answers where that
/// is, and the topic's number as an output.
pub(super) fn shuffle(
    draft: &Rc<RefCell<Draft>>,
    (sub, at): (usize, usize),
    store: &'static str,
) -> ((usize, usize), usize) {
    let mut draft = draft.borrow_mut();
    let before = draft.step(sub, StepKind::PreAggregate(store), &[at]);
    draft.through((sub, before), store)
}

/// Gives a store its column and writes it and its step into the draft.
pub(super) fn declare<K, A>(
    draft: &Rc<RefCell<Draft>>,
    (sub, at): (usize, usize),
    name: &'static str,
    kind: StoreKind,
    keep: DurationMs,
) -> (ColumnId, usize) {
    let mut draft = draft.borrow_mut();
    let holds = format!("{} by {}", std::any::type_name::<A>(), std::any::type_name::<K>());
    let column = draft.store(sub, name, kind, keep, holds);
    let at = draft.step(sub, StepKind::Window(name), &[at]);
    (column, at)
}

/// The windows, or any windows and an error that `build` will answer.
pub(super) fn checked(draft: &Rc<RefCell<Draft>>, windows: &impl Windowing) -> Windows {
    windows.windows().unwrap_or_else(|error| {
        draft.borrow_mut().errors.push(TopologyError::Windows(error));
        Windows::EVERY_MILLISECOND
    })
}
