//! `recommendation-requests`: a user asked for recommendations.
//!
//! Published by the backend, to track "which users are active, which models are being used, peak usage times". Not
//! here: what was recommended ([`super::recommendation_responses`]). Invariant: the request has a name by which its
//! response finds it.
//!
//! LENS's page leaves the fields open; `k` is how many are asked for, as in precision at k; experiments are named
//! as in Segment's A/B testing events.

use crate::number::Whole;
use crate::text::{IdText, Text};

crate::contract! {
    /// A user asked for recommendations.
    pub struct RecommendationRequest<'a> = Lens "recommendation-requests" by_topic {
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
        /// How many are asked for.
        optional k: Whole = "k" | "top_k" | "limit" | "num_recommendations",
    }
}
