//! A task's base on disk: one RocksDB, a column family for each column.
//!
//! ```text
//!   default          00                    format record, crate::format
//!                    01 column u8          position, u64 BE
//!   NNN-name         key                   value
//! ```
//!
//! There is no write-ahead log: the changelog is one. Column families are flushed together, so that
//! what a crash leaves is the state after one of the batches.
//!
//! Not here: options ([`super::tuning`]).
//! Invariant: a position is in the same batch as the rows it speaks for.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rocksdb::{
    ColumnFamily, ErrorKind, FlushOptions, ReadOptions, WaitForCompactOptions, WriteBatch, WriteOptions, properties,
};

use super::budget::MemoryBudget;
use super::failure::store_error;
use super::{Db, tuning, walk};
use crate::batch::{Batch, Change};
use crate::error::StoreError;
use crate::format::{Contents, FormatError};
use crate::position::Position;
use crate::store::{Base, ColumnId, KeyRange, Row, Visit};

const DEFAULT_FAMILY: &str = "default";
const FORMAT_KEY: &[u8] = &[0];

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
    /// After this many bytes of keys and values, what is in memory is put on disk in the background.
    /// It bounds what a crash loses and the changelog has to bring back: twice as much and one batch.
    pub flush_after_bytes: usize,
}

impl RocksOptions {
    /// Replaying takes about 1.5 us for a row of some 50 bytes: half a second for this many.
    pub const FLUSH_AFTER_BYTES: usize = 16 << 20;

    /// The usual options for a store of `contents`.
    pub fn new(contents: Contents, budget: MemoryBudget) -> Self {
        Self { contents, adapt: false, budget, flush_after_bytes: Self::FLUSH_AFTER_BYTES }
    }
}

/// Ordered rows on disk.
pub struct RocksBase {
    db: Db,
    path: PathBuf,
    /// By column number.
    families: Vec<Option<Family>>,
    /// What the store held when it was opened.
    found: Contents,
    read: ReadOptions,
    flush_after_bytes: usize,
    /// Written since the last flush was begun.
    unflushed_bytes: usize,
    /// Being flushed in the background.
    flushing_bytes: usize,
}

/// A column as the store has it.
struct Family {
    /// Of the column family.
    name: String,
    /// The column's number in the format record.
    stored: ColumnId,
}

