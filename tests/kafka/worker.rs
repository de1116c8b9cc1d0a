//! The worker that the tests start and kill: its plan, run as every worker is run.
//!
//! Not here: anything else. Invariant: it knows no test.

use std::collections::BTreeMap;
use std::process::ExitCode;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use processing_core::error::CoreError;
use processing_core::prelude::{Count, Sum};
use processing_core::query::{Inquiry, Queries, QueryError};
use processing_core::service::Program;
use processing_core::service::settings::Declarations;
use state::keys::pane::PaneKey;
use state::{OwnedRange, StateKey as _, codec};

mod medley;
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
        let second = std::env::var_os("WORKER_VERSION").is_some_and(|version| version == "2");
        let version = if second { plan::Version::Second } else { plan::Version::First };
        let (app, topic) = (&settings.application.id, input.topic.as_str());
        let plan = match std::env::var_os("WORKER_PLAN") {
            Some(name) if name == "medley" => medley::plan(app, topic),
            _ => plan::plan(app, topic, version),
        };
        Ok((plan.map_err(|error| CoreError::config(error.to_string()))?, |queries: Queries| {
            Router::new().route("/v1/counts", get(counts)).with_state(queries)
        }))
    })
}

/// The events of each key in all windows that are kept, of all instances.
#[allow(clippy::disallowed_methods, reason = "HTTP is what tokio is here for")]
async fn counts(State(queries): State<Queries>) -> Response {
    let asked = tokio::task::spawn_blocking(move || {
        let ranges = vec![OwnedRange { start: Vec::new(), end: None }];
        queries.ask(Inquiry { store: "counts".to_owned(), group: None, ranges })
    });
    let answer = match asked.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return error.into_response(),
        Err(_) => return QueryError::Busy.into_response(),
    };
    let mut counts = BTreeMap::<String, u64>::new();
    for (row, value) in answer.rows {
        let key = PaneKey::decode(&row).ok().and_then(|row| u16::decode(row.key).ok());
        let (Some(key), Ok((count, _))) = (key, codec::decode::<(Count, Sum)>(&value)) else {
            return QueryError::Store("a row of another form".to_owned()).into_response();
        };
        *counts.entry(key.to_string()).or_default() += count.get();
    }
    Json(counts).into_response()
}
