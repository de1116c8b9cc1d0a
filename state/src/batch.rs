//! Changes to a base that become true at once.
//!
//! Not here: who may write one; a task's base is written only by [`crate::staged::TaskStore`].
//! Invariant: changes keep the order in which they were added, so a later one wins.

use std::collections::BTreeMap;

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
#[derive(Clone, Default, Debug)]
pub struct Batch<'s> {
    /// Change by change, in one growing allocation: a [`Head`], then its key and value.
    bytes: Vec<u8>,
    /// Committed changes of whole columns, where they lie.
    stacks: Vec<(ColumnId, &'s Stack)>,
    positions: BTreeMap<ColumnId, Position>,
    /// See [`Self::stands_for`].
    stands_for: usize,
}

/// What a change is, and how long its two parts are: key and value, or the bounds of a range.
#[derive(Clone, Copy)]
struct Head {
    kind: Kind,
    column: ColumnId,
    first: u32,
    second: u32,
}

#[derive(Clone, Copy)]
enum Kind {
    Put,
    Delete,
    DeleteRange,
    /// A range without an end.
    DeleteFrom,
}

impl Head {
    const BYTES: usize = 10;

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let [a, b, c, d] = self.first.to_ne_bytes();
        let [e, f, g, h] = self.second.to_ne_bytes();
        [self.kind as u8, self.column.0, a, b, c, d, e, f, g, h]
    }

    fn from_bytes([kind, column, a, b, c, d, e, f, g, h]: [u8; Self::BYTES]) -> Self {
        let kind = match kind {
            0 => Kind::Put,
            1 => Kind::Delete,
            2 => Kind::DeleteRange,
            _ => Kind::DeleteFrom,
        };
        let (first, second) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
        Self { kind, column: ColumnId(column), first, second }
    }
}

impl<'s> Batch<'s> {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds all committed changes of a column, without a copy of them. They come behind those that are added one by one.
    pub(crate) fn add_all(&mut self, column: ColumnId, stack: &'s Stack) {
        self.stacks.push((column, stack));
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
        self.push(Kind::Put, column, key, value);
    }

    /// Takes the value of `key` away.
    pub fn delete(&mut self, column: ColumnId, key: &[u8]) {
        self.push(Kind::Delete, column, key, &[]);
    }

    /// Takes the values of all keys of `range` away.
    pub fn delete_range(&mut self, column: ColumnId, range: KeyRange<'_>) {
        match range {
            range if range.is_empty() => {}
            KeyRange { start, end: Some(end) } => self.push(Kind::DeleteRange, column, start, end),
            KeyRange { start, end: None } => self.push(Kind::DeleteFrom, column, start, &[]),
        }
    }

    /// Sets how far `column` has followed its changelog once this batch is written.
    pub fn set_position(&mut self, column: ColumnId, position: Position) {
        self.positions.insert(column, position);
    }

    /// The changes in the order in which they were added.
    pub fn changes(&self) -> impl Iterator<Item = (ColumnId, Change<'_>)> {
        let mut rest = self.bytes.as_slice();
        let single = std::iter::from_fn(move || {
            let (head, parts) = rest.split_first_chunk()?;
            let head = Head::from_bytes(*head);
            let (first, parts) = parts.split_at_checked(head.first as usize)?;
            let (second, parts) = parts.split_at_checked(head.second as usize)?;
            rest = parts;
            let change = match head.kind {
                Kind::Put => Change::Put { key: first, value: second },
                Kind::Delete => Change::Delete { key: first },
                Kind::DeleteRange => Change::DeleteRange { range: KeyRange { start: first, end: Some(second) } },
                Kind::DeleteFrom => Change::DeleteRange { range: KeyRange { start: first, end: None } },
            };
            Some((head.column, change))
        });
        let stacks = self.stacks.iter();
        single.chain(stacks.flat_map(|(column, stack)| stack.changes().map(|change| (*column, change))))
    }

    /// The positions, by column.
    pub fn positions(&self) -> impl Iterator<Item = (ColumnId, Position)> {
        self.positions.iter().map(|(column, position)| (*column, *position))
    }

    /// Bytes of keys and values, and a few for each change.
    pub fn bytes(&self) -> usize {
        self.bytes.len() + self.stacks.iter().map(|(_, stack)| stack.bytes()).sum::<usize>()
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
        let stacks_are = self.stacks.iter().all(|(_, stack)| stack.is_empty());
        self.bytes.is_empty() && stacks_are && self.positions.is_empty()
    }

    /// Forgets all changes and positions, and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.stacks.clear();
        self.positions.clear();
        self.stands_for = 0;
    }

    fn push(&mut self, kind: Kind, column: ColumnId, first: &[u8], second: &[u8]) {
        // A part beyond 4 GiB is larger than any record, and than what the base would take.
        let length = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX);
        let head = Head { kind, column, first: length(first), second: length(second) };
        self.bytes.extend_from_slice(&head.to_bytes());
        self.bytes.extend_from_slice(first);
        self.bytes.extend_from_slice(second);
    }
}
