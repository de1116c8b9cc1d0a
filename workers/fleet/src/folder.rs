//! The folder in which a demo keeps everything, and the note that tells others where it listens.
//!
//! ```text
//!   <data>/log/            the embedded log, with its lock
//!   <data>/log/address     where the process that holds the log takes records; there while it runs
//!   <data>/state/          the tasks' stores
//!   <data>/demo.log        log lines
//! ```
//!
//! Invariant: a note that was left by a killed process misleads nobody: who finds it also asks the lock.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use processing_core::error::CoreError;

/// Where the data are.
#[derive(Args, Clone, Debug)]
pub(crate) struct DataFolder {
    /// Folder of the log and the state; without it, one in your data directory
    #[arg(long = "data", value_name = "DIR")]
    given: Option<PathBuf>,
}

impl DataFolder {
    /// The folder that was named, or this user's own.
    pub(crate) fn path(&self) -> Result<PathBuf, CoreError> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let home = |below: &str| set("HOME").map(|home| home.join(below));
        let usual = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
        let base = set("XDG_DATA_HOME").or_else(|| home(usual));
        base.map(|base| base.join("streamfleet").join("demo")).ok_or_else(|| {
            CoreError::Usage("neither XDG_DATA_HOME nor HOME is set; name a folder with --data".to_owned())
        })
    }

    /// The words that name the same folder to another command; empty for this user's own.
    pub(crate) fn as_arguments(&self) -> String {
        self.given.as_ref().map_or_else(String::new, |given| format!(" --data {}", given.display()))
    }

    pub(crate) fn log(&self) -> Result<PathBuf, CoreError> {
        Ok(self.path()?.join("log"))
    }
}

/// The note about the address, which is taken away when this is dropped.
pub(crate) struct AddressNote(PathBuf);

impl AddressNote {
    pub(crate) fn write(log: &Path, address: SocketAddr) -> Result<Self, CoreError> {
        let note = note(log);
        std::fs::write(&note, address.to_string()).map_err(|error| refused("write", &note, &error))?;
        Ok(Self(note))
    }

    /// Where the holder of the log in `log` says that it listens.
    pub(crate) fn find(log: &Path) -> Result<Option<SocketAddr>, CoreError> {
        let note = note(log);
        match std::fs::read_to_string(&note) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(refused("read", &note, &error)),
        }
    }
}

impl Drop for AddressNote {
    fn drop(&mut self) {
        // One that stays behind is found out by the lock.
        drop(std::fs::remove_file(&self.0));
    }
}

fn note(log: &Path) -> PathBuf {
    log.join("address")
}

/// A file that cannot be used, as an error of the command.
pub(crate) fn refused(doing: &str, path: &Path, error: &std::io::Error) -> CoreError {
    CoreError::config(format!("cannot {doing} {}: {error}", path.display()))
}
