//! One task: a partition of a sub-topology with its chain, its rows and its place in the input.
//!
//! Not here: the transaction it shares with the other tasks of its thread ([`crate::commit`]) and how it
//! comes to life ([`crate::restore`]). Invariant: between two commits a task differs from its last commit
//! record only by what [`Task::rewind`] can take back.

use std::fmt;

use state::{Base, ColumnId, Position, Receipt, TaskStore};

use crate::batch::{HeaderBuffer, RecordBatch};
use crate::changelog::{self, META};
use crate::commit_record::{CommitRecord, SourceMark, TimeMark};
use crate::counts::Counts;
use crate::error::{CoreError, Remedy};
use crate::log::Published;
use crate::process::Chain;
use crate::record::{EventTime, LogTime, Offset, Partition, TopicPartition, WallTime};
use crate::repartition::in_flight::InFlight;
use crate::rewrite::Rewrite;
use crate::sink::{Outbox, set_aside_derived};
use crate::source::{SourcePartition, SourceTime};
use crate::step::{Shares, Step, Terms};
use crate::upgrade::Upgrade;
use state::keys::meta::MetaKey;

/// Which task: sub-topology and partition, written `0_3` as Kafka Streams does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The sub-topology.
    pub sub_topology: u16,
    /// The partition of its sources, stores and changelogs.
    pub partition: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.sub_topology, self.partition)
    }
}

/// The right to apply a task's staged rows, taken from the answer to a publish.
#[derive(Debug)]
pub struct TaskReceipt(Vec<Option<Position>>);

impl TaskReceipt {
    /// Where each changelog of a task stands after the transaction that `published` proves.
    pub(crate) fn of(published: &Published, changelogs: &[TopicPartition]) -> Self {
        let position = |place: &TopicPartition| published.next(place).map(|next| Position(next.0));
        Self(changelogs.iter().map(position).collect())
    }
}

impl Receipt for TaskReceipt {
    fn position(&self, column: ColumnId) -> Option<Position> {
        self.0.get(usize::from(column.0)).copied().flatten()
    }
}

/// A task that runs.
pub(crate) struct Task<B> {
    pub(crate) id: TaskId,
    pub(crate) sources: Vec<SourcePartition>,
    /// How many topics the chain reads; some may have fewer partitions than there are tasks.
    source_count: usize,
    /// By column.
    pub(crate) changelogs: Vec<TopicPartition>,
    chain: Box<dyn Chain>,
    pub(crate) store: TaskStore<B, TaskReceipt>,
    out: Outbox,
    terms: Terms,
    /// The last commit.
    record: CommitRecord,
    /// The one that the open transaction carries.
    next_record: Option<CommitRecord>,
    /// Since the last commit.
    pub(crate) counts: Counts,
    /// Windows are due that the last call had no room for.
    pub(crate) unfinished: bool,
    /// Updates wait for their interval.
    pub(crate) waiting: bool,
    /// Time or place has moved since the last commit.
    pub(crate) moved: bool,
    full: bool,
    held_bytes: usize,
    /// What each of its stores kept in memory at the last commit.
    kept_bytes: Vec<usize>,
    /// The same of what has to last.
    lasting_bytes: Vec<usize>,
    /// One for each changelog that forgets.
    rewrites: Vec<Rewrite>,
    /// What is left to do before its rows are what the plan says.
    upgrade: Option<Upgrade>,
    /// By source: what partial aggregates may come.
    in_flight: Vec<Option<InFlight>>,
    /// Its store holds what cannot be read.
    pub(crate) broken: bool,
}

