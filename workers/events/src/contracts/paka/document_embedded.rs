//! `document.embedded`: embeddings of a document were computed.
//!
//! Published by the document processor. Not here: the embeddings. Invariant: names the document.
//!
//! Paka's page names the topic and leaves the fields open: the call of the model is [`LlmCall`], whose operation is
//! OpenTelemetry's `embeddings`.

use crate::contracts::llm_call::LlmCall;
use crate::number::Whole;
use crate::text::IdText;

crate::contract! {
    /// Embeddings of a document were computed.
    pub struct DocumentEmbedded<'a> = Paka "document.embedded" by_topic {
        /// The document.
        required document: IdText<'a> = "document_id" | "doc_id" | "document/id",
        /// How many chunks were embedded.
        optional chunks: Whole = "chunk_count" | "chunks_count" | "total_chunks" | "chunks",
        with call: LlmCall<'a>,
    }
}
