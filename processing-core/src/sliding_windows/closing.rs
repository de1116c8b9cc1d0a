//! Sliding windows that are due come out of their store.
//!
//! Not here: folding records in ([`crate::window_store`]), the arithmetic of time ([`crate::sliding_windows`]) and the
//! value of a window ([`super::running`]). Invariant: every window that holds a record is emitted exactly once, in the
//! order of (window end, key), whatever the jump in time and however many commits it takes.
//!
//! A key's window changes when a row comes into it, at the row's time, and when one goes, a difference and a millisecond
//! later. So two readers go through the store in the order of (time, key), one of them that far behind the other. What
//! either comes upon is due at a known end, and the lesser (end, key) is next; where both come upon the same, the window
//! is one. A row is needed until the second reader has passed it: then its pane expires.
//!
//! The cursor is a row of the task's meta column, so it moves with the commit that emits. What a restart has to know of
//! the windows that are under way are the rows between the two readers.

use std::borrow::Cow;
use std::cmp::Ordering;

use state::{ColumnId, StateKey};

use super::SlidingSpans;
use super::in_time::InTime;
use super::running::Running;
use crate::aggregate::Mergeable;
use crate::closing::Cursor;
use crate::error::CoreError;
use crate::placement::Place;
use crate::process::{Head, Pipe, Timed};
use crate::record::EventTime;
use crate::step::Step;
use crate::updates::Unwatched;
use crate::window_store::WindowStore;
use crate::windowed::{Closed, Grid as _, Intake, PaneStore};

type Rows<K, A> = WindowStore<K, A, SlidingSpans>;

/// A store of what each key's records of one time fold to, and its cursor.
#[derive(Clone)]
pub struct SlidingStore<K, A> {
    rows: Rows<K, A>,
    closer: Closer<K, A>,
}

impl<K: StateKey, A: Mergeable> SlidingStore<K, A> {
    pub(crate) fn new(name: &'static str, column: ColumnId, spans: SlidingSpans) -> Self {
        Self { rows: WindowStore::new(name, column, spans), closer: Closer::new() }
    }
}

impl<K: StateKey, A: Mergeable> PaneStore<K, A> for SlidingStore<K, A> {
    fn name(&self) -> &'static str {
        self.rows.name
    }

    #[allow(private_interfaces, reason = "implemented and called within the crate only")]
    fn place(&self, time: EventTime, stream_time: EventTime) -> Option<Place> {
        self.rows.windows.place(time, stream_time)
    }

    fn fold(&mut self, step: &mut Step<'_>, pane: i64, first: i64, key: K, fold: impl FnOnce(&mut A)) {
        self.rows.fold(step, pane, first, key, fold);
    }
}

/// What closes the windows of one store.
#[derive(Clone)]
struct Closer<K, A> {
    /// `None` until it has been read from the store. No window that ends before its `next` will be emitted.
    cursor: Option<Cursor>,
    /// As of the cursor; `None` until something is due.
    running: Option<Running<K, A>>,
}

impl<K: StateKey, A: Mergeable> Closer<K, A> {
    fn new() -> Self {
        Self { cursor: None, running: None }
    }

