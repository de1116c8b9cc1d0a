//! Changes to a base that become true at once.
//!
//! Not here: who may write one; a task's base is written only by [`crate::staged::TaskStore`].
//! Invariant: changes keep the order in which they were added, so a later one wins.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::position::Position;
use crate::store::{ColumnId, KeyRange};

/// One change of a column's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change<'a> {
    /// The key now has this value.
    Put {
        /// The row's key.
        key: &'a [u8],
        /// Its new value.
        value: &'a [u8],
    },
    /// The key has no value any more.
    Delete {
        /// The row's key.
        key: &'a [u8],
    },
    /// No key of the range has a value any more.
    DeleteRange {
        /// The keys.
        range: KeyRange<'a>,
    },
}

/// An atomic set of changes with the positions they lead to.
#[derive(Clone, Default, Debug)]
pub struct Batch {
    /// Keys and values one after the other: one growing allocation for the whole batch.
    bytes: Vec<u8>,
    changes: Vec<(ColumnId, Stored)>,
    positions: BTreeMap<ColumnId, Position>,
    /// See [`Self::stands_for`].
    stands_for: usize,
}

#[derive(Clone, Debug)]
enum Stored {
    Put { key: Range<usize>, value: Range<usize> },
    Delete { key: Range<usize> },
    DeleteRange { start: Range<usize>, end: Option<Range<usize>> },
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a change of any kind.
    pub fn add(&mut self, column: ColumnId, change: Change<'_>) {
        match change {
            Change::Put { key, value } => self.put(column, key, value),
            Change::Delete { key } => self.delete(column, key),
            Change::DeleteRange { range } => self.delete_range(column, range),
        }
    }

    /// Gives `key` a value.
    pub fn put(&mut self, column: ColumnId, key: &[u8], value: &[u8]) {
        let stored = Stored::Put { key: self.keep(key), value: self.keep(value) };
        self.changes.push((column, stored));
    }

    /// Takes the value of `key` away.
    pub fn delete(&mut self, column: ColumnId, key: &[u8]) {
        let stored = Stored::Delete { key: self.keep(key) };
        self.changes.push((column, stored));
    }

    /// Takes the values of all keys of `range` away.
    pub fn delete_range(&mut self, column: ColumnId, range: KeyRange<'_>) {
        if range.is_empty() {
            return;
        }
        let stored = Stored::DeleteRange { start: self.keep(range.start), end: range.end.map(|end| self.keep(end)) };
        self.changes.push((column, stored));
    }

    /// Sets how far `column` has followed its changelog once this batch is written.
    pub fn set_position(&mut self, column: ColumnId, position: Position) {
        self.positions.insert(column, position);
    }

    /// The changes in the order in which they were added.
    pub fn changes(&self) -> impl Iterator<Item = (ColumnId, Change<'_>)> {
        self.changes.iter().map(|(column, stored)| (*column, self.change(stored)))
    }

    /// The positions, by column.
    pub fn positions(&self) -> impl Iterator<Item = (ColumnId, Position)> {
        self.positions.iter().map(|(column, position)| (*column, *position))
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of changelog that a crash would have to bring back for this batch: its own, or more where rows were
    /// changed again and again before it was made.
    pub fn replay_bytes(&self) -> usize {
        self.bytes.len().max(self.stands_for)
    }

    /// Says how many bytes of changes this batch stands for.
    pub fn stands_for(&mut self, bytes: usize) {
        self.stands_for = bytes;
    }

    /// Whether writing this batch would change nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.positions.is_empty()
    }

    /// Forgets all changes and positions, and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.changes.clear();
        self.positions.clear();
        self.stands_for = 0;
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    fn change(&self, stored: &Stored) -> Change<'_> {
        let bytes = |range: &Range<usize>| &self.bytes[range.clone()];
        match stored {
            Stored::Put { key, value } => Change::Put { key: bytes(key), value: bytes(value) },
            Stored::Delete { key } => Change::Delete { key: bytes(key) },
            Stored::DeleteRange { start, end } => {
                Change::DeleteRange { range: KeyRange { start: bytes(start), end: end.as_ref().map(bytes) } }
            }
        }
    }
}
