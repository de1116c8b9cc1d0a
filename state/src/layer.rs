//! One column's changes that lie above other rows: what was put, what was deleted, which ranges went.
//!
//! Not here: when a layer moves down; that is [`crate::staged`].
//! Invariant: a row of the layer is newer than the layer's mask, so rows are asked first and the
//! mask speaks only for the layers below.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Bound;

use crate::batch::Batch;
use crate::mask::Mask;
use crate::run::SortedRun;
use crate::store::{ColumnId, KeyRange};

/// What a layer knows of a key: its value, or `None` for deleted.
type Slot = Option<Box<[u8]>>;

/// A key with what a layer knows of it.
pub(crate) type LayerRow<'a> = (&'a [u8], Option<&'a [u8]>);

/// Cost of a row out of order beyond its bytes: two allocations and the map's own room.
const ROW_OVERHEAD_BYTES: usize = 64;

/// A layer that takes over this part of its own bytes, or more, is written anew in one pass: copying rows that lie side by
/// side costs a fraction of finding the place of each. A smaller part goes to its places row by row.
const REWRITTEN_PART: usize = 4;

/// Changes of one column, in the order of keys.
#[derive(Default, Debug)]
pub(crate) struct Layer {
    /// Rows that came in the order of their keys, or were brought into it.
    run: SortedRun,
    /// The others; no key is in both.
    rows: BTreeMap<Box<[u8]>, Slot>,
    mask: Mask,
    /// Of `rows` and `mask`.
    bytes: usize,
}

/// What a layer says about a key.
pub(crate) enum Word<'a> {
    /// The key has this value.
    Value(&'a [u8]),
    /// The key has no value, whatever lies below.
    Deleted,
    /// The layer says nothing: ask the one below.
    Silent,
}

impl Layer {
    pub(crate) fn is_empty(&self) -> bool {
        self.run.is_empty() && self.rows.is_empty() && self.mask.is_empty()
    }

