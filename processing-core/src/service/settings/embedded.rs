//! The embedded log: where it lies, and how durable a commit is.
//!
//! Invariant: it is used exactly when no Kafka brokers are set.

use std::path::PathBuf;

use super::{SettingsError, Spec, ValueKind, Values};

pub(super) const SPECS: &[Spec] = &[
    Spec::new(
        "embedded.dir",
        ValueKind::Path,
        "streamfleet-data/log",
        "Folder of the embedded log; one process writes it, others read",
    ),
    Spec::new(
        "embedded.sync",
        ValueKind::Switch,
        "true",
        "Whether each commit waits for stable storage: true survives the machine's fall, false only the process'",
    ),
];

/// The embedded log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedSettings {
    /// `embedded.dir`.
    pub dir: PathBuf,
    /// `embedded.sync`.
    pub sync: bool,
}

impl EmbeddedSettings {
    pub(super) fn read(values: &Values) -> Result<Self, SettingsError> {
        Ok(Self { dir: values.get("embedded.dir")?, sync: values.get("embedded.sync")? })
    }
}
