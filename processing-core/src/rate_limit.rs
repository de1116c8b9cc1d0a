//! Updates at a limited rate: of each key at most one in an interval of the wall clock, and the last one always.
//!
//! Not here: the updates of windows, which have their interval at the window ([`crate::updates`], [`crate::latest`]).
//! Invariant: between two updates of a key that go on lies at least the interval, across crashes and moves too, and the
//! last one goes on though nothing more comes. Times are those at which commits are made: one that has to be tried again
//! is written later, and what comes next lies so much closer to it in the log.
//!
//! A key that has been told has a row until its interval is over; an update that comes meanwhile waits in it, in the place
//! of the one before. A queue says in which order the rows come to their turn. Both are stores with changelogs, so what
//! waits takes no memory and is lost with nobody; which of the values between are seen hangs on the clock.
//!
//! Clocks of different hosts may differ by an interval; a word waits so much longer then. Where an entry lies further ahead,
//! a clock was set back, and would hold words back for as long: all entries are taken for due.

use serde::{Deserialize, Serialize};
use state::{ColumnId, StateKey};

use crate::process::{Head, Pipe, Timed};
use crate::record::{DurationMs, EventTime};
use crate::step::Step;
use crate::table::{Kept, TableRows};
use crate::waiting::{Waiter, Waiting};

/// A key that was told less than an interval ago.
#[derive(Serialize, Deserialize)]
struct Turn<V> {
    /// When its interval is over, by the wall clock. The entry of the queue at this time counts, no other one.
    due: i64,
    /// What has come meanwhile, and its time.
    held: Option<(EventTime, V)>,
}

/// What the rate is kept by, in one task.
struct Turns<K, V> {
    interval: i64,
    rows: TableRows<K, Turn<V>>,
    queue: Waiting<K, (), ()>,
    /// What the clock said last; `None` after opening.
    seen: Option<i64>,
    /// The clock was set back: all turns have come.
    all_due: bool,
    /// Until then something may wait.
    waits_until: i64,
}

/// Lets the updates of `P` pass at a limited rate.
pub struct RateLimit<P: Pipe> {
    up: P,
    turns: Turns<P::Key, P::Value>,
}

/// By hand: a clone has seen nothing, and values need not be `Clone`.
impl<P: Pipe> Clone for RateLimit<P> {
    fn clone(&self) -> Self {
        let Turns { interval, rows, queue, .. } = &self.turns;
        Self { up: self.up.clone(), turns: Turns::new(*interval, rows.clone(), queue.clone()) }
    }
}

impl<P: Pipe> RateLimit<P> {
    /// `store` and `queue`: where rows are and where turns wait.
    pub(crate) fn new(
        up: P,
        interval: DurationMs,
        (store, column): (&'static str, ColumnId),
        (queue, queue_column): (&'static str, ColumnId),
    ) -> Self {
        let (rows, queue) = (TableRows::new(store, column), Waiting::new(queue, queue_column));
        Self { up, turns: Turns::new(interval.0, rows, queue) }
    }
}

impl<K, V> Turns<K, V> {
    fn new(interval: i64, rows: TableRows<K, Turn<V>>, queue: Waiting<K, (), ()>) -> Self {
        Self { interval, rows, queue, seen: None, all_due: false, waits_until: i64::MIN }
    }
}

impl<K: StateKey, V: Kept> Turns<K, V> {
    /// When the interval is over that begins with this step, and the latest end of one that some clock has begun.
    fn ends(&self, step: &Step<'_>) -> (i64, i64) {
        let next = step.now.0.saturating_add(self.interval);
        (next, next.saturating_add(self.interval))
    }

    /// To be called before anything is taken or released: at opening, and when the clock was set back, looks at what the
    /// store holds.
    fn look(&mut self, step: &mut Step<'_>) {
        let (now, (_, latest)) = (step.now.0, self.ends(step));
        if self.seen.is_none_or(|seen| now < seen) {
            self.all_due |= self.queue.holds_later_than(step, latest);
            // Whether some of them have something to say is in their rows.
            self.waits_until = if self.queue.holds_later_than(step, i64::MIN) { latest } else { i64::MIN };
        }
        self.seen = Some(now);
    }

    /// Hands an update on, or lets it wait for its key's turn.
    fn take<F>(&mut self, step: &mut Step<'_>, update: Timed<K, V>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<K, V>),
    {
        self.look(step);
        let Timed { key, value, time } = update;
        let (now, (next, latest)) = (step.now.0, self.ends(step));
        let (mut told, mut waits_until) = (None, i64::MIN);
        self.rows.change(step, &key, |row| match row {
            Some(turn) if now < turn.due && turn.due <= latest => {
                turn.held = Some((time, value));
                waits_until = turn.due;
            }
            _ => {
                *row = Some(Turn { due: next, held: None });
                told = Some(value);
            }
        });
        self.waits_until = self.waits_until.max(waits_until);
        if let Some(value) = told {
            self.set(step, next, key.clone());
            emit(step, Timed { key, value, time });
        }
    }

    fn set(&mut self, step: &mut Step<'_>, due: i64, key: K) {
        self.queue.push(step, due, 0, Waiter::Record { key, value: (), headers: Vec::new() }, 0);
    }

    /// Hands on what has waited long enough, and forgets the keys of which nothing has come.
    fn release<F>(&mut self, step: &mut Step<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<K, V>),
    {
        self.look(step);
        let (now, (next, _)) = (step.now.0, self.ends(step));
        let through = if self.all_due { i64::MAX } else { now };
        let Self { rows, queue, .. } = self;
        let mut again = Vec::new();
        let left = queue.release(step, through, |step, due, waiter| {
            let Waiter::Record { key, .. } = waiter else { return };
            if rows.get(step, &key).is_none_or(|turn| turn.due != due) {
                return;
            }
            let mut held = None;
            rows.change(step, &key, |row| {
                held = row.take().and_then(|turn| turn.held);
                *row = held.is_some().then_some(Turn { due: next, held: None });
            });
            if let Some((time, value)) = held {
                again.push(key.clone());
                emit(step, Timed { key, value, time });
            }
        });
        self.all_due &= left.is_some();
        for key in again {
            self.set(step, next, key);
        }
        step.waiting |= now < self.waits_until;
    }
}

impl<P> Pipe for RateLimit<P>
where
    P: Pipe<Key: StateKey, Value: Kept>,
{
    type Head = P::Head;
    type Key = P::Key;
    type Value = P::Value;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: <P::Head as Head>::In<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, P::Value>),
    {
        let Self { up, turns } = self;
        up.feed(step, input, &mut |step, update| turns.take(step, update, emit));
    }

    fn advance<F>(&mut self, step: &mut Step<'_>, time: <P::Head as Head>::Time<'_>, emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, P::Value>),
    {
        let Self { up, turns } = self;
        up.advance(step, time, &mut |step, update| turns.take(step, update, emit))
    }

    fn drain<F>(&mut self, step: &mut Step<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, P::Value>),
    {
        let Self { up, turns } = self;
        up.drain(step, &mut |step, update| turns.take(step, update, emit));
        turns.release(step, emit);
        turns.rows.drain(step);
        turns.queue.drain(step);
    }

    fn abandon(&mut self) {
        let Self { up, turns } = self;
        up.abandon();
        turns.rows.abandon();
        turns.queue.abandon();
        (turns.seen, turns.all_due, turns.waits_until) = (None, false, i64::MIN);
    }
}

#[cfg(test)]
mod tests;
