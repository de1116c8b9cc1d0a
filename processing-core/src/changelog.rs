//! Step 5 of 7: a staged row becomes a record of its store's changelog, and back.
//!
//! Not here: reading a changelog ([`crate::restore`]). Invariant: a row is staged and logged by one
//! call, so the open transaction carries exactly what will be applied; values are absolute, so that
//! replaying a record twice is harmless.
//!
//! ```text
//! key of a row     ┌───────────┬──────────┬────────────────┐
//!                  │ epoch u32 │ kind  1  │ the row's key  │        value: the row's value,
//!                  └───────────┴──────────┴────────────────┘        none: the row is gone
//! key of an expiry ┌───────────┬──────────┐
//!                  │ epoch u32 │ kind  2  │        value: every row with a smaller key is gone
//!                  └───────────┴──────────┘
//! ```
//! Big-endian. A compacted changelog keeps the last expiry, which is the farthest.

use serde::Serialize;
use serde::de::DeserializeOwned;
use state::keys::meta::MetaKey;
use state::{ColumnId, KeyRange};

use crate::error::CoreError;
use crate::record::{LogTime, Partition};
use crate::sink::{Lane, plain};
use crate::step::Step;

const ROW: u8 = 1;
const EXPIRY: u8 = 2;

/// The column of a task's own rows: commit record, cursors.
pub(crate) const META: ColumnId = ColumnId(0);

/// What a changelog record says.
#[derive(Debug, PartialEq, Eq)]
pub enum Logged<'a> {
    /// A row changed.
    Row {
        /// Its key.
        key: &'a [u8],
        /// Its value now; `None`: it is gone.
        value: Option<&'a [u8]>,
    },
    /// Many rows went at once.
    Expiry {
        /// Every row with a smaller key is gone.
        before: &'a [u8],
    },
    /// Another state epoch's.
    OtherEpoch,
}

/// Stages a row and logs it.
pub(crate) fn put(step: &mut Step<'_>, column: ColumnId, key: &[u8], value: &[u8]) {
    step.rows.put(column, key, value);
    let (epoch, partition) = (step.terms.epoch, Partition(step.terms.partition));
    step.out.push_with(Lane::Changelog(usize::from(column.0)), partition, LogTime(step.now.0), |into| {
        into.extend_from_slice(&epoch.to_be_bytes());
        into.push(ROW);
        into.extend_from_slice(key);
        into.extend_from_slice(value);
        5 + key.len()
    });
}

/// Stages and logs one of the task's rows about itself.
pub(crate) fn put_own(step: &mut Step<'_>, key: MetaKey, row: &impl Serialize) {
    let mut value = Vec::new();
    let encoded = state::codec::encode_into(&mut value, row);
    if step.ok(encoded.map_err(|error| CoreError::store_refused(error.to_string()))).is_some() {
        put(step, META, &key.to_bytes(), &value);
    }
}

/// One of the task's rows about itself, if it has been put. `what` says in an error what cannot be read.
pub(crate) fn own<T: DeserializeOwned>(
    step: &mut Step<'_>,
    key: MetaKey,
    what: impl FnOnce() -> String,
) -> Option<Option<T>> {
    let row = step.rows.get(META, &key.to_bytes());
    let Some(bytes) = step.ok(row)? else { return Some(None) };
    let read = state::codec::decode(&bytes);
    step.ok(read.map_err(|error| CoreError::store_rebuild(format!("{}: {error}", what())))).map(Some)
}

/// Stages the removal of every row before `before` and logs it as one marker.
pub(crate) fn expire(step: &mut Step<'_>, column: ColumnId, before: &[u8]) {
    step.rows.delete_range(column, KeyRange::before(before));
    let mut key = step.terms.epoch.to_be_bytes().to_vec();
    key.push(EXPIRY);
    let partition = Partition(step.terms.partition);
    let record = plain(LogTime(step.now.0), Some(&key), Some(before));
    step.out.push(Lane::Changelog(usize::from(column.0)), partition, record);
}

/// Stages the removal of a row and logs it. A compacted log forgets after a while that the row is gone: it must be one
/// that nobody looks at any more, should a store that was away still have it.
pub(crate) fn forget(step: &mut Step<'_>, column: ColumnId, row: &[u8]) {
    step.rows.delete(column, row);
    let mut key = step.terms.epoch.to_be_bytes().to_vec();
    key.push(ROW);
    key.extend_from_slice(row);
    let partition = Partition(step.terms.partition);
    step.out.push(Lane::Changelog(usize::from(column.0)), partition, plain(LogTime(step.now.0), Some(&key), None));
}

/// Reads a changelog record's key and value. `None` where they are in no known form.
pub fn read<'a>(epoch: u32, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Option<Logged<'a>> {
    let (head, rest) = key?.split_first_chunk::<5>()?;
    let [e0, e1, e2, e3, kind] = *head;
    if u32::from_be_bytes([e0, e1, e2, e3]) != epoch {
        return Some(Logged::OtherEpoch);
    }
    match kind {
        ROW => Some(Logged::Row { key: rest, value }),
        EXPIRY => Some(Logged::Expiry { before: value? }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_never_changes() {
        let row = [0, 0, 0, 7, 1, b'k'];
        assert_eq!(read(7, Some(&row), Some(b"v")), Some(Logged::Row { key: b"k", value: Some(b"v") }));
        assert_eq!(read(7, Some(&row), None), Some(Logged::Row { key: b"k", value: None }));
        assert_eq!(read(8, Some(&row), Some(b"v")), Some(Logged::OtherEpoch));
        assert_eq!(read(7, Some(&[0, 0, 0, 7, 2]), Some(b"b")), Some(Logged::Expiry { before: b"b" }));
        assert_eq!(read(7, Some(&[0, 0, 0, 7, 3]), Some(b"b")), None);
        assert_eq!(read(7, Some(&[0, 0]), Some(b"b")), None);
    }
}
