//! What Kafka Streams documents of its session windows (the Javadoc of `SessionWindows`, and what
//! `KStreamSessionWindowAggregateProcessorTest` pins), as scripts. Where the answer differs,
//! [`crate::compared`] says why.

use serde::{Deserialize, Serialize};

use crate::prelude::*;
use crate::testing::script::check;

#[derive(Deserialize)]
struct Visit {
    at: i64,
    user: String,
    n: i64,
}

#[derive(Serialize)]
struct Session {
    start: i64,
    end: i64,
    visits: u64,
    sum: i64,
}

fn said(closed: Closed<(Count, Sum)>) -> Session {
    let Closed { window, value: (visits, sum) } = closed;
    Session { start: window.start.0, end: window.end.0, visits: visits.get(), sum: sum.get() as i64 }
}

/// By way of a repartition topic.
fn shuffled(sessions: Sessions) -> Plan {
    let app = Topology::named("sessions");
    app.stream(Topic::<Json<Visit>>::json("visits"))
        .event_time(|visit| EventTime(visit.at))
        .key_by(|visit| visit.user.clone())
        .sessions(sessions)
        .fold("sessions", (count(), sum(|visit: &Visit| visit.n)))
        .on_close()
        .map(said)
        .to(Topic::json("sessions.done"));
    app.build().unwrap()
}

/// In the task that reads.
fn local(sessions: Sessions) -> Plan {
    let app = Topology::named("sessions");
    app.stream(Topic::<Json<Visit>>::json("visits"))
        .event_time(|visit| EventTime(visit.at))
        .already_keyed_by(|visit| visit.user.clone())
        .sessions(sessions)
        .fold("sessions", (count(), sum(|visit: &Visit| visit.n)))
        .on_close()
        .map(said)
        .to(Topic::json("sessions.done"));
    app.build().unwrap()
}

/// Both ways must say the same.
fn both(sessions: Sessions, script: &str) {
    check(|| shuffled(sessions), script);
    check(|| local(sessions), script);
}

fn five_minutes() -> Sessions {
    Sessions::gap(DurationMs::minutes(5))
}

#[test]
fn a_record_between_two_sessions_makes_them_one() {
    // Kafka Streams: [10, 12] and [20, 20], then a tombstone for each and [10, 20].
    both(
        five_minutes().grace(DurationMs::minutes(10)),
        r#"
        in   visits  10:20  a  {"at": $ms(10:10), "user": "a", "n": 1}
        in   visits  10:20  a  {"at": $ms(10:12), "user": "a", "n": 2}
        in   visits  10:20  a  {"at": $ms(10:20), "user": "a", "n": 3}
        in   visits  10:20  a  {"at": $ms(10:16), "user": "a", "n": 4}
        in   visits  11:00  z  {"at": $ms, "user": "z", "n": 0}
        out  sessions.done  a  {"start": $ms(10:10), "end": $ms(10:20:00.001), "visits": 4, "sum": 10}
        "#,
    );
    both(
        five_minutes().grace(DurationMs::minutes(10)),
        r#"
        in   visits  10:20  a  {"at": $ms(10:10), "user": "a", "n": 1}
        in   visits  10:20  a  {"at": $ms(10:12), "user": "a", "n": 2}
        in   visits  10:20  a  {"at": $ms(10:20), "user": "a", "n": 3}
        in   visits  11:00  z  {"at": $ms, "user": "z", "n": 0}
        out  sessions.done  a  {"start": $ms(10:10), "end": $ms(10:12:00.001), "visits": 2, "sum": 3}
        out  sessions.done  a  {"start": $ms(10:20), "end": $ms(10:20:00.001), "visits": 1, "sum": 3}
        "#,
    );
}

#[test]
fn a_record_out_of_order_moves_a_sessions_beginning() {
    both(
        five_minutes().grace(DurationMs::minutes(10)),
        r#"
        in   visits  10:20  a  {"at": $ms(10:20), "user": "a", "n": 1}
        in   visits  10:20  a  {"at": $ms(10:16), "user": "a", "n": 2}
        crash
        in   visits  10:20  a  {"at": $ms(10:13), "user": "a", "n": 4}
        in   visits  11:00  z  {"at": $ms, "user": "z", "n": 0}
        out  sessions.done  a  {"start": $ms(10:13), "end": $ms(10:20:00.001), "visits": 3, "sum": 7}
        "#,
    );
}

