//! A disk that keeps positions and rows apart, or says that it has written what it has not.
//!
//! Invariant: without a mutation it is the disk it wraps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use state::{Base, Batch, ColumnContents, ColumnId, KeyRange, Position, Row, StoreError, Visit};

use super::Mutation;
use crate::error::CoreError;
use crate::task::TaskId;
use crate::testing::home::{Disk, MemoryHome};
use crate::worker::StateHome;

type Positions = Arc<Mutex<BTreeMap<(TaskId, ColumnId), Position>>>;

/// A home whose disks may break a rule.
#[derive(Clone)]
pub(in crate::testing) struct MutantHome {
    home: MemoryHome,
    mutation: Option<Mutation>,
    /// Positions that a crash does not take.
    durable: Positions,
}

impl MutantHome {
    pub(in crate::testing) fn new(home: MemoryHome, mutation: Option<Mutation>) -> Self {
        Self { home, mutation, durable: Positions::default() }
    }

    /// The disks themselves.
    pub(in crate::testing) fn disks(&self) -> &MemoryHome {
        &self.home
    }

    /// The volume is gone, with everything on it.
    pub(in crate::testing) fn wipe(&self) {
        self.home.wipe();
        lock(&self.durable).clear();
    }
}

impl StateHome for MutantHome {
    type Base = MutantDisk;

    fn open(&mut self, task: TaskId, contents: &[ColumnContents]) -> Result<MutantDisk, CoreError> {
        let disk = self.home.open(task, contents)?;
        if disk.is_new() {
            lock(&self.durable).retain(|(owner, _), _| *owner != task);
        }
        Ok(MutantDisk { disk, task, mutation: self.mutation, durable: Arc::clone(&self.durable) })
    }

    fn destroy(&mut self, task: TaskId) -> Result<(), CoreError> {
        self.home.destroy(task)
    }
}

/// One store of it.
pub(in crate::testing) struct MutantDisk {
    disk: Disk,
    task: TaskId,
    mutation: Option<Mutation>,
    durable: Positions,
}

impl Base for MutantDisk {
    fn read(&self, column: ColumnId, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.disk.read(column, key, visit)
    }

    fn scan(&self, column: ColumnId, range: KeyRange<'_>, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.disk.scan(column, range, visit)
    }

    fn last(&self, column: ColumnId, range: KeyRange<'_>) -> Result<Option<Row>, StoreError> {
        self.disk.last(column, range)
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        if self.mutation == Some(Mutation::PositionsOutliveRows) {
            let positions = batch.positions().map(|(column, position)| ((self.task, column), position));
            lock(&self.durable).extend(positions);
        }
        match self.disk.write(batch) {
            Err(_) if self.mutation == Some(Mutation::FailedApplyIgnored) => Ok(()),
            written => written,
        }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.disk.flush()
    }

    fn position(&self, column: ColumnId) -> Result<Option<Position>, StoreError> {
        match lock(&self.durable).get(&(self.task, column)) {
            Some(position) => Ok(Some(*position)),
            None => self.disk.position(column),
        }
    }

    fn unflushed_bytes(&self) -> usize {
        self.disk.unflushed_bytes()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
