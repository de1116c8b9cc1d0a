//! Stores of format version 1, made what version 2 has.
//!
//! ```text
//!   version 1   family default    00, 01 column    format record and positions, as in version 2
//!               family NNN-name   key              value: a family for each column, NNN is the column
//! ```
//! Rows are copied into the family that stays; the record says version 2 when all of them are on disk there. A crash before
//! that leaves a store of version 1 that is migrated from the start, one behind it a store of version 2 beside families that
//! nobody needs. For as long as it takes, a store needs its room on disk twice.
//!
//! Not here: where rows lie in version 2 ([`super::layout`]), and what they mean.
//! Invariant: while the record says version 1, its families are whole and what lies in the other one counts for nothing; from
//! then on it is the other way round.

use std::ops::ControlFlow;
use std::path::Path;

use rocksdb::{ColumnFamily, DEFAULT_COLUMN_FAMILY_NAME, ReadOptions, WriteBatch};

use super::base::{damaged, flush, put_record, refused, without_log};
use super::failure::store_error;
use super::layout::{ALL_ROWS, row_key};
use super::{Db, walk};
use crate::error::StoreError;
use crate::format::{ColumnContents, Contents, FAMILIES_VERSION, version_of};
use crate::store::ColumnId;

/// Rows of about so many bytes are copied at once.
const BATCH_BYTES: usize = 1 << 20;

/// One step of a migration. Each may be the last one before a crash.
#[derive(Debug)]
enum Step {
    /// Deletes what a migration that was interrupted has copied: rows may have changed since.
    Clear,
    /// Copies the rows of a column out of its family.
    Copy { family: String, column: ColumnId },
    /// Puts them on disk.
    Flush,
    /// Says so.
    Record(Vec<u8>),
    /// Removes a family that counts for nothing.
    Drop(String),
}

/// Makes the open store in `path`, with this format record and these column families, one of the present version; of one
/// that is, what a migration may have left over is removed.
pub(super) fn migrate(db: &mut Db, path: &Path, record: &[u8], families: &[String]) -> Result<(), StoreError> {
    for step in steps(path, record, families)? {
        if let Step::Clear = step {
            tracing::info!(path = %path.display(), "the store has format version 1: its rows are copied into version 2");
        }
        step.take(db, path)?;
    }
    Ok(())
}

fn steps(path: &Path, record: &[u8], families: &[String]) -> Result<Vec<Step>, StoreError> {
    let refused = |error| refused(path, &error);
    let mut steps = Vec::new();
    if version_of(record).map_err(refused)? == FAMILIES_VERSION {
        let contents = Contents::from_bytes(record).map_err(refused)?;
        steps.push(Step::Clear);
        for column in contents.columns() {
            let family = family_name(column);
            if !families.contains(&family) {
                return Err(is_missing(path, &family));
            }
            steps.push(Step::Copy { family, column: column.id });
        }
        steps.extend([Step::Flush, Step::Record(contents.to_bytes())]);
    }
    let others = families.iter().filter(|family| *family != DEFAULT_COLUMN_FAMILY_NAME);
    steps.extend(others.cloned().map(Step::Drop));
    Ok(steps)
}

impl Step {
    fn take(&self, db: &mut Db, path: &Path) -> Result<(), StoreError> {
        let done = match self {
            Self::Clear => clear(db),
            Self::Copy { family, column } => {
                let family = db.cf_handle(family).ok_or_else(|| is_missing(path, family))?;
                copy(db, family, *column)
            }
            Self::Flush => flush(db),
            Self::Record(record) => put_record(db, record),
            Self::Drop(family) => db.drop_cf(family),
        };
        done.map_err(|error| store_error(path, error))
    }
}

fn clear(db: &Db) -> Result<(), rocksdb::Error> {
    let [start, end] = ALL_ROWS;
    let mut rows = db.raw_iterator();
    rows.seek(start);
    rows.status()?;
    // Most often there are none, and reads would meet the deletion for a long time.
    if rows.valid() {
        let mut batch = WriteBatch::new();
        batch.delete_range(start, end);
        db.write_opt(batch, &without_log())?;
    }
    Ok(())
}

fn copy(db: &Db, family: &ColumnFamily, column: ColumnId) -> Result<(), rocksdb::Error> {
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    let mut batch = WriteBatch::new();
    let mut written = Ok(());
    walk::ascending(db.raw_iterator_cf_opt(family, options), &mut |key, value| {
        batch.put(row_key(column, key), value);
        if batch.size_in_bytes() >= BATCH_BYTES {
            written = db.write_opt(std::mem::take(&mut batch), &without_log());
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    db.write_opt(batch, &without_log())
}

fn family_name(column: &ColumnContents) -> String {
    format!("{:03}-{}", column.id.0, column.name)
}

fn is_missing(path: &Path, family: &str) -> StoreError {
    damaged(path, &format!("column family {family} is missing"))
}

#[cfg(test)]
mod tests;
