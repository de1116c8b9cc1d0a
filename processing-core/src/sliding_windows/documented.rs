//! What Kafka Streams documents of its sliding windows (the Javadoc of `SlidingWindows`, and what
//! `KStreamSlidingWindowAggregateTest` pins), as scripts. Where the answer differs, [`crate::compared`] says why.

use serde::Deserialize;

use crate::prelude::*;
use crate::testing::script::check;

#[derive(Deserialize)]
struct Event {
    at: i64,
    key: String,
    n: i64,
}

/// First moment, last moment, records, and the sum of what they say: which powers of two.
type Said = (i64, i64, u64, i64);

fn said(closed: Closed<(Count, Sum)>) -> Said {
    let Closed { window, value: (events, sum) } = closed;
    (window.start.0, window.end.0 - 1, events.get(), sum.get() as i64)
}

/// By way of a repartition topic.
fn shuffled(windows: SlidingWindows) -> Plan {
    let app = Topology::named("sliding");
    app.stream(Topic::<Json<Event>>::json("events"))
        .event_time(|event| EventTime(event.at))
        .key_by(|event| event.key.clone())
        .sliding(windows)
        .fold("sliding", (count(), sum(|event: &Event| event.n)))
        .on_close()
        .map(said)
        .to(Topic::json("windows"));
    app.build().unwrap()
}

/// In the task that reads.
fn local(windows: SlidingWindows) -> Plan {
    let app = Topology::named("sliding");
    app.stream(Topic::<Json<Event>>::json("events"))
        .event_time(|event| EventTime(event.at))
        .already_keyed_by(|event| event.key.clone())
        .sliding(windows)
        .fold("sliding", (count(), sum(|event: &Event| event.n)))
        .on_close()
        .map(said)
        .to(Topic::json("windows"));
    app.build().unwrap()
}

/// The same of an aggregate that cannot take anything out again.
fn stacked(windows: SlidingWindows) -> Plan {
    let app = Topology::named("sliding");
    app.stream(Topic::<Json<Event>>::json("events"))
        .event_time(|event| EventTime(event.at))
        .already_keyed_by(|event| event.key.clone())
        .sliding(windows)
        .fold("sliding", collect(100, |event: &Event| event.at, |event: &Event| event.n))
        .on_close()
        .map(|Closed { window, value }| -> Said {
            let sum = value.entries().iter().map(|(_, n)| n).sum();
            (window.start.0, window.end.0 - 1, value.entries().len() as u64, sum)
        })
        .to(Topic::json("windows"));
    app.build().unwrap()
}

/// All ways must say the same.
fn all(windows: SlidingWindows, script: &str) {
    check(|| shuffled(windows), script);
    check(|| local(windows), script);
    check(|| stacked(windows), script);
}

fn five_seconds() -> SlidingWindows {
    SlidingWindows::difference(DurationMs::seconds(5))
}

#[test]
fn the_documented_example_has_five_windows() {
    all(
        five_seconds(),
        r#"
        in   events   8000  A  {"at": $ms, "key": "A", "n": 1}
        in   events   9200  A  {"at": $ms, "key": "A", "n": 2}
        out  windows  A  [3000, 8000, 1, 1]
        in   events  12400  A  {"at": $ms, "key": "A", "n": 4}
        out  windows  A  [4200, 9200, 2, 3]
        in   events  60000  Z  {"at": $ms, "key": "Z", "n": 0}
        out  windows  A  [7400, 12400, 3, 7]
        out  windows  A  [8001, 13001, 2, 6]
        out  windows  A  [9201, 14201, 1, 4]
        "#,
    );
}

