//! The window operator: what stands between a keyed stream and its closed windows.
//!
//! Not here: panes ([`crate::window_store`]) and their closing ([`crate::closing`]). Invariant: a
//! record is judged late by the stream time of the partition it came from, once; what comes out of a
//! repartition topic or of another window is never judged again.

use std::marker::PhantomData;

use serde::Serialize;
use state::{ColumnId, StateKey};

use crate::aggregate::{Fold, Mergeable};
use crate::closing::Closer;
use crate::error::CoreError;
use crate::hindsight::Hindsight;
use crate::placement::Place;
use crate::process::{Head, Pipe, Raw, Sources, Timed};
use crate::record::{DurationMs, EventTime};
use crate::repartition::Partial;
use crate::step::Step;
use crate::updates::Watch;
use crate::window::{Window, Windows};
use crate::window_store::WindowStore;

/// The last word on a window: its value after it has closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Closed<A> {
    /// Which window.
    pub window: Window,
    /// Everything in it.
    pub value: A,
}

/// How time is cut: where a record belongs, and when something may close.
pub trait Grid: Copy + Send + 'static {
    /// The row for a record at `time` whose partition has come to `stream_time`; `None` if it is late.
    #[allow(private_interfaces, reason = "implemented and called within the crate only")]
    fn place(&self, time: EventTime, stream_time: EventTime) -> Option<Place>;
    /// The last moment, at or before `reached`, at which something may close; [`EventTime::MIN`] before any.
    fn last_close(&self, reached: EventTime) -> EventTime;
}

impl Grid for Windows {
    #[allow(private_interfaces, reason = "implemented and called within the crate only")]
    fn place(&self, time: EventTime, stream_time: EventTime) -> Option<Place> {
        Self::place(self, time, stream_time)
    }

    fn last_close(&self, reached: EventTime) -> EventTime {
        match self.closable_through(reached) {
            Some(start) => self.close_of(self.window_at(start)),
            None => EventTime::MIN,
        }
    }
}

/// What an intake folds into.
pub trait PaneStore<K, A> {
    /// The store's name.
    fn name(&self) -> &'static str;
    /// See [`Grid::place`].
    #[allow(private_interfaces, reason = "implemented and called within the crate only")]
    fn place(&self, time: EventTime, stream_time: EventTime) -> Option<Place>;
    /// Folds into the row of `pane`, `first` accepting window and `key`.
    fn fold(&mut self, step: &mut Step<'_>, pane: i64, first: i64, key: K, fold: impl FnOnce(&mut A));
}

/// A window store and its cursor.
#[derive(Clone)]
pub struct Panes<K, A> {
    pub(crate) store: WindowStore<K, A>,
    closer: Closer<K, A>,
}

impl<K: StateKey, A: Mergeable> Panes<K, A> {
    pub(crate) fn new(name: &'static str, column: ColumnId, windows: Windows, keep_ms: i64) -> Self {
        Self { store: WindowStore::new(name, column, windows), closer: Closer::new(keep_ms) }
    }
}

impl<K: StateKey, A: Mergeable> PaneStore<K, A> for Panes<K, A> {
    fn name(&self) -> &'static str {
        self.store.name
    }

    #[allow(private_interfaces, reason = "implemented and called within the crate only")]
    fn place(&self, time: EventTime, stream_time: EventTime) -> Option<Place> {
        self.store.windows.place(time, stream_time)
    }

    fn fold(&mut self, step: &mut Step<'_>, pane: i64, first: i64, key: K, fold: impl FnOnce(&mut A)) {
        self.closer.note(&self.store, pane, first, &key);
        self.store.fold(step, pane, first, key, fold);
    }
}

/// How records get into a window store: from a chain of the same task, or as partial aggregates
/// through a repartition topic.
pub trait Intake: Clone + Send + 'static {
    /// Where the chain before it begins.
    type Head: Head;
    /// What is grouped by.
    type Key: StateKey;
    /// What is folded into.
    type State: Mergeable;
    /// Folds one input; `watch` is told of every row that changes.
    fn feed(
        &mut self,
        step: &mut Step<'_>,
        input: <Self::Head as Head>::In<'_>,
        panes: &mut impl PaneStore<Self::Key, Self::State>,
        watch: &mut impl Watch<Self::Key, Self::State>,
    );
    /// Moves the chain before it, and folds what comes out.
    fn advance(
        &mut self,
        step: &mut Step<'_>,
        time: <Self::Head as Head>::Time<'_>,
        panes: &mut impl PaneStore<Self::Key, Self::State>,
        watch: &mut impl Watch<Self::Key, Self::State>,
    ) -> EventTime;
    /// Lets the chain before it get ready for a commit.
    fn drain(
        &mut self,
        step: &mut Step<'_>,
        panes: &mut impl PaneStore<Self::Key, Self::State>,
        watch: &mut impl Watch<Self::Key, Self::State>,
    );
    /// The transaction was aborted.
    fn abandon(&mut self);
}

/// Records of the same task, folded one by one.
#[derive(Clone)]
pub struct Local<P, S> {
    pub(crate) up: P,
    pub(crate) fold: S,
}

impl<P, S> Local<P, S>
where
    P: Pipe<Key: StateKey>,
    S: Fold<P::Value>,
{
    fn take(
        fold: &S,
        step: &mut Step<'_>,
        record: Timed<P::Key, P::Value>,
        panes: &mut impl PaneStore<P::Key, S::State>,
        watch: &mut impl Watch<P::Key, S::State>,
    ) {
        let Some(place) = panes.place(record.time, step.stream_time) else {
            step.late(panes.name());
            return;
        };
        step.counts.partly_late += u64::from(place.partly_late);
        watch.touch(place.pane, &record.key);
        panes.fold(step, place.pane, place.first, record.key, |state| fold.add(state, &record.value));
    }
}

