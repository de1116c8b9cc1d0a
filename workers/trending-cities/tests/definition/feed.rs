//! The seeded feed, with its disorder, repeats, bursts and bad records, against the definition.

use std::sync::Arc;

use events::feed::{Feed, FeedOptions};
use events::{Gazetteer, SignalContract};
use processing_core::record::{DurationMs, EventTime};
use serde_json::Value;
use trending_cities::TrendingSettings;

use crate::harness::{PlaceRow, Published, close_all};
use crate::{compare, compare_beside, schemas};

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
    // A whole day of silence, so that every scope falls empty.
    close_all(&mut records, &SignalContract::ALL, partitions, until + DurationMs::hours(25).0);
    records
}

/// Two days of thin history and some hours of the present.
#[test]
fn everything_published_of_the_feed_equals_the_definition() {
    let cities = Arc::new(Gazetteer::shipped());
    let options = FeedOptions {
        history_events_per_minute: 8,
        events_per_minute: 60,
        cities: 60,
        users: 4_000,
        ..FeedOptions::new(11, START)
    };
    let partitions = 3;
    let records = records(options, &cities, partitions, START.plus(DurationMs::hours(3)).0);
    schemas::hold_inputs(&cities, &records);
    let expected = compare(&TrendingSettings::default(), &cities, partitions, &records);

    // The comparison means something only if all of this came up in it.
    let lists: Vec<Value> = expected.lists.iter().map(|(_, list)| serde_json::from_str(list).unwrap()).collect();
    let with = |pointer: &str| lists.iter().filter(|list| list.pointer(pointer).is_some()).count();
    let empty = lists.len() - with("/volume/0");
    let moved = lists.iter().filter(|list| list["trending"][0]["previous_rank"].as_u64() > Some(1));
    assert!(with("/trending/0") > 1_000 && with("/volume/19") > 1_000 && empty > 20 && moved.count() > 20);
    assert!(expected.dead > 50 && expected.no_city > 100 && expected.late_minutes > 100 && expected.late_hours > 20);
    println!(
        "{} records: {} lists ({empty} empty), {} minutes, {} query lists; {} dead, {} late, {} without a city",
        records.len(),
        expected.lists.len(),
        expected.activity.len(),
        expected.queries.len(),
        expected.dead,
        expected.late_minutes,
        expected.no_city,
    );
}

/// The same feed beside the places that are written with it: what names no city finds it.
#[test]
fn the_feed_beside_its_places_equals_the_definition() {
    let cities = Arc::new(Gazetteer::shipped());
    // As many as its lists count exactly: a sketch takes over at a few hundred users of a window, or searches of an hour.
    let options = FeedOptions {
        history: DurationMs(0),
        events_per_minute: 130,
        cities: 12,
        users: 250,
        ..FeedOptions::new(12, START)
    };
    let (partitions, until) = (3, START.plus(DurationMs::hours(5)).0);
    let mut feed = Feed::new(options.clone(), Arc::clone(&cities));
    let (mut places, mut bytes) = (Vec::new(), Vec::new());
    while feed.next_sent().0 < until {
        let number = feed.next_into(&mut bytes).number;
        if let Some(place) = feed.place_beside(number, &mut bytes) {
            let (key, value) = (bytes[place.key].to_vec(), bytes[place.value].to_vec());
            places.push(PlaceRow::new(partitions, place.sent.0, key, Some(value)));
        }
    }
    PlaceRow::end_all(&mut places, partitions, until + DurationMs::hours(25).0);
    let records = records(options, &cities, partitions, until);
    let settings =
        TrendingSettings { places: Some("poi.ingested".to_owned()), users_min: 3, ..TrendingSettings::default() };
    let expected = compare_beside(&settings, &cities, partitions, &records, &places);
    assert!(expected.found > 20 && expected.no_city > 100, "{} found", expected.found);
    // Without the table they count nowhere.
    let alone = compare(&TrendingSettings { places: None, ..settings }, &cities, partitions, &records);
    assert!(alone.counted < expected.counted);
}
