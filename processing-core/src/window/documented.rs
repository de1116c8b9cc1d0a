//! What Kafka Streams documents of tumbling and hopping windows (its developer guide, the Javadoc of `TimeWindows`,
//! and what `KStreamWindowAggregateTest` and `SuppressScenarioTest` pin), as scripts.
//!
//! Not here: the arithmetic of windows ([`super::tests`]). Invariant: where the answer differs,
//! [`crate::compared`] says why.

use serde::{Deserialize, Serialize};

use crate::prelude::*;
use crate::testing::script::check;

/// Ten o'clock of the scripts' day: a multiple of every size here.
const TEN: i64 = 1_767_261_600_000;

#[derive(Serialize, Deserialize)]
struct Event {
    at: i64,
    k: String,
    n: i64,
}

/// Counts and sums per key and window, in the task that reads or by way of a repartition topic.
fn plan(windows: impl Windowing, shuffled: bool) -> Plan {
    fn said(closed: Closed<(Count, Sum)>) -> String {
        let (start, end) = (closed.window.start.0 - TEN, closed.window.end.0 - TEN);
        format!("{start}/{end} {} {}", closed.value.0.get(), closed.value.1.get())
    }
    let app = Topology::named("windows");
    let events = app.stream(Topic::<Json<Event>>::json("events")).event_time(|event| EventTime(event.at));
    let fold = (count(), sum(|event: &Event| event.n));
    if shuffled {
        let closed = events.key_by(|event| event.k.clone()).window(windows).fold("counts", fold).on_close();
        closed.map(said).to(Topic::json("counts"));
    } else {
        let closed = events.already_keyed_by(|event| event.k.clone()).window(windows).fold("counts", fold).on_close();
        closed.map(said).to(Topic::json("counts"));
    }
    app.build().unwrap()
}

