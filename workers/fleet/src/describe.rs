//! `streamfleet describe`: a worker's topology as text or as a picture.

use std::sync::Arc;

use clap::Args;
use events::Gazetteer;
use processing_core::error::CoreError;
use processing_core::plan::{OutputKind, Plan, Source};
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
        print!("{}", if self.mermaid { mermaid(&plan) } else { text(&plan) });
        Ok(())
    }
}

/// A worker's plan with its defaults.
pub(crate) fn plan_of(worker: &str, cities: Arc<Gazetteer>) -> Result<Plan, CoreError> {
    match worker {
        "trending-cities" => trending_cities::topology(&TrendingSettings::default(), &cities)
            .map_err(|error| CoreError::config(error.to_string())),
        other => Err(CoreError::Usage(format!("there is no worker {other}; there is {}", WORKERS.join(", ")))),
    }
}

fn text(plan: &Plan) -> String {
    let mut text = format!("{}\n", plan.name());
    for part in plan.sub_topologies() {
        text.push_str(&format!("\nsub-topology {}\n", part.number));
        for source in &part.sources {
            let kind = if matches!(source, Source::Input(_)) { "input" } else { "repartition" };
            text.push_str(&format!("  reads  {} ({kind})\n", source.topic()));
        }
        text.push_str(&format!("  steps  {}\n", part.steps.join(" -> ")));
        for store in &part.stores {
            text.push_str(&format!("  keeps  {} ({}, of {})\n", store.name, store.windows, store.holds));
        }
        for output in part.outputs.iter().filter_map(|number| plan.outputs().get(*number)) {
            let kind = if matches!(output.kind, OutputKind::Repartition) { " (repartition)" } else { "" };
            text.push_str(&format!("  writes {}{kind}\n", output.topic));
        }
    }
    text
}

fn mermaid(plan: &Plan) -> String {
    let mut text = String::from("flowchart TD\n");
    let topic = |name: &str| format!("{}[/{name}/]", name.replace(['.', '-'], "_"));
    for part in plan.sub_topologies() {
        for source in &part.sources {
            text.push_str(&format!("  {} --> sub{}\n", topic(source.topic().as_str()), part.number));
        }
        text.push_str(&format!("  sub{0}[\"sub-topology {0}\"]\n", part.number));
        for store in &part.stores {
            text.push_str(&format!("  sub{} --- {}[({})]\n", part.number, store.name.replace('-', "_"), store.name));
        }
        for output in part.outputs.iter().filter_map(|number| plan.outputs().get(*number)) {
            text.push_str(&format!("  sub{} --> {}\n", part.number, topic(output.topic.as_str())));
        }
    }
    text
}
