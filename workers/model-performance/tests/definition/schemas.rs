//! The JSON Schemas beside what they describe: everything that the worker publishes.

use jsonschema::Validator;
use model_performance::results::SCHEMAS;
use model_performance::results::experiment::AbResults;
use model_performance::results::performance::PerformanceRecord;
use processing_core::testing::{Outcome, SimOptions, simulate_seed};
use serde_json::Value;

/// The validator of each output.
pub(crate) struct Schemas(Vec<(&'static str, Validator)>);

impl Schemas {
    pub(crate) fn new() -> Self {
        let validator =
            |schema| jsonschema::draft202012::options().build(&serde_json::from_str(schema).unwrap()).unwrap();
        Self(SCHEMAS.into_iter().map(|(topic, schema)| (topic, validator(schema))).collect())
    }

    /// Every output has a schema, and its records fit.
    pub(crate) fn hold(&self, outcome: &Outcome) {
        assert_eq!(outcome.results.len(), self.0.len());
        for (topic, validator) in &self.0 {
            for value in outcome.results[*topic].values().flatten() {
                let record: Value = serde_json::from_slice(value).unwrap();
                if let Err(error) = validator.validate(&record) {
                    panic!("{topic}: {record} does not fit its schema: {error}");
                }
            }
        }
    }
}

/// A schema that takes everything would pass the test above.
#[test]
fn a_result_that_lacks_a_field_or_has_one_more_is_refused() {
    let schemas = Schemas::new();
    let good = serde_json::json!({
        "run_id": "live", "revision": 0, "key": "lens/lens/als//@86400000", "window_start_ms": 0, "window_end_ms": 86_400_000,
        "app": "lens", "tenant": "lens", "model": "als", "version": "", "variant": "", "items_served": 1, "items_seen": 2,
        "coverage": 0.5,
    });
    let (_, validator) = &schemas.0[2];
    assert!(validator.is_valid(&good));
    let fields: Vec<String> = good.as_object().unwrap().keys().cloned().collect();
    for field in fields {
        let mut lacks = good.clone();
        lacks.as_object_mut().unwrap().remove(&field);
        assert!(!validator.is_valid(&lacks), "{field}");
    }
    for (field, value) in [("more", "1"), ("coverage", "1.5"), ("items_served", "-1"), ("app", "\"\"")] {
        let mut wrong = good.clone();
        wrong[field] = serde_json::from_str(value).unwrap();
        assert!(!validator.is_valid(&wrong), "{field}");
    }
}

/// A field that is added is one that readers must not expect of what was published before.
#[test]
fn what_was_published_before_a_field_was_added_still_fits() {
    let (schemas, settings) = (Schemas::new(), crate::world::settings());
    let feed = crate::world::feed(0, None);
    let report = simulate_seed(|| crate::world::topology(&settings), &feed, 0, &SimOptions::calm());
    let outcome = report.unwrap_or_else(|failure| panic!("{failure}")).outcome;
    for (topic, section, field) in [
        ("model.performance.1m.v1", "intents", "errors_by_type"),
        ("model.performance.1h.v1", "intents", "errors_by_type"),
        ("ab.results.v1", "sample_ratio", "is_assumed"),
    ] {
        let (_, validator) = schemas.0.iter().find(|(of, _)| *of == topic).unwrap();
        let mut lacked = 0;
        for value in outcome.results[topic].values().flatten() {
            let mut record: Value = serde_json::from_slice(value).unwrap();
            let Some(section) = record[section].as_object_mut() else { continue };
            lacked += usize::from(section.remove(field).is_some());
            assert!(validator.is_valid(&record), "{topic}: {record}");
            match topic {
                "ab.results.v1" => drop(serde_json::from_value::<AbResults>(record).unwrap()),
                _ => drop(serde_json::from_value::<PerformanceRecord>(record).unwrap()),
            }
        }
        assert!(lacked > 0, "{topic}: nothing has `{field}`");
    }
}
