//! The documented cases of Kafka Streams' stream-stream joins, one by one, and the edges of every bound.

use serde::{Deserialize, Serialize};

use crate::dsl::{Grouped, Stream, Topic, Topology};
use crate::prelude::*;
use crate::testing::script::check;

#[derive(Clone, Serialize, Deserialize)]
struct Said {
    at: i64,
    k: String,
    v: String,
}

fn at(said: &Said) -> EventTime {
    EventTime(said.at)
}

fn k(said: &Said) -> String {
    said.k.clone()
}

fn pair(left: Option<&Said>, right: Option<&Said>) -> String {
    let name = |said: Option<&Said>| said.map_or_else(|| "-".to_owned(), |said| said.v.clone());
    format!("{}{}", name(left), name(right))
}

fn topic(name: &str) -> Topic<Json<Said>> {
    Topic::json(name)
}

/// Which join, over streams that come keyed or are grouped anew.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Inner,
    Left,
    Outer,
}

fn plan(kind: Kind, window: JoinWindow, keyed: bool) -> Plan {
    let app = Topology::named("pairs");
    let out = Topic::<Json<String>>::json("pairs");
    let (left, right) = (app.stream(topic("left")).event_time(at), app.stream(topic("right")).event_time(at));
    match (kind, keyed) {
        (Kind::Inner, true) => {
            let right = right.already_keyed_by(k);
            left.already_keyed_by(k).join(right, window, "s", |_, l, r| pair(Some(l), Some(r))).to(out);
        }
        (Kind::Inner, false) => {
            left.key_by(k).join(right.key_by(k), window, "s", |_, l, r| pair(Some(l), Some(r))).to(out);
        }
        (Kind::Left, true) => {
            let right = right.already_keyed_by(k);
            left.already_keyed_by(k).left_join(right, window, "s", |_, l, r| pair(Some(l), r)).to(out);
        }
        (Kind::Left, false) => {
            left.key_by(k).left_join(right.key_by(k), window, "s", |_, l, r| pair(Some(l), r)).to(out);
        }
        (Kind::Outer, true) => {
            let right = right.already_keyed_by(k);
            left.already_keyed_by(k).outer_join(right, window, "s", |_, l, r| pair(l, r)).to(out);
        }
        (Kind::Outer, false) => {
            left.key_by(k).outer_join(right.key_by(k), window, "s", |_, l, r| pair(l, r)).to(out);
        }
    }
    app.build().unwrap()
}

