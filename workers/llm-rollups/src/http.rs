//! What one may ask the worker, answered from its stores.
//!
//! | route | answer |
//! |---|---|
//! | `GET /v1/llm/cost?by=model&from=&to=` | what calls cost and how many tokens they took |
//! | `GET /v1/llm/latency?by=model&from=&to=` | how long calls took, and how long until their first token came |
//! | `GET /v1/llm/budgets?tenant=` | how the open periods of budgets stand |
//!
//! `by` is `total`, `tenant`, `provider`, `model` or `operation`; `tenant` looks at one tenant alone. `from` and `to` are
//! milliseconds since 1970 UTC or RFC 3339, whole hours, the second one excluded; without them it is the day up to the
//! present hour. Kinds of tokens of which there are none are left out. Hours are made of closed quarters of an hour; `final_until_ms` says up to where all have closed.
//! 400 names the parameter that is wrong, 503 with `Retry-After` comes while the store is being restored and before an hour
//! has begun.
//!
//! Not here: the library's own routes. Invariant: an answer is made of committed rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use chrono::DateTime;
use compact_str::CompactString;
use processing_core::aggregate::Mergeable as _;
use processing_core::prelude::StateKey;
use processing_core::query::{Inquiry, Queries};
use processing_core::record::EventTime;
use processing_core::service::parameters::{Parameters, answer};
use processing_core::service::problem::Problem;
use serde::Serialize;
use state::keys::pane::PaneKey;
use state::{OwnedRange, codec};

use crate::alerts::BudgetStanding;
use crate::ledger::{ACCOUNTS, Accounts};
use crate::results::{CostAnswer, Distribution, TokenCounts};
use crate::rollup::Rollup;
use crate::series::{Parts, Series};
use crate::settings::LlmSettings;
use crate::topology::HOURS;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// What every answer is made with.
struct Sources {
    settings: LlmSettings,
    queries: Queries,
}

/// The worker's own routes.
pub fn routes(settings: &LlmSettings, queries: Queries) -> Router {
    let sources = Sources { settings: settings.clone(), queries };
    Router::new()
        .route("/v1/llm/cost", get(cost))
        .route("/v1/llm/latency", get(latency))
        .route("/v1/llm/budgets", get(budgets))
        .with_state(Arc::new(sources))
}

/// What several hours are put together by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Total,
    Tenant,
    Provider,
    Model,
    Operation,
}

/// The words for them.
const BY: [(&str, By); 5] = [
    ("total", By::Total),
    ("tenant", By::Tenant),
    ("provider", By::Provider),
    ("model", By::Model),
    ("operation", By::Operation),
];

/// What hours are put together by.
fn by(given: &Parameters) -> Result<By, Problem> {
    let Some(word) = given.get("by") else { return Ok(By::Total) };
    let found = BY.into_iter().find(|(name, _)| *name == word).map(|(_, by)| by);
    found.ok_or_else(|| {
        let words = BY.map(|(name, _)| name).join(", ");
        Problem::bad_request(format!("`by` takes {words}, not `{word}`"))
    })
}

/// A whole hour.
fn hour(given: &Parameters, name: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = given.get(name) else { return Ok(None) };
    let rfc = || DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_millis()).ok();
    let time = text.parse::<i64>().ok().or_else(rfc).filter(|time| time.rem_euclid(HOUR) == 0);
    let wants = "a whole hour, in milliseconds since 1970 or as 2026-01-31T12:00:00Z";
    time.map(Some).ok_or_else(|| Problem::bad_request(format!("`{name}` takes {wants}, not `{text}`")))
}

/// Hours, put together.
#[derive(Debug, Serialize)]
struct Answer<L> {
    by: &'static str,
    window_start_ms: i64,
    window_end_ms: i64,
    /// Hours that end here or earlier say no more.
    final_until_ms: i64,
    run_id: String,
    lines: Vec<L>,
}

#[derive(Debug, Serialize)]
struct CostLine {
    /// `null` of the total.
    name: Option<CompactString>,
    requests: u64,
    errors: u64,
    tokens: TokenCounts,
    cost: CostAnswer,
}

#[derive(Debug, Serialize)]
struct LatencyLine {
    /// `null` of the total.
    name: Option<CompactString>,
    requests: u64,
    latency_ms: Distribution,
    time_to_first_token_ms: Distribution,
    tokens_per_second: Option<f64>,
}

async fn cost(State(sources): State<Arc<Sources>>, Query(given): Query<Vec<(String, String)>>) -> Response {
    answer(move || {
        sources.answer(given, |name, of| CostLine {
            name,
            requests: of.counts.requests,
            errors: of.errors.count(),
            tokens: (&of.tokens).into(),
            cost: CostAnswer::of(&of.counts, &of.cost),
        })
    })
    .await
}

async fn latency(State(sources): State<Arc<Sources>>, Query(given): Query<Vec<(String, String)>>) -> Response {
    answer(move || {
        sources.answer(given, |name, of| LatencyLine {
            name,
            requests: of.counts.requests,
            latency_ms: (&of.latency).into(),
            time_to_first_token_ms: (&of.first_token).into(),
            tokens_per_second: of.tokens_per_second(),
        })
    })
    .await
}

