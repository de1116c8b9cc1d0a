//! The JSON Schemas beside what they describe: everything that the worker publishes.

use std::collections::BTreeSet;

use engagement_metrics::results::SCHEMAS;
use jsonschema::Validator;
use serde_json::Value;

use crate::Said;

/// The schemas, and which of them have seen a result.
pub(crate) struct Schemas {
    validators: Vec<(&'static str, Validator)>,
    seen: BTreeSet<&'static str>,
}

fn validator(schema: &str) -> Validator {
    jsonschema::draft202012::options().build(&serde_json::from_str(schema).unwrap()).unwrap()
}

impl Default for Schemas {
    fn default() -> Self {
        let validators = SCHEMAS.iter().map(|(topic, schema)| (*topic, validator(schema)));
        Self { validators: validators.collect(), seen: BTreeSet::new() }
    }
}

impl Schemas {
    /// Every output has a schema, and its records fit.
    pub(crate) fn hold(&mut self, said: &Said) {
        for (topic, by_key) in said {
            let (name, validator) = self.validators.iter().find(|(name, _)| name == topic).unwrap();
            for record in by_key.values().flatten().take(50) {
                self.seen.insert(name);
                if let Err(error) = validator.validate(record) {
                    panic!("{topic}: {record} does not fit its schema: {error}");
                }
            }
        }
    }

    /// A schema that was asked about nothing has proved nothing.
    pub(crate) fn were_all_seen(&self) {
        assert_eq!(self.seen.len(), SCHEMAS.len(), "{:?}", self.seen);
    }
}

/// A schema that takes everything would pass the test above.
#[test]
fn a_result_that_lacks_a_field_or_has_one_more_is_refused() {
    let stamp = serde_json::json!({
        "run_id": "live", "revision": 0, "key": "lens/acme@60000", "window_start_ms": 0, "window_end_ms": 60000,
        "app": "lens", "tenant": null,
    });
    let mut good = stamp.as_object().unwrap().clone();
    let more = serde_json::json!({
        "cohort_start_ms": 0, "age_days": 7, "cohort_users": 3, "retained_users": 1, "retention": 0.333333,
    });
    good.extend(more.as_object().unwrap().clone());
    let (_, schema) = SCHEMAS.iter().find(|(topic, _)| *topic == "engagement.retention.1d.v1").unwrap();
    let validator = validator(schema);
    assert!(validator.is_valid(&Value::Object(good.clone())));
    for field in good.keys() {
        let mut lacks = good.clone();
        lacks.remove(field);
        assert!(!validator.is_valid(&Value::Object(lacks)), "{field}");
    }
    for (field, wrong) in [("age_days", Value::from(6)), ("retention", Value::from(1.5)), ("more", Value::from(1))] {
        let mut bad = good.clone();
        bad.insert(field.to_owned(), wrong);
        assert!(!validator.is_valid(&Value::Object(bad)), "{field}");
    }
}
