//! What the process knows about itself: the one page from which probes, `/status` and the demo read.
//!
//! Not here: HTTP (`http`) and metrics. Worker threads write through a [`ThreadReporter`], once per
//! turn (a tick, one atomic store) and once per commit (the rest, under a lock).
//! Invariant: liveness depends on ticks alone, never on the log's reach or on restore; readiness means
//! joined and restored, and is over from the wish to stop on.

mod page;
mod reporter;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use page::{
    Check, Counts, PartitionStatus, ProcessState, RestoreProgress, Snapshot, StandbyStatus, TaskState, TaskStatus,
    ThreadState, ThreadStatus,
};
pub use reporter::{CommitCounts, ThreadReporter};

use super::signals::Shutdown;
use crate::clock::Clock;
use crate::limits::{STATUS_REASONS_MAX, TICK_BOUND};
use crate::record::{DurationMs, WallTime};

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
    standbys: BTreeMap<String, StandbyStatus>,
    obstacles: BTreeMap<String, String>,
    counts: Counts,
    last_commit: Option<WallTime>,
    details: BTreeMap<String, serde_json::Value>,
    paused: bool,
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

    /// Whether an operator lets new input wait. It is no reason not to be ready: queries are answered.
    pub fn pause(&self, paused: bool) {
        self.lock().paused = paused;
    }

    /// The copies of other processes' tasks, all of them.
    pub(crate) fn standbys(&self, standbys: BTreeMap<String, StandbyStatus>) {
        self.lock().standbys = standbys;
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
            _ if age > self.tick_bound.0 => Some(format!("thread {name} has not come round for {} s", age / 1_000)),
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
                let open = task.restore.values().find_map(|restore| restore.waits_for.as_ref());
                let eta = task.restore.values().filter_map(|restore| restore.eta_seconds).max();
                Some(match (open, eta) {
                    (Some(place), _) => format!("task {id} waits for an open transaction in {place}"),
                    (None, Some(eta)) => {
                        format!("task {id} has {remaining} changelog records to read, for about {eta} s")
                    }
                    (None, None) => format!("task {id} has {remaining} changelog records to read"),
                })
            }
        });
        let obstacles = inner.obstacles.iter().next().map(|(name, reason)| format!("{name}: {reason}"));
        let stopping = self
            .shutdown
            .requested()
            .then(|| format!("stopping: {}", self.shutdown.reason().unwrap_or_else(|| "asked to".to_owned())));
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
        } else if ready_now && live && inner.paused {
            ProcessState::Paused
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
            standbys: inner.standbys.clone(),
            last_commit_age_ms: inner.last_commit.map(|last| age(now, last.0)),
            counts: inner.counts.clone(),
            details: inner.details.clone(),
        }
    }

    fn first_thread(&self, inner: &Inner, fails: impl Fn(&str, &Thread, i64) -> Option<String>) -> Option<String> {
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

#[cfg(test)]
mod tests;
