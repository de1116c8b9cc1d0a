//! The contracts' examples, as the five systems send them: each is valid by its contract's schema and decodes into what
//! `golden/decoded.txt` says, whatever the spelling and the order of its names.
//!
//! ```text
//! UPDATE_GOLDEN=1 cargo test -p events --test golden     # writes what they decode into
//! ```

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
#![allow(clippy::disallowed_methods, reason = "a test is the outside")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use events::contract::{ContractSpec, FieldSpec, System};
use events::field::Kind;
use events::schema::schema;
use events::{ContractName, Contracts, Event, Poison, PoisonReason, TopicReader};
use serde_json::{Map, Value};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn examples(contract: ContractName) -> Vec<String> {
    let path = folder().join(contract.spec().name() + ".jsonl");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(str::to_owned).collect()
}

/// The readers of all topics, each wanting every contract.
fn readers() -> Vec<TopicReader> {
    Contracts::shipped().topics(ContractName::ALL)
}

/// Those of the topics on which events of the contract come.
fn readers_of(readers: &[TopicReader], contract: ContractName) -> impl Iterator<Item = &TopicReader> {
    readers.iter().filter(move |reader| contract.spec().topics.contains(&reader.topic()))
}

fn read<T>(
    readers: &[TopicReader],
    contract: ContractName,
    event: &str,
    with: impl Fn(Result<Event<'_>, Poison>) -> T,
) -> T {
    let reader = readers_of(readers, contract).next().unwrap();
    with(reader.decode(Some(event.as_bytes())))
}

/// A value's debug text without what stands around every value: `Some`, newtypes, and fields that are absent.
fn told(debug: &str) -> String {
    const AROUND: [&str; 13] = [
        "Some",
        "Text",
        "IdText",
        "Whole",
        "Number",
        "Gaps",
        "Millis",
        "Flag",
        "Count",
        "Coordinate",
        "List",
        "EventTime",
        "IdHash",
    ];
    let mut told = String::new();
    let mut dropped = Vec::new();
    let mut chars = debug.chars();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => {
                told.push(c);
                told.extend(chars.next());
                continue;
            }
            '"' => quoted = !quoted,
            '(' if !quoted => {
                let around = AROUND.into_iter().find(|name| {
                    let before = told.strip_suffix(name);
                    before.is_some_and(|before| !before.ends_with(char::is_alphanumeric))
                });
                if let Some(name) = around {
                    told.truncate(told.len() - name.len());
                }
                dropped.push(around.is_some());
                if around.is_some() {
                    continue;
                }
            }
            ')' if !quoted && dropped.pop() == Some(true) => continue,
            _ => {}
        }
        told.push(c);
    }
    without_absent(&told)
}

fn without_absent(told: &str) -> String {
    let mut kept = told.replace(", record: PhantomData<&()>", "").replace("record: PhantomData<&()>", "");
    while let Some(end) = kept.find(": None") {
        let start = kept[..end].rfind([' ', '{']).unwrap() + 1;
        let behind = end + ": None".len();
        let behind = if kept[behind..].starts_with(", ") { behind + 2 } else { behind };
        kept.replace_range(start..behind, "");
    }
    kept.replace(",  }", " }").replace("{  }", "{}")
}

fn told_of(readers: &[TopicReader], contract: ContractName, event: &str) -> String {
    read(readers, contract, event, |decoded| told(&format!("{:?}", decoded.unwrap())))
}

#[test]
fn every_contract_has_its_examples_and_there_are_no_others() {
    let of_contracts: BTreeSet<String> =
        ContractName::ALL.iter().map(|contract| contract.spec().name() + ".jsonl").collect();
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = files.filter(|name| name.ends_with(".jsonl")).collect();
    assert_eq!(files, of_contracts);
    for contract in ContractName::ALL {
        assert!(!examples(*contract).is_empty(), "{contract:?}");
    }
}

/// On each of the contract's topics, among all contracts of that topic.
#[test]
fn every_example_is_an_event_of_its_contract() {
    let readers = readers();
    for contract in ContractName::ALL {
        for (at, example) in examples(*contract).iter().enumerate() {
            let mut topics = 0;
            for reader in readers_of(&readers, *contract) {
                let event = reader.decode(Some(example.as_bytes()));
                let event = event.unwrap_or_else(|poison| panic!("{contract:?} {}: {poison}", at + 1));
                assert_eq!(event.contract(), Some(*contract), "{} {}", reader.topic(), at + 1);
                topics += 1;
            }
            assert_eq!(topics, contract.spec().topics.len(), "{contract:?}");
        }
    }
}

