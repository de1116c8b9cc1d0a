//! The disk of a virtual process: its tasks' stores in memory, and what a crash takes of them.
//!
//! Not here: what is in the stores. Invariant: a store is open at most once, and outlives the process that
//! opened it, up to its last flush.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use state::{Base, Batch, ColumnContents, ColumnId, KeyRange, MemoryBase, Position, Row, StoreError, Visit};

use super::dice::Dice;
use crate::error::CoreError;
use crate::log::LogError;
use crate::task::TaskId;
use crate::worker::StateHome;

/// Stores by task, shared by all handles.
#[derive(Clone)]
pub struct MemoryHome {
    stores: Arc<Mutex<BTreeMap<TaskId, Arc<Mutex<Store>>>>>,
    /// A store flushes by itself from so many bytes on; `None` is never.
    flush_after_bytes: Option<usize>,
    faults: Arc<Mutex<DiskFaults>>,
}

struct Store {
    base: MemoryBase,
    /// Its columns, as the topology that opened it last has them.
    columns: Vec<(ColumnId, String)>,
    /// A write has failed: it must not be used again.
    damaged: bool,
}

struct DiskFaults {
    /// How many writes fail.
    rate: f64,
    dice: Dice,
}

/// One store, open.
pub struct Disk {
    store: Arc<Mutex<Store>>,
    faults: Arc<Mutex<DiskFaults>>,
    is_new: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryHome {
    /// An empty home, whose stores flush by themselves from so many bytes on.
    pub fn new(flush_after_bytes: Option<usize>) -> Self {
        let faults = DiskFaults { rate: 0.0, dice: Dice::new(0) };
        Self { stores: Arc::default(), flush_after_bytes, faults: Arc::new(Mutex::new(faults)) }
    }

    /// From now on, this part of all writes fails and damages its store.
    pub(crate) fn fail_writes(&self, rate: f64, seed: u64) {
        *lock(&self.faults) = DiskFaults { rate, dice: Dice::new(seed) };
    }

    /// What a crash of the process does: everything that was not flushed is gone. The process must have
    /// been dropped.
    pub fn crash(&self) {
        lock(&self.stores).values().for_each(|store| lock(store).base.forget_unflushed());
    }

    /// The volume is gone too.
    pub fn wipe(&self) {
        lock(&self.stores).clear();
    }

    fn fresh(&self) -> Arc<Mutex<Store>> {
        let base = match self.flush_after_bytes {
            Some(bytes) => MemoryBase::flushing_after(bytes),
            None => MemoryBase::new(),
        };
        Arc::new(Mutex::new(Store { base, columns: Vec::new(), damaged: false }))
    }
}

impl Store {
    /// Finds its columns by their names, as a store on disk does. Without contents they stay under their numbers.
    fn name(&mut self, contents: &[ColumnContents]) {
        let columns: Vec<_> = contents.iter().map(|column| (column.id, column.name.clone())).collect();
        if columns.is_empty() || columns == self.columns {
            return;
        }
        let before = std::mem::replace(&mut self.columns, columns);
        if before.is_empty() {
            return;
        }
        let columns = &self.columns;
        self.base.renumber(|column| {
            let (_, name) = before.iter().find(|(id, _)| *id == column)?;
            columns.iter().find(|(_, now)| now == name).map(|(id, _)| *id)
        });
    }
}

impl StateHome for MemoryHome {
    type Base = Disk;

    fn open(&mut self, task: TaskId, contents: &[ColumnContents]) -> Result<Disk, CoreError> {
        let mut stores = lock(&self.stores);
        let known = stores.get(&task);
        if known.is_some_and(|store| Arc::strong_count(store) > 1) {
            // Another thread of this process is about to close it.
            return Err(LogError::Retry(format!("the store of task {task} is open already")).into());
        }
        let whole = known.filter(|store| !lock(store).damaged).cloned();
        let is_new = whole.is_none();
        let store = whole.unwrap_or_else(|| self.fresh());
        stores.insert(task, Arc::clone(&store));
        lock(&store).name(contents);
        Ok(Disk { store, faults: Arc::clone(&self.faults), is_new })
    }

    fn destroy(&mut self, task: TaskId) -> Result<(), CoreError> {
        let mut stores = lock(&self.stores);
        if stores.get(&task).is_some_and(|store| Arc::strong_count(store) > 1) {
            return Err(LogError::Retry(format!("the store of task {task} is open and cannot be removed")).into());
        }
        stores.remove(&task);
        Ok(())
    }
}

impl Disk {
    /// Whether it was empty when it was opened.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    fn may_fail(&self, store: &mut Store) -> Result<(), StoreError> {
        let DiskFaults { rate, dice } = &mut *lock(&self.faults);
        if *rate > 0.0 && dice.chance(*rate) {
            store.damaged = true;
            let detail = "a write failed half-way".to_owned();
            return Err(StoreError::Damaged { path: "memory".into(), detail });
        }
        Ok(())
    }
}

impl Base for Disk {
    fn read(&self, column: ColumnId, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        lock(&self.store).base.read(column, key, visit)
    }

    fn scan(&self, column: ColumnId, range: KeyRange<'_>, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        lock(&self.store).base.scan(column, range, visit)
    }

    fn last(&self, column: ColumnId, range: KeyRange<'_>) -> Result<Option<Row>, StoreError> {
        lock(&self.store).base.last(column, range)
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let mut store = lock(&self.store);
        self.may_fail(&mut store)?;
        store.base.write(batch)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let mut store = lock(&self.store);
        self.may_fail(&mut store)?;
        store.base.flush()
    }

    fn position(&self, column: ColumnId) -> Result<Option<Position>, StoreError> {
        lock(&self.store).base.position(column)
    }

    fn unflushed_bytes(&self) -> usize {
        lock(&self.store).base.unflushed_bytes()
    }
}
