//! The contracts' examples: each is valid by its schema, and decodes into what it says.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

use events::identity::IdHash;
use events::{Gazetteer, PoisonReason, SearchSource, Signal, SignalContract, SignalKind};
use processing_core::record::EventTime;

fn examples(contract: SignalContract) -> Vec<String> {
    let path = format!("{}/golden/{}.jsonl", env!("CARGO_MANIFEST_DIR"), contract.name().spec().name());
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn validator(contract: SignalContract) -> jsonschema::Validator {
    jsonschema::draft202012::options().build(&events::schema::schema(contract.name())).unwrap()
}

/// A signal in one line, with the identifiers that it must have hashed.
fn told(signal: &Signal) -> String {
    let names = ["u-000042", "42", "poi-17", "17", "it-1", "it-2"];
    let user = |name: &str| IdHash::of_user("loci", "loci", name);
    let id = |id: Option<IdHash>| match id {
        None => "-".to_owned(),
        Some(id) if id == IdHash::of_session("loci", "loci", "s-9") => "session s-9".to_owned(),
        Some(id) => names.into_iter().find(|n| IdHash::of(n) == id || user(n) == id).unwrap_or("?").to_owned(),
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
fn what_breaks_a_contract_is_named_and_never_quoted() {
    let cities = Gazetteer::shipped();
    let event = |timestamp: &str, payload: &str| {
        format!(r#"{{"event_id":"e","event_type":"poi.favorited","timestamp":{timestamp},"payload":{payload}}}"#)
    };
    let good = r#"{"poi_id":"p","city":"Porto"}"#;
    use PoisonReason::*;
    for (bytes, reason, said) in [
        (event("1", good).replace(r#""poi.favorited""#, "null"), MissingField, "`event_type` is missing"),
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
    assert_eq!(signal.user, Some(IdHash::of_user("loci", "loci", "a")));
    assert!(matches!(signal.kind, SignalKind::Search { source: SearchSource::Chat, .. }));
    assert_eq!(signal.time, EventTime(1_000));
}

#[test]
fn places_are_valid_and_decode_into_what_they_say() {
    use events::{ContractName, poi_ingested};
    let cities = Gazetteer::shipped();
    let schema = events::schema::schema(ContractName::PoiIngested);
    let validator = jsonschema::draft202012::options().build(&schema).unwrap();
    let path = format!("{}/golden/loci.poi.ingested.jsonl", env!("CARGO_MANIFEST_DIR"));
    let examples = std::fs::read_to_string(path).unwrap();
    let told = examples.lines().map(|example| {
        assert!(validator.is_valid(&serde_json::from_str(example).unwrap()), "{example}");
        let place = poi_ingested::decode(Some(example.as_bytes()), &cities).unwrap();
        let city = place.city.map_or("-".to_owned(), |city| format!("{}/{}", city.name, city.country));
        format!("{} {city}", place.time.0)
    });
    let told: Vec<String> = told.collect();
    assert_eq!(told, ["1761388200000 Köln/DE", "1761388200123 Victoria/SC", "0 -"]);
}

/// What is of another type may come on a topic that is read; it is no event of the contract, and no poison.
#[test]
fn an_event_of_another_type_is_another_event() {
    let cities = Gazetteer::shipped();
    let event = br#"{"event_id":"e","event_type":"poi.renamed","timestamp":7,"payload":"whatever"}"#;
    let signal = SignalContract::PoiFavorited.decode(Some(event), &cities).unwrap();
    assert_eq!((signal.kind, signal.time), (SignalKind::Other, EventTime(7_000)));
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
