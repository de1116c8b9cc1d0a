//! Sessions, forced rebalances, zombies, and control messages that a worker must bear.

use super::*;
use crate::log::FetchEpoch;

fn assigned(polled: Polled) -> Vec<TopicPartition> {
    match polled {
        Polled::Assigned(partitions) => partitions,
        other => panic!("expected Assigned, got {other:?}"),
    }
}

#[test]
fn a_silent_member_expires_and_hears_that_its_partitions_are_lost() {
    let log = log_with(FaultPlan::NONE);
    let (mut a, mut b) = (member(&log, "a"), member(&log, "b"));
    let (of_a, of_b) = (assigned(poll(&mut *a)), assigned(poll(&mut *b)));
    let stale = a.group_metadata();
    log.advance(44_000);
    assert_eq!(poll(&mut *b), Polled::Nothing);
    log.advance(1_000);
    assert_eq!(assigned(poll(&mut *b)), of_a, "what the dead member held");
    assert_eq!(a.group_metadata(), stale, "it does not know yet");
    let mut transaction = producer(&log, "p");
    transaction.send(&at(0), &one("never")).unwrap();
    assert!(matches!(transaction.publish(&[(at(0), Offset(1))], &stale), Publish::Fenced(_)));
    assert_eq!(seen_values(&log, 0), Vec::<String>::new());
    assert_eq!(poll(&mut *a), Polled::Lost(of_a.clone()));
    // It joins again, and gets a partition when the other has released it.
    assert_eq!(poll(&mut *a), Polled::Nothing);
    let Polled::Revoked(back) = poll(&mut *b) else { panic!("no revoke") };
    assert_eq!(poll(&mut *a), Polled::Nothing);
    b.release(&back[0]).unwrap();
    assert_eq!(assigned(poll(&mut *a)), back);
    assert_eq!((of_a.len(), of_b.len(), back.len()), (1, 1, 1));
}

#[test]
fn a_crashed_member_keeps_its_partitions_until_the_session_ends() {
    let log = log_with(FaultPlan::NONE);
    let (mut a, mut b) = (member(&log, "a"), member(&log, "b"));
    let of_a = assigned(poll(&mut *a));
    assigned(poll(&mut *b));
    assert!(log.crash_member("a"));
    assert!(matches!(a.poll(&mut RecordBatch::new()), Err(LogError::Fenced(_))));
    for _ in 0..44 {
        log.advance(1_000);
        assert_eq!(poll(&mut *b), Polled::Nothing);
    }
    log.advance(1_000);
    assert_eq!(assigned(poll(&mut *b)), of_a);
}

#[test]
fn a_crashed_members_transaction_blocks_readers_until_it_is_fenced() {
    let log = log_with(FaultPlan::NONE);
    let mut source = member(&log, "a");
    assigned(poll(&mut *source));
    let mut transaction = producer(&log, "a");
    transaction.send(&at(0), &one("never")).unwrap();
    log.crash_member("a");
    drop((source, transaction));
    log.append(&at(0), &one("behind")).unwrap();
    assert_eq!(ends(&log, 0), (0, 0, 2));
    drop(producer(&log, "a"));
    assert_eq!(seen_values(&log, 0), ["behind"]);
}

#[test]
fn a_member_that_does_not_release_is_declared_dead() {
    let log = log_with(FaultPlan::NONE);
    let mut a = member(&log, "a");
    assert_eq!(assigned(poll(&mut *a)).len(), 2);
    let mut b = member(&log, "b");
    assert!(matches!(poll(&mut *a), Polled::Revoked(_)));
    for _ in 0..59 {
        log.advance(1_000);
        assert_eq!(poll(&mut *a), Polled::Nothing);
        assert_eq!(poll(&mut *b), Polled::Nothing);
    }
    log.advance(1_000);
    assert_eq!(assigned(poll(&mut *b)).len(), 2);
    assert!(matches!(poll(&mut *a), Polled::Lost(lost) if lost.len() == 2));
}

