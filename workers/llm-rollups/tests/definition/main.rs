//! The worker beside its definition: everything that it publishes, compared record by record with what the definition
//! makes of the same log, while processes crash, are replaced and share the work anew.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

mod alerts;
mod feed;
mod oracle;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;

use events::Contracts;
use jsonschema::Validator;
use llm_rollups::budget::Budgets;
use llm_rollups::card::Card;
use llm_rollups::pricing::Pricing;
use llm_rollups::results::SCHEMAS;
use llm_rollups::slo::Targets;
use llm_rollups::{LlmSettings, topology};
use processing_core::record::DurationMs;
use processing_core::testing::{Dice, Outcome, SimOptions, simulate_seed};
use serde_json::{Value, json};

use crate::feed::{Kind, TOPICS};
use crate::tables::Table;

/// So many runs, unless the variable `RUNS` says otherwise.
const RUNS: u64 = 60;

/// Results by key, in their order.
type ByKey = BTreeMap<String, Vec<Value>>;

fn settings(kind: Kind) -> LlmSettings {
    let contract = |topic: &str| {
        let system = if topic.starts_with("chat") || topic.starts_with("poi") { "loci" } else { "biznavigate" };
        format!("[[mapping]]\ncontract = \"{system}.{topic}\"\ntopics = [\"{topic}\"]\n")
    };
    let contracts = TOPICS.map(contract).concat();
    let prices = r#"
        [[provider]]
        name = "openai"
        [[provider.model]]
        name = "gpt-4o"
        price = [{ input = "2.5", cached_input = "1.25", output = "10" }]
    "#;
    LlmSettings {
        contracts: Contracts::of_systems(&[]).with(&contracts, "the test").unwrap(),
        grace: DurationMs(oracle::GRACE),
        repeats: DurationMs(oracle::REPEATS),
        pricing: Arc::new(Pricing { cards: vec![Card::from_toml(prices).unwrap()], ..Pricing::default() }),
        budgets: Arc::new(Budgets::from_toml(alerts::BUDGETS).unwrap()),
        budget_names_max: alerts::NAMES_MAX,
        prices: kind.has_prices.then(|| feed::PRICES.to_owned()),
        budgets_topic: kind.has_budgets.then(|| feed::BUDGETS.to_owned()),
        timeouts: [oracle::PROCESS_TIMEOUT, oracle::LEAD_TIMEOUT, oracle::EMBEDDING_TIMEOUT].map(DurationMs),
        // What burns is judged at every minute: not for weeks.
        targets: match kind.is_long {
            true => Targets::default(),
            false => Targets { shares: alerts::SHARES.map(Some), calls_min: alerts::CALLS_MIN },
        },
        slow: DurationMs(oracle::SLOW as i64),
        ..LlmSettings::default()
    }
}

/// What was published in a topic, by key.
fn published(outcome: &Outcome, topic: &str) -> ByKey {
    let mut found = ByKey::new();
    for ((_, key), values) in outcome.results.get(topic).into_iter().flatten() {
        let key = String::from_utf8(key.clone()).unwrap();
        found
            .entry(key)
            .or_default()
            .extend(values.iter().map(|value| serde_json::from_slice::<Value>(value).unwrap()));
    }
    found
}

/// Fails at the first record that differs.
fn assert_equal(seed: u64, topic: &str, found: &ByKey, expected: &ByKey) {
    for key in found.keys().chain(expected.keys()) {
        let of = |results: &ByKey| results.get(key).cloned().unwrap_or_default();
        let (found, expected) = (of(found), of(expected));
        for place in 0..found.len().max(expected.len()) {
            let (found, mut expected) = (found.get(place).cloned(), expected.get(place).cloned());
            if let (Some(found), Some(expected)) = (&found, &mut expected) {
                take_near_quantiles(found, expected);
            }
            if found != expected {
                let differs = differences(&json!(found), &json!(expected), "").join("\n");
                panic!("seed {seed}, {topic}, key {key}, record {place}: found and expected differ:\n{differs}");
            }
        }
    }
}

/// Where two values differ.
fn differences(found: &Value, expected: &Value, path: &str) -> Vec<String> {
    match (found, expected) {
        (Value::Object(fields), Value::Object(others)) => {
            let names: std::collections::BTreeSet<_> = fields.keys().chain(others.keys()).collect();
            names
                .into_iter()
                .flat_map(|name| differences(&found[name], &expected[name], &format!("{path}/{name}")))
                .collect()
        }
        _ if found == expected => Vec::new(),
        _ => vec![format!("{path}: {found} and {expected}")],
    }
}

