//! The simulator's log: Kafka's semantics in plain memory, honest or at its worst.
//!
//! Not here: anything durable, any thread, any clock. Time is virtual and moves by
//! [`MemoryLog::advance`] alone; chance is one seeded generator.
//! Invariant: with [`FaultPlan::NONE`] every answer is true at once and complete; with faults every
//! answer is one that a Kafka broker and its client may give, and none that they may not.
//!
//! ```text
//!   source   producer   reader   admin          the four sides, each a thin client
//!      └────────┴─────┬────┴───────┘
//!                  broker ── group, coordinator, partition      faults decide, trace remembers
//! ```

mod admin;
mod broker;
mod coordinator;
mod faults;
mod group;
mod partition;
mod producer;
mod reader;
mod source;
mod trace;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use faults::FaultPlan;
pub use trace::Trace;

use self::broker::Broker;
use crate::batch::{RecordBatch, RecordRef};
use crate::log::{Admin, FreeReader, GroupSource, Log, LogError, Membership, Transaction, TransactionalId};
use crate::record::{LogTime, Offset, TopicName, TopicPartition};

/// How a [`MemoryLog`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemoryOptions {
    /// Decides everything that chance decides.
    pub seed: u64,
    /// What goes wrong, and how often.
    pub faults: FaultPlan,
    /// The virtual clock's beginning.
    pub start: LogTime,
    /// `transaction.timeout.ms`: an open transaction is aborted after this, and its producer fenced.
    pub transaction_timeout_ms: u64,
    /// `session.timeout.ms`: a member that has not polled for this long is dead.
    pub session_timeout_ms: u64,
    /// How long a member may take to release what was revoked, before it is declared dead.
    pub rebalance_timeout_ms: u64,
    /// `delete.retention.ms`: compaction removes tombstones and markers of this age.
    pub delete_retention_ms: u64,
    /// The most records of one poll or read; 1 or more.
    pub max_batch: usize,
    /// Whether a publish is checked against the group's generation. Without it, members that were replaced
    /// commit as if nothing had happened; no broker is so, but a transaction without offsets is not checked.
    pub checks_generation: bool,
    /// How many lines of the trace to keep; its hash covers all steps in any case.
    pub trace_lines: usize,
}

impl Default for MemoryOptions {
    /// An honest log with Kafka's timeouts, that begins on 2026-01-01.
    fn default() -> Self {
        Self {
            seed: 0,
            faults: FaultPlan::NONE,
            start: LogTime(1_767_225_600_000),
            transaction_timeout_ms: 60_000,
            session_timeout_ms: 45_000,
            rebalance_timeout_ms: 60_000,
            delete_retention_ms: 86_400_000,
            max_batch: 500,
            checks_generation: true,
            trace_lines: 0,
        }
    }
}

/// A record with bytes of its own, for checkers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Its place in its partition.
    pub offset: Offset,
    /// The log's timestamp.
    pub timestamp: LogTime,
    /// The key; `None` is null.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers, encoded as [`crate::batch::Headers`] describes.
    pub headers: Vec<u8>,
}

impl From<RecordRef<'_>> for OwnedRecord {
    fn from(record: RecordRef<'_>) -> Self {
        Self {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.0.to_vec(),
        }
    }
}