/// `testReduceSmallInput`, a thousand seconds later. There, `onWindowClose` tells the same windows after the same records.
#[test]
fn what_leaves_as_something_comes_makes_one_window() {
    all(
        SlidingWindows::difference(DurationMs(10)).grace(DurationMs(5)),
        r#"
        in   events  1000010  A  {"at": $ms, "key": "A", "n": 1}
        in   events  1000014  A  {"at": $ms, "key": "A", "n": 2}
        in   events  1000015  A  {"at": $ms, "key": "A", "n": 4}
        in   events  1000022  A  {"at": $ms, "key": "A", "n": 8}
        out  windows  A  [1000000, 1000010, 1, 1]
        out  windows  A  [1000004, 1000014, 2, 3]
        out  windows  A  [1000005, 1000015, 3, 7]
        in   events  1000026  A  {"at": $ms, "key": "A", "n": 16}
        in   events  1000030  A  {"at": $ms, "key": "A", "n": 32}
        out  windows  A  [1000011, 1000021, 2, 6]
        out  windows  A  [1000012, 1000022, 3, 14]
        in   events  1002000  Z  {"at": $ms, "key": "Z", "n": 0}
        out  windows  A  [1000015, 1000025, 2, 12]
        # The one of 1000015 has gone, and that of 1000026 has come.
        out  windows  A  [1000016, 1000026, 2, 24]
        out  windows  A  [1000020, 1000030, 3, 56]
        out  windows  A  [1000023, 1000033, 2, 48]
        out  windows  A  [1000027, 1000037, 1, 32]
        "#,
    );
}

#[test]
fn a_window_holds_both_its_ends() {
    all(
        five_seconds(),
        r#"
        in   events  10:00:00      A  {"at": $ms, "key": "A", "n": 1}
        in   events  10:00:05      A  {"at": $ms, "key": "A", "n": 2}
        out  windows  A  [$ms(09:59:55), $ms(10:00:00), 1, 1]
        in   events  10:00:10.001  A  {"at": $ms, "key": "A", "n": 4}
        out  windows  A  [$ms(10:00:00), $ms(10:00:05), 2, 3]
        out  windows  A  [$ms(10:00:00.001), $ms(10:00:05.001), 1, 2]
        in   events  10:01:00      Z  {"at": $ms, "key": "Z", "n": 0}
        out  windows  A  [$ms(10:00:05.001), $ms(10:00:10.001), 1, 4]
        "#,
    );
}

#[test]
fn what_happens_at_one_time_makes_no_window_more() {
    all(
        five_seconds(),
        r#"
        in   events  10:00:00  A  {"at": $ms, "key": "A", "n": 1}
        in   events  10:00:00  A  {"at": $ms, "key": "A", "n": 2}
        in   events  10:00:03  A  {"at": $ms, "key": "A", "n": 4}
        out  windows  A  [$ms(09:59:55), $ms(10:00:00), 2, 3]
        in   events  10:00:03  A  {"at": $ms, "key": "A", "n": 8}
        in   events  10:01:00  Z  {"at": $ms, "key": "Z", "n": 0}
        out  windows  A  [$ms(09:59:58), $ms(10:00:03), 4, 15]
        out  windows  A  [$ms(10:00:00.001), $ms(10:00:05.001), 2, 12]
        "#,
    );
}

#[test]
fn a_difference_of_nothing_lets_each_moment_stand_for_itself() {
    all(
        SlidingWindows::difference(DurationMs(0)),
        r#"
        in   events  10:00:00      A  {"at": $ms, "key": "A", "n": 1}
        in   events  10:00:00      A  {"at": $ms, "key": "A", "n": 2}
        in   events  10:00:00.001  A  {"at": $ms, "key": "A", "n": 4}
        out  windows  A  [$ms(10:00:00), $ms(10:00:00), 2, 3]
        in   events  10:00:00.002  Z  {"at": $ms, "key": "Z", "n": 0}
        out  windows  A  [$ms(10:00:00.001), $ms(10:00:00.001), 1, 4]
        "#,
    );
}

