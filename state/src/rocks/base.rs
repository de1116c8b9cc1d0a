//! A task's base on disk: one RocksDB with one column family, in which a row's key begins with its column.
//!
//! There is no write-ahead log: the changelog is one. Each batch is a file of its own ([`super::intake`]), on stable storage
//! when its write is answered, so that what a crash leaves is the state after the last batch.
//!
//! Not here: where rows lie ([`super::layout`]), stores of earlier versions ([`super::migration`]), options
//! ([`super::tuning`]).
//! Invariant: a position is in the same file as the rows it speaks for, and rows lie only under columns that the format
//! record names.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rocksdb::{
    DBRawIteratorWithThreadMode, DEFAULT_COLUMN_FAMILY_NAME, ErrorKind, FlushOptions, Options, ReadOptions,
    WaitForCompactOptions, WriteBatch, WriteOptions, properties,
};

use super::budget::MemoryBudget;
use super::failure::store_error;
use super::intake::Intake;
use super::layout::{self, FORMAT_KEY, position_key, row_bounds, row_key};
use super::migration::migrate;
use super::{Db, tuning, walk};
use crate::batch::{Batch, Change};
use crate::error::StoreError;
use crate::format::{Contents, FormatError};
use crate::position::Position;
use crate::store::{Base, ColumnId, KeyRange, Row, Visit};

type Rows<'b> = DBRawIteratorWithThreadMode<'b, Db>;

/// How a [`RocksBase`] is opened.
#[derive(Clone, Debug)]
pub struct RocksOptions {
    /// What the store holds; another content on disk is refused, or adapted to.
    pub contents: Contents,
    /// Columns on disk are taken by their names: those that the program no longer has are dropped, new ones begin empty,
    /// and whether the rows of the others are what they should be is the caller's to see ([`RocksBase::found`]). What the
    /// rows of new columns mean nothing says before the caller does ([`RocksBase::note_fingerprints`]).
    pub adapt: bool,
    /// The memory shared with the other stores of the process.
    pub budget: MemoryBudget,
}

impl RocksOptions {
    /// The usual options for a store of `contents`.
    pub fn new(contents: Contents, budget: MemoryBudget) -> Self {
        Self { contents, adapt: false, budget }
    }
}

/// Ordered rows on disk.
pub struct RocksBase {
    db: Db,
    path: PathBuf,
    /// The numbers that the store has for columns, by those of the program.
    stored: Vec<Option<ColumnId>>,
    /// What the store held when it was opened.
    found: Contents,
    read: ReadOptions,
    intake: Intake,
}

