//! The documented cases of joins of tables, one by one.
//!
//! Not here: chance (the simulator). Invariant: where the answer is not that of Kafka Streams, the case says so.
//!
//! | case | Kafka Streams | here, and why |
//! |---|---|---|
//! | updates and tombstones of either side, one after the other | its developer guide's table, which is [`DOCUMENTED`] | the same |
//! | several updates of a key within one commit | each is told, unless a cache holds it back | the last one is told: what comes between hangs on how two topics are read |
//! | an update whose time is before its row's | plain tables: replaces the row; versioned ones: does not | replaces the row: the log's order decides, and the result takes the later of both sides' times |
//! | update without a key | dropped, counted | dead letter |
//! | a tombstone for a key that had no result | none is sent, says the guide; the code may send one | none |
//! | topics that are split differently | an exception at start | refused at start, with both counts and the remedy |

use serde::{Deserialize, Serialize};

use crate::prelude::*;
use crate::testing::script::{check, try_check};

/// Side and value of an update, and what inner, left and outer join say to it; `""` is a tombstone, `"-"` nothing.
type Case = (&'static str, &'static str, [&'static str; 3]);

/// The table of Kafka Streams' developer guide, "KTable-KTable join", line by line.
const DOCUMENTED: &[Case] = &[
    ("left", "", ["-", "-", "-"]),
    ("right", "", ["-", "-", "-"]),
    ("left", "A", ["-", "A+", "A+"]),
    ("right", "a", ["A+a", "A+a", "A+a"]),
    ("left", "B", ["B+a", "B+a", "B+a"]),
    ("right", "b", ["B+b", "B+b", "B+b"]),
    ("left", "", ["", "", "+b"]),
    ("right", "", ["-", "-", ""]),
    ("left", "C", ["-", "C+", "C+"]),
    ("right", "c", ["C+c", "C+c", "C+c"]),
    ("right", "", ["", "C+", "C+"]),
    ("left", "", ["-", "", ""]),
    ("right", "", ["-", "-", "-"]),
    ("right", "d", ["-", "-", "+d"]),
    ("left", "D", ["D+d", "D+d", "D+d"]),
];

fn said(left: Option<&String>, right: Option<&String>) -> String {
    let word = |side: Option<&String>| side.cloned().unwrap_or_default();
    format!("{}+{}", word(left), word(right))
}

fn table(app: &Topology, topic: &str) -> crate::dsl::KeyedTable<String, Json<String>, crate::table_source::ByLog> {
    app.table(Topic::<Json<String>>::json(topic))
}

fn inner() -> Plan {
    let app = Topology::named("pair");
    let joined = table(&app, "left").join(table(&app, "right"), "both", |_, left, right| said(Some(left), Some(right)));
    joined.on_update(|rows| rows.to_table(Topic::json("out").compacted()));
    app.build().unwrap()
}

fn left() -> Plan {
    let app = Topology::named("pair");
    let joined = table(&app, "left").left_join(table(&app, "right"), "both", |_, left, right| said(Some(left), right));
    joined.on_update(|rows| rows.to_table(Topic::json("out").compacted()));
    app.build().unwrap()
}

fn outer() -> Plan {
    let app = Topology::named("pair");
    let joined = table(&app, "left").outer_join(table(&app, "right"), "both", |_, left, right| said(left, right));
    joined.on_update(|rows| rows.to_table(Topic::json("out").compacted()));
    app.build().unwrap()
}

/// The documented cases as a script for the join of this number. After each update, the last word under the key.
fn script_of(kind: usize) -> String {
    let (mut script, mut last) = (String::new(), "-".to_owned());
    for (number, (side, value, said)) in DOCUMENTED.iter().enumerate() {
        let value = if value.is_empty() { "~".to_owned() } else { format!("\"{value}\"") };
        script += &format!("in {side} 10:00:{:02} k {value}\n", number + 10);
        last = match said[kind] {
            "-" => last,
            "" => "null".to_owned(),
            word => format!("\"{word}\""),
        };
        script += &format!("last out k {last}\n");
    }
    script
}

fn holds(plan: fn() -> Plan, script: &str) {
    if let Err(failure) = try_check(plan, script) {
        panic!("{failure}\n{script}");
    }
}

#[test]
fn the_documented_cases_of_the_inner_join() {
    holds(inner, &script_of(0));
}

#[test]
fn the_documented_cases_of_the_left_join() {
    holds(left, &script_of(1));
}

#[test]
fn the_documented_cases_of_the_outer_join() {
    holds(outer, &script_of(2));
}

#[test]
fn the_order_of_the_log_decides_whatever_the_times() {
    check(
        inner,
        r#"
        in   right  10:00:00  k  "new"
        in   left   10:00:20  k  "a"
        last out    k  "a+new"
        in   right  09:00:00  k  "old"
        last out    k  "a+old"
        in   left   10:00:10  k  ~
        last out    k  null
        in   left   10:00:05  j  "b"
        last out    j  -
        in   left   10:00:21  j  ~
        # It never had a result, so there is none to take back.
        last out    j  -
        "#,
    );
}

#[test]
fn an_update_without_a_key_is_a_dead_letter_and_changes_no_row() {
    check(
        left,
        r#"
        in   left   10:00:00  k  "a"
        last out    k  "a+"
        in   right  10:00:01  -  "b"
        dead table_key
        in   right  10:00:02  k  7
        dead json
        last out    k  "a+"
        "#,
    );
}

#[derive(Clone, Serialize, Deserialize)]
struct Click {
    at: i64,
    user: String,
}

/// Users beside their cities and how often they have clicked.
fn three() -> Plan {
    let app = Topology::named("pair");
    let clicks = app
        .stream(Topic::<Json<Click>>::json("clicks"))
        .event_time(|click| EventTime(click.at))
        .already_keyed_by(|click| click.user.clone())
        .fold_table("clicks", count())
        .time_to_live(DurationMs::seconds(10));
    table(&app, "users")
        .join(table(&app, "cities"), "located", |_, user, city| format!("{user} of {city}"))
        .left_join(clicks, "clicked", |_, user, clicks| format!("{user}: {}", clicks.map_or(0, |n| n.get())))
        .on_update(|rows| rows.to_table(Topic::json("out").compacted()));
    app.build().unwrap()
}

#[test]
fn tables_of_topics_of_streams_and_of_joins_are_joined_alike() {
    check(
        three,
        r#"
        in   users   10:00:00  k  "ann"
        last out     k  -
        in   clicks  10:00:01  k  {"at": $ms, "user": "k"}
        last out     k  -
        in   cities  10:00:02  k  "porto"
        last out     k  "ann of porto: 1"
        in   clicks  10:00:03  k  {"at": $ms, "user": "k"}
        last out     k  "ann of porto: 2"
        in   cities  10:00:04  k  "faro"
        last out     k  "ann of faro: 2"
        # Her clicks are too long ago by now.
        in   clicks  10:00:30  j  {"at": $ms, "user": "j"}
        last out     k  "ann of faro: 0"
        in   cities  10:00:31  j  "braga"
        in   users   10:00:32  j  "bob"
        last out     j  "bob of braga: 1"
        in   users   10:00:33  k  ~
        last out     k  null
        "#,
    );
}

#[test]
fn tables_that_split_their_keys_differently_are_refused_with_the_remedy() {
    let failure = try_check(inner, "topic right 2\n").unwrap_err().to_string();
    let told =
        ["topics left and right", "joined", "1 and 2 partitions", "give the topics the same number of partitions"];
    assert!(told.iter().all(|part| failure.contains(part)), "{failure}");
    assert!(!failure.contains("key_by"), "tables have no such word: {failure}");
}
