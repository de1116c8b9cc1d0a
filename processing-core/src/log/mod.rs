//! The log, seen from the core: four narrow sides and the values that pass between.
//!
//! Not here: any log's inside. `embedded` is the durable log of one machine, `memory` the
//! simulator's log that plays Kafka at its worst.
//! Invariant: only a log's successful publish makes a [`Published`], and nothing else opens a store.
//!
//! ```text
//!   GroupSource  ── records, rebalances ──▶  worker  ── records, offsets ──▶  Transaction
//!   FreeReader   ── restore, time log, `read` ──▶          Admin: topics, settings, purge
//! ```

#[cfg(any(test, feature = "testing"))]
#[allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each case is a test, and its name says what it holds"
)]
pub mod contract;
pub mod embedded;
pub mod kafka;
#[cfg(any(test, feature = "testing"))]
pub mod memory;

use std::collections::BTreeMap;

use thiserror::Error;

use crate::batch::RecordBatch;
use crate::record::{LogTime, Offset, Partition, TopicId, TopicName, TopicPartition};

/// A log that a fleet can stand on. Shared between threads; every side is opened from it.
pub trait Log: Send + Sync {
    /// Joins a consumer group.
    fn group_source(&self, membership: Membership) -> Result<Box<dyn GroupSource>, LogError>;
    /// A transactional producer; opening it fences the earlier holder of the same id and ends its
    /// open transaction.
    fn transaction(&self, id: &TransactionalId) -> Result<Box<dyn Transaction>, LogError>;
    /// A reader outside every group.
    fn reader(&self) -> Result<Box<dyn FreeReader>, LogError>;
    /// Topics and their settings.
    fn admin(&self) -> Result<Box<dyn Admin>, LogError>;
}

/// The identity of a transactional producer: stable over restarts, made of pod and thread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionalId(pub String);

/// How one thread takes part in a group.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The group, which is the application's id.
    pub group: String,
    /// `group.instance.id`: static membership, stable over restarts.
    pub instance: String,
    /// The topics whose partitions the group deals out; one for each sub-topology. The partitions
    /// with the same number of a sub-topology's other topics go where the anchor's goes.
    pub anchors: Vec<TopicName>,
}

/// The group's word on who is a member now; fetched afresh for every transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadata {
    /// The group.
    pub group: String,
    /// Rises with every rebalance; an older one is fenced.
    pub generation: u64,
    /// The member's name in this generation.
    pub member: String,
    /// The static instance.
    pub instance: String,
}

impl GroupMetadata {
    /// Nobody's: for a transaction that reads nothing, which is checked against no group.
    pub const fn nobody() -> Self {
        Self { group: String::new(), generation: 0, member: String::new(), instance: String::new() }
    }
}

/// What a poll of the group found. Every variant but `Records` leaves the batch empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// Nothing at present.
    Nothing,
    /// Records of one partition, read-committed, in offset order, all of one epoch of its assignment.
    Records {
        /// Where they come from.
        partition: TopicPartition,
        /// The offset at which reading goes on: at least the last record's next one, and more where
        /// markers or aborted records were passed.
        next: Offset,
        /// The epoch given to [`GroupSource::fetch`]; a batch of an older one must be dropped.
        epoch: FetchEpoch,
    },
    /// Anchor partitions that are now this member's. Nothing is read from them until `fetch`.
    Assigned(Vec<TopicPartition>),
    /// Anchor partitions that are being taken back in good order: the worker commits what it holds of
    /// them and calls [`GroupSource::release`]; until then no other member gets them.
    Revoked(Vec<TopicPartition>),
    /// Anchor partitions that are already somebody else's: the open transaction must be aborted.
    Lost(Vec<TopicPartition>),
}

/// Tells apart the records fetched before and after a revoke, a seek or an abort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FetchEpoch(pub u64);

/// The ends of a partition, taken in one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset that is still there.
    pub start: Offset,
    /// Everything below is decided: committed or aborted.
    pub last_stable: Offset,
    /// One past the last record, open transactions included.
    pub high: Offset,
}

