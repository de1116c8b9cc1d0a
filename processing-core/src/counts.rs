//! What a task saw and what it did not count, since the last commit.
//!
//! Not here: metrics, which are fed from these once per commit. Invariant: every record that changes
//! no result is counted here under a reason; there is no silent drop.

use std::collections::BTreeMap;

/// Plain numbers of one task; they become true with its commit and vanish with an abort.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records taken in, of every source.
    pub records: u64,
    /// Of those, the ones of inputs.
    pub events: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Records too late for all windows of a store, by store.
    pub late: BTreeMap<&'static str, u64>,
    /// Records too late for the first windows that would have held them, and in time for others.
    pub partly_late: u64,
    /// Records sent to the dead letters, by reason.
    pub dead: BTreeMap<&'static str, u64>,
    /// Events that a `filter_counted` did not keep, by its reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Internal records of another state epoch, skipped.
    pub other_epoch: u64,
    /// Results of closed windows.
    pub closed: u64,
    /// Records sent to output topics.
    pub results: u64,
}

impl Counts {
    /// Adds another task's or commit's counts.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.events += other.events;
        self.bytes += other.bytes;
        self.partly_late += other.partly_late;
        self.other_epoch += other.other_epoch;
        self.closed += other.closed;
        self.results += other.results;
        for (store, n) in &other.late {
            *self.late.entry(store).or_default() += n;
        }
        for (reason, n) in &other.dead {
            *self.dead.entry(reason).or_default() += n;
        }
        for (reason, n) in &other.dropped {
            *self.dropped.entry(reason).or_default() += n;
        }
    }

    /// All late records.
    pub fn late_total(&self) -> u64 {
        self.late.values().sum()
    }

    /// All dead letters.
    pub fn dead_total(&self) -> u64 {
        self.dead.values().sum()
    }
}
