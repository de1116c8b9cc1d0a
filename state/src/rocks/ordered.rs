//! A durable sorted map for large rows that are appended in key order and read in key order: what a
//! log can stand on.
//!
//! Keys lie in RocksDB. So do values, but the rows of large writes: these lie in segments ([`crate::segments`]), where they are
//! written once. RocksDB writes a value twice, into its log and where it stays.
//!
//! Not here: partitions, offsets, transactions of a log; a [`WriteSet`] is atomic, and that is all.
//! Invariant: a write that was answered with `Ok` survives the end of the process, and with
//! [`Sync::Disk`] that of the machine.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rocksdb::{WaitForCompactOptions, WriteBatch, WriteOptions};

use super::budget::MemoryBudget;
use super::collection::{self, Collection};
use super::failure::store_error;
use super::stored::Stored;
pub use super::write_set::WriteSet;
use super::write_set::Written;
use super::{Db, tuning, walk};
use crate::error::StoreError;
use crate::segments::entry::{Head, SegmentId};
use crate::segments::{Segments, Torn, Unread};
use crate::store::{KeyRange, OwnedRange, Visit};

/// How the map is laid out and how much memory it takes.
#[derive(Clone, Debug)]
pub struct OrderedOptions {
    /// Memory shared with the other stores of the process; without one, the map has its own.
    pub budget: Option<MemoryBudget>,
    /// Size at which rows in memory become a file, in bytes. While that is written, as much again may come in.
    pub write_buffer_bytes: usize,
    /// From this size on, in bytes, a row lies apart from its key. A smaller one costs less to write again with a merge of
    /// keys than to be sought by itself.
    pub large_row_bytes: usize,
    /// A write on stable storage that brings so many bytes of such rows puts them into segments. That costs a second
    /// `fdatasync`, and saves writing them twice.
    pub segments_from_bytes: usize,
    /// At this size a segment ends, in bytes; a GiB at most.
    pub segment_bytes: u32,
}

impl Default for OrderedOptions {
    fn default() -> Self {
        Self {
            budget: None,
            write_buffer_bytes: 8 << 20,
            large_row_bytes: 1 << 10,
            segments_from_bytes: 64 << 10,
            segment_bytes: 64 << 20,
        }
    }
}

/// Bytes of a change beside its key and value, and of the key of a row, near enough.
const BATCH_OVERHEAD: usize = 64;

/// How far a write has gone when it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sync {
    /// The operating system has it: survives `kill -9`, not a loss of power.
    Os,
    /// Stable storage has it.
    Disk,
}

