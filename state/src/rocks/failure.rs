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
    if is_full(&detail) {
        return StoreError::Full { path, detail };
    }
    match kind {
        ErrorKind::Corruption => StoreError::Damaged { path, detail },
        // By RocksDB's own words, as a path may have any.
        ErrorKind::IOError if detail.contains("While lock file") || detail.contains("lock hold by") => {
            StoreError::Locked { path, detail }
        }
        // A file that the store's own manifest names is gone or shorter than recorded.
        ErrorKind::IOError if detail.contains("No such file") => StoreError::Damaged { path, detail },
        _ => StoreError::Io { path, detail },
    }
}

/// RocksDB hands the operating system's words on, in English whatever the locale. A limit on the size of
/// files is one more way of having no room.
fn is_full(detail: &str) -> bool {
    ["No space left on device", "Disk quota exceeded", "File too large"].iter().any(|words| detail.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_a_lock_and_damage_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none/there");
        // The crate makes errors only out of RocksDB's answers, so this one is asked for.
        let error = rocksdb::DB::open(&rocksdb::Options::default(), &missing).unwrap_err();
        assert!(!matches!(store_error(&missing, error), StoreError::Full { .. }));
        for (text, full) in [
            ("IO error: No space left on device: While appending to file: /s/000012.sst", true),
            ("IO error: No such file or directory: While open a file for random read: /s/000012.sst", false),
        ] {
            assert_eq!(is_full(text), full, "{text}");
        }
    }
}
