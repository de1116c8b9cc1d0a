//! A task comes to life: its store is brought to where its changelogs stand.
//!
//! Not here: who runs this and when ([`crate::worker`]). Invariant: a task is handed over only when
//! every changelog was read up to its high watermark, taken after the thread's own producer had fenced
//! its predecessor; an open transaction below it is waited for, never skipped.

use state::{Base, Change, ColumnId, KeyRange, Position, TaskStore};

use crate::batch::RecordBatch;
use crate::changelog::{self, Logged};
use crate::error::{CoreError, Remedy};
use crate::log::{FreeReader, Read};
use crate::record::{Offset, TopicPartition};
use crate::source::Raise;
use crate::task::{TaskId, TaskReceipt, read_record};
use crate::time_log::{self, Entry};

/// A store on its way back to its last commit.
pub struct RestoreJob<B> {
    pub(crate) id: TaskId,
    store: TaskStore<B, TaskReceipt>,
    reader: Box<dyn FreeReader>,
    epoch: u32,
    /// Columns still to be read, the one under way last.
    columns: Vec<Column>,
    /// The inputs whose raises are looked for in the time log.
    inputs: Vec<TopicPartition>,
    time_log: TopicPartition,
    time_next: Option<Offset>,
    time_end: Option<Offset>,
    raises: Vec<(TopicPartition, Raise)>,
    batch: RecordBatch,
    /// Records applied so far.
    pub(crate) restored: u64,
}

struct Column {
    column: ColumnId,
    changelog: TopicPartition,
    /// The high watermark to be reached; taken when the column's turn comes.
    until: Option<Offset>,
    next: Option<Offset>,
}

/// What a step of a restore came to.
pub(crate) enum Restoring<B> {
    /// There is more.
    Working(RestoreJob<B>),
    /// A transaction is still open below the end; nothing to do until it is decided.
    Waiting(RestoreJob<B>, TopicPartition),
    /// The store cannot follow its changelog: it must be made anew, empty.
    Rebuild(TaskId, String),
    /// It is where its changelogs are.
    Done(Box<Restored<B>>),
}

/// As [`Restoring`], while the job is still in the hand.
enum Verdict {
    Working,
    Waiting(TopicPartition),
    Rebuild(String),
    Done,
}

impl<B> Restoring<B> {
    /// Which task's.
    pub(crate) fn id(&self) -> TaskId {
        match self {
            Self::Working(job) | Self::Waiting(job, _) => job.id,
            Self::Rebuild(id, _) => *id,
            Self::Done(restored) => restored.id,
        }
    }
}

/// A store at its last commit, and what the time log holds for its inputs.
pub(crate) struct Restored<B> {
    pub(crate) id: TaskId,
    pub(crate) store: TaskStore<B, TaskReceipt>,
    pub(crate) raises: Vec<(TopicPartition, Raise)>,
    pub(crate) records: u64,
}

impl<B: Base> RestoreJob<B> {
    pub(crate) fn new(
        id: TaskId,
        store: TaskStore<B, TaskReceipt>,
        reader: Box<dyn FreeReader>,
        epoch: u32,
        changelogs: Vec<(ColumnId, TopicPartition)>,
        inputs: Vec<TopicPartition>,
        time_log: TopicPartition,
    ) -> Self {
        let column = |(column, changelog)| Column { column, changelog, until: None, next: None };
        Self {
            id,
            store,
            reader,
            epoch,
            columns: changelogs.into_iter().map(column).collect(),
            inputs,
            time_log,
            time_next: None,
            time_end: None,
            raises: Vec::new(),
            batch: RecordBatch::new(),
            restored: 0,
        }
    }

    /// Changelog records yet to be read, as far as is known: those of the column under way.
    pub(crate) fn remaining(&self) -> u64 {
        let column = self.columns.last();
        let ends = column.and_then(|column| Some((column.until?, column.next?)));
        ends.map_or(0, |(until, next)| until.0.saturating_sub(next.0))
    }

    /// Reads and applies one batch. A log that does not answer now leaves everything as it was.
    pub(crate) fn step(mut self) -> Result<Restoring<B>, CoreError> {
        let verdict = match self.try_step() {
            Err(error) if error.remedy() == Remedy::Retry => Verdict::Working,
            verdict => verdict?,
        };
        match verdict {
            Verdict::Working => Ok(Restoring::Working(self)),
            Verdict::Waiting(place) => Ok(Restoring::Waiting(self, place)),
            Verdict::Rebuild(why) => Ok(Restoring::Rebuild(self.id, why)),
            Verdict::Done => self.finish(),
        }
    }

