//! The base of a task's state: ordered rows in columns, written by atomic batches.
//!
//! Not here: uncommitted writes ([`crate::staged`]) and what rows mean ([`crate::keys`]).
//! Invariant: after a crash a base shows the rows and positions of a prefix of the batches it was
//! given, whole batches only, over all columns at once.

use std::fmt;
use std::ops::ControlFlow;

use crate::batch::Batch;
use crate::error::StoreError;
use crate::position::Position;

/// One store of a task: a sorted map of its own within the task's base.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ColumnId(pub u8);

impl fmt::Display for ColumnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Keys from `start` up to, not including, `end`; without an end, to the last key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyRange<'a> {
    /// The first key that belongs to the range.
    pub start: &'a [u8],
    /// The first key that no longer does; `None` is after every key.
    pub end: Option<&'a [u8]>,
}

impl<'a> KeyRange<'a> {
    /// Every key.
    pub const ALL: KeyRange<'static> = KeyRange { start: &[], end: None };

    /// Keys from `start` to before `end`.
    pub fn new(start: &'a [u8], end: &'a [u8]) -> Self {
        Self { start, end: Some(end) }
    }

    /// Keys from `start` on.
    pub fn from(start: &'a [u8]) -> Self {
        Self { start, end: None }
    }

    /// Keys before `end`.
    pub fn before(end: &'a [u8]) -> Self {
        Self { start: &[], end: Some(end) }
    }

    /// Whether no key can be in this range.
    pub fn is_empty(&self) -> bool {
        self.end.is_some_and(|end| end <= self.start)
    }

    /// Whether `key` is in this range.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start <= key && self.end.is_none_or(|end| key < end)
    }
}

/// A range that owns its bounds; what the functions of [`crate::keys`] answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedRange {
    /// The first key that belongs to the range.
    pub start: Vec<u8>,
    /// The first key that no longer does; `None` is after every key.
    pub end: Option<Vec<u8>>,
}

impl OwnedRange {
    /// This range, borrowed.
    pub fn as_range(&self) -> KeyRange<'_> {
        KeyRange { start: &self.start, end: self.end.as_deref() }
    }

    /// This key and no other.
    pub fn only(key: Vec<u8>) -> Self {
        let mut end = key.clone();
        end.push(0);
        Self { start: key, end: Some(end) }
    }

    /// All keys that begin with `prefix`.
    pub fn of_prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        // The first key after all of the prefix: its last byte that can still grow, grown by one.
        while end.pop_if(|last| *last == u8::MAX).is_some() {}
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self { start: prefix.to_vec(), end: (!end.is_empty()).then_some(end) }
    }
}

/// A row as owned key and value.
pub type Row = (Vec<u8>, Vec<u8>);

/// What is called for each row of a scan; [`ControlFlow::Break`] ends the scan.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

/// Ordered rows in columns, with the changelog position of each column.
///
/// A column that was never written is empty, and its position is `None`.
pub trait Base {
    /// Calls `visit` with the value of `key` without copying it; answers whether there is one.
    fn read(&self, column: ColumnId, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError>;

    /// The value of `key`.
    fn get(&self, column: ColumnId, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut value = None;
        self.read(column, key, &mut |bytes| value = Some(bytes.to_vec()))?;
        Ok(value)
    }

    /// Calls `visit` for the rows of `range` in ascending order of their keys, until it breaks.
    /// After an error, rows already visited were right; those after them are not known.
    fn scan(&self, column: ColumnId, range: KeyRange<'_>, visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// The row with the greatest key of `range`.
    fn last(&self, column: ColumnId, range: KeyRange<'_>) -> Result<Option<Row>, StoreError>;

    /// Writes all of `batch` or nothing: its changes in their order, then its positions.
    fn write(&mut self, batch: &Batch<'_>) -> Result<(), StoreError>;

    /// Puts everything written so far on disk, all columns at once.
    fn flush(&mut self) -> Result<(), StoreError>;

    /// How far `column` has followed its changelog.
    fn position(&self, column: ColumnId) -> Result<Option<Position>, StoreError>;

    /// At most how many bytes of keys and values a crash would lose, and so have to be replayed.
    fn unflushed_bytes(&self) -> usize;
}
