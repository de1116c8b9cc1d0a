//! From records to events: what this worker takes of each contract.
//!
//! Not here: the contracts, and where their fields stand (`events`). Invariant: the contract decides what an event is, and
//! what a field does not say stays unsaid.

use compact_str::CompactString;
use events::contracts::llm_call::LlmCall;
use events::identity::IdHash;
use events::number::{Flag, Millis, Whole};
use events::text::{IdText, Text};
use events::{ContractName, Contracts, Event, Head, TopicReader};
use processing_core::decode::{Decoder, Poison};

use crate::card::lower;
use crate::event::{Call, Exchange, Feedback, Link, LlmEvent, Quality, What};
use crate::money::{Currency, Nanos};
use crate::tokens::{Reported, Tokens};

/// The contracts that this worker reads.
pub const CONTRACTS: [ContractName; 11] = [
    ContractName::ChatSessionStarted,
    ContractName::ChatResponseGenerated,
    ContractName::ChatItinerarySaved,
    ContractName::PoiEmbeddingRequested,
    ContractName::PoiEmbeddingCompleted,
    ContractName::DocumentEmbedded,
    ContractName::LeadCreated,
    ContractName::LeadMessage,
    ContractName::AiProcessRequest,
    ContractName::AiProcessResult,
    ContractName::AiError,
];

/// OpenTelemetry's `error.type` of an error that has no name.
const OTHER_ERROR: &str = "_OTHER";

/// Reads one topic.
#[derive(Debug, Clone)]
pub struct LlmDecoder(TopicReader);

impl LlmDecoder {
    /// The topics of these contracts, each with what reads it.
    pub fn of(contracts: &Contracts) -> Vec<(String, Self)> {
        contracts.topics(&CONTRACTS).into_iter().map(|reader| (reader.topic().to_owned(), Self(reader))).collect()
    }
}

impl Decoder for LlmDecoder {
    type Event = LlmEvent;

    fn decode(&self, value: Option<&[u8]>) -> Result<LlmEvent, Poison> {
        let read = self.0.decode(value).map(|event| LlmEvent::of(&event));
        read.map_err(|poison| Poison::new(poison.reason.as_str(), poison.detail))
    }
}

impl LlmEvent {
    fn of(event: &Event<'_>) -> Self {
        let (what, links) = match event {
            Event::ChatSessionStarted(..) => (What::SessionStarted, Vec::new()),
            Event::ChatItinerarySaved(..) => (What::ItinerarySaved, Vec::new()),
            Event::ChatResponseGenerated(_, response) => (call(&response.call, "chat", None), Vec::new()),
            Event::DocumentEmbedded(_, embedded) => (call(&embedded.call, "embeddings", None), Vec::new()),
            Event::PoiEmbeddingRequested(_, asked) => {
                (What::Linked, Vec::from_iter(link(Exchange::Embedding, Some(&asked.request), true)))
            }
            Event::PoiEmbeddingCompleted(_, done) => {
                let link = link(Exchange::Embedding, Some(&done.request), false);
                (call(&done.call, "embeddings", None), Vec::from_iter(link))
            }
            Event::AiProcessRequest(_, asked) => {
                (What::Linked, Vec::from_iter(link(Exchange::Process, Some(&asked.processing), true)))
            }
            Event::AiProcessResult(_, result) => {
                let processing = link(Exchange::Process, result.processing.as_ref(), false);
                let lead = link(Exchange::Lead, result.lead.as_ref(), false);
                (call(&result.call, "process", None), Vec::from_iter(processing.into_iter().chain(lead)))
            }
            // An error answers who asked for this processing; a lead still waits for a result.
            Event::AiError(_, error) => {
                let processing = link(Exchange::Process, error.processing.as_ref(), false);
                (call(&error.call, "process", Some(OTHER_ERROR)), Vec::from_iter(processing))
            }
            // A lead without a message asks nothing yet, and one that is written to is not waiting.
            Event::LeadCreated(_, lead) => {
                let asks = lead.initial_message.as_ref().is_some_and(|text| !text.as_str().is_empty());
                (What::Linked, Vec::from_iter(link(Exchange::Lead, Some(&lead.lead).filter(|_| asks), true)))
            }
            Event::LeadMessage(_, message) => {
                let is_to_lead =
                    message.direction.as_ref().is_some_and(|way| way.as_str().eq_ignore_ascii_case("outbound"));
                (What::Linked, Vec::from_iter(link(Exchange::Lead, Some(&message.lead).filter(|_| !is_to_lead), true)))
            }
            _ => (What::Other, Vec::new()),
        };
        let Head { id, time, app, tenant, user, session, .. } = event.head();
        let session = session.as_ref().map(|id| IdHash::of_session(app.as_str(), tenant.as_str(), id.as_str()));
        Self {
            id: *id,
            time: *time,
            tenant: tenant.as_str().into(),
            user: user.as_ref().map(|user| user.as_str().into()),
            session,
            what,
            links,
        }
    }
}

