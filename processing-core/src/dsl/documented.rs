//! What Kafka Streams documents of stateless steps (its developer guide, and what `KStreamFilterTest`,
//! `KStreamFlatMapTest` and `KStreamSplitTest` pin), as scripts.
//!
//! Not here: what keeps state. Invariant: where the answer differs, [`crate::compared`] says why.

use serde::{Deserialize, Serialize};

use super::{Stream, Topic, Topology};
use crate::prelude::*;
use crate::process::Pipe;
use crate::testing::script::check;

#[derive(Clone, Serialize, Deserialize)]
struct Event {
    at: i64,
    n: i64,
}

fn events(
    app: &Topology,
    topic: &str,
) -> Stream<impl Pipe<Key = i64, Value = i64, Head = crate::process::Sources>, ()> {
    let events = app.stream(Topic::<Json<Event>>::json(topic)).event_time(|event| EventTime(event.at));
    events.map(|event| event.n).already_keyed_by(|n| *n)
}

fn numbers(topic: &str) -> Topic<Json<i64>> {
    Topic::json(topic)
}

/// Lines `in events` of these numbers, each followed by what it brings.
fn script(numbers: impl IntoIterator<Item = i64>, brings: impl Fn(i64) -> Vec<String>) -> String {
    let mut text = String::new();
    for n in numbers {
        text += &format!("in events 10:00:0{n} {n} {{\"at\": $ms, \"n\": {n}}}\n");
        brings(n).into_iter().for_each(|line| text += &format!("{line}\n"));
    }
    text
}

#[test]
fn a_filter_keeps_what_it_is_told_to() {
    let plan = || {
        let app = Topology::named("filtered");
        events(&app, "events").filter(|n| n % 3 == 0).to(numbers("out"));
        app.build().unwrap()
    };
    let kept = |n| (n % 3 == 0).then(|| format!("out out {n} {n}")).into_iter().collect();
    check(plan, &script(1..=7, kept));
}

/// From one record any number, of its key and its time.
#[test]
fn a_record_becomes_none_one_or_many() {
    let plan = || {
        let app = Topology::named("flat");
        events(&app, "events").flat_map(|n| (0..n).map(move |part| n * 10 + part)).to(numbers("out"));
        app.build().unwrap()
    };
    check(plan, &script(0..=3, |n| (0..n).map(|part| format!("out out {n} {}", n * 10 + part)).collect()));
}

/// `KStreamSplitTest`: "assigned to the first branch whose predicate evaluates to true"; who fits nowhere is dropped
/// unless there is a default branch.
#[test]
fn a_record_goes_to_the_first_branch_that_takes_it_or_to_none() {
    let plan = || {
        let app = Topology::named("split");
        events(&app, "events")
            .split()
            .branch(|n| n % 2 == 0, |even| even.to(numbers("x2")))
            .branch(|n| n % 3 == 0, |threes| threes.to(numbers("x3")))
            .branch(|n| n % 5 == 0, |fives| fives.to(numbers("x5")))
            .rest()
            .end();
        app.build().unwrap()
    };
    let taken = |n: i64| {
        let branch = [2, 3, 5].into_iter().find(|divisor| n % divisor == 0);
        branch.map(|divisor| format!("out x{divisor} {n} {n}")).into_iter().collect()
    };
    check(plan, &script(1..=7, taken));
}

/// "The input stream's order is kept, and there is none between the streams."
#[test]
fn merged_streams_are_one() {
    let plan = || {
        let app = Topology::named("merged");
        let more = events(&app, "more").filter(|n| *n > 5);
        events(&app, "events").merge(more).to(numbers("out"));
        app.build().unwrap()
    };
    check(
        plan,
        r#"
        in   events  10:00:01  1  {"at": $ms, "n": 1}
        out  out  1  1
        in   more    10:00:02  7  {"at": $ms, "n": 7}
        out  out  7  7
        in   more    10:00:03  2  {"at": $ms, "n": 2}
        in   events  10:00:04  1  {"at": $ms, "n": 1}
        out  out  1  1
        "#,
    );
}

/// `selectKey` marks the stream, and whoever needs the key repartitions it; here the word does it, or `repartition`.
#[test]
fn another_key_is_another_partition() {
    let plan = || {
        let app = Topology::named("keyed");
        let events = app.stream(Topic::<Json<Event>>::json("events")).event_time(|event| EventTime(event.at));
        events.map(|event| event.n).key_by(|n| n % 2).repartition("by-parity").to(numbers("out"));
        app.build().unwrap()
    };
    check(
        plan,
        r#"
        topic events 3
        in   events/0  10:00:01  -  {"at": $ms, "n": 1}
        out  out  1  1
        in   events/1  10:00:02  -  {"at": $ms, "n": 3}
        out  out  1  3
        # Its partition is behind: there is no order between partitions, and nothing is late for a step without state.
        in   events/2  10:00:01  -  {"at": $ms, "n": 5}
        out  out  1  5
        in   events/2  09:00:00  -  {"at": $ms, "n": 7}
        out  out  1  7
        in   events/0  10:00:03  -  {"at": $ms, "n": 2}
        out  out  0  2
        "#,
    );
}

/// `LogAndContinueExceptionHandler` drops it, and the default handler stops the application.
#[test]
fn what_cannot_be_read_is_a_dead_letter_and_the_stream_goes_on() {
    let plan = || {
        let app = Topology::named("poisoned");
        events(&app, "events").to(numbers("out"));
        app.build().unwrap()
    };
    check(
        plan,
        r#"
        in   events  10:00:01  1  {"at": "noon"}
        dead json
        in   events  10:00:02  2  {"at": $ms, "n": 2}
        out  out  2  2
        "#,
    );
}
