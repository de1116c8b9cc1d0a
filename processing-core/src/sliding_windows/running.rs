//! What the window of each key folds to while it slides from one of its ends to the next.
//!
//! A key has a value here as long as a row of it is in its window. If the aggregate can take values out again, that is
//! one running total, and a row that goes is taken out of it. Otherwise the rows' values stand in two stacks
//! ([`Sliding`]), each of which is merged at most twice in its life. Where these have no room (the bound is of one store
//! and task), a key has the times of its rows alone, eight bytes each, and its rows are looked up one by one when a window
//! of it comes out: that costs what Kafka Streams pays for each record, and no memory.
//!
//! Not here: which rows come and go when ([`super::closing`]). All of this is derived from rows and never stored.
//! Invariant: a key's value is the merge of exactly those rows that came and have not gone.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use state::StateKey;

use crate::aggregate::Mergeable;
use crate::record::EventTime;
use crate::sliding::{OutOfOrder, Sliding};

/// See the head of this file.
#[derive(Clone)]
pub(super) struct Running<K, A> {
    by_key: FxHashMap<K, Within<A>>,
    /// About what the rows' values take, of all keys.
    bytes: usize,
}

/// What is in a key's window.
#[derive(Clone)]
enum Within<A> {
    /// What the rows fold to, and how many they are.
    Total { total: A, rows: usize, remove: fn(&mut A, &A) },
    /// The rows' values.
    Values(Weighed<A>),
    /// The rows' times, ascending.
    Times(VecDeque<i64>),
}

/// Values, and about what they took when they were last weighed.
#[derive(Clone)]
struct Weighed<A> {
    values: Sliding<A>,
    rows: usize,
    bytes: usize,
    /// How many rows have come and gone since.
    changes: usize,
}

impl<A: Mergeable> Weighed<A> {
    /// Weighs anew when half of the rows are others, since it takes as long as there are rows. Answers what it was
    /// before and is now.
    fn weigh(&mut self) -> (usize, usize) {
        let before = self.bytes;
        self.changes += 1;
        if 2 * self.changes > self.rows {
            (self.bytes, self.changes) = (self.values.bytes(), 0);
        }
        (before, self.bytes)
    }
}

impl<A: Mergeable> Within<A> {
    fn new(has_room: bool) -> Self {
        match A::REMOVE {
            Some(remove) => Self::Total { total: A::default(), rows: 0, remove },
            None if has_room => Self::Values(Weighed { values: Sliding::new(), rows: 0, bytes: 0, changes: 0 }),
            None => Self::Times(VecDeque::new()),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Total { rows, .. } | Self::Values(Weighed { rows, .. }) => *rows == 0,
            Self::Times(times) => times.is_empty(),
        }
    }
}

impl<K: StateKey, A: Mergeable> Running<K, A> {
    /// No key has a row in its window.
    pub(super) fn new() -> Self {
        Self { by_key: FxHashMap::default(), bytes: 0 }
    }

    /// A row comes into the window of its key, whose rows come in the order of time; all values may take about
    /// `bytes_max`.
    pub(super) fn enter(&mut self, key: &K, time: i64, value: &A, bytes_max: usize) -> Result<(), OutOfOrder> {
        let has_room = self.bytes < bytes_max;
        if !self.by_key.contains_key(key) {
            self.by_key.insert(key.clone(), Within::new(has_room));
        }
        let Some(within) = self.by_key.get_mut(key) else { return Ok(()) };
        if let Within::Values(Weighed { values, bytes, .. }) = within
            && !has_room
        {
            self.bytes -= *bytes;
            *within = Within::Times(values.panes().map(|pane| pane.0).collect());
        }
        match within {
            Within::Total { total, rows, .. } => {
                total.merge(value);
                *rows += 1;
            }
            Within::Values(weighed) => {
                weighed.values.push(EventTime(time), value)?;
                weighed.rows += 1;
                let (before, now) = weighed.weigh();
                self.bytes = self.bytes - before + now;
            }
            Within::Times(times) => times.push_back(time),
        }
        Ok(())
    }

    /// The row that came first goes out of the window of its key.
    pub(super) fn leave(&mut self, key: &K, time: i64, value: &A) {
        let Some(within) = self.by_key.get_mut(key) else { return };
        match within {
            Within::Total { total, rows, remove } => {
                remove(total, value);
                *rows = rows.saturating_sub(1);
            }
            Within::Values(weighed) => {
                weighed.values.evict(EventTime(time + 1));
                weighed.rows = weighed.rows.saturating_sub(1);
                let (before, now) = weighed.weigh();
                self.bytes = self.bytes - before + now;
            }
            Within::Times(times) => {
                times.pop_front();
            }
        }
        if within.is_empty()
            && let Some(Within::Values(Weighed { bytes, .. })) = self.by_key.remove(key)
        {
            self.bytes -= bytes;
        }
    }

    /// What the window of a key folds to; `None` if nothing is in it. `look_up` answers the row of a time, where it is
    /// not here.
    pub(super) fn value(&self, key: &K, mut look_up: impl FnMut(i64) -> Option<A>) -> Option<A> {
        match self.by_key.get(key)? {
            Within::Total { total, .. } => Some(total.clone()),
            Within::Values(Weighed { values, .. }) => values.value(),
            Within::Times(times) => {
                let mut merged = A::default();
                times.iter().filter_map(|time| look_up(*time)).for_each(|value| merged.absorb(value));
                Some(merged)
            }
        }
    }
}
