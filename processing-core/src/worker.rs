//! One thread's work: its membership, its transaction, its tasks.
//!
//! Not here: threads, sleeping and signals ([`crate::run`]), and the commit itself ([`crate::commit`]).
//! Invariant: whatever goes wrong, a worker either takes a step back to what is committed or stops; it
//! never goes on with tasks of which it does not know that they are its own.
//!
//! [`Worker::step`] does a bounded piece of work and never waits, so that a simulator can drive many
//! workers in one thread.

mod answers;
mod assignment;
mod committing;
#[cfg(test)]
mod earlier;
#[cfg(test)]
mod foreign_keys;
#[cfg(test)]
mod forgetting;
#[cfg(test)]
mod generations;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod joining;
#[cfg(test)]
mod keeping_pace;
#[cfg(test)]
mod limiting;
mod nursery;
#[cfg(test)]
mod obeying;
mod pausing;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod standing_by;
#[cfg(test)]
mod upgrading;

use std::collections::BTreeMap;
use std::sync::Arc;

use state::{Base, ColumnContents};

use crate::batch::RecordBatch;
use crate::commit::Probe;
use crate::counts::Counts;
use crate::error::{CoreError, Remedy};
use crate::idleness::Idleness;
use crate::layout::Layout;
use crate::limits::{Bounds, IDLE_CHECK};
use crate::log::{FetchEpoch, FreeReader, GroupSource, Log, Membership, Polled, Transaction, TransactionalId};
use crate::record::{DurationMs, Offset, Partition, TopicPartition, WallTime};
use crate::task::{Task, TaskId};
use crate::time_log::TimeLog;

pub use answers::{Place, Scan};
use assignment::Upbringing;
pub use nursery::{InlineNursery, Nursery, Outcomes};

/// Where the base stores of tasks are kept.
pub trait StateHome: Send {
    /// What a task's rows lie in.
    type Base: Base + Send + 'static;
    /// Opens the store of a task, empty if there is none.
    fn open(&mut self, task: TaskId, contents: &[ColumnContents]) -> Result<Self::Base, CoreError>;
    /// Throws the store of a task away; it is not open.
    fn destroy(&mut self, task: TaskId) -> Result<(), CoreError>;
}

/// What a worker is told at its birth.
#[derive(Debug, Clone)]
pub struct WorkerTerms {
    /// The static member: pod and thread. Group instance and transactional id are made of it.
    pub instance: String,
    /// A commit is due this long after the oldest uncommitted source record.
    pub commit_interval: DurationMs,
    /// A partition that is read to its end and silent for this long is idle; `None` is never.
    pub idle_after: Option<DurationMs>,
    /// When every input is idle, event time goes on with the clock, so far behind it; `None` is never.
    pub idle_close: Option<DurationMs>,
    /// How far event time may be ahead of the log's timestamp.
    pub future_bound: Option<DurationMs>,
    /// The state epoch.
    pub epoch: u32,
    /// When a commit must come early.
    pub bounds: Bounds,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Records taken in.
    pub records: usize,
    /// Whether a commit became true.
    pub committed: bool,
    /// Whether there is nothing to do before new input or a later time.
    pub idle: bool,
}

/// The numbers of a worker, for its status.
#[derive(Debug, Clone, Default)]
pub struct WorkerStatus {
    /// Running tasks with their last commit's number.
    pub running: Vec<(TaskId, u64)>,
    /// Tasks that are being restored.
    pub restoring: Vec<TaskId>,
    /// What committed transactions counted, since the worker began.
    pub counts: Counts,
    /// Committed transactions.
    pub commits: u64,
    /// Transactions that were undone.
    pub aborts: u64,
    /// Times that producer and tasks were made anew.
    pub rebuilds: u64,
    /// Records restored.
    pub restored: u64,
    /// What the last step met that may pass by itself; it is tried again until it does.
    pub waits_for: Option<String>,
}

