//! What the status page says, as values: threads, tasks, partitions, counts.
//!
//! Not here: who writes it (`reporter`) and who holds it (`StatusBoard`).
//! Invariant: the JSON names of these fields are an interface; they are added to, never renamed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::record::EventTime;

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Assigned; nothing is open yet.
    Created,
    /// Its stores read their changelogs.
    Restoring,
    /// It processes.
    Running,
    /// It waits for an input or a topic that is missing or behind.
    Waiting,
}

/// Where a thread is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "reason")]
pub enum ThreadState {
    /// Not yet a member of the group.
    Joining,
    /// A member, also with no tasks: then it is a spare.
    Member,
    /// Ended in good order.
    Stopped,
    /// Ended by an error or a panic.
    Failed(String),
}

/// How far a store's restore is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoreProgress {
    /// Changelog records read.
    pub done: u64,
    /// Offsets of its changelogs yet to be read; compaction and aborted transactions have left at most as many
    /// records. 0 until the log has told their ends.
    pub remaining: u64,
    /// Seconds until that is done at the present pace; null before the pace was measured.
    pub eta_seconds: Option<u64>,
    /// The changelog partition on which somebody's transaction is still open: nothing can be read beyond it before
    /// it is decided, at the latest when it has been open for its `transaction.timeout.ms`.
    pub waits_for: Option<String>,
}

/// One input partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// The next offset to be read.
    pub position: u64,
    /// Unread committed records.
    pub lag: u64,
    /// Its stream time in milliseconds since 1970; null before the first record.
    pub stream_time_ms: Option<i64>,
    /// Whether it counts as idle.
    pub idle: bool,
}

impl PartitionStatus {
    /// `time` is the partition's stream time.
    pub fn new(position: u64, lag: u64, time: EventTime, idle: bool) -> Self {
        let stream_time_ms = (time != EventTime::MIN).then_some(time.0);
        Self { position, lag, stream_time_ms, idle }
    }
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskStatus {
    /// The thread that has it.
    pub thread: String,
    /// Where it is in its life.
    pub state: TaskState,
    /// Its stores' restores, while there are any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub restore: BTreeMap<String, RestoreProgress>,
    /// Its inputs by `topic-partition`.
    pub partitions: BTreeMap<String, PartitionStatus>,
}

/// The copy of a task that another process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StandbyStatus {
    /// Whether its store is open here; it is not while a worker thread has it, or the log does not answer.
    pub open: bool,
    /// Offsets of its changelogs yet to be read, as their ends stood at the last look.
    pub lag: u64,
    /// Offsets of its changelogs behind it.
    pub followed: u64,
}

/// Counts since the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Records read, those of the worker's own repartition topics included.
    pub records_in: u64,
    /// Records of inputs read and committed.
    pub events_in: u64,
    /// Records written to output topics and committed.
    pub records_out: u64,
    /// Commits that became true.
    pub commits: u64,
    /// Transactions given up.
    pub aborts: u64,
    /// Records without effect, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Dead letters, by reason.
    pub dead_letters: BTreeMap<String, u64>,
}

/// One thread, as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ThreadStatus {
    /// Where it is in its life.
    #[serde(flatten)]
    pub state: ThreadState,
    /// Milliseconds since its loop last came round; 0 if the clock has gone back since.
    pub last_tick_age_ms: i64,
}

/// The whole process in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessState {
    /// Threads are not members yet.
    Starting,
    /// At least one task restores.
    Restoring,
    /// Ready.
    Running,
    /// Ready, and told to take in no new input.
    Paused,
    /// Something keeps it from being ready; the reasons say what.
    Degraded,
    /// It has been asked to stop.
    Stopping,
}

impl ProcessState {
    /// The name in `/status` and in `stream_app_state`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Restoring => "restoring",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Degraded => "degraded",
            Self::Stopping => "stopping",
        }
    }
}

/// A named check and, if it fails, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// Why it fails; `None`: it passes.
    pub failing: Option<String>,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// `application.id`.
    pub application: String,
    /// The program's version.
    pub version: String,
    /// When the process started, in milliseconds since 1970.
    pub started_ms: i64,
    /// Milliseconds since then.
    pub uptime_ms: i64,
    /// The whole in one word.
    pub state: ProcessState,
    /// Whether `/livez` passes.
    pub live: bool,
    /// Whether `/readyz` passes.
    pub ready: bool,
    /// Why not live or not ready; empty otherwise.
    pub reasons: Vec<String>,
    /// Threads by name.
    pub threads: BTreeMap<String, ThreadStatus>,
    /// Tasks by id.
    pub tasks: BTreeMap<String, TaskStatus>,
    /// Copies of tasks that other processes run, by the task's id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub standbys: BTreeMap<String, StandbyStatus>,
    /// Sum of all partitions' lags.
    pub lag: u64,
    /// Milliseconds since the last commit that became true.
    pub last_commit_age_ms: Option<i64>,
    /// Counts since the start.
    pub counts: Counts,
    /// What the worker itself adds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, serde_json::Value>,
}
