//! The four workers of a demo, each with its plan, its threads and its page, on one log.
//!
//! Not here: what they compute, and who feeds them. Invariant: one wish to stop is everybody's, so that none runs on where
//! another has ended.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use engagement_metrics::EngagementSettings;
use engagement_metrics::definitions::Definitions;
use events::{Contracts, Gazetteer};
use llm_rollups::LlmSettings;
use llm_rollups::budget::Budgets;
use model_performance::ModelSettings;
use processing_core::error::{CoreError, ExitCode};
use processing_core::log::Log;
use processing_core::metrics::{ProcessMetrics, Telemetry};
use processing_core::plan::{OutputKind, Plan};
use processing_core::query::Queries;
use processing_core::record::TopicPartition;
use processing_core::run::{RunOptions, Running, Surroundings};
use processing_core::service::http;
use processing_core::service::settings::{Settings, Sources};
use processing_core::service::status::{Snapshot, StatusBoard};
use trending_cities::TrendingSettings;

use super::follower::Follower;
use super::ground::Ground;
use crate::describe::{llm_rollups, model_performance, trending_cities};
use crate::door::PARTITIONS;

/// Budgets of the demo's companies, of which not all are kept.
const BUDGETS: &str = r#"
[[budget]]
id = "loci-daily"
tenant = "loci"
period = "day"
amount = "30"

[[budget]]
id = "everybody-monthly"
period = "month"
amount = "100"

[[budget]]
id = "biz-0-daily"
tenant = "biz-0"
period = "day"
amount = "0.05"
"#;

type Answers = Box<dyn FnOnce(Queries) -> Router>;

/// A worker before it runs: its plan, and what makes its own routes.
pub(crate) struct Recruit {
    name: &'static str,
    pub(crate) plan: Arc<Plan>,
    answers: Answers,
}

/// A worker at work.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) plan: Arc<Plan>,
    pub(crate) follower: Follower,
    running: Running,
    around: Surroundings,
}

/// All of them, trending-cities first.
pub(crate) struct Fleet {
    pub(crate) members: Vec<Member>,
    answers: Router,
}

/// The four workers as the demo runs them, trending-cities first.
pub(crate) fn recruits(places: bool, cities: &Arc<Gazetteer>) -> Result<Vec<Recruit>, CoreError> {
    let trending = if places { TrendingSettings::with_places() } else { TrendingSettings::default() };
    let budgets = Arc::new(Budgets::from_toml(BUDGETS).map_err(CoreError::config)?);
    // As the worker itself begins where nobody has set anything: with the prices that are shipped.
    let unset = Settings::load(LlmSettings::declared(), &Sources::default())?;
    let llm = LlmSettings { budgets, ..LlmSettings::read(&unset)? };
    let engagement = EngagementSettings::default();
    let definitions = Definitions::shipped().map_err(|error| CoreError::config(error.to_string()))?;
    let models = ModelSettings::default();
    let recruit = |name, plan: Plan, answers: Answers| -> Recruit { Recruit { name, plan: Arc::new(plan), answers } };
    let plans = (
        trending_cities(&trending, cities)?,
        llm_rollups(&llm)?,
        engagement_metrics::topology(&engagement, &definitions)?,
        model_performance(&models, &Contracts::shipped())?,
    );
    let cities = Arc::clone(cities);
    Ok(vec![
        recruit(
            "trending-cities",
            plans.0,
            Box::new(move |queries| trending_cities::http::routes(&trending, &cities, queries)),
        ),
        recruit("llm-rollups", plans.1, Box::new(move |queries| llm_rollups::http::routes(&llm, queries))),
        recruit(
            "engagement-metrics",
            plans.2,
            Box::new(move |queries| engagement_metrics::http::routes(&engagement, &definitions, queries)),
        ),
        recruit(
            "model-performance",
            plans.3,
            Box::new(move |queries| model_performance::http::routes(&models, queries)),
        ),
    ])
}

