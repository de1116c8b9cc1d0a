//! What an instance answers other instances, and people who want to know who has what.
//!
//! | route | answer |
//! |---|---|
//! | `GET /instances` | all instances that are heard of: address, epoch, age of the note, tasks |
//! | `POST /instances/rows` | committed rows of tasks that this instance has, to another one |
//!
//! Not here: asking. Invariant: a question is answered from this instance's own tasks, all of those asked or none,
//! and is never passed on; 421 says that it was meant for somebody else.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::forward::{HOP, ROUTE};
use super::note::Hold;
use super::wire::{Found, Question};
use super::{Instances, Presence};
use crate::query::{Inquiry, Queries, QueryError};
use crate::service::problem::Problem;

impl Instances {
    /// The routes for other instances, beside the worker's own.
    pub(crate) fn routes(&self, queries: &Queries) -> Router {
        Router::new()
            .route("/instances", get(list))
            .route(ROUTE, post(rows))
            .with_state((self.clone(), queries.clone()))
    }

    /// All instances that are heard of.
    fn list(&self) -> Value {
        let now = self.shared.clock.elapsed();
        let inner = self.lock();
        let held = |tasks: Vec<String>| Value::from(tasks);
        let entries = inner.table.living(now).map(|(name, entry)| {
            let of = |hold: Hold| {
                let tasks = entry.note.tasks.iter().filter(move |(_, claim)| claim.hold == hold);
                held(tasks.map(|(task, _)| task.to_string()).collect())
            };
            json!({
                "instance": name,
                "address": entry.note.address,
                "epoch": entry.note.epoch,
                "age_ms": now.saturating_sub(entry.heard).as_millis() as u64,
                "running": of(Hold::Running),
                "restoring": of(Hold::Restoring),
            })
        });
        json!({
            "instance": self.name(),
            "advertised": matches!(inner.presence, Presence::Advertised(Some(_))),
            "epoch": inner.epoch,
            "instances": entries.collect::<Vec<_>>(),
        })
    }

    /// Whether a question is meant for this instance; otherwise for whom it seems to be.
    fn is_meant(&self, question: &Question) -> Result<(), String> {
        let head = &question.head;
        let app = self.shared.ground.get().map(|ground| ground.app.clone());
        if app.as_ref() != Some(&head.app) {
            let here = app.unwrap_or_else(|| "an application that begins".to_owned());
            return Err(format!("this is {here}, not {}", head.app));
        }
        if *self.name() != head.instance {
            return Err(format!("this is instance {}, not {}", self.name(), head.instance));
        }
        let epoch = self.lock().epoch;
        if epoch != head.epoch {
            return Err(format!("this instance works in state epoch {epoch}, not {}", head.epoch));
        }
        Ok(())
    }
}

async fn list(State((instances, _)): State<(Instances, Queries)>) -> Response {
    Json(instances.list()).into_response()
}

async fn rows(
    State((instances, queries)): State<(Instances, Queries)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    if !headers.contains_key(HOP) {
        return Err(Problem::bad_request(format!("the header {HOP} is missing; other instances send it")));
    }
    let question =
        Question::read(&body).ok_or_else(|| Problem::bad_request("no question that this version understands"))?;
    let misdirected = |why: String| Problem::new(StatusCode::MISDIRECTED_REQUEST, why);
    instances.is_meant(&question).map_err(misdirected)?;
    let tasks: BTreeSet<u32> = question.head.tasks.into_iter().collect();
    let inquiry = Arc::new(Inquiry { store: question.head.store, group: None, ranges: question.ranges });
    let (gathered, visited) = queries.ask_here_async(&inquiry, &tasks).await.map_err(|error| match error {
        QueryError::TooLarge => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        error => Problem::from(error),
    })?;
    let missing: Vec<String> = tasks.difference(&visited).map(u32::to_string).collect();
    match gathered.into_parts() {
        (rows, Some(time)) if missing.is_empty() => {
            let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
            Ok((kind, Found { rows, time }.to_bytes()).into_response())
        }
        _ => Err(misdirected(format!(
            "instance {} does not have the tasks of store {} with the partitions {}",
            instances.name(),
            inquiry.store,
            missing.join(", ")
        ))),
    }
}
