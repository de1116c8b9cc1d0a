//! `ai.error`: the AI could not answer.
//!
//! Published by the AI service. Not here: what the error says, which may be private. Invariant: its kind is the
//! error of [`LlmCall`], OpenTelemetry's `error.type`: "a class of error the operation ended with". BizNavigate's
//! page leaves the fields open.

use crate::contracts::llm_call::LlmCall;
use crate::text::IdText;

crate::contract! {
    /// The AI could not answer.
    pub struct AiError<'a> = BizNavigate "ai.error" {
        /// The processing.
        optional processing: IdText<'a> = "processing_id" | "request_id",
        /// The lead that it is about.
        optional lead: IdText<'a> = "lead_id",
        with call: LlmCall<'a>,
    }
}
