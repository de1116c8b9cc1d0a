//! `recommendation-responses`: recommendations were made, or could not be.
//!
//! Published by the backend: "what was recommended, how long it took, whether it succeeded". Not here: what the
//! user made of them ([`super::user_interactions`]). Invariant: the request has the name that
//! [`super::recommendation_requests`] gave it; the items stand in the order in which they were shown.
//!
//! LENS's page leaves the fields open; durations say their unit in their name; the error is OpenTelemetry's
//! `error.type`; experiments are named as in Segment's A/B testing events.

use crate::field::{Gaps, List};
use crate::number::{Flag, Millis, Number};
use crate::text::{IdText, Text};

crate::contract! {
    /// Recommendations were made, or could not be.
    pub struct RecommendationResponse<'a> = Lens "recommendation-responses" by_topic {
        /// The request.
        required request: IdText<'a> = "request_id" | "recommendation_id",
        /// The model.
        optional model: Text<'a> = "model" | "model_name" | "model_id" | "algorithm",
        /// The model's version.
        optional version: IdText<'a> = "model_version" | "version",
        /// The experiment's variant that the user sees.
        optional variant: IdText<'a> = "variant" | "variant_id" | "variation_id" | "variation_name",
        /// The experiment that the user is part of.
        optional experiment: IdText<'a> = "experiment_id" | "experiment" | "experiment_name" | "test_id",
        /// What was recommended, best first; an item that has no name makes the event a verdict.
        optional items: List<IdText<'a>> =
            "items/*" | "items/*/item_id" | "items/*/movie_id" | "items/*/id" | "recommendations/*"
            | "recommendations/*/item_id" | "recommendations/*/movie_id" | "recommendations/*/id" | "item_ids/*"
            | "movie_ids/*",
        /// The model's score of each that has one, in the same order.
        optional scores: Gaps<Number> = "scores/*" | "items/*/score" | "recommendations/*/score",
        /// How long it took.
        optional latency: Millis = "latency_ms" | "response_time_ms" | "duration_ms" | "processing_time_ms",
        /// Whether it succeeded.
        optional success: Flag = "success" | "ok",
        /// Whether it succeeded, in a word: `success`, `error`, `timeout`.
        optional status: Text<'a> = "status",
        /// Of which kind the error was, where there was one.
        optional error: Text<'a> = "error/type" | "error.type" | "error_type" | "error",
    }
}