/// The one broker behind all clients. The mutex is there because [`Log`] is shared; nothing contends.
#[derive(Clone)]
struct Shared(Arc<Mutex<Broker>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Broker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A log in memory: a [`Log`] for workers, and the hand of fate for their simulator.
pub struct MemoryLog {
    shared: Shared,
}

impl MemoryLog {
    /// An empty log.
    pub fn new(options: MemoryOptions) -> Arc<Self> {
        Arc::new(Self { shared: Shared(Arc::new(Mutex::new(Broker::new(options)))) })
    }

    /// From now on this goes wrong, and nothing else; what is already under way stays so.
    pub fn set_faults(&self, faults: FaultPlan) {
        self.shared.lock().faults = faults;
    }

    /// The virtual clock.
    pub fn now(&self) -> LogTime {
        self.shared.lock().log_time()
    }

    /// Moves the clock on, and does what becomes due meanwhile: markers, late requests, and the
    /// timeouts of transactions, sessions and rebalances.
    pub fn advance(&self, ms: u64) {
        self.shared.lock().advance(ms);
    }

    /// Lets all that is under way arrive and all open transactions time out, and leaves the clock.
    pub fn settle(&self) {
        self.shared.lock().settle();
    }

    /// Appends records outside any transaction, and returns one past the last.
    ///
    /// # Errors
    /// [`LogError::Unknown`] where there is no such partition.
    pub fn append(&self, to: &TopicPartition, records: &RecordBatch) -> Result<Offset, LogError> {
        self.shared.lock().append(to, records, None)
    }

    /// The process that spoke for this instance is gone: its source answers `Fenced` from now on, its
    /// partitions wait for it until the session times out, and its producer's open transaction stays
    /// open until it is fenced or times out. Answers whether there was one.
    pub fn crash_member(&self, instance: &str) -> bool {
        self.shared.lock().crash(instance)
    }

    /// Declares the member dead at once: its partitions go to others, and it learns that they are lost.
    /// Answers whether there was one.
    pub fn expire_session(&self, instance: &str) -> bool {
        self.shared.lock().expire(instance)
    }

    /// Moves a random partition of each group to a random other member, or, where there is but one,
    /// away from it and back.
    pub fn force_rebalance(&self) {
        self.shared.lock().force_rebalance();
    }

    /// Deletes what the topics' retention no longer keeps.
    pub fn run_retention(&self) {
        self.shared.lock().run_retention();
    }

    /// Compacts the compacted topics: each partition up to a random point under a plan with
    /// [`FaultPlan::short_batch`], otherwise wholly.
    pub fn run_compaction(&self) {
        self.shared.lock().run_compaction();
    }

    /// Sets a group's committed position by hand, or with `None` lets it expire.
    pub fn set_group_offset(&self, group: &str, at: &TopicPartition, offset: Option<Offset>) {
        self.shared.lock().groups.entry(group.to_owned()).or_default().set_offset(at, offset);
    }

    /// A group's committed positions, by topic and partition; undecided ones are not among them.
    pub fn group_offsets(&self, group: &str) -> Vec<(TopicPartition, Offset)> {
        self.shared.lock().groups.get(group).map(group::Group::offsets).unwrap_or_default()
    }

    /// What a read-committed reader finds in each partition; empty if there is no such topic.
    pub fn committed_records(&self, topic: &TopicName) -> Vec<Vec<OwnedRecord>> {
        self.shared.lock().committed_records(topic)
    }

    /// The shortest time between two committed records of one key in a partition of a topic, in milliseconds, by when they
    /// were written; `None` where no key has two.
    pub fn shortest_gap(&self, topic: &TopicName) -> Option<i64> {
        let mut shortest = None;
        for partition in self.shared.lock().written(topic) {
            let mut last = std::collections::BTreeMap::new();
            for (key, LogTime(at)) in partition {
                let gap = last.insert(key, at).map(|before| at - before);
                shortest = shortest.into_iter().chain(gap).min();
            }
        }
        shortest
    }

    /// The steps so far.
    pub fn trace(&self) -> Trace {
        self.shared.lock().recorder.trace()
    }
}

impl Log for MemoryLog {
    fn group_source(&self, membership: Membership) -> Result<Box<dyn GroupSource>, LogError> {
        Ok(Box::new(source::MemorySource::join(self.shared.clone(), membership)?))
    }

    fn transaction(&self, id: &TransactionalId) -> Result<Box<dyn Transaction>, LogError> {
        Ok(Box::new(producer::MemoryTransaction::open(self.shared.clone(), id)?))
    }

    fn reader(&self) -> Result<Box<dyn FreeReader>, LogError> {
        Ok(Box::new(reader::MemoryReader::open(self.shared.clone())?))
    }

    fn admin(&self) -> Result<Box<dyn Admin>, LogError> {
        Ok(Box::new(admin::MemoryAdmin::open(self.shared.clone())?))
    }
}