/// The open periods of budgets.
#[derive(Debug, Serialize)]
struct BudgetsAnswer {
    run_id: String,
    budgets: Vec<BudgetLine>,
}

#[derive(Debug, Serialize)]
struct BudgetLine {
    period_start_ms: i64,
    period_end_ms: i64,
    #[serde(flatten)]
    standing: BudgetStanding,
}

async fn budgets(State(sources): State<Arc<Sources>>, Query(given): Query<Vec<(String, String)>>) -> Response {
    answer(move || {
        let parameters = Parameters::read(given, &["tenant"])?;
        let tenant = parameters.get("tenant");
        let (time, rows) = sources.queries.kept_rows::<Accounts>(ACCOUNTS, None)?;
        let time = time.ok_or_else(not_yet)?;
        let mut budgets = Vec::new();
        for accounts in rows.values() {
            let lines = accounts.open.iter().map(|account| BudgetLine {
                period_start_ms: account.start.0,
                period_end_ms: account.end.0,
                standing: BudgetStanding::of(&accounts.standing(account, time)),
            });
            budgets.extend(lines.filter(|line| tenant.is_none_or(|tenant| line.standing.tenant == tenant)));
        }
        Ok(BudgetsAnswer { run_id: sources.settings.run_id.clone(), budgets })
    })
    .await
}

fn not_yet() -> Problem {
    Problem::unavailable("time has not begun, or many windows close just now; ask again in a moment")
}

fn damaged(store: &str, error: &dyn std::fmt::Display) -> Problem {
    Problem::unavailable(format!("a row of store {store} cannot be read: {error}"))
}

impl Sources {
    /// Rows of all tasks, and the time that they have come to.
    fn rows(&self, store: &str, ranges: Vec<OwnedRange>) -> Result<(EventTime, Vec<state::Row>), Problem> {
        let inquiry = Inquiry { store: store.to_owned(), group: None, ranges };
        let answer = self.queries.ask(inquiry).map_err(Problem::from)?;
        Ok((answer.time.ok_or_else(not_yet)?, answer.rows))
    }

    /// The hours that are asked for, by what they are asked for.
    fn answer<L>(
        &self,
        given: Vec<(String, String)>,
        line: impl Fn(Option<CompactString>, &Rollup) -> L,
    ) -> Result<Answer<L>, Problem> {
        let parameters = Parameters::read(given, &["by", "tenant", "from", "to"])?;
        let (by, tenant) = (by(&parameters)?, parameters.get("tenant"));
        let (from, to) = (hour(&parameters, "from")?, hour(&parameters, "to")?);
        // Which hour is the present one is known once the time is.
        let (time, _) = self.rows(HOURS, Vec::new())?;
        let to = to.unwrap_or(time.0 - time.0.rem_euclid(HOUR) + HOUR);
        let from = from.unwrap_or(to - DAY);
        let kept = self.settings.hours_kept.0;
        if from >= to || to - from > kept {
            let hours = kept / HOUR;
            return Err(Problem::bad_request(format!("`from` must be before `to`, and at most {hours} hours")));
        }
        let (time, rows) = self.rows(HOURS, vec![PaneKey::between(from, to)])?;
        let mut found: BTreeMap<Option<CompactString>, Rollup> = BTreeMap::new();
        for (key, value) in rows {
            let key = PaneKey::decode(&key).map_err(|error| damaged(HOURS, &error))?;
            let series = Series::decode(key.key).map_err(|error| damaged(HOURS, &error))?;
            let Some(name) = name(&series, by, tenant) else { continue };
            let rollup: Rollup = codec::decode(&value).map_err(|error| damaged(HOURS, &error))?;
            found.entry(name).or_default().absorb(rollup);
        }
        // An hour is over when its last minute takes in nothing any more.
        let closed = time.0 - self.settings.grace.0;
        Ok(Answer {
            by: BY.into_iter().find(|(_, of)| *of == by).map_or("total", |(name, _)| name),
            window_start_ms: from,
            window_end_ms: to,
            final_until_ms: closed - closed.rem_euclid(HOUR),
            run_id: self.settings.run_id.clone(),
            lines: found.iter().map(|(name, rollup)| line(name.clone(), rollup)).collect(),
        })
    }
}

/// Under which name a series counts; `None` where it does not. Each call is in one series, one sum of a tenant and one sum of
/// all: of these three, one counts.
fn name(series: &Series, by: By, tenant: Option<&str>) -> Option<Option<CompactString>> {
    let Parts { tenant: whose, provider, model, operation } = series.parts();
    if tenant.is_some_and(|tenant| whose.as_deref() != Some(tenant)) {
        return None;
    }
    let single = |name: Option<CompactString>| if series.is_single() { Some(name) } else { None };
    match by {
        By::Total if tenant.is_some() => (!series.is_single()).then_some(None),
        By::Total => whose.is_none().then_some(None),
        By::Tenant => (whose.is_some() && !series.is_single()).then_some(whose),
        By::Provider => single(provider),
        By::Model => single(model),
        By::Operation => single(operation),
    }
}
