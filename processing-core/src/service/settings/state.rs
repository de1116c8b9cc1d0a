//! Where state lives and how much memory it may take.
//!
//! Invariant: there is one memory budget per process, and all that its stores hold is a part of it.

use std::path::PathBuf;

use state::{MemoryBudget, OrderedOptions};

use super::{Settings, SettingsError, Spec, ValueKind, Values};
use crate::limits::APPLIED_BYTES_MAX;

const MIB: u64 = 1 << 20;

pub(super) const SPECS: &[Spec] = &[
    // Kafka Streams' default lies in the system's folder for temporary files, where machines clean up.
    Spec::new(
        "state.dir",
        ValueKind::Path,
        "streamfleet-data/state",
        "Folder of the tasks' stores; it must survive a restart for a quick start",
    ),
    Spec::new(
        "statestore.cache.max.bytes",
        ValueKind::Bytes { min: 0, max: 1 << 40 },
        "40MiB",
        "Rows that stay in memory between transactions, in equal parts of the worker threads; a part of `memory.budget.bytes`",
    ),
    Spec::new(
        "memory.budget.bytes",
        ValueKind::Bytes { min: 16 * MIB, max: 1 << 40 },
        "88MiB",
        "Rows that stay in memory, committed rows that wait to be written, RocksDB's blocks and the embedded log's buffers, of this process together; below half of a container's limit",
    ),
];

/// Where state lives and how much memory it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSettings {
    /// `state.dir`.
    pub dir: PathBuf,
    /// `statestore.cache.max.bytes`.
    pub cache_bytes: u64,
    /// `memory.budget.bytes`.
    pub memory_budget_bytes: u64,
}

impl StateSettings {
    pub(super) fn read(values: &Values) -> Result<Self, SettingsError> {
        Ok(Self {
            dir: values.get("state.dir")?,
            cache_bytes: values.get("statestore.cache.max.bytes")?,
            memory_budget_bytes: values.get("memory.budget.bytes")?,
        })
    }
}

impl Settings {
    /// What is left to the blocks of the stores.
    pub fn memory_of_stores(&self) -> MemoryBudget {
        MemoryBudget::new(self.beside_caches().saturating_sub(self.applied_by_all_threads()))
    }

    /// Committed rows that the tasks of all threads keep in memory before they write them to their stores, in bytes: as
    /// many as are of use, or two thirds of what is left.
    pub fn applied_by_all_threads(&self) -> usize {
        APPLIED_BYTES_MAX.min(self.beside_caches() / 3 * 2)
    }

    fn beside_caches(&self) -> usize {
        // The embedded log fills a buffer while another one is written.
        let log = if self.is_embedded() { 2 * OrderedOptions::default().write_buffer_bytes } else { 0 };
        bytes(self.state.memory_budget_bytes.saturating_sub(self.state.cache_bytes)).saturating_sub(log)
    }

    /// Rows that the stores of one thread's tasks keep in memory between transactions, in bytes.
    pub fn cached_by_each_thread(&self) -> usize {
        bytes(self.state.cache_bytes / u64::from(self.application.threads.max(1)))
    }

    /// Whether no cluster is named, so that the log is in a folder.
    pub fn is_embedded(&self) -> bool {
        self.kafka.get("bootstrap.servers").is_none()
    }
}

fn bytes(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
