//! The warm copy of a task that another process runs: a store that follows the task's changelogs.
//!
//! Not here: which tasks ([`super::choice`]) and when ([`super`]). Invariant: where the copy holds commit n's record,
//! every column holds all that commit n and those before it made true; and no record is taken over before it is known
//! that the log had every live row when the copy began.
//!
//! Until there is a record the store is marked as a restore's is that was interrupted, and a worker that finds it restores
//! it as such. It relies on two things ([`crate::restore`]), and the owner, which commits while the copy reads, endangers both:
//!
//! - *A store at the last commit's number lacks nothing*, wherever its changelogs begin by now. So the record must not
//!   run ahead of the rows. A pass takes the last stable offset of the meta changelog **first**, and then the high
//!   watermarks of the others: whatever is decided below that offset was acknowledged before it was decided, and so
//!   stands below those watermarks. The columns are read up to them, behind open transactions if need be; then only
//!   what stands below that offset is taken over from the meta changelog, in one step with its position. Rows that are
//!   ahead of the record do no harm: they are absolute, and a restore reads on from where they stand.
//! - *A column that was read from where its changelog begins has all live rows* only if the changelog began at or
//!   below the floor that [`crate::rewrite`] keeps. A restore checks it for columns without a position, or where there
//!   is no record; so it is checked here before there is one. Every live row has a record at or above the floor of
//!   commit n, or was written after commit n: the floor of the record taken over is the right one, though the rows be
//!   ahead of it.
//!
//! Where the log begins above what the copy has read, or ends below it, the copy is made anew.

use std::collections::BTreeMap;

use state::keys::meta::MetaKey;
use state::{Base, Change, ColumnId, Position, TaskStore};

use crate::batch::RecordBatch;
use crate::changelog::{self, Logged, META};
use crate::contents;
use crate::error::CoreError;
use crate::log::{FreeReader, Read, Watermarks};
use crate::record::{Offset, TopicPartition};
use crate::restore::{self, begun_in, changes_of, is_untouched};
use crate::rewrite;
use crate::task::{TaskId, TaskReceipt, read_record};

/// See the file's head.
pub(crate) struct Replica<B> {
    store: TaskStore<B, TaskReceipt>,
    epoch: u32,
    meta: TopicPartition,
    columns: Vec<Column>,
    /// The names of the columns.
    names: Vec<(ColumnId, &'static str)>,
    pass: Option<Pass>,
    batch: RecordBatch,
}

struct Column {
    column: ColumnId,
    changelog: TopicPartition,
    next: Offset,
    /// The high watermark to be reached in this pass.
    until: Offset,
    /// Where it was read from, if that was its changelog's beginning and its rows are not known to be all yet.
    began: Option<Offset>,
}

/// From taking the ends to taking the commit record over.
struct Pass {
    meta_next: Offset,
    meta_until: Offset,
    /// Columns that are read to their ends.
    columns_done: usize,
    /// The meta column's last word on each row; a task has few.
    rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// What a step of a copy came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Following {
    /// There is more.
    Working,
    /// A transaction is open below the end.
    Waiting,
    /// It is where the log was when the pass began.
    CaughtUp,
    /// It cannot follow: it must be made anew, empty.
    Anew(String),
}

impl<B: Base> Replica<B> {
    /// The copy in `store` of a task with these changelogs, the meta changelog among them. `None` where the store
    /// cannot become one: its rows are another state epoch's, or nothing says of which they are.
    pub(crate) fn new(
        id: TaskId,
        store: TaskStore<B, TaskReceipt>,
        epoch: u32,
        changelogs: Vec<(ColumnId, TopicPartition)>,
    ) -> Result<Result<Self, B>, CoreError> {
        let fits = match (begun_in(&store)?, read_record(&store)?) {
            // Half of a restore: how much of it is there, and where it began, nobody knows.
            (Some(_), _) => false,
            (None, Some(record)) => record.epoch == epoch,
            (None, None) => is_untouched(&store, changelogs.iter().map(|(column, _)| *column))?,
        };
        if !fits {
            return Ok(Err(store.into_base()));
        }
        let (meta, columns): (Vec<_>, Vec<_>) = changelogs.into_iter().partition(|(column, _)| *column == META);
        let Some((_, meta)) = meta.into_iter().next() else {
            return Err(CoreError::contradiction(format!("task {id} has no meta changelog, which is a bug")));
        };
        let column = |(column, changelog)| {
            let (next, until) = (Offset::ZERO, Offset::ZERO);
            Column { column, changelog, next, until, began: None }
        };
        let columns = columns.into_iter().map(column).collect();
        let names = Vec::new();
        Ok(Ok(Self { store, epoch, meta, columns, names, pass: None, batch: RecordBatch::new() }))
    }