/// `k@5 2` is an event of key k, five milliseconds after ten, of the amount 2 (or 1); `late k@5` is that it was late;
/// `-> k 0/10 3 4` is a window of three events that amount to four.
fn script(text: &str) -> String {
    let event = |word: &str, n: &str| {
        let (key, at) = word.split_once('@').unwrap();
        let at = TEN + at.parse::<i64>().unwrap();
        (at, key.to_owned(), format!(r#"{{"at": {at}, "k": "{key}", "n": {n}}}"#))
    };
    let lines = text.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["late", said] => format!("late {}", event(said, "1").2),
            ["->", key, window @ ..] => format!("out counts {key} \"{}\"", window.join(" ")),
            [said, n @ ..] if said.contains('@') => {
                let (at, key, json) = event(said, n.first().unwrap_or(&"1"));
                format!("in events {at} {key} {json}")
            }
            _ => line.trim().to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn holds<W: Windowing>(windows: impl Fn() -> W, text: &str) {
    for shuffled in [false, true] {
        check(|| plan(windows(), shuffled), &script(text));
    }
}

fn ms(n: i64) -> DurationMs {
    DurationMs(n)
}

/// The guide: tumbling windows of 5000 ms are [0;5000), [5000;10000), and not [1000;6000).
#[test]
fn a_tumbling_window_holds_its_beginning_and_not_its_end() {
    holds(
        || Tumbling::millis(5_000),
        "
        a@0
        a@4999
        a@5000
        -> a 0/5000 2 2
        a@9999
        b@10000
        -> a 5000/10000 2 2",
    );
}

/// The guide: hopping windows of 5000 ms that advance by 3000 ms are [0;5000), [3000;8000), ...
#[test]
fn an_event_is_in_every_hopping_window_that_holds_it() {
    holds(
        || Hopping::new(ms(5_000), ms(3_000)),
        "
        a@2999
        a@3000
        a@4999
        z@20000
        -> a 0/5000 3 3
        -> a 3000/8000 2 2",
    );
}

/// `KStreamWindowAggregateTest`: each event into two windows, three of them out of order. There every event brings
/// two updates out; the last one of each window is what comes here.
#[test]
fn hopping_windows_of_several_keys_and_events_out_of_order() {
    holds(
        || Hopping::new(ms(10), ms(5)).grace(ms(20)),
        "
        A@0 1
        B@1 2
        C@2 3
        D@3 4
        A@4 1
        A@5 1
        B@6 2
        D@7 4
        B@8 2
        C@9 3
        A@10 1
        B@11 2
        D@12 4
        B@13 2
        C@14 3
        B@3 1
        B@2 2
        B@9 3
        Z@1000
        -> A -5/5 2 2
        -> B -5/5 3 5
        -> C -5/5 1 3
        -> D -5/5 1 4
        -> A 0/10 3 3
        -> B 0/10 6 12
        -> C 0/10 2 6
        -> D 0/10 2 8
        -> A 5/15 2 2
        -> B 5/15 5 11
        -> C 5/15 2 6
        -> D 5/15 2 8
        -> A 10/20 1 1
        -> B 10/20 2 4
        -> C 10/20 1 3
        -> D 10/20 1 4",
    );
}

/// `SuppressScenarioTest`: `untilWindowCloses` is what `on_close` is here.
#[test]
fn a_window_is_told_once_when_its_grace_is_over() {
    holds(
        || Tumbling::millis(2).grace(ms(1)),
        "
        k1@0
        k1@1
        k1@2
        k1@1
        k1@0
        k1@5
        -> k1 0/2 4 4
        -> k1 2/4 1 1
        # There it is dropped.
        k1@0
        late k1@0",
    );
    holds(
        || Tumbling::millis(2).grace(ms(2)),
        "
        k1@0
        k1@1
        k1@2
        k1@0
        k1@3
        k1@0
        k1@4
        -> k1 0/2 4 4
        k1@0
        late k1@0
        k1@30
        -> k1 2/4 2 2
        -> k1 4/6 1 1",
    );
}

/// `shouldLogAndMeterWhenSkippingExpiredWindowByGrace`: a window ends for good when stream time reaches its end and
/// the grace.
#[test]
fn a_window_is_over_at_its_end_and_the_grace() {
    holds(
        || Tumbling::millis(10).grace(ms(90)),
        "
        k@200
        k@100
        late k@100
        k@109
        late k@109
        crash
        k@109
        late k@109
        k@110
        Z@1000
        -> k 110/120 1 1
        -> k 200/210 1 1",
    );
}

/// `shouldLogAndMeterWhenSkippingExpiredWindow`: of the windows of one event, some may be over.
#[test]
fn an_event_counts_in_those_of_its_windows_that_are_not_over() {
    holds(
        || Hopping::new(ms(10), ms(5)).grace(ms(90)),
        "
        k@200
        k@104
        late k@104
        k@106
        Z@1000
        -> k 105/115 1 1
        -> k 195/205 1 1
        -> k 200/210 1 1",
    );
}

/// `TimeWindowedKStreamIntegrationTest` expects four results where six windows closed: its emission on close looks
/// back no further than the store's retention, once a second.
#[test]
fn no_window_is_lost_when_time_jumps() {
    holds(
        || Tumbling::millis(1_000).grace(ms(100)),
        "
        a@0
        b@1000
        c@2000
        -> a 0/1000 1 1
        b@3500
        -> b 1000/2000 1 1
        -> c 2000/3000 1 1
        z@86400000
        -> b 3000/4000 1 1
        crash
        z@259200000
        -> z 86400000/86401000 1 1",
    );
}

/// There the task's time is lost with its process, so that the event would be taken in again (KAFKA-20099).
#[test]
fn what_is_late_is_late_after_a_restart() {
    holds(
        || Tumbling::millis(1_000),
        "
        a@0
        a@1500
        -> a 0/1000 1 1
        crash
        a@999
        late a@999",
    );
}

/// Without input no window closes, there or here; where it is silent only in one partition, it does here.
#[test]
fn time_stands_still_without_input_and_follows_who_still_speaks() {
    holds(
        || Tumbling::millis(1_000),
        "
        a@0
        advance 1d",
    );
    let both = script(
        r#"
        set idle 100ms
        topic events 2
        in events/0 1767261600000 a {"at": 1767261600000, "k": "a", "n": 1}
        in events/1 1767261600000 b {"at": 1767261600000, "k": "b", "n": 1}
        advance 1h
        in events/0 1767265200000 a {"at": 1767265200000, "k": "a", "n": 1}
        # A worker that dies now finds both silent, and time stands still until one speaks again.
        in events/0 1767265200500 a {"at": 1767265200500, "k": "a", "n": 1}
        last counts a "0/1000 1 1"
        last counts b "0/1000 1 1""#,
    );
    for shuffled in [false, true] {
        check(|| plan(Tumbling::millis(1_000), shuffled), &both);
    }
}

/// There nothing closes any more until somebody writes; here the clock goes on where the settings say so.
#[test]
fn time_goes_on_with_the_clock_where_everything_is_silent() {
    let text = script(
        r#"
        set idle 100ms
        set close 10m
        topic events 2
        in events/0 1767261600000 a {"at": 1767261600000, "k": "a", "n": 1}
        # Not yet ten minutes.
        advance 50s
        in events/1 1767261651000 b {"at": 1767261600500, "k": "b", "n": 2}
        last counts a -
        advance 20m
        last counts a "0/1000 1 1"
        last counts b "0/1000 1 2"
        # The clock has closed windows up to ten minutes ago, and no later ones.
        in events/0 1767268800000 a {"at": 1767268760000, "k": "a", "n": 1}
        in events/0 1767268801000 a {"at": 1767267000000, "k": "a", "n": 1}
        late {"at": 1767267000000, "k": "a", "n": 1}
        advance 20m
        last counts a "7160000/7161000 1 1"
        advance 10d"#,
    );
    for shuffled in [false, true] {
        check(|| plan(Tumbling::millis(1_000), shuffled), &text);
    }
}

/// There it takes the time of its partition along, and whatever comes after it is late (KAFKA-8769).
#[test]
fn an_event_of_the_far_future_closes_nothing() {
    holds(
        || Tumbling::millis(1_000),
        r#"
        a@0
        in events 1767261600000 a {"at": 1767348000000, "k": "a", "n": 1}
        dead future
        b@10
        z@1000
        -> a 0/1000 1 1
        -> b 0/1000 1 1"#,
    );
}

/// "Records with `null` key or value are ignored." Here the key is what the topology finds in the value.
#[test]
fn a_record_without_a_key_counts_and_one_without_a_value_is_a_dead_letter() {
    holds(
        || Tumbling::millis(1_000),
        r#"
        in events 1767261600000 - {"at": $ms, "k": "a", "n": 1}
        in events 1767261600000 a ~
        dead tombstone
        z@1000
        -> a 0/1000 1 1"#,
    );
}
