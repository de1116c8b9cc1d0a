//! A task that joins while others run.
//!
//! Not here: the restore itself ([`crate::restore`]). Invariant: nobody waits for somebody else's restore.

use super::rules::{Stage, local};
use crate::batch::{Headers, RecordBatch, RecordRef};
use crate::log::{Log, TransactionalId};
use crate::record::{Offset, TopicPartition};

fn restoring(stage: &mut Stage) -> Vec<String> {
    stage.worker().status().restoring.iter().map(ToString::to_string).collect()
}

#[test]
fn a_task_that_is_being_restored_holds_up_no_other() {
    let mut stage = Stage::new(local, 2);
    (0..2).for_each(|partition| stage.append(partition, "a", 0));
    stage.rest().unwrap();
    stage.crash();
    // Somebody's transaction is open in one task's changelog: its restore can neither end nor go on.
    let mut stranger = stage.log.transaction(&TransactionalId("stranger".into())).unwrap();
    let mut batch = RecordBatch::new();
    // Of another state epoch, as a version that runs beside this one would write.
    let key = Some(&[0, 0, 0, 9, 1][..]);
    batch.push(RecordRef {
        offset: Offset::ZERO,
        timestamp: stage.log.now(),
        key,
        value: None,
        headers: Headers::NONE,
    });
    stranger.send(&TopicPartition::new("rules-counts-changelog", 1), &batch).unwrap();
    stage.start();
    (0..2).for_each(|partition| stage.append(partition, "a", 2_000));
    stage.rest().unwrap();
    assert_eq!(restoring(&mut stage), ["0_1"]);
    assert_eq!(stage.results(), ["1"], "the other one's window");
    stranger.abort().unwrap();
    stage.rest().unwrap();
    assert!(restoring(&mut stage).is_empty());
    assert_eq!(stage.results(), ["1", "1"]);
}