impl RocksBase {
    /// Opens the store in the folder `path`, or makes it there.
    ///
    /// # Errors
    /// `Damaged` when its files are not what was written, `Incompatible` when it holds something other
    /// than `options` say, `Locked` when it is open elsewhere.
    pub fn open(path: &Path, options: &RocksOptions) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path).map_err(|error| StoreError::io(path, "create the folder", &error))?;
        if has_store(path)? {
            if let Some(base) = Self::reopen(path, options)? {
                return Ok(base);
            }
            // A crash right after the folder was made: no row was ever written.
            Db::destroy(&rocksdb::Options::default(), path).map_err(|error| store_error(path, error))?;
        }
        Self::create(path, options)
    }

    /// Reads every block of every file and checks its checksum. Opening reads only the files' ends;
    /// rows are checked as they are read. This is for those who want to know at once.
    pub fn verify(&self) -> Result<(), StoreError> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        let rows = self.db.raw_iterator_opt(options);
        walk::ascending(rows, &mut |_, _| ControlFlow::Continue(())).map_err(|error| self.failed(error))
    }

    /// Says that the store has another format version, as that version of the program would; [`Self::open`] refuses it
    /// then.
    #[cfg(feature = "testing")]
    pub fn write_format_version(&mut self, version: u16) -> Result<(), StoreError> {
        let record = self.db.get(FORMAT_KEY).map_err(|error| self.failed(error))?;
        let record = record.and_then(|record| Contents::with_version(record, version));
        let record = record.ok_or_else(|| damaged(&self.path, "it has no format record"))?;
        put_record(&self.db, &record).map_err(|error| self.failed(error))
    }

    /// Waits until the files are no longer rewritten in the background. Whoever copies the folder, or
    /// measures, wants that.
    pub fn settle(&self) -> Result<(), StoreError> {
        self.db.wait_for_compact(&WaitForCompactOptions::default()).map_err(|error| self.failed(error))
    }

    /// The size of the store's files, in bytes.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        let bytes = self.db.property_int_value(properties::LIVE_SST_FILES_SIZE);
        Ok(bytes.map_err(|error| self.failed(error))?.unwrap_or(0))
    }

    fn create(path: &Path, options: &RocksOptions) -> Result<Self, StoreError> {
        let tuned = tuning::task(&options.budget);
        let db = open_files(path, &tuned, &[DEFAULT_COLUMN_FAMILY_NAME.to_owned()])?;
        let mut base = Self::on(db, path, options, tuned);
        let contents = &options.contents;
        base.know(contents, contents);
        let record = if options.adapt { contents.without_words().to_bytes() } else { contents.to_bytes() };
        put_record(&base.db, &record).map_err(|error| base.failed(error))?;
        Ok(base)
    }

    /// Opens what is there; `None` if it was never finished and holds nothing.
    fn reopen(path: &Path, options: &RocksOptions) -> Result<Option<Self>, StoreError> {
        let tuned = tuning::task(&options.budget);
        let Some(Found { mut db, record, families }) = Found::open(path, &tuned)? else { return Ok(None) };
        let refused = |error| refused(path, &error);
        let contents = &options.contents;
        let (stored, adapted) = if options.adapt {
            let stored = Contents::from_bytes(&record).map_err(refused)?;
            let adapted = contents.adapted(&stored).map_err(refused)?;
            (stored, adapted)
        } else {
            contents.check(&record).map_err(refused)?;
            (contents.clone(), contents.clone())
        };
        // ORDER: what is refused stays readable to the program that wrote it.
        migrate(&mut db, path, &record, &families)?;
        let mut base = Self::on(db, path, options, tuned);
        base.become_of(&stored, &adapted)?;
        base.know(contents, &adapted);
        base.found = stored;
        Ok(Some(base))
    }

    /// Opens a store with what it holds, whatever that is; `None` where there is none. One of an earlier format version is
    /// migrated.
    pub fn open_as_it_is(path: &Path, budget: MemoryBudget) -> Result<Option<Self>, StoreError> {
        if !path.exists() || !has_store(path)? {
            return Ok(None);
        }
        let tuned = tuning::task(&budget);
        let Some(Found { mut db, record, families }) = Found::open(path, &tuned)? else { return Ok(None) };
        let contents = Contents::from_bytes(&record).map_err(|error| refused(path, &error))?;
        migrate(&mut db, path, &record, &families)?;
        let options = RocksOptions::new(contents, budget);
        let mut base = Self::on(db, path, &options, tuned);
        base.know(&options.contents, &options.contents);
        Ok(Some(base))
    }

    /// What the store held when it was opened, under its own numbers: the contents that it was opened with, where it is
    /// new.
    pub fn found(&self) -> &Contents {
        &self.found
    }

    /// Says from now on that the rows are what `contents` say of columns of the same names.
    pub fn note_fingerprints(&mut self, contents: &Contents) -> Result<(), StoreError> {
        let record = self.db.get(FORMAT_KEY).map_err(|error| self.failed(error))?.unwrap_or_default();
        let stored = Contents::from_bytes(&record).map_err(|error| refused(&self.path, &error))?;
        let columns = stored.columns().iter().cloned().map(|mut column| {
            if let Some(now) = contents.named(&column.name) {
                column.fingerprint.clone_from(&now.fingerprint);
            }
            column
        });
        let noted = Contents::new(columns).ok_or_else(|| damaged(&self.path, "two columns have one name"))?;
        if noted != stored {
            put_record(&self.db, &noted.to_bytes()).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// Drops the columns of `stored` that are not in `adapted`, and adds those that are only there.
    ///
    /// A column's rows go in the batch in which the record names it no more: who takes its number later finds none. Their
    /// room comes back as files are merged.
    fn become_of(&mut self, stored: &Contents, adapted: &Contents) -> Result<(), StoreError> {
        if stored == adapted {
            return Ok(());
        }
        let mut batch = WriteBatch::new();
        batch.put(FORMAT_KEY, adapted.to_bytes());
        for gone in stored.columns().iter().filter(|column| adapted.named(&column.name).is_none()) {
            tracing::info!(store = gone.name, path = %self.path.display(), "the topology has this store no more: its rows are dropped");
            let [start, end] = row_bounds(gone.id, KeyRange::ALL);
            batch.delete_range(start, end);
            batch.delete(position_key(gone.id));
        }
        let written = self.db.write_opt(batch, &without_log()).and_then(|()| flush(&self.db));
        written.map_err(|error| self.failed(error))
    }

    /// Columns have the numbers of `contents`; those in the store are those of the same names in `stored`.
    fn know(&mut self, contents: &Contents, stored: &Contents) {
        self.stored.clear();
        for column in contents.columns() {
            let Some(stored) = stored.named(&column.name) else { continue };
            let index = usize::from(column.id.0);
            let length = self.stored.len().max(index + 1);
            self.stored.resize(length, None);
            self.stored[index] = Some(stored.id);
        }
    }

    fn on(db: Db, path: &Path, options: &RocksOptions, tuned: Options) -> Self {
        Self {
            db,
            path: path.to_path_buf(),
            stored: Vec::new(),
            found: options.contents.clone(),
            read: ReadOptions::default(),
            intake: Intake::new(tuned, path),
        }
    }

    /// Under which number the store has `column`.
    fn stored(&self, column: ColumnId) -> Result<ColumnId, StoreError> {
        let stored = self.stored.get(usize::from(column.0)).copied().flatten();
        stored.ok_or_else(|| StoreError::NoSuchColumn { path: self.path.clone(), column })
    }

    /// The rows of `column` that are in `range`.
    fn rows(&self, column: ColumnId, range: KeyRange<'_>) -> Result<Rows<'_>, StoreError> {
        let [start, end] = row_bounds(self.stored(column)?, range);
        Ok(self.db.raw_iterator_opt(walk::within(KeyRange::new(&start, &end))))
    }

    fn failed(&self, error: rocksdb::Error) -> StoreError {
        store_error(&self.path, error)
    }
}

impl Base for RocksBase {
    fn read(&self, column: ColumnId, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let value = self.db.get_pinned_opt(row_key(self.stored(column)?, key), &self.read);
        let value = value.map_err(|error| self.failed(error))?;
        if let Some(value) = &value {
            visit(value);
        }
        Ok(value.is_some())
    }

    fn scan(&self, column: ColumnId, range: KeyRange<'_>, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        let walked =
            walk::ascending(self.rows(column, range)?, &mut |key, value| visit(layout::key_of_row(key), value));
        walked.map_err(|error| self.failed(error))
    }

    fn last(&self, column: ColumnId, range: KeyRange<'_>) -> Result<Option<Row>, StoreError> {
        if range.is_empty() {
            return Ok(None);
        }
        let mut last = None;
        let found = walk::descending(self.rows(column, range)?, &mut |key, value| {
            last = Some((layout::key_of_row(key).to_vec(), value.to_vec()));
            ControlFlow::Break(())
        });
        found.map_err(|error| self.failed(error))?;
        Ok(last)
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        // A column may have another number in the store than in the program, and keys are written in the store's order.
        let stored = |column| self.stored(column).map(|stored| (stored, column));
        let columns = batch.columns().map(stored).collect::<Result<BTreeMap<_, _>, _>>()?;
        let position = |(column, position)| self.stored(column).map(|stored| (stored, position));
        let positions = batch.positions().map(position).collect::<Result<BTreeMap<_, _>, _>>()?;
        let taken = self.intake.take_in(&self.db, |file| {
            positions.iter().try_for_each(|(stored, at)| file.put(position_key(*stored), at.to_bytes()))?;
            for (stored, column) in &columns {
                batch.changes(*column).try_for_each(|change| match change {
                    Change::Put { key, value } => file.put(row_key(*stored, key), value),
                    Change::Delete { key } => file.delete(row_key(*stored, key)),
                    Change::DeleteRange { range } => {
                        let [start, end] = row_bounds(*stored, range);
                        file.delete_range(start, end)
                    }
                })?;
            }
            Ok(())
        });
        taken.map_err(|error| self.failed(error))
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        // A write is on stable storage when it is answered.
        Ok(())
    }

    fn position(&self, column: ColumnId) -> Result<Option<Position>, StoreError> {
        let Ok(stored) = self.stored(column) else { return Ok(None) };
        let stored = self.db.get(position_key(stored)).map_err(|error| self.failed(error))?;
        let Some(stored) = stored else {
            return Ok(None);
        };
        let position = Position::from_bytes(&stored);
        position.map(Some).ok_or_else(|| damaged(&self.path, &format!("the position of column {column} is malformed")))
    }

    fn unflushed_bytes(&self) -> usize {
        0
    }
}

impl std::fmt::Debug for RocksBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksBase").field("path", &self.path).finish()
    }
}

