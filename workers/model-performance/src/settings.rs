//! What an operator can set for model-performance.
//!
//! Not here: reading files and environment (`processing_core::service::settings`). Invariant: the defaults are the
//! definition of the product, and stand in [`ModelSettings::default`] alone.

use std::sync::Arc;

use processing_core::record::DurationMs;

use crate::experiments::Experiments;

/// Inputs, windows and rules.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSettings {
    /// The application's id: the prefix of its group and its internal topics.
    pub application_id: String,
    /// Where results go.
    pub outputs: Outputs,
    /// How late an event may come and still count.
    pub grace: DurationMs,
    /// For how long an event's id is remembered, so that one that comes again counts once.
    pub duplicates: DurationMs,
    /// How long a request waits for its response.
    pub timeout: DurationMs,
    /// By how much a response's clock may be behind its request's.
    pub skew: DurationMs,
    /// For how long after a response a click belongs to it; whole minutes.
    pub attribution: DurationMs,
    /// For how long after a message its true intent may become known.
    pub outcome: DurationMs,
    /// Names of the interactions that are clicks.
    pub clicks: Vec<String>,
    /// When a distribution has drifted.
    pub drift: Drift,
    /// So many ratings within an hour are worth training anew for.
    pub retrain_ratings: u64,
    /// What is known of experiments.
    pub experiments: Arc<Experiments>,
    /// Tells runs apart in the results; reprocessing gives a new one.
    pub run_id: String,
}

/// When a distribution has drifted from that of the week before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// From this population stability index on.
    pub psi: f64,
    /// From this Kolmogorov-Smirnov distance on.
    pub distance: f64,
    /// So many numbers both must have, or chance alone would look like drift.
    pub values_min: u64,
}

/// The topics of the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// Models by the minute.
    pub minutes: String,
    /// Models by the hour.
    pub hours: String,
    /// Models' coverage by the day.
    pub coverage: String,
    /// What somebody should look at.
    pub alerts: String,
    /// What should be trained anew.
    pub retrain: String,
    /// How experiments stand.
    pub results: String,
    /// What was decided of experiments.
    pub decisions: String,
}

impl Default for Outputs {
    fn default() -> Self {
        Self {
            minutes: "model.performance.1m.v1".to_owned(),
            hours: "model.performance.1h.v1".to_owned(),
            coverage: "model.coverage.1d.v1".to_owned(),
            alerts: "model.alerts.v1".to_owned(),
            retrain: "model.retrain.v1".to_owned(),
            results: "ab.results.v1".to_owned(),
            decisions: "ab.decision.v1".to_owned(),
        }
    }
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            application_id: "model-performance.v1".to_owned(),
            outputs: Outputs::default(),
            grace: DurationMs::minutes(1),
            duplicates: DurationMs::minutes(10),
            timeout: DurationMs::seconds(30),
            skew: DurationMs::seconds(1),
            attribution: DurationMs::minutes(30),
            outcome: DurationMs::hours(24),
            clicks: ["click", "clicked", "view", "watch", "play"].map(str::to_owned).to_vec(),
            drift: Drift { psi: 0.25, distance: 0.25, values_min: 200 },
            retrain_ratings: 100,
            experiments: Arc::new(Experiments::default()),
            run_id: "live".to_owned(),
        }
    }
}
