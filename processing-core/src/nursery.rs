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
use std::time::Duration;

use state::Base;

use crate::clock::Clock;
use crate::error::CoreError;
use crate::limits::{RESTORE_RETRY, RESTORE_RETRY_MAX, RESTORE_TASKS_AT_ONCE, RESTORE_TELL, RESTORE_WAIT};
use crate::pace::{self, Pace};
use crate::record::{DurationMs, TopicPartition};
use crate::restore::{RestoreJob, Restoring};
use crate::task::TaskId;
use crate::worker::{Nursery, Outcomes};

/// How far a restore is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Changelog records applied.
    pub(crate) done: u64,
    /// Offsets of changelogs yet to be read; 0 until the log has told their ends.
    pub(crate) remaining: u64,
    /// In what time that will be done; `None` while nobody knows.
    pub(crate) time_left: Option<Duration>,
    /// The changelog on which somebody's transaction is still open.
    pub(crate) waits_for: Option<TopicPartition>,
}

/// What is being restored now, for the status.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progresses(Arc<Mutex<BTreeMap<TaskId, Progress>>>);

impl Progresses {
    /// When to ask again for a task of which it is only known that it is being restored.
    pub(crate) fn retry_after(&self, task: TaskId) -> DurationMs {
        let Some(left) = self.of(task).and_then(|progress| progress.time_left) else { return RESTORE_RETRY };
        let left = DurationMs(i64::try_from(left.as_millis()).unwrap_or(i64::MAX));
        left.clamp(DurationMs::seconds(1), RESTORE_RETRY_MAX)
    }

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
    pub(crate) fn start(name: &str, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let (orders, taken) = channel();
        let (told, outcomes) = channel();
        let progresses = Progresses::default();
        let bench = Bench {
            orders: taken,
            outcomes: told,
            progresses: progresses.clone(),
            jobs: VecDeque::new(),
            pace: Pace::from(clock.elapsed()),
            told: clock.elapsed(),
            clock,
        };
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
    jobs: VecDeque<Ward<B>>,
    clock: Arc<dyn Clock>,
    pace: Pace,
    /// When a log line last said how far it is.
    told: Duration,
}

/// A restore that is taken care of.
struct Ward<B> {
    job: RestoreJob<B>,
    admitted: Duration,
    /// As of the last look, 0 before the log has told.
    remaining: u64,
    /// Whether its size was told.
    known: bool,
    waits_for: Option<TopicPartition>,
}

impl<B: Base + Send> Bench<B> {
    fn work(mut self) {
        // Jobs in a row that could do nothing.
        let mut waited = 0;
        while self.take_orders(waited) {
            self.survey_one();
            let at_once = self.at_once();
            let Some(Ward { job, admitted, remaining, known, .. }) = self.jobs.pop_front() else { continue };
            let id = job.id;
            let ward = |job, waits_for| Ward { job, admitted, remaining, known, waits_for };
            let outcome = match job.step() {
                Ok(Restoring::Working(job)) => {
                    waited = 0;
                    self.keep(ward(job, None), at_once);
                    continue;
                }
                Ok(Restoring::Waiting(job, waits_for)) => {
                    waited = (waited + 1).min(at_once);
                    self.keep(ward(job, Some(waits_for)), at_once);
                    continue;
                }
                Ok(ended) => {
                    self.measure(remaining);
                    Ok(Outcomes(ended))
                }
                Err(error) => Err(error),
            };
            waited = 0;
            if let Ok(Outcomes(Restoring::Done(restored))) = &outcome
                && restored.records > 0
            {
                let took = self.clock.elapsed().saturating_sub(admitted).as_secs_f64();
                let records = restored.records;
                let per_second = if took > 0.0 { records as f64 / took } else { 0.0 };
                tracing::info!(task = %id, records, seconds = took, per_second = per_second as u64, "restored");
            }
            self.progresses.lock().remove(&id);
            if self.outcomes.send(outcome).is_err() {
                return;
            }
        }
    }

    fn at_once(&self) -> usize {
        self.jobs.len().min(RESTORE_TASKS_AT_ONCE)
    }

    /// Asks the log about one restore whose turn has not come, so that soon all of them count in the time left.
    fn survey_one(&mut self) {
        let Some(ward) = self.jobs.iter_mut().find(|ward| !ward.known) else { return };
        // What went wrong comes again with its first step.
        if let Err(error) = ward.job.survey() {
            tracing::debug!(task = %ward.job.id, "cannot tell yet how much there is to restore: {error}");
        }
        if let Some(remaining) = ward.job.remaining() {
            ward.known = true;
            ward.remaining = remaining;
            if remaining > 0 {
                tracing::info!(task = %ward.job.id, offsets = remaining, "restoring from its changelogs");
            }
            self.show();
        }
    }