#[test]
fn records_exactly_a_gap_apart_belong_together() {
    both(
        five_minutes(),
        r#"
        in   visits  10:00  a  {"at": $ms, "user": "a", "n": 1}
        in   visits  10:05  a  {"at": $ms, "user": "a", "n": 2}
        in   visits  10:10:00.001  a  {"at": $ms, "user": "a", "n": 4}
        in   visits  11:00  z  {"at": $ms, "user": "z", "n": 0}
        out  sessions.done  a  {"start": $ms(10:00), "end": $ms(10:05:00.001), "visits": 2, "sum": 3}
        out  sessions.done  a  {"start": $ms(10:10:00.001), "end": $ms(10:10:00.002), "visits": 1, "sum": 4}
        "#,
    );
}

#[test]
fn records_of_one_moment_are_one_session() {
    both(
        five_minutes(),
        r#"
        in   visits  10:00  a  {"at": $ms, "user": "a", "n": 1}
        in   visits  10:00  a  {"at": $ms, "user": "a", "n": 2}
        in   visits  11:00  z  {"at": $ms, "user": "z", "n": 0}
        out  sessions.done  a  {"start": $ms(10:00), "end": $ms(10:00:00.001), "visits": 2, "sum": 3}
        "#,
    );
}

#[test]
fn a_record_is_late_one_millisecond_beyond_the_grace() {
    // Kafka Streams takes both in, since they lie within the gap of the session that is there; a record alone is late
    // there one gap later than here.
    both(
        five_minutes().grace(DurationMs::minutes(2)),
        r#"
        in   visits  10:10  a  {"at": $ms, "user": "a", "n": 1}
        in   visits  10:10  a  {"at": $ms(10:08), "user": "a", "n": 2}
        in   visits  10:10  a  {"at": $ms(10:07:59.999), "user": "a", "n": 4}
        late {"at": $ms(10:07:59.999), "user": "a", "n": 4}
        in   visits  11:00  z  {"at": $ms, "user": "z", "n": 0}
        out  sessions.done  a  {"start": $ms(10:08), "end": $ms(10:10:00.001), "visits": 2, "sum": 3}
        "#,
    );
    both(
        five_minutes(),
        r#"
        in   visits  10:10  a  {"at": $ms, "user": "a", "n": 1}
        in   visits  10:10  a  {"at": $ms(10:09:59.999), "user": "a", "n": 2}
        late {"at": $ms(10:09:59.999), "user": "a", "n": 2}
        "#,
    );
}

#[test]
fn a_session_is_over_when_gap_and_grace_have_passed_behind_its_pane() {
    // Kafka Streams: with the first record that comes to 10:00 + 5 min + 2 min. A pane is 37.5 s long.
    both(
        five_minutes().grace(DurationMs::minutes(2)),
        r#"
        in   visits  10:00  a  {"at": $ms, "user": "a", "n": 1}
        in   visits  10:07:37.499  z  {"at": $ms, "user": "z", "n": 0}
        in   visits  10:07:37.500  z  {"at": $ms, "user": "z", "n": 0}
        out  sessions.done  a  {"start": $ms(10:00), "end": $ms(10:00:00.001), "visits": 1, "sum": 1}
        "#,
    );
}

#[test]
fn the_sessions_of_several_keys_and_times() {
    // `shouldHandleMultipleSessionsAndMerging`, its times moved to ten o'clock.
    both(
        five_minutes(),
        r#"
        in   visits  10:00  a  {"at": $ms, "user": "a", "n": 1}
        in   visits  10:00  b  {"at": $ms, "user": "b", "n": 1}
        in   visits  10:00  c  {"at": $ms, "user": "c", "n": 1}
        in   visits  10:00  d  {"at": $ms, "user": "d", "n": 1}
        in   visits  10:02:30  d  {"at": $ms, "user": "d", "n": 1}
        in   visits  10:05:00.001  a  {"at": $ms, "user": "a", "n": 1}
        in   visits  10:05:00.001  b  {"at": $ms, "user": "b", "n": 1}
        in   visits  10:07:30.001  a  {"at": $ms, "user": "a", "n": 1}
        out  sessions.done  a  {"start": $ms(10:00), "end": $ms(10:00:00.001), "visits": 1, "sum": 1}
        out  sessions.done  b  {"start": $ms(10:00), "end": $ms(10:00:00.001), "visits": 1, "sum": 1}
        out  sessions.done  c  {"start": $ms(10:00), "end": $ms(10:00:00.001), "visits": 1, "sum": 1}
        in   visits  10:07:30.001  c  {"at": $ms, "user": "c", "n": 1}
        in   visits  11:00  z  {"at": $ms, "user": "z", "n": 0}
        out  sessions.done  d  {"start": $ms(10:00), "end": $ms(10:02:30.001), "visits": 2, "sum": 2}
        out  sessions.done  b  {"start": $ms(10:05:00.001), "end": $ms(10:05:00.002), "visits": 1, "sum": 1}
        out  sessions.done  a  {"start": $ms(10:05:00.001), "end": $ms(10:07:30.002), "visits": 2, "sum": 2}
        out  sessions.done  c  {"start": $ms(10:07:30.001), "end": $ms(10:07:30.002), "visits": 1, "sum": 1}
        "#,
    );
}

