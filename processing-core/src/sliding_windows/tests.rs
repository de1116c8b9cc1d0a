//! The arithmetic of sliding windows, and their running values, against their definition.

use proptest::prelude::*;

use super::running::Running;
use super::*;
use crate::aggregate::{Count, Max, Mergeable};

fn spans(windows: SlidingWindows) -> SlidingSpans {
    windows.spans().unwrap()
}

#[test]
fn senseless_windows_are_explained() {
    let check = |difference: i64, grace: i64, part: &str| {
        let windows = SlidingWindows::difference(DurationMs(difference)).grace(DurationMs(grace));
        let text = windows.spans().unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    };
    check(-1, 0, "give sliding windows a difference of 0 ms or more");
    check(0, -1, "grace of -1 ms");
    check(i64::MAX, 0, "9 million years");
    check(0, i64::MAX, "9 million years");
}

#[test]
fn words_of_fingerprints_never_change() {
    let said = |difference, grace| {
        spans(SlidingWindows::difference(DurationMs(difference)).grace(DurationMs(grace))).to_string()
    };
    assert_eq!(said(600_000, 7), "sliding difference 600000 ms, grace 7 ms, panes 1000 ms");
    assert_eq!(said(5_000, 0), "sliding difference 5000 ms, grace 0 ms, panes 625 ms");
    assert_eq!(said(0, 0), "sliding difference 0 ms, grace 0 ms, panes 1 ms");
}

#[test]
fn a_window_holds_the_rows_from_its_first_moment_to_its_last() {
    let spans = spans(SlidingWindows::difference(DurationMs(5_000)));
    let window = spans.window_to(EventTime(8_000));
    assert_eq!((window.start, window.end), (EventTime(3_000), EventTime(8_001)));
    // What has left it stood just before its first moment.
    assert_eq!(spans.leaving(8_000), 2_999);
    assert_eq!(spans.left_by(2_999), 8_000);
}

#[test]
fn a_record_is_late_when_the_stream_is_more_than_the_grace_ahead() {
    let spans = spans(SlidingWindows::difference(DurationMs(10)).grace(DurationMs(1_000)));
    assert!(spans.place(EventTime(5_000), EventTime(6_000)).is_some());
    assert!(spans.place(EventTime(5_000), EventTime(6_001)).is_none());
    assert!(spans.place(EventTime(5_000), EventTime::MIN).is_some(), "what operators made is never late");
}

/// Some windows, and a place in time: around 1970, or at either end of time.
fn anywhere() -> impl Strategy<Value = (SlidingSpans, i64)> {
    let difference = prop_oneof![0..50_i64, Just(SPAN_MAX), 1_000..100_000_i64];
    let windows = (difference, prop_oneof![0..60_i64, Just(SPAN_MAX)]).prop_map(|(difference, grace)| {
        spans(SlidingWindows::difference(DurationMs(difference)).grace(DurationMs(grace)))
    });
    let place = prop_oneof![
        -500..500_i64,
        any::<i64>(),
        (i64::MAX - 500)..=i64::MAX,
        i64::MIN..(i64::MIN + 500),
        (TIME_MAX.0 - 500)..(TIME_MAX.0 + 500),
        (-TIME_MAX.0 - 500)..(500 - TIME_MAX.0),
    ];
    (windows, place)
}

proptest! {
    #[test]
    fn every_row_stands_in_the_pane_of_its_time((spans, at) in anywhere()) {
        let place = spans.place(EventTime(at), EventTime::MIN).unwrap();
        let pane = spans.pane_at(place.first);
        prop_assert_eq!((place.first, place.pane), (clamped(EventTime(at)), pane.start.0));
        prop_assert!(pane.start.0 <= place.first && place.first < pane.end.0);
        prop_assert_eq!(spans.pane_at(pane.end.0).start, pane.end);
        prop_assert!(spans.pane_at(at).start <= spans.pane_at(at.saturating_add(1)).start);
    }

    #[test]
    fn what_is_taken_in_lies_behind_every_closed_window((spans, at) in anywhere(), ahead in -10..300_i64, back in 0..200_i64) {
        let closed = spans.closed_before(EventTime(at));
        // The partition of a record is at the watermark or further.
        let stream_time = EventTime(at.saturating_add(ahead.max(0)));
        let record = EventTime(at.saturating_add(ahead).saturating_sub(back));
        if let Some(place) = spans.place(record, stream_time) {
            prop_assert!(place.first >= closed);
        }
        prop_assert_eq!(spans.last_close(EventTime(at)), EventTime(at));
    }
}

fn maximum(value: i64) -> Max<i64> {
    let mut max = Max::default();
    max.add(value);
    max
}

fn one(_: i64) -> Count {
    let mut count = Count::default();
    count.add();
    count
}

/// Rows of three keys come, a gap of time after one another, and go when they are older than `difference`; after each step
/// every key's value is what its rows within fold to.
fn runs_as_defined<A: Mergeable + PartialEq + std::fmt::Debug>(
    steps: &[(i64, u8, i64)],
    difference: i64,
    bytes_max: usize,
    of: impl Fn(i64) -> A,
) {
    let mut running = Running::<u64, A>::new();
    let mut within: Vec<(i64, u64, i64)> = Vec::new();
    let mut now = 0;
    for (gap, key, value) in steps {
        now += gap;
        let key = u64::from(*key);
        while let Some((time, key, value)) = within.first().copied().filter(|(time, ..)| *time < now - difference) {
            running.leave(&key, time, &of(value));
            within.remove(0);
        }
        // One row for a key and time.
        if !within.iter().any(|(time, other, _)| (*time, *other) == (now, key)) {
            running.enter(&key, now, &of(*value), bytes_max).unwrap();
            within.push((now, key, *value));
        }
        for key in 0..3 {
            let rows = within.iter().filter(|(_, other, _)| *other == key);
            let naive = rows.map(|(.., value)| of(*value)).reduce(|mut merged, value| {
                merged.merge(&value);
                merged
            });
            let look_up =
                |time| within.iter().find(|(at, other, _)| (*at, *other) == (time, key)).map(|(.., value)| of(*value));
            assert_eq!(running.value(&key, look_up), naive);
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<(i64, u8, i64)>> {
    let gap = prop_oneof![8 => 0i64..4, 1 => 0i64..40];
    prop::collection::vec((gap, 0..3_u8, -9i64..9), 0..120)
}

proptest! {
    #[test]
    fn a_running_total_equals_a_naive_merge(steps in steps(), difference in 0..30_i64) {
        runs_as_defined(&steps, difference, 0, one);
    }

    #[test]
    fn values_equal_a_naive_merge_whatever_room_there_is(
        steps in steps(), difference in 0..30_i64, room in prop_oneof![Just(0), 0..3_000_usize, Just(1 << 20)],
    ) {
        runs_as_defined(&steps, difference, room, maximum);
    }
}
