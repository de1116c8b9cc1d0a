//! How a plan runs in a process: what an operator decides, without what it runs beside.
//!
//! Not here: where such decisions come from ([`crate::service::settings`]), and what is the same for all plans of a process
//! ([`super::Surroundings`]). Invariant: results do not hang on them, but for those about time.

use std::path::PathBuf;

use state::MemoryBudget;

use crate::record::DurationMs;
use crate::service::settings::Settings;

/// Where the tasks' stores are.
#[derive(Debug, Clone)]
pub enum StatePlace {
    /// Nowhere: they vanish with the process and are restored from their changelogs.
    Memory,
    /// In a folder of this machine.
    Folder {
        /// `state.dir`.
        dir: PathBuf,
        /// RocksDB's blocks of all of them together, and of whoever else shares it.
        budget: MemoryBudget,
    },
}

/// How a plan runs.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The process among those of the application, the same after a restart; threads add their number.
    pub instance: String,
    /// Worker threads; 1 or more.
    pub threads: u32,
    /// A commit is due this long after the oldest uncommitted source record.
    pub commit_interval: DurationMs,
    /// A partition that is read to its end and silent for this long is idle; `None` is never.
    pub idle_after: Option<DurationMs>,
    /// When every input is idle, event time goes on with the clock, so far behind it; `None` is never.
    pub idle_close: Option<DurationMs>,
    /// How far event time may be ahead of the log's timestamp; `None` is any.
    pub future_bound: Option<DurationMs>,
    /// The state epoch.
    pub epoch: u32,
    /// Rows that all stores of one thread's tasks keep in memory between transactions, in bytes, about.
    pub cached_bytes: usize,
    /// Committed rows that the tasks of all threads keep in memory before they write them to their stores, in bytes; see
    /// [`crate::limits::APPLIED_BYTES_MAX`].
    pub applied_bytes: usize,
    /// Where the stores are.
    pub state: StatePlace,
}

impl RunOptions {
    /// As the settings of a service say; `budget` is [`Settings::memory_of_stores`].
    pub fn of(settings: &Settings, budget: MemoryBudget) -> Self {
        Self {
            instance: settings.application.instance.clone(),
            threads: settings.application.threads,
            commit_interval: settings.application.commit_interval,
            idle_after: settings.event_time.idle_after,
            idle_close: settings.event_time.idle_close,
            future_bound: settings.event_time.future_bound,
            epoch: 0,
            cached_bytes: settings.cached_by_each_thread(),
            applied_bytes: settings.applied_by_all_threads(),
            state: StatePlace::Folder { dir: settings.state.dir.clone(), budget },
        }
    }
}