impl RocksBase {
    /// Opens the store in the folder `path`, or makes it there.
    ///
    /// # Errors
    /// `Damaged` when its files are not what was written, `Incompatible` when it holds something other
    /// than `options` say, `Locked` when it is open elsewhere.
    pub fn open(path: &Path, options: &RocksOptions) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path).map_err(|error| StoreError::io(path, "create the folder", &error))?;
        match found_at(path)? {
            Found::Nothing => Self::create(path, options),
            Found::Store => match Self::reopen(path, options)? {
                Some(base) => Ok(base),
                None => {
                    // A crash right after the folder was made: no row was ever written.
                    let db = rocksdb::Options::default();
                    Db::destroy(&db, path).map_err(|error| store_error(path, error))?;
                    Self::create(path, options)
                }
            },
        }
    }

    /// Reads every block of every file and checks its checksum. Opening reads only the files' ends;
    /// rows are checked as they are read. This is for those who want to know at once.
    pub fn verify(&self) -> Result<(), StoreError> {
        for family in self.family_names() {
            let mut options = ReadOptions::default();
            options.fill_cache(false);
            let rows = self.db.raw_iterator_cf_opt(self.family(family)?, options);
            walk::ascending(rows, &mut |_, _| ControlFlow::Continue(())).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// Says that the store has another format version, as that version of the program would; [`Self::open`] refuses it
    /// then.
    #[cfg(feature = "testing")]
    pub fn write_format_version(&mut self, version: u16) -> Result<(), StoreError> {
        let record = self.db.get(FORMAT_KEY).map_err(|error| self.failed(error))?;
        let record = record.and_then(|record| Contents::with_version(record, version));
        let record = record.ok_or_else(|| damaged(&self.path, "it has no format record"))?;
        self.db.put_opt(FORMAT_KEY, record, &without_log()).map_err(|error| self.failed(error))?;
        self.flush()
    }

    /// Waits until the files are no longer rewritten in the background. Whoever copies the folder, or
    /// measures, wants that.
    pub fn settle(&self) -> Result<(), StoreError> {
        self.db.wait_for_compact(&WaitForCompactOptions::default()).map_err(|error| self.failed(error))
    }

    /// The size of the store's files, in bytes.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        let mut bytes = 0;
        for family in self.families.iter().flatten() {
            let family = self.family(&family.name)?;
            let of_family = self.db.property_int_value_cf(family, properties::LIVE_SST_FILES_SIZE);
            bytes += of_family.map_err(|error| self.failed(error))?.unwrap_or(0);
        }
        Ok(bytes)
    }

    fn create(path: &Path, options: &RocksOptions) -> Result<Self, StoreError> {
        let families: Vec<String> = expected_families(&options.contents).into_iter().collect();
        let mut base = Self::open_families(path, options, &families)?;
        base.know(&options.contents, &options.contents);
        let mut batch = WriteBatch::new();
        let contents = &options.contents;
        batch.put(FORMAT_KEY, if options.adapt { contents.without_words().to_bytes() } else { contents.to_bytes() });
        base.db.write_opt(batch, &without_log()).map_err(|error| base.failed(error))?;
        base.flush()?;
        Ok(base)
    }

    /// Opens what is there; `None` if it was never finished and holds nothing.
    fn reopen(path: &Path, options: &RocksOptions) -> Result<Option<Self>, StoreError> {
        let at_path = |error| opening_error(path, error);
        let found = Db::list_cf(&rocksdb::Options::default(), path).map_err(at_path)?;
        let mut base = Self::open_families(path, options, &found)?;
        let Some(record) = base.db.get(FORMAT_KEY).map_err(at_path)? else {
            for family in &found {
                let mut rows = base.db.raw_iterator_cf(base.family(family)?);
                rows.seek_to_first();
                rows.status().map_err(at_path)?;
                if rows.valid() {
                    return Err(damaged(path, "it has rows but no format record"));
                }
            }
            return Ok(None);
        };
        let refused = |error| refused(path, &error);
        let found: BTreeSet<String> = found.into_iter().collect();
        let stored = if options.adapt {
            Contents::from_bytes(&record).map_err(refused)?
        } else {
            options.contents.check(&record).map_err(refused)?;
            options.contents.clone()
        };
        if options.adapt {
            let adapted = options.contents.adapted(&stored).map_err(refused)?;
            base.become_of(options, &stored, &adapted, &found)?;
            base.know(&options.contents, &adapted);
        } else {
            base.know(&options.contents, &stored);
        }
        if !options.adapt && found != expected_families(&stored) {
            return Err(damaged(path, "its column families are not those of its format record"));
        }
        base.found = stored;
        Ok(Some(base))
    }

    /// Opens a store as it is, whatever it holds; `None` where there is none.
    pub fn open_as_it_is(path: &Path, budget: MemoryBudget) -> Result<Option<Self>, StoreError> {
        if !path.exists() || matches!(found_at(path)?, Found::Nothing) {
            return Ok(None);
        }
        let nothing = Contents::new([]).ok_or_else(|| damaged(path, "no contents"))?;
        let options = RocksOptions::new(nothing, budget);
        let names = Db::list_cf(&rocksdb::Options::default(), path).map_err(|error| opening_error(path, error))?;
        let mut base = Self::open_families(path, &options, &names)?;
        let Some(record) = base.db.get(FORMAT_KEY).map_err(|error| opening_error(path, error))? else {
            return Ok(None);
        };
        let contents = Contents::from_bytes(&record).map_err(|error| refused(path, &error))?;
        if names.into_iter().collect::<BTreeSet<_>>() != expected_families(&contents) {
            return Err(damaged(path, "its column families are not those of its format record"));
        }
        base.know(&contents, &contents);
        base.found = contents;
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
            self.db.put_opt(FORMAT_KEY, noted.to_bytes(), &without_log()).map_err(|error| self.failed(error))?;
            self.flush()?;
        }
        Ok(())
    }

    /// Drops the columns of `stored` that are not in `adapted`, and adds those that are only there.
    ///
    /// ORDER: column families that no record names are left by a crash in here, and go first: a new column must not
    /// find rows. New ones are there before the record names them, and old ones go when it names them no more.
    fn become_of(
        &mut self,
        options: &RocksOptions,
        stored: &Contents,
        adapted: &Contents,
        found: &BTreeSet<String>,
    ) -> Result<(), StoreError> {
        let (before, after) = (expected_families(stored), expected_families(adapted));
        if let Some(missing) = before.iter().find(|family| !found.contains(*family)) {
            return Err(damaged(&self.path, &format!("column family {missing} is missing")));
        }
        for left_over in found.difference(&before) {
            self.db.drop_cf(left_over).map_err(|error| self.failed(error))?;
        }
        if before == after {
            return Ok(());
        }
        for new in after.difference(&before) {
            self.db.create_cf(new, &tuning::family(&options.budget)).map_err(|error| self.failed(error))?;
        }
        let mut batch = WriteBatch::new();
        batch.put(FORMAT_KEY, adapted.to_bytes());
        for gone in stored.columns().iter().filter(|column| adapted.named(&column.name).is_none()) {
            tracing::info!(store = gone.name, path = %self.path.display(), "the topology has this store no more: its rows are dropped");
            batch.delete(position_key(gone.id));
        }
        self.db.write_opt(batch, &without_log()).map_err(|error| self.failed(error))?;
        self.know(adapted, adapted);
        self.flush()?;
        for old in before.difference(&after) {
            self.db.drop_cf(old).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// Columns have the numbers of `contents`; those in the store are those of the same names in `stored`.
    fn know(&mut self, contents: &Contents, stored: &Contents) {
        self.families.clear();
        for column in contents.columns() {
            let Some(stored) = stored.named(&column.name) else { continue };
            let index = usize::from(column.id.0);
            let length = self.families.len().max(index + 1);
            self.families.resize_with(length, || None);
            self.families[index] = Some(Family { name: family_name(stored.id, &stored.name), stored: stored.id });
        }
    }

    fn open_families(path: &Path, options: &RocksOptions, names: &[String]) -> Result<Self, StoreError> {
        let family_options = tuning::family(&options.budget);
        let families = names.iter().map(|name| (name.as_str(), family_options.clone()));
        let db = Db::open_cf_with_opts(&tuning::task_database(&options.budget), path, families)
            .map_err(|error| opening_error(path, error))?;
        Ok(Self {
            db,
            path: path.to_path_buf(),
            families: Vec::new(),
            found: options.contents.clone(),
            read: ReadOptions::default(),
            flush_after_bytes: options.flush_after_bytes,
            unflushed_bytes: 0,
            flushing_bytes: 0,
        })
    }

    fn column(&self, column: ColumnId) -> Result<&ColumnFamily, StoreError> {
        let family = self.families.get(usize::from(column.0)).and_then(Option::as_ref);
        let family = family.and_then(|family| self.db.cf_handle(&family.name));
        family.ok_or_else(|| StoreError::NoSuchColumn { path: self.path.clone(), column })
    }

    fn family(&self, name: &str) -> Result<&ColumnFamily, StoreError> {
        let family = self.db.cf_handle(name);
        family.ok_or_else(|| damaged(&self.path, &format!("column family {name} is missing")))
    }

    fn all_families(&self) -> Result<Vec<&ColumnFamily>, StoreError> {
        self.family_names().map(|name| self.family(name)).collect()
    }

    fn family_names(&self) -> impl Iterator<Item = &str> {
        self.families.iter().flatten().map(|family| family.name.as_str()).chain([DEFAULT_FAMILY])
    }

    /// Under which number the store has the position of `column`.
    fn position_key(&self, column: ColumnId) -> Result<[u8; 2], StoreError> {
        let family = self.families.get(usize::from(column.0)).and_then(Option::as_ref);
        let family = family.ok_or_else(|| StoreError::NoSuchColumn { path: self.path.clone(), column })?;
        Ok(position_key(family.stored))
    }

    fn begin_flush(&self, wait: bool) -> Result<(), StoreError> {
        let mut options = FlushOptions::default();
        options.set_wait(wait);
        // All of them by name: a manual flush is atomic only over those that it names.
        self.db.flush_cfs_opt(&self.all_families()?, &options).map_err(|error| self.failed(error))
    }

    fn flush_if_large(&mut self) -> Result<(), StoreError> {
        if self.flushing_bytes > 0 {
            let mut waiting = 0;
            for family in self.all_families()? {
                let count = self.db.property_int_value_cf(family, properties::NUM_IMMUTABLE_MEM_TABLE);
                waiting += count.map_err(|error| self.failed(error))?.unwrap_or(0);
            }
            if waiting == 0 {
                self.flushing_bytes = 0;
            }
        }
        if self.unflushed_bytes >= self.flush_after_bytes {
            // Who writes faster than the disk takes it waits here; else memory, and what a crash loses, had no end.
            let is_behind = self.flushing_bytes > 0;
            self.begin_flush(is_behind)?;
            let begun = std::mem::take(&mut self.unflushed_bytes);
            self.flushing_bytes = if is_behind { 0 } else { begun };
        }
        Ok(())
    }

    /// The first key after every key that `column` has or that `batch` puts there.
    fn after_all_keys(&self, column: ColumnId, batch: &Batch) -> Result<Option<Vec<u8>>, StoreError> {
        let on_disk = self.last(column, KeyRange::ALL)?.map(|(key, _)| key);
        let in_batch = batch.changes().filter_map(|(of, change)| match change {
            Change::Put { key, .. } if of == column => Some(key),
            _ => None,
        });
        let greatest = on_disk.as_deref().into_iter().chain(in_batch).max();
        Ok(greatest.map(|key| [key, &[0]].concat()))
    }

    fn failed(&self, error: rocksdb::Error) -> StoreError {
        store_error(&self.path, error)
    }
}

impl Base for RocksBase {
    fn read(&self, column: ColumnId, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let value = self.db.get_pinned_cf_opt(self.column(column)?, key, &self.read);
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
        let rows = self.db.raw_iterator_cf_opt(self.column(column)?, walk::within(range));
        walk::ascending(rows, visit).map_err(|error| self.failed(error))
    }

    fn last(&self, column: ColumnId, range: KeyRange<'_>) -> Result<Option<Row>, StoreError> {
        if range.is_empty() {
            return Ok(None);
        }
        let mut last = None;
        let rows = self.db.raw_iterator_cf_opt(self.column(column)?, walk::within(range));
        let found = walk::descending(rows, &mut |key, value| {
            last = Some((key.to_vec(), value.to_vec()));
            ControlFlow::Break(())
        });
        found.map_err(|error| self.failed(error))?;
        Ok(last)
    }

    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut rows = WriteBatch::with_capacity_bytes(batch.bytes() + batch.bytes() / 4);
        for (column, change) in batch.changes() {
            let family = self.column(column)?;
            match change {
                Change::Put { key, value } => rows.put_cf(family, key, value),
                Change::Delete { key } => rows.delete_cf(family, key),
                Change::DeleteRange { range: KeyRange { start, end: Some(end) } } => {
                    rows.delete_range_cf(family, start, end);
                }
                // RocksDB has no range without an end.
                Change::DeleteRange { range: KeyRange { start, end: None } } => {
                    if let Some(end) = self.after_all_keys(column, batch)?
                        && start < end.as_slice()
                    {
                        rows.delete_range_cf(family, start, &end);
                    }
                }
            }
        }
        for (column, position) in batch.positions() {
            rows.put(self.position_key(column)?, position.to_bytes());
        }
        self.db.write_opt(rows, &without_log()).map_err(|error| self.failed(error))?;
        self.unflushed_bytes += batch.replay_bytes();
        self.flush_if_large()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.begin_flush(true)?;
        self.unflushed_bytes = 0;
        self.flushing_bytes = 0;
        Ok(())
    }

    fn position(&self, column: ColumnId) -> Result<Option<Position>, StoreError> {
        let Ok(key) = self.position_key(column) else { return Ok(None) };
        let stored = self.db.get(key).map_err(|error| self.failed(error))?;
        let Some(stored) = stored else {
            return Ok(None);
        };
        let position = Position::from_bytes(&stored);
        position.map(Some).ok_or_else(|| damaged(&self.path, &format!("the position of column {column} is malformed")))
    }

    fn unflushed_bytes(&self) -> usize {
        self.unflushed_bytes + self.flushing_bytes
    }
}

