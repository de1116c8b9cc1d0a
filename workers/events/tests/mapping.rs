//! Mappings: a sixth company's events by settings alone, every mistake of a file, and reading against a reader written
//! another way.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where its helper finds nothing")]

use events::contracts::loci::chat_response_generated::ChatResponseGenerated;
use events::suggest::suggest;
use events::{ContractName, Contracts, Event, Head, TopicReader};
use processing_core::record::EventTime;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Sells answers; has never heard of any of the five.
const ACME: &str = r#"
[[mapping]]
contract = "loci.chat.response.generated"
topics = ["acme.events"]
envelope = "cloudevents"
type = ["com.acme.answer.v1", "com.acme.answer.v2"]

[mapping.head]
app = { constant = "acme" }
tenant = ["/data/org/id", "/data/org_id"]
timestamp = { pointers = ["/data/at"], format = "us" }
user = "/data/asker/~0id"

[mapping.fields]
model = "/data/llm/model"
provider = { constant = "acme-cloud" }
latency = { pointers = ["/data/took"], unit = "s" }
cost = { pointers = ["/data/price"], unit = "cents" }
currency = { pointers = ["/data/currency"], constant = "EUR" }

[[mapping]]
contract = "lens.user-interactions"
topics = ["acme.events"]
envelope = "cloudevents"
type = "com.acme.click"

[mapping.head]
app = { constant = "acme" }

[mapping.fields]
kind = { constant = "click" }
item = "/data/target"

[[mapping]]
contract = "lens.recommendation-responses"
topics = ["acme.shelves"]
envelope = "flat"
by_topic = true

[mapping.head]
timestamp = { pointers = ["/shown"], format = "%d.%m.%Y %H:%M:%S" }

[mapping.fields]
request = "/shelf"
items = ["/books/*/isbn", "/books/*"]
"#;

fn acme() -> Contracts {
    Contracts::shipped().with(ACME, "acme.toml").unwrap()
}

fn reader(topic: &str, wanted: &[ContractName]) -> TopicReader {
    acme().topics(wanted).into_iter().find(|reader| reader.topic() == topic).unwrap()
}

const ANSWERS: &[ContractName] =
    &[ContractName::ChatResponseGenerated, ContractName::UserInteraction, ContractName::RecommendationResponse];

fn answer<'a>(event: Event<'a>) -> (Head<'a>, ChatResponseGenerated<'a>) {
    let Event::ChatResponseGenerated(head, answer) = event else { panic!("{event:?}") };
    (head, answer)
}

#[test]
fn a_sixth_company_is_read_by_settings_alone() {
    let reader = reader("acme.events", ANSWERS);
    let event = json!({
        "specversion": "1.0", "id": "a-1", "source": "//acme/answers", "type": "com.acme.answer.v2",
        "time": "2031-01-01T00:00:00Z",
        "data": {
            "at": 1_761_388_200_123_456u64, "org": {"id": "org-7"}, "asker": {"~id": 42}, "sessionId": "s-1",
            "llm": {"model": "acme-large"}, "took": 1.25, "price": 0.0123456, "input_tokens": 12,
        },
    });
    let bytes = event.to_string();
    let (head, answer) = answer(reader.decode(Some(bytes.as_bytes())).unwrap());
    assert_eq!(head.time, EventTime(1_761_388_200_123));
    assert_eq!((head.app.as_str(), head.tenant.as_str()), ("acme", "org-7"));
    assert_eq!(head.user.as_ref().unwrap().as_str(), "42");
    assert_eq!(head.session.as_ref().unwrap().as_str(), "s-1");
    let call = &answer.call;
    assert_eq!(call.model.as_ref().unwrap().as_str(), "acme-large");
    assert_eq!(call.provider.as_ref().unwrap().as_str(), "acme-cloud");
    assert_eq!(call.latency.unwrap().0, 1_250);
    assert_eq!(call.input_tokens.unwrap().0, 12);
    assert_eq!(call.cost.as_ref().unwrap().pico(), 123_456_000);
    assert_eq!(call.currency.as_ref().unwrap().as_str(), "EUR");

    // Two contracts on one topic, and a third type that nobody asks for.
    let typed = |kind: &str| {
        json!({"id": "c", "type": kind, "time": 7, "data": {"target": 9, "at": 1_000_000, "org_id": 5}}).to_string()
    };
    let click = typed("com.acme.click");
    let Event::UserInteraction(head, click) = reader.decode(Some(click.as_bytes())).unwrap() else { panic!() };
    assert_eq!((click.kind.as_str(), click.item.unwrap().as_str()), ("click", "9"));
    assert_eq!((head.app.as_str(), head.tenant.as_str(), head.time), ("acme", "acme", EventTime(7_000)));
    let unknown = typed("com.acme.login");
    let Event::Other(head) = reader.decode(Some(unknown.as_bytes())).unwrap() else { panic!() };
    assert_eq!(head.tenant.as_str(), "5");
}

