//! The worker against its definition: the same actions, computed another way.
//!
//! A fleet of up to four processes reads them on a log at its worst, with crashes, lost disks and rebalances, and says in
//! the end what the definition says of the records in the log and of the time log.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

mod feed;
mod flows;
mod oracle;
mod people;
mod schemas;

use std::collections::BTreeMap;

use engagement_metrics::action::Reading;
use engagement_metrics::{EngagementSettings, topology_of};
use processing_core::prelude::*;
use processing_core::testing::{Outcome, SimOptions, simulate_seed};
use serde_json::Value;

use feed::Drawn;
use oracle::Expected;

/// By topic and record key: the values, in some order.
pub(crate) type Said = BTreeMap<String, BTreeMap<String, Vec<Value>>>;

fn plan(settings: &EngagementSettings, drawn: &Drawn) -> Plan {
    let topics = drawn.topics.iter().map(|(topic, _)| Topic::<Json<Reading>>::json(topic));
    topology_of(settings, &drawn.definitions, topics).unwrap()
}

/// Runs a seed and compares all eight outputs. Answers how many results there were, and how much was late.
fn run(seed: u64, kinds: Option<&mut schemas::Schemas>) -> (usize, usize) {
    let drawn = Drawn::of(seed);
    let report = simulate_seed(|| plan(&drawn.settings, &drawn), &drawn.feed(), seed, &SimOptions::hostile(seed));
    let report = report.unwrap_or_else(|failure| panic!("{failure}"));
    let said = said(&report.outcome);
    let expected = Expected::of(&drawn, &report.story);
    let late = report.outcome.set_aside.iter().filter(|(kind, ..)| kind == "late").count();
    assert_eq!(late, expected.late, "seed {seed}: records that were late");
    assert_eq!(report.outcome.set_aside.len(), late, "seed {seed}: dead letters");
    if let Some(difference) = difference(&said, &expected.results) {
        panic!("seed {seed}: {difference}");
    }
    if let Some(schemas) = kinds {
        schemas.hold(&said);
    }
    (said.values().flat_map(BTreeMap::values).map(Vec::len).sum(), late)
}

fn said(outcome: &Outcome) -> Said {
    let mut said = Said::new();
    for (topic, by_key) in &outcome.results {
        for ((_, key), values) in by_key {
            let key = String::from_utf8(key.clone()).unwrap();
            let values = values.iter().map(|value| serde_json::from_slice::<Value>(value).unwrap());
            said.entry(topic.clone()).or_default().entry(key).or_default().extend(values);
        }
    }
    said
}

/// The first difference, for a person.
fn difference(said: &Said, expected: &Said) -> Option<String> {
    for topic in said.keys().chain(expected.keys()) {
        let nothing = BTreeMap::new();
        let (said, expected) = (said.get(topic).unwrap_or(&nothing), expected.get(topic).unwrap_or(&nothing));
        for key in said.keys().chain(expected.keys()) {
            let by_key = |values: Option<&Vec<Value>>| -> BTreeMap<String, Value> {
                let values = values.into_iter().flatten();
                let by_key: BTreeMap<_, _> =
                    values.clone().map(|value| (value["key"].to_string(), value.clone())).collect();
                assert_eq!(by_key.len(), values.count(), "{topic} {key}: two results of one key");
                by_key
            };
            let (said, expected) = (by_key(said.get(key)), by_key(expected.get(key)));
            for result in said.keys().chain(expected.keys()) {
                match (said.get(result), expected.get(result)) {
                    (Some(said), Some(expected)) => {
                        if let Some(field) = unlike("", said, expected) {
                            return Some(format!("{topic} {key} {field}\n  said    {said}\n  defined {expected}"));
                        }
                    }
                    (said, expected) => {
                        return Some(format!("{topic} {key}\n  said    {said:?}\n  defined {expected:?}"));
                    }
                }
            }
        }
    }
    None
}

/// The first field in which two values differ: quantiles by more than their error, numbers by more than is printed.
fn unlike(field: &str, said: &Value, expected: &Value) -> Option<String> {
    match (said, expected) {
        (Value::Object(said), Value::Object(expected)) => {
            let mut fields = said.keys().chain(expected.keys());
            fields.find_map(|name| {
                let of = |of: &serde_json::Map<String, Value>| of.get(name).cloned().unwrap_or(Value::from("missing"));
                unlike(name, &of(said), &of(expected))
            })
        }
        (Value::Array(said), Value::Array(expected)) if said.len() == expected.len() => {
            said.iter().zip(expected).find_map(|(said, expected)| unlike(field, said, expected))
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            let error = match field {
                "p50_ms" | "p95_ms" | "max_ms" => 1.0 + b.abs() * 0.0101,
                // The oracle adds up a density that is steep at its end where there are few ratings.
                "low" | "high" => 1e-3 * (1.0 + b.abs()),
                _ => 1.1e-6,
            };
            ((a - b).abs() > error).then(|| format!("{field}: {a} is not {b}"))
        }
        (said, expected) => (said != expected).then(|| format!("{field}: {said} is not {expected}")),
    }
}

/// In four parts, so that they run beside each other. `ENGAGEMENT_RUNS` says how many there are in all.
fn runs(part: u64) {
    let count: u64 = std::env::var("ENGAGEMENT_RUNS").ok().map_or(96, |runs| runs.parse().unwrap());
    let mut schemas = schemas::Schemas::default();
    let (mut results, mut late) = (0, 0);
    for seed in (part..count).step_by(4) {
        let (of_run, late_of_run) = run(seed, Some(&mut schemas));
        (results, late) = (results + of_run, late + late_of_run);
    }
    assert!(results > 100, "{results} results prove nothing");
    assert!(late > 0, "nothing was late");
    schemas.were_all_seen();
}

#[test]
fn a_fleet_that_suffers_says_what_the_definition_says_0() {
    runs(0);
}

#[test]
fn a_fleet_that_suffers_says_what_the_definition_says_1() {
    runs(1);
}

#[test]
fn a_fleet_that_suffers_says_what_the_definition_says_2() {
    runs(2);
}

#[test]
fn a_fleet_that_suffers_says_what_the_definition_says_3() {
    runs(3);
}

/// Where nothing is late, what is said does not depend on how the input is partitioned.
#[test]
fn the_number_of_partitions_changes_nothing_where_nothing_is_late() {
    for seed in 0..4 {
        let mut outcomes = Vec::new();
        for partitions in [1, 3] {
            let drawn = Drawn::of(1_000 + seed).with_partitions(partitions);
            let report = simulate_seed(|| plan(&drawn.settings, &drawn), &drawn.feed(), seed, &SimOptions::calm());
            let report = report.unwrap_or_else(|failure| panic!("{failure}"));
            assert!(report.outcome.set_aside.is_empty(), "seed {seed}: something was late");
            outcomes.push(said(&report.outcome));
        }
        if let Some(difference) = difference(&outcomes[0], &outcomes[1]) {
            panic!("seed {seed}: {difference}");
        }
    }
}
