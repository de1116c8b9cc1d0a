//! Scripts that hold, and scripts that must not.

use serde::{Deserialize, Serialize};

use super::{Run, check, try_check};
use crate::prelude::*;

#[derive(Deserialize)]
struct Trip {
    at: i64,
    city: String,
    fare: i64,
}

#[derive(Serialize)]
struct Pulse {
    start: i64,
    trips: u64,
    fare: i64,
}

impl Pulse {
    fn of(window: Window, (trips, fare): &(Count, Sum)) -> Self {
        Self { start: window.start.0, trips: trips.get(), fare: fare.get() as i64 }
    }
}

/// Trips per city in windows of five minutes, by way of a repartition topic.
fn cities() -> Plan {
    let app = Topology::named("pulse");
    app.stream(Topic::<Json<Trip>>::json("trips"))
        .event_time(|trip| EventTime(trip.at))
        .key_by(|trip| trip.city.clone())
        .window(Tumbling::minutes(5).grace(DurationMs::seconds(30)))
        .fold("pulse", (count(), sum(|trip: &Trip| trip.fare)))
        .on_update(DurationMs::seconds(1), |updates| {
            updates.map(|update| Pulse::of(update.window, &update.value)).to(Topic::json("cities.now"))
        })
        .map(|closed| Pulse::of(closed.window, &closed.value))
        .to(Topic::json("cities"));
    app.build().unwrap()
}

const HOLDS: &str = r#"
    # A late trip inside the grace counts.
    in   trips   10:00:10  7  {"at": $ms, "city": "porto", "fare": 900}
    last cities.now porto  {"trips": 1, "fare": 900}
    in   trips   10:05:10  8  {"at": $ms, "city": "porto", "fare": 100}
    in   trips   10:04:50  7  {"at": $ms, "city": "porto", "fare": 400}
    crash
    in   trips   10:05:31  8  {"at": $ms, "city": "faro", "fare": 100}
    out  cities  porto  {"start": $ms(10:00), "trips": 2, "fare": 1300}
    last cities.now porto  {"trips": 1, "fare": 100}

    // The grace is over.
    in   trips   10:04:59  7  {"at": $ms, "city": "porto", "fare": 1}
    late {"at": $ms(10:04:59), "city": "porto", "fare": 1}
    in   trips   10:06      7  {"at": $ms(12:00), "city": "porto", "fare": 1}
    dead future
    in   trips   10:06      7  {"at":
    dead json
    rebalance
    in   trips   10:06:00  -  ~
    dead tombstone
    advance 10m
    in   trips   10:20:00  7  {"at": $ms, "city": "porto", "fare": 5}
    out  cities  faro   {"start": $ms(10:05), "trips": 1, "fare": 100}
    has  cities  porto  {"trips": 1}
"#;

#[test]
fn a_script_holds_through_every_crash_and_rebalance() {
    check(cities, HOLDS);
}

#[test]
fn what_comes_during_a_pause_counts_when_it_is_over() {
    let script = r#"
    in   trips   10:00:10  7  {"at": $ms, "city": "porto", "fare": 900}
    last cities.now porto  {"trips": 1, "fare": 900}
    pause
    in   trips   10:04:50  7  {"at": $ms, "city": "porto", "fare": 400}
    last cities.now porto  {"trips": 1, "fare": 900}
    crash
    in   trips   10:05:31  8  {"at": $ms, "city": "faro", "fare": 100}
    rebalance
    advance 10m
    resume
    out  cities  porto  {"start": $ms(10:00), "trips": 2, "fare": 1300}
    last cities.now faro  {"trips": 1, "fare": 100}
    "#;
    check(cities, script);
    let failure = try_check(cities, &script.replace("    resume\n", "")).unwrap_err();
    assert_eq!((failure.line, failure.run), (11, Run::AsWritten), "{failure}");
}

#[test]
fn an_output_that_no_line_expects_is_found() {
    let without = HOLDS.replace("    has  cities  porto  {\"trips\": 1}\n", "");
    let failure = try_check(cities, &without).unwrap_err();
    assert_eq!((failure.line, failure.run), (24, Run::AsWritten), "{failure}");
    assert!(failure.message.contains("found in cities/0: porto {\"start\":1767261900000"), "{failure}");
}

#[test]
fn a_wrong_value_is_shown_beside_what_was_found() {
    let wrong = HOLDS.replace("\"trips\": 2, \"fare\": 1300", "\"trips\": 3, \"fare\": 1300");
    let failure = try_check(cities, &wrong).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "script line 9, run as written:\n\
         out  cities  porto  {\"start\": $ms(10:00), \"trips\": 3, \"fare\": 1300}\n\
         found in cities/0: porto {\"start\":1767261600000,\"trips\":2,\"fare\":1300}"
    );
}

#[test]
fn a_record_that_vanishes_as_late_is_found() {
    let without = HOLDS.replace("    late {", "    # late {");
    let failure = try_check(cities, &without).unwrap_err();
    assert!(failure.message.contains("found in pulse-late/0"), "{failure}");
}

#[test]
fn updates_are_not_expected_as_a_sequence() {
    let failure = try_check(cities, "out cities.now porto 1").unwrap_err();
    assert!(failure.message.contains("holds updates"), "{failure}");
}

#[test]
fn a_line_that_cannot_be_read_is_named() {
    for (text, why) in [
        ("\n\nsay hello", "no line begins with \"say\""),
        ("in trips 10:00 7", "a value is missing"),
        ("in trips noon 7 {}", "\"noon\" is no time"),
        ("out cities {\"a\":", "is no JSON"),
        ("advance soon", "is no duration"),
        ("in planes 10:00 7 {}", "planes is no input of this topology: there are trips"),
    ] {
        let failure = try_check(cities, text).unwrap_err();
        assert!(failure.message.contains(why), "{failure}");
        assert_eq!(failure.line, text.lines().count(), "{failure}");
    }
}

#[test]
fn a_closed_window_that_is_kept_is_not_shown_as_open_after_a_crash() {
    let kept = || {
        let app = Topology::named("kept");
        app.stream(Topic::<Json<Trip>>::json("trips"))
            .event_time(|trip| EventTime(trip.at))
            .already_keyed_by(|trip| trip.city.clone())
            .window(Tumbling::minutes(5))
            .keep(DurationMs::hours(1))
            .fold("kept", count())
            .on_update(DurationMs::seconds(1), |updates| updates.map(|u| u.is_final).to(Topic::json("now")))
            .end();
        app.build().unwrap()
    };
    check(
        kept,
        r#"
        in   trips  10:00  7  {"at": $ms, "city": "porto", "fare": 1}
        last now    porto  false
        in   trips  10:05  7  {"at": $ms, "city": "faro", "fare": 1}
        last now    porto  true
        crash
        last now    porto  true
        last now    faro   false
        "#,
    );
}
