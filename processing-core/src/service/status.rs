//! What the process knows about itself: the one page from which probes, `/status` and the demo read.
//!
//! Not here: HTTP (`http`) and metrics. Worker threads write through a [`ThreadReporter`], once per
//! turn (a tick, one atomic store) and once per commit (the rest, under a lock).
//! Invariant: liveness depends on ticks alone, never on the log's reach or on restore; readiness means
//! joined and restored, and is over from the wish to stop on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::signals::Shutdown;
use crate::clock::Clock;
use crate::limits::{STATUS_REASONS_MAX, TICK_BOUND};
use crate::record::{DurationMs, EventTime, TopicPartition, WallTime};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RestoreProgress {
    /// Changelog records read.
    pub done: u64,
    /// Changelog records yet to be read, as far as is known.
    pub remaining: u64,
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

/// Counts since the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Records read.
    pub records_in: u64,
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

/// The page.
pub struct StatusBoard {
    application: String,
    version: String,
    clock: Arc<dyn Clock>,
    started: WallTime,
    tick_bound: DurationMs,
    shutdown: Shutdown,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    threads: BTreeMap<String, Thread>,
    tasks: BTreeMap<String, TaskStatus>,
    obstacles: BTreeMap<String, String>,
    counts: Counts,
    last_commit: Option<WallTime>,
    details: BTreeMap<String, serde_json::Value>,
}

struct Thread {
    state: ThreadState,
    last_tick: Arc<AtomicI64>,
}

impl StatusBoard {
    /// A page for the process that starts now.
    pub fn new(application: &str, version: &str, clock: Arc<dyn Clock>, shutdown: Shutdown) -> Arc<Self> {
        let started = clock.now();
        Arc::new(Self {
            application: application.to_owned(),
            version: version.to_owned(),
            clock,
            started,
            tick_bound: TICK_BOUND,
            shutdown,
            inner: Mutex::default(),
        })
    }

    /// A worker thread's pen. Dropped without [`ThreadReporter::stopped`], the thread counts as failed:
    /// that is what a panic looks like.
    pub fn thread(self: &Arc<Self>, name: &str) -> ThreadReporter {
        let last_tick = Arc::new(AtomicI64::new(self.clock.now().0));
        let thread = Thread { state: ThreadState::Joining, last_tick: Arc::clone(&last_tick) };
        self.lock().threads.insert(name.to_owned(), thread);
        ThreadReporter { board: Arc::clone(self), name: name.to_owned(), last_tick, ended: false }
    }

    /// Something outside the threads that keeps the process from being ready (a missing topic, a
    /// foreign transaction that stays open), or, with `None`, no longer does.
    pub fn obstacle(&self, name: &str, reason: Option<String>) {
        let mut inner = self.lock();
        match reason {
            None => {
                inner.obstacles.remove(name);
            }
            // One more than can be shown would change nothing: not ready is not ready.
            Some(reason) if inner.obstacles.len() < STATUS_REASONS_MAX || inner.obstacles.contains_key(name) => {
                inner.obstacles.insert(name.to_owned(), reason);
            }
            Some(_) => {}
        }
    }

    /// A worker's own word in `/status`.
    pub fn detail(&self, name: &'static str, value: serde_json::Value) {
        self.lock().details.insert(name.to_owned(), value);
    }

    /// The checks of `/livez`.
    pub fn liveness(&self) -> Vec<Check> {
        let inner = self.lock();
        let stuck = self.first_thread(&inner, |name, thread, age| match &thread.state {
            ThreadState::Failed(reason) => Some(format!("thread {name} has failed: {reason}")),
            ThreadState::Stopped => None,
            _ if age > self.tick_bound.0 => {
                Some(format!("thread {name} has not come round for {} s", age / 1_000))
            }
            _ => None,
        });
        vec![Check { name: "threads", failing: stuck }]
    }

    /// The checks of `/readyz`.
    pub fn readiness(&self) -> Vec<Check> {
        let inner = self.lock();
        let joined = if inner.threads.is_empty() {
            Some("no thread has started yet".to_owned())
        } else {
            self.first_thread(&inner, |name, thread, _| match &thread.state {
                ThreadState::Joining => Some(format!("thread {name} has not joined the group yet")),
                ThreadState::Member => None,
                ThreadState::Stopped => Some(format!("thread {name} has stopped")),
                ThreadState::Failed(reason) => Some(format!("thread {name} has failed: {reason}")),
            })
        };
        let restored = inner.tasks.iter().find_map(|(id, task)| match task.state {
            TaskState::Running | TaskState::Waiting => None,
            TaskState::Created => Some(format!("task {id} is not open yet")),
            TaskState::Restoring => {
                let remaining: u64 = task.restore.values().map(|restore| restore.remaining).sum();
                Some(format!("task {id} has {remaining} changelog records to read"))
            }
        });
        let obstacles = inner.obstacles.iter().next().map(|(name, reason)| format!("{name}: {reason}"));
        let stopping = self.shutdown.requested().then(|| {
            format!("stopping: {}", self.shutdown.reason().unwrap_or_else(|| "asked to".to_owned()))
        });
        vec![
            Check { name: "shutdown", failing: stopping },
            Check { name: "joined", failing: joined },
            Check { name: "restored", failing: restored },
            Check { name: "obstacles", failing: obstacles },
        ]
    }

    /// Everything now.
    pub fn snapshot(&self) -> Snapshot {
        let (live, ready) = (self.liveness(), self.readiness());
        let mut reasons: Vec<String> = Vec::new();
        for reason in live.iter().chain(&ready).filter_map(|check| check.failing.clone()) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        let passes = |checks: &[Check]| checks.iter().all(|check| check.failing.is_none());
        let fails = |name: &str| ready.iter().any(|check| check.name == name && check.failing.is_some());
        let (live, ready_now) = (passes(&live), passes(&ready));
        let inner = self.lock();
        let state = if fails("shutdown") {
            ProcessState::Stopping
        } else if ready_now && live {
            ProcessState::Running
        } else if !live || inner.threads.values().any(|t| matches!(t.state, ThreadState::Stopped)) {
            ProcessState::Degraded
        } else if fails("joined") {
            ProcessState::Starting
        } else if fails("restored") {
            ProcessState::Restoring
        } else {
            ProcessState::Degraded
        };
        let now = self.clock.now();
        Snapshot {
            application: self.application.clone(),
            version: self.version.clone(),
            started_ms: self.started.0,
            uptime_ms: (now.0 - self.started.0).max(0),
            state,
            live,
            ready: ready_now,
            reasons,
            threads: inner
                .threads
                .iter()
                .map(|(name, thread)| {
                    let last_tick_age_ms = age(now, thread.last_tick.load(Ordering::Relaxed));
                    (name.clone(), ThreadStatus { state: thread.state.clone(), last_tick_age_ms })
                })
                .collect(),
            lag: inner.tasks.values().flat_map(|task| task.partitions.values()).map(|p| p.lag).sum(),
            tasks: inner.tasks.clone(),
            last_commit_age_ms: inner.last_commit.map(|last| age(now, last.0)),
            counts: inner.counts.clone(),
            details: inner.details.clone(),
        }
    }

    fn first_thread(
        &self,
        inner: &Inner,
        fails: impl Fn(&str, &Thread, i64) -> Option<String>,
    ) -> Option<String> {
        let now = self.clock.now();
        inner
            .threads
            .iter()
            .find_map(|(name, thread)| fails(name, thread, age(now, thread.last_tick.load(Ordering::Relaxed))))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic of another thread leaves at worst an older word on the page.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that was set back makes nothing old.
fn age(now: WallTime, then: i64) -> i64 {
    now.0.saturating_sub(then).max(0)
}

/// One worker thread's pen for the page.
pub struct ThreadReporter {
    board: Arc<StatusBoard>,
    name: String,
    last_tick: Arc<AtomicI64>,
    ended: bool,
}

/// What one commit adds to the counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct CommitCounts<'a> {
    /// Records read.
    pub records_in: u64,
    /// Records written to output topics.
    pub records_out: u64,
    /// Records without effect, by reason.
    pub dropped: &'a [(&'static str, u64)],
    /// Dead letters, by reason.
    pub dead_letters: &'a [(&'static str, u64)],
}

