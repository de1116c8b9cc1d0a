//! What is published of models' coverage.
//!
//! Not here: what counts as seen ([`crate::coverage`]). Invariant: one record per model and day.

use serde::{Deserialize, Serialize};

use super::Stamp;
use super::performance::{ModelLabels, rate};
use crate::coverage::Coverage;
use crate::settings::ModelSettings;
use crate::span::Span;
use crate::subject::Subject;

/// `model.coverage.1d.v1`: a model's items in the 28 days up to a day's end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CoverageRecord {
    /// The 28 days.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Which model.
    #[serde(flatten)]
    pub model: ModelLabels,
    /// Shown by the model.
    pub items_served: u64,
    /// Shown by any model of the tenant, or touched by a user.
    pub items_seen: u64,
    /// Served / seen.
    pub coverage: Option<f64>,
}

impl CoverageRecord {
    /// All models of a tenant at a day's end.
    pub fn all(settings: &ModelSettings, day: &Span<Coverage>) -> Vec<Self> {
        let seen = day.value.seen();
        let window = (day.end - crate::coverage::WINDOW.0, day.end);
        let record = |(model, served): (&Subject, u64)| Self {
            stamp: Stamp::new(settings, model.as_str(), window),
            model: ModelLabels::of(model),
            items_served: served,
            items_seen: seen,
            coverage: rate(served, seen),
        };
        day.value.models().map(record).collect()
    }

    /// The key of its model.
    pub fn subject(&self) -> Subject {
        let ModelLabels { app, tenant, model, version, variant } = &self.model;
        Subject::of([app.as_str(), tenant, model, version, variant])
    }
}
