//! Rows in the order of their keys, kept in chunks side by side.
//!
//! ```text
//!   chunk   bytes    key value key value value' ...   a value that grew is appended anew
//!           entries  (key at, length, value at, length) ...   ascending by key
//! ```
//!
//! A commit stages its rows in key order, and often writes one again. Both then cost no allocation of their own, and the
//! second not even a search: the entry after the last one found is looked at first. A run that grows takes another chunk and
//! copies nothing; one that is merged into another gives its chunks back one by one.
//!
//! Not here: rows that come out of order ([`crate::layer`] keeps those in a map), and which run is newer ([`crate::stack`]).
//! Invariant: entries ascend strictly by key, and no chunk is empty.

use std::cell::Cell;
use std::cmp::Ordering;
use std::ops::Range;

use crate::layer::LayerRow;
use crate::store::KeyRange;

/// Stands in the place of a value's length for a deleted row.
const DELETED: u32 = u32::MAX;

/// Keys and values of a chunk, unless one row alone is larger.
const CHUNK_BYTES: usize = 64 << 10;

/// Room that the first chunk begins with. Most runs are small, and there is one for each column of each task.
const FIRST_BYTES: usize = 512;

/// A chunk whose values have grown to this is divided: places in it are 32 bits wide, and what was overwritten is let go.
const DIVIDED_BYTES: usize = 4 * CHUNK_BYTES;

#[derive(Clone, Copy, Debug)]
struct Entry {
    key_at: u32,
    key_bytes: u32,
    value_at: u32,
    value_bytes: u32,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// Rows in ascending order; `None` is a deleted row.
#[derive(Default, Debug)]
pub(crate) struct SortedRun {
    chunks: Vec<Chunk>,
    /// Of all chunks.
    bytes: usize,
    /// Where the next key is looked for first: a chunk, and an entry of it.
    next: Cell<(usize, usize)>,
}

impl SortedRun {
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Memory in use, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        let (chunk, entry) = self.find(key)?;
        let chunk = &self.chunks[chunk];
        Some(chunk.value(&chunk.entries[entry]))
    }

    /// Sets `key` if it is in the run, or comes after all of it. Answers whether it did.
    pub(crate) fn set(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        if let Some((chunk, entry)) = self.find(key) {
            self.bytes += self.chunks[chunk].overwrite(entry, value);
            if self.chunks[chunk].bytes.len() >= DIVIDED_BYTES {
                self.divide(chunk);
            }
            return true;
        }
        if self.chunks.last().is_some_and(|last| last.last_key() >= key) {
            return false;
        }
        self.push(key, value);
        true
    }

    /// Drops the rows of `range`. Bytes of theirs stay in use until the last row of their chunk is gone.
    pub(crate) fn delete_range(&mut self, range: KeyRange<'_>) {
        let hit = self.chunks_of(range);
        let at = hit.start;
        let mut left = Vec::new();
        for mut chunk in self.chunks.drain(hit) {
            self.bytes -= chunk.size();
            let rows = chunk.indexes(range);
            chunk.entries.drain(rows);
            if !chunk.entries.is_empty() {
                self.bytes += chunk.size();
                left.push(chunk);
            }
        }
        self.chunks.splice(at..at, left);
    }