/// What a task is made of.
pub(crate) struct TaskParts<B> {
    pub(crate) id: TaskId,
    pub(crate) sources: Vec<SourcePartition>,
    pub(crate) source_count: usize,
    pub(crate) changelogs: Vec<TopicPartition>,
    pub(crate) chain: Box<dyn Chain>,
    pub(crate) store: TaskStore<B, TaskReceipt>,
    pub(crate) out: Outbox,
    pub(crate) terms: Terms,
    pub(crate) record: CommitRecord,
    pub(crate) rewrites: Vec<Rewrite>,
    pub(crate) upgrade: Option<Upgrade>,
    pub(crate) in_flight: Vec<Option<InFlight>>,
}

impl<B: Base> Task<B> {
    pub(crate) fn new(parts: TaskParts<B>) -> Self {
        let TaskParts {
            id,
            sources,
            source_count,
            changelogs,
            chain,
            store,
            out,
            terms,
            record,
            rewrites,
            upgrade,
            in_flight,
        } = parts;
        Self {
            id,
            sources,
            source_count,
            changelogs,
            chain,
            store,
            out,
            terms,
            record,
            next_record: None,
            counts: Counts::default(),
            // Nothing is taken in before rows are what the plan says.
            unfinished: upgrade.as_ref().is_some_and(Upgrade::blocks),
            waiting: false,
            // The first commit closes what was due when the last owner stopped.
            moved: true,
            full: false,
            held_bytes: 0,
            kept_bytes: Vec::new(),
            lasting_bytes: Vec::new(),
            rewrites,
            upgrade,
            in_flight,
            broken: false,
        }
    }

    /// Runs the records of `batch`, which come from source number `source`, from index `from` on. Answers
    /// where it stopped; before the end, a commit must come first.
    pub(crate) fn run(
        &mut self,
        batch: &RecordBatch,
        source: usize,
        from: usize,
        now: WallTime,
    ) -> Result<usize, CoreError> {
        let Some(mut place) = self.sources.get(source).cloned() else { return Ok(batch.len()) };
        self.moved = true;
        let translated = match self.in_flight.get(source).and_then(Option::as_ref) {
            Some(in_flight) => in_flight.translated(self.terms.epoch, &place.place, batch)?,
            None => None,
        };
        let batch = translated.as_ref().unwrap_or(batch);
        let stopped = self.step(now, |step, chain, _| chain.run(step, &mut place, batch, from));
        if let Some(slot) = self.sources.get_mut(source) {
            *slot = place;
        }
        stopped
    }

    /// Gets everything ready to be sent: closes what is due, stages and logs rows, and writes the commit
    /// record. Answers whether there is anything to commit.
    pub(crate) fn prepare(&mut self, now: WallTime) -> Result<bool, CoreError> {
        let was_moved = self.moved || self.unfinished || self.waiting || self.has_rows_to_write_again(now);
        if !was_moved && self.out.is_empty() {
            return Ok(false);
        }
        // Until it is applied or taken back: a commit that is tried again must not leave this task out, whose
        // records may be in the transaction already.
        self.moved = true;
        if !self.upgrade(now)? {
            self.unfinished = true;
            return self.note_commit(now).map(|()| true);
        }
        let source_count = self.source_count;
        (self.unfinished, self.waiting) = self.step(now, |step, chain, sources| {
            // By the number of the source in the chain. A topic without this partition has no say in the task's time.
            let mut times = vec![EventTime::MAX; source_count];
            for source in sources {
                if let Some(time) = times.get_mut(source.source) {
                    *time = source.reached();
                }
            }
            chain.advance(step, &times);
            chain.drain(step);
            if let Some(source) = sources.first() {
                set_aside_derived(step, &source.place);
            }
            (step.unfinished, step.waiting)
        })?;
        self.write_again(now)?;
        self.note_commit(now)?;
        Ok(true)
    }

    fn note_commit(&mut self, now: WallTime) -> Result<(), CoreError> {
        let record = self.next_record();
        self.next_record = Some(record.clone());
        self.step(now, |step, _, _| changelog::put_own(step, MetaKey::CommitRecord, &record))
    }

