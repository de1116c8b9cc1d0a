//! Real data: every departure of 2013 from New York as one search in the city it goes to.
//!
//! The event time is the scheduled departure, and the file is in the order of actual departures, day by
//! day, with each day's cancelled flights at its end: real disorder, and real lateness. `.ci/flights`
//! fetches the file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use events::{Gazetteer, SignalContract};
use processing_core::record::DurationMs;
use trending_cities::TrendingSettings;

use crate::compare;
use crate::harness::{Published, close_all};

const PARTITIONS: u32 = 3;

fn folder() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.ci/flights");
    let output = Command::new(script).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}

/// The rows of a table, by the names of its columns.
fn rows(table: &str) -> impl Iterator<Item = BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(folder().join(table)).unwrap();
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let cells = |row: csv::StringRecord| row.iter().map(str::to_owned).collect::<Vec<_>>();
    reader.into_records().map(move |row| names.iter().cloned().zip(cells(row.unwrap())).collect())
}

/// The flights of the first `days` days, in the order of the file.
fn records(days: usize) -> Vec<Published> {
    let airports: BTreeMap<String, _> =
        rows("airports.csv").map(|airport| (airport["iata"].clone(), airport)).collect();
    let mut records: Vec<Published> = Vec::new();
    let (mut sent, mut seen) = (0, Vec::new());
    for (number, flight) in rows("flights.csv").enumerate() {
        let day = (flight["month"].clone(), flight["day"].clone());
        if seen.last() != Some(&day) {
            seen.push(day);
        }
        if seen.len() > days {
            break;
        }
        let airport = &airports[&flight["dest"]];
        let hour = chrono::DateTime::parse_from_rfc3339(&flight["time_hour"]).unwrap();
        let time = hour.timestamp_millis() + flight["minute"].parse::<i64>().unwrap() * 60_000;
        sent = time.max(sent);
        let user = format!("{}-{}", flight["carrier"], flight["flight"]);
        let value = serde_json::json!({
            "event_id": format!("flight-{number}"), "event_type": "search.executed", "timestamp": time,
            "payload": {
                "user_id": user, "query": format!("{} to {}", flight["carrier"], flight["dest"]), "source": "manual",
                "city": airport["city"], "country": airport["country"],
                "latitude": airport["lat"], "longitude": airport["lon"],
                // A cancelled flight found no seat.
                "result_count": u8::from(flight["dep_time"] != "NA"),
            },
        });
        let value = value.to_string().into_bytes();
        records.push(Published::new(SignalContract::SearchExecuted, PARTITIONS, sent, user.into_bytes(), value));
    }
    close_all(&mut records, &[SignalContract::SearchExecuted], PARTITIONS, sent + DurationMs::hours(26).0);
    records
}

/// The default settings, but for what 100 000 departures a day would be needed for.
fn settings() -> TrendingSettings {
    TrendingSettings {
        inputs: vec![(SignalContract::SearchExecuted, "flights".to_owned())],
        users_min: 3,
        query_users_min: 2,
        ..TrendingSettings::default()
    }
}

fn replay(days: usize, settings: &TrendingSettings) {
    let records = records(days);
    let expected = compare(settings, &Arc::new(Gazetteer::shipped()), PARTITIONS, &records);
    assert!(expected.late_minutes > 0 && expected.lists.len() > 24 * days && !expected.queries.is_empty());
    println!(
        "{} flights: {} lists, {} minutes, {} query lists; {} late",
        records.len(),
        expected.lists.len(),
        expected.activity.len(),
        expected.queries.len(),
        expected.late_minutes
    );
}

/// Four days of flights, a list a minute.
#[test]
fn some_days_of_flights_minute_by_minute_equal_the_definition() {
    replay(4, &settings());
}

/// All 336 776 flights, a list an hour: with one a minute there would be a million of them.
#[test]
fn the_flights_of_a_year_hour_by_hour_equal_the_definition() {
    replay(366, &TrendingSettings { advance: DurationMs::hours(1), ..settings() });
}