#[test]
fn lists_come_from_either_form_and_never_close_a_gap() {
    let reader = reader("acme.shelves", ANSWERS);
    let items = |books: Value| {
        let bytes = json!({"shelf": 1, "shown": "25.10.2025 10:30:00", "books": books}).to_string();
        let event = reader.decode(Some(bytes.as_bytes())).map_err(|poison| poison.detail);
        event.map(|event| {
            let Event::RecommendationResponse(head, shelf) = event else { panic!("{event:?}") };
            assert_eq!(head.time, EventTime(1_761_388_200_000));
            let items = shelf.items.unwrap_or_default();
            items.iter().map(|item| item.as_str().to_owned()).collect::<Vec<_>>()
        })
    };
    assert_eq!(items(json!(["a", 2, "c"])), Ok(vec!["a".into(), "2".into(), "c".into()]));
    assert_eq!(items(json!([{"isbn": "a"}, {"title": "x", "isbn": 7}])), Ok(vec!["a".into(), "7".into()]));
    assert_eq!(items(json!([])), Ok(vec![]));
    assert_eq!(items(json!(null)), Ok(vec![]));
    assert_eq!(
        items(json!([{"isbn": "a"}, {"title": "x"}])).unwrap_err(),
        "item 1 of `books.*.isbn`, counted from 0, is missing"
    );
    assert_eq!(
        items(json!([{"isbn": "a"}, {"isbn": "b"}, {"isbn": [true]}])).unwrap_err(),
        "item 2 of `books.*.isbn`, counted from 0, cannot be an array"
    );
    assert_eq!(items(json!([{"title": "x"}, {}])), Ok(vec![]));
    assert!(items(json!(["a", null])).unwrap_err().starts_with("item 1 of `books.*.isbn`"));
    assert!(items(json!(vec!["a"; 257])).unwrap_err().contains("more than 256"));
    assert_eq!(items(json!(vec!["a"; 256])).unwrap().len(), 256);
}

/// What is not needed of each item is absent where an item lacks it, and the event stays.
#[test]
fn an_item_without_a_score_loses_its_score_alone() {
    let readers = Contracts::shipped().topics(ANSWERS);
    let reader = readers.iter().find(|reader| reader.topic() == "recommendation-responses").unwrap();
    let read = |more: Value| {
        let mut event = json!({"request_id": 1, "timestamp": 1});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let bytes = event.to_string();
        reader.decode(Some(bytes.as_bytes())).map_err(|poison| poison.detail).map(|event| {
            let Event::RecommendationResponse(_, response) = event else { panic!("{event:?}") };
            let items = response.items.unwrap_or_default().iter().map(|item| item.as_str().to_owned()).collect();
            let scores = response.scores.unwrap_or_default().0.into_iter().map(|score| score.map(|score| score.0));
            (items, scores.collect())
        })
    };
    type Read = Result<(Vec<String>, Vec<Option<f64>>), String>;
    let answer = |items: &[&str], scores: &[Option<f64>]| -> Read {
        Ok((items.iter().map(|item| (*item).to_owned()).collect(), scores.to_vec()))
    };
    let items = json!({"items": [{"id": "a", "score": 0.9}, {"id": "b"}, {"id": "c", "score": null}, {"id": "d", "score": "0.5"}]});
    assert_eq!(read(items), answer(&["a", "b", "c", "d"], &[Some(0.9), None, None, Some(0.5)]));
    assert_eq!(read(json!({"items": ["a", "b"], "scores": [null, 2]})), answer(&["a", "b"], &[None, Some(2.0)]));
    assert_eq!(read(json!({"items": [{"id": "a"}, {"id": "b"}]})), answer(&["a", "b"], &[]));
    let unnamed = read(json!({"items": [{"id": "a", "score": 0.9}, {"score": 0.8}]})).unwrap_err();
    assert_eq!(unnamed, "item 1 of `items.*`, counted from 0, is missing");
    let wrong = read(json!({"items": [{"id": "a"}, {"id": "b", "score": "high"}]})).unwrap_err();
    assert_eq!(wrong, "item 1 of `scores.*`, counted from 0, cannot be a string that is not a number");
}

