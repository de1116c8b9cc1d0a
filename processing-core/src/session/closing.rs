//! Sessions that are over come out of their store.
//!
//! Not here: folding records in ([`crate::window_store`]) and the arithmetic of time ([`crate::session`]).
//! Invariant: every session is emitted exactly once, whatever the jump in time and however many commits it takes:
//! panes one after the other, the keys of a pane in their order. So sessions come in an order that hangs on their
//! events alone, those of one key in the order of time, and the ends of others are out of order by less than a pane.
//!
//! When a pane closes, no event can come any more that is within the gap of one of its events. So all that continues
//! a run of it is there already, and it is the first row of the key in a pane behind it: the run moves into that row,
//! in the transaction that moves the cursor past it, and is emitted from there, or it moves on. A run that nothing
//! continues is a session. Then the pane expires; no row has to be taken out by itself.

use state::{ColumnId, StateKey};

use super::SessionWindows;
use super::run::Run;
use crate::aggregate::Mergeable;
use crate::closing::{Cursor, Slices};
use crate::placement::Place;
use crate::process::{Head, Pipe, Timed};
use crate::record::EventTime;
use crate::step::Step;
use crate::updates::Unwatched;
use crate::window::Pane;
use crate::window_store::WindowStore;
use crate::windowed::{Closed, Grid as _, Intake, PaneStore};

type Rows<K, A> = WindowStore<K, Run<A>, SessionWindows>;

/// A store of runs and its cursor.
#[derive(Clone)]
pub struct SessionStore<K, A> {
    rows: Rows<K, A>,
    closer: Closer<K, A>,
}

impl<K: StateKey, A: Mergeable> SessionStore<K, A> {
    pub(crate) fn new(name: &'static str, column: ColumnId, windows: SessionWindows) -> Self {
        Self { rows: WindowStore::new(name, column, windows), closer: Closer::new() }
    }
}

impl<K: StateKey, A: Mergeable> PaneStore<K, Run<A>> for SessionStore<K, A> {
    fn name(&self) -> &'static str {
        self.rows.name
    }

    #[allow(private_interfaces, reason = "implemented and called within the crate only")]
    fn place(&self, time: EventTime, stream_time: EventTime) -> Option<Place> {
        self.rows.windows.place(time, stream_time)
    }

    fn fold(&mut self, step: &mut Step<'_>, pane: i64, first: i64, key: K, fold: impl FnOnce(&mut Run<A>)) {
        self.rows.fold(step, pane, first, key, fold);
    }
}

/// What closes the panes of one store.
#[derive(Clone)]
struct Closer<K, A> {
    /// `None` until it has been read from the store.
    cursor: Option<Cursor>,
    open: Option<OpenPane<K, A>>,
}

/// A pane in the middle of being closed.
#[derive(Clone)]
struct OpenPane<K, A> {
    pane: Pane,
    rows: Slices<K, Run<A>>,
}

impl<K: StateKey, A: Mergeable> Closer<K, A> {
    fn new() -> Self {
        Self { cursor: None, open: None }
    }

    /// Emits what is due at `upto` and answers the time that the output has reached.
    fn close<F>(&mut self, store: &mut Rows<K, A>, step: &mut Step<'_>, upto: EventTime, emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, K, Run<A>),
    {
        let Some(mut cursor) = self.cursor(store, step) else { return EventTime::MIN };
        let before = cursor.clone();
        let open_from = store.windows.open_from(upto);
        // What is still to come ends in a pane that is still open.
        let mut reached = EventTime(open_from);
        while step.failure.is_none() {
            if self.open.is_none() && !self.open_next(store, step, &cursor, open_from) {
                break;
            }
            let Some(open) = &mut self.open else { break };
            // What `after` says is of this pane, whichever the cursor has jumped over to get here.
            cursor.next = open.pane.start.0;
            // A run that moves on costs about as much as one that is emitted.
            while step.closings_left > 0
                && let Some((key, run)) = open.rows.next(store, step)
            {
                step.closings_left -= 1;
                if step.closings_left == 0 && !open.rows.is_done() {
                    cursor.stop_after(&key);
                }
                let mut row = (open.pane.end.0, key);
                if moves_on(store, step, &mut row, run.last()) {
                    let (pane, key) = row;
                    store.fold(step, pane, pane, key, |next| next.absorb(run));
                } else {
                    step.counts.closed += 1;
                    emit(step, row.1, run);
                }
            }
            if !open.rows.is_done() {
                step.unfinished = true;
                reached = open.pane.start.min(reached);
                break;
            }
            cursor.pass_to(open.pane.end.0);
            self.open = None;
        }
        cursor.expire(step, store, cursor.next);
        if cursor != before {
            cursor.save(step, store);
        }
        self.cursor = Some(cursor);
        reached
    }

    /// Prepares the first pane from the cursor on that holds a row, if it is closed.
    fn open_next(&mut self, store: &Rows<K, A>, step: &mut Step<'_>, cursor: &Cursor, open_from: i64) -> bool {
        // With nothing closed even for a full store, the look at the store is spared.
        if open_from <= cursor.next {
            return false;
        }
        let Some(start) = store.first_pane_from(step, cursor.next).filter(|start| *start < open_from) else {
            return false;
        };
        let after = cursor.done_of(step, store, start);
        let rows = Slices::of(step, store, start, after.as_ref());
        self.open = Some(OpenPane { pane: store.windows.pane_of(EventTime(start)), rows });
        true
    }

    /// The cursor, read from the store the first time.
    fn cursor(&mut self, store: &Rows<K, A>, step: &mut Step<'_>) -> Option<Cursor> {
        if self.cursor.is_none() {
            self.cursor = Cursor::load(step, store);
        }
        self.cursor.clone()
    }
}

/// Whether a run that ends at `last` is continued in the pane that `row` names or in one behind it. `row` is taken to
/// the first pane within reach that holds a row of the key: no other can continue it.
fn moves_on<K: StateKey, A: Mergeable>(
    store: &mut Rows<K, A>,
    step: &mut Step<'_>,
    row: &mut (i64, K),
    last: EventTime,
) -> bool {
    let reach = store.windows.reach(last);
    while row.0 <= reach.0 {
        if let Some(continues) = store.look(step, row.0, row, |behind| behind.first() <= reach) {
            return continues;
        }
        // Not by the clamped time: behind the last pane of all time there must be an end.
        row.0 = store.windows.pane_at(row.0).end.0;
    }
    false
}

/// Folds records into sessions and emits each when it is over.
#[derive(Clone)]
pub struct OnSessionClose<I: Intake, A> {
    pub(crate) intake: I,
    pub(crate) store: SessionStore<I::Key, A>,
}

impl<I, A> Pipe for OnSessionClose<I, A>
where
    I: Intake<State = Run<A>>,
    A: Mergeable,
{
    type Head = I::Head;
    type Key = I::Key;
    type Value = Closed<A>;

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
        let SessionStore { rows, closer } = &mut self.store;
        closer.close(rows, step, upto, &mut |step, key, run| {
            // The last moment that belongs to the session, as it is with other windows.
            let (window, time) = (run.window(), run.last());
            emit(step, Timed { key, value: Closed { window, value: run.into_value() }, time });
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
