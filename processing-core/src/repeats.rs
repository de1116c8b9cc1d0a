//! Records that repeat an id are dropped, within a horizon of event time.
//!
//! A record passes unless one with its id has passed that is less than the horizon away from it in event time, on either
//! side. What passed is remembered as one row per id, in panes as wide as the horizon, so that an answer looks into
//! three panes at most, and what is too old goes by range:
//!
//! ```text
//!        too old to matter  |  what a record may repeat                      |
//!   ──┬──────────┬──────────┼──────────┬──────────┬──────────┬──────────┬────┼─▶ event time
//!     │          │       time - 2 h    │   time - h          time          time + h
//!     │  pane    │  pane    │  pane    │  of the record, h wide
//! ```
//!
//! A record that comes when its partition's time has reached its own time + horizon is late: what it may repeat may be
//! forgotten. It is set aside as late records of windows are, and never passes a second time. So rows are needed for two
//! horizons behind the slowest input, and up to one more until their pane goes: the store holds the ids of three
//! horizons and of what is ahead of the slowest input; memory holds the hot ones within the cache's bound.
//!
//! Not here: duplicates in different partitions, which no log orders ([`crate::dsl::Stream::distinct_by`] says what to do).
//! Invariant: whether a record passes hangs on the records before it in its partition alone, and not on when rows expire.

use serde::{Deserialize, Serialize};
use state::{ColumnId, StateKey};

use crate::aggregate::{Exactness, Mergeable};
use crate::process::{Head, Pipe, Timed};
use crate::record::EventTime;
use crate::step::Step;
use crate::window::{TIME_MAX, Windows, clamped};
use crate::window_store::WindowStore;

/// Under which reason `stream_records_dropped_total` counts what repeats an id.
const REASON: &str = "duplicate";

/// Lets the first record of each id pass, and again when the horizon is over.
#[derive(Clone)]
pub struct DistinctBy<P, J, C> {
    pub(crate) up: P,
    id: C,
    memory: Memory<J>,
}

/// When a record with an id has passed. Two that have are a horizon apart, so a pane holds one of them at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Passed(i64);

impl Default for Passed {
    fn default() -> Self {
        Self(i64::MAX)
    }
}

impl Mergeable for Passed {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.0 = self.0.min(other.0);
    }
}

#[derive(Clone)]
struct Memory<J> {
    passed: WindowStore<J, Passed>,
    horizon: i64,
    /// Panes that start earlier are gone; said once more after a restart, which changes nothing.
    expired: i64,
}

impl<P, J: StateKey, C> DistinctBy<P, J, C> {
    /// `panes` are tumbling windows as wide as the horizon.
    pub(crate) fn new(up: P, name: &'static str, column: ColumnId, panes: Windows, id: C) -> Self {
        let horizon = panes.size().0;
        Self { up, id, memory: Memory { passed: WindowStore::new(name, column, panes), horizon, expired: i64::MIN } }
    }
}

impl<J: StateKey> Memory<J> {
    /// Whether the record is the first of its id; it is then remembered.
    fn admits(&mut self, step: &mut Step<'_>, id: J, time: EventTime) -> bool {
        let time = clamped(time);
        if time + self.horizon <= step.stream_time.0 {
            step.late(self.passed.name);
            return false;
        }
        let pane = self.passed.windows.pane_of(EventTime(time)).start.0;
        let mut row = (pane, id);
        for near in [pane, pane - self.horizon, pane + self.horizon] {
            row.0 = near;
            let passed = self.passed.peek(step, near, &row);
            if passed.is_some_and(|passed| passed.0.abs_diff(time) < self.horizon.unsigned_abs()) {
                *step.counts.dropped.entry(REASON).or_default() += 1;
                return false;
            }
        }
        self.passed.fold(step, pane, pane, row.1, |passed| *passed = Passed(time));
        true
    }

    /// Drops what no record to come can repeat.
    fn expire(&mut self, step: &mut Step<'_>, reached: EventTime) {
        let needed = reached.0.saturating_sub(2 * self.horizon);
        if needed <= -TIME_MAX.0 {
            return;
        }
        let before = self.passed.windows.pane_of(EventTime(needed)).start.0;
        self.passed.expire(step, &mut self.expired, before);
    }
}

impl<P, J, C> Pipe for DistinctBy<P, J, C>
where
    P: Pipe,
    J: StateKey,
    C: Fn(&P::Value) -> J + Clone + Send + 'static,
{
    type Head = P::Head;
    type Key = P::Key;
    type Value = P::Value;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: <Self::Head as Head>::In<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, P::Value>),
    {
        let Self { up, id, memory } = self;
        up.feed(step, input, &mut |step, record| {
            if memory.admits(step, id(&record.value), record.time) {
                emit(step, record);
            }
        });
    }

    fn advance<F>(&mut self, step: &mut Step<'_>, time: <Self::Head as Head>::Time<'_>, emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, P::Value>),
    {
        let Self { up, id, memory } = self;
        // What a chain makes of time (closed windows before this) was judged already.
        step.stream_time = EventTime::MIN;
        let reached = up.advance(step, time, &mut |step, record| {
            if memory.admits(step, id(&record.value), record.time) {
                emit(step, record);
            }
        });
        memory.expire(step, reached);
        reached
    }

    fn drain<F>(&mut self, step: &mut Step<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, P::Value>),
    {
        let Self { up, id, memory } = self;
        up.drain(step, &mut |step, record| {
            if memory.admits(step, id(&record.value), record.time) {
                emit(step, record);
            }
        });
        memory.passed.drain(step);
    }

    fn abandon(&mut self) {
        self.up.abandon();
        self.memory.passed.abandon();
        self.memory.expired = i64::MIN;
    }
}