/// A store's files, opened.
struct Found {
    db: Db,
    /// The format record.
    record: Vec<u8>,
    /// The column families; earlier versions have several.
    families: Vec<String>,
}

impl Found {
    /// `None` if the store was never finished and holds nothing.
    fn open(path: &Path, options: &Options) -> Result<Option<Self>, StoreError> {
        let at_path = |error| opening_error(path, error);
        let families = Db::list_cf(&rocksdb::Options::default(), path).map_err(at_path)?;
        let db = open_files(path, options, &families)?;
        if let Some(record) = db.get(FORMAT_KEY).map_err(at_path)? {
            return Ok(Some(Self { db, record, families }));
        }
        for family in families.iter().filter_map(|family| db.cf_handle(family)) {
            let mut rows = db.raw_iterator_cf(family);
            rows.seek_to_first();
            rows.status().map_err(at_path)?;
            if rows.valid() {
                return Err(damaged(path, "it has rows but no format record"));
            }
        }
        Ok(None)
    }
}

pub(super) fn open_files(path: &Path, options: &Options, families: &[String]) -> Result<Db, StoreError> {
    let families = families.iter().map(|name| (name.as_str(), options.clone()));
    Db::open_cf_with_opts(options, path, families).map_err(|error| opening_error(path, error))
}

