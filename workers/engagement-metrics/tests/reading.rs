//! Events of the contracts as actions: the examples that the contracts themselves give, and the words in which companies
//! say one thing.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

use std::collections::BTreeSet;
use std::sync::Arc;

use engagement_metrics::action::{Action, Reading, Traffic};
use engagement_metrics::definitions::Definitions;
use engagement_metrics::kind::Kind;
use engagement_metrics::reading::{ActionDecoder, CONTRACTS};
use events::identity::IdHash;
use events::{ContractName, Contracts};
use processing_core::decode::Decoder;

fn decoder(contract: ContractName) -> ActionDecoder {
    let contracts = Contracts::shipped();
    let topic = contracts.topics_of(contract).next().unwrap().to_owned();
    let topics = contracts.topics(CONTRACTS);
    let reader = topics.into_iter().find(|reader| reader.topic() == topic).unwrap();
    ActionDecoder::new(reader, Arc::new(Definitions::shipped().unwrap().traffic))
}

fn read(contract: ContractName, json: &str) -> Action {
    match decoder(contract).decode(Some(json.as_bytes())) {
        Ok(Reading::Action(action)) => action,
        other => panic!("{json}: {other:?}"),
    }
}

/// Of every contract that is read, every example is an action; together they are of every kind but two, for which
/// LENS has other words.
#[test]
fn every_example_of_every_contract_is_counted() {
    let mut seen = BTreeSet::new();
    for contract in CONTRACTS {
        let name = contract.spec().name();
        let path = format!("{}/../events/golden/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let examples = std::fs::read_to_string(&path).unwrap();
        for example in examples.lines() {
            let action = read(*contract, example);
            assert!(!action.app.is_empty() && !action.tenant.is_empty(), "{name}: {example}");
            seen.insert(action.deed.kind);
        }
    }
    let unseen: Vec<&str> = Kind::ALL.iter().filter(|kind| !seen.contains(kind)).map(|kind| kind.name()).collect();
    assert_eq!(unseen, ["bookmark", "interaction"]);
}

#[test]
fn an_event_of_another_type_moves_time_on_and_is_counted_nowhere() {
    let json = r#"{"id":"1","type":"mission.paused","userId":"u","timestamp":1704067300,"data":{}}"#;
    let read = decoder(ContractName::MissionStarted).decode(Some(json.as_bytes())).unwrap();
    assert!(matches!(read, Reading::Other { time } if time.0 == 1_704_067_300_000), "{read:?}");
}

#[test]
fn what_is_no_event_is_a_verdict() {
    let decoder = decoder(ContractName::UserInteraction);
    for json in ["{", "[]", "{\"userId\":1,\"timestamp\":1}", "{\"interactionType\":\"view\"}"] {
        assert!(decoder.decode(Some(json.as_bytes())).is_err(), "{json}");
    }
    assert!(decoder.decode(None).is_err());
}

#[test]
fn lens_says_what_was_done_in_words_of_its_own() {
    for (word, kind) in [
        ("view", Kind::View),
        ("clicked", Kind::Click),
        ("RATING", Kind::Rate),
        ("bookmark", Kind::Bookmark),
        ("search", Kind::Search),
        ("share", Kind::Interaction),
    ] {
        let json = format!(r#"{{"userId":"7","interactionType":"{word}","rating":4.5,"timestamp":1704067300}}"#);
        let action = read(ContractName::UserInteraction, &json);
        assert_eq!((action.deed.kind, action.deed.amount), (kind, 4_500), "{word}");
        assert_eq!(action.user, Some(IdHash::of_user("lens", "lens", "7")));
    }
}

#[test]
fn programs_and_the_companys_own_people_are_told_apart() {
    let by = |user: &str| {
        let json = format!(r#"{{"userId":"{user}","interactionType":"view","timestamp":1704067300}}"#);
        read(ContractName::UserInteraction, &json).deed.traffic
    };
    assert_eq!(by("ana"), Traffic::People);
    assert_eq!(by("bot-7"), Traffic::Bot);
    assert_eq!(by("qa-ana"), Traffic::Internal);
    let json = r#"{"userId":"7","interactionType":"view","timestamp":1704067300,"tenant_id":"internal"}"#;
    assert_eq!(read(ContractName::UserInteraction, json).deed.traffic, Traffic::Internal);
    let json = r#"{"userId":7,"action":"purge","actor_type":"service","timestamp":1704067300}"#;
    assert_eq!(read(ContractName::AuditEvent, json).deed.traffic, Traffic::Bot);
}

/// A failure is of another kind than a success, or a pipeline would take it for its end.
#[test]
fn what_failed_is_no_end() {
    let failed = |contract, json: &str| read(contract, json).deed.kind;
    let parsed = r#"{"documentId":1,"error":"not a PDF","timestamp":1704067300}"#;
    assert_eq!(failed(ContractName::DocumentParsed, parsed), Kind::DocumentFailed);
    let embedded = r#"{"documentId":1,"error_type":"rate_limit","timestamp":1704067300}"#;
    assert_eq!(failed(ContractName::DocumentEmbedded, embedded), Kind::DocumentFailed);
    let sent = r#"{"notificationId":"n","status":"Bounced","timestamp":1704067300}"#;
    assert_eq!(failed(ContractName::PakaNotificationSent, sent), Kind::NotificationFailed);
    let ready = r#"{"reportId":"r","status":"failed","timestamp":1704067300}"#;
    assert_eq!(failed(ContractName::ReportReady, ready), Kind::ReportFailed);
    let embedding = r#"{"event_id":"1","event_type":"poi.embedding.completed","timestamp":1704067300,
        "payload":{"request_id":"r","error_type":"timeout"}}"#;
    assert_eq!(failed(ContractName::PoiEmbeddingCompleted, embedding), Kind::EmbeddingFailed);
}

/// A lead writes for itself; who answers is somebody of the business, whom the event may name.
#[test]
fn a_lead_is_the_person_who_writes() {
    let message = |direction: &str| {
        let json = format!(
            r#"{{"event_id":"e","event_type":"lead.message","timestamp":1704067300,
                "payload":{{"lead_id":"l1","business_id":"b1"{direction}}}}}"#
        );
        read(ContractName::LeadMessage, &json)
    };
    for direction in ["", r#","direction":"inbound""#] {
        let action = message(direction);
        assert_eq!(action.deed.kind, Kind::LeadInbound);
        assert_eq!(action.user, Some(IdHash::of_user("biznavigate", "b1", "l1")));
    }
    let action = message(r#","direction":"Outbound""#);
    assert_eq!((action.deed.kind, action.user), (Kind::LeadOutbound, None));
    let created = |message: &str| {
        let json = format!(
            r#"{{"event_id":"e","event_type":"lead.created","timestamp":1704067300,
                "payload":{{"lead_id":"l1","business_id":"b1","source":" WhatsApp","initial_message":{message}}}}}"#
        );
        read(ContractName::LeadCreated, &json).deed
    };
    assert_eq!(created("\"hello\"").kind, Kind::LeadCreatedAsking);
    assert_eq!(created("\" \"").kind, Kind::LeadCreated);
    assert_eq!(created("null").label.as_deref(), Some("whatsapp"));
}