/// `shouldSupportFinalResultsForSessionWindows` of `SuppressScenarioTest`, its milliseconds made seconds. There the third
/// record is taken in, because the session that it lies in is open: the same record alone would be dropped.
#[test]
fn a_session_is_told_once_and_takes_in_nobody_who_is_late() {
    both(
        Sessions::gap(DurationMs::seconds(5)),
        r#"
        in   visits  10:00:00  a  {"at": $ms, "user": "a", "n": 1}
        in   visits  10:00:05  a  {"at": $ms, "user": "a", "n": 2}
        in   visits  10:00:05  a  {"at": $ms(10:00:01), "user": "a", "n": 4}
        late {"at": $ms(10:00:01), "user": "a", "n": 4}
        # Any record takes the time of its partition along.
        in   visits  10:00:11  b  {"at": $ms, "user": "b", "n": 8}
        out  sessions.done  a  {"start": $ms(10:00), "end": $ms(10:00:05.001), "visits": 2, "sum": 3}
        in   visits  10:00:11  a  {"at": $ms(10:00:05), "user": "a", "n": 16}
        late {"at": $ms(10:00:05), "user": "a", "n": 16}
        in   visits  10:00:30  a  {"at": $ms, "user": "a", "n": 32}
        out  sessions.done  b  {"start": $ms(10:00:11), "end": $ms(10:00:11.001), "visits": 1, "sum": 8}
        "#,
    );
}

#[test]
fn midnight_ends_a_session() {
    // Kafka Streams has nothing of the kind.
    both(
        Sessions::gap(DurationMs::minutes(30)).grace(DurationMs::hours(1)).cut(DurationMs::hours(24), DurationMs(0)),
        r#"
        in   visits  2026-01-01T23:40:00Z  a  {"at": $ms, "user": "a", "n": 1}
        in   visits  2026-01-02T00:00:00Z  a  {"at": $ms, "user": "a", "n": 2}
        in   visits  2026-01-02T00:20:00Z  a  {"at": $ms, "user": "a", "n": 4}
        # A late record joins what came before the cut and not what came after it.
        in   visits  2026-01-02T00:20:00Z  a  {"at": $ms(2026-01-01T23:59:59.999Z), "user": "a", "n": 8}
        in   visits  2026-01-02T03:00:00Z  z  {"at": $ms, "user": "z", "n": 0}
        out  sessions.done  a  {"start": $ms(2026-01-01T23:40:00Z), "end": $ms(2026-01-02T00:00:00Z), "visits": 2, "sum": 9}
        out  sessions.done  a  {"start": $ms(2026-01-02T00:00:00Z), "end": $ms(2026-01-02T00:20:00.001Z), "visits": 2, "sum": 6}
        "#,
    );
}

#[test]
fn a_jump_in_time_ends_every_session_of_the_day() {
    both(
        Sessions::gap(DurationMs::minutes(30)),
        r#"
        in   visits  08:00  b  {"at": $ms, "user": "b", "n": 1}
        in   visits  08:10  a  {"at": $ms, "user": "a", "n": 1}
        in   visits  08:25  b  {"at": $ms, "user": "b", "n": 1}
        in   visits  08:25  c  {"at": $ms, "user": "c", "n": 1}
        in   visits  2026-01-03T08:00:00Z  z  {"at": $ms, "user": "z", "n": 0}
        out  sessions.done  a  {"start": $ms(08:10), "end": $ms(08:10:00.001), "visits": 1, "sum": 1}
        out  sessions.done  b  {"start": $ms(08:00), "end": $ms(08:25:00.001), "visits": 2, "sum": 2}
        out  sessions.done  c  {"start": $ms(08:25), "end": $ms(08:25:00.001), "visits": 1, "sum": 1}
        "#,
    );
}
