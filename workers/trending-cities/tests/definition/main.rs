//! The worker beside its definition: everything it publishes, compared record by record with what the
//! definition makes of the same log.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

mod feed;
mod harness;
mod oracle;

use std::collections::BTreeMap;

use serde_json::Value;

/// Fails at the first record by which the worker's output differs from the definition's. Records of one key
/// are compared in their order.
fn assert_equal(topic: &str, published: &[(String, Value)], expected: &[(String, Value)]) {
    let (published, expected) = (by_key(published), by_key(expected));
    for key in published.keys().chain(expected.keys()) {
        let published = published.get(key).cloned().unwrap_or_default();
        let expected = expected.get(key).cloned().unwrap_or_default();
        let end = |value: Option<&&Value>| value.map(|value| value["window_end_ms"].clone());
        for place in 0..published.len().max(expected.len()) {
            let (published, expected) = (published.get(place), expected.get(place));
            assert_eq!(end(published), end(expected), "{topic}, key {key}, record {place}: the window's end");
            assert_eq!(published, expected, "{topic}, key {key}, record {place}");
        }
    }
}

fn by_key(records: &[(String, Value)]) -> BTreeMap<&str, Vec<&Value>> {
    let mut keys: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (key, value) in records {
        keys.entry(key).or_default().push(value);
    }
    keys
}
