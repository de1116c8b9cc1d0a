//! A durable sorted map for large rows that are appended in key order and read in key order: what a
//! log can stand on.
//!
//! Not here: partitions, offsets, transactions of a log; a [`WriteSet`] is atomic, and that is all.
//! Invariant: a write that was answered with `Ok` survives the end of the process, and with
//! [`Sync::Disk`] that of the machine.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use rocksdb::{WaitForCompactOptions, WriteBatch, WriteOptions};

use super::budget::MemoryBudget;
use super::failure::store_error;
use super::{Db, tuning, walk};
use crate::error::StoreError;
use crate::store::{KeyRange, Visit};

/// How the map is laid out and how much memory it takes.
#[derive(Clone, Debug)]
pub struct OrderedOptions {
    /// Memory shared with the other stores of the process; without one, the map has its own.
    pub budget: Option<MemoryBudget>,
    /// Size at which rows in memory become a file, in bytes. While that is written, as much again may come in.
    pub write_buffer_bytes: usize,
}

impl Default for OrderedOptions {
    fn default() -> Self {
        Self { budget: None, write_buffer_bytes: 8 << 20 }
    }
}

/// How far a write has gone when it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sync {
    /// The operating system has it: survives `kill -9`, not a loss of power.
    Os,
    /// Stable storage has it.
    Disk,
}

/// Changes that become true at once.
#[derive(Default)]
pub struct WriteSet {
    batch: WriteBatch,
}

impl WriteSet {
    /// No changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// No changes, with room for so many bytes of them: a set that grows copies what it holds.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { batch: WriteBatch::with_capacity_bytes(bytes) }
    }

    /// Gives `key` a value.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.batch.put(key, value);
    }

    /// Takes the value of `key` away.
    pub fn delete(&mut self, key: &[u8]) {
        self.batch.delete(key);
    }

    /// Takes the values of all keys from `start` to before `end` away.
    pub fn delete_range(&mut self, start: &[u8], end: &[u8]) {
        if start < end {
            self.batch.delete_range(start, end);
        }
    }

    /// The number of changes.
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// The size of the changes, in bytes.
    pub fn bytes(&self) -> usize {
        self.batch.size_in_bytes()
    }
}

impl std::fmt::Debug for WriteSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteSet").field("len", &self.len()).field("bytes", &self.bytes()).finish()
    }
}

/// A durable sorted map; all methods may be called from any thread.
pub struct OrderedStore {
    db: Db,
    path: PathBuf,
    /// See [`Self::collect_by_need`].
    collects: AtomicBool,
}