#[test]
fn a_record_out_of_order_is_in_every_window_that_spans_it() {
    // Kafka Streams: the same windows, some of them told before the record came and again after it.
    all(
        five_seconds().grace(DurationMs::seconds(10)),
        r#"
        in   events  10:00:00  A  {"at": $ms, "key": "A", "n": 1}
        in   events  10:00:04  A  {"at": $ms, "key": "A", "n": 2}
        in   events  10:00:08  A  {"at": $ms, "key": "A", "n": 4}
        crash
        in   events  10:00:08  A  {"at": $ms(10:00:02), "key": "A", "n": 8}
        in   events  10:01:00  Z  {"at": $ms, "key": "Z", "n": 0}
        out  windows  A  [$ms(09:59:55), $ms(10:00:00), 1, 1]
        out  windows  A  [$ms(09:59:57), $ms(10:00:02), 2, 9]
        out  windows  A  [$ms(09:59:59), $ms(10:00:04), 3, 11]
        out  windows  A  [$ms(10:00:00.001), $ms(10:00:05.001), 2, 10]
        out  windows  A  [$ms(10:00:02.001), $ms(10:00:07.001), 1, 2]
        out  windows  A  [$ms(10:00:03), $ms(10:00:08), 2, 6]
        out  windows  A  [$ms(10:00:04.001), $ms(10:00:09.001), 1, 4]
        "#,
    );
}

#[test]
fn a_window_is_closed_one_millisecond_after_its_end_and_the_grace() {
    all(
        five_seconds().grace(DurationMs::seconds(2)),
        r#"
        in   events  10:00:00      A  {"at": $ms, "key": "A", "n": 1}
        in   events  10:00:02      Z  {"at": $ms, "key": "Z", "n": 0}
        in   events  10:00:02.001  Z  {"at": $ms, "key": "Z", "n": 0}
        out  windows  A  [$ms(09:59:55), $ms(10:00:00), 1, 1]
        "#,
    );
}

/// `testAggregateLargeInput` and others with `onWindowClose`: there, a record counts in those of its windows that are
/// not closed.
#[test]
fn a_record_behind_the_grace_is_late_for_all_its_windows() {
    all(
        five_seconds().grace(DurationMs::seconds(2)),
        r#"
        in   events  10:00:03  A  {"at": $ms, "key": "A", "n": 1}
        in   events  10:00:03  A  {"at": $ms(10:00:01), "key": "A", "n": 2}
        in   events  10:00:03  A  {"at": $ms(10:00:00.999), "key": "A", "n": 4}
        late {"at": $ms(10:00:00.999), "key": "A", "n": 4}
        in   events  10:01:00  Z  {"at": $ms, "key": "Z", "n": 0}
        out  windows  A  [$ms(09:59:56), $ms(10:00:01), 1, 2]
        out  windows  A  [$ms(09:59:58), $ms(10:00:03), 2, 3]
        out  windows  A  [$ms(10:00:01.001), $ms(10:00:06.001), 1, 1]
        "#,
    );
}

/// There: one window [0, 5000] of both, and [1001, 6001].
#[test]
fn windows_begin_before_1970_as_at_any_other_time() {
    all(
        five_seconds(),
        r#"
        in   events   1000  A  {"at": $ms, "key": "A", "n": 1}
        in   events   4000  A  {"at": $ms, "key": "A", "n": 2}
        out  windows  A  [-4000, 1000, 1, 1]
        in   events  60000  Z  {"at": $ms, "key": "Z", "n": 0}
        out  windows  A  [-1000, 4000, 2, 3]
        out  windows  A  [1001, 6001, 1, 2]
        "#,
    );
}

#[test]
fn windows_of_several_keys_come_in_the_order_of_their_ends() {
    all(
        five_seconds(),
        r#"
        in   events  08:00:00      B  {"at": $ms, "key": "B", "n": 1}
        in   events  08:00:00      A  {"at": $ms, "key": "A", "n": 2}
        in   events  08:00:05.001  C  {"at": $ms, "key": "C", "n": 4}
        out  windows  A  [$ms(07:59:55), $ms(08:00:00), 1, 2]
        out  windows  B  [$ms(07:59:55), $ms(08:00:00), 1, 1]
        in   events  08:00:05.001  B  {"at": $ms, "key": "B", "n": 8}
        # A jump of a day tells all that is left.
        in   events  2026-01-02T08:00:00Z  A  {"at": $ms, "key": "A", "n": 16}
        out  windows  B  [$ms(08:00:00.001), $ms(08:00:05.001), 1, 8]
        out  windows  C  [$ms(08:00:00.001), $ms(08:00:05.001), 1, 4]
        "#,
    );
}