/// Puts a quantile that is within 1 % and half a millisecond of the exact one in its place.
fn take_near_quantiles(found: &Value, expected: &mut Value) {
    let Value::Object(fields) = expected else { return };
    for (name, exact) in fields {
        match (name.as_str(), found[name].as_f64(), exact.as_f64()) {
            ("p50" | "p95" | "p99", Some(near), Some(of)) if (near - of).abs() <= of * 0.01 + 0.5 => {
                *exact = found[name].clone();
            }
            _ => take_near_quantiles(&found[name], exact),
        }
    }
}

fn validators() -> Vec<(&'static str, Validator)> {
    let compiled = |(topic, schema): (&'static str, &str)| {
        let schema: Value = serde_json::from_str(schema).unwrap();
        (topic, jsonschema::draft202012::options().build(&schema).unwrap())
    };
    SCHEMAS.into_iter().map(compiled).collect()
}

#[test]
fn whatever_happens_what_is_published_is_what_the_definition_says() {
    let runs = std::env::var("RUNS").map_or(RUNS, |runs| runs.parse().unwrap());
    let validators = validators();
    let (mut published_in, mut crashes, mut set_aside) = (BTreeMap::<&str, usize>::new(), 0, 0);
    for seed in 0..runs {
        let kind = Kind::of(seed);
        let (settings, feed) = (settings(kind), feed::feed(&mut Dice::new(seed), kind));
        let mut options = SimOptions::hostile(seed);
        // An objective that burns is judged each minute until hours are over: in slices of a few the end is far.
        options.bounds.close_slice_records = options.bounds.close_slice_records.max(24);
        let report = simulate_seed(|| topology(&settings).unwrap(), &feed, seed, &options);
        let report = report.unwrap_or_else(|failure| panic!("{failure}"));
        crashes += report.tally.crashes;
        set_aside += report.outcome.set_aside.len();
        let prices = kind.has_prices.then(|| Table::of(&report.story, feed::PRICES));
        let budgets = kind.has_budgets.then(|| Table::of(&report.story, feed::BUDGETS));
        let came = oracle::came(&report.story, prices.as_ref());
        let (facts, timeouts) = oracle::facts(&came);
        let mut expected = BTreeMap::from([
            ("llm.rollups.1m.v1", oracle::rollups(&facts, "1m", oracle::MINUTE)),
            ("llm.rollups.1h.v1", oracle::rollups(&facts, "1h", oracle::HOUR)),
            ("llm.rollups.1d.v1", oracle::rollups(&facts, "1d", oracle::DAY)),
            ("llm.budget.alert.v1", alerts::budgets(&came, budgets.as_ref())),
            ("llm.slo.alert.v1", if kind.is_long { ByKey::new() } else { alerts::objectives(&facts, kind.end()) }),
        ]);
        let mut unanswered = ByKey::new();
        for (kind, tenant, id, time) in timeouts {
            let key = format!("{kind}|{tenant}|{id}");
            let timeout = match kind {
                "lead" => oracle::LEAD_TIMEOUT,
                "process" => oracle::PROCESS_TIMEOUT,
                _ => oracle::EMBEDDING_TIMEOUT,
            };
            unanswered.entry(key.clone()).or_default().push(json!({
                "run_id": "live", "revision": 0, "key": format!("{key}@{time}"), "window_start_ms": time,
                "window_end_ms": time + timeout, "exchange": kind, "tenant": tenant, "id": id, "timeout_ms": timeout,
            }));
        }
        expected.insert("llm.requests.timeout.v1", unanswered);
        // What is said last of a key is its last day.
        let mut last = ByKey::new();
        for (key, days) in &expected["llm.rollups.1d.v1"] {
            let mut day = days.last().unwrap().clone();
            let fields = day.as_object_mut().unwrap();
            let wanted = ["run_id", "revision", "window_start_ms", "window_end_ms", "tenant", "provider", "model"];
            fields.retain(|name, _| {
                wanted.contains(&name.as_str()) || ["operation", "requests", "cost"].contains(&name.as_str())
            });
            fields.extend([("is_final".to_owned(), json!(true)), ("key".to_owned(), json!(key))]);
            last.insert(key.clone(), vec![day]);
        }
        expected.insert("llm.cost.current.v1", last);
        for (topic, validator) in &validators {
            let mut found = published(&report.outcome, topic);
            if *topic == "llm.requests.timeout.v1" {
                // Of two requests of one id the later one may be over first: the other one came late.
                found.values_mut().for_each(|values| values.sort_by_key(|value| value["window_start_ms"].as_i64()));
            }
            for value in found.values().flatten() {
                assert!(validator.is_valid(value), "seed {seed}, {topic}: {value} does not fit its schema");
            }
            assert_equal(seed, topic, &found, &expected[topic]);
            *published_in.entry(topic).or_default() += found.values().map(Vec::len).sum::<usize>();
        }
    }
    println!("{runs} runs, {crashes} crashes, {set_aside} set aside: {published_in:?}");
    assert!(published_in.values().all(|count| *count > 0) && crashes > 0 && set_aside > 0, "{published_in:?}");
}