#[test]
fn every_example_is_valid_by_the_schema() {
    for contract in ContractName::ALL {
        let validator = jsonschema::draft202012::options().build(&schema(*contract)).unwrap();
        for (at, example) in examples(*contract).iter().enumerate() {
            let event = serde_json::from_str(example).unwrap();
            assert!(validator.is_valid(&event), "{contract:?} {}: {:?}", at + 1, validator.validate(&event));
        }
    }
}

/// Of the fields that several contracts share, each in the examples of some contract.
#[test]
fn every_field_occurs() {
    let readers = readers();
    let mut shared = BTreeSet::new();
    let mut shared_and_seen = BTreeSet::new();
    for contract in ContractName::ALL {
        let spec = contract.spec();
        let seen: Vec<String> =
            examples(*contract).iter().map(|example| told_of(&readers, *contract, example)).collect();
        let occurs = |name: &str| seen.iter().any(|seen| seen.contains(&format!(" {name}: ")));
        for field in spec.fields {
            assert!(occurs(field.name), "{contract:?}: no example has `{}`", field.name);
        }
        shared.extend(spec.group.iter().map(|field| field.name));
        shared_and_seen.extend(spec.group.iter().map(|field| field.name).filter(|name| occurs(name)));
        assert!(spec.group.is_empty() || occurs("model"), "{contract:?}: no example has anything of a call");
    }
    // What is folded into others is told as those.
    let folded: BTreeSet<&str> = shared.difference(&shared_and_seen).copied().collect();
    let sent = [
        "cache_write_tokens",
        "cost_usd",
        "error_code",
        "finish_reasons",
        "service_tier",
        "usage_cache_read_tokens",
        "usage_cache_write_tokens",
        "usage_input_tokens",
    ];
    assert_eq!(folded, BTreeSet::from(sent));
}

#[test]
fn examples_decode_into_what_is_written() {
    let readers = readers();
    let mut listing = String::new();
    for contract in ContractName::ALL {
        listing += &format!("{}\n", contract.spec().name());
        for example in examples(*contract) {
            listing += &format!("  {}\n", told_of(&readers, *contract, &example));
        }
    }
    let path = folder().join("decoded.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &listing).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    for (line, (found, expected)) in (1..).zip(listing.lines().zip(expected.lines())) {
        assert_eq!(found, expected, "line {line} of {}", path.display());
    }
    assert_eq!(listing.len(), expected.len());
}

/// By BizNavigate's page a lead's creation names a tenant beside the business, and everything that follows the business
/// alone: all of it is one tenant's.
#[test]
fn all_events_about_a_lead_are_one_tenants() {
    let readers = readers();
    let about_leads = [
        ContractName::LeadCreated,
        ContractName::LeadUpdated,
        ContractName::LeadMessage,
        ContractName::AiProcessRequest,
        ContractName::AiProcessResult,
        ContractName::AiError,
    ];
    let mut names_a_tenant = 0;
    for contract in about_leads {
        for example in examples(contract) {
            let event: Value = serde_json::from_str(&example).unwrap();
            let business = event.pointer("/payload/business_id").or_else(|| event.pointer("/payload/businessId"));
            let business = business.unwrap().to_string();
            names_a_tenant += usize::from(event.pointer("/payload/tenant_id").is_some());
            let tenant =
                read(&readers, contract, &example, |decoded| decoded.unwrap().head().tenant.as_str().to_owned());
            assert_eq!(tenant, business.trim_matches('"'), "{example}");
        }
    }
    assert_eq!(names_a_tenant, 1, "the page's own example");
    // Where no business stands, a tenant's own name counts.
    let event = r#"{"event_id":"e","event_type":"lead.updated","timestamp":1,"payload":{"lead_id":1,"tenant_id":"t","status":"won"}}"#;
    let tenant =
        read(&readers, ContractName::LeadUpdated, event, |decoded| decoded.unwrap().head().tenant.as_str().to_owned());
    assert_eq!(tenant, "t");
}

