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
//! horizons and of what is ahead of the slowest input. Memory holds those of the open transaction, and a filter of some
//! 16 bits an id for each pane that began while the task ran, so that the store is asked only for what it likely holds.
//!
//! Not here: duplicates in different partitions, which no log orders ([`crate::dsl::Stream::distinct_by`] says what to do).
//! Invariant: whether a record passes hangs on the records before it in its partition alone, and not on when rows expire.

mod filter;

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use state::{ColumnId, StateKey};

use self::filter::IdFilter;
use crate::aggregate::{Exactness, Mergeable};
use crate::process::{Head, Pipe, Timed};
use crate::record::EventTime;
use crate::step::Step;
use crate::window::{TIME_MAX, Windows, clamped};
use crate::window_store::{self, Staging};

/// Under which reason `stream_records_dropped_total` counts what repeats an id.
const REASON: &str = "duplicate";

/// Lets the first record of each id pass, and again when the horizon is over.
#[derive(Clone)]
pub struct DistinctBy<P, J, C> {
    pub(crate) up: P,
    id: C,
    memory: Memory<J>,
}

/// When a record with an id has passed, in milliseconds since the beginning of its pane: four bytes of a row less than the
/// time itself. Two that have are a horizon apart, so a pane holds one of them at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Passed(u64);

impl Passed {
    /// At `time` in the pane that begins at `start`.
    fn at(time: i64, start: i64) -> Self {
        Self(time.abs_diff(start))
    }

    /// When that was, if the pane begins at `start`.
    fn time(self, start: i64) -> i64 {
        start.saturating_add_unsigned(self.0)
    }
}

impl Default for Passed {
    fn default() -> Self {
        Self(u64::MAX)
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
    name: &'static str,
    column: ColumnId,
    windows: Windows,
    horizon: i64,
    /// By their start.
    panes: BTreeMap<i64, Pane<J>>,
    /// Panes that start earlier are gone; said once more after a restart, which changes nothing.
    expired: i64,
}

#[derive(Clone)]
struct Pane<J> {
    /// What has passed within the open transaction, and is not in the store.
    fresh: FxHashMap<J, Passed>,
    /// Of the others; `None` where only the store knows them.
    stored: Option<IdFilter>,
}

impl<P, J: StateKey, C> DistinctBy<P, J, C> {
    /// `panes` are tumbling windows as wide as the horizon.
    pub(crate) fn new(up: P, name: &'static str, column: ColumnId, panes: Windows, id: C) -> Self {
        let horizon = panes.size().0;
        let memory = Memory { name, column, windows: panes, horizon, panes: BTreeMap::new(), expired: i64::MIN };
        Self { up, id, memory }
    }
}

impl<J: StateKey> Memory<J> {
    /// Whether the record is the first of its id; it is then remembered.
    fn admits(&mut self, step: &mut Step<'_>, id: J, time: EventTime) -> bool {
        let time = clamped(time);
        if time + self.horizon <= step.stream_time.0 {
            step.late(self.name);
            return false;
        }
        let start = self.windows.pane_of(EventTime(time)).start.0;
        for near in [start, start - self.horizon, start + self.horizon] {
            let passed = self.passed(step, near, &id);
            if passed.is_some_and(|passed| passed.time(near).abs_diff(time) < self.horizon.unsigned_abs()) {
                *step.counts.dropped.entry(REASON).or_default() += 1;
                return false;
            }
        }
        step.held_bytes += size_of::<(J, Passed)>();
        self.pane(step, start).fresh.insert(id, Passed::at(time, start));
        true
    }

    /// When the id has passed in the pane.
    fn passed(&mut self, step: &mut Step<'_>, start: i64, id: &J) -> Option<Passed> {
        let column = self.column;
        let pane = self.pane(step, start);
        if let Some(passed) = pane.fresh.get(id) {
            return Some(*passed);
        }
        if pane.stored.as_ref().is_some_and(|stored| !stored.may_hold(id)) {
            return None;
        }
        window_store::load(step, column, start, start, id)
    }

    /// The pane that starts there. While the store holds nothing of it, all of its ids come by here.
    fn pane(&mut self, step: &mut Step<'_>, start: i64) -> &mut Pane<J> {
        let column = self.column;
        self.panes.entry(start).or_insert_with(|| {
            let is_empty = window_store::is_empty(step, column, start);
            Pane { fresh: FxHashMap::default(), stored: is_empty.then(IdFilter::default) }
        })
    }

    /// Stages and logs what has passed, in the order of its keys.
    fn drain(&mut self, step: &mut Step<'_>) {
        let mut staging = Staging::new(self.name, self.column);
        for (start, pane) in self.panes.iter_mut().filter(|(_, pane)| !pane.fresh.is_empty()) {
            let mut fresh: Vec<_> = pane.fresh.drain().collect();
            fresh.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            for (id, passed) in fresh {
                staging.put(step, *start, *start, &id, &passed);
                pane.stored = pane.stored.take().and_then(|mut stored| stored.put(&id).then_some(stored));
            }
        }
        let filters = self.panes.values().filter_map(|pane| pane.stored.as_ref());
        step.kept_bytes.push(filters.map(IdFilter::bytes).sum());
    }

    /// Drops what no record to come can repeat.
    fn expire(&mut self, step: &mut Step<'_>, reached: EventTime) {
        let needed = reached.0.saturating_sub(2 * self.horizon);
        if needed <= -TIME_MAX.0 {
            return;
        }
        let before = self.windows.pane_of(EventTime(needed)).start.0;
        if window_store::expire(step, self.column, &mut self.expired, before) {
            self.panes = self.panes.split_off(&before);
        }
    }

    /// Forgets everything in memory.
    fn abandon(&mut self) {
        self.panes.clear();
        self.expired = i64::MIN;
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
        memory.drain(step);
    }

    fn abandon(&mut self) {
        self.up.abandon();
        self.memory.abandon();
    }
}
