//! Restores on a thread of their own, beside the worker thread that waits for them.
//!
//! Not here: a restore's steps ([`crate::restore`]). Invariant: whatever was admitted is handed back, or
//! its store is closed by the time [`Nursery::clear`] returns; so nobody opens a store twice.
//!
//! ```text
//!   worker thread ── admit, clear ──▶ restore thread ── outcomes ──▶ worker thread
//! ```

#![allow(clippy::disallowed_methods, reason = "restores have a thread of their own; the worker decides when to ask")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use state::Base;

use crate::error::CoreError;
use crate::limits::{RESTORE_TASKS_AT_ONCE, RESTORE_WAIT};
use crate::record::TopicPartition;
use crate::restore::{RestoreJob, Restoring};
use crate::task::TaskId;
use crate::worker::{Nursery, Outcomes};

/// How far a restore is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Changelog records applied.
    pub(crate) done: u64,
    /// Changelog records yet to be read, as far as is known.
    pub(crate) remaining: u64,
    /// The changelog on which somebody's transaction is still open.
    pub(crate) waits_for: Option<TopicPartition>,
}

/// What is being restored now, for the status.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progresses(Arc<Mutex<BTreeMap<TaskId, Progress>>>);

impl Progresses {
    pub(crate) fn of(&self, task: TaskId) -> Option<Progress> {
        self.lock().get(&task).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskId, Progress>> {
        // Entries are put and taken whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Order<B> {
    Admit(Box<RestoreJob<B>>),
    Cancel(TaskId, SyncSender<()>),
    Clear(SyncSender<()>),
}

/// A restore thread and the two ways between it and its worker. Orders and outcomes are as many as tasks
/// are assigned.
pub(crate) struct ThreadNursery<B> {
    orders: Option<Sender<Order<B>>>,
    outcomes: Receiver<Result<Outcomes<B>, CoreError>>,
    /// Outcomes that came in while a restore was being cancelled.
    early: Vec<Result<Outcomes<B>, CoreError>>,
    progresses: Progresses,
    thread: Option<JoinHandle<()>>,
}

impl<B: Base + Send + 'static> ThreadNursery<B> {
    /// Starts the thread. Fails where the machine gives none.
    pub(crate) fn start(name: &str) -> std::io::Result<Self> {
        let (orders, taken) = channel();
        let (told, outcomes) = channel();
        let progresses = Progresses::default();
        let bench = Bench { orders: taken, outcomes: told, progresses: progresses.clone(), jobs: VecDeque::new() };
        let thread = std::thread::Builder::new().name(format!("{name}-restore")).spawn(move || bench.work())?;
        Ok(Self { orders: Some(orders), outcomes, early: Vec::new(), progresses, thread: Some(thread) })
    }

    pub(crate) fn progresses(&self) -> Progresses {
        self.progresses.clone()
    }

    fn order(&self, order: Order<B>) {
        let sent = self.orders.as_ref().map(|orders| orders.send(order));
        if !matches!(sent, Some(Ok(()))) {
            tracing::error!("the restore thread has ended; what it had is lost until this worker starts anew");
        }
    }
}

impl<B: Base + Send + 'static> Nursery<B> for ThreadNursery<B> {
    fn admit(&mut self, job: RestoreJob<B>) {
        self.order(Order::Admit(Box::new(job)));
    }

    fn outcomes(&mut self) -> Vec<Result<Outcomes<B>, CoreError>> {
        let mut all = std::mem::take(&mut self.early);
        all.extend(self.outcomes.try_iter());
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            self.thread = None;
            all.push(Err(CoreError::contradiction("the restore thread has panicked, which is a bug; see its message")));
        }
        all
    }

    fn cancel(&mut self, task: TaskId) {
        let (done, cancelled) = sync_channel(1);
        self.order(Order::Cancel(task, done));
        if cancelled.recv().is_err() {
            tracing::debug!("the restore thread was gone already");
        }
        self.early.extend(self.outcomes.try_iter());
        self.early.retain(|outcome| !outcome.as_ref().is_ok_and(|Outcomes(restoring)| restoring.id() == task));
    }

    fn clear(&mut self) {
        self.early.clear();
        let (done, cleared) = sync_channel(1);
        self.order(Order::Clear(done));
        // The other side answers after its present step, or is gone together with all it had.
        if cleared.recv().is_err() {
            tracing::debug!("the restore thread was gone already");
        }
        for late in self.outcomes.try_iter() {
            drop(late);
        }
    }
}

impl<B> Drop for ThreadNursery<B> {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its own hook.
            drop(thread.join());
        }
    }
}

/// The restore thread's side.
struct Bench<B> {
    orders: Receiver<Order<B>>,
    outcomes: Sender<Result<Outcomes<B>, CoreError>>,
    progresses: Progresses,
    jobs: VecDeque<RestoreJob<B>>,
}

impl<B: Base + Send> Bench<B> {
    fn work(mut self) {
        // Jobs in a row that could do nothing.
        let mut waited = 0;
        while self.take_orders(waited) {
            let at_once = self.jobs.len().min(RESTORE_TASKS_AT_ONCE);
            let Some(job) = self.jobs.pop_front() else { continue };
            let id = job.id;
            let outcome = match job.step() {
                Ok(Restoring::Working(job)) => {
                    waited = 0;
                    self.keep(job, None, at_once);
                    continue;
                }
                Ok(Restoring::Waiting(job, waits_for)) => {
                    waited = (waited + 1).min(at_once);
                    self.keep(job, Some(waits_for), at_once);
                    continue;
                }
                Ok(done) => Ok(Outcomes(done)),
                Err(error) => Err(error),
            };
            waited = 0;
            self.progresses.lock().remove(&id);
            if self.outcomes.send(outcome).is_err() {
                return;
            }
        }
    }