impl std::fmt::Debug for RocksBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksBase").field("path", &self.path).finish()
    }
}

enum Found {
    Nothing,
    Store,
}

/// Whether `path` holds a RocksDB; one without its `CURRENT` file would be overwritten by a new one.
fn found_at(path: &Path) -> Result<Found, StoreError> {
    let io = |error| StoreError::io(path, "list the folder", &error);
    let mut files = false;
    for entry in std::fs::read_dir(path).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let name = name.to_string_lossy();
        if name == "CURRENT" {
            return Ok(Found::Store);
        }
        files |= name.starts_with("MANIFEST") || name.ends_with(".sst");
    }
    if files { Err(damaged(path, "its CURRENT file is missing")) } else { Ok(Found::Nothing) }
}

fn family_name(id: ColumnId, name: &str) -> String {
    format!("{:03}-{name}", id.0)
}

fn expected_families(contents: &Contents) -> BTreeSet<String> {
    let columns = contents.columns().iter().map(|column| family_name(column.id, &column.name));
    columns.chain([DEFAULT_FAMILY.to_owned()]).collect()
}

fn position_key(column: ColumnId) -> [u8; 2] {
    [1, column.0]
}

fn without_log() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

fn damaged(path: &Path, detail: &str) -> StoreError {
    StoreError::Damaged { path: path.to_path_buf(), detail: detail.to_owned() }
}

/// Why a store's format record does not let this program in.
fn refused(path: &Path, error: &FormatError) -> StoreError {
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