    /// Tells the columns' names, by which they are found where their numbers have changed.
    pub(crate) fn of_stores(self, names: Vec<(ColumnId, &'static str)>) -> Self {
        Self { names, ..self }
    }

    /// Reads and applies one batch, or takes the ends for the next pass.
    pub(crate) fn step(&mut self, reader: &mut dyn FreeReader) -> Result<Following, CoreError> {
        let Some(pass) = &mut self.pass else { return self.begin(reader) };
        if pass.columns_done < self.columns.len() {
            return self.read_column(reader);
        }
        if pass.meta_next < pass.meta_until {
            return self.read_meta(reader);
        }
        self.take_over()
    }

    /// How many offsets of all changelogs it is behind what is known of their ends.
    pub(crate) fn lag(&self) -> u64 {
        let columns = self.columns.iter().map(|column| column.until.0.saturating_sub(column.next.0));
        let meta = self.pass.as_ref().map_or(0, |pass| pass.meta_until.0.saturating_sub(pass.meta_next.0));
        columns.sum::<u64>() + meta
    }

    /// How many offsets of all changelogs lie behind it.
    pub(crate) fn followed(&self) -> Result<u64, CoreError> {
        let mut sum = 0;
        for column in self.columns.iter().map(|column| column.column).chain([META]) {
            sum += self.store.position(column)?.map_or(0, |position| position.0);
        }
        Ok(sum)
    }

    /// Whether a commit record was taken over, so that the store says by itself of which epoch its rows are.
    pub(crate) fn has_record(&self) -> Result<bool, CoreError> {
        Ok(read_record(&self.store)?.is_some())
    }

    /// What it holds, for checks.
    #[cfg(test)]
    pub(crate) fn store(&self) -> &TaskStore<B, TaskReceipt> {
        &self.store
    }

    /// Puts everything on disk. The store is closed with the answer's end.
    pub(crate) fn close(mut self) -> Result<B, CoreError> {
        self.store.flush()?;
        Ok(self.store.into_base())
    }

    /// Gives the store up as it is.
    pub(crate) fn into_base(self) -> B {
        self.store.into_base()
    }

    fn begin(&mut self, reader: &mut dyn FreeReader) -> Result<Following, CoreError> {
        // ORDER: the meta changelog's end first; see the file's head.
        let marks = reader.watermarks(&self.meta)?;
        let meta_next = match self.place(META, marks, &self.meta)? {
            Ok(next) => next,
            Err(why) => return Ok(Following::Anew(why)),
        };
        if self.store.position(META)?.is_none() {
            restore::begin(&mut self.store, self.epoch, meta_next)?;
        }
        for number in 0..self.columns.len() {
            let Some(Column { column, changelog, .. }) = self.columns.get(number) else { break };
            let marks = reader.watermarks(changelog)?;
            let next = match self.place(*column, marks, changelog)? {
                Ok(next) => next,
                Err(why) => return Ok(Following::Anew(why)),
            };
            let is_new = self.store.position(*column)?.is_none();
            if is_new && marks.start > Offset::ZERO && self.has_record()? {
                // Where it stands would soon hide that it was never whole.
                return Ok(Following::Anew(format!("{changelog} was empty, and begins at {} by now", marks.start)));
            }
            let Some(column) = self.columns.get_mut(number) else { break };
            (column.next, column.until) = (next, marks.high);
            if is_new {
                column.began = Some(marks.start);
            }
        }
        let meta_until = marks.last_stable.max(meta_next);
        self.pass = Some(Pass { meta_next, meta_until, columns_done: 0, rows: BTreeMap::new() });
        Ok(Following::Working)
    }

    /// Where reading of a changelog goes on, or why it cannot.
    fn place(
        &self,
        column: ColumnId,
        marks: Watermarks,
        changelog: &TopicPartition,
    ) -> Result<Result<Offset, String>, CoreError> {
        let Some(Position(position)) = self.store.position(column)? else { return Ok(Ok(marks.start)) };
        let next = Offset(position);
        let why = if next < marks.start {
            format!("the copy is at {next} of {changelog}, which begins at {} by now", marks.start)
        } else if next > marks.high {
            format!("the copy is at {next} of {changelog}, whose end is {}", marks.high)
        } else {
            return Ok(Ok(next));
        };
        Ok(Err(why))
    }

    fn read_column(&mut self, reader: &mut dyn FreeReader) -> Result<Following, CoreError> {
        let Some(pass) = &mut self.pass else { return Ok(Following::Working) };
        let Some(column) = self.columns.get_mut(pass.columns_done) else { return Ok(Following::Working) };
        if column.next >= column.until {
            pass.columns_done += 1;
            return Ok(Following::Working);
        }
        let read = reader.read(&column.changelog, column.next, &mut self.batch)?;
        let reached = match read {
            Read::Records(reached) | Read::End(reached) => reached.max(column.next),
            Read::OutOfRange(marks) => {
                let (next, start) = (column.next, marks.start);
                return Ok(Following::Anew(format!(
                    "{} was read up to {next} and begins at {start}",
                    column.changelog
                )));
            }
        };
        let changes = changes_of(&self.batch, self.epoch, &column.changelog)?;
        self.store.replay(column.column, changes, Position(reached.0))?;
        column.next = reached;
        let waits = matches!(read, Read::End(_)) && reached < column.until;
        Ok(if waits { Following::Waiting } else { Following::Working })
    }

    fn read_meta(&mut self, reader: &mut dyn FreeReader) -> Result<Following, CoreError> {
        let Some(pass) = &mut self.pass else { return Ok(Following::Working) };
        let read = reader.read(&self.meta, pass.meta_next, &mut self.batch)?;
        let reached = match read {
            Read::Records(reached) | Read::End(reached) => reached.max(pass.meta_next),
            Read::OutOfRange(marks) => {
                return Ok(Following::Anew(format!("{} begins at {} by now", self.meta, marks.start)));
            }
        };
        for record in self.batch.iter().take_while(|record| record.offset < pass.meta_until) {
            match changelog::read(self.epoch, record.key, record.value) {
                Some(Logged::Row { key, value }) => drop(pass.rows.insert(key.to_vec(), value.map(<[u8]>::to_vec))),
                Some(Logged::OtherEpoch) => {}
                Some(Logged::Expiry { .. }) | None => {
                    return Err(CoreError::record(
                        self.meta.clone(),
                        record.offset,
                        "the meta changelog's record is in no known format: it was written by another version",
                    ));
                }
            }
        }
        pass.meta_next = reached.min(pass.meta_until);
        let waits = matches!(read, Read::End(_)) && reached < pass.meta_until;
        Ok(if waits { Following::Waiting } else { Following::Working })
    }

    /// The last step of a pass.
    fn take_over(&mut self) -> Result<Following, CoreError> {
        let Some(Pass { meta_until, rows, .. }) = self.pass.take() else { return Ok(Following::Working) };
        let before = contents::read(&self.store)?;
        let held = match rows.get(MetaKey::Contents.to_bytes().as_slice()) {
            Some(Some(value)) => Some(contents::held_of(value)?),
            Some(None) => None,
            None => before.clone(),
        };
        if let (Some(before), Some(now)) = (&before, &held)
            && before.is_another_than(now)
        {
            // As for a store that was away, see the end of a restore.
            return Ok(Following::Anew("the task's stores were upgraded".to_owned()));
        }
        for Column { column, began, changelog, .. } in &self.columns {
            let Some(began) = began else { continue };
            let Some(number) = contents::number_in(held.as_ref(), &self.names, *column) else { continue };
            let key = MetaKey::RewriteCursor(number).to_bytes();
            let rounds = match rows.get(key.as_slice()) {
                Some(value) => value.as_deref().map(|bytes| rewrite::rounds_of(bytes, *column)).transpose()?,
                None => rewrite::read(&self.store, number)?,
            };
            let floor = rounds.map_or(Offset::ZERO, |rounds| Offset(rounds.floor));
            if *began > floor {
                let why =
                    format!("{changelog} began at {began} when the copy did, and live rows may lie from {floor} on");
                return Ok(Following::Anew(why));
            }
        }
        let changes = rows.iter().map(|(key, value)| match value {
            Some(value) => Change::Put { key, value },
            None => Change::Delete { key },
        });
        self.store.replay(META, changes, Position(meta_until.0))?;
        if self.has_record()? {
            restore::end(&mut self.store)?;
            self.columns.iter_mut().for_each(|column| column.began = None);
        }
        Ok(Following::CaughtUp)
    }
}
