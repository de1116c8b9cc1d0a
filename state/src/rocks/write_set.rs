//! Changes of the ordered map that become true at once.
//!
//! Not here: where a value comes to lie. Invariant: changes keep the order in which they were made.

use std::ops::Range;

/// Changes that become true at once. Rows may be lent for as long as the set lives.
#[derive(Default)]
pub struct WriteSet<'v> {
    changes: Vec<Held<'v>>,
    /// The bytes of all that is not lent.
    bytes: Vec<u8>,
    lent_bytes: usize,
}

enum Held<'v> {
    Put { key: Range<usize>, value: Range<usize> },
    PutLent { key: Range<usize>, value: &'v [u8] },
    Delete { key: Range<usize> },
    DeleteRange { start: Range<usize>, end: Range<usize> },
}

/// One change of a set.
#[derive(Clone, Copy)]
pub(super) enum Written<'a> {
    Put { key: &'a [u8], value: &'a [u8] },
    Delete { key: &'a [u8] },
    DeleteRange { start: &'a [u8], end: &'a [u8] },
}

impl<'v> WriteSet<'v> {
    /// No changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives `key` a value.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        let (key, value) = (self.hold(key), self.hold(value));
        self.changes.push(Held::Put { key, value });
    }

    /// Gives `key` a value that is not copied.
    pub fn put_lent(&mut self, key: &[u8], value: &'v [u8]) {
        let key = self.hold(key);
        self.lent_bytes += value.len();
        self.changes.push(Held::PutLent { key, value });
    }

    /// Takes the value of `key` away.
    pub fn delete(&mut self, key: &[u8]) {
        let key = self.hold(key);
        self.changes.push(Held::Delete { key });
    }

    /// Takes the values of all keys from `start` to before `end` away.
    pub fn delete_range(&mut self, start: &[u8], end: &[u8]) {
        if start < end {
            let (start, end) = (self.hold(start), self.hold(end));
            self.changes.push(Held::DeleteRange { start, end });
        }
    }

    /// The number of changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The size of all keys and values, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len() + self.lent_bytes
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = Written<'_>> {
        let held = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        self.changes.iter().map(move |change| match change {
            Held::Put { key, value } => Written::Put { key: held(key), value: held(value) },
            Held::PutLent { key, value } => Written::Put { key: held(key), value },
            Held::Delete { key } => Written::Delete { key: held(key) },
            Held::DeleteRange { start, end } => Written::DeleteRange { start: held(start), end: held(end) },
        })
    }

    fn hold(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }
}

impl std::fmt::Debug for WriteSet<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteSet").field("len", &self.len()).field("bytes", &self.bytes()).finish()
    }
}
