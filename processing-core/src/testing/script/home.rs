//! Base stores that outlive their worker, as files outlive a process.
//!
//! Not here: files. Invariant: what a crash leaves is what was flushed before it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use state::{Base, Batch, ColumnContents, ColumnId, KeyRange, MemoryBase, Position, Row, StoreError, Visit};

use crate::error::CoreError;
use crate::task::TaskId;
use crate::worker::StateHome;

/// The disk of one process.
#[derive(Clone, Default)]
pub(super) struct MemoryHome(Arc<Mutex<BTreeMap<TaskId, SharedBase>>>);

impl MemoryHome {
    /// The process is dead: what was not flushed is gone.
    pub(super) fn crash(&self) {
        for base in self.0.lock().unwrap_or_else(PoisonError::into_inner).values() {
            base.lock().forget_unflushed();
        }
    }
}

impl StateHome for MemoryHome {
    type Base = SharedBase;

    fn open(&mut self, task: TaskId, _: &[ColumnContents]) -> Result<SharedBase, CoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(task).or_default().clone())
    }

    fn destroy(&mut self, task: TaskId) -> Result<(), CoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&task);
        Ok(())
    }
}

/// A base that the home and the worker both hold.
#[derive(Clone, Default)]
pub(super) struct SharedBase(Arc<Mutex<MemoryBase>>);

impl SharedBase {
    fn lock(&self) -> MutexGuard<'_, MemoryBase> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Base for SharedBase {
    fn read(&self, column: ColumnId, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.lock().read(column, key, visit)
    }

    fn scan(&self, column: ColumnId, range: KeyRange<'_>, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.lock().scan(column, range, visit)
    }

    fn last(&self, column: ColumnId, range: KeyRange<'_>) -> Result<Option<Row>, StoreError> {
        self.lock().last(column, range)
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        self.lock().write(batch)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.lock().flush()
    }

    fn position(&self, column: ColumnId) -> Result<Option<Position>, StoreError> {
        self.lock().position(column)
    }

    fn unflushed_bytes(&self) -> usize {
        self.lock().unflushed_bytes()
    }
}
