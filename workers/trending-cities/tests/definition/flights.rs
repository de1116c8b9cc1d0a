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

/// The rows of a table.
fn rows(table: &str) -> (csv::StringRecord, Vec<csv::StringRecord>) {
    let mut reader = csv::Reader::from_path(folder().join(table)).unwrap();
    let names = reader.headers().unwrap().clone();
    (names, reader.records().collect::<Result<_, _>>().unwrap())
}

/// Where the named columns stand.
fn columns<const N: usize>(names: &csv::StringRecord, wanted: [&str; N]) -> [usize; N] {
    wanted.map(|wanted| names.iter().position(|name| name == wanted).unwrap())
}

/// The flights of the first `days` days. The file has its months in the order of the alphabet; within a day
/// its order is kept.
fn records(days: usize) -> Vec<Published> {
    let (names, airports) = rows("airports.csv");
    let [iata, city, country, latitude, longitude] = columns(&names, ["iata", "city", "country", "lat", "lon"]);
    let airports: BTreeMap<&str, String> = airports
        .iter()
        .map(|airport| {
            let place = format!(
                "\"city\":{},\"country\":\"{}\",\"latitude\":{},\"longitude\":{}",
                serde_json::Value::from(&airport[city]),
                &airport[country],
                &airport[latitude],
                &airport[longitude]
            );
            (&airport[iata], place)
        })
        .collect();

    let (names, mut flights) = rows("flights.csv");
    let [month, day, departed, scheduled, carrier, flight, destination, minute, hour] = columns(
        &names,
        ["month", "day", "dep_time", "sched_dep_time", "carrier", "flight", "dest", "minute", "time_hour"],
    );
    let number = |row: &csv::StringRecord, column: usize| row[column].parse::<i64>().unwrap();
    let date = |row: &csv::StringRecord| (number(row, month), number(row, day));
    flights.sort_by_cached_key(date);
    let end = flights.chunk_by(|a, b| date(a) == date(b)).take(days).map(<[_]>::len).sum();

    let mut sent = 0;
    let mut records: Vec<Published> = Vec::new();
    for (line, row) in flights[..end].iter().enumerate() {
        let hour = chrono::DateTime::parse_from_rfc3339(&row[hour]).unwrap();
        let mut time = hour.timestamp_millis() + number(row, minute) * 60_000;
        // The date is that of the departure: what was to leave before midnight and left after it was
        // scheduled for the day before. Times are hours and minutes in one number.
        if row[departed].parse().is_ok_and(|departed: i64| departed + 12_00 < number(row, scheduled)) {
            time -= DurationMs::hours(24).0;
        }
        sent = time.max(sent);
        let user = format!("{}-{}", &row[carrier], &row[flight]);
        let value = format!(
            "{{\"event_id\":\"flight-{line}\",\"event_type\":\"search.executed\",\"timestamp\":{time},\"payload\":{{\
             \"user_id\":\"{user}\",\"query\":\"{} to {}\",\"source\":\"manual\",\"result_count\":{},{}}}}}",
            &row[carrier],
            &row[destination],
            // A cancelled flight found no seat.
            u8::from(&row[departed] != "NA"),
            airports[&row[destination]],
        );
        let value = value.into_bytes();
        records.push(Published::new(SignalContract::SearchExecuted, PARTITIONS, sent, user.into_bytes(), value));
    }
    close_all(&mut records, &[SignalContract::SearchExecuted], PARTITIONS, sent + DurationMs::hours(26).0);
    records
}

/// The default settings, but for what 100 000 departures a day would be needed for.
fn settings() -> TrendingSettings {
    TrendingSettings {
        inputs: vec![(SignalContract::SearchExecuted, "flights".to_owned())],
        // Two hours of delay count; a longer one, and a cancelled flight at its day's end, is late.
        grace: DurationMs::hours(2),
        users_min: 3,
        query_users_min: 2,
        ..TrendingSettings::default()
    }
}

fn replay(days: usize, settings: &TrendingSettings) -> usize {
    let records = records(days);
    let expected = compare(settings, &Arc::new(Gazetteer::shipped()), PARTITIONS, &records);
    let late = expected.late_minutes as usize;
    assert!(late > 0 && late < records.len() / 10 && expected.lists.len() > 24 * days, "{late} late");
    assert!(!expected.queries.is_empty());
    println!(
        "{} flights: {} lists, {} minutes, {} query lists; {} late",
        records.len(),
        expected.lists.len(),
        expected.activity.len(),
        expected.queries.len(),
        expected.late_minutes
    );
    records.len() - PARTITIONS as usize
}

/// Four days of flights, a list a minute.
#[test]
fn some_days_of_flights_minute_by_minute_equal_the_definition() {
    replay(4, &settings());
}

/// All 336 776 flights, a list an hour: with one a minute there would be a million of them.
#[test]
fn the_flights_of_a_year_hour_by_hour_equal_the_definition() {
    let flights = replay(365, &TrendingSettings { advance: DurationMs::hours(1), ..settings() });
    assert_eq!(flights, 336_776);
}