/// Where a partition's records go.
#[derive(Debug, Clone, Copy)]
struct Route {
    task: TaskId,
    source: usize,
    epoch: FetchEpoch,
    /// Whether the log has been asked to read from where the source stands.
    asked: bool,
    /// Whether the log has been asked to hand out nothing since.
    held: bool,
}

/// What the group wants back. It is carried out step by step; each may have to be tried again, and
/// nothing is taken in before the last is done.
#[derive(Debug)]
struct HandBack {
    anchors: Vec<TopicPartition>,
    /// In good order: what the tasks hold is committed first.
    commit: bool,
    /// Too late: what they put into the open transaction cannot be taken out of it, so all of it goes.
    abort: bool,
}

/// One thread's membership, transaction and tasks.
pub struct Worker<H: StateHome, N> {
    log: Arc<dyn Log>,
    layout: Arc<Layout>,
    terms: WorkerTerms,
    home: H,
    nursery: N,
    source: Box<dyn GroupSource>,
    producer: Box<dyn Transaction>,
    time_log: TimeLog,
    idleness: Idleness,
    tasks: BTreeMap<TaskId, Task<H::Base>>,
    /// Assigned, and not yet with the nursery: their committed offsets are still being asked for.
    waiting: BTreeMap<TaskId, ()>,
    /// The one of them that was asked for last, without an answer: the others come before it now.
    unanswered: Option<TaskId>,
    restoring: BTreeMap<TaskId, Upbringing<H::Base>>,
    /// How often each store was made anew since this worker last committed.
    remade: BTreeMap<TaskId, u32>,
    hand_back: Option<HandBack>,
    /// Membership and producer are gone and must be made anew.
    disconnected: bool,
    routes: BTreeMap<TopicPartition, Route>,
    epoch: FetchEpoch,
    batch: RecordBatch,
    /// When the oldest uncommitted source record came.
    oldest: Option<WallTime>,
    /// Repartition records wait for a commit.
    shuffled: bool,
    /// Something else than a record waits for one.
    moved: bool,
    last_commit: WallTime,
    idle_checked: WallTime,
    probe: Option<Probe>,
    /// Whether new input waits.
    paused: bool,
    /// What happened, for the status.
    pub(crate) status: WorkerStatus,
    crashed: bool,
}

impl<H: StateHome, N: Nursery<H::Base>> Worker<H, N> {
    /// Joins the group and fences whoever ran under the same instance before.
    pub fn new(
        log: Arc<dyn Log>,
        layout: Arc<Layout>,
        terms: WorkerTerms,
        home: H,
        nursery: N,
    ) -> Result<Self, CoreError> {
        let (source, producer, reader) = connect(&*log, &layout, &terms)?;
        let time_log = TimeLog::new(
            reader,
            TopicPartition { topic: layout.time_topic.clone(), partition: Partition(0) },
            terms.epoch,
        );
        Ok(Self {
            idleness: Idleness::new((terms.idle_after, terms.idle_close), terms.epoch),
            log,
            layout,
            terms,
            home,
            nursery,
            source,
            producer,
            time_log,
            tasks: BTreeMap::new(),
            waiting: BTreeMap::new(),
            unanswered: None,
            restoring: BTreeMap::new(),
            remade: BTreeMap::new(),
            hand_back: None,
            disconnected: false,
            routes: BTreeMap::new(),
            epoch: FetchEpoch(0),
            batch: RecordBatch::new(),
            oldest: None,
            shuffled: false,
            moved: false,
            last_commit: WallTime(0),
            idle_checked: WallTime(0),
            probe: None,
            paused: false,
            status: WorkerStatus::default(),
            crashed: false,
        })
    }

    /// Sets what is called before each stage of a commit.
    pub fn set_probe(&mut self, probe: Option<Probe>) {
        self.probe = probe;
    }

