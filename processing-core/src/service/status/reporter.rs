//! A worker thread's pen for the status page.
//!
//! Not here: what is read from it. Invariant: a thread writes only about itself and its own tasks, and
//! cannot end without a last word.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::{PartitionStatus, RestoreProgress, StatusBoard, TaskState, TaskStatus, ThreadState};
use crate::limits::STATUS_REASONS_MAX;
use crate::record::{TopicPartition, WallTime};

/// One worker thread's pen for the page.
pub struct ThreadReporter {
    pub(super) board: Arc<StatusBoard>,
    pub(super) name: String,
    pub(super) last_tick: Arc<AtomicI64>,
    pub(super) ended: bool,
}

/// What one commit adds to the counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct CommitCounts<'a> {
    /// Records read.
    pub records_in: u64,
    /// Of those, the ones of inputs.
    pub events_in: u64,
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

    /// What keeps this thread from going on, or, with `None`, no longer does.
    pub fn obstacle(&self, reason: Option<String>) {
        self.board.obstacle(&self.name, reason);
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
        counts.events_in += commit.events_in;
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