    /// Memory held, in bytes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.run.bytes()
    }

    pub(crate) fn mask(&self) -> &Mask {
        &self.mask
    }

    pub(crate) fn get(&self, key: &[u8]) -> Word<'_> {
        match self.run.get(key).or_else(|| self.rows.get(key).map(Option::as_deref)) {
            Some(Some(value)) => Word::Value(value),
            Some(None) => Word::Deleted,
            None if self.mask.covers(key) => Word::Deleted,
            None => Word::Silent,
        }
    }

    pub(crate) fn set(&mut self, key: &[u8], value: Option<&[u8]>) {
        if let Some(slot) = self.rows.get_mut(key) {
            match (slot.as_deref_mut(), value) {
                // Aggregates mostly keep their length, and then their place.
                (Some(old), Some(new)) if old.len() == new.len() => old.copy_from_slice(new),
                _ => {
                    self.bytes -= value_bytes(slot);
                    *slot = value.map(Into::into);
                    self.bytes += value_bytes(slot);
                }
            }
        } else if !self.run.set(key, value) {
            let slot: Slot = value.map(Into::into);
            self.bytes += row_bytes(key, &slot);
            self.rows.insert(key.into(), slot);
        }
    }

    pub(crate) fn delete_range(&mut self, range: KeyRange<'_>) {
        if range.is_empty() {
            return;
        }
        self.run.delete_range(range);
        // Split off what is hit instead of removing row by row: expiry drops most of a layer at once.
        let mut hit = self.rows.split_off(range.start);
        if let Some(end) = range.end {
            self.rows.append(&mut hit.split_off(end));
        }
        self.bytes -= hit.iter().map(|(key, slot)| row_bytes(key, slot)).sum::<usize>();
        self.bytes += self.mask.add(range);
    }

    /// Lays `upper`, which is newer, over this layer and leaves `upper` empty.
    pub(crate) fn absorb(&mut self, upper: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, upper);
            return;
        }
        for range in upper.mask.ranges() {
            self.delete_range(range);
        }
        if self.bytes() <= REWRITTEN_PART * upper.bytes() {
            self.rewrite_with(upper);
        } else {
            for (key, value) in upper.rows_in(KeyRange::ALL) {
                self.set(key, value);
            }
        }
        upper.clear();
    }

    /// Brings all rows into one run, those of `upper` in the place of own ones.
    fn rewrite_with(&mut self, upper: &Self) {
        let mut old = std::mem::take(self);
        self.bytes = old.bytes - old.rows.iter().map(|(key, slot)| row_bytes(key, slot)).sum::<usize>();
        self.mask = std::mem::take(&mut old.mask);
        self.run.reserve(old.bytes() + upper.bytes());
        let mut newer = upper.rows_in(KeyRange::ALL).peekable();
        for (key, value) in old.rows_in(KeyRange::ALL) {
            while let Some((key, value)) = newer.next_if(|(newer, _)| *newer < key) {
                self.set(key, value);
            }
            match newer.next_if(|(newer, _)| *newer == key) {
                Some((key, value)) => self.set(key, value),
                None => self.set(key, value),
            }
        }
        for (key, value) in newer {
            self.set(key, value);
        }
    }

    /// Adds all changes to `batch`: ranges first, because the rows are newer.
    pub(crate) fn write_to(&self, column: ColumnId, batch: &mut Batch) {
        for range in self.mask.ranges() {
            batch.delete_range(column, range);
        }
        for (key, value) in self.rows_in(KeyRange::ALL) {
            match value {
                Some(value) => batch.put(column, key, value),
                None => batch.delete(column, key),
            }
        }
    }

    /// Forgets everything; memory for rows in order is kept for the next ones.
    pub(crate) fn clear(&mut self) {
        self.run.clear();
        self.rows.clear();
        self.mask = Mask::default();
        self.bytes = 0;
    }

    /// The layer's own rows of `range`, ascending, deleted ones included.
    pub(crate) fn rows_in<'a>(&'a self, range: KeyRange<'_>) -> impl Iterator<Item = LayerRow<'a>> + use<'a> {
        Merged {
            left: self.run.rows_in(range).peekable(),
            right: self.loose_in(range).peekable(),
            first: Ordering::Less,
        }
    }

    /// The layer's own rows of `range`, descending, deleted ones included.
    pub(crate) fn rows_back_in<'a>(&'a self, range: KeyRange<'_>) -> impl Iterator<Item = LayerRow<'a>> + use<'a> {
        let (run, loose) = (self.run.rows_in(range).rev(), self.loose_in(range).rev());
        Merged { left: run.peekable(), right: loose.peekable(), first: Ordering::Greater }
    }

    fn loose_in<'a>(&'a self, range: KeyRange<'_>) -> impl DoubleEndedIterator<Item = LayerRow<'a>> + use<'a> {
        // The map panics on an empty range, and need not be asked when it has nothing.
        let found = (!range.is_empty() && !self.rows.is_empty()).then(|| {
            let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
            self.rows.range::<[u8], _>((Bound::Included(range.start), end))
        });
        found.into_iter().flatten().map(|(key, slot)| (&**key, slot.as_deref()))
    }
}

/// Two sequences sorted the same way, without a common key, as one. `first` is how the key that comes
/// first compares to the other.
struct Merged<'a, L: Iterator<Item = LayerRow<'a>>, R: Iterator<Item = LayerRow<'a>>> {
    left: Peekable<L>,
    right: Peekable<R>,
    first: Ordering,
}

impl<'a, L: Iterator<Item = LayerRow<'a>>, R: Iterator<Item = LayerRow<'a>>> Iterator for Merged<'a, L, R> {
    type Item = LayerRow<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        match (self.left.peek(), self.right.peek()) {
            (Some((left, _)), Some((right, _))) if left.cmp(right) != self.first => self.right.next(),
            (Some(_), _) => self.left.next(),
            (None, _) => self.right.next(),
        }
    }
}

fn value_bytes(slot: &Slot) -> usize {
    slot.as_ref().map_or(0, |value| value.len())
}

fn row_bytes(key: &[u8], slot: &Slot) -> usize {
    key.len() + value_bytes(slot) + ROW_OVERHEAD_BYTES
}
