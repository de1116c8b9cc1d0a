//! `ai.process.request`: the backend asks the AI for an answer.
//!
//! Published by the backend. In BizNavigate's description the table calls topic and type `ai.process.request`, the
//! picture `ai.process`; both are read. Not here: what the AI answered ([`super::ai_process_result`]). Invariant:
//! names the processing, as the answer does.
//!
//! BizNavigate's page leaves the fields open; the operation is OpenTelemetry's `gen_ai.operation.name` or the
//! application's own.

use crate::text::{IdText, Text};

crate::contract! {
    /// The backend asks the AI for an answer.
    pub struct AiProcessRequest<'a> = BizNavigate "ai.process.request" alias "ai.process" {
        /// The processing.
        required processing: IdText<'a> = "processing_id" | "request_id",
        /// The lead that it is about.
        optional lead: IdText<'a> = "lead_id",
        /// What is asked for.
        optional operation: Text<'a> =
            "operation" | "operation_name" | "process_type" | "task" | "gen_ai.operation.name"
            | "attributes/gen_ai.operation.name" | "/attributes/gen_ai.operation.name",
    }
}