    pub(crate) fn rows_in<'a>(
        &'a self,
        range: KeyRange<'_>,
    ) -> impl DoubleEndedIterator<Item = LayerRow<'a>> + use<'a> {
        let chunks = &self.chunks[self.chunks_of(range)];
        // Only the first and the last of them lie partly outside.
        let first = chunks.first().map_or(0, |chunk| chunk.indexes(range).start);
        let last = chunks.last().map_or(0, |chunk| chunk.indexes(range).end);
        let count = chunks.len();
        chunks.iter().enumerate().flat_map(move |(index, chunk)| {
            let end = if index + 1 == count { last } else { chunk.entries.len() };
            let start = if index == 0 { first.min(end) } else { 0 };
            chunk.entries[start..end].iter().map(|entry| (chunk.key(entry), chunk.value(entry)))
        })
    }

    /// The rows of both, those of `newer` in the place of others under the same key.
    pub(crate) fn merged(older: Self, newer: Self) -> Self {
        let mut merged = Self::default();
        let (mut older, mut newer) = (Taken::of(older), Taken::of(newer));
        loop {
            let order = match (older.row(), newer.row()) {
                (None, None) => return merged,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((old, _)), Some((new, _))) => old.cmp(new),
            };
            let taken = if order.is_lt() { older.row() } else { newer.row() };
            if let Some((key, value)) = taken {
                merged.push(key, value);
            }
            if order.is_le() {
                older.advance();
            }
            if order.is_ge() {
                newer.advance();
            }
        }
    }

    /// Adds a row behind all others.
    fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        let length = key.len() + value.map_or(0, <[u8]>::len);
        let room = |last: &Chunk| last.bytes.len() + length <= CHUNK_BYTES;
        if !self.chunks.last().is_some_and(room) {
            // The first one grows as it needs.
            let (bytes, entries) =
                self.chunks.last().map_or((FIRST_BYTES, 8), |last| (CHUNK_BYTES, last.entries.len()));
            let bytes = Vec::with_capacity(bytes.max(length));
            self.chunks.push(Chunk { bytes, entries: Vec::with_capacity(entries) });
        }
        if let Some(last) = self.chunks.last_mut() {
            self.bytes += last.push(key, value);
        }
    }

    /// Writes the rows of a chunk into as many as they need.
    fn divide(&mut self, index: usize) {
        let mut parts = Self::default();
        for (key, value) in self.chunks[index].rows() {
            parts.push(key, value);
        }
        self.bytes = self.bytes - self.chunks[index].size() + parts.bytes;
        self.chunks.splice(index..=index, parts.chunks);
        self.next.set((0, 0));
    }

    fn find(&self, key: &[u8]) -> Option<(usize, usize)> {
        let (chunk, entry) = self.next.get();
        if self.chunks.get(chunk).is_some_and(|chunk| chunk.has_at(entry, key)) {
            self.expect_after(chunk, entry);
            return Some((chunk, entry));
        }
        // Appending is as common as overwriting, and needs no search either.
        if self.chunks.last().is_none_or(|last| last.last_key() < key) {
            return None;
        }
        let chunk = self.chunks.partition_point(|chunk| chunk.first_key() <= key).checked_sub(1)?;
        let entry = self.chunks[chunk].find(key)?;
        self.expect_after(chunk, entry);
        Some((chunk, entry))
    }

    fn expect_after(&self, chunk: usize, entry: usize) {
        let is_last = entry + 1 == self.chunks[chunk].entries.len();
        self.next.set(if is_last { (chunk + 1, 0) } else { (chunk, entry + 1) });
    }

    /// The chunks that may have rows of `range`.
    fn chunks_of(&self, range: KeyRange<'_>) -> Range<usize> {
        let start = self.chunks.partition_point(|chunk| chunk.last_key() < range.start);
        let end =
            range.end.map_or(self.chunks.len(), |end| self.chunks.partition_point(|chunk| chunk.first_key() < end));
        start..end.max(start)
    }
}

impl Chunk {
    /// Memory in use, in bytes.
    fn size(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    fn first_key(&self) -> &[u8] {
        self.entries.first().map_or(&[], |entry| self.key(entry))
    }

    fn last_key(&self) -> &[u8] {
        self.entries.last().map_or(&[], |entry| self.key(entry))
    }

    fn rows(&self) -> impl Iterator<Item = LayerRow<'_>> {
        self.entries.iter().map(|entry| (self.key(entry), self.value(entry)))
    }

    fn has_at(&self, index: usize, key: &[u8]) -> bool {
        self.entries.get(index).is_some_and(|entry| self.key(entry) == key)
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        self.entries.binary_search_by(|entry| self.key(entry).cmp(key)).ok()
    }

    /// Adds a row behind all others. Answers by how much the chunk has grown.
    fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> usize {
        let before = self.bytes.len();
        let (key_at, key_bytes) = self.append(key);
        let (value_at, value_bytes) = value.map_or((0, DELETED), |value| self.append(value));
        self.entries.push(Entry { key_at, key_bytes, value_at, value_bytes });
        self.bytes.len() - before + size_of::<Entry>()
    }

