//! The disk of a virtual process: its tasks' stores in memory, and what a crash takes of them.
//!
//! Not here: what is in the stores. Invariant: a store is open at most once, and outlives the process that
//! opened it, up to its last flush.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use state::{Base, Batch, ColumnContents, ColumnId, KeyRange, MemoryBase, Position, Row, StoreError, Visit};

use crate::error::CoreError;
use crate::task::TaskId;
use crate::worker::StateHome;

type Stores = BTreeMap<TaskId, Arc<Mutex<MemoryBase>>>;

/// Stores by task, shared by all handles.
#[derive(Clone, Default)]
pub struct MemoryHome {
    stores: Arc<Mutex<Stores>>,
    /// A store flushes by itself from so many bytes on; `None` is never.
    flush_after_bytes: Option<usize>,
}

/// One store, open.
pub struct Disk(Arc<Mutex<MemoryBase>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryHome {
    /// An empty home, whose stores flush by themselves from so many bytes on.
    pub fn new(flush_after_bytes: Option<usize>) -> Self {
        Self { flush_after_bytes, ..Self::default() }
    }

    /// What a crash of the process does: everything that was not flushed is gone. The process must have
    /// been dropped.
    pub fn crash(&self) {
        lock(&self.stores).values().for_each(|store| lock(store).forget_unflushed());
    }

    /// The volume is gone too.
    pub fn wipe(&self) {
        lock(&self.stores).clear();
    }
}

impl StateHome for MemoryHome {
    type Base = Disk;

    fn open(&mut self, task: TaskId, _: &[ColumnContents]) -> Result<Disk, CoreError> {
        let fresh = || match self.flush_after_bytes {
            Some(bytes) => MemoryBase::flushing_after(bytes),
            None => MemoryBase::new(),
        };
        let mut stores = lock(&self.stores);
        let store = stores.entry(task).or_insert_with(|| Arc::new(Mutex::new(fresh())));
        if Arc::strong_count(store) > 1 {
            return Err(CoreError::store_refused(format!("the store of task {task} is open already")));
        }
        Ok(Disk(Arc::clone(store)))
    }

    fn destroy(&mut self, task: TaskId) -> Result<(), CoreError> {
        let mut stores = lock(&self.stores);
        if stores.get(&task).is_some_and(|store| Arc::strong_count(store) > 1) {
            return Err(CoreError::store_refused(format!("the store of task {task} is open and cannot be removed")));
        }
        stores.remove(&task);
        Ok(())
    }
}

impl Base for Disk {
    fn read(&self, column: ColumnId, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        lock(&self.0).read(column, key, visit)
    }

    fn scan(&self, column: ColumnId, range: KeyRange<'_>, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        lock(&self.0).scan(column, range, visit)
    }

    fn last(&self, column: ColumnId, range: KeyRange<'_>) -> Result<Option<Row>, StoreError> {
        lock(&self.0).last(column, range)
    }

    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        lock(&self.0).write(batch)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        lock(&self.0).flush()
    }

    fn position(&self, column: ColumnId) -> Result<Option<Position>, StoreError> {
        lock(&self.0).position(column)
    }

    fn unflushed_bytes(&self) -> usize {
        lock(&self.0).unflushed_bytes()
    }
}
