//! Records that repeat an id are dropped, within a horizon of event time.
//!
//! A record passes unless one with its id has passed that is less than the horizon away from it in event time, on either
//! side. What passed is remembered in panes as wide as the horizon, so that an answer looks into three panes at most, and
//! what is too old goes by range:
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
//! horizons and of what is ahead of the slowest input.
//!
//! The ids of a pane that passed in one transaction are rows together, of up to [`run::IDS_MAX`]: an id in a row of its own
//! costs three times as many bytes, and more than all else that is done for it. Which row an id is in memory knows
//! ([`index`]), some 8 bytes an id, so that a new id asks the store for nothing; a task that comes to life reads the rows of
//! a pane once, when it first needs it. Where that would take more than the store's share of what may last in memory, ids get
//! rows of their own, and memory a filter of some 16 bits an id for each pane that had none of them when the task first needed it.
//!
//! Not here: duplicates in different partitions, which no log orders ([`crate::dsl::Stream::distinct_by`] says what to do).
//! Invariant: whether a record passes hangs on the records before it in its partition alone, and not on when rows expire or
//! on how many ids a row holds.

mod index;
mod run;

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::ops::{ControlFlow, RangeInclusive};

use rustc_hash::{FxHashMap, FxHasher};
use state::keys::ids::IdsKey;
use state::{ColumnId, StateKey};

use self::index::RowIndex;
use self::run::Run;
use crate::changelog;
use crate::error::CoreError;
use crate::key_filter::{self, KeyFilter};
use crate::process::{Head, Pipe, Timed};
use crate::record::EventTime;
use crate::step::Step;
use crate::window::{TIME_MAX, Windows, clamped};

/// Under which reason `stream_records_dropped_total` counts what repeats an id.
const REASON: &str = "duplicate";

/// Lets the first record of each id pass, and again when the horizon is over.
#[derive(Clone)]
pub struct DistinctBy<P, J, C> {
    pub(crate) up: P,
    id: C,
    memory: Memory<J>,
}

/// When a record with an id has passed, in milliseconds since the beginning of its pane: fewer bytes of a row than the time
/// itself. Two that have are a horizon apart, so a pane holds one of them at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

#[derive(Clone)]
struct Memory<J> {
    store: Store,
    windows: Windows,
    horizon: i64,
    /// By their start.
    panes: BTreeMap<i64, Pane<J>>,
    /// Panes that start earlier are gone; said once more after a restart, which changes nothing.
    expired: i64,
    /// The id that is asked for, as bytes.
    id: Vec<u8>,
}

#[derive(Clone)]
struct Pane<J> {
    /// What has passed within the open transaction, and is not in the store.
    fresh: FxHashMap<J, Passed>,
    /// Of the others, those that are in rows of many.
    many: RowIndex,
    /// Those that have rows of their own; `None` where only the store knows them.
    alone: Option<KeyFilter>,
}

/// The rows.
#[derive(Debug, Clone, Copy)]
struct Store {
    name: &'static str,
    column: ColumnId,
}

impl<P, J: StateKey, C> DistinctBy<P, J, C> {
    /// `panes` are tumbling windows as wide as the horizon.
    pub(crate) fn new(up: P, name: &'static str, column: ColumnId, panes: Windows, id: C) -> Self {
        let (horizon, store) = (panes.size().0, Store { name, column });
        let memory =
            Memory { store, windows: panes, horizon, panes: BTreeMap::new(), expired: i64::MIN, id: Vec::new() };
        Self { up, id, memory }
    }
}

impl<J: StateKey> Memory<J> {
    /// Whether the record is the first of its id; it is then remembered.
    fn admits(&mut self, step: &mut Step<'_>, id: J, time: EventTime) -> bool {
        let time = clamped(time);
        if time + self.horizon <= step.stream_time.0 {
            step.late(self.store.name);
            return false;
        }
        self.id.clear();
        id.encode(&mut self.id);
        let hash = mixed(&self.id);
        let start = self.windows.pane_of(EventTime(time)).start.0;
        for near in [start, start - self.horizon, start + self.horizon] {
            let passed = self.passed(step, near, &id, hash);
            if passed.is_some_and(|passed| passed.time(near).abs_diff(time) < self.horizon.unsigned_abs()) {
                *step.counts.dropped.entry(REASON).or_default() += 1;
                return false;
            }
        }
        step.held_bytes += size_of::<(J, Passed)>();
        self.store.open(step, &mut self.panes, start).fresh.insert(id, Passed::at(time, start));
        true
    }

    /// When the id has passed in the pane; [`Self::id`] are its bytes, and `hash` is theirs.
    fn passed(&mut self, step: &mut Step<'_>, start: i64, id: &J, hash: u64) -> Option<Passed> {
        let Self { store, panes, id: bytes, .. } = self;
        let pane = store.open(step, panes, start);
        if let Some(passed) = pane.fresh.get(id) {
            return Some(*passed);
        }
        for rows in pane.many.rows_of(hash) {
            if let Some(passed) = store.find_in_rows(step, start, rows, bytes) {
                return Some(passed);
            }
        }
        if pane.alone.as_ref().is_some_and(|alone| !alone.may_hold(hash)) {
            return None;
        }
        store.find(step, start, IdsKey::One(bytes), bytes)
    }

