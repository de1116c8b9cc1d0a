//! The `model-performance` binary: settings, plan and routes, handed to the library.
//!
//! Not here: anything else. Invariant: what this runs is what `streamfleet demo` runs.

use std::process::ExitCode;

use model_performance::{ModelSettings, http, topology_of};
use processing_core::error::CoreError;
use processing_core::query::Queries;
use processing_core::service::Program;

/// Cargo.toml says why.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let program = Program {
        name: "model-performance",
        version: env!("CARGO_PKG_VERSION"),
        declared: ModelSettings::declared(),
        metrics: &[],
        log_to_stderr: false,
    };
    processing_core::run::run(program, |settings| {
        let (settings, contracts) = ModelSettings::read(settings)?;
        let plan = topology_of(&settings, &contracts).map_err(|error| CoreError::config(error.to_string()))?;
        Ok((plan, move |queries: Queries| http::routes(&settings, queries)))
    })
}
