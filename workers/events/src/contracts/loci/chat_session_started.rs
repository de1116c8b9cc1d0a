//! `chat.session.started`: a user began to talk with the chat.
//!
//! Published by `StartChatMessageStream`. Not here: what the chat answered ([`super::chat_response_generated`]).
//! Invariant: the session is the head's; no field is required.
//!
//! Loci's page leaves the fields open: the model is named as in [`LlmCall`](crate::contracts::llm_call::LlmCall),
//! the city as in the other events of Loci.

use crate::text::Text;

crate::contract! {
    /// A user began to talk with the chat.
    pub struct ChatSessionStarted<'a> = Loci "chat.session.started" {
        /// The model that is to answer.
        optional model: Text<'a> =
            "model" | "model_name" | "gen_ai.request.model" | "attributes/gen_ai.request.model"
            | "/attributes/gen_ai.request.model",
        /// The city that the talk is about.
        optional city: Text<'a> = "city" | "city_name",
    }
}
