//! Changes to a base that become true at once.
//!
//! Not here: who may write one; a task's base is written only by [`crate::staged::TaskStore`].
//! Invariant: of two changes of a key, the one that was added later wins; rows come out in the order of their keys.

use std::collections::BTreeMap;

use crate::layer::Layer;
use crate::position::Position;
use crate::stack::Stack;
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
#[derive(Default, Debug)]
pub struct Batch<'s> {
    columns: BTreeMap<ColumnId, Changes<'s>>,
    positions: BTreeMap<ColumnId, Position>,
    /// See [`Self::stands_for`].
    stands_for: usize,
}

/// The changes of one column.
#[derive(Debug)]
enum Changes<'s> {
    /// Changes that were added one by one.
    Own(Layer),
    /// All that has been committed, where it lies.
    Lent(&'s Stack),
}

impl<'s> Batch<'s> {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// All committed changes of these columns, without a copy of them.
    pub(crate) fn of(columns: impl IntoIterator<Item = (ColumnId, &'s Stack)>) -> Self {
        let changed = columns.into_iter().filter(|(_, stack)| !stack.is_empty());
        Self { columns: changed.map(|(column, stack)| (column, Changes::Lent(stack))).collect(), ..Self::default() }
    }

    /// Adds a change of any kind.
    pub fn add(&mut self, column: ColumnId, change: Change<'_>) {
        let changes = self.columns.entry(column).or_insert_with(|| Changes::Own(Layer::default()));
        if let Changes::Lent(stack) = changes {
            let mut own = Layer::default();
            stack.changes().for_each(|change| own.add(change));
            *changes = Changes::Own(own);
        }
        if let Changes::Own(own) = changes {
            own.add(change);
        }
    }

    /// Gives `key` a value.
    pub fn put(&mut self, column: ColumnId, key: &[u8], value: &[u8]) {
        self.add(column, Change::Put { key, value });
    }

    /// Takes the value of `key` away.
    pub fn delete(&mut self, column: ColumnId, key: &[u8]) {
        self.add(column, Change::Delete { key });
    }

    /// Takes the values of all keys of `range` away.
    pub fn delete_range(&mut self, column: ColumnId, range: KeyRange<'_>) {
        self.add(column, Change::DeleteRange { range });
    }

    /// Sets how far `column` has followed its changelog once this batch is written.
    pub fn set_position(&mut self, column: ColumnId, position: Position) {
        self.positions.insert(column, position);
    }

    /// The columns that have changes, ascending.
    pub fn columns(&self) -> impl Iterator<Item = ColumnId> {
        self.columns.keys().copied()
    }

    /// What becomes of a column: ranges first, then rows in the order of their keys, each key once.
    pub fn changes(&self, column: ColumnId) -> impl Iterator<Item = Change<'_>> {
        self.columns.get(&column).into_iter().flat_map(Changes::all)
    }

    /// The positions, by column.
    pub fn positions(&self) -> impl Iterator<Item = (ColumnId, Position)> {
        self.positions.iter().map(|(column, position)| (*column, *position))
    }

    /// Bytes of keys and values, and a few for each change.
    pub fn bytes(&self) -> usize {
        self.columns.values().map(Changes::bytes).sum()
    }

    /// Bytes of changelog that a crash would have to bring back for this batch: its own, or more where rows were
    /// changed again and again before it was made.
    pub fn replay_bytes(&self) -> usize {
        self.bytes().max(self.stands_for)
    }

    /// Says how many bytes of changes this batch stands for.
    pub fn stands_for(&mut self, bytes: usize) {
        self.stands_for = bytes;
    }

    /// Whether writing this batch would change nothing.
    pub fn is_empty(&self) -> bool {
        self.columns.values().all(Changes::is_empty) && self.positions.is_empty()
    }

    /// Forgets all changes and positions.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Changes<'_> {
    fn all(&self) -> Box<dyn Iterator<Item = Change<'_>> + '_> {
        match self {
            Self::Own(own) => Box::new(own.changes()),
            Self::Lent(stack) => Box::new(stack.changes()),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Own(own) => own.is_empty(),
            Self::Lent(stack) => stack.is_empty(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Own(own) => own.bytes(),
            Self::Lent(stack) => stack.bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_to_lent_changes_comes_on_top_of_them() {
        let (column, mut layer, mut stack, empty) = (ColumnId(3), Layer::default(), Stack::default(), Stack::default());
        layer.add(Change::DeleteRange { range: KeyRange::from(b"x") });
        layer.add(Change::Put { key: b"a", value: b"1" });
        layer.add(Change::Put { key: b"b", value: b"1" });
        stack.absorb(&mut layer);
        let mut batch = Batch::of([(column, &stack), (ColumnId(9), &empty)]);
        assert!(batch.columns().eq([column]));
        batch.put(column, b"b", b"2");
        batch.delete(column, b"c");
        let expected = [
            Change::DeleteRange { range: KeyRange::from(b"x") },
            Change::Put { key: b"a", value: b"1" },
            Change::Put { key: b"b", value: b"2" },
            Change::Delete { key: b"c" },
        ];
        assert!(batch.changes(column).eq(expected));
    }

    #[test]
    fn a_range_of_no_keys_changes_nothing() {
        let mut batch = Batch::new();
        batch.delete_range(ColumnId(0), KeyRange::new(b"b", b"b"));
        assert!(batch.is_empty());
        batch.set_position(ColumnId(0), Position(1));
        assert!(!batch.is_empty());
    }
}