    /// Stages and logs what has passed.
    fn drain(&mut self, step: &mut Step<'_>) {
        let Self { store, panes, id: bytes, .. } = self;
        // What is known of an id stays until its pane goes.
        let most = step.terms.shares.lasting;
        let mut kept: usize = panes.values().map(|pane| pane.many.bytes()).sum();
        let mut run = Run::new();
        for (start, pane) in panes.iter_mut().filter(|(_, pane)| !pane.fresh.is_empty()) {
            let fresh: Vec<_> = pane.fresh.drain().collect();
            for ids in fresh.chunks(run::IDS_MAX) {
                let before = pane.many.bytes();
                let row = pane.many.begin(ids.len(), most.saturating_sub(kept - before));
                run.clear();
                for (id, passed) in ids {
                    bytes.clear();
                    id.encode(bytes);
                    run.push(bytes, passed.0);
                    let hash = mixed(bytes);
                    if let Some(row) = row {
                        pane.many.put(hash, row);
                        continue;
                    }
                    changelog::put(step, store.column, &IdsKey::One(bytes).to_bytes(*start), run.bytes());
                    run.clear();
                    pane.alone = pane.alone.take().and_then(|mut alone| alone.put(hash).then_some(alone));
                }
                if let Some(row) = row {
                    changelog::put(step, store.column, &IdsKey::Many(row).to_bytes(*start), run.bytes());
                }
                kept = kept - before + pane.many.bytes();
            }
        }
        let filters = panes.values().filter_map(|pane| pane.alone.as_ref());
        step.lasting_bytes.push(kept + filters.map(KeyFilter::bytes).sum::<usize>());
    }

    /// Drops what no record to come can repeat.
    fn expire(&mut self, step: &mut Step<'_>, reached: EventTime) {
        let needed = reached.0.saturating_sub(2 * self.horizon);
        if needed <= -TIME_MAX.0 {
            return;
        }
        let before = self.windows.pane_of(EventTime(needed)).start.0;
        if before > self.expired {
            self.expired = before;
            changelog::expire(step, self.store.column, &IdsKey::first(before));
            self.panes = self.panes.split_off(&before);
        }
    }

    /// Forgets everything in memory.
    fn abandon(&mut self) {
        self.panes.clear();
        self.expired = i64::MIN;
    }
}

impl Store {
    /// The pane that starts there. From when it is first needed, all of its ids come by here.
    fn open<'p, J>(self, step: &mut Step<'_>, panes: &'p mut BTreeMap<i64, Pane<J>>, start: i64) -> &'p mut Pane<J> {
        panes.entry(start).or_insert_with(|| {
            let alone = self.has_none_alone(step, start).then(KeyFilter::default);
            Pane { fresh: FxHashMap::default(), many: self.index(step, start), alone }
        })
    }

    /// When the id has passed by a row, if it is in it.
    fn find(self, step: &mut Step<'_>, pane: i64, row: IdsKey<'_>, id: &[u8]) -> Option<Passed> {
        let stored = step.rows.get(self.column, &row.to_bytes(pane));
        let found = find(&step.ok(stored)??, id);
        step.ok(found.ok_or_else(|| self.damaged(pane))).flatten()
    }

    /// The same, of rows of many.
    fn find_in_rows(self, step: &mut Step<'_>, pane: i64, rows: RangeInclusive<u32>, id: &[u8]) -> Option<Passed> {
        if rows.start() == rows.end() {
            return self.find(step, pane, IdsKey::Many(*rows.start()), id);
        }
        let (range, mut found) = (IdsKey::many_within(pane, rows), Some(None));
        let scanned = step.rows.scan(self.column, range.as_range(), &mut |_, value| {
            found = find(value, id);
            if found == Some(None) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        step.ok(scanned);
        step.ok(found.ok_or_else(|| self.damaged(pane))).flatten()
    }

    /// The ids of a pane that are in rows of many.
    fn index(self, step: &mut Step<'_>, pane: i64) -> RowIndex {
        let (mut index, mut is_damaged) = (RowIndex::default(), false);
        let range = IdsKey::many_of(pane);
        let scanned = step.rows.scan(self.column, range.as_range(), &mut |key, value| {
            let row = IdsKey::decode(key).ok();
            for entry in run::entries(value) {
                match (row, entry) {
                    (Some((_, IdsKey::Many(row))), Some((id, _))) => index.put(mixed(id), row),
                    _ => is_damaged = true,
                }
            }
            if is_damaged { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        step.ok(scanned);
        if is_damaged {
            step.fail(self.damaged(pane));
        }
        index
    }

    /// Whether no id of a pane has a row of its own.
    fn has_none_alone(self, step: &mut Step<'_>, pane: i64) -> bool {
        let mut any = false;
        let range = IdsKey::ones_of(pane);
        let scanned = step.rows.scan(self.column, range.as_range(), &mut |_, _| {
            any = true;
            ControlFlow::Break(())
        });
        step.ok(scanned);
        !any
    }

    fn damaged(self, pane: i64) -> CoreError {
        CoreError::store_rebuild(format!("store {}: a row of ids of pane {pane} cannot be read", self.name))
    }
}

/// When an id has passed by a row, if it is in it; `None` if the row cannot be read.
fn find(row: &[u8], id: &[u8]) -> Option<Option<Passed>> {
    for entry in run::entries(row) {
        let (found, passed) = entry?;
        if found == id {
            return Some(Some(Passed(passed)));
        }
    }
    Some(None)
}

/// A hash of an id, the same for who asks and who answers: ids are often hashes already, but may be numbers that follow each
/// other.
fn mixed(id: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(id);
    key_filter::mixed(hasher.finish())
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
