//! The records that the worker publishes, as their readers see them.
//!
//! Not here: how they come about. Invariant: each has a JSON Schema in `schemas/` that a test holds it to, a `run_id` and a
//! `revision`, and a key that depends on what it is about and on nothing else, so that a replay replaces instead of adding.

pub mod coverage;
pub mod experiment;
pub mod performance;
pub mod popular;
pub mod signal;

use serde::{Deserialize, Serialize};

use crate::settings::ModelSettings;

/// The JSON Schema (draft 2020-12) of each result, by the topic that it goes to by default.
pub const SCHEMAS: [(&str, &str); 8] = [
    ("model.performance.1m.v1", include_str!("../../schemas/model.performance.1m.v1.json")),
    ("model.performance.1h.v1", include_str!("../../schemas/model.performance.1h.v1.json")),
    ("model.coverage.1d.v1", include_str!("../../schemas/model.coverage.1d.v1.json")),
    ("model.popular.1h.v1", include_str!("../../schemas/model.popular.1h.v1.json")),
    ("model.alerts.v1", include_str!("../../schemas/model.alerts.v1.json")),
    ("model.retrain.v1", include_str!("../../schemas/model.retrain.v1.json")),
    ("ab.results.v1", include_str!("../../schemas/ab.results.v1.json")),
    ("ab.decision.v1", include_str!("../../schemas/ab.decision.v1.json")),
];

/// What every result carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Which run made it.
    pub run_id: String,
    /// Rises when a run says something anew about the same window.
    pub revision: u32,
    /// What it is about: the same for every run.
    pub key: String,
    /// The first moment that is counted, in milliseconds since 1970 UTC.
    pub window_start_ms: i64,
    /// The first moment that is no longer counted.
    pub window_end_ms: i64,
}

impl Stamp {
    /// About something in a window.
    pub(crate) fn new(settings: &ModelSettings, about: &str, (start, end): (i64, i64)) -> Self {
        Self {
            run_id: settings.run_id.clone(),
            revision: 0,
            key: format!("{about}@{end}"),
            window_start_ms: start,
            window_end_ms: end,
        }
    }

    /// About something of which there is only one.
    pub(crate) fn once(settings: &ModelSettings, about: &str, window: (i64, i64)) -> Self {
        Self { key: about.to_owned(), ..Self::new(settings, about, window) }
    }
}