impl OrderedStore {
    /// Opens the map in the folder `path`, which is made if need be. One process at a time.
    ///
    /// # Errors
    /// `Locked` while another process has it open, `Damaged` when its files are not what was written;
    /// a last write that was torn by a loss of power is not damage, it is left out.
    pub fn open(path: &Path, options: OrderedOptions) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path).map_err(|error| StoreError::io(path, "create the folder", &error))?;
        let mut db_options = tuning::ordered(&options);
        db_options.create_if_missing(true);
        let db = Db::open(&db_options, path).map_err(|error| store_error(path, error))?;
        // Files are right with or without.
        drop(db.set_options(&[tuning::FIRST_KEYS]));
        Ok(Self { db, path: path.to_path_buf(), collects: AtomicBool::new(false) })
    }

    /// Opens for reading a map that another process may be writing. `scratch` is a folder of the
    /// reader's own for RocksDB's notes. It sees what [`Self::catch_up`] last saw.
    ///
    /// # Errors
    /// `Io` while there is no map in `path` yet.
    pub fn open_secondary(path: &Path, scratch: &Path) -> Result<Self, StoreError> {
        if !path.join("CURRENT").exists() {
            let detail = "there is nothing to read yet; start the process that writes it".to_owned();
            return Err(StoreError::Io { path: path.to_path_buf(), detail });
        }
        std::fs::create_dir_all(scratch).map_err(|error| StoreError::io(scratch, "create the folder", &error))?;
        let mut options = tuning::ordered(&OrderedOptions::default());
        // The writer deletes files that it has merged; a secondary keeps all of its own open instead, of keys and of
        // rows.
        options.set_max_open_files(-1);
        let db = Db::open_as_secondary(&options, path, scratch).map_err(|error| store_error(path, error))?;
        let store = Self { db, path: path.to_path_buf(), collects: AtomicBool::new(false) };
        store.catch_up()?;
        Ok(store)
    }

    /// Makes a secondary see what the writer has written by now.
    pub fn catch_up(&self) -> Result<(), StoreError> {
        self.db.try_catch_up_with_primary().map_err(|error| self.failed(error))
    }

    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get(key).map_err(|error| self.failed(error))
    }

    /// Calls `use_value` with the value of `key`, if there is one, without copying it.
    pub fn with_value<T>(&self, key: &[u8], use_value: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, StoreError> {
        let value = self.db.get_pinned(key).map_err(|error| self.failed(error))?;
        Ok(value.map(|value| use_value(&value)))
    }

    /// Calls `visit` for the rows of `range` in ascending order of their keys, until it breaks.
    pub fn scan(
        &self,
        range: KeyRange<'_>,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.walk(range, true, &mut visit)
    }

    /// Calls `visit` for the rows of `range` in descending order of their keys, until it breaks.
    pub fn scan_back(
        &self,
        range: KeyRange<'_>,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.walk(range, false, &mut visit)
    }

    /// Writes all of `batch` or nothing.
    ///
    /// # Errors
    /// `Full` when the disk is; nothing of the batch is then in the map.
    pub fn write(&self, batch: WriteSet, sync: Sync) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(sync == Sync::Disk);
        self.db.write_opt(batch.batch, &options).map_err(|error| self.failed(error))
    }

    /// Writes the rows that are only in memory and in the write-ahead log to files.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(|error| self.failed(error))
    }

    /// Waits until the files are no longer rewritten in the background.
    pub fn settle(&self) -> Result<(), StoreError> {
        self.db.wait_for_compact(&WaitForCompactOptions::default()).map_err(|error| self.failed(error))
    }

    /// Merges the files of `range`, so that deleted rows give their room back.
    pub fn compact_range(&self, range: KeyRange<'_>) {
        self.db.compact_range(Some(range.start), range.end);
    }

    /// Lets merges move large rows that live out of the oldest files, so that those files can go, while deleted rows take a
    /// third of all files' room and more; less than a sixth is left alone again. To be called now and then: without need,
    /// each merge of all keys would write a quarter of the map again.
    pub fn collect_by_need(&self) -> Result<(), StoreError> {
        let size = |name: &str| Ok(self.db.property_int_value(name).map_err(|error| self.failed(error))?.unwrap_or(0));
        let (all, deleted) = (size(tuning::ROWS_APART_BYTES)?, size(tuning::ROWS_APART_DELETED_BYTES)?);
        let collects = self.collects.load(Relaxed);
        let needs = if collects { deleted * 6 > all } else { deleted * 3 >= all && deleted > 0 };
        if needs != collects {
            self.db.set_options(&[(tuning::COLLECTS, &needs.to_string())]).map_err(|error| self.failed(error))?;
            self.collects.store(needs, Relaxed);
        }
        Ok(())
    }

    fn walk(&self, range: KeyRange<'_>, ascending: bool, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        let mut options = walk::within(range);
        // Log rows are read once; they would only push the state's blocks out.
        options.fill_cache(false);
        let rows = self.db.raw_iterator_opt(options);
        let walked = if ascending { walk::ascending(rows, visit) } else { walk::descending(rows, visit) };
        walked.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: rocksdb::Error) -> StoreError {
        store_error(&self.path, error)
    }
}

impl std::fmt::Debug for OrderedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrderedStore").field("path", &self.path).finish()
    }
}
