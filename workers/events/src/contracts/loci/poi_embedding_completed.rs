//! `poi.embedding.completed`: embeddings of one place, or of a batch of them, were computed.
//!
//! Published by the embedding workers. Not here: the embeddings. Invariant: the request has the name that
//! [`super::poi_embedding_requested`] gave it.
//!
//! Loci's page leaves the fields open: the call of the model is [`LlmCall`], whose operation is OpenTelemetry's
//! `embeddings`.

use crate::contracts::llm_call::LlmCall;
use crate::number::Whole;
use crate::text::IdText;

crate::contract! {
    /// Embeddings of places were computed.
    pub struct PoiEmbeddingCompleted<'a> = Loci "poi.embedding.completed" {
        /// The request: named by itself, else by its job, its batch, or its place.
        required request: IdText<'a> = "request_id" | "job_id" | "batch_id" | "poi_id",
        /// The place, where it is a single one.
        optional poi: IdText<'a> = "poi_id",
        /// How many places there are in it.
        optional items: Whole = "item_count" | "items" | "count" | "batch_size",
        with call: LlmCall<'a>,
    }
}
