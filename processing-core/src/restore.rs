//! A task comes to life: its store is brought to where its changelogs stand.
//!
//! Not here: who runs this and when ([`crate::worker`]). Invariant: a task is handed over only when
//! every changelog was read up to its high watermark, taken after the thread's own producer had fenced
//! its predecessor; an open transaction below it is waited for, never skipped.
//!
//! A log that forgets may begin above the place where a store stands, or above the floor of its live rows
//! ([`crate::rewrite`]). A store at the last commit's number needs nothing of what is gone. Another is made
//! anew, which gives all of it back as long as the log begins at or below the floor; else the worker stops.
//!
//! A restore can be interrupted anywhere. Until it has ended the store holds a mark ([`MetaKey::StateEpoch`]) of the
//! state epoch whose rows it takes in: rows without a commit record would not tell, and a record that came before the
//! floors were looked at would make half a store look whole.

use state::keys::meta::MetaKey;
use state::{Base, Change, ColumnId, KeyRange, Position, TaskStore};

use crate::batch::RecordBatch;
use crate::changelog::{self, Logged, META};
use crate::contents::{self, Held};
use crate::error::{CoreError, Remedy};
use crate::log::{FreeReader, Read, Watermarks};
use crate::record::{Offset, TopicPartition};
use crate::rewrite;
use crate::source::Raise;
use crate::task::{TaskId, TaskReceipt, read_record, record_of};
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
    /// The names of the columns.
    names: Vec<(ColumnId, &'static str)>,
    /// What the store held by its own word when this began.
    held: Option<Held>,
    /// Columns that were read from where their changelog begins, and where that was.
    from_start: Vec<(ColumnId, Offset)>,
    /// Whether the store was asked what it is, and whether nothing or half a restore was in it.
    marked: bool,
    from_nothing: bool,
    /// The search for the last commit's number, where it is needed.
    search: Option<Search>,
    batch: RecordBatch,
    /// Records applied so far.
    pub(crate) restored: u64,
}

struct Column {
    column: ColumnId,
    changelog: TopicPartition,
    /// `None` until the log has told its ends.
    stretch: Option<Stretch>,
}

/// What of a changelog is to be read.
struct Stretch {
    /// Where the changelog began when its ends were taken.
    start: Offset,
    /// The high watermark to be reached.
    until: Offset,
    next: Offset,
    /// Whether the column's turn has come.
    begun: bool,
}

impl Stretch {
    fn remaining(&self) -> u64 {
        self.until.0.saturating_sub(self.next.max(self.start).0)
    }
}