impl<P, S> Intake for Local<P, S>
where
    P: Pipe<Key: StateKey>,
    S: Fold<P::Value>,
{
    type Head = P::Head;
    type Key = P::Key;
    type State = S::State;

    fn feed(
        &mut self,
        step: &mut Step<'_>,
        input: <Self::Head as Head>::In<'_>,
        panes: &mut impl PaneStore<Self::Key, Self::State>,
        watch: &mut impl Watch<Self::Key, Self::State>,
    ) {
        let Self { up, fold } = self;
        up.feed(step, input, &mut |step, record| Self::take(fold, step, record, panes, watch));
    }

    fn advance(
        &mut self,
        step: &mut Step<'_>,
        time: <Self::Head as Head>::Time<'_>,
        panes: &mut impl PaneStore<Self::Key, Self::State>,
        watch: &mut impl Watch<Self::Key, Self::State>,
    ) -> EventTime {
        let Self { up, fold } = self;
        // What a chain makes of time (closed windows before this one) was judged already.
        step.stream_time = EventTime::MIN;
        up.advance(step, time, &mut |step, record| Self::take(fold, step, record, panes, watch))
    }

    fn drain(
        &mut self,
        step: &mut Step<'_>,
        panes: &mut impl PaneStore<Self::Key, Self::State>,
        watch: &mut impl Watch<Self::Key, Self::State>,
    ) {
        let Self { up, fold } = self;
        up.drain(step, &mut |step, record| Self::take(fold, step, record, panes, watch));
    }

    fn abandon(&mut self) {
        self.up.abandon();
    }
}

/// Partial aggregates from a repartition topic, merged.
pub struct Shuffled<K, A>(PhantomData<fn(K, A)>);

impl<K, A> Shuffled<K, A> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<K, A> Clone for Shuffled<K, A> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<K: StateKey, A: Mergeable> Intake for Shuffled<K, A> {
    type Head = Sources;
    type Key = K;
    type State = A;

    fn feed(
        &mut self,
        step: &mut Step<'_>,
        input: Raw<'_>,
        panes: &mut impl PaneStore<K, A>,
        watch: &mut impl Watch<K, A>,
    ) {
        let name = panes.name();
        let key = K::decode(input.key.unwrap_or_default()).map_err(|error| error.to_string());
        let partial = Partial::<A>::read(input.value.unwrap_or_default()).map_err(|poison| poison.message);
        match key.and_then(|key| Ok((key, partial?))) {
            Ok((key, partial)) => {
                watch.touch(partial.pane, &key);
                panes.fold(step, partial.pane, partial.first, key, |state| state.absorb(partial.aggregate));
            }
            // A record of our own that cannot be read is no poison to set aside: counts would be wrong.
            Err(error) => step.fail(CoreError::contradiction(format!(
                "the repartition topic of store {name} holds a record that this version cannot read ({error}): \
                 finish it with the version that wrote it, or run `streamfleet reprocess`"
            ))),
        }
    }

    fn advance(
        &mut self,
        _: &mut Step<'_>,
        times: &[EventTime],
        _: &mut impl PaneStore<K, A>,
        _: &mut impl Watch<K, A>,
    ) -> EventTime {
        times.iter().copied().min().unwrap_or(EventTime::MIN)
    }

    fn drain(&mut self, _: &mut Step<'_>, _: &mut impl PaneStore<K, A>, _: &mut impl Watch<K, A>) {}

    fn abandon(&mut self) {}
}

/// Folds records into windows and emits each window when it has closed.
#[derive(Clone)]
pub struct OnClose<I: Intake, U, B> {
    pub(crate) intake: I,
    pub(crate) panes: Panes<I::Key, I::State>,
    pub(crate) watch: U,
    pub(crate) hindsight: B,
}

impl<I, U, B> Pipe for OnClose<I, U, B>
where
    I: Intake,
    U: Watch<I::Key, I::State>,
    B: Hindsight<I::Key, I::State>,
{
    type Head = I::Head;
    type Key = I::Key;
    type Value = Closed<B::Out>;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: <Self::Head as Head>::In<'_>, _: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<Self::Key, Self::Value>),
    {
        self.intake.feed(step, input, &mut self.panes, &mut self.watch);
    }

    fn advance<F>(&mut self, step: &mut Step<'_>, time: <Self::Head as Head>::Time<'_>, emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<Self::Key, Self::Value>),
    {
        let upto = self.intake.advance(step, time, &mut self.panes, &mut self.watch);
        let Self { panes: Panes { store, closer }, watch, hindsight, .. } = self;
        let reached = closer.close(store, hindsight, step, upto, &mut |step, hindsight, window, key, value| {
            watch.settle(step, window, &key, &value);
            let value = hindsight.view(&key, value);
            // The last moment that belongs to the window: so a closed minute falls into its hour.
            let time = window.end.minus(DurationMs(1));
            emit(step, Timed { key, value: Closed { window, value }, time });
        });
        watch.advance(step, reached);
        reached
    }

    fn drain<F>(&mut self, step: &mut Step<'_>, _: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<Self::Key, Self::Value>),
    {
        self.intake.drain(step, &mut self.panes, &mut self.watch);
        let still_open = self.panes.closer.still_open(&self.panes.store, step);
        self.watch.drain(step, &mut self.panes.store, &still_open);
        self.panes.store.drain(step);
        self.hindsight.drain(step);
    }

    fn abandon(&mut self) {
        self.intake.abandon();
        self.panes.store.abandon();
        self.panes.closer.abandon();
        self.watch.abandon();
        self.hindsight.abandon();
    }
}