fn link(exchange: Exchange, id: Option<&IdText<'_>>, is_request: bool) -> Option<Link> {
    id.map(|id| Link { exchange, id: id.as_str().into(), is_request })
}

/// A call; `error` is what it is where it names none.
fn call(call: &LlmCall<'_>, operation: &'static str, error: Option<&'static str>) -> What {
    let text = |text: &Option<Text<'_>>| {
        text.as_ref().map(|text| text.as_str().trim()).filter(|text| !text.is_empty()).map(CompactString::from)
    };
    let whole = |count: &Option<Whole>| count.as_ref().map(|Whole(count)| *count);
    let flag = |flag: &Option<Flag>| flag.as_ref().is_some_and(|Flag(is_set)| *is_set);
    // A clock that was set back measures less than nothing.
    let ms = |time: &Option<Millis>| time.as_ref().and_then(|Millis(ms)| u64::try_from(*ms).ok());
    let tokens = Tokens::of(&Reported {
        input: whole(&call.input_tokens),
        output: whole(&call.output_tokens),
        cached_input: whole(&call.cached_input_tokens),
        cache_write_5m: whole(&call.cache_write_5m_tokens),
        cache_write_1h: whole(&call.cache_write_1h_tokens),
        reasoning: whole(&call.reasoning_tokens),
        audio_input: whole(&call.audio_input_tokens),
        audio_output: whole(&call.audio_output_tokens),
        image_input: whole(&call.image_input_tokens),
    });
    let currency = match &call.currency {
        None => Some(Currency::USD),
        Some(text) => Currency::of(text.as_str()),
    };
    let amount = call.cost.as_ref().map(|amount| Nanos::of_picos(amount.pico()));
    What::Call(Box::new(Call {
        provider: text(&call.provider).map(|provider| lower(&provider)),
        model: text(&call.model),
        operation: text(&call.operation).unwrap_or_else(|| operation.into()),
        latency_ms: ms(&call.latency),
        first_token_ms: ms(&call.time_to_first_token),
        tokens,
        reported: currency.zip(amount),
        is_cost_unreadable: amount.is_some() && currency.is_none(),
        is_batch: flag(&call.batch),
        error: text(&call.error).or_else(|| error.map(CompactString::from)),
        quality: Quality {
            is_refused: flag(&call.refused),
            is_flagged: flag(&call.flagged),
            is_regenerated: flag(&call.regenerated),
            feedback: text(&call.feedback).and_then(|word| feedback(&word)),
        },
    }))
}

/// A word of praise or blame; `None` for any other.
fn feedback(word: &str) -> Option<Feedback> {
    match lower(word).as_str() {
        "up" | "thumbs_up" | "positive" | "good" | "like" | "liked" | "helpful" | "pass" | "1" => {
            Some(Feedback::Positive)
        }
        "down" | "thumbs_down" | "negative" | "bad" | "dislike" | "disliked" | "unhelpful" | "fail" | "-1" => {
            Some(Feedback::Negative)
        }
        _ => None,
    }
}