/// Reads the meta changelog beyond the store for the last commit's number, and applies nothing.
struct Search {
    next: Offset,
    until: Offset,
    /// Of the store, or of the last commit record found.
    number: Option<u64>,
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
        let column = |(column, changelog)| Column { column, changelog, stretch: None };
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
            names: Vec::new(),
            held: None,
            from_start: Vec::new(),
            marked: false,
            from_nothing: false,
            search: None,
            batch: RecordBatch::new(),
            restored: 0,
        }
    }

    /// Tells the columns' names, by which they are found where their numbers have changed.
    pub(crate) fn of_stores(self, names: Vec<(ColumnId, &'static str)>) -> Self {
        Self { names, ..self }
    }

    /// Offsets of all changelogs that are yet to be read; compaction and aborted transactions have left at most as
    /// many records. `None` until the log has told the ends of each.
    pub(crate) fn remaining(&self) -> Option<u64> {
        self.columns.iter().map(|column| Some(column.stretch.as_ref()?.remaining())).sum()
    }

    /// Takes the ends of the changelogs whose ends are not known yet.
    ///
    /// It may be called long before the first step. Whoever commits for the task after the ends were taken moves the
    /// group's offsets, and a task whose offsets have moved meanwhile is restored again before it runs.
    pub(crate) fn survey(&mut self) -> Result<(), CoreError> {
        for column in self.columns.iter_mut().filter(|column| column.stretch.is_none()) {
            let marks = self.reader.watermarks(&column.changelog)?;
            let position = self.store.position(column.column)?;
            let next = position.map_or(marks.start, |position| Offset(position.0));
            column.stretch = Some(Stretch { start: marks.start, until: marks.high, next, begun: false });
        }
        Ok(())
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

    /// Before the first row comes into a store that is not whole, the store says so.
    fn mark(&mut self) -> Result<(), CoreError> {
        if self.marked {
            return Ok(());
        }
        self.marked = true;
        self.held = contents::read(&self.store)?;
        self.from_nothing = begun_in(&self.store)?.is_some() || read_record(&self.store)?.is_none();
        let meta = self.columns.iter().find(|column| column.column == META);
        if self.from_nothing
            && let Some(Stretch { next, .. }) = meta.and_then(|meta| meta.stretch.as_ref())
        {
            begin(&mut self.store, self.epoch, *next)?;
        }
        Ok(())
    }

    fn try_step(&mut self) -> Result<Verdict, CoreError> {
        if self.search.is_some() {
            return self.search_on();
        }
        self.survey()?;
        self.mark()?;
        let Some(column) = self.columns.last_mut() else { return self.read_time_log() };
        let Some(Stretch { start, until, next, begun }) = &mut column.stretch else { return Ok(Verdict::Working) };
        let (start, until) = (*start, *until);
        if !*begun {
            if *next > until {
                let why = format!("the store is at {next} of {}, whose end is {until}", column.changelog);
                return Ok(Verdict::Rebuild(why));
            }
            if *next < start {
                return self.begin_search();
            }
            // Also where an earlier restore came to half of the column.
            if self.store.position(column.column)?.is_none() || self.from_nothing {
                self.from_start.push((column.column, start));
            }
            *begun = true;
        }
        let next = *next;
        let read = self.reader.read(&column.changelog, next, &mut self.batch)?;
        let reached = match read {
            // While a marker is late, the last stable offset can lie below what was read already.
            Read::Records(reached) | Read::End(reached) => reached.max(next),
            Read::OutOfRange(marks) if next < marks.start => return self.go_to_start(marks.start),
            Read::OutOfRange(marks) => {
                let why = format!("offset {next} of {} is beyond its end {}", column.changelog, marks.high);
                return Ok(Verdict::Rebuild(why));
            }
        };
        let changes = changes_of(&self.batch, self.epoch, &column.changelog)?;
        self.restored += self.batch.len() as u64;
        self.store.replay(column.column, changes, Position(reached.0))?;
        if let Some(stretch) = &mut column.stretch {
            stretch.next = reached;
        }
        if reached >= until {
            self.columns.pop();
            return Ok(Verdict::Working);
        }
        match read {
            Read::End(_) => Ok(Verdict::Waiting(column.changelog.clone())),
            _ => Ok(Verdict::Working),
        }
    }

    /// The column under way stands below its changelog's start.
    fn begin_search(&mut self) -> Result<Verdict, CoreError> {
        let Some(meta) = self.columns.iter().find(|column| column.column == META) else {
            return Ok(Verdict::Rebuild("its changelogs have forgotten what it lacks".to_owned()));
        };
        let until = self.reader.watermarks(&meta.changelog)?.high;
        let next = self.store.position(META)?.map_or(Offset::ZERO, |position| Offset(position.0));
        let number = read_record(&self.store)?.map(|record| record.number);
        self.search = Some(Search { next, until, number });
        Ok(Verdict::Working)
    }

    fn search_on(&mut self) -> Result<Verdict, CoreError> {
        let meta = self.columns.iter().find(|column| column.column == META);
        let (Some(search), Some(meta)) = (&mut self.search, meta) else { return Ok(Verdict::Working) };
        if search.next < search.until {
            let (reached, at_end) = match self.reader.read(&meta.changelog, search.next, &mut self.batch)? {
                Read::Records(reached) => (reached.max(search.next), false),
                Read::End(reached) => (reached.max(search.next), true),
                Read::OutOfRange(marks) => (marks.start.max(search.next.next()), false),
            };
            for record in self.batch.iter() {
                if let Some(Logged::Row { key, value: Some(value) }) =
                    changelog::read(self.epoch, record.key, record.value)
                    && key == MetaKey::CommitRecord.to_bytes()
                {
                    search.number = Some(record_of(value)?.number);
                }
            }
            search.next = reached;
            let waits = at_end && reached < search.until;
            return Ok(if waits { Verdict::Waiting(meta.changelog.clone()) } else { Verdict::Working });
        }
        let at = search.number;
        self.search = None;
        let whole = at == read_record(&self.store)?.map(|record| record.number);
        let Some(column) = self.columns.last_mut() else { return Ok(Verdict::Working) };
        let marks = self.reader.watermarks(&column.changelog)?;
        if !whole {
            let why = format!("it lacks what {} has forgotten, which begins at {}", column.changelog, marks.start);
            return Ok(Verdict::Rebuild(why));
        }
        let Watermarks { start, high, .. } = marks;
        column.stretch = Some(Stretch { start, until: high, next: start, begun: true });
        Ok(Verdict::Working)
    }

    /// The changelog has forgotten more while it was read.
    fn go_to_start(&mut self, start: Offset) -> Result<Verdict, CoreError> {
        let Some(column) = self.columns.last_mut() else { return Ok(Verdict::Working) };
        let known = self.from_start.iter_mut().find(|(of, _)| *of == column.column);
        let Some((_, from)) = known else { return self.begin_search() };
        *from = start;
        if let Some(stretch) = &mut column.stretch {
            (stretch.start, stretch.next) = (start, start);
        }
        Ok(Verdict::Working)
    }

    /// Whether the changelogs still began at or below the floors of their live rows.
    fn have_all(&self) -> Result<(), CoreError> {
        let held = contents::read(&self.store)?;
        for (column, from) in &self.from_start {
            // What nobody has said anything about yet is a new store, which lacks nothing.
            let Some(number) = contents::number_in(held.as_ref(), &self.names, *column) else { continue };
            let floor = rewrite::read(&self.store, number)?.map_or(Offset::ZERO, |rounds| Offset(rounds.floor));
            if *from > floor {
                return Err(CoreError::contradiction(format!(
                    "task {}: the store is gone and must be restored, but its changelog has lost live rows: it begins at \
                     offset {from}, and rows that count may lie from {floor} on. The topic's retention.ms was shortened, \
                     or the application stood still for longer than it. `streamfleet reprocess` computes the state anew",
                    self.id
                )));
            }
        }
        Ok(())
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

    fn finish(mut self) -> Result<Restoring<B>, CoreError> {
        self.have_all()?;
        if let (Some(before), Some(now)) = (&self.held, contents::read(&self.store)?)
            && before.is_another_than(&now)
        {
            // It may have rows, and rows about itself, of which a compacted changelog no longer says that they are gone.
            return Ok(Restoring::Rebuild(self.id, "its stores were upgraded while it was away".to_owned()));
        }
        end(&mut self.store)?;
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

/// The state epoch of the rows that a restore or a copy has begun to bring into a store, while it has not ended.
pub(crate) fn begun_in<B: Base>(store: &TaskStore<B, TaskReceipt>) -> Result<Option<u32>, CoreError> {
    let Some(bytes) = store.get(META, &MetaKey::StateEpoch.to_bytes())? else { return Ok(None) };
    state::codec::decode(&bytes)
        .map(Some)
        .map_err(|error| CoreError::store_rebuild(format!("the mark of a restore cannot be read: {error}")))
}

/// Whether no column of a store has followed its changelog yet.
pub(crate) fn is_untouched<B: Base>(
    store: &TaskStore<B, TaskReceipt>,
    columns: impl IntoIterator<Item = ColumnId>,
) -> Result<bool, CoreError> {
    for column in columns {
        if store.position(column)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Marks a store as not whole; `meta` is where its meta changelog is read from. It is on disk before any row is.
pub(crate) fn begin<B: Base>(store: &mut TaskStore<B, TaskReceipt>, epoch: u32, meta: Offset) -> Result<(), CoreError> {
    let mut value = Vec::new();
    state::codec::encode_into(&mut value, &epoch).map_err(|error| CoreError::store_refused(error.to_string()))?;
    let mark = Change::Put { key: &MetaKey::StateEpoch.to_bytes(), value: &value };
    Ok(store.replay(META, [mark], Position(meta.0))?)
}

/// Takes the mark off a store that is whole.
pub(crate) fn end<B: Base>(store: &mut TaskStore<B, TaskReceipt>) -> Result<(), CoreError> {
    let Some(position) = store.position(META)? else { return Ok(()) };
    if begun_in(store)?.is_some() {
        store.replay(META, [Change::Delete { key: &MetaKey::StateEpoch.to_bytes() }], position)?;
    }
    Ok(())
}

/// What a batch of a changelog's records, all committed, changes.
pub(crate) fn changes_of<'b>(
    batch: &'b RecordBatch,
    epoch: u32,
    changelog: &TopicPartition,
) -> Result<Vec<Change<'b>>, CoreError> {
    let mut changes = Vec::with_capacity(batch.len());
    for record in batch.iter() {
        match changelog::read(epoch, record.key, record.value) {
            Some(Logged::Row { key, value: Some(value) }) => changes.push(Change::Put { key, value }),
            Some(Logged::Row { key, value: None }) => changes.push(Change::Delete { key }),
            Some(Logged::Expiry { before }) => changes.push(Change::DeleteRange { range: KeyRange::before(before) }),
            Some(Logged::OtherEpoch) => {}
            None => {
                return Err(CoreError::record(
                    changelog.clone(),
                    record.offset,
                    "the changelog record is in no known format: it was written by another version",
                ));
            }
        }
    }
    Ok(changes)
}
