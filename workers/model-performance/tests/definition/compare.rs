//! What was said beside what should have been.
//!
//! Invariant: every field of every record is compared; numbers to the millionth, quantiles to the error that they state.

use std::collections::BTreeMap;
use std::fmt;

use processing_core::testing::Outcome;
use serde_json::Value;

/// The outputs that are compared.
pub(crate) const TOPICS: [&str; 8] = [
    "model.performance.1m.v1",
    "model.performance.1h.v1",
    "model.popular.1h.v1",
    "model.coverage.1d.v1",
    "model.alerts.v1",
    "model.retrain.v1",
    "ab.results.v1",
    "ab.decision.v1",
];

const DECISIONS: &str = "ab.decision.v1";

/// Records by topic and key, in order.
pub(crate) type Records = BTreeMap<(String, String), Vec<Value>>;

#[derive(Default)]
pub(crate) struct Said(Records);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TOPICS.iter().try_for_each(|topic| write!(f, "{topic}: {}  ", self.count(topic)))?;
        let mut decisions: BTreeMap<&str, usize> = BTreeMap::new();
        for record in self.of_topic(DECISIONS) {
            *decisions.entry(record["decision"].as_str().unwrap()).or_default() += 1;
        }
        let sections = ["serving", "recommendations", "intents", "calibration", "interactions"];
        let counts = sections.map(|name| self.of_topic(TOPICS[0]).filter(|record| !record[name].is_null()).count());
        write!(f, "{decisions:?} {sections:?} {counts:?}")
    }
}

impl Said {
    pub(crate) fn of(outcome: &Outcome, cutoff: i64) -> Self {
        let mut records = Records::new();
        for topic in TOPICS {
            for ((_, key), values) in &outcome.results[topic] {
                let key = (topic.to_owned(), String::from_utf8(key.clone()).unwrap());
                let values = values.iter().map(|value| serde_json::from_slice::<Value>(value).unwrap());
                let values: Vec<Value> =
                    values.filter(|value| value["window_end_ms"].as_i64().unwrap() <= cutoff).collect();
                if !values.is_empty() {
                    assert!(records.insert(key.clone(), values).is_none(), "{key:?} is in two partitions");
                }
            }
        }
        Self(records)
    }

    fn of_topic(&self, topic: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |((of, _), _)| of == topic).flat_map(|(_, values)| values)
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (key, values) in other.0 {
            self.0.entry(key).or_default().extend(values);
        }
    }

    pub(crate) fn records(&self) -> &Records {
        &self.0
    }

    pub(crate) fn count(&self, topic: &str) -> usize {
        self.of_topic(topic).count()
    }

    pub(crate) fn decisions(&self, decision: &str) -> usize {
        self.of_topic(DECISIONS).filter(|record| record["decision"] == decision).count()
    }

    pub(crate) fn must_be(&self, seed: u64, expected: &Records) {
        let keys: std::collections::BTreeSet<_> = self.0.keys().chain(expected.keys()).collect();
        for key in keys {
            let (none, said) = (Vec::new(), self.0.get(key));
            let (said, expected) = (said.unwrap_or(&none), expected.get(key).unwrap_or(&none));
            let list = |of: &[Value]| of.iter().map(|value| format!("{value}\n")).collect::<String>();
            assert_eq!(
                said.len(),
                expected.len(),
                "seed {seed}: {key:?}\nsaid\n{}expected\n{}",
                list(said),
                list(expected)
            );
            for (said, expected) in said.iter().zip(expected) {
                if let Err(path) = same("", said, expected) {
                    panic!("seed {seed}: {key:?} differs at {path}\nsaid     {said}\nexpected {expected}");
                }
            }
        }
    }
}

/// Where two values differ.
fn same(path: &str, said: &Value, expected: &Value) -> Result<(), String> {
    match (said, expected) {
        (Value::Object(said), Value::Object(expected)) => {
            let keys: std::collections::BTreeSet<_> = said.keys().chain(expected.keys()).collect();
            keys.into_iter().try_for_each(|key| {
                let at = format!("{path}/{key}");
                match (said.get(key), expected.get(key)) {
                    (Some(said), Some(expected)) => same(&at, said, expected),
                    _ => Err(format!("{at}: only one has it")),
                }
            })
        }
        (Value::Array(said), Value::Array(expected)) if said.len() == expected.len() => (0..)
            .zip(said.iter().zip(expected))
            .try_for_each(|(at, (said, expected))| same(&format!("{path}/{at}"), said, expected)),
        (Value::Number(said), Value::Number(expected)) if said.is_f64() || expected.is_f64() => {
            let (said, expected) = (said.as_f64().unwrap(), expected.as_f64().unwrap());
            let name = path.rsplit('/').next().unwrap();
            let error = if ["p50", "p95", "p99"].contains(&name) { 0.0101 } else { 1e-6 };
            let bound = error * expected.abs().max(if error > 1e-3 { 0.0 } else { 1.0 }) + 1e-12;
            if (said - expected).abs() <= bound { Ok(()) } else { Err(format!("{path}: {said} {expected}")) }
        }
        _ if said == expected => Ok(()),
        _ => Err(format!("{path}: {said} {expected}")),
    }
}
