//! What is published of the models that are asked most.
//!
//! Not here: which these are ([`crate::popular`]). Invariant: one record per tenant and hour in which any model was asked.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::Stamp;
use super::performance::{ModelLabels, rate};
use crate::popular::Popular;
use crate::settings::ModelSettings;
use crate::span::Span;
use crate::subject::Subject;

/// `model.popular.1h.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PopularRecord {
    /// Whose hour.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// The application.
    pub app: CompactString,
    /// The tenant.
    pub tenant: CompactString,
    /// Requests of all models.
    pub requests: u64,
    /// The models that were asked most.
    pub models: Vec<PopularLine>,
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PopularLine {
    /// From 1.
    pub rank: u32,
    /// The model.
    pub model: CompactString,
    /// Its version.
    pub version: CompactString,
    /// The variant of an experiment that it serves.
    pub variant: CompactString,
    /// How often it was asked.
    pub requests: u64,
    /// Of all requests.
    pub share: Option<f64>,
}

impl PopularRecord {
    /// A tenant's hour.
    pub fn of(settings: &ModelSettings, scope: &Subject, hour: &Span<Popular>) -> Self {
        let Popular { models, requests } = &hour.value;
        let line = |(entry, rank): (&processing_core::aggregate::Ranked<u64, Subject>, u32)| {
            let ModelLabels { model, version, variant, .. } = ModelLabels::of(&entry.item);
            PopularLine { rank, model, version, variant, requests: entry.score, share: rate(entry.score, *requests) }
        };
        Self {
            stamp: Stamp::new(settings, scope.as_str(), (hour.start, hour.end)),
            app: scope.part(0),
            tenant: scope.part(1),
            requests: *requests,
            models: models.entries().iter().zip(1..).map(line).collect(),
        }
    }
}
