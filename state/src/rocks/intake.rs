//! A batch as one file in the order of its keys, which a store takes in as it is.
//!
//! Committed rows come in that order. On the way through a memtable each would be copied twice and sorted once more, and a
//! process whose tasks write together would hold them all a second time until they are flushed.
//!
//! Not here: which key a row has ([`super::layout`]), and what a batch is ([`crate::batch`]).
//! Invariant: a file is taken in whole, on stable storage, or not at all; what a crash leaves of one counts for nothing.

use std::path::{Path, PathBuf};

use rocksdb::{IngestExternalFileOptions, Options, SstFileWriter, WaitForCompactOptions, properties};

use super::Db;

/// The file while it is written. RocksDB gives it a name of its own.
const NAME: &str = "taking-in";
/// With so many files that have not been merged, who writes waits until some are: RocksDB does not make those wait who bring
/// whole files. It begins to merge at [`super::tuning::FILES_UNMERGED`] of them.
const FILES_UNMERGED_MAX: u64 = 24;

/// Writes files for one store.
pub(super) struct Intake {
    options: Options,
    path: PathBuf,
}

impl Intake {
    /// For the store with these options in a folder.
    pub(super) fn new(options: Options, folder: &Path) -> Self {
        Self { options, path: folder.join(NAME) }
    }

    /// Gives `db` what `fill` puts into a file: at least one change, keys ascending, ranges anywhere. A range takes away what
    /// was there before, and nothing of this file.
    pub(super) fn take_in(
        &self,
        db: &Db,
        fill: impl FnOnce(&mut SstFileWriter<'_>) -> Result<(), rocksdb::Error>,
    ) -> Result<(), rocksdb::Error> {
        let taken = self.write(fill).and_then(|()| {
            let mut options = IngestExternalFileOptions::default();
            options.set_move_files(true);
            db.ingest_external_file_opts(&options, vec![&self.path])
        });
        if taken.is_err() {
            // It would take room on a disk that may be full. The next one is written over it all the same.
            drop(std::fs::remove_file(&self.path));
        }
        taken?;
        let unmerged = db.property_int_value(properties::num_files_at_level(0))?;
        if unmerged.is_some_and(|files| files >= FILES_UNMERGED_MAX) {
            db.wait_for_compact(&WaitForCompactOptions::default())?;
        }
        Ok(())
    }

    fn write(
        &self,
        fill: impl FnOnce(&mut SstFileWriter<'_>) -> Result<(), rocksdb::Error>,
    ) -> Result<(), rocksdb::Error> {
        let mut file = SstFileWriter::create(&self.options);
        file.open(&self.path)?;
        fill(&mut file)?;
        file.finish()
    }
}