impl ThreadReporter {
    /// The loop came round. Takes the time from the caller, who has just asked the clock anyway.
    pub fn tick(&self, now: WallTime) {
        self.last_tick.store(now.0, Ordering::Relaxed);
    }

    /// The thread is a member of the group.
    pub fn joined(&self) {
        self.set_state(ThreadState::Member);
    }

    /// The thread is out of the group and joins again.
    pub fn rejoining(&self) {
        self.set_state(ThreadState::Joining);
    }

    /// A task of this thread is in this state; a new one starts without partitions.
    pub fn task(&self, id: &str, state: TaskState) {
        let mut inner = self.board.lock();
        let task = inner.tasks.entry(id.to_owned()).or_insert_with(|| TaskStatus {
            thread: self.name.clone(),
            state,
            restore: BTreeMap::new(),
            partitions: BTreeMap::new(),
        });
        task.thread.clone_from(&self.name);
        task.state = state;
        if state != TaskState::Restoring {
            task.restore.clear();
        }
    }

    /// How far a store of a task is with reading its changelog.
    pub fn restoring(&self, id: &str, store: &str, progress: RestoreProgress) {
        if let Some(task) = self.board.lock().tasks.get_mut(id) {
            task.restore.insert(store.to_owned(), progress);
        }
    }

