//! `chat.response.generated`: the chat has answered.
//!
//! Published by `StartChatMessageStream` and `ContinueChatSessionStream`, "including latency/cost metadata". Not
//! here: what the answer says, which is private. Invariant: no field is required: an answer of which nothing is
//! known is still an answer.
//!
//! Loci's page leaves the metadata open; they are those of [`LlmCall`], which names its sources. The message is
//! OpenTelemetry's `gen_ai.response.id` where it has no name of its own.

use crate::contracts::llm_call::LlmCall;
use crate::text::IdText;

crate::contract! {
    /// The chat has answered.
    pub struct ChatResponseGenerated<'a> = Loci "chat.response.generated" {
        /// The answer.
        optional message: IdText<'a> =
            "message_id" | "response_id" | "gen_ai.response.id" | "attributes/gen_ai.response.id"
            | "/attributes/gen_ai.response.id",
        with call: LlmCall<'a>,
    }
}
