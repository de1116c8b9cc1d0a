//! How an embedded log is set up, and the limits that keep it bounded.
//!
//! Not here: a topic's settings ([`crate::log::TopicSettings`]).
//! Invariant: every buffer and every step of the embedded log has its limit here.

use std::fmt;
use std::sync::Arc;

use state::ordered::OrderedOptions;

use super::row::RowLimits;
use crate::record::{DurationMs, LogTime};

/// Tells the present log time; the log has no clock of its own.
pub type LogClock = Arc<dyn Fn() -> LogTime + Send + Sync>;

/// How far a write has gone when it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The operating system has it: survives `kill -9`, not a loss of power.
    Os,
    /// Stable storage has it: survives a loss of power too.
    Disk,
}

/// The settings of an embedded log.
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// The clock that stamps append times and measures session timeouts.
    pub clock: LogClock,
    /// How durable a transaction is when `publish` answers `Published`.
    pub durability: Durability,
    /// How long the partitions of a closed static member wait for its return.
    pub session_timeout: DurationMs,
    /// How long a tombstone stays after compaction first met it: `delete.retention.ms`.
    pub tombstone_retention: DurationMs,
    /// The most that one open transaction may hold in memory, in bytes.
    pub transaction_bytes_max: usize,
    /// A partition is compacted when so many records, and as many as compaction left last time, came
    /// in since then.
    pub compaction_records_min: u64,
    /// The most that the keys of one compaction may take in memory, in bytes; with more keys it takes
    /// several passes.
    pub compaction_bytes_max: usize,
    /// The most that one call of `maintain` reads, in bytes; it holds up commits that long.
    pub maintain_bytes_max: usize,
    /// Memory and files of the store below.
    pub store: OrderedOptions,
    pub(super) row: RowLimits,
}

impl EmbeddedOptions {
    /// The defaults, with this clock: synced to disk, sessions of 45 s, tombstones kept for a day.
    pub fn new(clock: LogClock) -> Self {
        Self {
            clock,
            durability: Durability::Disk,
            session_timeout: DurationMs::seconds(45),
            tombstone_retention: DurationMs::hours(24),
            transaction_bytes_max: 256 << 20,
            compaction_records_min: 10_000,
            compaction_bytes_max: 16 << 20,
            maintain_bytes_max: 4 << 20,
            store: OrderedOptions::default(),
            // A poll hands out whole rows, so that a row is about half of what it may hand out.
            row: RowLimits { records: 512, bytes: 128 << 10 },
        }
    }
}

impl fmt::Debug for EmbeddedOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedOptions")
            .field("durability", &self.durability)
            .field("session_timeout", &self.session_timeout)
            .field("tombstone_retention", &self.tombstone_retention)
            .field("transaction_bytes_max", &self.transaction_bytes_max)
            .finish_non_exhaustive()
    }
}