    /// Emits what is due at `upto` and answers the time that the output has reached.
    fn close<F>(&mut self, store: &mut Rows<K, A>, step: &mut Step<'_>, upto: EventTime, emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, EventTime, K, A),
    {
        let Some(mut cursor) = self.cursor(store, step) else { return EventTime::MIN };
        let spans = store.windows;
        let closed = spans.closed_before(upto);
        let (mut is_through, mut reached) = (true, closed);
        // With nothing due even for a full store, the look at the store is spared.
        if closed <= cursor.next {
            return EventTime(reached);
        }
        let done = cursor.done_of(step, store, cursor.next);
        let mut coming = InTime::new(cursor.next, done.clone(), closed);
        let mut going = InTime::new(spans.leaving(cursor.next), done, spans.leaving(closed));
        let mut last = None;
        while step.failure.is_none() {
            let comes = coming.peek(store, step).map(|(row, _)| row);
            let goes = going.peek(store, step).map(|((time, key), _)| (spans.left_by(*time), key));
            let (end, order) = match (comes, goes) {
                (None, None) => break,
                (Some((time, _)), None) => (*time, Ordering::Less),
                (None, Some((end, _))) => (end, Ordering::Greater),
                (Some((time, key)), Some(goes)) => ((*time).min(goes.0), (*time, key).cmp(&goes)),
            };
            if step.closings_left == 0 {
                step.unfinished = true;
                (is_through, reached) = (false, end);
                break;
            }
            step.closings_left -= 1;
            let Some(running) = self.running(store, step, &cursor) else { break };
            let gone = if order.is_ge() { going.take() } else { None };
            let came = if order.is_le() { coming.take() } else { None };
            if let Some(((time, key), value)) = &gone {
                running.leave(key, *time, value);
            }
            if let Some(((time, key), value)) = &came
                && let Err(error) = running.enter(key, *time, value, step.terms.shares.cached)
            {
                step.fail(CoreError::store_rebuild(format!("store {}: {error}", store.name)));
            }
            let Some(((_, key), _)) = came.or(gone) else { break };
            let value = running.value(&key, |time| look_up(store, step, time, &key));
            last = Some((end, key.clone()));
            if let Some(value) = value {
                step.counts.closed += 1;
                emit(step, EventTime(end), key, value);
            }
        }
        if let Some((end, key)) = last {
            if is_through {
                cursor.pass_to(end + 1);
            } else {
                cursor.next = end;
                cursor.stop_after(&key);
            }
            cursor.expire(step, store, spans.pane_at(spans.leaving(cursor.next)).start.0);
            cursor.save(step, store);
        }
        self.cursor = Some(cursor);
        EventTime(reached)
    }

    /// The running values, made of the rows that are in a window at the cursor the first time.
    fn running(&mut self, store: &Rows<K, A>, step: &mut Step<'_>, cursor: &Cursor) -> Option<&mut Running<K, A>> {
        if self.running.is_none() {
            self.running = Some(under_way(store, step, cursor));
        }
        self.running.as_mut()
    }

    /// The cursor, read from the store the first time.
    fn cursor(&mut self, store: &Rows<K, A>, step: &mut Step<'_>) -> Option<Cursor> {
        if self.cursor.is_none() {
            self.cursor = Cursor::load(step, store);
        }
        self.cursor.clone()
    }
}

/// The windows at the cursor: they hold what has come by then and has not gone.
fn under_way<K: StateKey, A: Mergeable>(store: &Rows<K, A>, step: &mut Step<'_>, cursor: &Cursor) -> Running<K, A> {
    let mut running = Running::new();
    let done = cursor.done_of(step, store, cursor.next);
    let from = store.windows.leaving(cursor.next);
    let mut rows = InTime::new(from, done.clone(), cursor.next.saturating_add(1));
    while rows.peek(store, step).is_some() {
        let Some(((time, key), value)) = rows.take() else { break };
        // Of the rows at the cursor, those that have come.
        if (time < cursor.next || done.as_ref().is_some_and(|done| key <= *done))
            && let Err(error) = running.enter(&key, time, &value, step.terms.shares.cached)
        {
            step.fail(CoreError::store_rebuild(format!("store {}: {error}", store.name)));
        }
    }
    running
}

/// The row of a key that is in its window.
fn look_up<K: StateKey, A: Mergeable>(store: &mut Rows<K, A>, step: &mut Step<'_>, time: i64, key: &K) -> Option<A> {
    let pane = store.windows.pane_at(time).start.0;
    let row = store.peek(step, pane, &(time, key.clone())).map(Cow::into_owned);
    if row.is_none() {
        step.fail(CoreError::store_rebuild(format!("store {}: a row of time {time} is gone too soon", store.name)));
    }
    row
}

/// Folds records by key and time, and emits each sliding window when it has closed.
#[derive(Clone)]
pub struct OnSlidingClose<I: Intake> {
    pub(crate) intake: I,
    pub(crate) store: SlidingStore<I::Key, I::State>,
}

impl<I: Intake> Pipe for OnSlidingClose<I> {
    type Head = I::Head;
    type Key = I::Key;
    type Value = Closed<I::State>;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: <Self::Head as Head>::In<'_>, _: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<Self::Key, Self::Value>),
    {
        self.intake.feed(step, input, &mut self.store, &mut Unwatched);
    }

    fn advance<F>(&mut self, step: &mut Step<'_>, time: <Self::Head as Head>::Time<'_>, emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<Self::Key, Self::Value>),
    {
        let upto = self.intake.advance(step, time, &mut self.store, &mut Unwatched);
        let SlidingStore { rows, closer } = &mut self.store;
        let spans = rows.windows;
        closer.close(rows, step, upto, &mut |step, end, key, value| {
            // The last moment that belongs to the window, as it is with other windows.
            emit(step, Timed { key, value: Closed { window: spans.window_to(end), value }, time: end });
        })
    }

    fn drain<F>(&mut self, step: &mut Step<'_>, _: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<Self::Key, Self::Value>),
    {
        self.intake.drain(step, &mut self.store, &mut Unwatched);
        self.store.rows.drain(step);
    }

    fn abandon(&mut self) {
        self.intake.abandon();
        self.store.rows.abandon();
        self.store.closer = Closer::new();
    }
}