    /// Stages the next part of an upgrade. Answers whether the chain may run.
    fn upgrade(&mut self, now: WallTime) -> Result<bool, CoreError> {
        let Some(mut upgrade) = self.upgrade.take() else { return Ok(true) };
        let done = self.step(now, |step, _, _| upgrade.advance(step));
        self.upgrade = Some(upgrade);
        done
    }

    /// Whether its rows are not yet what the plan says, so that nobody may read them.
    pub(crate) fn is_upgrading(&self) -> bool {
        self.upgrade.as_ref().is_some_and(Upgrade::blocks)
    }

    /// Whether some row would outlive its changelog, be there input or not.
    pub(crate) fn has_rows_to_write_again(&self, now: WallTime) -> bool {
        self.rewrites.iter().any(|rewrite| rewrite.is_due(now))
    }

    fn write_again(&mut self, now: WallTime) -> Result<(), CoreError> {
        let mut rewrites = std::mem::take(&mut self.rewrites);
        let done = rewrites.iter_mut().filter(|rewrite| rewrite.has_part_in(now)).try_for_each(|rewrite| {
            let stands = self.store.position(rewrite.column())?;
            self.waiting |= self.step(now, |step, _, _| {
                rewrite.advance(step, stands);
                step.waiting
            })?;
            Ok(())
        });
        self.rewrites = rewrites;
        done
    }

    /// Writes into the application's time log, within the open transaction.
    pub(crate) fn log_time(&mut self, key: &[u8], value: &[u8], now: WallTime) {
        let record = crate::sink::plain(LogTime(now.0), Some(key), Some(value));
        self.out.push(crate::sink::Lane::Time, Partition(0), record);
    }

    fn next_record(&self) -> CommitRecord {
        let mark = |source: &SourcePartition| SourceMark {
            topic: source.place.topic.as_str().to_owned(),
            topic_id: source.topic_id.0,
            next: source.next,
            time: match &source.time {
                SourceTime::Input { stream_time, .. } => TimeMark::Input(*stream_time),
                SourceTime::Repartition(upstreams) => TimeMark::Repartition(upstreams.clone()),
            },
        };
        CommitRecord {
            number: self.record.number + 1,
            sources: self.sources.iter().map(mark).collect(),
            ..self.record.clone()
        }
    }

