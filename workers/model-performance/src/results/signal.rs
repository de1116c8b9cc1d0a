//! What is published for somebody to act on.
//!
//! Not here: when ([`crate::signals`]). Invariant: a signal's key says its rule, so that two rules never replace one another.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::{Stamp, performance::ModelLabels};
use crate::drift::Moved;
use crate::settings::ModelSettings;
use crate::subject::Subject;

/// `model.alerts.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The hour in which it was seen.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Of which model.
    #[serde(flatten)]
    pub model: ModelLabels,
    /// `drift`.
    pub rule: String,
    /// `drifting` or `recovered`.
    pub state: String,
    /// What has moved.
    pub series: CompactString,
    /// The population stability index.
    pub psi: f64,
    /// The Kolmogorov-Smirnov distance.
    pub ks: f64,
    /// Numbers of the hour.
    pub values: u64,
    /// Numbers of the seven days before.
    pub reference_values: u64,
}

impl Alert {
    /// Numbers have moved, or are back.
    pub fn of(settings: &ModelSettings, model: &Subject, moved: &Moved, window: (i64, i64)) -> Self {
        Self {
            stamp: Stamp::new(settings, model.with("drift").with(&moved.series).as_str(), window),
            model: ModelLabels::of(model),
            rule: "drift".to_owned(),
            state: if moved.is_drift { "drifting" } else { "recovered" }.to_owned(),
            series: moved.series.clone(),
            psi: moved.psi,
            ks: moved.ks,
            values: moved.values,
            reference_values: moved.reference_values,
        }
    }
}

/// `model.retrain.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retrain {
    /// The hour that says so.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Which model; all of a tenant's where it has no name.
    #[serde(flatten)]
    pub model: ModelLabels,
    /// `ratings` or `drift`.
    pub rule: String,
    /// What has moved, under the rule `drift`.
    pub series: Option<CompactString>,
    /// How many ratings came, under the rule `ratings`.
    pub ratings: Option<u64>,
}

impl Retrain {
    /// Numbers have moved.
    pub fn for_drift(settings: &ModelSettings, model: &Subject, series: &CompactString, window: (i64, i64)) -> Self {
        let about = model.with("drift").with(series);
        let stamp = Stamp::new(settings, about.as_str(), window);
        Self {
            stamp,
            model: ModelLabels::of(model),
            rule: "drift".to_owned(),
            series: Some(series.clone()),
            ratings: None,
        }
    }

    /// An hour brought many ratings.
    pub fn for_ratings(settings: &ModelSettings, model: &Subject, ratings: u64, window: (i64, i64)) -> Self {
        let stamp = Stamp::new(settings, model.with("ratings").as_str(), window);
        Self { stamp, model: ModelLabels::of(model), rule: "ratings".to_owned(), series: None, ratings: Some(ratings) }
    }
}