/// Events of two types may share an id; an event that comes again does not become another.
#[test]
fn events_of_two_types_with_one_id_are_two() {
    let mission = |kind: &str| {
        format!(
            r#"{{"id":"1","type":"mission.{kind}","userId":"u","timestamp":1704067300,"data":{{"missionId":"m"}}}}"#
        )
    };
    let started = read(ContractName::MissionStarted, &mission("started"));
    let completed = read(ContractName::MissionCompleted, &mission("completed"));
    assert_ne!(started.deed.event, completed.deed.event);
    assert_eq!(started.deed.event, read(ContractName::MissionStarted, &mission("started")).deed.event);
    assert_eq!(started.deed.subject, completed.deed.subject);
}

/// `xp.earned` comes beside `mission.completed`, which says it once more: it would count twice.
#[test]
fn experience_is_earned_once() {
    let event = |kind: &str, data: &str| {
        format!(r#"{{"id":"1","type":"{kind}","userId":"u","timestamp":1704067300,"data":{data}}}"#)
    };
    let mission = event("mission.completed", r#"{"missionId":"m","xpEarned":40}"#);
    let earned = event("xp.earned", r#"{"amount":40,"source":"mission"}"#);
    assert_eq!(read(ContractName::MissionCompleted, &mission).deed.amount, 0);
    let earned = read(ContractName::XpEarned, &earned);
    assert_eq!((earned.deed.kind, earned.deed.amount), (Kind::XpEarned, 40));
}
