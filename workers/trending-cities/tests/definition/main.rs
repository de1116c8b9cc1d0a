//! The worker beside its definition: everything it publishes, compared record by record with what the
//! definition makes of the same log.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

mod feed;
mod flights;
mod harness;
mod mutated;
#[path = "../../../events/tests/mutation/mod.rs"]
mod mutation;
mod oracle;
mod schemas;
mod sparse;

use std::collections::BTreeMap;
use std::sync::Arc;

use events::Gazetteer;
use processing_core::record::LogTime;
use trending_cities::TrendingSettings;

use crate::harness::{PlaceRow, Published};
use crate::oracle::Expected;

/// A record's key and its value: JSON with its fields in order.
type Record = (String, String);

/// Runs the worker over `records` and holds everything that it published and counted to the definition.
fn compare(settings: &TrendingSettings, cities: &Arc<Gazetteer>, partitions: u32, records: &[Published]) -> Expected {
    compare_beside(settings, cities, partitions, records, &[])
}

/// The same beside a table of places.
fn compare_beside(
    settings: &TrendingSettings,
    cities: &Arc<Gazetteer>,
    partitions: u32,
    records: &[Published],
    places: &[PlaceRow],
) -> Expected {
    let expected = oracle::expected(settings, cities, records, places);
    let outputs = harness::run_beside(settings, cities, partitions, records, places);
    schemas::hold(&outputs);
    let published = |topic: &str| outputs.records[topic].as_slice();
    assert_equal("city.activity.1m.v1", published("city.activity.1m.v1"), &expected.activity);
    assert_equal("searches.top.v1", published("searches.top.v1"), &expected.queries);
    assert_equal("trending.cities.v1", published("trending.cities.v1"), &expected.lists);

    assert_present_word(&outputs.current, &expected.lists);

    let count = |counts: &BTreeMap<&str, u64>, name: &str| counts.get(name).copied().unwrap_or(0);
    let counts = &outputs.counts;
    assert_eq!(counts.dead_total(), expected.dead + expected.dead_places);
    assert_eq!(count(&counts.dropped, "no_city"), expected.no_city);
    assert_eq!(count(&counts.dropped, "other"), expected.other);
    assert_eq!(count(&counts.late, "city-minute"), expected.late_minutes);
    assert_eq!(count(&counts.late, "query-hour"), expected.late_hours);
    assert_eq!(count(&counts.late, "poi-city"), expected.late_sought);
    expected
}

/// Fails at the first record by which the worker's output differs from the definition's. Records of one key
/// are compared in their order.
fn assert_equal(topic: &str, published: &[Record], expected: &[Record]) {
    let (published, expected) = (by_key(published), by_key(expected));
    for key in published.keys().chain(expected.keys()) {
        let (published, expected) = (published.get(key), expected.get(key));
        let count = |records: Option<&Vec<&str>>| records.map_or(0, Vec::len);
        for place in 0..count(published).max(count(expected)) {
            let of = |records: Option<&Vec<&str>>| Some(records?.get(place)?.to_string());
            assert_eq!(of(published), of(expected), "{topic}, key {key}, record {place}");
        }
    }
}

/// The present word ends with the last word, and comes at most once per key and second.
fn assert_present_word(current: &[(LogTime, Record)], lists: &[Record]) {
    let mut last: BTreeMap<&str, (LogTime, &str)> = BTreeMap::new();
    for (time, (key, value)) in current {
        if let Some((before, _)) = last.insert(key, (*time, value)) {
            assert!(time.0 - before.0 >= 1_000, "{key}: {} ms after the word before: {value}", time.0 - before.0);
        }
    }
    let last: BTreeMap<&str, &str> = last.into_iter().map(|(key, (_, value))| (key, value)).collect();
    let expected: BTreeMap<&str, &str> = lists.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(last, expected);
}

fn by_key(records: &[Record]) -> BTreeMap<&str, Vec<&str>> {
    let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, value) in records {
        keys.entry(key).or_default().push(value);
    }
    keys
}
