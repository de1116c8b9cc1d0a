//! Events of every contract as actions: which kind each is, who did it, and what of it is counted.
//!
//! Not here: where fields stand in a company's records (`events`). Invariant: an event of a contract that the worker reads
//! is an action, whatever it holds; one of any other type moves time on and is counted nowhere.

use std::sync::Arc;

use compact_str::CompactString;
use events::identity::IdHash;
use events::text::{IdText, Text};
use events::{ContractName, Event, Head, TopicReader};
use processing_core::decode::{Decoder, Poison};

use crate::action::{Action, Deed, Reading, Traffic};
use crate::definitions::TrafficRule;
use crate::kind::Kind;

/// The contracts that are read.
pub const CONTRACTS: &[ContractName] = &[
    ContractName::UserInteraction,
    ContractName::UserActivity,
    ContractName::JobquestNotificationSent,
    ContractName::NotificationRead,
    ContractName::AchievementUnlocked,
    ContractName::LevelUp,
    ContractName::XpEarned,
    ContractName::DailyChallengeCompleted,
    ContractName::DailyChallengeAvailable,
    ContractName::JobApplied,
    ContractName::JobStatusUpdated,
    ContractName::LearningStarted,
    ContractName::LearningCompleted,
    ContractName::MissionStarted,
    ContractName::MissionCompleted,
    ContractName::MissionFailed,
    ContractName::UserRegistered,
    ContractName::UserLogin,
    ContractName::UserLogout,
    ContractName::SystemError,
    ContractName::PoiFavorited,
    ContractName::PoiUnfavorited,
    ContractName::ItinerarySaved,
    ContractName::ItineraryUpdated,
    ContractName::ChatItinerarySaved,
    ContractName::PoiEmbeddingRequested,
    ContractName::PoiEmbeddingCompleted,
    ContractName::PoiDedupRequested,
    ContractName::DocumentUploaded,
    ContractName::DocumentParsed,
    ContractName::DocumentEmbedded,
    ContractName::NotificationSend,
    ContractName::PakaNotificationSent,
    ContractName::AuditEvent,
    ContractName::ReportGenerate,
    ContractName::ReportReady,
    ContractName::LeadCreated,
    ContractName::LeadUpdated,
    ContractName::LeadMessage,
];

/// How long a label may be, in bytes.
const LABEL_MAX: usize = 96;
/// Ratings beyond this are taken for it.
const RATING_MAX: f64 = 1e6;

/// Reads one topic.
#[derive(Debug, Clone)]
pub struct ActionDecoder {
    topic: TopicReader,
    rule: Arc<TrafficRule>,
}

impl ActionDecoder {
    /// Reads what comes on a topic, and tells programs from people by `rule`.
    pub fn new(topic: TopicReader, rule: Arc<TrafficRule>) -> Self {
        Self { topic, rule }
    }
}

impl Decoder for ActionDecoder {
    type Event = Reading;

    fn decode(&self, value: Option<&[u8]>) -> Result<Reading, Poison> {
        let event = self.topic.decode(value).map_err(|poison| Poison::new(poison.reason.as_str(), poison.detail))?;
        Ok(reading(&self.rule, &event))
    }
}

/// What an event says beside its head.
struct Said<'e> {
    kind: Kind,
    subject: Option<&'e IdText<'e>>,
    amount: i64,
    label: Option<CompactString>,
    /// A person whom the event names where its head names none.
    person: Option<&'e IdText<'e>>,
    /// Whether a program says of itself that it did it.
    by_machine: bool,
}

impl<'e> Said<'e> {
    fn just(kind: Kind) -> Self {
        Self { kind, subject: None, amount: 0, label: None, person: None, by_machine: false }
    }

    fn about(kind: Kind, subject: &'e IdText<'e>) -> Self {
        Self { subject: Some(subject), ..Self::just(kind) }
    }

    fn amount(self, amount: u64) -> Self {
        Self { amount: i64::try_from(amount).unwrap_or(i64::MAX), ..self }
    }

    fn label(self, label: Option<&str>) -> Self {
        Self { label: label.and_then(label_of), ..self }
    }
}