    fn try_step(&mut self) -> Result<Verdict, CoreError> {
        let Some(column) = self.columns.last_mut() else { return self.read_time_log() };
        let (until, next) = match (column.until, column.next) {
            (Some(until), Some(next)) => (until, next),
            _ => {
                let marks = self.reader.watermarks(&column.changelog)?;
                let position = self.store.position(column.column)?;
                let next = position.map_or(marks.start, |position| Offset(position.0));
                if next > marks.high {
                    let why = format!("the store is at {next} of {}, whose end is {}", column.changelog, marks.high);
                    return Ok(Verdict::Rebuild(why));
                }
                // Compaction keeps what counts of what lies before the log's start; retention does not.
                if next < marks.start {
                    let why =
                        format!("the store is at {next} of {}, which begins at {}", column.changelog, marks.start);
                    return Ok(Verdict::Rebuild(why));
                }
                (marks.high, next)
            }
        };
        column.until = Some(until);
        let read = self.reader.read(&column.changelog, next, &mut self.batch)?;
        let reached = match read {
            // While a marker is late, the last stable offset can lie below what was read already.
            Read::Records(reached) | Read::End(reached) => reached.max(next),
            Read::OutOfRange(marks) if next == Offset::ZERO || next < marks.start => {
                column.next = Some(marks.start);
                return Ok(Verdict::Working);
            }
            Read::OutOfRange(marks) => {
                let why = format!("offset {next} of {} is beyond its end {}", column.changelog, marks.high);
                return Ok(Verdict::Rebuild(why));
            }
        };
        let mut changes: Vec<Change<'_>> = Vec::with_capacity(self.batch.len());
        for record in self.batch.iter() {
            match changelog::read(self.epoch, record.key, record.value) {
                Some(Logged::Row { key, value: Some(value) }) => changes.push(Change::Put { key, value }),
                Some(Logged::Row { key, value: None }) => changes.push(Change::Delete { key }),
                Some(Logged::Expiry { before }) => {
                    changes.push(Change::DeleteRange { range: KeyRange::before(before) })
                }
                Some(Logged::OtherEpoch) => {}
                None => {
                    return Err(CoreError::record(
                        column.changelog.clone(),
                        record.offset,
                        "the changelog record is in no known format: it was written by another version",
                    ));
                }
            }
        }
        self.restored += self.batch.len() as u64;
        self.store.replay(column.column, changes, Position(reached.0))?;
        column.next = Some(reached);
        if reached >= until {
            self.columns.pop();
            return Ok(Verdict::Working);
        }
        match read {
            Read::End(_) => Ok(Verdict::Waiting(column.changelog.clone())),
            _ => Ok(Verdict::Working),
        }
    }

    /// Collects the raises that lie ahead of the task's inputs.
    fn read_time_log(&mut self) -> Result<Verdict, CoreError> {
        let marks = match (self.time_next, self.time_end) {
            (Some(next), Some(end)) => (next, end),
            _ => {
                let marks = self.reader.watermarks(&self.time_log)?;
                (marks.start, marks.high)
            }
        };
        let (next, end) = marks;
        (self.time_next, self.time_end) = (Some(next), Some(end));
        if self.inputs.is_empty() || next >= end {
            return Ok(Verdict::Done);
        }
        let reached = match self.reader.read(&self.time_log, next, &mut self.batch)? {
            Read::Records(reached) => reached,
            Read::End(reached) if reached < end => {
                self.time_next = Some(reached.max(next));
                return Ok(Verdict::Waiting(self.time_log.clone()));
            }
            Read::End(reached) => reached.max(end),
            Read::OutOfRange(marks) => marks.start.max(next.next()),
        };
        for record in self.batch.iter() {
            if let Some((place, Entry::Raise(raise))) = time_log::read(self.epoch, record.key, record.value)
                && self.inputs.contains(&place)
            {
                self.raises.push((place, raise));
            }
        }
        self.time_next = Some(reached);
        Ok(Verdict::Working)
    }

    fn finish(self) -> Result<Restoring<B>, CoreError> {
        let Self { id, store, mut raises, restored, .. } = self;
        if let Some(record) = read_record(&store)? {
            let ahead = |place: &TopicPartition, raise: &Raise| {
                let mark = record.sources.iter().find(|mark| mark.topic == place.topic.as_str());
                mark.is_none_or(|mark| raise.offset >= mark.next)
            };
            raises.retain(|(place, raise)| ahead(place, raise));
        }
        Ok(Restoring::Done(Box::new(Restored { id, store, raises, records: restored })))
    }
}
