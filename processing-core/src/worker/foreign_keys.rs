//! What a foreign-key join leaves behind, and how much of it is done in one commit.
//!
//! Not here: what it answers ([`crate::foreign_key`]). Invariant: as in [`super::rules`].

use std::collections::BTreeMap;

use super::rules::Stage;
use crate::batch::{Headers, RecordBatch, RecordRef};
use crate::changelog::{self, Logged};
use crate::prelude::*;
use crate::record::{Offset, TopicName, TopicPartition};
use crate::repartition::Frame;

/// Left rows are names of right ones.
fn named() -> Plan {
    let app = Topology::named("rules");
    let [left, right] = ["left", "right"].map(|topic| app.table::<String, _>(Topic::<Json<String>>::json(topic)));
    left.join_by(right, "both", |_, name| name.clone(), |_, name, right| format!("{name}: {right}"))
        .on_update(|rows| rows.to_table(Topic::json("out").compacted()));
    app.build().unwrap()
}

/// Puts a row into the one partition of a topic, or takes it away.
fn put(stage: &Stage, topic: &str, key: &str, row: Option<&str>) {
    let value = row.map(|row| format!("\"{row}\""));
    let mut batch = RecordBatch::new();
    let (key, value) = (Some(key.as_bytes()), value.as_deref().map(str::as_bytes));
    let timestamp = stage.log.now();
    batch.push(RecordRef { offset: Offset::ZERO, timestamp, key, value, headers: Headers::NONE });
    stage.log.append(&TopicPartition::new(topic, 0), &batch).unwrap();
}

/// How many rows of a store its changelog holds: of a table only those that are not gone.
fn rows(stage: &Stage, store: &str, is_table: bool) -> usize {
    let mut rows = BTreeMap::new();
    let topic = TopicName::new(format!("rules-{store}-changelog"));
    for record in stage.log.committed_records(&topic).into_iter().flatten() {
        match changelog::read(1, record.key.as_deref(), record.value.as_deref()) {
            Some(Logged::Row { key, value: Some(value) }) => drop(rows.insert(key.to_vec(), value.to_vec())),
            Some(Logged::Row { key, value: None }) => drop(rows.remove(key)),
            Some(Logged::Expiry { before }) => rows = rows.split_off(before),
            _ => panic!("{topic} holds something else"),
        }
    }
    rows.values().filter(|value| !is_table || value.first() == Some(&1)).count()
}

/// The rows that stand in a topic.
fn standing(stage: &Stage, topic: &str) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    let text = |bytes: Option<Vec<u8>>| bytes.map(|bytes| String::from_utf8(bytes).unwrap());
    for record in stage.log.committed_records(&TopicName::new(topic)).into_iter().flatten() {
        let key = text(record.key).unwrap();
        match text(record.value) {
            Some(row) => drop(rows.insert(key, row)),
            None => drop(rows.remove(&key)),
        }
    }
    rows
}

#[test]
fn a_key_that_is_gone_leaves_nothing_behind() {
    let mut stage = Stage::new_of(named, &["left", "right"]);
    put(&stage, "right", "a", Some("A"));
    for number in 0..20 {
        put(&stage, "left", &number.to_string(), Some(["a", "b"][number % 2]));
        stage.rest().unwrap();
    }
    assert_eq!(standing(&stage, "out").len(), 10);
    for number in 0..20 {
        put(&stage, "left", &number.to_string(), None);
    }
    stage.rest().unwrap();
    assert_eq!(standing(&stage, "out").len(), 0);
    assert_eq!(rows(&stage, "both", true) + rows(&stage, "both-sent", true), 0);
    let waiting = (rows(&stage, "both-results", true), rows(&stage, "both-gone", false));
    assert_eq!(waiting, (20, 20), "older answers might be under way");
    // Time moves on in both tables.
    stage.log.advance(1_000);
    put(&stage, "left", "another", Some("a"));
    put(&stage, "right", "b", Some("B"));
    stage.rest().unwrap();
    stage.rest().unwrap();
    assert_eq!((rows(&stage, "both-results", true), rows(&stage, "both-gone", false)), (1, 0));
    assert_eq!(standing(&stage, "out").len(), 1);
}

/// How many answers a record of their topic holds.
fn answers(value: Option<&[u8]>) -> usize {
    match Frame::read(1, value) {
        Ok(Some(Frame::Records(mut bundle))) => std::iter::from_fn(|| bundle.next().unwrap()).count(),
        _ => 0,
    }
}

#[test]
fn a_foreign_key_that_everybody_names_is_answered_slice_by_slice() {
    const NAMING: usize = 50;
    const SLICE: usize = 4;
    let mut stage = Stage::new_of(named, &["left", "right"]);
    for number in 0..NAMING {
        put(&stage, "left", &number.to_string(), Some("a"));
    }
    stage.rest().unwrap();
    stage.leave();
    stage.bounds.close_slice_records = SLICE;
    stage.start();
    stage.rest().unwrap();
    let topic = TopicName::new("rules-both-responses-repartition");
    let sent = |stage: &Stage| -> usize {
        let records = stage.log.committed_records(&topic).into_iter().flatten();
        records.map(|record| answers(record.value.as_deref())).sum()
    };
    let mut before = sent(&stage);
    assert_eq!(before, NAMING, "one for each left row when it came");
    for turn in ["first", "second", "third"] {
        let begun = before;
        put(&stage, "right", "a", Some(turn));
        for step in 0..200 {
            stage.log.advance(10);
            stage.step().unwrap();
            let now = sent(&stage);
            assert!(now - before <= SLICE, "{} answers in one commit", now - before);
            // What is under way is in the state: nobody is told twice, and nobody forgotten.
            if now > before && step % 3 == 0 {
                stage.crash();
                stage.start();
            }
            before = now;
        }
        assert_eq!(before - begun, NAMING, "{turn}");
        let out = standing(&stage, "out");
        assert_eq!(out.len(), NAMING);
        assert!(out.values().all(|row| *row == format!("\"a: {turn}\"")), "{turn}: {out:?}");
    }
    assert_eq!(rows(&stage, "both-turns", false), 0, "nobody waits for a turn");
}
