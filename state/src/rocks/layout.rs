//! Which key of a task's RocksDB is what. All of them are in its one column family.
//!
//! ```text
//!   ┌────────────┬────────────┐
//!   │ 00         │            │   format record, crate::format
//!   │ 01         │ column u8  │   position, u64 BE
//!   │ 2 + column │ key        │   value of a row
//!   │ FF         │            │   free
//!   └────────────┴────────────┘
//! ```
//! A column is the number that the store has for it, at most [`COLUMN_MAX`].
//!
//! Not here: what earlier versions had otherwise ([`super::migration`]).
//! Invariant: the rows of a column are those from its own first byte up to the next one, and sort as their keys do.

use smallvec::SmallVec;

use crate::format::COLUMN_MAX;
use crate::store::{ColumnId, KeyRange};

/// Where the format record is.
pub(super) const FORMAT_KEY: &[u8] = &[0];

const POSITIONS: u8 = 1;
const ROWS: u8 = 2;
/// Before the rows of all columns, and behind them.
pub(super) const ALL_ROWS: [[u8; 1]; 2] = [[ROWS], [ROWS + COLUMN_MAX + 1]];

/// A key with its column, on the stack but for long ones: a read allocates nothing.
pub(super) type StoredKey = SmallVec<[u8; 64]>;

/// Where the position of a column is.
pub(super) fn position_key(column: ColumnId) -> [u8; 2] {
    [POSITIONS, column.0]
}

/// Where the row of a key is.
pub(super) fn row_key(column: ColumnId, key: &[u8]) -> StoredKey {
    let mut stored = StoredKey::with_capacity(1 + key.len());
    stored.push(first_byte(column));
    stored.extend_from_slice(key);
    stored
}

/// Where the rows of a range begin and end; it ends with the column at the latest.
pub(super) fn row_bounds(column: ColumnId, range: KeyRange<'_>) -> [StoredKey; 2] {
    let end = match range.end {
        Some(end) => row_key(column, end),
        None => StoredKey::from_slice(&[first_byte(column) + 1]),
    };
    [row_key(column, range.start), end]
}

/// The key of a row, as its column has it.
pub(super) fn key_of_row(stored: &[u8]) -> &[u8] {
    stored.get(1..).unwrap_or_default()
}

/// Contents have no number that is greater.
fn first_byte(column: ColumnId) -> u8 {
    ROWS + column.0.min(COLUMN_MAX)
}