    /// The positions that the next transaction attaches: of every source, moved or not, so that the log
    /// checks the group's generation.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (TopicPartition, Offset)> {
        self.sources.iter().map(|source| (source.place.clone(), source.next))
    }

    /// Hands every waiting record to `send`.
    pub(crate) fn send_all<E>(
        &mut self,
        send: impl FnMut(&TopicPartition, &RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        self.out.send_all(send)
    }

    /// The transaction is true: what was staged becomes the state.
    pub(crate) fn apply(&mut self, published: &Published) -> Result<Counts, CoreError> {
        self.store.apply(&TaskReceipt::of(published, &self.changelogs))?;
        if let Some(record) = self.next_record.take() {
            self.record = record;
        }
        self.sources.iter_mut().for_each(SourcePartition::settle);
        self.rewrites.iter_mut().for_each(Rewrite::settle);
        if self.upgrade.as_mut().is_some_and(Upgrade::settle) {
            self.upgrade = None;
        }
        self.moved = false;
        self.held_bytes = 0;
        self.full = false;
        Ok(std::mem::take(&mut self.counts))
    }

    /// The transaction was aborted: everything goes back to the last commit.
    pub(crate) fn rewind(&mut self) {
        self.store.discard();
        self.chain.abandon();
        self.rewrites.iter_mut().for_each(Rewrite::rewind);
        self.upgrade.iter_mut().for_each(Upgrade::rewind);
        self.out.clear();
        self.counts = Counts::default();
        self.next_record = None;
        (self.unfinished, self.waiting, self.moved, self.full, self.held_bytes) = (false, false, true, false, 0);
        self.unfinished = self.is_upgrading();
        for source in &mut self.sources {
            // By name: until its first commit, the record is that of a run with perhaps other inputs.
            let mark = self.record.sources.iter().find(|mark| mark.topic == source.place.topic.as_str());
            source.rewind(mark);
        }
    }

    /// What each of its stores keeps in memory and can let go of, in bytes, in no order.
    pub(crate) fn kept_bytes(&self) -> &[usize] {
        &self.kept_bytes
    }

    /// The same of what has to last.
    pub(crate) fn lasting_bytes(&self) -> &[usize] {
        &self.lasting_bytes
    }

    /// What each of its stores may keep in memory from the next commit on.
    pub(crate) fn set_shares(&mut self, shares: Shares) {
        self.terms.shares = shares;
    }

    /// What it holds for the open transaction, in bytes.
    pub(crate) fn transaction_bytes(&self) -> usize {
        self.held_bytes + self.out.bytes() + self.store.staged_bytes()
    }

    /// Whether it reads what other tasks send.
    pub(crate) fn is_downstream(&self) -> bool {
        self.sources.iter().any(|source| matches!(source.time, SourceTime::Repartition(_)))
    }

    /// Whether a commit must come before the next record.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// The number of the last commit.
    pub(crate) fn commit_number(&self) -> u64 {
        self.record.number
    }

    /// How far event time had come at the last commit.
    pub(crate) fn committed_time(&self) -> EventTime {
        let reached = |mark: &SourceMark| match &mark.time {
            TimeMark::Input(time) => *time,
            TimeMark::Repartition(upstreams) => upstreams.reached(),
        };
        self.record.sources.iter().map(reached).min().unwrap_or(EventTime::MIN)
    }

    fn step<T>(
        &mut self,
        now: WallTime,
        call: impl FnOnce(&mut Step<'_>, &mut Box<dyn Chain>, &[SourcePartition]) -> T,
    ) -> Result<T, CoreError> {
        let mut step = Step {
            rows: &mut self.store,
            out: &mut self.out,
            counts: &mut self.counts,
            terms: self.terms,
            now,
            closings_left: self.terms.bounds.close_slice_records,
            unfinished: false,
            waiting: false,
            stream_time: EventTime::MIN,
            seen: EventTime::MIN,
            since: self.sources.iter().map(SourcePartition::since).min().unwrap_or(EventTime::MAX),
            log_time: LogTime(now.0),
            offset: None,
            headers: HeaderBuffer::default(),
            verdicts: Vec::new(),
            held_bytes: self.held_bytes,
            kept_bytes: Vec::new(),
            lasting_bytes: Vec::new(),
            failure: None,
        };
        let answer = call(&mut step, &mut self.chain, &self.sources);
        self.held_bytes = step.held_bytes;
        self.full = step.is_full();
        if !(step.kept_bytes.is_empty() && step.lasting_bytes.is_empty()) {
            (self.kept_bytes, self.lasting_bytes) = (step.kept_bytes, step.lasting_bytes);
        }
        match step.failure {
            Some(failure) => {
                self.broken |= matches!(&failure, CoreError::Store { remedy: Remedy::Rebuild, .. });
                Err(failure)
            }
            None => Ok(answer),
        }
    }
}

/// The commit record that a store holds.
pub(crate) fn read_record<B: Base>(store: &TaskStore<B, TaskReceipt>) -> Result<Option<CommitRecord>, CoreError> {
    let Some(bytes) = store.get(META, &MetaKey::CommitRecord.to_bytes())? else { return Ok(None) };
    record_of(&bytes).map(Some)
}

/// The commit record of a row of the meta column.
pub(crate) fn record_of(bytes: &[u8]) -> Result<CommitRecord, CoreError> {
    state::codec::decode(bytes)
        .map_err(|error| CoreError::store_refused(format!("the commit record cannot be read: {error}")))
}

#[cfg(test)]
mod allocations;
#[cfg(test)]
mod slices;