    /// Puts a job behind the others that are worked on at once.
    fn keep(&mut self, job: RestoreJob<B>, waits_for: Option<TopicPartition>, at_once: usize) {
        let progress = Progress { done: job.restored, remaining: job.remaining(), waits_for };
        self.progresses.lock().insert(job.id, progress);
        self.jobs.insert(at_once.saturating_sub(1).min(self.jobs.len()), job);
    }

    /// Carries out what was ordered; waits where there is nothing else to do. False at the end.
    fn take_orders(&mut self, waited: usize) -> bool {
        let all_wait = waited > 0 && waited >= self.jobs.len().min(RESTORE_TASKS_AT_ONCE);
        let pause = RESTORE_WAIT.span();
        let mut order = if self.jobs.is_empty() {
            self.orders.recv().map_err(|_| TryRecvError::Disconnected)
        } else if all_wait {
            self.orders.recv_timeout(pause).map_err(|error| match error {
                RecvTimeoutError::Timeout => TryRecvError::Empty,
                RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
            })
        } else {
            self.orders.try_recv()
        };
        loop {
            match order {
                Ok(Order::Admit(job)) => {
                    self.keep_new(*job);
                }
                Ok(Order::Cancel(task, done)) => {
                    self.jobs.retain(|job| job.id != task);
                    self.progresses.lock().remove(&task);
                    if done.send(()).is_err() {
                        tracing::debug!("who wanted a restore to end has ended");
                    }
                }
                Ok(Order::Clear(done)) => {
                    self.jobs.clear();
                    self.progresses.lock().clear();
                    if done.send(()).is_err() {
                        tracing::debug!("who wanted the restores to end has ended");
                    }
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
            order = self.orders.try_recv();
        }
    }

    fn keep_new(&mut self, job: RestoreJob<B>) {
        let progress = Progress { done: 0, remaining: 0, waits_for: None };
        self.progresses.lock().insert(job.id, progress);
        self.jobs.push_back(job);
    }
}

#[cfg(test)]
mod tests {
    use state::{ColumnId, MemoryBase, TaskStore, TaskStoreLimits};

    use super::*;
    use crate::batch::{Headers, RecordBatch, RecordRef};
    use crate::changelog::META;
    use crate::log::memory::{MemoryLog, MemoryOptions};
    use crate::log::{Cleanup, GroupMetadata, Log, TopicSettings, Transaction, TransactionalId};
    use crate::record::Offset;

    const TASKS: [TaskId; 2] = [TaskId { sub_topology: 0, partition: 0 }, TaskId { sub_topology: 0, partition: 1 }];

    fn changelog(task: TaskId) -> TopicPartition {
        TopicPartition::new("changelog", task.partition)
    }

    fn write(log: &MemoryLog, to: &TopicPartition) -> Box<dyn Transaction> {
        let mut batch = RecordBatch::new();
        let (key, value) = (Some(&[0, 0, 0, 1, 1, b'k'][..]), Some(&b"v"[..]));
        batch.push(RecordRef { offset: Offset::ZERO, timestamp: log.now(), key, value, headers: Headers::NONE });
        let mut transaction = log.transaction(&TransactionalId(to.to_string())).unwrap();
        transaction.send(to, &batch).unwrap();
        transaction
    }

    fn job(log: &MemoryLog, task: TaskId) -> RestoreJob<MemoryBase> {
        let store = TaskStore::new(MemoryBase::new(), vec![META, ColumnId(1)], TaskStoreLimits::default());
        let time = TopicPartition::new("time", 0);
        RestoreJob::new(task, store, log.reader().unwrap(), 1, vec![(META, changelog(task))], Vec::new(), time)
    }

    fn next(nursery: &mut ThreadNursery<MemoryBase>) -> Restoring<MemoryBase> {
        loop {
            if let Some(outcome) = nursery.outcomes().pop() {
                return outcome.unwrap().0;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_restore_waits_for_an_open_transaction_says_so_and_holds_up_no_other() {
        let log = MemoryLog::new(MemoryOptions::default());
        let one = |partitions| TopicSettings {
            partitions,
            cleanup: Cleanup::Compact,
            retention_ms: None,
            log_append_time: false,
        };
        let mut admin = log.admin().unwrap();
        admin.create_topic(&"changelog".into(), one(2)).unwrap();
        admin.create_topic(&"time".into(), one(1)).unwrap();
        let mut open = write(&log, &changelog(TASKS[0]));
        let nobody = String::new;
        let none = GroupMetadata { group: nobody(), generation: 0, member: nobody(), instance: nobody() };
        write(&log, &changelog(TASKS[1])).publish(&[], &none);

        let mut nursery = ThreadNursery::start("worker-0").unwrap();
        TASKS.iter().for_each(|task| nursery.admit(job(&log, *task)));
        let first = next(&mut nursery);
        assert!(matches!(&first, Restoring::Done(done) if done.id == TASKS[1] && done.records == 1));
        let waits = || nursery.progresses().of(TASKS[0]).and_then(|progress| progress.waits_for);
        while waits().is_none() {
            std::thread::yield_now();
        }
        assert_eq!(waits(), Some(changelog(TASKS[0])));
        open.publish(&[], &none);
        let second = next(&mut nursery);
        assert!(matches!(&second, Restoring::Done(done) if done.id == TASKS[0] && done.records == 1));
    }
}