#[test]
fn a_forced_rebalance_moves_a_partition_in_good_order() {
    let log = log_with(FaultPlan::NONE);
    let (mut a, mut b) = (member(&log, "a"), member(&log, "b"));
    assigned(poll(&mut *a));
    assigned(poll(&mut *b));
    let before = a.group_metadata().generation;
    log.force_rebalance();
    assert!(a.group_metadata().generation > before);
    let (giver, taker) = match poll(&mut *a) {
        Polled::Revoked(moved) => ((&mut a, moved), &mut b),
        Polled::Nothing => {
            let Polled::Revoked(moved) = poll(&mut *b) else { panic!("nobody is revoked") };
            ((&mut b, moved), &mut a)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(poll(&mut **taker), Polled::Nothing);
    giver.0.release(&giver.1[0]).unwrap();
    assert_eq!(assigned(poll(&mut **taker)), giver.1);
}

#[test]
fn a_lone_member_loses_a_partition_and_gets_it_back() {
    let log = log_with(FaultPlan::NONE);
    let mut a = member(&log, "a");
    assigned(poll(&mut *a));
    log.force_rebalance();
    let Polled::Revoked(moved) = poll(&mut *a) else { panic!("no revoke") };
    assert_eq!(poll(&mut *a), Polled::Nothing);
    a.release(&moved[0]).unwrap();
    assert_eq!(assigned(poll(&mut *a)), moved);
    assert_eq!(poll(&mut *a), Polled::Nothing);
}

#[test]
fn a_zombie_reads_on_until_it_notices() {
    let log = log_with(FaultPlan::NONE);
    let mut a = member(&log, "a");
    assigned(poll(&mut *a));
    a.fetch(&at(0), Offset::ZERO, FetchEpoch(1)).unwrap();
    log.append(&at(0), &one("x")).unwrap();
    log.set_faults(FaultPlan { zombie: 1.0, ..FaultPlan::NONE });
    assert!(log.expire_session("a"));
    assert!(matches!(poll(&mut *a), Polled::Records { .. }));
    let mut transaction = producer(&log, "p");
    assert!(matches!(transaction.publish(&[(at(0), Offset(1))], &a.group_metadata()), Publish::Fenced(_)));
    log.set_faults(FaultPlan::NONE);
    assert!(matches!(poll(&mut *a), Polled::Lost(lost) if lost.len() == 2));
}

#[test]
fn a_rebalance_between_metadata_and_publish_fences() {
    let log = log_with(FaultPlan { rebalance_in_publish: 1.0, ..FaultPlan::NONE });
    let mut a = member(&log, "a");
    assigned(poll(&mut *a));
    let mut transaction = producer(&log, "p");
    transaction.send(&at(0), &one("never")).unwrap();
    assert!(matches!(transaction.publish(&[(at(0), Offset(1))], &a.group_metadata()), Publish::Fenced(_)));
    log.set_faults(FaultPlan::NONE);
    published(transaction.publish(&[(at(0), Offset(1))], &a.group_metadata()));
    assert_eq!(seen_values(&log, 0), Vec::<String>::new());
}

/// As in Kafka, and the reason why every transaction attaches an offset.
#[test]
fn a_transaction_without_positions_is_checked_against_no_generation() {
    let log = log_with(FaultPlan::NONE);
    let mut a = member(&log, "a");
    assigned(poll(&mut *a));
    let stale = a.group_metadata();
    log.expire_session("a");
    let mut transaction = producer(&log, "p");
    transaction.send(&at(0), &one("a zombie's")).unwrap();
    published(transaction.publish(&[], &stale));
    assert_eq!(seen_values(&log, 0), ["a zombie's"]);
}

#[test]
fn a_batch_of_the_former_fetch_comes_under_its_epoch() {
    let log = log_with(FaultPlan { stale_batch: 1.0, ..FaultPlan::NONE });
    let mut a = member(&log, "a");
    assigned(poll(&mut *a));
    log.append(&at(0), &one("x")).unwrap();
    a.fetch(&at(0), Offset::ZERO, FetchEpoch(1)).unwrap();
    a.fetch(&at(0), Offset::ZERO, FetchEpoch(2)).unwrap();
    let mut epochs = Vec::new();
    while let Polled::Records { epoch, .. } = poll(&mut *a) {
        epochs.push(epoch.0);
    }
    assert_eq!(epochs, [1, 2]);
}

#[test]
fn invented_control_messages_change_nothing() {
    let log = log_with(FaultPlan { spurious_control: 1.0, ..FaultPlan::NONE });
    let (mut a, mut b) = (member(&log, "a"), member(&log, "b"));
    let of_a = assigned(poll(&mut *a));
    let of_b = assigned(poll(&mut *b));
    let mut kinds = std::collections::BTreeSet::new();
    for _ in 0..50 {
        match poll(&mut *a) {
            Polled::Assigned(none) if none.is_empty() => kinds.insert("empty"),
            Polled::Assigned(again) => {
                assert_eq!(again, of_a);
                kinds.insert("twice")
            }
            Polled::Revoked(foreign) => {
                assert_eq!(foreign, of_b);
                a.release(&foreign[0]).unwrap();
                kinds.insert("revoked")
            }
            Polled::Lost(foreign) => {
                assert_eq!(foreign, of_b);
                kinds.insert("lost")
            }
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    log.set_faults(FaultPlan::NONE);
    assert_eq!((poll(&mut *a), poll(&mut *b)), (Polled::Nothing, Polled::Nothing));
}

#[test]
fn a_fetch_out_of_range_says_so() {
    let log = log_with(FaultPlan::NONE);
    let mut a = member(&log, "a");
    assigned(poll(&mut *a));
    a.fetch(&at(0), Offset(1), FetchEpoch(1)).unwrap();
    let error = a.poll(&mut RecordBatch::new()).unwrap_err();
    assert_eq!(error.to_string(), "offset 1 of t-0 is out of range: the log holds 0 to 0");
}
