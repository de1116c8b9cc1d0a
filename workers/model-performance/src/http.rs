//! What one may ask the worker, answered from its stores.
//!
//! | route | answer |
//! |---|---|
//! | `GET /v1/models/{app}/{tenant}/{model}?version=&variant=&minutes=60` | a model minute by minute, up to the present one |
//! | `GET /v1/experiments/{id}?app=&tenant=` | how an experiment stands |
//!
//! Times are milliseconds since 1970 UTC; `is_final` says whether a later event can still change a minute. A tenant is
//! its app's name unless it is said. 400 names the parameter that is wrong, 404 says that nothing is known of what was
//! asked for, 503 with `Retry-After` comes while the store is being restored.
//!
//! Not here: the library's own routes. Invariant: an answer is made of committed rows of one task between two of its
//! commits.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use processing_core::prelude::StateKey;
use processing_core::query::{Answer, Inquiry, Queries};
use processing_core::record::DurationMs;
use processing_core::service::problem::Problem;
use serde::{Deserialize, Serialize};
use state::keys::pane::PaneKey;
use state::keys::table::TableKey;
use state::{OwnedRange, codec};

use crate::performance::Performance;
use crate::results::experiment::AbResults;
use crate::results::performance::PerformanceRecord;
use crate::settings::ModelSettings;
use crate::span::Span;
use crate::subject::Subject;
use crate::topology::SHOWN;
use crate::verdict::Standing;

const MINUTE: i64 = DurationMs::minutes(1).0;
/// What a model's route shows at most, and unless asked otherwise.
const MINUTES_MAX: i64 = SHOWN.0 / MINUTE;

struct Sources {
    settings: ModelSettings,
    queries: Queries,
}

/// The worker's own routes.
pub fn routes(settings: &ModelSettings, queries: Queries) -> Router {
    let sources = Sources { settings: settings.clone(), queries };
    Router::new()
        .route("/v1/models/{app}/{tenant}/{model}", get(model))
        .route("/v1/experiments/{id}", get(experiment))
        .with_state(Arc::new(sources))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelQuestion {
    #[serde(default)]
    version: String,
    #[serde(default)]
    variant: String,
    minutes: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExperimentQuestion {
    app: Option<String>,
    tenant: Option<String>,
}

/// A model's minutes, oldest first; those in which nothing happened are left out.
#[derive(Debug, Serialize)]
struct ModelAnswer {
    /// Minutes that end here or earlier are final.
    final_until_ms: i64,
    minutes: Vec<MinuteAnswer>,
}

#[derive(Debug, Serialize)]
struct MinuteAnswer {
    is_final: bool,
    #[serde(flatten)]
    performance: PerformanceRecord,
}

type Asked<Q> = Result<Query<Q>, axum::extract::rejection::QueryRejection>;

async fn model(
    State(sources): State<Arc<Sources>>,
    Path((app, tenant, model)): Path<(String, String, String)>,
    asked: Asked<ModelQuestion>,
) -> Response {
    blocking(move || {
        let Query(asked) = asked.map_err(|wrong| Problem::bad_request(wrong.body_text()))?;
        let minutes = asked.minutes.unwrap_or(MINUTES_MAX);
        if !(1..=MINUTES_MAX).contains(&minutes) {
            let wants = format!("`minutes` takes a whole number from 1 to {MINUTES_MAX}, not `{minutes}`");
            return Err(Problem::bad_request(wants));
        }
        let subject = Subject::of([app.as_str(), &tenant, &model, &asked.version, &asked.variant]);
        let answer = sources.minutes_of(&subject, minutes)?;
        if answer.minutes.is_empty() {
            return Err(Problem::not_found(format!("nothing is known of `{}` in {minutes} minutes", subject.as_str())));
        }
        Ok(answer)
    })
    .await
}

async fn experiment(
    State(sources): State<Arc<Sources>>,
    Path(id): Path<String>,
    asked: Asked<ExperimentQuestion>,
) -> Response {
    blocking(move || {
        let Query(asked) = asked.map_err(|wrong| Problem::bad_request(wrong.body_text()))?;
        let app = asked.app.unwrap_or_else(|| "lens".to_owned());
        let tenant = asked.tenant.unwrap_or_else(|| app.clone());
        let subject = Subject::of([app.as_str(), &tenant, &id]);
        let unknown = || Problem::not_found(format!("there is no experiment `{}`", subject.as_str()));
        sources.standing_of(&subject)?.ok_or_else(unknown)
    })
    .await
}

/// Runs what waits for the worker threads where it holds up nobody.
#[expect(clippy::disallowed_methods, reason = "HTTP is what tokio is here for; no record comes this way")]
async fn blocking<A: Serialize + Send + 'static>(
    work: impl FnOnce() -> Result<A, Problem> + Send + 'static,
) -> Response {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => Problem::unavailable("the work was broken off; ask again").into_response(),
    }
}

