//! `document.parsed`: a document was parsed into chunks, or could not be.
//!
//! Published by the document processor. Not here: the chunks. Invariant: names the document; it was parsed where no
//! error is named.
//!
//! Paka's page names the topic and leaves the fields open: the error is OpenTelemetry's `error.type`, "a class of
//! error the operation ended with"; durations say their unit in their name.

use crate::number::{Millis, Whole};
use crate::text::{IdText, Text};

crate::contract! {
    /// A document was parsed into chunks, or could not be.
    pub struct DocumentParsed<'a> = Paka "document.parsed" by_topic {
        /// The document.
        required document: IdText<'a> = "document_id" | "doc_id" | "document/id",
        /// How many chunks it has.
        optional chunks: Whole = "chunk_count" | "chunks_count" | "total_chunks" | "chunks",
        /// How many pages it has.
        optional pages: Whole = "page_count" | "pages",
        /// How long it took.
        optional duration: Millis = "duration_ms" | "processing_time_ms" | "parse_time_ms",
        /// Of which kind the error was, where there was one.
        optional error: Text<'a> = "error/type" | "error.type" | "error_type" | "error",
    }
}
