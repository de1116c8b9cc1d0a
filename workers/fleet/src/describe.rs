//! `streamfleet describe`: a worker's topology as text or as a picture.

use std::sync::Arc;

use clap::Args;
use events::Gazetteer;
use processing_core::error::CoreError;
use processing_core::plan::Plan;
use processing_core::service::settings::{Settings, Sources};
use trending_cities::TrendingSettings;

/// The workers that this command knows.
pub(crate) const WORKERS: &[&str] = &["trending-cities"];

/// Show what a worker reads, keeps and writes
#[derive(Args)]
pub(crate) struct Describe {
    /// The worker: trending-cities
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
        other => Err(unknown(other)),
    }
}

/// A worker's plan as it would be with these settings, and the settings.
pub(crate) fn plan_by(worker: &str, sources: &Sources) -> Result<(Plan, Settings), CoreError> {
    match worker {
        "trending-cities" => {
            let settings = Settings::load(TrendingSettings::declared(), sources)?;
            let (read, cities) = TrendingSettings::read(&settings)?;
            Ok((trending_cities(&read, &cities)?, settings))
        }
        other => Err(unknown(other)),
    }
}

/// The plan of trending-cities by these settings.
pub(crate) fn trending_cities(settings: &TrendingSettings, cities: &Arc<Gazetteer>) -> Result<Plan, CoreError> {
    trending_cities::topology(settings, cities).map_err(|error| CoreError::config(error.to_string()))
}

fn unknown(worker: &str) -> CoreError {
    CoreError::Usage(format!("there is no worker {worker}; there is {}", WORKERS.join(", ")))
}
