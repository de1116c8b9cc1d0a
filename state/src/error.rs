//! What can go wrong with a store, and what to do about it.
//!
//! Not here: errors of encoding ([`crate::codec`], [`crate::keys`]), which concern one row.
//! Invariant: the variant alone decides the remedy; the text is for people.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::store::ColumnId;

/// A store that could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Bytes on disk are not what was written. The rows of a task can be had again from its changelog;
    /// those of an [`crate::OrderedStore`] cannot, and its owner stops instead of following the remedy.
    #[error(
        "store at {path} is damaged: {detail}; a task's store is rebuilt from its changelog, a log has to be \
         restored from a copy or begun anew"
    )]
    Damaged {
        /// The store's folder.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The store is whole but holds something other than what this program expects.
    #[error("store at {path} cannot be used by this program: {detail}")]
    Incompatible {
        /// The store's folder.
        path: PathBuf,
        /// What was found, what was expected, and both ways out.
        detail: String,
    },
    /// The disk has no room left. Nothing that was acknowledged is lost.
    #[error("no space left for the store at {path}: {detail}; free space or enlarge the volume, then start again")]
    Full {
        /// The store's folder.
        path: PathBuf,
        /// What could not be written.
        detail: String,
    },
    /// Another process, or another part of this one, has the store open.
    #[error("store at {path} is in use: {detail}; stop the other process or choose another state.dir")]
    Locked {
        /// The store's folder or lock file.
        path: PathBuf,
        /// Who or what holds it, as far as known.
        detail: String,
    },
    /// The caller named a column that was not declared when the store was opened.
    #[error("store at {path} has no column {column}; declare it when the store is opened")]
    NoSuchColumn {
        /// The store's folder.
        path: PathBuf,
        /// The column that was named.
        column: ColumnId,
    },
    /// The operating system refused an operation for another reason.
    #[error("store at {path}: {detail}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's words.
        detail: String,
    },
}

/// What the caller of a failed store operation does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreRemedy {
    /// Close the store, delete its folder, restore it from the changelog and go on.
    Rebuild,
    /// Stop the process with the message: a person or the orchestrator has to act.
    Stop,
}

impl StoreError {
    /// What to do about this error.
    pub fn remedy(&self) -> StoreRemedy {
        match self {
            Self::Damaged { .. } => StoreRemedy::Rebuild,
            Self::Incompatible { .. }
            | Self::Full { .. }
            | Self::Locked { .. }
            | Self::NoSuchColumn { .. }
            | Self::Io { .. } => StoreRemedy::Stop,
        }
    }

    /// An error of the operating system at `path`; a full disk is told apart from the rest. A limit on the size of files is one
    /// more way of having no room.
    pub(crate) fn io(path: &Path, doing: &str, error: &std::io::Error) -> Self {
        let path = path.to_path_buf();
        let detail = format!("cannot {doing}: {error}");
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full { path, detail },
            _ => Self::Io { path, detail },
        }
    }
}