    /// Answers by how much the chunk has grown.
    fn overwrite(&mut self, index: usize, value: Option<&[u8]>) -> usize {
        let before = self.bytes.len();
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
        self.bytes.len() - before
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

/// The rows of a run that is taken apart: a chunk goes when its last row has been passed.
struct Taken {
    chunks: std::vec::IntoIter<Chunk>,
    chunk: Option<Chunk>,
    at: usize,
}

impl Taken {
    fn of(run: SortedRun) -> Self {
        let mut chunks = run.chunks.into_iter();
        Self { chunk: chunks.next(), chunks, at: 0 }
    }

    fn row(&self) -> Option<LayerRow<'_>> {
        let chunk = self.chunk.as_ref()?;
        chunk.entries.get(self.at).map(|entry| (chunk.key(entry), chunk.value(entry)))
    }

    fn advance(&mut self) {
        self.at += 1;
        if self.chunk.as_ref().is_none_or(|chunk| self.at >= chunk.entries.len()) {
            (self.chunk, self.at) = (self.chunks.next(), 0);
        }
    }
}

fn place(at: u32, bytes: u32) -> Range<usize> {
    at as usize..at as usize + bytes as usize
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Model = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

    #[derive(Debug, Clone)]
    enum Step {
        Set(u8, Option<usize>),
        DeleteRange(u8, Option<u8>),
    }

    /// Values of which a few fill a chunk, so that a handful of rows lies in many.
    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let bytes = prop_oneof![0..40_usize, 9_000..30_000_usize, 60_000..140_000_usize];
        let step = prop_oneof![
            8 => (any::<u8>(), prop::option::weighted(0.8, bytes)).prop_map(|(key, value)| Step::Set(key, value)),
            1 => (any::<u8>(), prop::option::of(any::<u8>())).prop_map(|(start, end)| Step::DeleteRange(start, end)),
        ];
        prop::collection::vec(step, 1..120)
    }

    fn range<'a>(start: &'a [u8; 1], end: Option<&'a [u8; 1]>) -> KeyRange<'a> {
        KeyRange { start, end: end.map(|end| &end[..]) }
    }

    /// The steps, as far as a run takes them: most keys are new and come behind all others.
    fn run_of(steps: &[Step]) -> (SortedRun, Model) {
        let (mut run, mut model, mut ahead) = (SortedRun::default(), Model::new(), 0_u8);
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Set(key, bytes) => {
                    let key = if number % 3 == 0 { [*key] } else { [ahead] };
                    ahead = ahead.max(key[0]).saturating_add(1 + (number % 2) as u8);
                    let value = bytes.map(|bytes| vec![number as u8; bytes]);
                    let taken = run.set(&key, value.as_deref());
                    let expected = model.contains_key(&key[..])
                        || model.last_key_value().is_none_or(|(last, _)| last[..] < key[..]);
                    assert_eq!(taken, expected);
                    if taken {
                        model.insert(key.to_vec(), value);
                    }
                }
                Step::DeleteRange(start, end) => {
                    let (start, end) = ([*start], end.map(|end| [end]));
                    let range = range(&start, end.as_ref());
                    run.delete_range(range);
                    model.retain(|key, _| !range.contains(key));
                }
            }
        }
        (run, model)
    }

    fn check(run: &SortedRun, model: &Model, probes: &[(u8, Option<u8>)]) {
        for (start, end) in probes {
            let (start, end) = ([*start], end.map(|end| [end]));
            let range = range(&start, end.as_ref());
            let expected =
                || model.iter().filter(|(key, _)| range.contains(key)).map(|(key, value)| (&**key, value.as_deref()));
            assert!(run.rows_in(range).eq(expected()), "{range:?}");
            assert!(run.rows_in(range).rev().eq(expected().rev()), "{range:?} from its end");
            assert_eq!(run.get(&start), model.get(&start[..]).map(Option::as_deref));
        }
        assert_eq!(run.is_empty(), model.is_empty());
        assert_eq!(run.bytes, run.chunks.iter().map(Chunk::size).sum::<usize>());
        assert!(run.chunks.iter().all(|chunk| !chunk.entries.is_empty()));
    }

    proptest! {
        #[test]
        fn a_run_says_what_a_map_does_and_so_do_two_that_are_merged(
            older in steps(), newer in steps(), probes in prop::collection::vec((any::<u8>(), prop::option::of(any::<u8>())), 6),
        ) {
            let (older, mut rows) = run_of(&older);
            check(&older, &rows, &probes);
            let (newer, newer_rows) = run_of(&newer);
            check(&newer, &newer_rows, &probes);
            rows.extend(newer_rows);
            check(&SortedRun::merged(older, newer), &rows, &probes);
        }
    }

    #[test]
    fn what_was_overwritten_is_let_go() {
        let mut run = SortedRun::default();
        for bytes in 0..4_000 {
            for key in [b"a", b"b", b"c"] {
                assert!(run.set(key, Some(&vec![7; bytes])));
            }
        }
        assert!(run.bytes() < DIVIDED_BYTES + 3 * CHUNK_BYTES, "{} bytes of 12 000", run.bytes());
    }
}
