//! The documented cases of foreign-key joins, one by one: the table of Kafka Streams' developer guide, and what
//! `KTableKTableForeignKeyJoinIntegrationTest` pins.
//!
//! Not here: chance (the simulator). Invariant: where the answer differs, [`crate::compared`] says why.

use serde::{Deserialize, Serialize};

use crate::prelude::*;
use crate::testing::script::{check, try_check};

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    v: String,
    /// What it names.
    fk: Option<String>,
}

fn orders(app: &Topology) -> crate::dsl::KeyedTable<String, Json<Order>, crate::table_source::ByLog> {
    app.table(Topic::<Json<Order>>::json("left"))
}

fn inner() -> Plan {
    let app = Topology::named("foreign");
    let right = app.table::<String, _>(Topic::<Json<String>>::json("right"));
    orders(&app)
        .join_by(right, "both", |_, order| order.fk.clone(), |_, order, name| format!("{}+{name}", order.v))
        .on_update(|rows| rows.to_table(Topic::json("out").compacted()));
    app.build().unwrap()
}

fn left() -> Plan {
    let app = Topology::named("foreign");
    let right = app.table::<String, _>(Topic::<Json<String>>::json("right"));
    let join =
        |_: &String, order: &Order, name: Option<&String>| format!("{}+{}", order.v, name.map_or("", String::as_str));
    orders(&app)
        .left_join_by(right, "both", |_, order| order.fk.clone(), join)
        .on_update(|rows| rows.to_table(Topic::json("out").compacted()));
    app.build().unwrap()
}

