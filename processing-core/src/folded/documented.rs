//! What Kafka Streams documents of `count`, `aggregate` and `reduce` without windows (the tables of its developer
//! guide, the Javadoc of `KGroupedStream`), as scripts.
//!
//! Not here: tables that are grouped anew, which would need a subtractor. Invariant: where the answer differs,
//! [`crate::compared`] says why.

use serde::{Deserialize, Serialize};

use crate::prelude::*;
use crate::testing::script::check;

#[derive(Clone, Serialize, Deserialize)]
struct Word {
    at: i64,
    word: String,
    n: i64,
}

fn words(
    app: &Topology,
) -> crate::dsl::Stream<impl crate::process::Pipe<Key = String, Value = Word, Head = crate::process::Sources>, ()> {
    let words = app.stream(Topic::<Json<Word>>::json("words")).event_time(|word| EventTime(word.at));
    words.already_keyed_by(|word| word.word.clone())
}

fn counted() -> Plan {
    let app = Topology::named("counted");
    words(&app)
        .fold_table("counts", (count(), sum(|word: &Word| word.n)))
        .on_update(|rows| rows.map(|row| row.map(|(n, sum)| (n.get(), sum.get() as i64))).to_table(rows_of("counts")));
    app.build().unwrap()
}

/// Joins amounts, until an amount of zero takes the row away.
fn reduced() -> Plan {
    let app = Topology::named("reduced");
    words(&app)
        .reduce_table("sums", |row, word| match row {
            _ if word.n == 0 => None,
            None => Some(word),
            // An order that matters: what came last stands last.
            Some(row) => Some(Word { n: row.n * 10 + word.n, ..word }),
        })
        .on_update(|rows| rows.map(|row| row.map(|word| word.n)).to_table(rows_of("sums")));
    app.build().unwrap()
}

fn rows_of<V: Serialize + serde::de::DeserializeOwned + 'static>(name: &str) -> Topic<Json<V>> {
    Topic::json(name).compacted()
}

/// The guide's table "KGroupedStream": state after each record, with `count` for an aggregator.
#[test]
fn a_row_is_made_for_a_new_key_and_each_record_adds_to_it() {
    check(
        counted,
        r#"
        in   words   10:00:01  hello    {"at": $ms, "word": "hello", "n": 1}
        last counts  hello    [1, 1]
        in   words   10:00:02  kafka    {"at": $ms, "word": "kafka", "n": 1}
        last counts  hello    [1, 1]
        last counts  kafka    [1, 1]
        in   words   10:00:03  streams  {"at": $ms, "word": "streams", "n": 1}
        in   words   10:00:04  kafka    {"at": $ms, "word": "kafka", "n": 1}
        last counts  kafka    [2, 2]
        in   words   10:00:05  kafka    {"at": $ms, "word": "kafka", "n": 1}
        last counts  kafka    [3, 3]
        in   words   10:00:06  streams  {"at": $ms, "word": "streams", "n": 1}
        last counts  hello    [1, 1]
        last counts  kafka    [3, 3]
        last counts  streams  [2, 2]
        "#,
    );
}

/// "Input records with `null` keys are ignored"; "records with a `null` value are ignored": they are told here.
#[test]
fn a_record_without_a_value_changes_no_row_and_is_a_dead_letter() {
    check(
        counted,
        r#"
        in   words   10:00:01  hello  {"at": $ms, "word": "hello", "n": 1}
        in   words   10:00:02  hello  ~
        dead tombstone
        last counts  hello  [1, 1]
        # The key is what the topology finds in the value.
        in   words   10:00:03  -      {"at": $ms, "word": "hello", "n": 1}
        last counts  hello  [2, 2]
        "#,
    );
}

/// The Javadoc of `reduce`: the first record of a key is the row; whoever answers null deletes it, and the next
/// record is a first one again.
#[test]
fn the_first_record_is_the_row_and_none_deletes_it() {
    check(
        reduced,
        r#"
        in   words  10:00:01  a  {"at": $ms, "word": "a", "n": 3}
        last sums   a  3
        in   words  10:00:02  a  {"at": $ms, "word": "a", "n": 4}
        last sums   a  34
        in   words  10:00:03  a  {"at": $ms, "word": "a", "n": 0}
        last sums   a  null
        in   words  10:00:04  a  {"at": $ms, "word": "a", "n": 5}
        last sums   a  5
        # A deletion of what is not there.
        in   words  10:00:05  b  {"at": $ms, "word": "b", "n": 0}
        in   words  10:00:06  b  {"at": $ms, "word": "b", "n": 6}
        last sums   b  6
        "#,
    );
}

/// "Out-of-order" is nothing that a table without windows knows: records are folded as they come.
#[test]
fn what_comes_out_of_order_is_folded_in_the_order_of_the_log() {
    check(
        reduced,
        r#"
        in   words  10:00:09  a  {"at": $ms, "word": "a", "n": 1}
        in   words  10:00:09  a  {"at": $ms(09:00:00), "word": "a", "n": 2}
        last sums   a  12
        in   words  10:00:09  a  {"at": $ms(10:00:05), "word": "a", "n": 3}
        last sums   a  123
        "#,
    );
}
