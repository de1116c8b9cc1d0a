//! The folder in which a demo keeps everything, and the note that tells others where it listens.
//!
//! ```text
//!   <data>/log/            the embedded log, with its lock
//!   <data>/log/address     where the process that holds the log takes records; there while it runs
//!   <data>/state/          the tasks' stores
//!   <data>/demo.log        log lines
//! ```
//!
//! Invariant: a note that was left by a killed process misleads nobody: it names the log by its incarnation,
//! a port takes records for its own log alone, and whoever takes the lock removes what it finds.

use std::fmt;
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

/// Who holds a log, and takes records for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) address: SocketAddr,
    /// The log's incarnation: an address alone may be somebody else's by now.
    pub(crate) incarnation: u128,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:032x}", self.address, self.incarnation)
    }
}

impl Holder {
    fn parse(text: &str) -> Option<Self> {
        let (address, incarnation) = text.trim().split_once(' ')?;
        Some(Self { address: address.parse().ok()?, incarnation: u128::from_str_radix(incarnation, 16).ok()? })
    }
}

/// The note about the holder, which is taken away when this is dropped.
pub(crate) struct AddressNote(PathBuf);

impl AddressNote {
    pub(crate) fn write(log: &Path, holder: Holder) -> Result<Self, CoreError> {
        let note = note(log);
        std::fs::write(&note, holder.to_string()).map_err(|error| refused("write", &note, &error))?;
        Ok(Self(note))
    }

    /// Who says that it holds the log in `log`.
    pub(crate) fn find(log: &Path) -> Result<Option<Holder>, CoreError> {
        let note = note(log);
        match std::fs::read_to_string(&note) {
            Ok(text) => Ok(Holder::parse(&text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(refused("read", &note, &error)),
        }
    }

    /// Removes what an earlier holder has left, for a process that has the lock of the log in `log`.
    pub(crate) fn forget(log: &Path) -> Result<(), CoreError> {
        let note = note(log);
        match std::fs::remove_file(&note) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(refused("remove", &note, &error)),
            _ => Ok(()),
        }
    }
}

impl Drop for AddressNote {
    fn drop(&mut self) {
        // One that stays behind is removed by the next holder.
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
