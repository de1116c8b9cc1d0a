//! A base in plain memory: the model of the one on disk, and the engine of the simulator.
//!
//! Not here: durability. It imitates a lost memtable by remembering what each touched row was at the
//! last flush.
//! Invariant: [`MemoryBase::forget_unflushed`] leads to exactly the rows and positions of the last flush.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::{Bound, ControlFlow};

use crate::batch::{Batch, Change};
use crate::error::StoreError;
use crate::position::Position;
use crate::store::{Base, ColumnId, KeyRange, Row, Visit};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Ordered rows in memory, with the loss of unflushed writes on demand.
#[derive(Clone, Default, Debug)]
pub struct MemoryBase {
    columns: BTreeMap<ColumnId, Rows>,
    positions: BTreeMap<ColumnId, Position>,
    /// What each row written since the last flush was at that flush.
    before: BTreeMap<(ColumnId, Vec<u8>), Option<Vec<u8>>>,
    positions_before: BTreeMap<ColumnId, Option<Position>>,
    unflushed_bytes: usize,
    flush_after_bytes: Option<usize>,
}

impl MemoryBase {
    /// An empty base that flushes only when asked to.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty base that also flushes by itself, right after the batch that brings the unflushed
    /// bytes to `bytes`, as a base on disk does when its memtable is full.
    pub fn flushing_after(bytes: usize) -> Self {
        Self { flush_after_bytes: Some(bytes), ..Self::default() }
    }

    /// What a crash does: everything written since the last flush is gone, positions included.
    pub fn forget_unflushed(&mut self) {
        for ((column, key), value) in std::mem::take(&mut self.before) {
            let rows = self.columns.entry(column).or_default();
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        for (column, position) in std::mem::take(&mut self.positions_before) {
            match position {
                Some(position) => self.positions.insert(column, position),
                None => self.positions.remove(&column),
            };
        }
        self.unflushed_bytes = 0;
    }

    /// Flushes, and gives each column another number; the rows of those that get none go. No two may get one number.
    pub fn renumber(&mut self, number: impl Fn(ColumnId) -> Option<ColumnId>) {
        self.remember_flushed();
        let columns = std::mem::take(&mut self.columns).into_iter();
        self.columns = columns.filter_map(|(column, rows)| Some((number(column)?, rows))).collect();
        let positions = std::mem::take(&mut self.positions).into_iter();
        self.positions = positions.filter_map(|(column, position)| Some((number(column)?, position))).collect();
    }

    /// The number of rows in `column`.
    pub fn len(&self, column: ColumnId) -> usize {
        self.columns.get(&column).map_or(0, BTreeMap::len)
    }

    /// Whether no column has a row.
    pub fn is_empty(&self) -> bool {
        self.columns.values().all(BTreeMap::is_empty)
    }

    fn set(&mut self, column: ColumnId, key: &[u8], value: Option<&[u8]>) {
        let rows = self.columns.entry(column).or_default();
        let old = match value {
            Some(value) => match rows.get_mut(key) {
                Some(slot) => Some(std::mem::replace(slot, value.to_vec())),
                None => rows.insert(key.to_vec(), value.to_vec()),
            },
            None => rows.remove(key),
        };
        if let Entry::Vacant(entry) = self.before.entry((column, key.to_vec())) {
            entry.insert(old);
        }
    }

    fn remember_flushed(&mut self) {
        self.before.clear();
        self.positions_before.clear();
        self.unflushed_bytes = 0;
    }
}

/// The rows of `range`; an empty range is answered here, because the map's own method panics on it.
fn rows_in<'a>(
    rows: &'a Rows,
    range: KeyRange<'_>,
) -> impl DoubleEndedIterator<Item = (&'a Vec<u8>, &'a Vec<u8>)> + 'a {
    let found = (!range.is_empty()).then(|| {
        let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
        rows.range::<[u8], _>((Bound::Included(range.start), end))
    });
    found.into_iter().flatten()
}

impl Base for MemoryBase {
    fn read(&self, column: ColumnId, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let value = self.columns.get(&column).and_then(|rows| rows.get(key));
        if let Some(value) = value {
            visit(value);
        }
        Ok(value.is_some())
    }

    fn scan(&self, column: ColumnId, range: KeyRange<'_>, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if let Some(rows) = self.columns.get(&column) {
            for (key, value) in rows_in(rows, range) {
                if visit(key, value) == ControlFlow::Break(()) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn last(&self, column: ColumnId, range: KeyRange<'_>) -> Result<Option<Row>, StoreError> {
        let rows = self.columns.get(&column);
        Ok(rows.and_then(|rows| rows_in(rows, range).next_back()).map(|(key, value)| (key.clone(), value.clone())))
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let columns = batch.columns();
        for (column, change) in columns.flat_map(|column| batch.changes(column).map(move |change| (column, change))) {
            match change {
                Change::Put { key, value } => self.set(column, key, Some(value)),
                Change::Delete { key } => self.set(column, key, None),
                Change::DeleteRange { range } => {
                    let keys: Vec<Vec<u8>> = match self.columns.get(&column) {
                        Some(rows) => rows_in(rows, range).map(|(key, _)| key.clone()).collect(),
                        None => Vec::new(),
                    };
                    for key in keys {
                        self.set(column, &key, None);
                    }
                }
            }
        }
        for (column, position) in batch.positions() {
            let old = self.positions.insert(column, position);
            self.positions_before.entry(column).or_insert(old);
        }
        self.unflushed_bytes += batch.replay_bytes();
        if self.flush_after_bytes.is_some_and(|bytes| self.unflushed_bytes >= bytes) {
            self.remember_flushed();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.remember_flushed();
        Ok(())
    }

    fn position(&self, column: ColumnId) -> Result<Option<Position>, StoreError> {
        Ok(self.positions.get(&column).copied())
    }

    fn unflushed_bytes(&self) -> usize {
        self.unflushed_bytes
    }
}