    /// From here on event time stands still where every input is idle.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn let_time_stand_still(&mut self) {
        self.idleness.let_time_stand_still();
    }

    /// Whether the probe has broken: such a worker must be dropped as a dead process is.
    pub fn has_crashed(&self) -> bool {
        self.crashed
    }

    /// Does a bounded piece of work. An error stops the worker for good; what can be mended is mended.
    pub fn step(&mut self, now: WallTime) -> Result<Activity, CoreError> {
        if self.crashed {
            return Ok(Activity { idle: true, ..Activity::default() });
        }
        match self.try_step(now) {
            Err(error) => match error.remedy() {
                Remedy::Retry => {
                    self.status.waits_for = Some(error.to_string());
                    Ok(Activity { idle: true, ..Activity::default() })
                }
                Remedy::Rejoin | Remedy::Rebuild => {
                    tracing::warn!(error = %error, "going back to what is committed");
                    let broken: Vec<TaskId> =
                        self.tasks.values().filter(|task| task.broken).map(|task| task.id).collect();
                    self.drop_everything();
                    self.make_anew(&broken, &error)?;
                    Ok(Activity::default())
                }
                Remedy::DropRecord | Remedy::Stop => Err(error),
            },
            done => {
                self.status.waits_for = None;
                done
            }
        }
    }

    fn try_step(&mut self, now: WallTime) -> Result<Activity, CoreError> {
        self.connect_again()?;
        self.serve_hand_back(now)?;
        if self.crashed {
            return Ok(Activity::default());
        }
        self.begin_restores()?;
        self.finish_restores()?;
        self.start_restored(now)?;
        self.ask_for_records()?;
        self.hold_inputs(now)?;
        // Windows that are due come out before anything new is taken in, commit by commit.
        if self.is_unfinished() {
            let committed = self.commit(now)?;
            return Ok(Activity { committed, ..Activity::default() });
        }
        let mut batch = std::mem::take(&mut self.batch);
        let polled = self.source.poll(&mut batch);
        let took = polled.map_err(CoreError::from).and_then(|polled| self.take(polled, &batch, now));
        self.batch = batch;
        let (records, nothing) = took?;
        if self.crashed {
            return Ok(Activity::default());
        }
        let since = now.0.saturating_sub(self.idle_checked.0);
        if !self.paused && (nothing || !(0..IDLE_CHECK.0).contains(&since)) {
            self.idle_checked = now;
            self.raise_idle(now)?;
        }
        let committed = match self.commit_is_due(now, nothing) {
            Some(scope) => self.commit_within(scope, now)?,
            None => false,
        };
        Ok(Activity { records, committed, idle: nothing && !committed })
    }

    /// Raises the inputs that are idle, once everything is known that was decided before.
    fn raise_idle(&mut self, now: WallTime) -> Result<(), CoreError> {
        if !self.time_log.follow()? {
            return Ok(());
        }
        let Self { idleness, tasks, time_log, layout, source, moved, .. } = self;
        idleness.raise(tasks, time_log, layout, &mut **source, now, moved)
    }

    /// Carries out what a poll has found. Answers the records taken in, and whether there was nothing.
    fn take(&mut self, polled: Polled, batch: &RecordBatch, now: WallTime) -> Result<(usize, bool), CoreError> {
        match polled {
            Polled::Nothing => return Ok((0, true)),
            Polled::Records { partition, next, epoch } => {
                let taken = self.take_records(&partition, next, epoch, batch, now)?;
                return Ok((taken, false));
            }
            Polled::Assigned(anchors) => {
                for task in self.tasks_of(&anchors) {
                    let known = self.tasks.contains_key(&task) || self.restoring.contains_key(&task);
                    if !known {
                        self.waiting.insert(task, ());
                    }
                }
            }
            Polled::Revoked(anchors) => {
                let commit = self.tasks_of(&anchors).iter().any(|task| self.tasks.contains_key(task));
                self.hand_back = Some(HandBack { anchors, commit, abort: false });
                self.serve_hand_back(now)?;
            }
            Polled::Lost(anchors) => {
                let abort = self.tasks_of(&anchors).iter().any(|task| self.tasks.contains_key(task));
                self.hand_back = Some(HandBack { anchors, commit: false, abort });
                self.serve_hand_back(now)?;
            }
        }
        Ok((0, false))
    }

    /// Gives back what the group has asked for.
    fn serve_hand_back(&mut self, now: WallTime) -> Result<(), CoreError> {
        let Some(HandBack { anchors, commit, abort }) = &self.hand_back else { return Ok(()) };
        let (anchors, commit, abort) = (anchors.clone(), *commit, *abort);
        if commit {
            self.commit(now)?;
            if self.crashed {
                return Ok(());
            }
        }
        if abort {
            self.producer.abort()?;
            self.rewind_all();
        }
        if let Some(hand_back) = &mut self.hand_back {
            (hand_back.commit, hand_back.abort) = (false, false);
        }
        for task in self.tasks_of(&anchors) {
            self.let_go(task)?;
        }
        for anchor in &anchors {
            self.source.release(anchor)?;
        }
        self.hand_back = None;
        Ok(())
    }

    fn take_records(
        &mut self,
        partition: &TopicPartition,
        next: Offset,
        epoch: FetchEpoch,
        batch: &RecordBatch,
        now: WallTime,
    ) -> Result<usize, CoreError> {
        if batch.is_empty() {
            // Only markers and aborted records: nothing to fold, and no reason for a commit.
            self.pass(partition, next, epoch);
            return Ok(0);
        }
        let mut from = 0;
        loop {
            // Looked up afresh each time: a commit in between may have sent everything back.
            let Some(route) = self.routes.get(partition).copied().filter(|route| route.epoch == epoch) else {
                return Ok(from);
            };
            let Some(task) = self.tasks.get_mut(&route.task) else { return Ok(from) };
            from = task.run(batch, route.source, from, now)?;
            let input = self.layout.parts.get(usize::from(route.task.sub_topology));
            if input.and_then(|part| part.sources.get(route.source)).is_some_and(|source| source.input) {
                self.oldest.get_or_insert(now);
            } else {
                self.shuffled = true;
            }
            if from >= batch.len() {
                if let Some(source) = task.sources.get_mut(route.source) {
                    source.pass_to(next);
                }
                self.idleness.heard(partition, now);
                return Ok(batch.len());
            }
            if let Err(error) = self.commit_all_due(now) {
                // The rest of the batch is dropped here, so it must be read again.
                self.read_again(partition);
                return Err(error);
            }
            if self.crashed {
                return Ok(from);
            }
        }
    }

    /// Reading goes on beyond what holds no records.
    fn pass(&mut self, partition: &TopicPartition, next: Offset, epoch: FetchEpoch) {
        let route = self.routes.get(partition).copied().filter(|route| route.epoch == epoch);
        let task = route.and_then(|route| Some((self.tasks.get_mut(&route.task)?, route.source)));
        if let Some(source) = task.and_then(|(task, source)| task.sources.get_mut(source)) {
            source.pass_to(next);
        }
    }

    fn is_unfinished(&self) -> bool {
        self.tasks.values().any(|task| task.unfinished)
    }

    /// Takes every running task back to its last commit and reads on from there.
    fn rewind_all(&mut self) {
        self.oldest = None;
        // What was due before is due again, also where no record comes any more.
        self.moved = true;
        self.idleness.forget();
        self.tasks.values_mut().for_each(Task::rewind);
        self.epoch = FetchEpoch(self.epoch.0 + 1);
        for route in self.routes.values_mut() {
            (route.epoch, route.asked) = (self.epoch, false);
        }
    }

    /// Reads a partition again from where its source stands; what is on its way is dropped.
    fn read_again(&mut self, partition: &TopicPartition) {
        self.epoch = FetchEpoch(self.epoch.0 + 1);
        if let Some(route) = self.routes.get_mut(partition) {
            (route.epoch, route.asked) = (self.epoch, false);
        }
    }

    /// Asks the log to read each partition from where its source stands.
    fn ask_for_records(&mut self) -> Result<(), CoreError> {
        for (place, route) in self.routes.iter_mut().filter(|(_, route)| !route.asked) {
            let task = self.tasks.get(&route.task);
            let Some(source) = task.and_then(|task| task.sources.get(route.source)) else { continue };
            self.source.fetch(place, source.next, route.epoch)?;
            (route.asked, route.held) = (true, false);
        }
        Ok(())
    }

    /// Drops everything that is not committed; the next step begins as a new process would, with the
    /// stores that are there.
    fn drop_everything(&mut self) {
        self.status.rebuilds += 1;
        self.tasks.clear();
        self.waiting.clear();
        self.restoring.clear();
        self.nursery.clear();
        self.routes.clear();
        self.hand_back = None;
        self.oldest = None;
        (self.shuffled, self.moved) = (false, false);
        self.epoch = FetchEpoch(self.epoch.0 + 1);
        self.source.close();
        self.idleness.forget();
        self.disconnected = true;
    }

    fn connect_again(&mut self) -> Result<(), CoreError> {
        if !self.disconnected {
            return Ok(());
        }
        let (source, producer, reader) = connect(&*self.log, &self.layout, &self.terms)?;
        (self.source, self.producer) = (source, producer);
        let place = TopicPartition { topic: self.layout.time_topic.clone(), partition: Partition(0) };
        self.time_log = TimeLog::new(reader, place, self.terms.epoch);
        self.disconnected = false;
        Ok(())
    }

    /// Ends a task here: its store is flushed and closed.
    fn let_go(&mut self, id: TaskId) -> Result<(), CoreError> {
        self.waiting.remove(&id);
        if self.restoring.remove(&id).is_some() {
            self.nursery.cancel(id);
        }
        if let Some(task) = self.tasks.get_mut(&id) {
            for source in &task.sources {
                self.source.release(&source.place)?;
                self.routes.remove(&source.place);
            }
            task.store.discard();
            task.store.flush()?;
            self.tasks.remove(&id);
        }
        Ok(())
    }

    fn tasks_of(&self, anchors: &[TopicPartition]) -> Vec<TaskId> {
        let part = |anchor: &TopicPartition| self.layout.parts.iter().position(|part| part.anchor == anchor.topic);
        let id = |anchor: &TopicPartition| {
            part(anchor).map(|part| TaskId { sub_topology: part as u16, partition: anchor.partition.0 })
        };
        anchors.iter().filter_map(id).collect()
    }

    /// How the worker is doing.
    pub fn status(&self) -> WorkerStatus {
        WorkerStatus {
            running: self.tasks.values().map(|task| (task.id, task.commit_number())).collect(),
            restoring: self.waiting.keys().chain(self.restoring.keys()).copied().collect(),
            ..self.status.clone()
        }
    }

    /// The running tasks, for checks.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn running_tasks(&self) -> impl Iterator<Item = &Task<H::Base>> {
        self.tasks.values()
    }

    /// Commits, flushes and closes everything, and stays a member for whoever comes back under the same
    /// instance.
    pub fn close(mut self, now: WallTime) -> Result<(), CoreError> {
        let committed = self.commit(now);
        for task in self.tasks.values_mut() {
            task.store.discard();
            task.store.flush()?;
        }
        self.source.close();
        committed.map(|_| ())
    }
}

type Sides = (Box<dyn GroupSource>, Box<dyn Transaction>, Box<dyn FreeReader>);

/// The producer comes first: it fences the predecessor, so that what is read afterwards is final.
fn connect(log: &dyn Log, layout: &Layout, terms: &WorkerTerms) -> Result<Sides, CoreError> {
    let app = layout.plan.name();
    let producer = log.transaction(&TransactionalId(format!("{app}-{}", terms.instance)))?;
    let source = log.group_source(Membership {
        group: app.to_owned(),
        instance: terms.instance.clone(),
        anchors: layout.parts.iter().map(|part| part.anchor.clone()).collect(),
    })?;
    Ok((source, producer, log.reader()?))
}
