//! What an operator can set for the contracts: whose events are read, and how a company's own are mapped.
//!
//! Not here: the file of mappings ([`crate::mapping`]). Invariant: every worker that reads events declares these settings
//! and no others for them.

use std::path::PathBuf;

use processing_core::error::CoreError;
use processing_core::service::settings::{Settings, Spec, ValueKind};

use crate::contract::System;
use crate::topics::Contracts;

const SYSTEMS: ValueKind = ValueKind::Checked {
    wants: "names of systems, parted by commas: loci, paka, lens, jobquest, biznavigate; or none",
    check: |text| text == "none" || text.split(',').all(|name| System::named(name.trim()).is_some()),
};

/// The settings.
pub fn specs() -> [Spec; 2] {
    [
        Spec::new(
            "contracts.systems",
            SYSTEMS,
            "loci,paka,lens,jobquest,biznavigate",
            "Whose events are read as they publish them; a topic that is read is waited for",
        ),
        Spec::new("contracts.file", ValueKind::Path, "", "TOML file that maps a company's own events to the contracts"),
    ]
}

impl Contracts {
    /// The contracts in force.
    ///
    /// # Errors
    /// A file that cannot be read, and every mistake of it.
    pub fn read(settings: &Settings) -> Result<Self, CoreError> {
        let systems: String = settings.get("contracts.systems")?;
        let systems: Vec<System> = systems.split(',').filter_map(|name| System::named(name.trim())).collect();
        let contracts = Self::of_systems(&systems);
        let Some(file) = settings.get::<Option<PathBuf>>("contracts.file")? else { return Ok(contracts) };
        let wrong = |error: &dyn std::fmt::Display| {
            CoreError::config(format!("{}: `contracts.file`: {error}", settings.origin("contracts.file")))
        };
        let text = std::fs::read_to_string(&file).map_err(|error| wrong(&format!("{}: {error}", file.display())))?;
        contracts.with(&text, &file.display().to_string()).map_err(|error| wrong(&error))
    }
}
