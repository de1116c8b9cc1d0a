//! `model-metrics`: a model reported how well it does.
//!
//! Published by the models: accuracy, latency. Not here: what is measured on the way
//! ([`super::recommendation_responses`]). Invariant: names the model and the metric, and has a value.
//!
//! LENS's page leaves the fields open; they are those of a metric in MLflow's log (key, value) with the model's
//! name and version.

use crate::number::Number;
use crate::text::{IdText, Text};

crate::contract! {
    /// A model reported how well it does.
    pub struct ModelMetric<'a> = Lens "model-metrics" by_topic {
        /// The model.
        required model: Text<'a> = "model" | "model_name" | "model_id" | "algorithm",
        /// The model's version.
        optional version: IdText<'a> = "model_version" | "version",
        /// What was measured.
        required metric: Text<'a> = "metric" | "metric_name" | "name" | "key",
        /// How much it is.
        required value: Number = "value" | "metric_value",
        /// The experiment's variant that the user sees.
        optional variant: IdText<'a> = "variant" | "variant_id" | "variation_id" | "variation_name",
    }
}
