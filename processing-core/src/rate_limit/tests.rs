//! The last word of each key, case by case.
//!
//! Not here: how far words lie apart (`worker/limiting.rs`). Invariant: each case holds with a crash before every line and at
//! every stage of every commit.

use serde::{Deserialize, Serialize};

use crate::prelude::*;
use crate::testing::script::check;

#[derive(Clone, Serialize, Deserialize)]
struct Click {
    at: i64,
    user: String,
    page: String,
}

/// The last page of each user until it says goodbye, and pages of two tables side by side.
fn shown() -> Plan {
    let app = Topology::named("shown");
    app.stream(Topic::<Json<Click>>::json("clicks"))
        .event_time(|click| EventTime(click.at))
        .already_keyed_by(|click| click.user.clone())
        .reduce_table("last", |_, click| (click.page != "bye").then_some(click))
        .on_update(|rows| {
            let rows = rows.rate_limit("shown", DurationMs::seconds(5));
            rows.map(|row| row.map(|click| click.page)).to_table(Topic::json("page").compacted())
        });
    let names = app.table::<String, _>(Topic::<Json<String>>::json("names"));
    names
        .left_join(app.table(Topic::<Json<String>>::json("towns")), "both", |_, name, town| {
            format!("{name} of {}", town.map_or("nowhere", String::as_str))
        })
        .on_update(|rows| {
            let rows = rows.rate_limit("both-shown", DurationMs::seconds(5));
            rows.to_table(Topic::json("people").compacted())
        });
    app.build().unwrap()
}

#[test]
fn the_last_word_of_each_key_comes_and_a_tombstone_is_a_word() {
    check(
        shown,
        r#"
        in   clicks  10:00:00      ann  {"at": $ms, "user": "ann", "page": "a"}
        last page    ann  "a"
        in   clicks  10:00:01      ann  {"at": $ms, "user": "ann", "page": "b"}
        in   clicks  10:00:02      ann  {"at": $ms, "user": "ann", "page": "c"}
        in   clicks  10:00:02      bob  {"at": $ms, "user": "bob", "page": "d"}
        last page    bob  "d"
        advance 6s
        last page    ann  "c"
        in   clicks  10:00:09      bob  {"at": $ms, "user": "bob", "page": "e"}
        in   clicks  10:00:09.500  bob  {"at": $ms, "user": "bob", "page": "bye"}
        in   clicks  10:00:09.600  ann  {"at": $ms, "user": "ann", "page": "bye"}
        in   clicks  10:00:09.700  ann  {"at": $ms, "user": "ann", "page": "f"}
        advance 12s
        last page    ann  "f"
        last page    bob  null
        "#,
    );
}

#[test]
fn joined_tables_are_limited_as_well() {
    check(
        shown,
        r#"
        in   names   10:00:00  1  "ann"
        last people  1  "ann of nowhere"
        in   towns   10:00:01  1  "porto"
        in   names   10:00:02  1  "anna"
        advance 6s
        last people  1  "anna of porto"
        in   names   10:00:10  1  ~
        in   names   10:00:11  2  "bob"
        last people  2  "bob of nowhere"
        advance 6s
        last people  1  null
        "#,
    );
}
