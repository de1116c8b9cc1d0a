//! The `engagement-metrics` binary: settings, plan and routes, handed to the library.
//!
//! Not here: anything else. Invariant: what this runs is what the demo runs.

use std::process::ExitCode;

use engagement_metrics::{EngagementSettings, http, topology};
use processing_core::query::Queries;
use processing_core::service::Program;

/// Cargo.toml says why.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let program = Program {
        name: "engagement-metrics",
        version: env!("CARGO_PKG_VERSION"),
        declared: EngagementSettings::declared(),
        metrics: &[],
        log_to_stderr: false,
    };
    processing_core::run::run(program, |settings| {
        let (settings, definitions) = EngagementSettings::read(settings)?;
        let plan = topology(&settings, &definitions)?;
        Ok((plan, move |queries: Queries| http::routes(&settings, &definitions, queries)))
    })
}