    /// Puts a job behind the others that are worked on at once.
    fn keep(&mut self, mut ward: Ward<B>, at_once: usize) {
        let remaining = ward.job.remaining().unwrap_or(ward.remaining);
        let passed = ward.remaining.saturating_sub(remaining);
        ward.remaining = remaining;
        let id = ward.job.id;
        let (done, waits_for) = (ward.job.restored, ward.waits_for.clone());
        self.jobs.insert(at_once.saturating_sub(1).min(self.jobs.len()), ward);
        if !self.measure(passed)
            && let Some(progress) = self.progresses.lock().get_mut(&id)
        {
            (progress.done, progress.remaining, progress.waits_for) = (done, remaining, waits_for);
        }
    }

    /// Counts offsets that were read. Answers whether that has changed what is foretold, and so what is shown.
    fn measure(&mut self, passed: u64) -> bool {
        let now = self.clock.elapsed();
        if !self.pace.pass(now, passed) {
            return false;
        }
        self.show();
        let remaining: u64 = self.jobs.iter().map(|ward| ward.remaining).sum();
        if remaining > 0 && now.saturating_sub(self.told) >= RESTORE_TELL.span() {
            self.told = now;
            let seconds_left = self.pace.time_for(remaining).map(|left| left.as_secs());
            tracing::info!(tasks = self.jobs.len(), offsets = remaining, seconds_left, "restoring");
        }
        true
    }

    /// Shows how far every restore is.
    fn show(&self) {
        let remaining: Vec<u64> = self.jobs.iter().map(|ward| ward.remaining).collect();
        let through = pace::until_through(&remaining, self.at_once());
        let mut progresses = self.progresses.lock();
        for (ward, through) in self.jobs.iter().zip(through) {
            let time_left = self.pace.time_for(through).filter(|_| ward.known);
            let (done, remaining, waits_for) = (ward.job.restored, ward.remaining, ward.waits_for.clone());
            progresses.insert(ward.job.id, Progress { done, remaining, time_left, waits_for });
        }
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
                    self.jobs.retain(|ward| ward.job.id != task);
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
        let now = self.clock.elapsed();
        if self.jobs.is_empty() {
            (self.pace, self.told) = (Pace::from(now), now);
        }
        let progress = Progress { done: 0, remaining: 0, time_left: None, waits_for: None };
        self.progresses.lock().insert(job.id, progress);
        self.jobs.push_back(Ward { job, admitted: now, remaining: 0, known: false, waits_for: None });
    }
}

#[cfg(test)]
mod tests {
    use state::{ColumnId, MemoryBase, TaskStore, TaskStoreLimits};

    use super::*;
    use crate::batch::{Headers, RecordBatch, RecordRef};
    use crate::changelog::META;
    use crate::clock::ManualClock;
    use crate::log::memory::{MemoryLog, MemoryOptions};
    use crate::log::{
        Cleanup, FreeReader, GroupMetadata, Log, LogError, Read, TopicSettings, Transaction, TransactionalId,
        Watermarks,
    };
    use crate::record::{LogTime, Offset, WallTime};

    const TASKS: [TaskId; 2] = [TaskId { sub_topology: 0, partition: 0 }, TaskId { sub_topology: 0, partition: 1 }];

    fn changelog(task: TaskId) -> TopicPartition {
        TopicPartition::new("changelog", task.partition)
    }

    fn write(log: &MemoryLog, to: &TopicPartition, records: usize) -> Box<dyn Transaction> {
        let mut batch = RecordBatch::new();
        let (key, value) = (Some(&[0, 0, 0, 1, 1, b'k'][..]), Some(&b"v"[..]));
        for _ in 0..records {
            batch.push(RecordRef { offset: Offset::ZERO, timestamp: log.now(), key, value, headers: Headers::NONE });
        }
        let mut transaction = log.transaction(&TransactionalId(to.to_string())).unwrap();
        transaction.send(to, &batch).unwrap();
        transaction
    }

    fn topics(log: &MemoryLog) {
        let one = |partitions| TopicSettings {
            partitions,
            cleanup: Cleanup::Compact,
            retention_ms: None,
            log_append_time: false,
        };
        let mut admin = log.admin().unwrap();
        admin.create_topic(&"changelog".into(), one(2)).unwrap();
        admin.create_topic(&"time".into(), one(1)).unwrap();
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::at(WallTime(1_000_000)))
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
        topics(&log);
        let mut open = write(&log, &changelog(TASKS[0]), 1);
        write(&log, &changelog(TASKS[1]), 1).publish(&[], &GroupMetadata::nobody());

