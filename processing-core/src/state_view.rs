//! The rows of a task as its operators see them: staged over committed.
//!
//! Not here: who may commit them ([`crate::commit`]). Invariant: through this view a row can only be
//! staged; no operator can reach the base store.

use state::{Base, ColumnId, KeyRange, Receipt, StoreError, TaskStore, Visit};

/// Read-your-writes access to a task's columns.
pub(crate) trait Rows {
    /// The value of `key`.
    fn get(&self, column: ColumnId, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// Visits the rows of `range` in key order until `visit` breaks.
    fn scan(&self, column: ColumnId, range: KeyRange<'_>, visit: &mut Visit<'_>) -> Result<(), StoreError>;
    /// Stages a row.
    fn put(&mut self, column: ColumnId, key: &[u8], value: &[u8]);
    /// Stages the removal of a row.
    fn delete(&mut self, column: ColumnId, key: &[u8]);
    /// Stages the removal of every row of `range`.
    fn delete_range(&mut self, column: ColumnId, range: KeyRange<'_>);
    /// How much is staged.
    fn staged_bytes(&self) -> usize;
}

impl<B: Base, R: Receipt> Rows for TaskStore<B, R> {
    fn get(&self, column: ColumnId, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        TaskStore::get(self, column, key)
    }

    fn scan(&self, column: ColumnId, range: KeyRange<'_>, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        TaskStore::scan(self, column, range, visit)
    }

    fn put(&mut self, column: ColumnId, key: &[u8], value: &[u8]) {
        TaskStore::put(self, column, key, value);
    }

    fn delete(&mut self, column: ColumnId, key: &[u8]) {
        TaskStore::delete(self, column, key);
    }

    fn delete_range(&mut self, column: ColumnId, range: KeyRange<'_>) {
        TaskStore::delete_range(self, column, range);
    }

    fn staged_bytes(&self) -> usize {
        TaskStore::staged_bytes(self)
    }
}
