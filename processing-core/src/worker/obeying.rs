//! A worker that is told to pause, and one that begins in another state epoch.
//!
//! Not here: who tells it ([`crate::control`]). Invariant: neither is seen in the results.

use super::rules::{Stage, shuffled};
use crate::record::{Offset, TopicPartition};
use crate::testing::MemoryHome;

fn records(stage: &mut Stage) -> u64 {
    stage.worker().status().counts.records
}

#[test]
fn who_pauses_takes_in_nothing_and_lets_what_is_under_way_go_its_way() {
    let mut stage = Stage::new(shuffled, 1);
    stage.rest().unwrap();
    stage.append(0, "a", 0);
    stage.step().unwrap();
    stage.worker().pause(true);
    stage.append(0, "a", 1);
    stage.append(0, "a", 5_000);
    stage.rest().unwrap();
    assert_eq!(stage.rows(), 1, "it went through the repartition topic, was committed, and is shown");
    assert!(stage.worker().is_at_rest() && stage.results().is_empty());
    // A rebalance and an abort find it paused as before.
    let before = records(&mut stage);
    stage.log.force_rebalance();
    stage.rest().unwrap();
    assert_eq!((records(&mut stage), stage.results().len()), (before, 0));
    assert!(!stage.worker().status().running.is_empty(), "still a member");
    stage.worker().pause(false);
    stage.rest().unwrap();
    assert_eq!(stage.results(), ["2"]);
}

#[test]
fn who_begins_paused_restores_and_answers_and_reads_nothing() {
    let mut stage = Stage::with_open_window();
    stage.crash();
    stage.append(0, "a", 2_000);
    stage.start();
    stage.worker().pause(true);
    stage.rest().unwrap();
    assert_eq!((stage.rows(), records(&mut stage)), (1, 0));
    stage.worker().pause(false);
    stage.rest().unwrap();
    assert_eq!(stage.results(), ["5"]);
}

#[test]
fn the_state_of_another_epoch_is_not_this_ones_and_is_found_again() {
    let mut stage = Stage::with_open_window();
    let input = TopicPartition::new("in", 0);
    stage.leave();
    // What raises the epoch sets the group's offsets.
    stage.log.set_group_offset("rules", &input, None);
    stage.epoch = 2;
    stage.start();
    stage.rest().unwrap();
    assert_eq!((stage.rows(), records(&mut stage)), (1, 5), "computed again from the beginning");
    stage.append(0, "a", 2_000);
    stage.rest().unwrap();
    assert_eq!(stage.results(), ["5"]);
    // Back again: what was true there is true still.
    stage.leave();
    stage.log.set_group_offset("rules", &input, Some(Offset(5)));
    stage.epoch = 1;
    stage.start();
    stage.rest().unwrap();
    assert_eq!(records(&mut stage), 1, "only what came since");
    assert_eq!(stage.results(), ["5", "5"]);
}

#[test]
fn half_a_restore_of_another_epoch_is_no_beginning_for_this_one() {
    for steps in 0..20 {
        let mut stage = Stage::with_open_window();
        stage.leave();
        // On disk is whatever was read.
        stage.home = MemoryHome::new(Some(1));
        stage.start();
        (0..steps).for_each(|_| stage.step().unwrap());
        stage.crash();
        stage.log.set_group_offset("rules", &TopicPartition::new("in", 0), None);
        stage.epoch = 2;
        stage.start();
        stage.append(0, "a", 2_000);
        stage.rest().unwrap();
        assert_eq!(stage.results(), ["5"], "interrupted after {steps} steps");
    }
}