        let mut nursery = ThreadNursery::start("worker-0", clock()).unwrap();
        TASKS.iter().for_each(|task| nursery.admit(job(&log, *task)));
        let first = next(&mut nursery);
        assert!(matches!(&first, Restoring::Done(done) if done.id == TASKS[1] && done.records == 1));
        let waits = || nursery.progresses().of(TASKS[0]).and_then(|progress| progress.waits_for);
        while waits().is_none() {
            std::thread::yield_now();
        }
        assert_eq!(waits(), Some(changelog(TASKS[0])));
        open.publish(&[], &GroupMetadata::nobody());
        let second = next(&mut nursery);
        assert!(matches!(&second, Restoring::Done(done) if done.id == TASKS[0] && done.records == 1));
    }

    /// Moves the clock on by a second with each batch, and looks at what is shown of the first task then.
    struct Slow {
        reader: Box<dyn FreeReader>,
        clock: Arc<ManualClock>,
        progresses: Progresses,
        seen: Arc<Mutex<Vec<Progress>>>,
    }

    impl FreeReader for Slow {
        fn read(&mut self, place: &TopicPartition, from: Offset, batch: &mut RecordBatch) -> Result<Read, LogError> {
            self.seen.lock().unwrap().extend(self.progresses.of(TASKS[0]));
            self.clock.advance(DurationMs::seconds(1));
            self.reader.read(place, from, batch)
        }

        fn watermarks(&mut self, place: &TopicPartition) -> Result<Watermarks, LogError> {
            self.reader.watermarks(place)
        }

        fn offset_for_time(&mut self, place: &TopicPartition, time: LogTime) -> Result<Option<Offset>, LogError> {
            self.reader.offset_for_time(place, time)
        }
    }

    #[test]
    fn what_is_left_and_the_time_it_takes_are_those_of_all_changelogs_and_count_down_to_nothing() {
        let log = MemoryLog::new(MemoryOptions { max_batch: 1, ..MemoryOptions::default() });
        topics(&log);
        for (task, records) in TASKS.iter().zip([3, 6]) {
            write(&log, &changelog(*task), records).publish(&[], &GroupMetadata::nobody());
        }
        let (clock, seen) = (clock(), Arc::default());
        let mut nursery = ThreadNursery::start("worker-0", clock.clone()).unwrap();
        let (reader, progresses) = (log.reader().unwrap(), nursery.progresses());
        let reader = Slow { reader, clock, progresses, seen: Arc::clone(&seen) };
        let store = TaskStore::new(MemoryBase::new(), vec![META, ColumnId(1)], TaskStoreLimits::default());
        let columns = vec![(META, changelog(TASKS[0])), (ColumnId(1), changelog(TASKS[1]))];
        let time = TopicPartition::new("time", 0);
        nursery.admit(RestoreJob::new(TASKS[0], store, Box::new(reader), 1, columns, Vec::new(), time));
        assert!(matches!(next(&mut nursery), Restoring::Done(done) if done.records == 9));
        let seen = seen.lock().unwrap();
        let remaining: Vec<u64> = seen.iter().map(|progress| progress.remaining).collect();
        // Records and the markers of two transactions.
        assert_eq!(remaining.first(), Some(&11));
        assert!(remaining.is_sorted_by(|before, after| before >= after), "{remaining:?}");
        assert!(remaining.last().is_some_and(|last| *last <= 2), "{remaining:?}");
        assert_eq!(seen.last().map(|progress| progress.done), Some(8), "the last record is in this very batch");
        assert_eq!(seen[0].time_left, None);
        // One record a second, and a marker without one.
        for progress in &seen[1..] {
            let left = progress.time_left.unwrap().as_secs_f64();
            assert!((left - progress.remaining as f64).abs() <= 0.5 * progress.remaining as f64, "{progress:?}");
        }
    }

    #[test]
    fn who_asks_for_rows_comes_again_when_they_may_be_there() {
        let progresses = Progresses::default();
        assert_eq!(progresses.retry_after(TASKS[0]), RESTORE_RETRY);
        for (left, wait) in [(None, RESTORE_RETRY), (Some(0), DurationMs::seconds(1)), (Some(7_200), RESTORE_RETRY_MAX)]
        {
            let time_left = left.map(Duration::from_secs);
            let progress = Progress { done: 1, remaining: 1, time_left, waits_for: None };
            progresses.lock().insert(TASKS[0], progress);
            assert_eq!(progresses.retry_after(TASKS[0]), wait);
        }
    }
}