#[test]
fn every_mistake_of_a_file_is_told_with_its_place() {
    let told = |text: &str| Contracts::shipped().with(text, "own.toml").unwrap_err().to_string();
    assert!(told("[[mapping]").starts_with("own.toml: "));
    assert!(told("[[mapping]]\ncontract = \"a\"\ntopics = []\nmood = 1").contains("mood"));
    let all = told(
        r#"
        [[mapping]]
        contract = "loci.chat.answered"
        topics = ["a"]
        [[mapping]]
        contract = "loci.chat.response.generated"
        topics = ["bad topic"]
        envelope = "bag"
        type = "x"
        by_topic = true
        [mapping.head]
        mood = "/a"
        timestamp = { pointers = ["/a"], format = "soon" }
        user = { unit = "s", pointers = ["/u"] }
        [mapping.fields]
        model = "model"
        latency = { pointers = ["/a"], unit = "cents" }
        cost = {}
        smell = "/a"
        provider = "/a/*"
        "#,
    );
    for said in [
        "own.toml: mapping 1 (loci.chat.answered): there is no such contract",
        "own.toml: mapping 2 (loci.chat.response.generated): there is no envelope `bag`; there are loci, biznavigate",
        "`bad topic` is no topic",
        "`type` and `by_topic` exclude each other",
        "there is no field `mood` in a head; there are id, type",
        "head `timestamp`: `soon` is no format of a time",
        "head `user`: a unit says nothing about an identifier",
        "field `model`: `model` is no JSON Pointer",
        "field `latency`: `cents` is no unit of a duration; there are ns, us",
        "field `cost`: it has neither a pointer nor a constant",
        "the contract has no field `smell`; it has ",
        "field `provider`: `/a/*` leads to many values",
    ] {
        assert!(all.contains(said), "{said}\nis not in\n{all}");
    }
    let twice = "[[mapping]]\ncontract = \"lens.user-interactions\"\ntopics = [\"a\"]\n".repeat(2);
    assert!(told(&twice).contains("another mapping of this file"));
}

/// A shipped topic may be mapped anew; then its shipped reader is gone, and the others stay.
#[test]
fn a_mapping_takes_the_place_of_the_shipped_one() {
    let text = "[[mapping]]\ncontract = \"lens.user-interactions\"\ntopics = [\"user-interactions\"]\nby_topic = true\n\
                [mapping.fields]\nkind = \"/verb\"\n";
    let contracts = Contracts::shipped().with(text, "own.toml").unwrap();
    let readers = contracts.topics(&[ContractName::UserInteraction]);
    let [reader] = readers.as_slice() else { panic!("{readers:?}") };
    let event = br#"{"verb":"view","interactionType":"click","timestamp":1}"#;
    let Event::UserInteraction(_, view) = reader.decode(Some(event)).unwrap() else { panic!() };
    assert_eq!(view.kind.as_str(), "view");
}

/// What a reader that knows nothing of trees makes of pointers: the first in the order of its fields that is not null.
fn naive<'v>(event: &'v Value, pointers: &[String]) -> Option<&'v Value> {
    pointers.iter().find_map(|pointer| event.pointer(pointer).filter(|value| !value.is_null()))
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c\"é\\\\]{0,3}".prop_map(Value::from),
    ];
    let name = prop_oneof![Just("a"), Just("b"), Just("c_d"), Just("e/f"), Just("g~h")];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())),
        ]
    })
}

