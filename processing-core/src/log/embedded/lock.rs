//! The lock of a log's folder: one process writes.
//!
//! Not here: readers, who need no lock. Invariant: the lock ends with the process, however it ends;
//! the file that stays behind means nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::log::LogError;

/// Held as long as the log is open.
#[derive(Debug)]
pub(super) struct FolderLock {
    file: File,
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Said, and not left to closing: a process that another thread is just starting holds a copy of the
        // file until it becomes its own program, and with it the lock.
        drop(self.file.unlock());
    }
}

impl FolderLock {
    pub(super) fn file(folder: &Path) -> PathBuf {
        folder.join("log.lock")
    }

    pub(super) fn take(folder: &Path) -> Result<Self, LogError> {
        let path = Self::file(folder);
        let failed =
            |doing: &str, error: std::io::Error| LogError::Fatal(format!("cannot {doing} {}: {error}", path.display()));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| failed("open", error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(failed("lock", error)),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The holder's number is a help to the reader of the message and nothing else.
                let known = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
                let holder = if known { holder.trim() } else { "of unknown number" };
                return Err(LogError::Fatal(format!(
                    "the log in {} is held by process {holder}, and only one process may write it; \
                     stop that process, read beside it with `streamfleet read`, \
                     write through it with `streamfleet publish`, or choose another folder",
                    folder.display()
                )));
            }
        }
        file.set_len(0).map_err(|error| failed("write", error))?;
        file.rewind().map_err(|error| failed("write", error))?;
        write!(file, "{}", std::process::id()).map_err(|error| failed("write", error))?;
        Ok(Self { file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        let told = FolderLock::take(folder.path()).unwrap_err().to_string();
        assert!(told.contains(&format!("process {}", std::process::id())), "{told}");
        drop(first);
        FolderLock::take(folder.path()).unwrap();
    }
}
