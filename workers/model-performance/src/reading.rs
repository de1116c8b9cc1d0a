//! Events of the contracts as the worker's own.
//!
//! Not here: where fields stand in a company's records (`events`), and where an event goes ([`crate::routing`]). Invariant:
//! names are at most [`NAME_MAX`] bytes long, and every number is whole; an event of a contract that is not read moves time
//! on and is counted nowhere.

use compact_str::CompactString;
use events::field::{Gaps, List};
use events::identity::IdHash;
use events::number::Number;
use events::text::{IdText, Text};
use events::{ContractName, Event, Head, TopicReader};
use processing_core::aggregate::scaled;
use processing_core::decode::{Decoder, Poison};

use crate::event::{
    Interaction, Item, Measurement, ModelEvent, ModelName, Request, Response, Test, Understanding, What,
};

/// The contracts that are read.
pub const CONTRACTS: &[ContractName] = &[
    ContractName::RecommendationRequest,
    ContractName::RecommendationResponse,
    ContractName::UserInteraction,
    ContractName::ModelMetric,
    ContractName::AbTestEvent,
    ContractName::AiProcessResult,
    ContractName::AiError,
    ContractName::LeadUpdated,
];

/// Longer names are cut.
const NAME_MAX: usize = 96;
/// The type of an error that names none: OpenTelemetry's value for it (`error.type`).
const OTHER_ERROR: &str = "_OTHER";

/// Reads one topic.
#[derive(Debug, Clone)]
pub struct ModelDecoder(TopicReader);

impl ModelDecoder {
    /// Reads what comes on a topic.
    pub fn new(topic: TopicReader) -> Self {
        Self(topic)
    }
}

impl Decoder for ModelDecoder {
    type Event = ModelEvent;

    fn decode(&self, value: Option<&[u8]>) -> Result<ModelEvent, Poison> {
        let event = self.0.decode(value).map_err(|poison| Poison::new(poison.reason.as_str(), poison.detail))?;
        of(event)
    }
}

fn of(event: Event<'_>) -> Result<ModelEvent, Poison> {
    let (head, what) = match event {
        Event::RecommendationRequest(head, it) => {
            let name = model(it.model.as_ref(), it.version.as_ref(), it.variant.as_ref());
            (head, What::Requested(Request { request: id(&it.request), name }))
        }
        Event::RecommendationResponse(head, it) => {
            let is_success = match (it.success, &it.error, &it.status) {
                (Some(success), ..) => success.0,
                (None, Some(_), _) => false,
                (None, None, status) => status.as_ref().is_none_or(|status| is_well(status.as_str())),
            };
            let response = Response {
                request: id(&it.request),
                name: model(it.model.as_ref(), it.version.as_ref(), it.variant.as_ref()),
                items: list(it.items).iter().map(|item| Item::of(item.as_str())).collect(),
                scores: list(it.scores.map(Gaps::given)).iter().filter_map(|score| micros(*score)).collect(),
                latency_ms: it.latency.map(|latency| latency.0.max(0).unsigned_abs()),
                is_success,
            };
            (head, What::Responded(response))
        }
        Event::UserInteraction(head, it) => {
            let interaction = Interaction {
                action: name(it.kind.as_str()),
                item: it.item.as_ref().map(|item| Item::of(item.as_str())),
                rating: it.rating.and_then(micros),
                request: it.request.as_ref().map(id),
            };
            (head, What::Interacted(interaction))
        }
        Event::ModelMetric(head, it) => {
            let beyond =
                || Poison::new("value_range", "`value` lies beyond nine million millions, in which it is kept");
            let measured = Measurement {
                name: model(Some(&it.model), it.version.as_ref(), it.variant.as_ref()),
                metric: name(it.metric.as_str()),
                value: micros(it.value).ok_or_else(beyond)?,
            };
            (head, What::Measured(measured))
        }
        Event::AbTestEvent(head, it) => {
            let test = Test {
                experiment: id(&it.experiment),
                variant: it.variant.as_ref().map(id),
                action: name(it.kind.as_str()),
            };
            (head, What::Tested(test))
        }
        Event::AiProcessResult(head, it) => {
            // An answer that says what went wrong is none.
            if let Some(error) = error_of(it.call.error.as_ref()) {
                return Ok(with(&head, What::Failed { name: model(it.call.model.as_ref(), None, None), error }));
            }
            let share = |Number(share): Number| (0.0..=1.0).contains(&share).then(|| micros(Number(share)));
            let understood = Understanding {
                name: model(it.call.model.as_ref(), None, None),
                lead: it.lead.as_ref().map(id),
                intent: it.intent.as_ref().map(|intent| name(intent.as_str())),
                tier: it.intent_tier.as_ref().map(|tier| name(tier.as_str())),
                confidence: it.confidence.and_then(share).flatten().map(i64::unsigned_abs),
                actions: list(it.suggested_actions.map(Gaps::given)).iter().map(id).collect(),
            };
            (head, What::Understood(understood))
        }
        Event::AiError(head, it) => {
            let error = error_of(it.call.error.as_ref()).unwrap_or_else(|| OTHER_ERROR.into());
            (head, What::Failed { name: model(it.call.model.as_ref(), None, None), error })
        }
        Event::LeadUpdated(head, it) => {
            let intent = it.intent.as_ref().map(|intent| name(intent.as_str()));
            (head, What::LeadUpdated { lead: id(&it.lead), intent })
        }
        other => (other.head().clone(), What::Other),
    };
    Ok(with(&head, what))
}

fn with(head: &Head<'_>, what: What) -> ModelEvent {
    ModelEvent {
        id: told_apart(head, &what),
        time: head.time,
        app: name(head.app.as_str()),
        tenant: name(head.tenant.as_str()),
        who: head.who().map(IdHash::get),
        what,
    }
}

/// The bits of the event's id, for its tenant and kind apart: two of them may both have an event that is called `1`.
fn told_apart(head: &Head<'_>, what: &What) -> u64 {
    let kind: u64 = match what {
        What::Requested(_) => 1,
        What::Responded(_) => 2,
        What::Interacted(_) => 3,
        What::Measured(_) => 4,
        What::Tested(_) => 5,
        What::Understood(_) => 6,
        What::Failed { .. } => 7,
        What::LeadUpdated { .. } => 8,
        What::Other => 9,
    };
    let tenant = IdHash::of(head.tenant.as_str()).get().rotate_left(17);
    head.id.get() ^ kind.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ tenant
}

fn model(model: Option<&Text<'_>>, version: Option<&IdText<'_>>, variant: Option<&IdText<'_>>) -> ModelName {
    ModelName {
        model: model.map(|text| name(text.as_str())).unwrap_or_default(),
        version: version.map(id).unwrap_or_default(),
        variant: variant.map(id).unwrap_or_default(),
    }
}

fn error_of(error: Option<&Text<'_>>) -> Option<CompactString> {
    error.map(|text| name(text.as_str())).filter(|error| !error.is_empty())
}

fn id(id: &IdText<'_>) -> CompactString {
    name(id.as_str())
}

fn name(text: &str) -> CompactString {
    let text = text.trim();
    let mut end = text.len().min(NAME_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}

fn list<T>(list: Option<List<T>>) -> Vec<T> {
    list.map(|List(items)| items.into_iter().collect()).unwrap_or_default()
}

fn micros(Number(number): Number) -> Option<i64> {
    scaled(number, 6)
}

/// Whether a status says that it went well.
fn is_well(status: &str) -> bool {
    ["success", "succeeded", "ok", "completed", "200"].iter().any(|well| status.eq_ignore_ascii_case(well))
}
