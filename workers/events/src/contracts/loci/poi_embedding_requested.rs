//! `poi.embedding.requested`: embeddings of one place, or of a batch of them, are to be computed.
//!
//! Published by `GenerateEmbeddingForPOI` and `GenerateEmbeddingsForAllPOIs`. Not here: what came of it
//! ([`super::poi_embedding_completed`]). Invariant: the request has a name by which its completion finds it.
//!
//! Loci's page leaves the fields open: the request and its completion share `request_id`, the correlation
//! identifier of asynchronous messaging (Hohpe and Woolf, Enterprise Integration Patterns, "Correlation
//! Identifier"); the model is named as in [`LlmCall`](crate::contracts::llm_call::LlmCall).

use crate::number::Whole;
use crate::text::{IdText, Text};

crate::contract! {
    /// Embeddings of places are to be computed.
    pub struct PoiEmbeddingRequested<'a> = Loci "poi.embedding.requested" {
        /// The request: named by itself, else by its job, its batch, or its place.
        required request: IdText<'a> = "request_id" | "job_id" | "batch_id" | "poi_id",
        /// The place, where it is a single one.
        optional poi: IdText<'a> = "poi_id",
        /// How many places there are in it.
        optional items: Whole = "item_count" | "items" | "count" | "batch_size",
        /// The model that is to compute them.
        optional model: Text<'a> =
            "model" | "model_name" | "gen_ai.request.model" | "attributes/gen_ai.request.model"
            | "/attributes/gen_ai.request.model",
    }
}
