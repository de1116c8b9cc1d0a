//! One column's changes in the open transaction: what was put, what was deleted, which ranges went.
//!
//! Not here: what becomes of a layer that is committed; that is [`crate::stack`].
//! Invariant: a row of the layer is newer than the layer's mask, so rows are asked first and the
//! mask speaks only for what lies below.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Bound;

use crate::batch::Change;
use crate::mask::Mask;
use crate::run::SortedRun;
use crate::store::KeyRange;

/// What a layer knows of a key: its value, or `None` for deleted.
type Slot = Option<Box<[u8]>>;

/// A key with what a layer knows of it.
pub(crate) type LayerRow<'a> = (&'a [u8], Option<&'a [u8]>);

/// Cost of a row out of order beyond its bytes: two allocations and the map's own room.
const ROW_OVERHEAD_BYTES: usize = 64;

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

    /// Takes in a change of any kind.
    pub(crate) fn add(&mut self, change: Change<'_>) {
        match change {
            Change::Put { key, value } => self.set(key, Some(value)),
            Change::Delete { key } => self.set(key, None),
            Change::DeleteRange { range } => self.delete_range(range),
        }
    }

    /// All changes: ranges first, because the rows are newer.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        changes(&self.mask, self.rows_in(KeyRange::ALL))
    }

    /// All rows in order, and the ranges below which count as deleted; the layer is empty then.
    pub(crate) fn take(&mut self) -> (SortedRun, Mask) {
        let Self { run, rows, mask, .. } = std::mem::take(self);
        if rows.is_empty() {
            return (run, mask);
        }
        let mut loose = SortedRun::default();
        for (key, slot) in rows {
            loose.set(&key, slot.as_deref());
        }
        (SortedRun::merged(run, loose), mask)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The layer's own rows of `range`, ascending, deleted ones included.
    pub(crate) fn rows_in<'a>(&'a self, range: KeyRange<'_>) -> impl Iterator<Item = LayerRow<'a>> + use<'a> {
        Overlaid::new(self.loose_in(range), self.run.rows_in(range), Ordering::Less)
    }

    /// The layer's own rows of `range`, descending, deleted ones included.
    pub(crate) fn rows_back_in<'a>(&'a self, range: KeyRange<'_>) -> impl Iterator<Item = LayerRow<'a>> + use<'a> {
        Overlaid::new(self.loose_in(range).rev(), self.run.rows_in(range).rev(), Ordering::Greater)
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

/// The ranges of a mask, and the rows that are newer than it.
pub(crate) fn changes<'a>(
    mask: &'a Mask,
    rows: impl Iterator<Item = LayerRow<'a>> + 'a,
) -> impl Iterator<Item = Change<'a>> + 'a {
    let ranges = mask.ranges().map(|range| Change::DeleteRange { range });
    ranges.chain(rows.map(|(key, value)| match value {
        Some(value) => Change::Put { key, value },
        None => Change::Delete { key },
    }))
}

/// Two sequences sorted the same way as one: of two rows under one key, the upper one. `first` is how the key that comes
/// first compares to the other.
pub(crate) struct Overlaid<'a, U: Iterator<Item = LayerRow<'a>>, L: Iterator<Item = LayerRow<'a>>> {
    upper: Peekable<U>,
    lower: Peekable<L>,
    first: Ordering,
}

impl<'a, U: Iterator<Item = LayerRow<'a>>, L: Iterator<Item = LayerRow<'a>>> Overlaid<'a, U, L> {
    pub(crate) fn new(upper: U, lower: L, first: Ordering) -> Self {
        Self { upper: upper.peekable(), lower: lower.peekable(), first }
    }
}

impl<'a, U: Iterator<Item = LayerRow<'a>>, L: Iterator<Item = LayerRow<'a>>> Iterator for Overlaid<'a, U, L> {
    type Item = LayerRow<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (Some((upper, _)), Some((lower, _))) = (self.upper.peek(), self.lower.peek()) else {
            return self.upper.next().or_else(|| self.lower.next());
        };
        match upper.cmp(lower) {
            Ordering::Equal => {
                self.lower.next();
                self.upper.next()
            }
            order if order == self.first => self.upper.next(),
            _ => self.lower.next(),
        }
    }
}

fn value_bytes(slot: &Slot) -> usize {
    slot.as_ref().map_or(0, |value| value.len())
}

fn row_bytes(key: &[u8], slot: &Slot) -> usize {
    key.len() + value_bytes(slot) + ROW_OVERHEAD_BYTES
}