#[test]
fn many_late_calls_of_one_moment_count_each_once() {
    for topics in 0..4_u32 {
        let (has_prices, has_budgets) = (topics & 1 > 0, topics & 2 > 0);
        let kind = Kind { has_prices, has_budgets, is_long: true, in_order: None };
        let settings = settings(kind);
        let feed = feed::burst(kind);
        let report = simulate_seed(|| topology(&settings).unwrap(), &feed, 1, &SimOptions::calm());
        let report = report.unwrap_or_else(|failure| panic!("{failure}"));
        let said = published(&report.outcome, "llm.budget.alert.v1");
        let prices = kind.has_prices.then(|| Table::of(&report.story, feed::PRICES));
        let came = oracle::came(&report.story, prices.as_ref());
        assert_equal(u64::from(topics), "llm.budget.alert.v1", &said, &alerts::budgets(&came, None));
        // January, which all but the first one belong to.
        let month = said["*|all"].iter().find(|alert| alert["window_start_ms"] == 1_767_225_600_000_i64);
        assert_eq!(month.unwrap()["spent"], "100.000000000");
    }
}

/// Where nothing is late, what is said does not depend on how the input is partitioned.
#[test]
fn the_number_of_partitions_changes_nothing_where_nothing_is_late() {
    for seed in 0..24 {
        let said = |partitions: u32| {
            let kind = Kind { in_order: Some(partitions), ..Kind::of(seed) };
            let (settings, feed) = (settings(kind), feed::feed(&mut Dice::new(1_000 + seed), kind));
            let report = simulate_seed(|| topology(&settings).unwrap(), &feed, seed, &SimOptions::calm());
            let outcome = report.unwrap_or_else(|failure| panic!("{failure}")).outcome;
            assert!(outcome.set_aside.is_empty(), "seed {seed}: something was late");
            SCHEMAS.map(|(topic, _)| (topic, published(&outcome, topic)))
        };
        let (in_one, in_three) = (said(1), said(3));
        assert!(in_one.iter().any(|(topic, said)| *topic == "llm.rollups.1m.v1" && !said.is_empty()), "seed {seed}");
        for ((topic, one), (_, three)) in in_one.iter().zip(&in_three) {
            assert_equal(seed, topic, three, one);
        }
    }
}

/// A schema that takes everything would pass the test above.
#[test]
fn a_result_that_lacks_a_field_or_has_one_more_is_refused() {
    let stamp = json!({ "run_id": "live", "revision": 0, "key": "k", "window_start_ms": 0, "window_end_ms": 1 });
    let mut good = json!({ "exchange": "lead", "tenant": "t", "id": "l", "timeout_ms": 1 });
    good.as_object_mut().unwrap().extend(stamp.as_object().unwrap().clone());
    let validators = validators();
    let (_, validator) = validators.iter().find(|(topic, _)| *topic == "llm.requests.timeout.v1").unwrap();
    assert!(validator.is_valid(&good));
    for field in good.as_object().unwrap().keys() {
        let mut lacks = good.clone();
        lacks.as_object_mut().unwrap().remove(field);
        assert!(!validator.is_valid(&lacks), "{field}");
    }
    for (_, validator) in &validators {
        let mut more = good.clone();
        more["more"] = json!(1);
        assert!(!validator.is_valid(&more) && !validator.is_valid(&json!({})));
    }
}
