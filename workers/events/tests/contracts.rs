//! The contracts' examples: each is valid by its schema, and decodes into what it says.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

use events::identity::IdHash;
use events::{Gazetteer, PoisonReason, SearchSource, Signal, SignalContract, SignalKind};
use processing_core::record::EventTime;

fn examples(contract: SignalContract) -> Vec<String> {
    let path = format!("{}/golden/{}.jsonl", env!("CARGO_MANIFEST_DIR"), contract.event_type());
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn validator(contract: SignalContract) -> jsonschema::Validator {
    let schema = serde_json::from_str(contract.schema()).unwrap();
    jsonschema::draft202012::options().build(&schema).unwrap()
}

/// A signal in one line, with the identifiers that it must have hashed.
fn told(signal: &Signal) -> String {
    let names = ["u-000042", "42", "poi-17", "17", "it-1", "it-2"];
    let id = |id: Option<IdHash>| match id {
        None => "-".to_owned(),
        Some(id) if id == IdHash::of_session("s-9") => "session s-9".to_owned(),
        Some(id) => names.into_iter().find(|n| IdHash::of(n) == id).unwrap_or("?").to_owned(),
    };
    let kind = match &signal.kind {
        SignalKind::Search { source, results, query } => format!(
            "search {} {} {}",
            source.as_str(),
            results.map_or("-".to_owned(), |n| n.to_string()),
            query.as_deref().unwrap_or("-")
        ),
        kind => format!("{kind:?}"),
    };
    let city = signal.city.as_ref().map_or("-".to_owned(), |city| format!("{}/{}", city.name, city.country));
    format!("{} | {} | {kind} | {} | {city}", signal.time.0, id(signal.user), id(signal.item))
}

#[test]
fn examples_are_valid_and_decode_into_what_they_say() {
    let cities = Gazetteer::shipped();
    let expected: [(SignalContract, &[&str]); 6] = [
        (
            SignalContract::SearchExecuted,
            &[
                "1761388200123 | u-000042 | search chat 12 best ramen | - | Lisbon/PT",
                "1761388200123 | 42 | search manual 0 vegan brunch | - | Munich/DE",
                "1761388200123 | session s-9 | search other - - | - | nova atlantida/ZZ",
                "1761388200000 | - | search other - - | - | -",
            ],
        ),
        (
            SignalContract::PoiFavorited,
            &[
                "1761388200000 | u-000042 | Favourite | poi-17 | Köln/DE",
                "1761388200123 | u-000042 | Favourite | 17 | Victoria/SC",
            ],
        ),
        (
            SignalContract::PoiUnfavorited,
            &[
                "1761388200000 | u-000042 | Unfavourite | poi-17 | Köln/DE",
                "0 | session s-9 | Unfavourite | poi-17 | -",
            ],
        ),
        (
            SignalContract::ItinerarySaved,
            &[
                "1761388200000 | u-000042 | ItinerarySaved | it-1 | New York City/US",
                "253402300799999 | u-000042 | ItinerarySaved | it-1 | Tokyo/JP",
            ],
        ),
        (SignalContract::ItineraryUpdated, &["1761388200500 | u-000042 | ItineraryUpdated | it-1 | New York City/US"]),
        (SignalContract::ChatItinerarySaved, &["1761388200123 | u-000042 | ChatItinerarySaved | it-2 | São Paulo/BR"]),
    ];
    for (contract, expected) in expected {
        let validator = validator(contract);
        let examples = examples(contract);
        for example in &examples {
            let value = serde_json::from_str(example).unwrap();
            assert!(validator.is_valid(&value), "{:?}", validator.validate(&value));
        }
        let signals: Vec<_> =
            examples.iter().map(|example| told(&contract.decode(Some(example.as_bytes()), &cities).unwrap())).collect();
        assert_eq!(signals, expected, "{contract:?}");
    }
}

#[test]
fn each_schema_names_exactly_the_fields_that_are_read() {
    use events::*;
    let payloads = [
        search_executed::SearchExecuted::SPELLINGS,
        poi_favorited::PoiFavorited::SPELLINGS,
        poi_unfavorited::PoiUnfavorited::SPELLINGS,
        itinerary_saved::ItinerarySaved::SPELLINGS,
        itinerary_updated::ItineraryUpdated::SPELLINGS,
        chat_itinerary_saved::ChatItinerarySaved::SPELLINGS,
    ];
    let envelope = envelope::EnvelopeWire::<search_executed::SearchExecuted<'_>>::SPELLINGS;
    for (contract, payload) in SignalContract::ALL.into_iter().zip(payloads) {
        let schema: serde_json::Value = serde_json::from_str(contract.schema()).unwrap();
        let named = |properties: &serde_json::Value| {
            let mut names: Vec<_> = properties.as_object().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        let read = |spellings: &[&[&str]]| {
            let mut names: Vec<_> = spellings.concat().into_iter().map(str::to_owned).collect();
            names.sort();
            names
        };
        assert_eq!(named(&schema["properties"]), read(envelope), "{contract:?}");
        let properties = &schema["$defs"]["payload"]["properties"];
        assert_eq!(named(properties), read(payload), "{contract:?}");
    }
}

#[test]
fn what_breaks_a_contract_is_named_and_never_quoted() {
    let cities = Gazetteer::shipped();
    let event = |timestamp: &str, payload: &str| {
        format!(r#"{{"event_id":"e","event_type":"poi.favorited","timestamp":{timestamp},"payload":{payload}}}"#)
    };
    let good = r#"{"poi_id":"p","city":"Porto"}"#;
    use PoisonReason::*;
    for (bytes, reason, said) in [
        (event("1", good).replace("poi.favorited", "s3cret"), EventType, "`event_type` is not"),
        (event("1", good).replace(r#""e""#, r#""""#), MissingField, "`event_id` is missing"),
        (event(r#""s3cret""#, good), Timestamp, "`timestamp` cannot be a string that is neither"),
        (event("true", good), Timestamp, "`timestamp` cannot be a boolean"),
        (event("-1", good), Timestamp, "`timestamp` cannot be a time outside"),
        (event("null", good), MissingField, "`timestamp` is missing"),
        (event("1", r#""s3cret""#), WrongValue, "`payload` cannot be a string"),
        (event("1", "null"), MissingField, "`payload` is missing"),
        (event("1", r#"{"city":"s3cret"}"#), MissingField, "`payload.poi_id` is missing"),
        (event("1", r#"{"poi_id":["s3cret"]}"#), WrongValue, "`payload.poi_id` cannot be an array"),
        (event("1", r#"{"poi_id":"p","city":{"s3cret":1}}"#), WrongValue, "`payload.city` cannot be an object"),
        (
            event("1", r#"{"poi_id":"p","lat":"s3cret"}"#),
            WrongValue,
            "`payload.latitude` cannot be a string that is not",
        ),
        (event("1", good) + "s3cret", NotJson, "trailing characters at line 1"),
        (event("1", good).replace('}', ""), Truncated, "EOF while parsing"),
        (event("1e999", good), NotJson, "number out of range"),
        (r#""s3cret""#.to_owned(), WrongValue, "`the event` cannot be a string"),
        ("[]".to_owned(), WrongValue, "`the event` cannot be an array"),
        ("null".to_owned(), MissingField, "`the event` is missing"),
        (String::new(), Truncated, "EOF while parsing"),
    ] {
        let poison = SignalContract::PoiFavorited.decode(Some(bytes.as_bytes()), &cities).unwrap_err();
        assert_eq!(poison.reason, reason, "{bytes}: {poison}");
        assert!(poison.detail.starts_with(said), "{bytes}: {poison}");
        assert!(!poison.detail.contains("s3cret"), "{poison}");
    }
    let tombstone = SignalContract::PoiFavorited.decode(None, &cities).unwrap_err();
    assert_eq!(tombstone.reason, Tombstone);
}

#[test]
fn the_first_spelling_that_holds_a_value_wins() {
    let cities = Gazetteer::shipped();
    let decode = |payload: &str| {
        let event = format!(r#"{{"event_id":"e","event_type":"search.executed","timestamp":1,"payload":{payload}}}"#);
        SignalContract::SearchExecuted.decode(Some(event.as_bytes()), &cities).unwrap()
    };
    let signal =
        decode(r#"{"city":null,"city_name":"Porto","cityName":"Lisbon","user_id":"","userId":"a","source":"CHAT"}"#);
    assert_eq!(signal.city.unwrap().name, "Porto");
    assert_eq!(signal.user, Some(IdHash::of("a")));
    assert!(matches!(signal.kind, SignalKind::Search { source: SearchSource::Chat, .. }));
    assert_eq!(signal.time, EventTime(1_000));
}

#[test]
fn places_are_valid_and_decode_into_what_they_say() {
    use events::poi_ingested::{self, EVENT_TYPE, SCHEMA};
    let cities = Gazetteer::shipped();
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::draft202012::options().build(&schema).unwrap();
    let path = format!("{}/golden/{EVENT_TYPE}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let examples = std::fs::read_to_string(path).unwrap();
    let told = examples.lines().map(|example| {
        assert!(validator.is_valid(&serde_json::from_str(example).unwrap()), "{example}");
        let place = poi_ingested::decode(Some(example.as_bytes()), &cities).unwrap();
        let city = place.city.map_or("-".to_owned(), |city| format!("{}/{}", city.name, city.country));
        format!("{} {city}", place.time.0)
    });
    let told: Vec<String> = told.collect();
    assert_eq!(told, ["1761388200000 Köln/DE", "1761388200123 Victoria/SC", "0 -"]);

    let mut read: Vec<&str> = poi_ingested::PoiIngested::SPELLINGS.concat();
    read.sort_unstable();
    let named = schema["$defs"]["payload"]["properties"].as_object().unwrap();
    assert_eq!(named.keys().collect::<Vec<_>>(), read);
    let poison = poi_ingested::decode(Some(br#"{"event_id":"e","event_type":"poi.favorited"}"#), &cities).unwrap_err();
    assert_eq!(poison.reason, PoisonReason::EventType);
}

/// By these the city is sought.
#[test]
fn a_place_is_named_in_clear_only_where_its_city_is_missing() {
    let cities = Gazetteer::shipped();
    for (payload, poi) in [
        (r#"{"poi_id":"p-1"}"#, Some("p-1")),
        (r#"{"poi_id":"p\u002d1"}"#, Some("p-1")),
        (r#"{"poi_id":42.0,"city":null}"#, Some("42")),
        (r#"{"poi_id":-7,"city":" "}"#, Some("-7")),
        (r#"{"poi_id":"p-1","city":"Porto"}"#, None),
    ] {
        let event = format!(r#"{{"event_id":"e","event_type":"poi.favorited","timestamp":1,"payload":{payload}}}"#);
        let signal = SignalContract::PoiFavorited.decode(Some(event.as_bytes()), &cities).unwrap();
        assert_eq!(signal.poi.as_deref(), poi, "{payload}");
        if let Some(poi) = poi {
            assert_eq!(signal.item, Some(IdHash::of(poi)));
        }
    }
}