    /// Where a task's input partition stands.
    pub fn partition(&self, id: &str, partition: &TopicPartition, status: PartitionStatus) {
        if let Some(task) = self.board.lock().tasks.get_mut(id) {
            task.partitions.insert(partition.to_string(), status);
        }
    }

    /// A task is no longer this thread's. One that another thread has taken over stays.
    pub fn task_gone(&self, id: &str) {
        let mut inner = self.board.lock();
        if inner.tasks.get(id).is_some_and(|task| task.thread == self.name) {
            inner.tasks.remove(id);
        }
    }

    /// A commit became true.
    pub fn committed(&self, now: WallTime, commit: CommitCounts<'_>) {
        let mut inner = self.board.lock();
        inner.last_commit = Some(now);
        let counts = &mut inner.counts;
        counts.commits += 1;
        counts.records_in += commit.records_in;
        counts.records_out += commit.records_out;
        add_reasons(&mut counts.dropped, commit.dropped);
        add_reasons(&mut counts.dead_letters, commit.dead_letters);
    }

    /// A transaction was given up.
    pub fn aborted(&self) {
        self.board.lock().counts.aborts += 1;
    }

    /// The thread ends in good order.
    pub fn stopped(mut self) {
        self.end(ThreadState::Stopped);
    }

    /// The thread ends because of an error.
    pub fn failed(mut self, reason: impl Into<String>) {
        self.end(ThreadState::Failed(reason.into()));
    }

    fn end(&mut self, state: ThreadState) {
        self.ended = true;
        self.set_state(state);
        self.board.lock().tasks.retain(|_, task| task.thread != self.name);
    }

    fn set_state(&self, state: ThreadState) {
        if let Some(thread) = self.board.lock().threads.get_mut(&self.name) {
            thread.state = state;
        }
    }
}

impl Drop for ThreadReporter {
    fn drop(&mut self) {
        if !self.ended {
            self.end(ThreadState::Failed("it ended without a word, as in a panic".to_owned()));
        }
    }
}

