//! Inputs of different density that are read from their beginnings.
//!
//! Not here: what a pause is ([`super::obeying`]). Invariant: whoever is ahead waits for those that have more to be read,
//! and for nobody else.

use super::rules::{Stage, local_of};
use crate::limits::{INPUT_AHEAD_MAX, INPUT_HEARD_WITHIN};
use crate::plan::Plan;
use crate::record::TopicPartition;

const MINUTE: i64 = 60_000;
const TOPICS: [&str; 2] = ["sparse", "dense"];

fn both() -> Plan {
    local_of(&TOPICS)
}

/// Ten minutes of both: a record a minute in one, twenty in the other.
fn stage() -> Stage {
    let stage = Stage::one_by_one(both, &TOPICS);
    (0..10).for_each(|minute| stage.append_to("sparse", 0, "a", minute * MINUTE));
    (0..200).for_each(|number| stage.append_to("dense", 0, "b", number * MINUTE / 20));
    stage
}

/// How far event time has come in each.
fn reached(stage: &mut Stage) -> [i64; 2] {
    let worker = stage.worker();
    TOPICS.map(|topic| {
        let place = TopicPartition::new(topic, 0);
        let source = worker.tasks.values().flat_map(|task| &task.sources).find(|source| source.place == place);
        source.map_or(i64::MIN, |source| source.reached().0)
    })
}

#[test]
fn an_input_far_ahead_waits_for_one_that_has_more_to_be_read() {
    let mut stage = stage();
    let mut compared = 0;
    for _ in 0..2_000 {
        stage.log.advance(1);
        stage.step().unwrap();
        let [sparse, dense] = reached(&mut stage);
        if sparse > i64::MIN && dense > i64::MIN {
            compared += 1;
            // One record more than the bound: what has come is taken in.
            assert!(sparse - dense <= INPUT_AHEAD_MAX.0 + MINUTE, "{} ms ahead", sparse - dense);
        }
    }
    assert!(compared > 200);
    let [sparse, dense] = reached(&mut stage);
    assert_eq!(dense - sparse, MINUTE * 19 / 20, "both were read to their ends");
}

#[test]
fn nobody_waits_for_an_input_that_is_at_its_end_or_says_nothing() {
    let mut stage = Stage::one_by_one(both, &TOPICS);
    stage.append_to("dense", 0, "b", 0);
    (0..10).for_each(|minute| stage.append_to("sparse", 0, "a", minute * MINUTE));
    stage.rest().unwrap();
    let [sparse, dense] = reached(&mut stage);
    assert_eq!(sparse - dense, 9 * MINUTE);
    // One has more, and cannot be read for now.
    stage.append_to("dense", 0, "b", 1);
    let place = TopicPartition::new("dense", 0);
    stage.worker().source.pause(&place).unwrap();
    (10..20).for_each(|minute| stage.append_to("sparse", 0, "a", minute * MINUTE));
    stage.log.advance(INPUT_HEARD_WITHIN.0.unsigned_abs() + 1);
    stage.rest().unwrap();
    let [sparse, dense] = reached(&mut stage);
    assert_eq!(sparse - dense, 19 * MINUTE);
}
