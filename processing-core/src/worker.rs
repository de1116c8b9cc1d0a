//! One thread's work: its membership, its transaction, its tasks.
//!
//! Not here: threads, sleeping and signals ([`crate::run`]), and the commit itself ([`crate::commit`]).
//! Invariant: whatever goes wrong, a worker either takes a step back to what is committed or stops; it
//! never goes on with tasks of which it does not know that they are its own.
//!
//! [`Worker::step`] does a bounded piece of work and never waits, so that a simulator can drive many
//! workers in one thread.

mod answers;

use std::collections::BTreeMap;
use std::sync::Arc;

use state::{Base, ColumnContents, ColumnId, TaskStore, TaskStoreLimits};

use crate::batch::RecordBatch;
use crate::commit::{self, Outcome, Probe};
use crate::commit_record::{CommitRecord, SourceMark};
use crate::counts::Counts;
use crate::error::{CoreError, Remedy};
use crate::idleness::Idleness;
use crate::layout::Layout;
use crate::log::{
    FetchEpoch, FreeReader, GroupSource, Log, LogError, Membership, Polled, Transaction, TransactionalId,
};
use crate::record::{DurationMs, EventTime, Offset, Partition, TopicId, TopicPartition, WallTime};
use crate::restore::{RestoreJob, Restored, Restoring};
use crate::sink::Outbox;
use crate::source::{Raises, SourcePartition, SourceTime};
use crate::step::Terms;
use crate::task::{Task, TaskId, TaskParts, read_record};
use crate::time_log::TimeLog;

pub use answers::{Place, Scan};

/// Where the base stores of tasks are kept.
pub trait StateHome: Send {
    /// What a task's rows lie in.
    type Base: Base + Send + 'static;
    /// Opens the store of a task, empty if there is none.
    fn open(&mut self, task: TaskId, contents: &[ColumnContents]) -> Result<Self::Base, CoreError>;
    /// Throws the store of a task away; it is not open.
    fn destroy(&mut self, task: TaskId) -> Result<(), CoreError>;
}

/// Who steps restores: a thread of its own, or the simulator.
pub trait Nursery<B>: Send {
    /// Takes a restore in.
    fn admit(&mut self, job: RestoreJob<B>);
    /// What has come of those that were taken in; never waits.
    fn outcomes(&mut self) -> Vec<Result<Outcomes<B>, CoreError>>;
    /// Forgets every restore under way.
    fn clear(&mut self);
}

/// What a nursery hands back; opaque outside the core.
pub struct Outcomes<B>(pub(crate) Restoring<B>);

/// Steps each restore once whenever it is asked.
pub struct InlineNursery<B>(Vec<RestoreJob<B>>);

impl<B> Default for InlineNursery<B> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<B: Base + Send> Nursery<B> for InlineNursery<B> {
    fn admit(&mut self, job: RestoreJob<B>) {
        self.0.push(job);
    }

    fn outcomes(&mut self) -> Vec<Result<Outcomes<B>, CoreError>> {
        let mut outcomes = Vec::new();
        for job in std::mem::take(&mut self.0) {
            match job.step() {
                Ok(Restoring::Working(job) | Restoring::Waiting(job, _)) => self.0.push(job),
                Ok(done) => outcomes.push(Ok(Outcomes(done))),
                Err(error) => outcomes.push(Err(error)),
            }
        }
        outcomes
    }

    fn clear(&mut self) {
        self.0.clear();
    }
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
    /// How far event time may be ahead of the log's timestamp.
    pub future_bound: Option<DurationMs>,
    /// The state epoch.
    pub epoch: u32,
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
}