fn add_reasons(counts: &mut BTreeMap<String, u64>, more: &[(&'static str, u64)]) {
    for (reason, n) in more {
        let full = counts.len() >= STATUS_REASONS_MAX && !counts.contains_key(*reason);
        let reason = if full { "other" } else { reason };
        *counts.entry(reason.to_owned()).or_default() += n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn board() -> (Arc<ManualClock>, Shutdown, Arc<StatusBoard>) {
        let clock = Arc::new(ManualClock::at(WallTime(1_000)));
        let shutdown = Shutdown::new();
        let board = StatusBoard::new("app", "0.1.0", clock.clone(), shutdown.clone());
        (clock, shutdown, board)
    }

    fn failing(checks: Vec<Check>) -> Vec<String> {
        checks.into_iter().filter_map(|check| check.failing).collect()
    }

    #[test]
    fn a_slow_restore_is_alive_and_not_ready() {
        let (clock, _, board) = board();
        assert_eq!(failing(board.readiness()), ["no thread has started yet"]);
        assert!(failing(board.liveness()).is_empty());
        let thread = board.thread("worker-0");
        thread.joined();
        assert!(board.snapshot().ready, "a member without tasks is a spare, and ready");
        thread.task("0_1", TaskState::Created);
        assert_eq!(failing(board.readiness()), ["task 0_1 is not open yet"]);
        thread.task("0_1", TaskState::Restoring);
        thread.restoring("0_1", "panes", RestoreProgress { done: 5, remaining: 95 });
        for _ in 0..100 {
            clock.advance(DurationMs::minutes(4));
            thread.tick(clock.now());
        }
        assert!(failing(board.liveness()).is_empty());
        assert_eq!(failing(board.readiness()), ["task 0_1 has 95 changelog records to read"]);
        assert_eq!(board.snapshot().state, ProcessState::Restoring);
        thread.task("0_1", TaskState::Running);
        assert_eq!(board.snapshot().state, ProcessState::Running);
    }

    #[test]
    fn a_loop_that_does_not_come_round_is_dead_after_the_bound() {
        let (clock, _, board) = board();
        let thread = board.thread("worker-0");
        clock.advance(TICK_BOUND);
        assert!(failing(board.liveness()).is_empty());
        clock.advance(DurationMs(1));
        assert_eq!(failing(board.liveness()), ["thread worker-0 has not come round for 300 s"]);
        thread.tick(clock.now());
        assert!(failing(board.liveness()).is_empty());
        clock.set(WallTime(0));
        assert!(failing(board.liveness()).is_empty(), "a clock that was set back kills nobody");
    }

    #[test]
    fn a_thread_that_vanishes_has_failed_and_one_that_stops_has_not() {
        let (clock, _, board) = board();
        let (good, bad, told) = (board.thread("a"), board.thread("b"), board.thread("c"));
        good.task("0_0", TaskState::Running);
        good.stopped();
        clock.advance(DurationMs::hours(1));
        told.tick(clock.now());
        drop(bad);
        assert_eq!(failing(board.liveness()), ["thread b has failed: it ended without a word, as in a panic"]);
        told.failed("fenced");
        let snapshot = board.snapshot();
        assert_eq!(snapshot.state, ProcessState::Degraded);
        assert!(snapshot.tasks.is_empty());
    }

    #[test]
    fn from_the_wish_to_stop_on_it_is_not_ready_but_alive() {
        let (_, shutdown, board) = board();
        let thread = board.thread("a");
        thread.joined();
        assert!(board.snapshot().ready);
        shutdown.request("SIGTERM");
        assert_eq!(failing(board.readiness()), ["stopping: SIGTERM"]);
        let snapshot = board.snapshot();
        assert!(snapshot.live && !snapshot.ready);
        assert_eq!(snapshot.state, ProcessState::Stopping);
    }

    #[test]
    fn obstacles_are_named_until_they_are_gone() {
        let (_, _, board) = board();
        let thread = board.thread("a");
        thread.joined();
        board.obstacle("missing topic", Some("poi.favorited is enabled and does not exist".into()));
        assert_eq!(failing(board.readiness()), ["missing topic: poi.favorited is enabled and does not exist"]);
        assert_eq!(board.snapshot().state, ProcessState::Degraded);
        board.obstacle("missing topic", None);
        assert!(board.snapshot().ready);
    }

    #[test]
    fn a_task_that_moves_between_threads_is_not_removed_by_the_old_one() {
        let (_, _, board) = board();
        let (old, new) = (board.thread("a"), board.thread("b"));
        old.task("0_0", TaskState::Running);
        new.task("0_0", TaskState::Running);
        old.task_gone("0_0");
        assert_eq!(board.snapshot().tasks["0_0"].thread, "b");
        new.task_gone("0_0");
        assert!(board.snapshot().tasks.is_empty());
    }

    #[test]
    fn counts_and_lags_add_up() {
        let (clock, _, board) = board();
        let thread = board.thread("a");
        thread.task("0_0", TaskState::Running);
        for (partition, lag) in [(0, 3), (1, 4), (1, 5)] {
            let partition = TopicPartition::new("t", partition);
            thread.partition("0_0", &partition, PartitionStatus::new(9, lag, EventTime::MIN, false));
        }
        let counts = CommitCounts { records_in: 10, records_out: 2, dropped: &[("late", 1)], dead_letters: &[] };
        thread.committed(clock.now(), counts);
        clock.advance(DurationMs(250));
        thread.committed(clock.now(), counts);
        thread.aborted();
        clock.advance(DurationMs(50));
        let snapshot = board.snapshot();
        assert_eq!(snapshot.lag, 8);
        assert_eq!((snapshot.counts.commits, snapshot.counts.aborts, snapshot.counts.records_in), (2, 1, 20));
        assert_eq!(snapshot.counts.dropped["late"], 2);
        assert_eq!(snapshot.last_commit_age_ms, Some(50));
        assert_eq!(snapshot.uptime_ms, 300);
    }
}
