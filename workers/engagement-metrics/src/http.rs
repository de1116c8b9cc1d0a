//! What one may ask the worker, answered from its stores.
//!
//! | route | answer |
//! |---|---|
//! | `GET /v1/engagement/metrics?app=lens&tenant=acme&grain=1d&count=7` | active users, requests, sessions of the last minutes (`1m`), hours (`1h`) or days |
//! | `GET /v1/engagement/retention?app=lens&tenant=acme&count=7` | cohorts that were looked for on the last days |
//! | `GET /v1/engagement/funnels/{funnel}?app=lens&tenant=acme&count=24` | attempts that began in the last hours |
//! | `GET /v1/engagement/pipelines/{pipeline}?app=paka&tenant=acme&count=24` | what happened in the last hours that are over |
//! | `GET /v1/engagement/top/{dimension}?app=loci&tenant=acme&count=7` | the names that came most often on the last days |
//!
//! Without `tenant` all tenants of the application are meant. Rows are those of the results, oldest first, each with
//! `is_final`: whether a later event can still change it. What nothing happened in is left out. 400 names the parameter
//! that is wrong, 404 what there is not, 503 with `Retry-After` comes while a store is being restored and before time has
//! begun.
//!
//! Not here: the library's own routes. Invariant: an answer is made of committed rows of one task between two of its
//! commits.

mod asked;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use compact_str::CompactString;
use processing_core::prelude::*;
use processing_core::query::Queries;
use processing_core::service::parameters::{Parameters, answer};
use processing_core::service::problem::Problem;
use processing_core::window::Windows;
use serde::Serialize;

use crate::attempts::hours::FunnelHour;
use crate::calendar::Calendar;
use crate::definitions::Definitions;
use crate::labels::{Dimension, First};
use crate::pipelines::hours::Told;
use crate::results::metrics::Grain;
use crate::results::{FunnelResult, Metrics, PipelineResult, Retention, TopResult};
use crate::scope::Scope;
use crate::settings::EngagementSettings;
use crate::tally::Tally;

/// How many rows an answer has at most.
const COUNT_MAX: i64 = 1_000;

/// What every answer is made with.
struct Sources {
    settings: EngagementSettings,
    definitions: Definitions,
    queries: Queries,
}

/// The worker's own routes.
pub fn routes(settings: &EngagementSettings, definitions: &Definitions, queries: Queries) -> Router {
    let sources = Sources { settings: settings.clone(), definitions: definitions.clone(), queries };
    Router::new()
        .route("/v1/engagement/metrics", get(metrics))
        .route("/v1/engagement/retention", get(retention))
        .route("/v1/engagement/funnels/{funnel}", get(funnel))
        .route("/v1/engagement/pipelines/{pipeline}", get(pipeline))
        .route("/v1/engagement/top/{dimension}", get(top))
        .with_state(Arc::new(sources))
}

/// Some rows of a scope.
#[derive(Debug, Serialize)]
struct Rowed<R> {
    app: CompactString,
    tenant: Option<CompactString>,
    rows: Vec<Row<R>>,
}

/// A result, and whether it stands.
#[derive(Debug, Serialize)]
struct Row<R> {
    is_final: bool,
    #[serde(flatten)]
    result: R,
}

type Asked = Query<Vec<(String, String)>>;

async fn metrics(State(sources): State<Arc<Sources>>, Query(given): Asked) -> Response {
    answer(move || {
        let parameters = Parameters::read(given, &["app", "tenant", "grain", "count"])?;
        let scope = asked::scope(&parameters)?;
        let (grain, store, windows) = sources.grain(parameters.get("grain").unwrap_or("1d"))?;
        let count = parameters.count("count", COUNT_MAX, 7)?;
        let (time, rows) = asked::last::<Tally>(&sources.queries, store, &scope, &windows, count)?;
        // What was told of a closed day never changes.
        let warming: BTreeMap<EventTime, bool> = match grain {
            Grain::Day => {
                let (_, told) = asked::last_kept::<bool>(&sources.queries, "days-told", &scope, &windows, count)?;
                told.into_iter().map(|(window, warming)| (window.start, warming)).collect()
            }
            Grain::Minute | Grain::Hour => BTreeMap::new(),
        };
        let row = |(window, tally): (Window, Tally)| {
            let result = Metrics::of(&sources.settings, grain, &scope, window, &tally);
            let result = match warming.get(&window.start) {
                Some(warming) => result.warming(*warming),
                None => result,
            };
            Row { is_final: window.end <= time, result }
        };
        Ok(rowed(&scope, rows.into_iter().map(row).collect()))
    })
    .await
}

async fn retention(State(sources): State<Arc<Sources>>, Query(given): Asked) -> Response {
    answer(move || {
        let parameters = Parameters::read(given, &["app", "tenant", "count"])?;
        let scope = asked::scope(&parameters)?;
        let (_, store, windows) = sources.grain("1d")?;
        let count = parameters.count("count", COUNT_MAX, 7)?;
        let calendar = Calendar::of(sources.settings.zone).map_err(|error| Problem::unavailable(error.to_string()))?;
        let (time, rows) = asked::last::<Tally>(&sources.queries, store, &scope, &windows, count)?;
        let of_day = |(window, tally): (Window, Tally)| {
            let is_final = window.end <= time;
            let cohorts = Retention::of(&sources.settings, &calendar, &scope, window, &tally);
            cohorts.into_iter().map(move |result| Row { is_final, result })
        };
        Ok(rowed(&scope, rows.into_iter().flat_map(of_day).collect()))
    })
    .await
}