/// `L k A 1` is a row of the left table with the key `k`, which names `1`; `L k A -` one that names none; `R 1 a` a row
/// of the right one; `L k ~` and `R 1 ~` are tombstones. `k: A+a` is the last word on `k` of both joins, and `k: x | y`
/// of the inner one and the left one; `~` is a tombstone and `-` that nothing was ever said. All else is as in a
/// script.
fn script(text: &str, is_left: bool) -> String {
    let said = |word: &str| match word.trim() {
        "~" => "null".to_owned(),
        "-" => "-".to_owned(),
        word => format!("\"{word}\""),
    };
    let mut second = 10;
    let lines = text.lines().map(|line| {
        second += 1;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["L", key, "~"] => format!("in left 10:00:{second} {key} ~"),
            ["L", key, v, "-"] => format!(r#"in left 10:00:{second} {key} {{"v": "{v}", "fk": null}}"#),
            ["L", key, v, fk] => format!(r#"in left 10:00:{second} {key} {{"v": "{v}", "fk": "{fk}"}}"#),
            ["R", key, "~"] => format!("in right 10:00:{second} {key} ~"),
            ["R", key, v] => format!(r#"in right 10:00:{second} {key} "{v}""#),
            _ => match line.trim().split_once(": ") {
                Some((key, words)) => {
                    let (inner, left) = words.split_once(" | ").unwrap_or((words, words));
                    format!("last out {key} {}", said(if is_left { left } else { inner }))
                }
                None => line.trim().to_owned(),
            },
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn holds(text: &str) {
    for (is_left, plan) in [(false, inner as fn() -> Plan), (true, left)] {
        let script = script(text, is_left);
        if let Err(failure) = try_check(plan, &script) {
            panic!("{failure}\n{script}");
        }
    }
}

#[test]
fn the_documented_table_of_foreign_keys_holds_for_each_kind() {
    holds(
        "R 1 a
        L k A 1
        k: A+a
        L k B 2
        k: ~ | B+
        L k C 3
        k: ~ | C+
        R 3 c
        k: C+c
        L k D -
        k: ~ | D+
        L k E 1
        k: E+a
        L q F 9
        L r G 9
        q: - | F+
        r: - | G+
        R 9 z
        q: F+z
        r: G+z
        L k ~
        k: ~",
    );
}

/// `doJoinFromLeftThenDeleteLeftEntity`.
#[test]
fn left_rows_find_the_right_ones_that_are_there_and_take_their_results_with_them() {
    holds(
        "R 1 a
        R 2 b
        L k A 1
        L j B 2
        L i C 1
        k: A+a
        j: B+b
        i: C+a
        L k ~
        k: ~
        j: B+b
        i: C+a",
    );
}

/// `doJoinFromRightThenDeleteRightEntity`.
#[test]
fn right_rows_come_to_all_who_name_them_and_go_from_all() {
    holds(
        "L k A 1
        L j B 2
        L i C 1
        k: - | A+
        R 1 a
        k: A+a
        j: - | B+
        i: C+a
        R 2 b
        j: B+b
        R 3 nobody
        R 1 ~
        k: ~ | A+
        j: B+b
        i: ~ | C+
        R 1 again
        k: A+again
        i: C+again",
    );
}

/// `shouldEmitTombstoneWhenDeletingNonJoiningRecords` and `shouldNotEmitTombstonesWhenDeletingNonExistingRecords`: what
/// had no result is not taken back.
#[test]
fn a_row_that_joined_with_nothing_leaves_without_a_word() {
    holds(
        "L k ~
        k: -
        L k A 1
        k: - | A+
        L k ~
        k: - | ~
        L k ~
        L j B -
        j: - | B+
        L j ~
        j: - | ~",
    );
}

/// `joinShouldProduceNullsWhenValueHasNonMatchingForeignKey`.
#[test]
fn a_row_that_names_one_after_the_other_has_the_result_of_the_last() {
    holds(
        "L k A 1
        L k A 2
        k: - | A+
        L k A 3
        k: - | A+
        R 1 a
        k: - | A+
        L k B 1
        k: B+a
        L k C 2
        k: ~ | C+",
    );
}

/// `shouldUnsubscribeOldForeignKeyIfLeftSideIsUpdated`, and a row that goes back to whom it named before.
#[test]
fn who_is_named_no_more_is_heard_no_more_until_it_is_named_again() {
    holds(
        "R 1 a
        R 2 b
        L k A 1
        k: A+a
        L k A 2
        k: A+b
        R 1 other
        k: A+b
        L k A 1
        k: A+other
        R 2 ~
        k: A+other
        R 1 third
        k: A+third",
    );
}

/// `shouldEmitRecordOnNullForeignKeyForLeftJoins` and `shouldEmitRecordWhenOldAndNewFkDiffer`, by KIP-962.
#[test]
fn a_row_that_names_none_has_a_result_in_the_left_join_alone() {
    holds(
        "L k A -
        k: - | A+
        R 1 a
        L k B 1
        k: B+a
        L k C -
        k: ~ | C+
        L k D -
        k: ~ | D+
        L k ~
        k: ~",
    );
}

/// `shouldIgnoreOutOfOrderRecordsIffVersioned`: as plain tables do.
#[test]
fn the_order_of_the_log_decides_which_row_names_whom() {
    check(
        inner,
        r#"
        in   right  10:00:00  1  "a"
        in   right  10:00:01  2  "b"
        in   left   10:00:20  k  {"v": "new", "fk": "1"}
        last out    k  "new+a"
        in   left   09:00:00  k  {"v": "old", "fk": "2"}
        last out    k  "old+b"
        in   right  08:00:00  2  "c"
        last out    k  "old+c"
        "#,
    );
}

#[test]
fn what_cannot_be_read_joins_with_nothing_and_is_a_dead_letter() {
    check(
        left,
        r#"
        in   left   10:00:00  k  {"v": "A", "fk": "1"}
        last out    k  "A+"
        in   right  10:00:01  -  "b"
        dead table_key
        in   right  10:00:02  1  7
        dead json
        in   left   10:00:03  -  {"v": "B", "fk": "1"}
        dead table_key
        last out    k  "A+"
        "#,
    );
}

/// The two tables need not be split alike, for neither is read by the other's key.
#[test]
fn tables_of_any_number_of_partitions_are_joined_by_foreign_keys() {
    let spread = "
        topic left 3
        topic right 2
        set idle 100ms
        in left/0 10:00:11 k {\"v\": \"A\", \"fk\": \"3\"}
        in left/2 10:00:12 j {\"v\": \"B\", \"fk\": \"3\"}
        last out k -
        in right 10:00:13 3 \"b\"
        last out k \"A+b\"
        last out j \"B+b\"
        in left/2 10:00:14 j ~
        last out j null
        last out k \"A+b\"";
    if let Err(failure) = try_check(inner, spread) {
        panic!("{failure}");
    }
}
