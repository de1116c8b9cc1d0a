//! RocksDB's errors, told apart by what to do about them.
//!
//! Not here: errors of our own making. Invariant: a doubtful error is `Io` (stop), never `Damaged`,
//! because the answer to damage is to delete.

use std::path::Path;

use rocksdb::{Error, ErrorKind};

use crate::error::StoreError;

/// Translates `error`, met at the store in `path`.
pub(super) fn store_error(path: &Path, error: Error) -> StoreError {
    let kind = error.kind();
    let detail = error.into_string();
    let path = path.to_path_buf();
    if detail.contains("No space left on device")
        || detail.contains("NoSpace")
        || detail.contains("Disk quota")
    {
        return StoreError::Full { path, detail };
    }
    match kind {
        ErrorKind::Corruption => StoreError::Damaged { path, detail },
        ErrorKind::IOError if detail.contains("lock") || detail.contains("LOCK") => {
            StoreError::Locked { path, detail }
        }
        // A file that the store's own manifest names is gone or shorter than recorded.
        ErrorKind::IOError if detail.contains("No such file") => {
            StoreError::Damaged { path, detail }
        }
        _ => StoreError::Io { path, detail },
    }
}