/// One member of a group: rebalances and records.
pub trait GroupSource: Send {
    /// What has happened next. `batch` is cleared first. Never waits longer than the log's own poll
    /// time (an embedded or simulated log does not wait at all).
    fn poll(&mut self, batch: &mut RecordBatch) -> Result<Polled, LogError>;
    /// Starts or restarts reading `partition` (an anchor's or a co-partitioned one) at `from`; a pause is over.
    fn fetch(&mut self, partition: &TopicPartition, from: Offset, epoch: FetchEpoch) -> Result<(), LogError>;
    /// Hands out no records of `partition` until `resume`.
    fn pause(&mut self, partition: &TopicPartition) -> Result<(), LogError>;
    /// Goes on where `pause` stopped.
    fn resume(&mut self, partition: &TopicPartition) -> Result<(), LogError>;
    /// Stops reading `partition`: for an anchor's, it says that a revoke has been served.
    fn release(&mut self, partition: &TopicPartition) -> Result<(), LogError>;
    /// The group's committed position, stable: it waits out (as `LogError::Retry`) a transaction that
    /// is still deciding over it. `None` if the group never committed it.
    fn committed(&mut self, partition: &TopicPartition) -> Result<Option<Offset>, LogError>;
    /// The ends of a partition that is fetched here.
    fn watermarks(&mut self, partition: &TopicPartition) -> Result<Watermarks, LogError>;
    /// The member's present standing, for the next transaction.
    fn group_metadata(&self) -> GroupMetadata;
    /// Leaves without telling the group, as static members do: its partitions wait for it until the
    /// session times out.
    fn close(&mut self);
}

/// Where a record goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outgoing {
    /// The topic-partition; partitions are chosen by the core.
    pub partition: TopicPartition,
}

/// A transactional producer. A transaction begins with the first `send` after the last one ended.
pub trait Transaction: Send {
    /// Appends records to the open transaction, in order. The batch's offsets are ignored.
    fn send(&mut self, to: &TopicPartition, records: &RecordBatch) -> Result<(), LogError>;
    /// Makes all records sent and all these group positions true at once, or none.
    fn publish(&mut self, positions: &[(TopicPartition, Offset)], group: &GroupMetadata) -> Publish;
    /// Ends the open transaction without a trace for read-committed readers.
    fn abort(&mut self) -> Result<(), LogError>;
}

/// The log's answer to a publish.
#[derive(Debug)]
pub enum Publish {
    /// It is true for every reader.
    Published(Published),
    /// It is undone for every reader; the producer can go on.
    Aborted(String),
    /// It is undone for every reader, and the same again would be undone again: a right is missing, a record is larger
    /// than the log takes.
    Refused(LogError),
    /// Somebody newer holds this transactional id or this group membership; nothing of it is true.
    Fenced(String),
    /// Nobody knows. The producer must be made anew and the tasks rebuilt from what is committed.
    Ambiguous(String),
}

/// The right to write a base store, and where the transaction's records came to stand.
#[derive(Debug)]
pub struct Published {
    /// Per partition one past the last record written, where the log told it. A retried batch can
    /// succeed without telling; then the old position stays and the tail is replayed.
    positions: BTreeMap<TopicPartition, Option<Offset>>,
}

impl Published {
    /// Only logs make one, and only after the transaction is decided.
    pub(in crate::log) fn new(positions: BTreeMap<TopicPartition, Option<Offset>>) -> Self {
        Self { positions }
    }

    /// The same under other names, for a log that stands in front of another one.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn renamed(self, name: impl Fn(TopicPartition) -> TopicPartition) -> Self {
        Self { positions: self.positions.into_iter().map(|(place, next)| (name(place), next)).collect() }
    }

    /// One past the last record that this transaction wrote to `partition`; `None` where it wrote
    /// none or the log did not tell.
    pub fn next(&self, partition: &TopicPartition) -> Option<Offset> {
        self.positions.get(partition).copied().flatten()
    }
}