async fn funnel(State(sources): State<Arc<Sources>>, Path(name): Path<String>, Query(given): Asked) -> Response {
    answer(move || {
        let parameters = Parameters::read(given, &["app", "tenant", "count"])?;
        let scope = asked::scope(&parameters)?;
        let funnels = &sources.definitions.funnels;
        let funnel = funnels.iter().find(|funnel| funnel.name == name);
        let funnel = funnel.ok_or_else(|| unknown("funnel", &name, funnels.iter().map(|funnel| &*funnel.name)))?;
        let count = parameters.count("count", COUNT_MAX, 24)?;
        let key = (scope.clone(), funnel.name.clone());
        let (time, rows) = asked::last_kept::<FunnelHour>(&sources.queries, "funnel-hours", &key, &hours()?, count)?;
        let row = |(window, hour): (Window, FunnelHour)| Row {
            is_final: hour.due(window.start.0) < time,
            result: FunnelResult::of(&sources.settings, funnel, &key, &(window.start, hour)),
        };
        Ok(rowed(&scope, rows.into_iter().map(row).collect()))
    })
    .await
}

async fn pipeline(State(sources): State<Arc<Sources>>, Path(name): Path<String>, Query(given): Asked) -> Response {
    answer(move || {
        let parameters = Parameters::read(given, &["app", "tenant", "count"])?;
        let scope = asked::scope(&parameters)?;
        let pipelines = &sources.definitions.pipelines;
        let pipeline = pipelines.iter().find(|pipeline| pipeline.name == name);
        let pipeline =
            pipeline.ok_or_else(|| unknown("pipeline", &name, pipelines.iter().map(|pipeline| &*pipeline.name)))?;
        let count = parameters.count("count", COUNT_MAX, 24)?;
        let key = (scope.clone(), pipeline.name.clone());
        let (_, rows) = asked::last_kept::<Told>(&sources.queries, "pipeline-hours", &key, &hours()?, count)?;
        let row = |(_, told): (Window, Told)| Row {
            is_final: true,
            result: PipelineResult::of(&sources.settings, pipeline, &key, &told),
        };
        Ok(rowed(&scope, rows.into_iter().map(row).collect()))
    })
    .await
}

async fn top(State(sources): State<Arc<Sources>>, Path(name): Path<String>, Query(given): Asked) -> Response {
    answer(move || {
        let parameters = Parameters::read(given, &["app", "tenant", "count"])?;
        let scope = asked::scope(&parameters)?;
        let dimension = Dimension::ALL.into_iter().find(|dimension| dimension.name() == name);
        let dimension = dimension.ok_or_else(|| unknown("dimension", &name, Dimension::ALL.map(Dimension::name)))?;
        let count = parameters.count("count", COUNT_MAX, 7)?;
        let (_, _, days) = sources.grain("1d")?;
        let key = (scope.clone(), dimension.number());
        // Names are chosen when their day is over.
        let (_, rows) = asked::last::<First>(&sources.queries, "top-day", &key, &days, count)?;
        let row = |(window, value): (Window, First)| Row {
            is_final: true,
            result: TopResult::of(&sources.settings, &scope, dimension, &Closed { window, value }),
        };
        Ok(rowed(&scope, rows.into_iter().map(row).collect()))
    })
    .await
}

impl Sources {
    /// The grain of this name, the store of its rows and its windows.
    fn grain(&self, name: &str) -> Result<(Grain, &'static str, Windows), Problem> {
        let zone = self.settings.zone;
        let (grain, store, windows) = match name {
            "1m" => (Grain::Minute, "scope-minute", Tumbling::minutes(1).windows()),
            "1h" => (Grain::Hour, "scope-hour", LocalHours::of(zone).windows()),
            "1d" => (Grain::Day, "scope-day", LocalDays::of(zone).windows()),
            other => return Err(Problem::bad_request(format!("`grain` takes 1m, 1h or 1d, not `{other}`"))),
        };
        windows.map(|windows| (grain, store, windows)).map_err(|error| Problem::unavailable(error.to_string()))
    }
}

fn hours() -> Result<Windows, Problem> {
    Tumbling::hours(1).windows().map_err(|error| Problem::unavailable(error.to_string()))
}

fn rowed<R>(scope: &Scope, rows: Vec<Row<R>>) -> Rowed<R> {
    Rowed { app: scope.app(), tenant: scope.tenant(), rows }
}

fn unknown<'n>(what: &str, name: &str, known: impl IntoIterator<Item = &'n str>) -> Problem {
    let known: Vec<&str> = known.into_iter().collect();
    Problem::not_found(format!("there is no {what} called `{name}`; there are {}", known.join(", ")))
}