impl Fleet {
    /// Starts all of them. The first one has `around` for itself; the others have pages and metrics of their own.
    pub(crate) fn start(
        recruits: Vec<Recruit>,
        ground: &Ground,
        options: impl Fn(&str) -> RunOptions,
        around: &Surroundings,
    ) -> Result<Self, CoreError> {
        let mut fleet = Self { members: Vec::new(), answers: Router::new() };
        for Recruit { name, plan, answers } in recruits {
            let log = ground.log_of(plan.name())?;
            let around = if fleet.members.is_empty() { around.clone() } else { beside(around, plan.name())? };
            let running = Running::start(Arc::clone(&plan), Arc::clone(&log), options(name), around.clone())?;
            fleet.answers = fleet.answers.merge(answers(running.queries()));
            if !fleet.members.is_empty() {
                let process = Arc::new(ProcessMetrics::new(&around.telemetry, env!("CARGO_PKG_VERSION"), ""));
                let (board, telemetry) = (Arc::clone(&around.board), Arc::clone(&around.telemetry));
                let pages = http::routes(board, telemetry, process, Router::new());
                fleet.answers = fleet.answers.nest(&format!("/workers/{name}"), pages);
            }
            let follower = follower(&plan, log);
            fleet.members.push(Member { name, plan, follower, running, around });
        }
        Ok(fleet)
    }

    /// The routes of all of them; the pages of all but the first one under `/workers/<name>`.
    pub(crate) fn answers(&self) -> Router {
        self.answers.clone()
    }

    /// Whether one has ended, asked to or not.
    pub(crate) fn has_ended(&self) -> bool {
        self.members.iter().any(|member| member.running.has_ended())
    }

    /// Whether all have followed a feed that has ended, to the last record.
    pub(crate) fn rests(&self, at_most: Duration) -> Result<bool, CoreError> {
        for member in &self.members {
            if member.status().lag > 0 || !member.running.settle(at_most) || !member.follower.has_caught_up()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Stops all of them: what is under way is committed. A full disk ends everybody, and only one may have been told
    /// that it is full.
    pub(crate) fn stop(self) -> (Vec<Stopped>, Result<(), CoreError>) {
        let mut ended = Ok(());
        let mut stopped = Vec::new();
        for Member { name, plan, running, around, .. } in self.members {
            let ran = running.stop();
            ended = match (ended, ran) {
                (_, Err(full)) if full.exit_code() == ExitCode::DiskFull => Err(full),
                (ended, ran) => ended.and(ran),
            };
            stopped.push(Stopped { name, plan, page: around.board.snapshot() });
        }
        (stopped, ended)
    }
}

/// A worker that has stopped, and its last page.
pub(crate) struct Stopped {
    pub(crate) name: &'static str,
    pub(crate) plan: Arc<Plan>,
    pub(crate) page: Snapshot,
}

impl Member {
    /// How it goes.
    pub(crate) fn status(&self) -> Snapshot {
        self.around.board.snapshot()
    }
}

/// The same clocks and the same wish to stop, with a page and metrics of its own.
fn beside(around: &Surroundings, application: &str) -> Result<Surroundings, CoreError> {
    let version = env!("CARGO_PKG_VERSION");
    let board = StatusBoard::new(application, version, Arc::clone(&around.clock), around.shutdown.clone());
    let telemetry = Telemetry::new(&[]).map_err(|error| CoreError::config(error.to_string()))?;
    Ok(Surroundings { board, telemetry, ..around.clone() })
}

fn follower(plan: &Plan, log: Arc<dyn Log>) -> Follower {
    let between = plan.outputs().iter().filter(|output| matches!(output.kind, OutputKind::Repartition));
    let inputs = plan.inputs().flat_map(|topic| (0..PARTITIONS).map(|n| TopicPartition::new(topic.clone(), n)));
    Follower {
        log,
        group: plan.name().to_owned(),
        inputs: inputs.collect(),
        between: between.map(|output| output.topic.clone()).collect(),
    }
}
