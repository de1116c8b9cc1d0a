//! What Kafka Streams documents of a stream's join with a table (the table "KStream-KTable Join" of its developer
//! guide, and what `KStreamKTableJoinTest` pins), as scripts.
//!
//! Not here: rows with times of their own, and the grace ([`super::tests`]). Invariant: where the answer differs,
//! [`crate::compared`] says why.

use serde::{Deserialize, Serialize};

use crate::prelude::*;
use crate::testing::script::check;

#[derive(Serialize, Deserialize)]
struct Said {
    at: i64,
    k: String,
    v: String,
}

fn plan(left: bool) -> Plan {
    let app = Topology::named("enriched");
    let rows = app.table::<String, _>(Topic::<Json<String>>::json("table"));
    let stream = app.stream(Topic::<Json<Said>>::json("stream")).event_time(|said| EventTime(said.at));
    let stream = stream.already_keyed_by(|said| said.k.clone());
    fn pair(said: &Said, row: Option<&String>) -> String {
        format!("{}{}", said.v, row.map_or("-", String::as_str))
    }
    let out = Topic::<Json<String>>::json("out");
    if left {
        stream.left_join_table(rows, "rows", |_, said, row| pair(&said, row)).to(out);
    } else {
        stream.join_table(rows, "rows", |_, said, row| pair(&said, Some(row))).to(out);
    }
    app.build().unwrap()
}

/// `S 3 A` is a record of the stream in the third second, `T 4 a` an update of the table, `-` no value, and a line of
/// one word what comes out; `left A-` comes out of the left join alone.
fn script(text: &str, left: bool) -> String {
    let lines = text.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["S", second, "-"] => format!("in stream 10:00:{second} k ~"),
            ["S", second, v] => format!(r#"in stream 10:00:{second} k {{"at": $ms, "k": "k", "v": "{v}"}}"#),
            ["T", second, "-"] => format!("in table 10:00:{second} k ~"),
            ["T", second, v] => format!(r#"in table 10:00:{second} k "{v}""#),
            ["left", _] if !left => String::new(),
            ["left", pair] => format!("out out k \"{pair}\""),
            [pair] if *pair != "crash" => format!("out out k \"{pair}\""),
            _ => line.trim().to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn holds(text: &str) {
    for left in [false, true] {
        check(|| plan(left), &script(text, left));
    }
}

/// The guide's table, record by record. What comes out is the same; when it comes is later: not before the table has
/// passed the record's time, because what is still on its way there might be what was true then.
#[test]
fn the_documented_table_holds_for_each_kind() {
    holds(
        "
        S 01 -
        dead tombstone
        T 02 -
        S 03 A
        T 04 a
        left A-
        S 05 B
        T 06 b
        Ba
        S 07 -
        dead tombstone
        T 08 -
        S 09 C
        T 10 c
        left C-
        T 11 -
        S 12 -
        dead tombstone
        T 13 -
        T 14 d
        S 15 D
        T 16 e
        Dd",
    );
}

/// `shouldNotJoinOnTableUpdates`, `shouldClearTableEntryOnNullValueUpdates`.
#[test]
fn updates_bring_nothing_out_and_a_tombstone_takes_the_row_away() {
    holds(
        "
        T 01 a
        T 02 b
        S 03 A
        T 04 -
        Ab
        crash
        S 05 B
        T 06 c
        left B-
        T 07 d
        T 08 e",
    );
}

/// `shouldHandleLateJoinsWithGracePeriod`, and what a plain table answers there: with the row that is there now.
#[test]
fn a_record_out_of_order_meets_the_row_of_its_time() {
    let plan = || {
        let app = Topology::named("enriched");
        let rows = app.table::<String, _>(Topic::<Json<String>>::json("table")).grace(DurationMs::seconds(10));
        app.stream(Topic::<Json<Said>>::json("stream"))
            .event_time(|said| EventTime(said.at))
            .already_keyed_by(|said| said.k.clone())
            .join_table(rows, "rows", |_, said, row| format!("{}{row}", said.v))
            .to(Topic::json("out"));
        app.build().unwrap()
    };
    check(
        plan,
        r#"
        in   table   10:00:01  k  "a"
        in   table   10:00:05  k  "b"
        in   stream  10:00:12  k  {"at": $ms, "k": "k", "v": "A"}
        in   stream  10:00:13  k  {"at": $ms(10:00:03), "k": "k", "v": "B"}
        in   stream  10:00:13  k  {"at": $ms(10:00:01.999), "k": "k", "v": "C"}
        late {"at": $ms(10:00:01.999), "k": "k", "v": "C"}
        # The grace holds records back until nobody can come before them, and so does the table until it has come further.
        in   stream  10:00:30  k  {"at": $ms, "k": "k", "v": "D"}
        out  out  k  "Ba"
        in   table   10:00:20  k  "c"
        out  out  k  "Ab"
        "#,
    );
}
