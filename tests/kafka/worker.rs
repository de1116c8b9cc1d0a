//! The worker that the tests start and kill: its plan, run as every worker is run.
//!
//! Not here: anything else. Invariant: it knows no test.

use std::process::ExitCode;

use axum::Router;
use processing_core::error::CoreError;
use processing_core::query::Queries;
use processing_core::service::Program;
use processing_core::service::settings::Declarations;

mod plan;

fn main() -> ExitCode {
    let program = Program {
        name: "kafka_worker",
        version: env!("CARGO_PKG_VERSION"),
        declared: Declarations::library("kafka-worker.v1").input("in", "kafka-worker.in", true),
        metrics: &[],
        log_to_stderr: false,
    };
    processing_core::run::run(program, |settings| {
        let input = settings.inputs.get("in").ok_or_else(|| CoreError::config("the input `in` is not declared"))?;
        let plan = plan::plan(&settings.application.id, input.topic.as_str());
        Ok((plan.map_err(|error| CoreError::config(error.to_string()))?, |_: Queries| Router::new()))
    })
}