/// Puts events in the place of `L` and `R`: `L 10:00:03 A` is a left record of key k, `L/z 10:00 A` of key z.
fn script(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [side, time, value] if side.starts_with(['L', 'R']) => {
                let (side, key) = side.split_once('/').unwrap_or((side, "k"));
                let topic = if side == "L" { "left" } else { "right" };
                format!(r#"in {topic} {time} {key} {{"at": $ms, "k": "{key}", "v": "{value}"}}"#)
            }
            [pair] if *pair != "crash" => format!(r#"out pairs "{pair}""#),
            _ => line.trim().to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn holds(kinds: &[Kind], window: JoinWindow, text: &str) {
    for kind in kinds {
        for keyed in [true, false] {
            check(|| plan(*kind, window, keyed), &script(text));
        }
    }
}

const ALL: [Kind; 3] = [Kind::Inner, Kind::Left, Kind::Outer];

fn seconds(n: i64) -> DurationMs {
    DurationMs::seconds(n)
}

/// The table of "KStream-KStream join semantics" in the documentation of Kafka Streams. What it calls null is a
/// tombstone here: it goes to the dead letters where its topic's codec takes none, and neither joins nor is alone.
#[test]
fn the_documented_table_holds_for_each_kind() {
    let table = "
        in left 10:00:01 k ~
        dead tombstone
        in right 10:00:02 k ~
        dead tombstone
        L 10:00:03 A
        R 10:00:04 a
        Aa
        L 10:00:05 B
        Ba
        R 10:00:06 b
        Ab
        Bb
        in left 10:00:07 k ~
        dead tombstone
        in right 10:00:08 k ~
        dead tombstone
        L 10:00:09 C
        Ca
        Cb
        R 10:00:10 c
        Ac
        Bc
        Cc
        in right 10:00:13 k ~
        dead tombstone
        R 10:00:14 d
        Ad
        Bd
        Cd
        L 10:00:15 D
        Da
        Db
        Dc
        Dd
        # Everybody has had a partner: nothing comes when time moves on.
        L/z 12:00 Z
        R/z 12:00 z
        Zz";
    holds(&ALL, JoinWindow::around(DurationMs::minutes(5)), table);
}

#[test]
fn a_window_holds_both_its_ends_and_nothing_beyond() {
    let window = JoinWindow::within(seconds(10), seconds(20)).grace(seconds(60));
    let text = "
        L 10:01:00 A
        R 10:00:49.999 a
        R 10:00:50 b
        Ab
        R 10:01:20 c
        Ac
        R 10:01:20.001 d
        R 10:01:00 e
        Ae";
    holds(&[Kind::Inner], window, text);
    // The other way round: the right one is there first.
    let text = "
        R 10:01:00 a
        L 10:00:39.999 A
        L 10:00:40 B
        Ba
        L 10:01:10 C
        Ca
        L 10:01:10.001 D
        L 10:01:00 E
        Ea";
    holds(&[Kind::Inner], window, text);
}

#[test]
fn without_a_span_only_the_same_moment_joins() {
    let text = "
        L 10:00:00.001 A
        R 10:00:00.001 a
        Aa
        R 10:00:00.002 b
        L 10:00:00.003 B
        L 10:00:00.003 C
        R 10:00:00.003 c
        Bc
        Cc";
    holds(&[Kind::Inner], JoinWindow::around(seconds(0)), text);
}

#[test]
fn who_has_no_partner_comes_out_once_strictly_after_bound_and_grace() {
    let window = JoinWindow::within(seconds(5), seconds(10)).grace(seconds(3));
    // A is due at 10:00:10 and goes strictly after 10:00:13, by the slower side's time.
    let text = "
        L 10:00:00 A
        L/z 10:00:13 Y
        R/z 10:01:00 y
        L/z 10:00:13.001 Z
        A-
        crash
        L/z 10:00:20 X";
    holds(&[Kind::Left, Kind::Outer], window, text);
    holds(&[Kind::Inner], window, &text.replace("        A-\n", ""));
    // a is due at 10:00:05 and goes strictly after 10:00:08.
    let text = "
        R 10:00:00 a
        R/z 10:00:08 y
        L/z 10:00:30 Y
        R/z 10:00:08.001 z
        -a
        L/z 10:00:30 X";
    holds(&[Kind::Outer], window, text);
    holds(&[Kind::Inner, Kind::Left], window, &text.replace("        -a\n", ""));
}

#[test]
fn a_jump_in_time_tells_everybody_once_in_the_order_of_their_end() {
    let window = JoinWindow::within(seconds(5), seconds(10));
    let text = "
        L 10:00:00 A
        L 10:00:20 B
        L 10:00:40 C
        R/z 23:00 z
        A-
        B-
        L/z 23:00 Z
        Zz
        C-";
    holds(&[Kind::Left], window, text);
    // Alone on both sides: b would be due at 10:00:06, A at 10:00:10.
    let text = "
        L 10:00:00 A
        R 10:00:20 b
        L 10:00:40 C
        A-
        R 10:00:50.001 d
        -b
        R 10:02:00 e
        L 10:02:00.001 E
        Ee
        C-
        -d";
    holds(&[Kind::Outer], window, text);
}

#[test]
fn an_old_record_joins_within_the_grace_and_is_late_after_it() {
    let window = JoinWindow::around(seconds(10)).grace(seconds(30));
    let text = r#"
        L 10:01:00 A
        R 10:01:00 a
        Aa
        # Exactly the grace behind its own partition.
        L 10:00:30 B
        R 10:00:30 b
        Bb
        L 10:00:29.999 C
        late {"at": $ms(10:00:29.999), "k": "k", "v": "C"}
        R 10:00:29.999 c
        late {"at": $ms(10:00:29.999), "k": "k", "v": "c"}
        # Another partition's time makes nothing late.
        L 10:05:00 D
        R 10:00:35 e
        Be"#;
    holds(&[Kind::Inner], window, text);
    let text = text.replace("        L 10:05:00 D\n", "");
    holds(&ALL, window, &text);
}

#[test]
fn keys_meet_whatever_partitions_they_come_from() {
    let text = r#"
        topic left 3
        topic right 2
        in left/0  10:00:00 x {"at": $ms, "k": "k", "v": "A"}
        in left/2  10:00:01 y {"at": $ms, "k": "k", "v": "B"}
        in right/1 10:00:02 z {"at": $ms, "k": "k", "v": "a"}
        out pairs k "Aa"
        out pairs k "Ba"
        in right/0 10:00:02 w {"at": $ms, "k": "other", "v": "b"}
        in left/1  10:00:03 -  {"at": $ms, "k": "other", "v": "C"}
        out pairs other "Cb"
    "#;
    check(|| plan(Kind::Inner, JoinWindow::around(seconds(10)), false), text);
}

/// Many records of one key in one pane stand in many rows.
#[test]
fn a_hot_key_finds_each_of_its_records() {
    let plan = || {
        let app = Topology::named("hot");
        let right = app.stream(topic("right")).event_time(at).already_keyed_by(k);
        app.stream(topic("left"))
            .event_time(at)
            .flat_map(|said: Said| (0..500).map(move |n| Said { v: format!("{n}{}", "x".repeat(40)), ..said.clone() }))
            .already_keyed_by(k)
            .left_join(right, JoinWindow::around(seconds(60)), "s", |_, left, right| {
                (left.v.clone(), right.map(|right| right.v.clone()))
            })
            .window(Tumbling::minutes(1))
            .fold("counts", (count(), sum(with_partner)))
            .on_close()
            .map(|closed| (closed.value.0.get(), closed.value.1.get() as i64))
            .to(Topic::json("counts"));
        app.build().unwrap()
    };
    fn with_partner(pair: &(String, Option<String>)) -> i64 {
        i64::from(pair.1.is_some())
    }
    let text = "
        L 10:00:00 A
        R 10:00:10 a
        R 10:00:20 b
        L/other 10:10:00 B
        R/other 10:30:00 c
        out counts k [1000, 1000]
        L/other 10:30:00 C
        out counts other [500, 0]
        L/other 10:40:00 D
        R/other 10:40:00 d
        out counts other [500, 500]";
    check(plan, &script(text));
}

#[derive(Serialize, Deserialize)]
struct Ended {
    kind: String,
    of: String,
}

fn exchanges(within: JoinWindow, keyed: bool) -> Plan {
    fn said<P, O>(
        stream: Stream<P, O>,
    ) -> Stream<impl crate::process::Pipe<Key = String, Value = Ended, Head = P::Head>, O>
    where
        P: crate::process::Pipe<Key = String, Value = Exchange<Said, Said>>,
    {
        stream.map(|exchange| {
            let (kind, of) = match exchange {
                Exchange::Answered { request, answer } => ("answered", format!("{}{}", request.v, answer.v)),
                Exchange::TimedOut(request) => ("timed out", request.v),
                Exchange::Unasked(answer) => ("unasked", answer.v),
                Exchange::RequestedAgain(request) => ("requested again", request.v),
                Exchange::AnsweredAgain(answer) => ("answered again", answer.v),
            };
            Ended { kind: kind.to_owned(), of }
        })
    }
    let app = Topology::named("exchanges");
    let (left, right) = (app.stream(topic("left")).event_time(at), app.stream(topic("right")).event_time(at));
    if keyed {
        let right = right.already_keyed_by(k);
        said(left.already_keyed_by(k).answered_by(right, within, "waiting")).to(Topic::json("ended"));
    } else {
        let (left, right): (Grouped<_, _>, Grouped<_, _>) = (left.key_by(k), right.key_by(k));
        said(left.answered_by(right, within, "waiting")).to(Topic::json("ended"));
    }
    app.build().unwrap()
}

#[test]
fn a_request_has_one_answer_or_times_out_and_nothing_is_dropped_silently() {
    let text = r#"
        L 10:00:00 A
        R 10:00:10 a
        out ended k {"kind": "answered", "of": "Aa"}
        # Both are too many: whoever waits for A has been told.
        R 10:00:11 b
        out ended k {"kind": "answered again", "of": "b"}
        L 10:00:12 B
        out ended k {"kind": "requested again", "of": "B"}
        # The timeout is 30 s, both ends included.
        L/x 10:01:00 C
        R/x 10:01:30 c
        out ended x {"kind": "answered", "of": "Cc"}
        L/y 10:02:00 D
        R/y 10:02:30.001 d
        L/z 10:02:35 Z
        R/z 10:02:36 z
        out ended z {"kind": "answered", "of": "Zz"}
        # D times out strictly after 10:02:35; d waits for a request that may still come, with the grace of 5 s.
        L/z 10:02:35.002 Y
        out ended z {"kind": "requested again", "of": "Y"}
        out ended y {"kind": "timed out", "of": "D"}
        out ended y {"kind": "unasked", "of": "d"}
        # After the whole window the name can be used again.
        L 10:03:00 E
        R 10:03:05 e
        out ended k {"kind": "answered", "of": "Ee"}
    "#;
    for keyed in [true, false] {
        let within = JoinWindow::within(seconds(0), seconds(30)).grace(seconds(5));
        check(|| exchanges(within, keyed), &script(text));
    }
}

#[test]
fn a_join_window_that_cannot_be_is_told_when_the_topology_is_built() {
    let app = Topology::named("wrong");
    let window = JoinWindow::around(seconds(-1));
    let (left, right) = (app.stream(topic("left")).event_time(at), app.stream(topic("right")).event_time(at));
    left.key_by(k).join(right.key_by(k), window, "s", |_, l, _| l.v.clone()).to(Topic::json("out"));
    let told = app.build().err().map(|error| error.to_string()).unwrap_or_default();
    assert!(told.contains("-1000 ms"), "{told}");
}

#[test]
fn a_name_is_used_for_one_repartition_only() {
    let app = Topology::named("twice");
    let stream = |name| app.stream(topic(name)).event_time(at).key_by(k);
    stream("left").repartition("same").map(|said| said.v).to(Topic::json("a"));
    stream("right").repartition("same").map(|said| said.v).to(Topic::json("b"));
    let told = app.build().err().map(|error| error.to_string()).unwrap_or_default();
    assert!(told.contains("twice-same-repartition"), "{told}");
}

/// Behind a repartition a record is as late as it was at its source, whoever else is how far.
#[test]
fn what_goes_through_a_repartition_is_judged_by_its_source() {
    let plan = || {
        let app = Topology::named("through");
        app.stream(topic("left"))
            .event_time(at)
            .key_by(k)
            .repartition("by-key")
            .window(Tumbling::seconds(10))
            .fold("counts", count())
            .on_close()
            .map(|closed| closed.value.get())
            .to(Topic::json("counts"));
        app.build().unwrap()
    };
    let text = r#"
        topic left 2
        in left/0 10:00:05 k {"at": $ms, "k": "k", "v": "a"}
        in left/0 10:00:30 k {"at": $ms, "k": "k", "v": "b"}
        # Its own partition has not come so far: it counts.
        in left/1 10:00:07 k {"at": $ms, "k": "k", "v": "c"}
        in left/1 10:00:11 k {"at": $ms, "k": "k", "v": "d"}
        out counts k 2
        in left/1 10:00:29 k {"at": $ms, "k": "k", "v": "e"}
        out counts k 1
    "#;
    check(plan, text);
}
