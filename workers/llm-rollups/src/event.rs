//! What this worker takes from an event, whichever system it came from.
//!
//! Not here: how it is read ([`crate::reading`]). Invariant: holds what some result needs and nothing else; texts are those
//! of the event, cut to what a name may be.

use compact_str::CompactString;
use events::identity::IdHash;
use processing_core::record::EventTime;
use serde::{Deserialize, Serialize};

use crate::money::{Currency, Nanos};
use crate::tokens::Tokens;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LlmEvent {
    /// By which it is known when it comes again.
    pub id: IdHash,
    /// When it happened.
    pub time: EventTime,
    /// Whose it is.
    pub tenant: CompactString,
    /// The user, as the event names them.
    pub user: Option<CompactString>,
    /// The session.
    pub session: Option<IdHash>,
    /// What happened.
    pub what: What,
    /// What it begins or answers, at most two things; most events nothing.
    pub links: Vec<Link>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A model was called.
    Call(Box<Call>),
    /// A chat has begun.
    SessionStarted,
    /// An itinerary was saved out of a chat.
    ItinerarySaved,
    /// Nothing but what the links say.
    Linked,
    /// Nothing that this worker reads.
    Other,
}

/// A call of a model. Its fields are those of OpenTelemetry's conventions for generative AI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// `gen_ai.provider.name`, in small letters.
    pub provider: Option<CompactString>,
    /// `gen_ai.response.model`, else `gen_ai.request.model`.
    pub model: Option<CompactString>,
    /// `gen_ai.operation.name`, else what the event's type stands for.
    pub operation: CompactString,
    /// How long it took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// How long until the first token came, in milliseconds.
    pub first_token_ms: Option<u64>,
    /// `gen_ai.usage`; `None` where it reports none.
    pub tokens: Option<Tokens>,
    /// What it cost, by its own word.
    pub reported: Option<(Currency, Nanos)>,
    /// Whether the cost that it reports cannot be read.
    pub is_cost_unreadable: bool,
    /// Whether it was one of a batch.
    pub is_batch: bool,
    /// `error.type`; `None` where it succeeded.
    pub error: Option<CompactString>,
    /// What is known of the answer's quality.
    pub quality: Quality,
}

/// Signals of an answer's quality.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    /// The model refused.
    pub is_refused: bool,
    /// The answer was flagged.
    pub is_flagged: bool,
    /// It was asked for again.
    pub is_regenerated: bool,
    /// What the reader thought.
    pub feedback: Option<Feedback>,
}

/// What a reader thought of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Feedback {
    /// Good.
    Positive,
    /// Bad.
    Negative,
}

/// One side of an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Which kind of exchange.
    pub exchange: Exchange,
    /// By what request and answer find each other, within a tenant and a kind.
    pub id: CompactString,
    /// Whether it begins the exchange, or answers it.
    pub is_request: bool,
}

/// What is asked and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Exchange {
    /// `ai.process.request` and its result or error, by `processing_id`.
    Process,
    /// A lead's event that starts AI work, and the next result for the lead.
    Lead,
    /// `poi.embedding.requested` and `poi.embedding.completed`.
    Embedding,
}

impl Exchange {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Process, Self::Lead, Self::Embedding];

    /// As results name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Lead => "lead",
            Self::Embedding => "embedding",
        }
    }

    /// What is counted where nobody answered.
    pub fn operation(self) -> &'static str {
        match self {
            Self::Process | Self::Lead => "process",
            Self::Embedding => "embeddings",
        }
    }
}
