//! Rows that came in the order of their keys, kept in one growing buffer.
//!
//! ```text
//!   bytes    key value key value value' key ...      a value that grew is appended anew
//!   entries  (key at, length, value at, length) ...  ascending by key
//! ```
//!
//! A commit stages its rows in key order, and the next one mostly the same keys again. Both then cost
//! no allocation of their own, and the second not even a search: the entry after the last one found is
//! looked at first.
//!
//! Not here: rows that come out of order; [`crate::layer`] keeps those in a map.
//! Invariant: entries ascend strictly by key.

use std::cell::Cell;
use std::ops::Range;

use crate::store::KeyRange;

/// Stands in the place of a value's length for a deleted row.
const DELETED: u32 = u32::MAX;

/// Memory kept by an empty run, so that a commit of usual size allocates nothing; more would add up over
/// the columns of many tasks.
const KEPT_BYTES: usize = 64 << 10;

#[derive(Clone, Copy, Debug)]
struct Entry {
    key_at: u32,
    key_bytes: u32,
    value_at: u32,
    value_bytes: u32,
}

/// Rows in ascending order; `None` is a deleted row.
#[derive(Default, Debug)]
pub(crate) struct SortedRun {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Where the next key is looked for first.
    next: Cell<usize>,
}

impl SortedRun {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Memory in use, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    /// Makes room for keys and values of so many bytes in all.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.find(key).map(|index| self.value(&self.entries[index]))
    }

    /// Sets `key` if it is in the run, or comes after all of it. Answers whether it did.
    pub(crate) fn set(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        // Places are 32 bits wide. A run this long has long been asked to be written.
        let most = self.bytes.len() + key.len() + value.map_or(0, <[u8]>::len);
        if most >= DELETED as usize {
            return false;
        }
        if let Some(index) = self.find(key) {
            self.overwrite(index, value);
            return true;
        }
        if self.entries.last().is_some_and(|last| self.key(last) >= key) {
            return false;
        }
        let (key_at, key_bytes) = self.append(key);
        let (value_at, value_bytes) = value.map_or((0, DELETED), |value| self.append(value));
        self.entries.push(Entry { key_at, key_bytes, value_at, value_bytes });
        true
    }

    /// Drops the rows of `range`; their bytes stay in use until the run is empty.
    pub(crate) fn delete_range(&mut self, range: KeyRange<'_>) {
        let hit = self.indexes(range);
        self.entries.drain(hit);
        if self.entries.is_empty() {
            self.clear();
        }
    }

    pub(crate) fn rows_in<'a>(
        &'a self,
        range: KeyRange<'_>,
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        self.entries[self.indexes(range)].iter().map(|entry| (self.key(entry), self.value(entry)))
    }

    /// Forgets all rows and keeps some memory for the next ones.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.entries.clear();
        self.entries.shrink_to(KEPT_BYTES / size_of::<Entry>());
        self.next.set(0);
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        let guess = self.next.get();
        if self.entries.get(guess).is_some_and(|entry| self.key(entry) == key) {
            self.next.set(guess + 1);
            return Some(guess);
        }
        // Appending is as common as overwriting, and needs no search either.
        if self.entries.last().is_none_or(|last| self.key(last) < key) {
            return None;
        }
        let found = self.entries.binary_search_by(|entry| self.key(entry).cmp(key));
        self.next.set(found.map_or_else(|index| index, |index| index + 1));
        found.ok()
    }

    fn overwrite(&mut self, index: usize, value: Option<&[u8]>) {
        let entry = self.entries[index];
        let (value_at, value_bytes) = match value {
            None => (0, DELETED),
            Some(value) if entry.value_bytes != DELETED && value.len() <= entry.value_bytes as usize => {
                self.bytes[place(entry.value_at, value.len() as u32)].copy_from_slice(value);
                (entry.value_at, value.len() as u32)
            }
            Some(value) => self.append(value),
        };
        self.entries[index] = Entry { value_at, value_bytes, ..entry };
    }

    fn append(&mut self, bytes: &[u8]) -> (u32, u32) {
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        (at, bytes.len() as u32)
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        &self.bytes[place(entry.key_at, entry.key_bytes)]
    }

    fn value(&self, entry: &Entry) -> Option<&[u8]> {
        (entry.value_bytes != DELETED).then(|| &self.bytes[place(entry.value_at, entry.value_bytes)])
    }

    fn indexes(&self, range: KeyRange<'_>) -> Range<usize> {
        let start = self.entries.partition_point(|entry| self.key(entry) < range.start);
        let end =
            range.end.map_or(self.entries.len(), |end| self.entries.partition_point(|entry| self.key(entry) < end));
        start..end.max(start)
    }
}

fn place(at: u32, bytes: u32) -> Range<usize> {
    at as usize..at as usize + bytes as usize
}
