//! The seeded feed, with its disorder, repeats, bursts and bad records, against the definition.

use std::sync::Arc;

use events::feed::{Feed, FeedOptions};
use events::{Gazetteer, SignalContract};
use processing_core::record::{DurationMs, EventTime};
use trending_cities::TrendingSettings;

use crate::harness::{Published, close_all, run};
use crate::{assert_equal, oracle};

/// 2025-10-09T17:00:00Z.
const START: EventTime = EventTime(1_760_029_200_000);

fn records(options: FeedOptions, cities: &Arc<Gazetteer>, partitions: u32, until: i64) -> Vec<Published> {
    let mut feed = Feed::new(options, Arc::clone(cities));
    let mut bytes = Vec::new();
    let mut records = Vec::new();
    while feed.next_sent().0 < until {
        let record = feed.next_into(&mut bytes);
        let (key, value) = (bytes[record.key].to_vec(), bytes[record.value].to_vec());
        records.push(Published::new(record.contract, partitions, record.sent.0, key, value));
    }
    records
}

/// Two days of thin history and some hours of the present: everything published equals the definition.
#[test]
fn everything_published_equals_the_definition() {
    let cities = Arc::new(Gazetteer::shipped());
    let options = FeedOptions {
        history_events_per_minute: 8,
        events_per_minute: 60,
        cities: 60,
        users: 4_000,
        ..FeedOptions::new(11, START)
    };
    let partitions = 3;
    let until = START.plus(DurationMs::hours(3)).0;
    let mut records = records(options, &cities, partitions, until);
    // A whole day of silence, so that every scope falls empty.
    close_all(&mut records, &SignalContract::ALL, partitions, until + DurationMs::hours(25).0);

    let settings = TrendingSettings::default();
    let expected = oracle::expected(&settings, &cities, &records);
    let outputs = run(&settings, &cities, partitions, &records);
    let published = |topic: &str| outputs.records[topic].as_slice();

    assert_equal("city.activity.1m.v1", published("city.activity.1m.v1"), &expected.activity);
    assert_equal("searches.top.v1", published("searches.top.v1"), &expected.queries);
    assert_equal("trending.cities.v1", published("trending.cities.v1"), &expected.lists);
    assert_eq!(outputs.counts.dead_total(), expected.dead);
    let late = |store: &str| outputs.counts.late.get(store).copied().unwrap_or(0);
    assert_eq!((late("city-minute"), late("query-hour")), (expected.late_minutes, expected.late_hours));
    println!(
        "{} records: {} lists, {} minutes, {} query lists; {} dead, {} late, {} without a city",
        records.len(),
        expected.lists.len(),
        expected.activity.len(),
        expected.queries.len(),
        expected.dead,
        expected.late_minutes,
        expected.no_city,
    );
}
