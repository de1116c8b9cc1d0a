//! The JSON Schemas beside what they describe: everything that the worker reads and publishes.

use events::{Gazetteer, SignalContract, SignalKind};
use jsonschema::Validator;
use serde_json::Value;
use trending_cities::results::SCHEMAS;

use crate::Record;
use crate::harness::{CURRENT, OUTPUTS, Outputs, Published};

/// Of the many records of a long run so many, spread over all of it, are enough.
const RECORDS_MAX: usize = 20_000;

fn validator(schema: &str) -> Validator {
    jsonschema::draft202012::options().build(&serde_json::from_str(schema).unwrap()).unwrap()
}

fn accepts(topic: &str, validator: &Validator, record: &Value) {
    if let Err(error) = validator.validate(record) {
        panic!("{topic}: {record} does not fit its schema: {error}");
    }
}

/// Every output has a schema, and its records fit.
pub(crate) fn hold(outputs: &Outputs) {
    assert_eq!(SCHEMAS.len(), OUTPUTS.len() + 1);
    for (topic, schema) in SCHEMAS {
        let validator = validator(schema);
        let records: Vec<&Record> = match outputs.records.get(topic) {
            Some(records) => records.iter().collect(),
            None => {
                assert_eq!(topic, CURRENT);
                outputs.current.iter().map(|(_, record)| record).collect()
            }
        };
        for (_, value) in records.iter().step_by(records.len().div_ceil(RECORDS_MAX).max(1)) {
            accepts(topic, &validator, &serde_json::from_str(value).unwrap());
        }
    }
}

/// What the worker takes for an event fits its contract's schema.
pub(crate) fn hold_inputs(cities: &Gazetteer, records: &[Published]) {
    for contract in SignalContract::ALL {
        let validator = validator(&events::schema::schema(contract.name()).to_string());
        let mut seen = 0;
        for record in records.iter().filter(|record| record.contract == contract).take(RECORDS_MAX) {
            let read = contract.decode(Some(&record.value), cities);
            if read.is_ok_and(|signal| signal.kind != SignalKind::Other) {
                accepts(contract.event_type(), &validator, &serde_json::from_slice(&record.value).unwrap());
                seen += 1;
            }
        }
        assert!(seen > 100, "{}: {seen} events", contract.event_type());
    }
}

/// A schema that takes everything would pass the tests above.
#[test]
fn a_result_that_lacks_a_field_or_has_one_more_is_refused() {
    let good = serde_json::json!({
        "run_id": "live", "revision": 0, "key": "PT@60000", "window_start_ms": 0, "window_end_ms": 60000,
        "scope": "PT", "is_final": true, "warming": false, "trending": [], "volume": [{
            "rank": 1, "previous_rank": null, "city": "Lisbon", "country": "PT", "volume": 3, "distinct_users": 2,
            "baseline": 0.5, "score": 1.5,
        }],
    });
    let validator = validator(SCHEMAS[0].1);
    assert!(validator.is_valid(&good));
    let fields: Vec<String> = good.as_object().unwrap().keys().cloned().collect();
    for field in fields {
        let mut lacks = good.clone();
        lacks.as_object_mut().unwrap().remove(&field);
        assert!(!validator.is_valid(&lacks), "{field}");
    }
    for (pointer, value) in
        [("/volume/0/rank", "0"), ("/volume/0/country", "\"Portugal\""), ("/scope", "\"pt\""), ("/more", "1")]
    {
        let mut wrong = good.clone();
        let value: Value = serde_json::from_str(value).unwrap();
        match wrong.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => drop(wrong.as_object_mut().unwrap().insert(pointer.to_owned(), value)),
        }
        assert!(!validator.is_valid(&wrong), "{pointer}");
    }
}
