//! What one may ask the worker, answered from its stores.
//!
//! | route | answer |
//! |---|---|
//! | `GET /v1/models/{app}/{tenant}/{model}?version=&variant=&minutes=60` | a model minute by minute, up to the one that has been reached |
//! | `GET /v1/experiments/{id}?app=&tenant=` | how an experiment stands |
//!
//! Times are milliseconds since 1970 UTC. What has been reached is some minutes behind the inputs, for requests wait for
//! their answers and lists for what users do with them. Of a model the `minutes` in which something happened are told, oldest
//! first, each with `is_final`: whether a later event cannot change it any more. Where nothing happened, by a model that
//! nobody knows too, the list is empty. An experiment's app is `lens`, and its tenant is called like its app, unless they are
//! said. 400 names the parameter that is wrong. 404 says that there is no experiment of which anything has closed: one is
//! known as soon as the minute of its first event is over, grace included, and until 28 days after its end and its last
//! event. 503 with `Retry-After` comes while the store is being restored and before time has begun.
//!
//! Not here: the library's own routes. Invariant: an answer is made of committed rows of one task between two of its
//! commits.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use processing_core::prelude::StateKey;
use processing_core::query::Queries;
use processing_core::record::EventTime;
use processing_core::service::parameters::answer;
use processing_core::service::problem::Problem;
use serde::{Deserialize, Serialize};

use crate::performance::Performance;
use crate::results::experiment::AbResults;
use crate::results::performance::PerformanceRecord;
use crate::settings::ModelSettings;
use crate::span::{MINUTE, Span};
use crate::subject::Subject;
use crate::topology::SHOWN;
use crate::verdict::Standing;

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
    answer(move || {
        let Query(asked) = asked.map_err(|wrong| Problem::bad_request(wrong.body_text()))?;
        let minutes = asked.minutes.unwrap_or(MINUTES_MAX);
        if !(1..=MINUTES_MAX).contains(&minutes) {
            let wants = format!("`minutes` takes a whole number from 1 to {MINUTES_MAX}, not `{minutes}`");
            return Err(Problem::bad_request(wants));
        }
        let subject = Subject::of([app.as_str(), &tenant, &model, &asked.version, &asked.variant]);
        sources.minutes_of(&subject, minutes)
    })
    .await
}

async fn experiment(
    State(sources): State<Arc<Sources>>,
    Path(id): Path<String>,
    asked: Asked<ExperimentQuestion>,
) -> Response {
    answer(move || {
        let Query(asked) = asked.map_err(|wrong| Problem::bad_request(wrong.body_text()))?;
        let app = asked.app.unwrap_or_else(|| "lens".to_owned());
        let tenant = asked.tenant.unwrap_or_else(|| app.clone());
        let subject = Subject::of([app.as_str(), &tenant, &id]);
        let unknown = || {
            let name = subject.as_str();
            Problem::not_found(format!("there is no experiment `{name}` of which a minute has closed"))
        };
        sources.standing_of(&subject)?.ok_or_else(unknown)
    })
    .await
}

impl Sources {
    /// The last `minutes`, of which the present one is the last.
    fn minutes_of(&self, subject: &Subject, minutes: i64) -> Result<ModelAnswer, Problem> {
        let whole = |time: i64| time - time.rem_euclid(MINUTE);
        let (reached, found) = self.queries.windows::<Performance>("performance-1m", subject, |time| {
            let end = whole(time.0) + MINUTE;
            (0..minutes).map(|minute| EventTime(end - (minutes - minute) * MINUTE)).collect()
        })?;
        let final_until = whole(reached.0.saturating_sub(self.settings.grace.0));
        let minute = |(start, value): (EventTime, Performance)| {
            let span = Span { start: start.0, end: start.0 + MINUTE, value };
            MinuteAnswer {
                is_final: span.end <= final_until,
                performance: PerformanceRecord::minute(&self.settings, subject, &span),
            }
        };
        Ok(ModelAnswer { final_until_ms: final_until, minutes: found.into_iter().map(minute).collect() })
    }

    /// How an experiment stands; `None` where nothing is known of it.
    fn standing_of(&self, subject: &Subject) -> Result<Option<AbResults>, Problem> {
        let mut wanted = Vec::new();
        subject.encode(&mut wanted);
        let (time, mut found) = self.queries.kept_rows::<Standing>("experiments", Some(subject))?;
        let Some(standing) = found.remove(&wanted) else { return Ok(None) };
        let experiment = self.settings.experiments.of(&subject.part(2));
        let end = time.map_or(standing.since, |time| time.0 - time.0.rem_euclid(MINUTE));
        let window = (standing.since, end);
        Ok(Some(AbResults::of(&self.settings, subject, experiment, &standing, window)))
    }
}
