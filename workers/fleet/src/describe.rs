//! `streamfleet describe`: a worker's topology as text or as a picture.

use std::sync::Arc;

use clap::Args;
use engagement_metrics::EngagementSettings;
use engagement_metrics::definitions::Definitions;
use events::{Contracts, Gazetteer};
use llm_rollups::LlmSettings;
use model_performance::ModelSettings;
use processing_core::error::CoreError;
use processing_core::plan::Plan;
use processing_core::service::settings::{Settings, Sources};
use trending_cities::TrendingSettings;

/// The workers that this command knows.
pub(crate) const WORKERS: &[&str] = &["trending-cities", "llm-rollups", "engagement-metrics", "model-performance"];

/// Show what a worker reads, keeps and writes
#[derive(Args)]
pub(crate) struct Describe {
    /// The worker: trending-cities, llm-rollups, engagement-metrics or model-performance
    worker: String,
    /// As a Mermaid diagram instead of text
    #[arg(long)]
    mermaid: bool,
}

impl Describe {
    pub(crate) fn run(self) -> Result<(), CoreError> {
        let plan = plan_of(&self.worker, Arc::new(Gazetteer::shipped()))?;
        print!("{}", if self.mermaid { plan.mermaid() } else { plan.describe() });
        Ok(())
    }
}

/// A worker's plan with its defaults.
pub(crate) fn plan_of(worker: &str, cities: Arc<Gazetteer>) -> Result<Plan, CoreError> {
    match worker {
        "trending-cities" => trending_cities(&TrendingSettings::default(), &cities),
        "llm-rollups" => llm_rollups(&LlmSettings::default()),
        "engagement-metrics" => {
            let definitions = Definitions::shipped().map_err(refused)?;
            engagement_metrics::topology(&EngagementSettings::default(), &definitions)
        }
        "model-performance" => model_performance(&ModelSettings::default(), &Contracts::shipped()),
        other => Err(unknown(other)),
    }
}

/// A worker's plan as it would be with these settings, and the settings.
pub(crate) fn plan_by(worker: &str, sources: &Sources) -> Result<(Plan, Settings), CoreError> {
    let declared = match worker {
        "trending-cities" => TrendingSettings::declared(),
        "llm-rollups" => LlmSettings::declared(),
        "engagement-metrics" => EngagementSettings::declared(),
        "model-performance" => ModelSettings::declared(),
        other => return Err(unknown(other)),
    };
    let settings = Settings::load(declared, sources)?;
    let plan = match worker {
        "llm-rollups" => llm_rollups(&LlmSettings::read(&settings)?)?,
        "engagement-metrics" => {
            let (read, definitions) = EngagementSettings::read(&settings)?;
            engagement_metrics::topology(&read, &definitions)?
        }
        "model-performance" => {
            let (read, contracts) = ModelSettings::read(&settings)?;
            model_performance(&read, &contracts)?
        }
        _ => {
            let (read, cities) = TrendingSettings::read(&settings)?;
            trending_cities(&read, &cities)?
        }
    };
    Ok((plan, settings))
}

/// The plan of trending-cities by these settings.
pub(crate) fn trending_cities(settings: &TrendingSettings, cities: &Arc<Gazetteer>) -> Result<Plan, CoreError> {
    trending_cities::topology(settings, cities).map_err(refused)
}

/// The plan of llm-rollups by these settings.
pub(crate) fn llm_rollups(settings: &LlmSettings) -> Result<Plan, CoreError> {
    llm_rollups::topology(settings).map_err(refused)
}

/// The plan of model-performance by these settings.
pub(crate) fn model_performance(settings: &ModelSettings, contracts: &Contracts) -> Result<Plan, CoreError> {
    model_performance::topology_of(settings, contracts).map_err(refused)
}

fn refused(error: impl std::fmt::Display) -> CoreError {
    CoreError::config(error.to_string())
}

fn unknown(worker: &str) -> CoreError {
    CoreError::Usage(format!("there is no worker {worker}; there are {}", WORKERS.join(", ")))
}
