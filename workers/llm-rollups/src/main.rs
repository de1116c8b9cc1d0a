//! The `llm-rollups` binary: settings, plan and routes, handed to the library.
//!
//! Not here: anything else. Invariant: what this runs is what `streamfleet demo` runs.

use std::process::ExitCode;

use llm_rollups::{LlmSettings, http, topology};
use processing_core::error::CoreError;
use processing_core::query::Queries;
use processing_core::service::Program;

/// Cargo.toml says why.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let program = Program {
        name: "llm-rollups",
        version: env!("CARGO_PKG_VERSION"),
        declared: LlmSettings::declared(),
        metrics: &[],
        log_to_stderr: false,
    };
    processing_core::run::run(program, |settings| {
        let settings = LlmSettings::read(settings)?;
        let plan = topology(&settings).map_err(|error| CoreError::config(error.to_string()))?;
        Ok((plan, move |queries: Queries| http::routes(&settings, queries)))
    })
}
