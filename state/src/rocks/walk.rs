//! Walking an iterator of RocksDB, forwards or backwards.
//!
//! Not here: what is done with the rows. Invariant: the end of an iterator is believed only after its
//! status was asked, because a damaged block ends it too.

use rocksdb::{DBAccess, DBRawIteratorWithThreadMode, ReadOptions};

use crate::store::{KeyRange, Visit};

/// Read options that keep an iterator within `range`.
pub(super) fn within(range: KeyRange<'_>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(range.start);
    if let Some(end) = range.end {
        options.set_iterate_upper_bound(end);
    }
    options
}

/// Visits rows from the first up, until `visit` breaks.
pub(super) fn ascending<D: DBAccess>(
    mut rows: DBRawIteratorWithThreadMode<'_, D>,
    visit: &mut Visit<'_>,
) -> Result<(), rocksdb::Error> {
    rows.seek_to_first();
    while let Some((key, value)) = rows.item() {
        if visit(key, value).is_break() {
            return Ok(());
        }
        rows.next();
    }
    rows.status()
}

/// Visits rows from the last down, until `visit` breaks.
pub(super) fn descending<D: DBAccess>(
    mut rows: DBRawIteratorWithThreadMode<'_, D>,
    visit: &mut Visit<'_>,
) -> Result<(), rocksdb::Error> {
    rows.seek_to_last();
    while let Some((key, value)) = rows.item() {
        if visit(key, value).is_break() {
            return Ok(());
        }
        rows.prev();
    }
    rows.status()
}