/// What a free read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Records, committed ones only; reading goes on at this offset.
    Records(Offset),
    /// Nothing more below the last stable offset, which stands here; it passes trailing markers.
    End(Offset),
    /// The wanted offset is not in the log: deleted behind the reader, or ahead of its end.
    OutOfRange(Watermarks),
}

/// A reader of any partition, outside every group.
pub trait FreeReader: Send {
    /// Reads committed records from `from` on; `batch` is cleared first.
    fn read(&mut self, partition: &TopicPartition, from: Offset, batch: &mut RecordBatch) -> Result<Read, LogError>;
    /// The ends of a partition.
    fn watermarks(&mut self, partition: &TopicPartition) -> Result<Watermarks, LogError>;
    /// The first offset whose record has this log time or a later one; `None` if there is none.
    fn offset_for_time(&mut self, partition: &TopicPartition, time: LogTime) -> Result<Option<Offset>, LogError>;
}

/// How a topic forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// By age (and explicit purge).
    Delete,
    /// Keeps the last record of each key.
    Compact,
    /// Both.
    CompactDelete,
}

impl Cleanup {
    /// `cleanup.policy` as Kafka writes it.
    pub const fn policy(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
            Self::CompactDelete => "compact,delete",
        }
    }
}

/// A topic's settings, by Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicSettings {
    /// How many partitions; 1 or more.
    pub partitions: u32,
    /// `cleanup.policy`.
    pub cleanup: Cleanup,
    /// `retention.ms`; `None` is for ever.
    pub retention_ms: Option<u64>,
    /// `message.timestamp.type=LogAppendTime`: the log stamps records itself.
    pub log_append_time: bool,
}

/// A topic as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: TopicName,
    /// Its incarnation.
    pub id: TopicId,
    /// Its settings.
    pub settings: TopicSettings,
}

/// Topics, their settings and their ends.
pub trait Admin: Send {
    /// Makes a topic; answers the standing one, whatever its settings, if the name is taken.
    fn create_topic(&mut self, name: &TopicName, settings: TopicSettings) -> Result<TopicInfo, LogError>;
    /// The topic, or `None` if there is none.
    fn topic(&mut self, name: &TopicName) -> Result<Option<TopicInfo>, LogError>;
    /// All topics, by name.
    fn topics(&mut self) -> Result<Vec<TopicInfo>, LogError>;
    /// Deletes a topic with its records.
    fn delete_topic(&mut self, name: &TopicName) -> Result<(), LogError>;
    /// Deletes the records below `before`.
    fn purge(&mut self, partition: &TopicPartition, before: Offset) -> Result<(), LogError>;
    /// What a group has committed of these partitions, in their order; a partition without a position is left out.
    fn group_offsets(
        &mut self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Offset)>, LogError>;
}

/// What a failing log asks of its caller.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LogError {
    /// The same call may succeed later.
    #[error("the log does not answer now: {0}")]
    Retry(String),
    /// This member or producer has been replaced: rejoin, with everything rebuilt.
    #[error("fenced: {0}")]
    Fenced(String),
    /// There is no such topic or partition.
    #[error("unknown topic or partition {0}")]
    Unknown(TopicPartition),
    /// The disk is full: the worker stops, and nothing is lost.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The log cannot go on.
    #[error("{0}")]
    Fatal(String),
}

/// Kafka's default partitioner (`murmur2`, `org.apache.kafka.common.utils.Utils`), so that a record
/// keyed here lands where a Java producer would put it. `partitions` is at least 1.
pub fn partition_for_key(key: &[u8], partitions: u32) -> Partition {
    Partition((murmur2(key) & 0x7fff_ffff) % partitions)
}

fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h: u32 = 0x9747_b28c ^ data.len() as u32;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    let rest = chunks.remainder();
    for (i, byte) in rest.iter().enumerate() {
        h ^= u32::from(*byte) << (8 * i);
    }
    if !rest.is_empty() {
        h = h.wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `Utils.murmur2` in Apache Kafka's own `UtilsTest`.
    #[test]
    fn murmur2_is_javas() {
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }
}
