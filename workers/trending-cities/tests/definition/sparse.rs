//! Few events far apart, under settings of every kind, against the definition: the corners that a lively
//! feed seldom comes to.

use std::sync::{Arc, LazyLock};

use events::{Gazetteer, SignalContract};
use processing_core::record::DurationMs;
use proptest::prelude::*;
use trending_cities::TrendingSettings;

use crate::harness::{PlaceRow, Published, close_all};
use crate::{compare, compare_beside};

/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000;

static CITIES: LazyLock<Arc<Gazetteer>> = LazyLock::new(|| Arc::new(Gazetteer::shipped()));

#[derive(Debug, Clone)]
struct Drawn {
    /// Milliseconds after the event before it.
    gap: i64,
    /// How long it was on its way.
    delay: i64,
    contract: usize,
    user: Option<u8>,
    city: usize,
    item: u8,
    query: Option<u8>,
    results: u8,
    /// Delivered again after so many others.
    again: Option<usize>,
    /// What is said of a place with it: which one, how long ago, and its city, if it is not taken away.
    place: Option<(u8, i64, Option<usize>)>,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let gap = prop_oneof![20 => 0i64..40_000, 4 => 0i64..900_000, 1 => 0i64..100_000_000];
    let delay = prop_oneof![6 => 0i64..5_000, 2 => 0i64..90_000, 1 => 0i64..4_000_000];
    let contract = prop_oneof![2 => Just(0usize), 1 => 0usize..6];
    let user = prop::option::weighted(0.7, 0u8..6);
    let query = prop::option::weighted(0.9, 0u8..3);
    let again = prop::option::weighted(0.1, 0usize..5);
    let place = (0u8..3, 0i64..90_000, prop::option::weighted(0.8, 0usize..8));
    let place = prop::option::weighted(0.3, place);
    (gap, delay, contract, user, 0usize..10, 0u8..3, query, 0u8..3, (again, place)).prop_map(
        |(gap, delay, contract, user, city, item, query, results, (again, place))| Drawn {
            gap,
            delay,
            contract,
            user,
            city,
            item,
            query,
            results,
            again,
            place,
        },
    )
}

fn settings() -> impl Strategy<Value = TrendingSettings> {
    let windows = prop::sample::select(vec![(60i64, 1i64), (10, 5), (30, 10), (7, 2), (1, 1)]);
    (windows, 0i64..3, 1usize..=6, 1u32..4, 1u64..4, 1u64..3).prop_map(
        |((window, advance), grace, inputs, list_length, users_min, query_users_min)| {
            let mut settings = TrendingSettings {
                window: DurationMs::minutes(window),
                advance: DurationMs::minutes(advance),
                grace: DurationMs::seconds(grace * 45),
                list_length,
                users_min,
                query_users_min,
                ..TrendingSettings::default()
            };
            settings.inputs.truncate(inputs);
            settings
        },
    )
}

/// Two Victorias among them: the bare name is the more populous one.
const NAMES: [&str; 10] = [
    "\"Lisbon\"",
    "\"lisboa\"",
    "\"Porto\"",
    "\"Faro\"",
    "\"Berlin\"",
    "\"Victoria\"",
    "\"Victoria\",\"country\":\"SC\"",
    "null",
    "null",
    "null",
];

/// Rows of the table of places, said of them between the events.
fn places(drawn: &[Drawn], partitions: u32) -> Vec<PlaceRow> {
    let mut clock = START;
    let mut rows = Vec::new();
    for event in drawn {
        clock += event.gap;
        let Some((item, ago, city)) = event.place else { continue };
        let value = city.map(|city| {
            format!(
                "{{\"event_id\":\"p\",\"event_type\":\"poi.ingested\",\"timestamp\":{},\"payload\":{{\"city\":{}}}}}",
                clock - ago,
                NAMES[city]
            )
        });
        rows.push(PlaceRow::new(partitions, clock, format!("i{item}").into_bytes(), value.map(String::into_bytes)));
    }
    PlaceRow::end_all(&mut rows, partitions, clock + DurationMs::hours(26).0);
    rows
}

fn records(drawn: &[Drawn], settings: &TrendingSettings, partitions: u32) -> Vec<Published> {
    let mut clock = START;
    let mut records: Vec<(usize, Published)> = Vec::new();
    for (number, event) in drawn.iter().enumerate() {
        clock += event.gap;
        let contract = settings.inputs[event.contract % settings.inputs.len()].0;
        let user = event.user.map_or("null".to_owned(), |user| format!("\"u{user}\""));
        let query = event.query.map_or("null".to_owned(), |query| format!("\"query {query}\""));
        let value = format!(
            "{{\"event_id\":\"e{number}\",\"event_type\":\"{}\",\"timestamp\":{},\"payload\":{{\"user_id\":{user},\
             \"poi_id\":\"i{item}\",\"itinerary_id\":\"i{item}\",\"query\":{query},\"result_count\":{},\"city\":{}}}}}",
            contract.event_type(),
            clock - event.delay,
            event.results,
            NAMES[event.city],
            item = event.item,
        );
        let key = user.into_bytes();
        let record = Published::new(contract, partitions, clock, key, value.into_bytes());
        if let Some(after) = event.again {
            records.push((number + after, record.clone()));
        }
        records.push((number, record));
    }
    records.sort_by_key(|(place, _)| *place);
    let mut sent = 0;
    let mut records: Vec<Published> = records
        .into_iter()
        .map(|(_, record)| {
            sent = record.sent.max(sent);
            Published { sent, ..record }
        })
        .collect();
    let inputs: Vec<SignalContract> = settings.inputs.iter().map(|(contract, _)| *contract).collect();
    close_all(&mut records, &inputs, partitions, clock + DurationMs::hours(26).0);
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sparse_events_under_any_settings_give_what_the_definition_says(
        drawn in prop::collection::vec(drawn(), 1..120), settings in settings(), partitions in 1u32..4,
    ) {
        let records = records(&drawn, &settings, partitions);
        compare(&settings, &CITIES, partitions, &records);
        let beside = TrendingSettings { places: Some("poi.ingested".to_owned()), ..settings };
        compare_beside(&beside, &CITIES, partitions, &records, &places(&drawn, partitions));
    }
}
