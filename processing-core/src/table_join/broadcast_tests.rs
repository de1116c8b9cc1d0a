//! The documented cases of a join with a table that every task holds, one by one.
//!
//! Not here: chance (the simulator). Invariant: where the answer is not that of Kafka Streams, the case says so.
//!
//! | case | Kafka Streams' `GlobalKTable` | here, and why |
//! |---|---|---|
//! | which row a record meets | the one that the instance holds when the record is taken in: another in a replay | the one of the record's own time, in every replay: it waits until all of the table's partitions have come so far |
//! | updates of the table | emit nothing | the same |
//! | topics of different widths, a stream by another key or none | allowed | the same |
//! | a record that names no row | inner: dropped; left: joined with nothing | the same |
//! | a tombstone | the row is gone | the same, from its time on |
//! | restore | the whole topic is read again by each instance at start | each task has rows and changelog of its own |
//! | silent table | does not matter | follows the furthest of the streams that wait, by raises that are logged |

use serde::{Deserialize, Serialize};

use crate::prelude::*;
use crate::testing::script::check;

#[derive(Clone, Serialize, Deserialize)]
struct Call {
    at: i64,
    model: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Price {
    cents: u32,
}

fn said(call: &Call, price: Option<&Price>) -> String {
    let cents = price.map_or("free".to_owned(), |price| price.cents.to_string());
    format!("{} {cents}", call.model.as_deref().unwrap_or("none"))
}

/// Calls, which have no key, beside the prices of their models, by the log's time of these.
fn inner() -> Plan {
    let app = Topology::named("calls");
    let prices = app.table::<String, _>(Topic::<Json<Price>>::json("prices"));
    app.stream(Topic::<Json<Call>>::json("calls"))
        .event_time(|call| EventTime(call.at))
        .join_broadcast(prices, "prices", |call| call.model.clone(), |_, call, price| said(&call, Some(price)))
        .key_by(|_| "all".to_owned())
        .to(Topic::json("out").partitions(1));
    app.build().unwrap()
}

/// All calls, by a key of theirs, through a topic of their own, and beside two tables.
fn left() -> Plan {
    let app = Topology::named("calls");
    let prices = app.table::<String, _>(Topic::<Json<Price>>::json("prices")).grace(DurationMs::seconds(5));
    let names = app.table::<String, _>(Topic::<Json<String>>::json("names"));
    app.stream(Topic::<Json<Call>>::json("calls"))
        .event_time(|call| EventTime(call.at))
        .key_by(|_| "key".to_owned())
        .repartition("calls")
        .left_join_broadcast(prices, "prices", |call| call.model.clone(), |_, call, price| said(&call, price))
        .join_broadcast(names, "names", |_| "me".to_owned(), |key, said, name| format!("{key} {said} {name}"))
        .to(Topic::json("out"));
    app.build().unwrap()
}

#[test]
fn a_record_meets_the_row_that_it_names_as_it_was_at_its_time() {
    check(
        inner,
        r#"
        set  idle 100ms
        topic calls 3
        topic prices 2
        in   calls/0   10:00:01  -   {"at": $ms, "model": "a"}
        in   prices/0  10:00:02  a   {"cents": 5}
        in   prices/1  10:00:02  b   {"cents": 7}
        in   calls/1   10:00:03  -   {"at": $ms, "model": "a"}
        out  out       all  "a 5"
        in   calls/2   10:00:04  -   {"at": $ms, "model": "b"}
        out  out       all  "b 7"
        in   calls/2   10:00:05  -   {"at": $ms, "model": null}
        in   calls/2   10:00:05.500  -   {"at": $ms, "model": "c"}
        in   prices/0  10:00:06  a   {"cents": 6}
        in   calls/0   10:00:07  -   {"at": $ms, "model": "a"}
        out  out       all  "a 6"
        in   prices/0  10:00:08  a   ~
        in   calls/1   10:00:09  -   {"at": $ms, "model": "a"}
        in   calls/1   10:00:09.500  -   {"at": $ms, "model": "b"}
        out  out       all  "b 7"
        "#,
    );
}

#[test]
fn a_record_waits_for_all_partitions_of_a_table_that_is_not_silent() {
    check(
        inner,
        r#"
        topic calls 2
        topic prices 2
        in   prices/0  10:00:02  a   {"cents": 5}
        in   prices/1  10:00:02  b   {"cents": 7}
        in   calls/0   10:00:05  -   {"at": $ms, "model": "a"}
        in   prices/1  10:00:07  b   {"cents": 8}
        # It comes later, and was true when the call came. At one time, updates go first.
        in   prices/0  10:00:05  a   {"cents": 6}
        in   calls/1   10:00:06  -   {"at": $ms, "model": "b"}
        in   prices/0  10:00:06  a   {"cents": 9}
        out  out       all  "a 6"
        in   prices/0  10:00:08  c   {"cents": 1}
        out  out       all  "b 7"
        "#,
    );
}

#[test]
fn what_cannot_be_joined_is_a_dead_letter_and_what_names_nothing_is_left_out() {
    check(
        inner,
        r#"
        set  idle 100ms
        in   prices  10:00:00  a   {"cents": 5}
        in   prices  10:00:01  -   {"cents": 6}
        dead table_key
        in   prices  10:00:02  a   {"cents": "much"}
        dead json
        in   calls   10:00:03  -   ~
        dead tombstone
        in   calls   10:00:04  -   {"at": $ms, "model": null}
        in   calls   10:00:05  -   {"at": $ms, "model": "b"}
        in   calls   10:00:06  -   {"at": $ms, "model": "a"}
        out  out     all  "a 5"
        "#,
    );
}

#[test]
fn one_stream_stands_beside_several_tables_and_keeps_its_key() {
    check(
        left,
        r#"
        set  idle 100ms
        topic prices 3
        in   names     10:00:00  me  "ann"
        in   prices/2  10:00:01  a   {"cents": 5}
        in   calls     10:00:10  -   {"at": $ms, "model": "a"}
        in   calls     10:00:12  -   {"at": $ms, "model": null}
        in   calls     10:00:16  -   {"at": $ms, "model": "b"}
        out  out       key "key a 5 ann"
        in   calls     10:00:30  -   {"at": $ms, "model": "a"}
        out  out       key "key none free ann"
        out  out       key "key b free ann"
        in   prices/0  10:00:31  a   {"cents": 6}
        in   calls     10:00:40  -   {"at": $ms, "model": "a"}
        out  out       key "key a 5 ann"
        "#,
    );
}