/// Where a partition's records go.
#[derive(Debug, Clone, Copy)]
struct Route {
    task: TaskId,
    source: usize,
    epoch: FetchEpoch,
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
    restoring: BTreeMap<TaskId, ()>,
    routes: BTreeMap<TopicPartition, Route>,
    epoch: FetchEpoch,
    batch: RecordBatch,
    /// When the oldest uncommitted source record came.
    oldest: Option<WallTime>,
    /// Repartition records wait for a commit.
    shuffled: bool,
    last_commit: WallTime,
    probe: Option<Probe>,
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
            idleness: Idleness::new(terms.idle_after, terms.epoch),
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
            restoring: BTreeMap::new(),
            routes: BTreeMap::new(),
            epoch: FetchEpoch(0),
            batch: RecordBatch::new(),
            oldest: None,
            shuffled: false,
            last_commit: WallTime(0),
            probe: None,
            status: WorkerStatus::default(),
            crashed: false,
        })
    }

    /// Sets what is called before each stage of a commit.
    pub fn set_probe(&mut self, probe: Option<Probe>) {
        self.probe = probe;
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
                Remedy::Retry => Ok(Activity { idle: true, ..Activity::default() }),
                Remedy::Rejoin | Remedy::Rebuild => {
                    tracing::warn!(error = %error, "going back to what is committed");
                    self.rebuild()?;
                    Ok(Activity::default())
                }
                Remedy::DropRecord | Remedy::Stop => Err(error),
            },
            done => done,
        }
    }

    fn try_step(&mut self, now: WallTime) -> Result<Activity, CoreError> {
        self.begin_restores()?;
        self.finish_restores(now)?;
        // Windows that are due come out before anything new is taken in, commit by commit.
        if self.tasks.values().any(|task| task.unfinished) {
            let committed = self.commit(now)?;
            return Ok(Activity { committed, ..Activity::default() });
        }
        let mut batch = std::mem::take(&mut self.batch);
        let polled = self.source.poll(&mut batch);
        let took = self.take(polled?, &batch, now);
        self.batch = batch;
        let (records, nothing) = took?;
        if nothing {
            self.time_log.follow()?;
            let moved = self.idleness.raise(&mut self.tasks, &self.time_log, &self.layout, &mut *self.source, now)?;
            self.shuffled |= moved;
        }
        let committed = self.commit_is_due(now, nothing) && self.commit(now)?;
        Ok(Activity { records, committed, idle: nothing && !committed })
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
                let revoked = self.tasks_of(&anchors);
                if revoked.iter().any(|task| self.tasks.contains_key(task)) {
                    self.commit(now)?;
                }
                for task in revoked {
                    self.let_go(task)?;
                }
                for anchor in &anchors {
                    self.source.release(anchor)?;
                }
            }
            Polled::Lost(anchors) => {
                let lost = self.tasks_of(&anchors);
                let ran = lost.iter().any(|task| self.tasks.contains_key(task));
                for task in lost {
                    self.let_go(task)?;
                }
                for anchor in &anchors {
                    self.source.release(anchor)?;
                }
                // What the lost tasks put into the open transaction cannot be taken out of it.
                if ran {
                    self.producer.abort()?;
                    self.rewind_all()?;
                }
            }
        }
        Ok((0, false))
    }

    fn take_records(
        &mut self,
        partition: &TopicPartition,
        next: Offset,
        epoch: FetchEpoch,
        batch: &RecordBatch,
        now: WallTime,
    ) -> Result<usize, CoreError> {
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
            self.commit(now)?;
            if self.crashed {
                return Ok(from);
            }
        }
    }

    /// A commit is due a set time after the oldest uncommitted source record; records from our own
    /// repartition topics when their queue is drained, yet not so often that pre-aggregation would vanish.
    fn commit_is_due(&self, now: WallTime, nothing: bool) -> bool {
        let interval = self.terms.commit_interval.0;
        let since = now.0.saturating_sub(self.last_commit.0);
        self.tasks.values().any(Task::is_full)
            || self.oldest.is_some_and(|oldest| now.0.saturating_sub(oldest.0) >= interval)
            || (self.shuffled && since >= if nothing { interval / 5 } else { interval })
            || (since >= interval && self.tasks.values().any(|task| task.waiting))
    }

    /// Commits all tasks. Answers whether something became true.
    pub(crate) fn commit(&mut self, now: WallTime) -> Result<bool, CoreError> {
        self.idleness.tell(&mut self.tasks, now);
        let source = &self.source;
        let tasks = self.tasks.values_mut().collect();
        let outcome = commit::commit(tasks, &mut *self.producer, || source.group_metadata(), now, &mut self.probe)?;
        self.last_commit = now;
        match outcome {
            Outcome::Nothing => {
                self.oldest = None;
                self.shuffled = false;
                Ok(false)
            }
            Outcome::Committed(counts) => {
                self.oldest = None;
                self.shuffled = false;
                self.status.counts.add(&counts);
                self.status.commits += 1;
                Ok(true)
            }
            Outcome::Aborted(why) => {
                tracing::warn!(why, "the transaction was undone");
                self.status.aborts += 1;
                self.rewind_all()?;
                Ok(false)
            }
            Outcome::Rebuild(error) => Err(error),
            Outcome::Crashed => {
                self.crashed = true;
                Ok(false)
            }
        }
    }

    /// Takes every running task back to its last commit and reads on from there.
    fn rewind_all(&mut self) -> Result<(), CoreError> {
        self.oldest = None;
        self.shuffled = false;
        self.epoch = FetchEpoch(self.epoch.0 + 1);
        self.idleness.forget();
        for task in self.tasks.values_mut() {
            task.rewind()?;
            for source in &task.sources {
                self.source.fetch(&source.place, source.next, self.epoch)?;
                if let Some(route) = self.routes.get_mut(&source.place) {
                    route.epoch = self.epoch;
                }
            }
        }
        Ok(())
    }

    /// Drops everything that is not committed and begins again as a new process would, with the stores
    /// that are there.
    fn rebuild(&mut self) -> Result<(), CoreError> {
        self.status.rebuilds += 1;
        self.tasks.clear();
        self.waiting.clear();
        self.restoring.clear();
        self.nursery.clear();
        self.routes.clear();
        self.oldest = None;
        self.shuffled = false;
        self.epoch = FetchEpoch(self.epoch.0 + 1);
        self.source.close();
        self.idleness.forget();
        let (source, producer, reader) = connect(&*self.log, &self.layout, &self.terms)?;
        (self.source, self.producer) = (source, producer);
        let place = TopicPartition { topic: self.layout.time_topic.clone(), partition: Partition(0) };
        self.time_log = TimeLog::new(reader, place, self.terms.epoch);
        Ok(())
    }

    /// Ends a task here: its store is flushed and closed.
    fn let_go(&mut self, id: TaskId) -> Result<(), CoreError> {
        self.waiting.remove(&id);
        self.restoring.remove(&id);
        if let Some(mut task) = self.tasks.remove(&id) {
            for source in &task.sources {
                self.routes.remove(&source.place);
                self.source.release(&source.place)?;
            }
            task.store.discard();
            task.store.flush()?;
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

    /// Hands assigned tasks to the nursery as soon as the group's offsets are stable.
    fn begin_restores(&mut self) -> Result<(), CoreError> {
        for id in self.waiting.keys().copied().collect::<Vec<_>>() {
            let Some(part) = self.layout.parts.get(usize::from(id.sub_topology)) else { continue };
            let own = part.sources.iter().filter(|source| id.partition < source.partitions);
            let places: Vec<_> = own
                .map(|source| {
                    (TopicPartition { topic: source.topic.clone(), partition: Partition(id.partition) }, source.input)
                })
                .collect();
            let mut unstable = false;
            for (place, _) in &places {
                match self.source.committed(place) {
                    Err(LogError::Retry(_)) => unstable = true,
                    Err(error) => return Err(error.into()),
                    Ok(_) => {}
                }
            }
            if unstable {
                continue;
            }
            let base = match self.home.open(id, &contents(&self.layout, id)) {
                // Its last owner in this process has not closed it yet.
                Err(CoreError::Log(LogError::Retry(_))) => continue,
                opened => opened?,
            };
            let changelogs = changelogs(&self.layout, id);
            let columns: Vec<ColumnId> = changelogs.iter().map(|(column, _)| *column).collect();
            let store = TaskStore::new(base, columns, TaskStoreLimits::default());
            let inputs = places.into_iter().filter(|(_, input)| *input).map(|(place, _)| place).collect();
            let time_log = TopicPartition { topic: self.layout.time_topic.clone(), partition: Partition(0) };
            let reader = self.log.reader()?;
            self.nursery.admit(RestoreJob::new(id, store, reader, self.terms.epoch, changelogs, inputs, time_log));
            self.waiting.remove(&id);
            self.restoring.insert(id, ());
        }
        Ok(())
    }

    fn finish_restores(&mut self, now: WallTime) -> Result<(), CoreError> {
        for outcome in self.nursery.outcomes() {
            match outcome?.0 {
                Restoring::Done(restored) => {
                    // A task that was taken away meanwhile is nobody's here.
                    if self.restoring.remove(&restored.id).is_some() {
                        self.status.restored += restored.records;
                        self.start(*restored, now)?;
                    }
                }
                Restoring::Rebuild(id, why) => {
                    tracing::warn!(task = %id, why, "the store is made anew from its changelog");
                    self.home.destroy(id)?;
                    if self.restoring.remove(&id).is_some() {
                        self.waiting.insert(id, ());
                    }
                }
                Restoring::Working(_) | Restoring::Waiting(..) => {}
            }
        }
        Ok(())
    }

    /// A restored task begins to run.
    fn start(&mut self, restored: Restored<H::Base>, now: WallTime) -> Result<(), CoreError> {
        let Restored { id, store, raises, .. } = restored;
        let layout = Arc::clone(&self.layout);
        let (Some(part), Some(sub)) = (
            layout.parts.get(usize::from(id.sub_topology)),
            layout.plan.sub_topologies().get(usize::from(id.sub_topology)),
        ) else {
            return Ok(());
        };
        let record = read_record(&store)?;
        let mut sources = Vec::new();
        let mut reader = self.log.reader()?;
        for (index, topic) in part.sources.iter().enumerate() {
            if id.partition >= topic.partitions {
                continue;
            }
            let place = TopicPartition { topic: topic.topic.clone(), partition: Partition(id.partition) };
            let mark = record
                .as_ref()
                .and_then(|record| record.sources.iter().find(|mark| mark.topic == place.topic.as_str()));
            let begin = agree(&place, topic.id, mark, self.source.committed(&place)?, record.is_some(), &mut *reader)?;
            let raises = Raises::new(raises.iter().filter(|(at, _)| *at == place).map(|(_, raise)| *raise));
            let mut source = SourcePartition {
                source: index,
                topic_id: topic.id,
                begin,
                next: begin,
                time: if topic.input {
                    SourceTime::Input { stream_time: EventTime::MIN, raises }
                } else {
                    SourceTime::Repartition(Default::default())
                },
                place,
            };
            if let Some(mark) = mark {
                source.rewind(Some(mark));
            }
            sources.push(source);
        }
        self.epoch = FetchEpoch(self.epoch.0 + 1);
        for (index, source) in sources.iter().enumerate() {
            self.routes.insert(source.place.clone(), Route { task: id, source: index, epoch: self.epoch });
            self.source.fetch(&source.place, source.next, self.epoch)?;
            self.idleness.heard(&source.place, now);
        }
        let terms = Terms {
            epoch: self.terms.epoch,
            future_bound: self.terms.future_bound,
            partition: id.partition,
            tasks: part.tasks,
        };
        let changelog_ids = part.changelog_ids.iter().map(|id| id.map(|TopicId(id)| id)).collect();
        let record = record.unwrap_or(CommitRecord {
            number: 0,
            epoch: self.terms.epoch,
            sources: Vec::new(),
            changelogs: changelog_ids,
        });
        let changelog_places = part.outbox.changelogs.iter();
        let changelogs =
            changelog_places.map(|topic| TopicPartition { topic: topic.clone(), partition: Partition(id.partition) });
        let task = Task::new(TaskParts {
            id,
            sources,
            changelogs: changelogs.collect(),
            chain: sub.chain(),
            store,
            out: Outbox::new(&part.outbox, Partition(id.partition)),
            terms,
            record,
        });
        self.tasks.insert(id, task);
        self.shuffled = true;
        Ok(())
    }

    /// How the worker is doing.
    pub fn status(&self) -> WorkerStatus {
        WorkerStatus {
            running: self.tasks.values().map(|task| (task.id, task.commit_number())).collect(),
            restoring: self.waiting.keys().chain(self.restoring.keys()).copied().collect(),
            ..self.status.clone()
        }
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

/// Where reading of a source begins: the commit record and the group's offset must say the same.
fn agree(
    place: &TopicPartition,
    id: TopicId,
    mark: Option<&SourceMark>,
    committed: Option<Offset>,
    has_record: bool,
    reader: &mut dyn FreeReader,
) -> Result<Offset, CoreError> {
    let remedy = "`streamfleet reprocess` sets offsets and state together";
    match (mark, committed) {
        (Some(mark), _) if mark.topic_id != id.0 => Err(CoreError::contradiction(format!(
            "{place}: the topic was deleted and made anew since the last commit; {remedy}"
        ))),
        (Some(mark), Some(committed)) if mark.next != committed => Err(CoreError::contradiction(format!(
            "{place}: the state stands at offset {}, the group at {committed}: the group's offset was changed from \
             outside; {remedy}",
            mark.next
        ))),
        // A group's offsets expire after a week of standstill; the record does not.
        (Some(mark), _) => Ok(mark.next),
        (None, Some(committed)) if !has_record => Err(CoreError::contradiction(format!(
            "{place}: the group stands at offset {committed}, but there is no state that belongs to it; {remedy}"
        ))),
        (None, Some(committed)) => Ok(committed),
        (None, None) => Ok(reader.watermarks(place)?.start),
    }
}

fn changelogs(layout: &Layout, id: TaskId) -> Vec<(ColumnId, TopicPartition)> {
    let Some(part) = layout.parts.get(usize::from(id.sub_topology)) else { return Vec::new() };
    let ids = part.changelog_ids.iter().zip(&part.outbox.changelogs).zip(0_u8..);
    let own = ids.filter(|((id, _), _)| id.is_some());
    own.map(|((_, topic), column)| {
        (ColumnId(column), TopicPartition { topic: topic.clone(), partition: Partition(id.partition) })
    })
    .collect()
}

fn contents(layout: &Layout, id: TaskId) -> Vec<ColumnContents> {
    let Some(sub) = layout.plan.sub_topologies().get(usize::from(id.sub_topology)) else { return Vec::new() };
    crate::plan::contents(sub)
}