fn damaged(store: &str, error: &dyn std::fmt::Display) -> Problem {
    Problem::unavailable(format!("a row of store {store} cannot be read: {error}"))
}

impl Sources {
    fn ask(&self, store: &str, group: &Subject, ranges: Vec<OwnedRange>) -> Result<Answer, Problem> {
        let mut key = Vec::new();
        group.encode(&mut key);
        let inquiry = Inquiry { store: store.to_owned(), group: Some(key), ranges };
        self.queries.ask(inquiry).map_err(Problem::from)
    }

    /// The last `minutes`, of which the present one is the last.
    fn minutes_of(&self, subject: &Subject, minutes: i64) -> Result<ModelAnswer, Problem> {
        const STORE: &str = "performance-1m";
        let not_yet = || Problem::unavailable("nothing has been committed yet; ask again in a moment");
        let time = self.ask(STORE, subject, Vec::new())?.time.ok_or_else(not_yet)?.0;
        let whole = |time: i64| time - time.rem_euclid(MINUTE);
        // Time may go on between the two questions: what is shown is the minutes up to when it was asked for.
        let end = whole(time) + MINUTE;
        let mut key = Vec::new();
        subject.encode(&mut key);
        let row = |minute: i64| {
            let start = end - (minutes - minute) * MINUTE;
            let mut row = Vec::new();
            PaneKey { pane: start, first_window: start, key: &key }.encode_into(&mut row);
            OwnedRange::only(row)
        };
        let Answer { rows, time } = self.ask(STORE, subject, (0..minutes).map(row).collect())?;
        let reached = time.ok_or_else(not_yet)?.0;
        let final_until = whole(reached.saturating_sub(self.settings.grace.0));
        let mut found: BTreeMap<i64, Performance> = BTreeMap::new();
        for (row, value) in rows {
            let row = PaneKey::decode(&row).map_err(|error| damaged(STORE, &error))?;
            found.insert(row.pane, codec::decode(&value).map_err(|error| damaged(STORE, &error))?);
        }
        let minute = |(start, value): (i64, Performance)| {
            let span = Span { start, end: start + MINUTE, value };
            MinuteAnswer {
                is_final: span.end <= final_until,
                performance: PerformanceRecord::minute(&self.settings, subject, &span),
            }
        };
        Ok(ModelAnswer { final_until_ms: final_until, minutes: found.into_iter().map(minute).collect() })
    }

    /// How an experiment stands; `None` where nothing is known of it.
    fn standing_of(&self, subject: &Subject) -> Result<Option<AbResults>, Problem> {
        const STORE: &str = "experiments";
        let mut wanted = Vec::new();
        subject.encode(&mut wanted);
        let all = OwnedRange { start: Vec::new(), end: None };
        let Answer { rows, time } = self.ask(STORE, subject, vec![all])?;
        // An experiment may have a row of an earlier generation too, which comes before.
        let mut found = None;
        for (row, value) in rows {
            if TableKey::decode(&row).map_err(|error| damaged(STORE, &error))?.key == wanted {
                found = Some(value);
            }
        }
        // A row that was deleted is one byte, 0.
        let Some((1, row)) = found.as_deref().and_then(<[u8]>::split_first) else { return Ok(None) };
        let standing: Standing = codec::decode(row).map_err(|error| damaged(STORE, &error))?;
        let experiment = self.settings.experiments.of(&subject.part(2));
        let end = time.map_or(standing.since, |time| time.0 - time.0.rem_euclid(MINUTE));
        let window = (standing.since, end);
        Ok(Some(AbResults::of(&self.settings, subject, experiment, &standing, window)))
    }
}