fn pointer() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("a"), Just("b"), Just("c_d"), Just("e~1f"), Just("g~0h")];
    prop::collection::vec(name, 1..4).prop_map(|names| format!("/{}", names.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// One pass over a tree finds what a look-up of each pointer finds.
    #[test]
    fn any_pointers_find_in_any_event_what_a_naive_reader_finds(
        data in json_value(),
        query in prop::collection::vec(pointer(), 1..4),
        city in prop::collection::vec(pointer(), 1..4),
    ) {
        let file = format!(
            "[[mapping]]\ncontract = \"loci.search.executed\"\ntopics = [\"t\"]\nenvelope = \"flat\"\nby_topic = true\n\
             [mapping.head]\ntimestamp = \"/now\"\n[mapping.fields]\nquery = {query:?}\ncity = {city:?}\n"
        );
        let contracts = Contracts::of_systems(&[]).with(&file, "t.toml").unwrap();
        let reader = &contracts.topics(&[ContractName::SearchExecuted])[0];
        let mut event = data.as_object().cloned().unwrap_or_default();
        event.insert("now".to_owned(), json!(1));
        let event = Value::Object(event);
        let bytes = event.to_string();
        // Objects on the way of another pointer are none of a field's values; everything else but text is wrong.
        let on_the_way = |pointer: &str| query.iter().chain(&city).any(|other| other.starts_with(&format!("{pointer}/")));
        let wanted = |pointers: &[String]| {
            let usable = pointers.iter().filter(|pointer| {
                !(on_the_way(pointer) && event.pointer(pointer).is_some_and(Value::is_object))
            });
            let usable: Vec<String> = usable.cloned().collect();
            naive(&event, &usable).map(|value| value.as_str().map(str::to_owned))
        };
        let (query, city) = (wanted(&query), wanted(&city));
        match reader.decode(Some(bytes.as_bytes())) {
            Ok(Event::SearchExecuted(_, search)) => {
                prop_assert_eq!(search.query.map(|text| Some(text.as_str().to_owned())), query, "{}", bytes);
                prop_assert_eq!(search.city.map(|text| Some(text.as_str().to_owned())), city, "{}", bytes);
            }
            Ok(other) => prop_assert!(false, "{:?}", other),
            Err(poison) => prop_assert!(query == Some(None) || city == Some(None), "{}: {}", poison, bytes),
        }
    }
}

#[test]
fn a_proposed_mapping_reads_the_events_that_it_was_proposed_from() {
    let events: Vec<Value> = (0..5)
        .map(|number| {
            json!({
                "uuid": format!("e-{number}"), "event": "answer.given", "ts": 1_761_388_200_000_000u64 + number,
                "org": "o", "uid": number,
                "body": {"model": "m", "vendor": "v", "latencySeconds": 1.5, "prompt_tokens": 3, "completionTokens": 4,
                         "costCents": 2},
            })
        })
        .collect();
    let file = suggest(&events, "answers", Some(ContractName::ChatResponseGenerated)).unwrap();
    let contracts =
        Contracts::of_systems(&[]).with(&file, "proposed").unwrap_or_else(|error| panic!("{error}\n{file}"));
    let reader = &contracts.topics(ANSWERS)[0];
    let bytes = events[3].to_string();
    let (head, answer) =
        answer(reader.decode(Some(bytes.as_bytes())).unwrap_or_else(|poison| panic!("{poison}\n{file}")));
    assert_eq!(head.time, EventTime(1_761_388_200_000), "{file}");
    assert_eq!((head.tenant.as_str(), head.user.unwrap().as_str()), ("o", "3"), "{file}");
    let call = answer.call;
    assert_eq!(call.latency.unwrap().0, 1_500, "{file}");
    assert_eq!((call.input_tokens.unwrap().0, call.output_tokens.unwrap().0), (3, 4), "{file}");
    assert_eq!(call.cost.unwrap().pico(), 20_000_000_000, "{file}");
}

/// From each contract's own examples that contract is proposed, or one whose examples look the same.
#[test]
fn the_contract_of_golden_examples_is_found() {
    let mut wrong = Vec::new();
    for contract in ContractName::ALL {
        let name = contract.spec().name();
        let path = format!("{}/golden/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let examples = std::fs::read_to_string(path).unwrap();
        let examples: Vec<Value> = examples.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let file = suggest(&examples, "topic", None).unwrap();
        if !file.contains(&format!("contract = \"{name}\"")) {
            wrong.push(name);
        }
    }
    assert!(wrong.len() <= 8, "{wrong:?}");
}