/// OpenTelemetry's durations are in seconds by their names; a name that says milliseconds goes before them.
#[test]
fn durations_are_in_the_unit_of_their_name() {
    let readers = readers();
    let call = |payload: &str, attributes: &str| {
        let event = format!(
            r#"{{"event_id":"e","event_type":"ai.error","timestamp":1,"payload":{payload},"attributes":{attributes}}}"#
        );
        read(&readers, ContractName::AiError, &event, |decoded| {
            let Event::AiError(_, error) = decoded.map_err(|poison| poison.detail)? else { panic!("{event}") };
            Ok::<_, String>((error.call.latency.map(|it| it.0), error.call.time_to_first_token.map(|it| it.0)))
        })
    };
    let duration = "gen_ai.client.operation.duration";
    assert_eq!(call(&format!(r#"{{"{duration}":2}}"#), "{}"), Ok((Some(2_000), None)));
    assert_eq!(call(&format!(r#"{{"attributes":{{"{duration}":0.0125}}}}"#), "{}"), Ok((Some(13), None)));
    assert_eq!(call(&format!(r#"{{"{duration}":2,"latency_ms":7}}"#), "{}"), Ok((Some(7), None)));
    let server = r#"{"gen_ai.server.request.duration":"1.5","gen_ai.client.operation.time_to_first_chunk":0.25}"#;
    assert_eq!(call("{}", server), Ok((Some(1_500), Some(250))));
    let server = r#"{"gen_ai.server.time_to_first_token":0.3,"gen_ai.client.operation.time_to_first_chunk":0.4}"#;
    assert_eq!(call("{}", server), Ok((None, Some(300))));
    let wrong = call("{}", &format!(r#"{{"{duration}":"s3cret"}}"#)).unwrap_err();
    assert!(wrong.contains("latency_ms") && !wrong.contains("s3cret"), "{wrong}");
    // As long as ten years, in their own unit.
    assert!(call("{}", &format!(r#"{{"{duration}":315360000}}"#)).is_ok());
    assert!(call("{}", &format!(r#"{{"{duration}":315360000000}}"#)).is_err());
}

/// `user_id` as `userId`.
fn camel(name: &str) -> String {
    let mut camel = String::new();
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(next) if c == '_' && next.is_ascii_alphanumeric() && !camel.is_empty() => {
                camel.push(next.to_ascii_uppercase());
                chars.next();
            }
            _ => camel.push(c),
        }
    }
    camel
}

/// `userId` as `user_id`.
fn snake(name: &str) -> String {
    name.chars()
        .flat_map(|c| if c.is_ascii_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] })
        .collect()
}

/// The value with all names in its objects spelt by `spelling`; they also come in another order.
fn respelt(value: &Value, spelling: fn(&str) -> String) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(name, value)| (spelling(name), respelt(value, spelling))).collect::<Map<_, _>>(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(|item| respelt(item, spelling)).collect()),
        value => value.clone(),
    }
}

/// But for the identity of an event that has none but its bytes.
#[test]
fn either_spelling_says_the_same() {
    let readers = readers();
    for contract in ContractName::ALL {
        for example in examples(*contract) {
            let written: Value = serde_json::from_str(&example).unwrap();
            let behind_id = |event: &str| {
                let told = told_of(&readers, *contract, event);
                told.split_once(" time: ").unwrap().1.to_owned()
            };
            let expected = behind_id(&example);
            for spelling in [camel, snake] {
                let event = respelt(&written, spelling).to_string();
                assert_eq!(behind_id(&event), expected, "{event}");
            }
        }
    }
}

/// Where a path of a contract leads, from the event on.
fn steps(system: System, path: &str) -> Vec<&str> {
    let payload = match system {
        System::Loci | System::BizNavigate => Some("payload"),
        System::JobQuest => Some("data"),
        System::Paka | System::Lens => None,
    };
    match path.strip_prefix('/') {
        Some(path) => path.split('/').collect(),
        None => payload.into_iter().chain(path.split('/')).collect(),
    }
}

fn put(value: &mut Value, steps: &[&str], new: &Value) {
    let Value::Object(fields) = value else { return };
    for name in BTreeSet::from([steps[0].to_owned(), camel(steps[0])]) {
        match (steps, fields.get_mut(&name)) {
            ([_], Some(value)) => *value = new.clone(),
            (_, Some(value)) => put(value, &steps[1..], new),
            (_, None) => {}
        }
    }
}

/// Whether a required field may stand where this one does.
fn beside_required(spec: &ContractSpec, field: &FieldSpec) -> bool {
    spec.fields().any(|other| other.required && other.paths.iter().any(|path| field.paths.contains(path)))
}

#[test]
fn a_required_field_that_is_null_is_a_verdict_and_an_optional_one_is_absent() {
    let readers = readers();
    for contract in ContractName::ALL {
        let spec = contract.spec();
        for field in spec.fields() {
            for example in examples(*contract) {
                let mut event: Value = serde_json::from_str(&example).unwrap();
                field.paths.iter().for_each(|path| put(&mut event, &steps(spec.system, path), &Value::Null));
                let event = event.to_string();
                read(&readers, *contract, &event, |decoded| match decoded {
                    Err(poison) => assert!(
                        field.required || field.paths.contains(&"/type") || beside_required(spec, field),
                        "{contract:?} without `{}`: {poison}",
                        field.name
                    ),
                    Ok(event) => {
                        assert!(!field.required, "{contract:?} without `{}`", field.name);
                        assert_eq!(event.contract(), Some(*contract));
                    }
                });
            }
        }
    }
}

/// Of every field, a value of another kind: a verdict on it, which never quotes it.
#[test]
fn a_field_of_another_kind_is_a_verdict() {
    let readers = readers();
    for contract in ContractName::ALL {
        let spec = contract.spec();
        for field in spec.fields() {
            let wrong = match field.kind {
                Kind::Text | Kind::Id | Kind::Ids | Kind::Numbers => serde_json::json!([true]),
                _ => serde_json::json!("s3cret"),
            };
            let path = field.paths[0].trim_end_matches("/*");
            for example in examples(*contract) {
                let mut event: Value = serde_json::from_str(&example).unwrap();
                plant(&mut event, &steps(spec.system, path), &wrong);
                let event = event.to_string();
                read(&readers, *contract, &event, |decoded| {
                    let poison = decoded.map(|event| format!("{event:?}")).unwrap_err();
                    assert_eq!(poison.reason, PoisonReason::WrongValue, "{contract:?} `{}`: {poison}", field.name);
                    assert!(!poison.detail.contains("s3cret"), "{poison}");
                });
            }
        }
    }
}

/// Puts a value there, whatever else has to be made or stands in its way.
fn plant(value: &mut Value, steps: &[&str], new: &Value) {
    let Some((first, rest)) = steps.split_first() else {
        *value = new.clone();
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    if let Value::Object(fields) = value {
        // The other spelling would be another value of the same field.
        if camel(first) != *first
            && let Some(value) = fields.remove(&camel(first))
        {
            fields.insert((*first).to_owned(), value);
        }
        plant(fields.entry(*first).or_insert(Value::Null), rest, new);
    }
}

/// Every example with any one value in it replaced by any of these.
fn altered(event: &Value) -> Vec<Value> {
    const VALUES: &str = r#"[null, true, false, "", "x", "0.5", "-1", "12", "1e3", "007", "true",
        "2025-10-25T10:30:00Z", "0.1234567890123", "99999999999999999999", 0, 1, -1, 0.5, -0.5, 4294967296,
        9007199254740991, 9223372036854775808, 18446744073709551615, 315360000000, 253402300800000,
        0.30000000000000004, 1e-20, 1e15, 1e300, [], ["a"], ["a", ""], [1, 2.5], [null], [[1]], [{"id": 1}],
        [{"movie_id": "a"}, {}], {}, {"type": "x"}, {"code": 1}, {"intent": 1}, {"*": 1}]"#;
    let values: Vec<Value> = serde_json::from_str(VALUES).unwrap();
    let mut all = Vec::new();
    let mut ways = vec![String::new()];
    while let Some(way) = ways.pop() {
        let below = |name: &str| format!("{way}/{}", name.replace('~', "~0").replace('/', "~1"));
        match event.pointer(&way).unwrap() {
            Value::Object(fields) => ways.extend(fields.keys().map(|name| below(name))),
            Value::Array(items) => ways.extend((0..items.len()).map(|at| below(&at.to_string()))),
            _ => {}
        }
        for value in &values {
            let mut event = event.clone();
            *event.pointer_mut(&way).unwrap() = value.clone();
            all.push(event);
        }
    }
    all
}

/// What an item of a list is: its kind, and of an object the names that hold something.
fn shape(item: &Value) -> (std::mem::Discriminant<Value>, Vec<&str>) {
    let fields = item.as_object().into_iter().flatten();
    let held = fields.filter(|(_, value)| !value.is_null() && value.as_str() != Some(""));
    (std::mem::discriminant(item), held.map(|(name, _)| name.as_str()).collect())
}

/// Whether some list has items of several shapes.
fn has_a_motley_list(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().any(has_a_motley_list),
        Value::Array(items) => {
            items.windows(2).any(|two| shape(&two[0]) != shape(&two[1])) || items.iter().any(has_a_motley_list)
        }
        _ => false,
    }
}

/// Whoever publishes by the schema has no dead letters. Of a list it does not say that all items hold what one of them
/// holds.
#[test]
fn what_is_valid_by_the_schema_is_never_a_verdict() {
    let readers = readers();
    let (mut valid, mut refused) = (0, 0);
    for contract in ContractName::ALL {
        let validator = jsonschema::draft202012::options().build(&schema(*contract)).unwrap();
        for example in examples(*contract) {
            for event in altered(&serde_json::from_str(&example).unwrap()) {
                let bytes = event.to_string();
                let verdict = read(&readers, *contract, &bytes, |decoded| decoded.err());
                if has_a_motley_list(&event) {
                    continue;
                }
                if validator.is_valid(&event) {
                    assert_eq!(verdict, None, "{contract:?}: {bytes}");
                    valid += 1;
                } else {
                    refused += 1;
                }
            }
        }
    }
    assert!(valid > 10_000 && refused > 10_000, "{valid} valid, {refused} refused: this test has grown blunt");
}