/// A durable sorted map; all methods may be called from any thread.
pub struct OrderedStore {
    db: Db,
    path: PathBuf,
    pub(super) segments: Segments,
    /// See [`OrderedOptions`].
    large_row_bytes: usize,
    segments_from_bytes: usize,
    /// Whether another process writes, so that rows may move under a scan.
    is_beside: bool,
    /// Held by whoever writes: a row that is moved must not overtake its deletion.
    writing: Mutex<Collection>,
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
        let (segments, torn) = Segments::open(path, u64::from(options.segment_bytes.min(1 << 30)))?;
        let store = Self::of(db, path, segments, &options, false);
        if let Some(torn) = torn
            && !store.leads_behind(torn)?
        {
            store.segments.cut(torn)?;
        }
        Ok(store)
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
        let defaults = OrderedOptions::default();
        let mut options = tuning::ordered(&defaults);
        // The writer deletes files that it has merged; a secondary keeps all of its own open instead, of keys and of
        // rows.
        options.set_max_open_files(-1);
        let db = Db::open_as_secondary(&options, path, scratch).map_err(|error| store_error(path, error))?;
        let store = Self::of(db, path, Segments::beside(path), &defaults, true);
        store.catch_up()?;
        Ok(store)
    }

    fn of(db: Db, path: &Path, segments: Segments, options: &OrderedOptions, is_beside: bool) -> Self {
        let OrderedOptions { large_row_bytes, segments_from_bytes, .. } = *options;
        let (path, writing, collects) = (path.to_path_buf(), Mutex::default(), AtomicBool::default());
        Self { db, path, segments, large_row_bytes, segments_from_bytes, is_beside, writing, collects }
    }

    /// Whether a key leads behind the last whole entry of a segment: then it is damaged, and not cut off by a crash.
    fn leads_behind(&self, torn: Torn) -> Result<bool, StoreError> {
        let mut leads = false;
        let rows = self.db.raw_iterator_opt(walk::within(KeyRange::ALL));
        let walked = walk::ascending(rows, &mut |_, value| {
            leads = matches!(Stored::parse(value),
                Some(Stored::Apart(place)) if place.segment == torn.id && u64::from(place.offset) >= torn.from);
            if leads { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        walked.map_err(|error| self.failed(error)).map(|()| leads)
    }

    /// Makes a secondary see what the writer has written by now.
    pub fn catch_up(&self) -> Result<(), StoreError> {
        self.db.try_catch_up_with_primary().map_err(|error| self.failed(error))?;
        self.segments.close_removed();
        Ok(())
    }

    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.with_value(key, <[u8]>::to_vec)
    }

    /// Calls `use_value` with the value of `key`, if there is one, without copying it.
    pub fn with_value<T>(&self, key: &[u8], use_value: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, StoreError> {
        let only = OwnedRange::only(key.to_vec());
        let (mut use_value, mut used) = (Some(use_value), None);
        self.scan(only.as_range(), |_, value| {
            used = use_value.take().map(|use_value| use_value(value));
            ControlFlow::Break(())
        })?;
        Ok(used)
    }

    /// Calls `use_value` with what RocksDB has for `key`.
    pub(super) fn stored<T>(&self, key: &[u8], use_value: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, StoreError> {
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

    /// Writes all of `set` or nothing.
    ///
    /// # Errors
    /// `Full` when the disk is; nothing of the set is then in the map.
    pub fn write(&self, set: &WriteSet<'_>, sync: Sync) -> Result<(), StoreError> {
        let mut at = self.writing();
        let appended = self.put(set, sync, self.segments_from_bytes)?;
        at.note_write(appended);
        Ok(())
    }

    /// Writes all of `set` or nothing; answers how many rows it has put into segments. The caller lets nobody write
    /// meanwhile.
    pub(super) fn put(&self, set: &WriteSet<'_>, sync: Sync, segments_from_bytes: usize) -> Result<usize, StoreError> {
        // After a loss of power a key must not lead to bytes that are not there, so rows that need not be on stable storage
        // stay with their keys.
        let large = || set.changes().filter_map(|change| self.large_row(change));
        let apart = sync == Sync::Disk
            && !self.is_beside
            && large().map(|(_, row)| row.len()).sum::<usize>() >= segments_from_bytes;
        let places = if apart { self.segments.append(large())? } else { Vec::new() };
        let here = if apart { 0 } else { set.bytes() };
        let mut batch = WriteBatch::with_capacity_bytes(here + set.len() * BATCH_OVERHEAD);
        let mut next = places.iter();
        for change in set.changes() {
            match change {
                Written::Delete { key } => batch.delete(key),
                Written::DeleteRange { start, end } => batch.delete_range(start, end),
                Written::Put { key, value } => {
                    let place = self.large_row(change).and_then(|_| next.next());
                    let stored = place.map_or(Stored::Here(value), |place| Stored::Apart(*place));
                    stored.put(|bytes| batch.put(key, bytes));
                }
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(sync == Sync::Disk);
        self.db.write_opt(batch, &options).map_err(|error| self.failed(error))?;
        Ok(places.len())
    }

    /// Key and row, if a change puts one that is worth a place in a segment.
    fn large_row<'a>(&self, change: Written<'a>) -> Option<(&'a [u8], &'a [u8])> {
        match change {
            Written::Put { key, value }
                if (self.large_row_bytes..=Head::ROW_MAX).contains(&value.len()) && key.len() <= Head::KEY_MAX =>
            {
                Some((key, value))
            }
            _ => None,
        }
    }

    /// Puts what was written on stable storage.
    pub(super) fn sync_log(&self) -> Result<(), StoreError> {
        self.db.flush_wal(true).map_err(|error| self.failed(error))
    }

    fn writing(&self) -> MutexGuard<'_, Collection> {
        // What a panic leaves of it says at most that there is more to look at.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Gives the room of deleted rows back, a bounded step at a time; answers whether another one at once goes on with it. To
    /// be called now and then.
    ///
    /// Of RocksDB's own files of rows, merges move those that live out of the oldest, so that those can go, while deleted
    /// rows take a third of all their room and more; less than a sixth is left alone again. Without need, each merge of all
    /// keys would write a quarter of them again.
    pub fn collect_by_need(&self) -> Result<bool, StoreError> {
        let size = |name: &str| Ok(self.db.property_int_value(name).map_err(|error| self.failed(error))?.unwrap_or(0));
        let (all, deleted) = (size(tuning::ROWS_APART_BYTES)?, size(tuning::ROWS_APART_DELETED_BYTES)?);
        let collects = self.collects.load(Relaxed);
        let needs = if collects { deleted * 6 > all } else { deleted * 3 >= all && deleted > 0 };
        if needs != collects {
            self.db.set_options(&[(tuning::COLLECTS, &needs.to_string())]).map_err(|error| self.failed(error))?;
            self.collects.store(needs, Relaxed);
        }
        collection::step(self, &mut self.writing())
    }

    /// Beside the writer, rows may be gone to the end of the segments since the scan began: it is begun anew where it stands,
    /// with the eyes open.
    fn walk(&self, range: KeyRange<'_>, forwards: bool, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut left = OwnedRange { start: range.start.to_vec(), end: range.end.map(<[u8]>::to_vec) };
        let mut gone: Option<Vec<u8>> = None;
        loop {
            let Some((key, id)) = self.walk_until_gone(left.as_range(), forwards, visit)? else {
                return Ok(());
            };
            if !self.is_beside || gone.as_ref() == Some(&key) {
                return Err(self.unread(Unread::Gone(id)));
            }
            self.catch_up()?;
            if forwards {
                left.start.clone_from(&key);
            } else {
                left.end = OwnedRange::only(key.clone()).end;
            }
            gone = Some(key);
        }
    }

    /// Answers the key at which the walk ended since its row's segment is gone.
    fn walk_until_gone(
        &self,
        range: KeyRange<'_>,
        forwards: bool,
        visit: &mut Visit<'_>,
    ) -> Result<Option<(Vec<u8>, SegmentId)>, StoreError> {
        if range.is_empty() {
            return Ok(None);
        }
        let mut options = walk::within(range);
        // Log rows are read once; they would only push the state's blocks out.
        options.fill_cache(false);
        // ORDER: before the iterator, whose keys may lead to segments that are removed while it goes on.
        let files = self.segments.files();
        let rows = self.db.raw_iterator_opt(options);
        let (mut row, mut unread) = (Vec::new(), None);
        let mut resolve = |key: &[u8], value: &[u8]| match Stored::parse(value) {
            Some(Stored::Here(value)) => visit(key, value),
            Some(Stored::Apart(place)) => match self.segments.read(&files, place, key, &mut row) {
                Ok(row) => visit(key, row),
                Err(error) => {
                    unread = Some((key.to_vec(), error));
                    ControlFlow::Break(())
                }
            },
            None => {
                unread = Some((key.to_vec(), Unread::Damaged("a value is of no known kind".to_owned())));
                ControlFlow::Break(())
            }
        };
        let walked = if forwards { walk::ascending(rows, &mut resolve) } else { walk::descending(rows, &mut resolve) };
        walked.map_err(|error| self.failed(error))?;
        match unread {
            None => Ok(None),
            Some((key, Unread::Gone(id))) => Ok(Some((key, id))),
            Some((_, unread)) => Err(self.unread(unread)),
        }
    }

    pub(super) fn unread(&self, unread: Unread) -> StoreError {
        let detail = match unread {
            Unread::Failed(error) => return error,
            Unread::Damaged(detail) => detail,
            Unread::Gone(id) => format!("{} is missing", self.segments.path(id).display()),
        };
        StoreError::Damaged { path: self.path.clone(), detail }
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
