//! `ai.process.result`: the AI has answered.
//!
//! Published by the AI service. BizNavigate's page gives its fields; its table calls topic and type
//! `ai.process.result`, its picture `ai.result`: both are read. Not here: the entities and the suggested answer,
//! which are private. Invariant: an answer that was not asked for by [`super::ai_process_request`] is normal.
//!
//! The intent's `tier` says who found it: `rules` for no model at all. `processing_time_ms` is the latency of
//! [`LlmCall`], which names the sources of what is left open.

use crate::contracts::llm_call::LlmCall;
use crate::field::Gaps;
use crate::number::Number;
use crate::text::{IdText, Text};

crate::contract! {
    /// The AI has answered.
    pub struct AiProcessResult<'a> = BizNavigate "ai.process.result" alias "ai.result" {
        /// The processing.
        optional processing: IdText<'a> = "processing_id" | "request_id",
        /// The lead that it is about.
        optional lead: IdText<'a> = "lead_id",
        /// What the lead wants.
        optional intent: Text<'a> = "intent/intent" | "intent/name" | "intent_type" | "intent",
        /// How sure the AI is of that, from 0 to 1.
        optional confidence: Number = "intent/confidence" | "confidence",
        /// Who found it: `rules`, or a tier of models.
        optional intent_tier: Text<'a> = "intent/tier" | "tier",
        /// What the AI proposes to do; what has no name is left out.
        optional suggested_actions: Gaps<IdText<'a>> =
            "suggested_actions/*" | "suggested_actions/*/action" | "suggested_actions/*/type",
        with call: LlmCall<'a>,
    }
}