/// An event as this worker reads it.
fn reading(rule: &TrafficRule, event: &Event<'_>) -> Reading {
    let head = event.head();
    let Some(said) = said(event) else { return Reading::Other { time: head.time } };
    let (app, tenant) = (head.app.as_str(), head.tenant.as_str());
    let named = || said.person.map(|person| IdHash::of_user(app, tenant, person.as_str()));
    let traffic = match rule.of(tenant, head.user.as_ref().map(IdText::as_str)) {
        Traffic::People if said.by_machine => Traffic::Bot,
        traffic => traffic,
    };
    Reading::Action(Action {
        time: head.time,
        app: app.into(),
        tenant: tenant.into(),
        user: head.who().or_else(named),
        deed: Deed {
            event: event_of(head, said.kind),
            kind: said.kind,
            traffic,
            subject: said.subject.map(|subject| IdHash::of(subject.as_str())),
            amount: said.amount,
            label: said.label,
        },
    })
}

/// The bits of the event, for its kind apart: two types of events may both have one that is called `1`.
fn event_of(head: &Head<'_>, kind: Kind) -> IdHash {
    let bits = head.id.get() ^ u64::from(kind.number()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    IdHash::from_bits(bits).unwrap_or(head.id)
}

/// What an event says; `None` where nobody asked for it.
fn said<'e>(event: &'e Event<'e>) -> Option<Said<'e>> {
    use Event as E;
    Some(match event {
        E::UserInteraction(_, of) => Said {
            subject: of.item.as_ref(),
            amount: of.rating.map_or(0, |rating| (rating.0.clamp(-RATING_MAX, RATING_MAX) * 1_000.0).round() as i64),
            ..Said::just(interaction(of.kind.as_str()))
        },
        E::UserActivity(..) => Said::just(Kind::UserActivity),
        E::JobquestNotificationSent(_, of) => Said::about(Kind::NotificationSent, &of.notification),
        E::NotificationRead(_, of) => Said::about(Kind::NotificationRead, &of.notification),
        E::AchievementUnlocked(_, of) => Said::about(Kind::AchievementUnlocked, &of.achievement),
        E::LevelUp(_, of) => Said::just(Kind::LevelUp).amount(of.level.0),
        E::XpEarned(_, of) => Said::just(Kind::XpEarned).amount(of.amount.0),
        E::DailyChallengeCompleted(_, of) => Said::about(Kind::ChallengeCompleted, &of.challenge),
        E::DailyChallengeAvailable(_, of) => Said::about(Kind::ChallengeAvailable, &of.challenge),
        E::JobApplied(_, of) => {
            Said::about(Kind::JobApplied, &of.application).label(of.status.as_ref().map(Text::as_str))
        }
        E::JobStatusUpdated(_, of) => {
            Said::about(Kind::JobStatusUpdated, &of.application).label(Some(of.status.as_str()))
        }
        E::LearningStarted(_, of) => Said::about(Kind::LearningStarted, &of.resource),
        E::LearningCompleted(_, of) => Said::about(Kind::LearningCompleted, &of.resource),
        E::MissionStarted(_, of) => Said::about(Kind::MissionStarted, &of.mission),
        E::MissionCompleted(_, of) => Said::about(Kind::MissionCompleted, &of.mission),
        E::MissionFailed(_, of) => Said::about(Kind::MissionFailed, &of.mission),
        E::UserRegistered(..) => Said::just(Kind::UserRegistered),
        E::UserLogin(..) => Said::just(Kind::UserLogin),
        E::UserLogout(..) => Said::just(Kind::UserLogout),
        E::SystemError(_, of) => {
            let code = of.code.as_ref().map(IdText::as_str).or(of.service.as_ref().map(Text::as_str));
            Said::just(Kind::SystemError).label(code)
        }
        E::PoiFavorited(_, of) => Said { label: exact(of.poi.as_str()), ..Said::about(Kind::PoiFavorited, &of.poi) },
        E::PoiUnfavorited(_, of) => {
            Said { label: exact(of.poi.as_str()), ..Said::about(Kind::PoiUnfavorited, &of.poi) }
        }
        E::ItinerarySaved(_, of) => Said::about(Kind::ItinerarySaved, &of.itinerary),
        E::ItineraryUpdated(_, of) => Said::about(Kind::ItineraryUpdated, &of.itinerary),
        E::ChatItinerarySaved(_, of) => Said::about(Kind::ChatItinerarySaved, &of.itinerary),
        E::PoiEmbeddingRequested(_, of) => Said::about(Kind::EmbeddingRequested, &of.request),
        E::PoiEmbeddingCompleted(_, of) => match of.call.error {
            None => Said::about(Kind::EmbeddingCompleted, &of.request),
            Some(_) => Said::about(Kind::EmbeddingFailed, &of.request),
        },
        E::PoiDedupRequested(_, of) => Said::about(Kind::DedupRequested, &of.request),
        E::DocumentUploaded(_, of) => Said::about(Kind::DocumentUploaded, &of.document),
        E::DocumentParsed(_, of) => match of.error {
            None => Said::about(Kind::DocumentParsed, &of.document),
            Some(_) => Said::about(Kind::DocumentFailed, &of.document),
        },
        E::DocumentEmbedded(_, of) => match of.call.error {
            None => Said::about(Kind::DocumentEmbedded, &of.document),
            Some(_) => Said::about(Kind::DocumentFailed, &of.document),
        },
        E::NotificationSend(_, of) => Said::about(Kind::NotificationRequested, &of.notification),
        E::PakaNotificationSent(_, of) => match of.error.is_some() || has_failed(of.status.as_ref()) {
            false => Said::about(Kind::NotificationDelivered, &of.notification),
            true => Said::about(Kind::NotificationFailed, &of.notification),
        },
        E::AuditEvent(_, of) => Said {
            by_machine: of.actor_type.as_ref().is_some_and(is_machine),
            ..Said::just(Kind::Audit).label(Some(of.action.as_str()))
        },
        E::ReportGenerate(_, of) => Said::about(Kind::ReportRequested, &of.report),
        E::ReportReady(_, of) => match has_failed(of.status.as_ref()) {
            false => Said::about(Kind::ReportReady, &of.report),
            true => Said::about(Kind::ReportFailed, &of.report),
        },
        E::LeadCreated(_, of) => {
            let is_asking = of.initial_message.as_ref().is_some_and(|message| !message.as_str().trim().is_empty());
            let kind = if is_asking { Kind::LeadCreatedAsking } else { Kind::LeadCreated };
            let said = Said::about(kind, &of.lead).label(of.source.as_ref().map(Text::as_str));
            Said { person: Some(&of.lead), ..said }
        }
        E::LeadUpdated(_, of) => Said::about(Kind::LeadUpdated, &of.lead),
        // BizNavigate's page: "New message from lead", unless the direction says otherwise.
        E::LeadMessage(_, of) => match of.direction.as_ref().is_some_and(is_outbound) {
            false => Said { person: Some(&of.lead), ..Said::about(Kind::LeadInbound, &of.lead) },
            true => Said::about(Kind::LeadOutbound, &of.lead),
        },
        _ => return None,
    })
}

/// What LENS calls what was done.
fn interaction(word: &str) -> Kind {
    let any = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    if any(&["view", "viewed"]) {
        Kind::View
    } else if any(&["click", "clicked"]) {
        Kind::Click
    } else if any(&["rate", "rated", "rating"]) {
        Kind::Rate
    } else if any(&["bookmark", "bookmarked"]) {
        Kind::Bookmark
    } else if any(&["search", "searched"]) {
        Kind::Search
    } else {
        Kind::Interaction
    }
}

fn is_one_of(word: &Text<'_>, words: &[&str]) -> bool {
    words.iter().any(|known| known.eq_ignore_ascii_case(word.as_str().trim()))
}

fn has_failed(status: Option<&Text<'_>>) -> bool {
    status.is_some_and(|status| {
        is_one_of(status, &["failed", "failure", "error", "bounced", "rejected", "undelivered", "dropped"])
    })
}

fn is_machine(actor: &Text<'_>) -> bool {
    is_one_of(actor, &["system", "service", "service_account", "machine", "bot", "job", "cron"])
}

fn is_outbound(direction: &Text<'_>) -> bool {
    is_one_of(direction, &["outbound", "outgoing", "out", "sent"])
}

/// A word of a small vocabulary: without case, and not too long.
fn label_of(text: &str) -> Option<CompactString> {
    exact(&text.trim().to_lowercase())
}

/// A name as it is, cut where it is too long; `None` of nothing.
fn exact(text: &str) -> Option<CompactString> {
    let end = text.floor_char_boundary(LABEL_MAX);
    (!text.is_empty()).then(|| CompactString::from(&text[..end]))
}