/// Whether `path` holds a RocksDB; one without its `CURRENT` file would be overwritten by a new one.
fn has_store(path: &Path) -> Result<bool, StoreError> {
    let io = |error| StoreError::io(path, "list the folder", &error);
    let mut files = false;
    for entry in std::fs::read_dir(path).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let name = name.to_string_lossy();
        if name == "CURRENT" {
            return Ok(true);
        }
        files |= name.starts_with("MANIFEST") || name.ends_with(".sst");
    }
    if files { Err(damaged(path, "its CURRENT file is missing")) } else { Ok(false) }
}

/// Puts a format record on disk: it is no row, and comes by itself.
pub(super) fn put_record(db: &Db, record: &[u8]) -> Result<(), rocksdb::Error> {
    db.put_opt(FORMAT_KEY, record, &without_log())?;
    flush(db)
}

/// Puts on disk what did not come as a file.
pub(super) fn flush(db: &Db) -> Result<(), rocksdb::Error> {
    let mut options = FlushOptions::default();
    options.set_wait(true);
    db.flush_opt(&options)
}

pub(super) fn without_log() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

pub(super) fn damaged(path: &Path, detail: &str) -> StoreError {
    StoreError::Damaged { path: path.to_path_buf(), detail: detail.to_owned() }
}

/// Why a store's format record does not let this program in.
pub(super) fn refused(path: &Path, error: &FormatError) -> StoreError {
    match error {
        FormatError::Unreadable(_) => damaged(path, &error.to_string()),
        FormatError::UnknownVersion { .. } | FormatError::OtherContents { .. } | FormatError::OtherKeys { .. } => {
            StoreError::Incompatible { path: path.to_path_buf(), detail: error.to_string() }
        }
    }
}

/// While a store that exists is opened, a file's contents can also be taken for a wrong argument or for
/// a feature that is not built in.
fn opening_error(path: &Path, error: rocksdb::Error) -> StoreError {
    match error.kind() {
        ErrorKind::InvalidArgument | ErrorKind::NotSupported | ErrorKind::NotFound => {
            damaged(path, &error.into_string())
        }
        _ => store_error(path, error),
    }
}
