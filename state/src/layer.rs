//! One column's changes that lie above other rows: what was put, what was deleted, which ranges went.
//!
//! Not here: when a layer moves down; that is [`crate::staged`].
//! Invariant: a row of the layer is newer than the layer's mask, so rows are asked first and the
//! mask speaks only for the layers below.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::batch::Batch;
use crate::mask::Mask;
use crate::store::{ColumnId, KeyRange};

/// What a layer knows of a key: its value, or `None` for deleted.
pub(crate) type Slot = Option<Box<[u8]>>;

/// Cost of a row beyond its bytes: two allocations and the map's own room.
const ROW_OVERHEAD_BYTES: usize = 64;

/// Changes of one column, in the order of keys.
#[derive(Default, Debug)]
pub(crate) struct Layer {
    rows: BTreeMap<Box<[u8]>, Slot>,
    mask: Mask,
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
        self.rows.is_empty() && self.mask.is_empty()
    }

    /// Memory held, in bytes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn mask(&self) -> &Mask {
        &self.mask
    }

    pub(crate) fn get(&self, key: &[u8]) -> Word<'_> {
        match self.rows.get(key) {
            Some(Some(value)) => Word::Value(value),
            Some(None) => Word::Deleted,
            None if self.mask.covers(key) => Word::Deleted,
            None => Word::Silent,
        }
    }

    pub(crate) fn set(&mut self, key: &[u8], value: Option<&[u8]>) {
        match self.rows.get_mut(key) {
            // Aggregates mostly keep their length, and then their place.
            Some(Some(slot)) if value.is_some_and(|value| value.len() == slot.len()) => {
                slot.copy_from_slice(value.unwrap_or_default());
            }
            Some(slot) => {
                self.bytes -= value_bytes(slot);
                *slot = value.map(Into::into);
                self.bytes += value_bytes(slot);
            }
            None => {
                let slot: Slot = value.map(Into::into);
                self.bytes += key.len() + value_bytes(&slot) + ROW_OVERHEAD_BYTES;
                self.rows.insert(key.into(), slot);
            }
        }
    }

    pub(crate) fn delete_range(&mut self, range: KeyRange<'_>) {
        if range.is_empty() {
            return;
        }
        // Split off what is hit instead of removing row by row: expiry drops most of a layer at once.
        let mut hit = self.rows.split_off(range.start);
        if let Some(end) = range.end {
            self.rows.append(&mut hit.split_off(end));
        }
        self.bytes -= hit
            .iter()
            .map(|(key, slot)| row_bytes(key, slot))
            .sum::<usize>();
        self.bytes += self.mask.add(range);
    }

    /// Lays `upper`, which is newer, over this layer and leaves `upper` empty.
    pub(crate) fn absorb(&mut self, upper: &mut Self) {
        let upper = std::mem::take(upper);
        if self.is_empty() {
            *self = upper;
            return;
        }
        for range in upper.mask.ranges() {
            self.delete_range(range);
        }
        for (key, slot) in upper.rows {
            let added = row_bytes(&key, &slot);
            let key_bytes = key.len() + ROW_OVERHEAD_BYTES;
            self.bytes += added;
            if let Some(old) = self.rows.insert(key, slot) {
                self.bytes -= key_bytes + value_bytes(&old);
            }
        }
    }

    /// Adds all changes to `batch`: ranges first, because the rows are newer.
    pub(crate) fn write_to(&self, column: ColumnId, batch: &mut Batch) {
        for range in self.mask.ranges() {
            batch.delete_range(column, range);
        }
        for (key, slot) in &self.rows {
            match slot {
                Some(value) => batch.put(column, key, value),
                None => batch.delete(column, key),
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The layer's own rows of `range`, deleted ones included.
    pub(crate) fn rows_in<'a>(
        &'a self,
        range: KeyRange<'_>,
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], Option<&'a [u8]>)> + 'a {
        let found = (!range.is_empty() && !self.rows.is_empty()).then(|| {
            let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
            self.rows
                .range::<[u8], _>((Bound::Included(range.start), end))
        });
        found
            .into_iter()
            .flatten()
            .map(|(key, slot)| (&**key, slot.as_deref()))
    }
}

fn value_bytes(slot: &Slot) -> usize {
    slot.as_ref().map_or(0, |value| value.len())
}

fn row_bytes(key: &[u8], slot: &Slot) -> usize {
    key.len() + value_bytes(slot) + ROW_OVERHEAD_BYTES
}
