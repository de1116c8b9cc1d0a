//! Markers, the last stable offset, and every answer that a publish may give.

use super::*;

const ALWAYS_LATE_MARKERS: FaultPlan = FaultPlan { marker_delay: 1.0, marker_ms: 100, ..FaultPlan::NONE };

#[test]
fn markers_take_offsets_and_leave_gaps() {
    let log = log_with(FaultPlan::NONE);
    let mut transaction = producer(&log, "p");
    for value in ["a", "b"] {
        transaction.send(&at(0), &one(value)).unwrap();
        transaction.send(&at(0), &one(value)).unwrap();
        let position = published(transaction.publish(&[], &nobody())).next(&at(0)).unwrap();
        // The position is behind the records, before the marker.
        assert_eq!(position.0, seen(&log, 0).last().unwrap().0 + 1);
        assert_eq!(position.0 + 1, ends(&log, 0).2);
    }
    assert_eq!(seen(&log, 0).iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [0, 1, 3, 4]);
    assert_eq!(ends(&log, 0), (0, 6, 6));
}

#[test]
fn the_last_stable_offset_stands_at_the_first_open_transaction() {
    let log = log_with(FaultPlan::NONE);
    log.append(&at(0), &one("plain")).unwrap();
    let (mut first, mut second) = (producer(&log, "1"), producer(&log, "2"));
    first.send(&at(0), &one("first")).unwrap();
    second.send(&at(0), &one("second")).unwrap();
    published(second.publish(&[], &nobody()));
    log.append(&at(0), &one("more")).unwrap();
    assert_eq!(ends(&log, 0), (0, 1, 5));
    assert_eq!(seen_values(&log, 0), ["plain"]);
    // Whoever has read beyond is told where the stable part ends, not to wait for more.
    assert_eq!(read(&log, 0, 3), (Read::End(Offset(1)), vec![]));
    published(first.publish(&[], &nobody()));
    assert_eq!(ends(&log, 0), (0, 6, 6));
    assert_eq!(seen_values(&log, 0), ["plain", "first", "second", "more"]);
}

#[test]
fn aborted_records_stay_hidden_and_readers_pass_them() {
    let log = log_with(FaultPlan::NONE);
    let mut transaction = producer(&log, "p");
    transaction.send(&at(0), &one("never")).unwrap();
    transaction.abort().unwrap();
    transaction.send(&at(0), &one("seen")).unwrap();
    published(transaction.publish(&[], &nobody()));
    transaction.send(&at(0), &one("never")).unwrap();
    transaction.abort().unwrap();
    assert_eq!(read(&log, 0, 0), (Read::Records(Offset(6)), vec![2]));
    assert_eq!(read(&log, 0, 3), (Read::End(Offset(6)), vec![]));
    log.set_faults(FaultPlan { short_batch: 1.0, ..FaultPlan::NONE });
    // A short fetch ends behind its record; the end is found by the next one.
    assert_eq!(read(&log, 0, 0), (Read::Records(Offset(3)), vec![2]));
    assert_eq!(read(&log, 0, 3), (Read::End(Offset(6)), vec![]));
}

#[test]
fn a_member_passes_a_trailing_marker() {
    let log = log_with(FaultPlan { short_batch: 1.0, ..FaultPlan::NONE });
    let mut source = member(&log, "a");
    assert!(matches!(poll(&mut *source), Polled::Assigned(_)));
    let mut transaction = producer(&log, "p");
    transaction.send(&at(0), &one("x")).unwrap();
    published(transaction.publish(&[], &nobody()));
    source.fetch(&at(0), Offset::ZERO, Default::default()).unwrap();
    let mut positions = Vec::new();
    while let Polled::Records { next, .. } = poll(&mut *source) {
        positions.push(next.0);
    }
    assert_eq!(positions, [1, 2], "behind the record, then behind the marker");
}

#[test]
fn markers_come_one_by_one_and_a_restore_to_the_stable_end_misses_a_commit() {
    let log = log_with(ALWAYS_LATE_MARKERS);
    let mut source = member(&log, "a");
    poll(&mut *source);
    let mut transaction = producer(&log, "p");
    for partition in [0, 1] {
        transaction.send(&at(partition), &one("x")).unwrap();
    }
    let answer = transaction.publish(&[(at(1), Offset(5))], &source.group_metadata());
    assert_eq!(published(answer).next(&at(0)), Some(Offset(1)));
    assert_eq!(ends(&log, 0), (0, 0, 1), "committed, yet only the high watermark tells");
    assert_eq!(log.group_offsets("g"), []);
    assert!(matches!(source.committed(&at(1)), Err(LogError::Retry(_))));
    let mut stages = Vec::new();
    for _ in 0..100 {
        log.advance(1);
        let undecided = source.committed(&at(1)).is_err();
        let stage = (ends(&log, 0).1, ends(&log, 1).1, undecided);
        if stages.last() != Some(&stage) {
            stages.push(stage);
        }
    }
    assert_eq!(stages.last(), Some(&(2, 2, false)));
    assert!(stages.len() >= 3, "the three markers came at different times: {stages:?}");
    assert_eq!(source.committed(&at(1)), Ok(Some(Offset(5))));
}

#[test]
fn the_next_transaction_of_a_producer_waits_for_the_markers_of_the_last() {
    let log = log_with(ALWAYS_LATE_MARKERS);
    let mut transaction = producer(&log, "p");
    transaction.send(&at(0), &one("a")).unwrap();
    published(transaction.publish(&[], &nobody()));
    assert_eq!(seen_values(&log, 0), Vec::<String>::new());
    transaction.send(&at(0), &one("b")).unwrap();
    assert_eq!(seen_values(&log, 0), ["a"]);
}

/// The outcome is the same wherever one looks, and only then told from the others by nothing.
#[test]
fn an_ambiguous_publish_is_committed_or_aborted_or_open() {
    let ambiguous = |faults: FaultPlan| {
        let log = log_with(faults);
        let mut source = member(&log, "a");
        poll(&mut *source);
        let mut transaction = producer(&log, "p");
        transaction.send(&at(0), &one("x")).unwrap();
        let answer = transaction.publish(&[(at(0), Offset(1))], &source.group_metadata());
        assert!(matches!(answer, Publish::Ambiguous(_)), "{answer:?}");
        log
    };
    let committed = ambiguous(FaultPlan { ambiguous_committed: 1.0, ..FaultPlan::NONE });
    assert_eq!((seen_values(&committed, 0).len(), committed.group_offsets("g").len()), (1, 1));
    let aborted = ambiguous(FaultPlan { ambiguous_aborted: 1.0, ..FaultPlan::NONE });
    assert_eq!((seen_values(&aborted, 0).len(), aborted.group_offsets("g").len()), (0, 0));

    // Undecided until a newer producer, the late commit, or the timeout decides.
    let late = FaultPlan { ambiguous_late: 1.0, late_ms: 1_000, ..FaultPlan::NONE };
    let fenced = ambiguous(late);
    assert_eq!(ends(&fenced, 0), (0, 0, 1));
    drop(producer(&fenced, "p"));
    fenced.advance(100_000);
    assert_eq!((seen_values(&fenced, 0).len(), fenced.group_offsets("g").len()), (0, 0));
    assert_eq!(ends(&fenced, 0), (0, 2, 2));

    let mut outcomes = [0, 0];
    for seed in 0..20 {
        let log = MemoryLog::new(MemoryOptions { seed, faults: late, ..MemoryOptions::default() });
        topic(&log, "t", Cleanup::Delete, None);
        let mut transaction = producer(&log, "p");
        transaction.send(&at(0), &one("x")).unwrap();
        assert!(matches!(transaction.publish(&[], &nobody()), Publish::Ambiguous(_)));
        log.advance(1_000);
        let decided = ends(&log, 0).1 == 2;
        assert_eq!(seen_values(&log, 0).len(), usize::from(decided));
        log.advance(60_000);
        assert_eq!(ends(&log, 0).1, 2, "the timeout decides at last");
        assert_eq!(seen_values(&log, 0).len(), usize::from(decided));
        outcomes[usize::from(decided)] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

#[test]
fn an_aborted_publish_lets_the_producer_go_on() {
    let log = log_with(FaultPlan { publish_aborted: 1.0, ..FaultPlan::NONE });
    let mut transaction = producer(&log, "p");
    transaction.send(&at(0), &one("never")).unwrap();
    assert!(matches!(transaction.publish(&[], &nobody()), Publish::Aborted(_)));
    log.set_faults(FaultPlan::NONE);
    transaction.send(&at(0), &one("seen")).unwrap();
    published(transaction.publish(&[], &nobody()));
    assert_eq!(seen(&log, 0), [(2, "seen".to_owned())]);
}

#[test]
fn a_publish_may_not_tell_where_its_records_are() {
    let log = log_with(FaultPlan { unknown_position: 1.0, ..FaultPlan::NONE });
    let mut transaction = producer(&log, "p");
    transaction.send(&at(0), &one("x")).unwrap();
    assert_eq!(published(transaction.publish(&[], &nobody())).next(&at(0)), None);
    assert_eq!(seen_values(&log, 0), ["x"]);
}

#[test]
fn a_transaction_times_out_and_its_producer_is_fenced() {
    let log = log_with(FaultPlan::NONE);
    let mut transaction = producer(&log, "p");
    transaction.send(&at(0), &one("never")).unwrap();
    log.advance(59_999);
    assert_eq!(ends(&log, 0), (0, 0, 1));
    log.advance(1);
    assert_eq!(ends(&log, 0), (0, 2, 2));
    assert!(matches!(transaction.send(&at(0), &one("never")), Err(LogError::Fenced(_))));
    assert!(matches!(transaction.publish(&[], &nobody()), Publish::Fenced(_)));
    assert_eq!(seen_values(&log, 0), Vec::<String>::new());
}

#[test]
fn a_fenced_producer_may_not_notice_until_it_publishes() {
    let log = log_with(FaultPlan { zombie: 1.0, ..FaultPlan::NONE });
    let mut old = producer(&log, "p");
    drop(producer(&log, "p"));
    old.send(&at(0), &one("never")).unwrap();
    assert!(matches!(old.publish(&[], &nobody()), Publish::Fenced(_)));
    assert_eq!(ends(&log, 0), (0, 0, 0));
}

/// Without KIP-890 a late record lands in whatever transaction its producer has open by then: the
/// reason why a producer is made anew after an ambiguous answer.
#[test]
fn late_records_land_in_the_next_transaction_unless_the_producer_was_replaced() {
    let late = FaultPlan { late_produce: 1.0, late_ms: 1_000, ..FaultPlan::NONE };
    let run = |seed: u64, replace: bool| {
        let log = MemoryLog::new(MemoryOptions { seed, ..MemoryOptions::default() });
        topic(&log, "t", Cleanup::Delete, None);
        log.set_faults(late);
        let mut transaction = producer(&log, "p");
        transaction.send(&at(0), &one("late")).unwrap();
        assert_eq!(ends(&log, 0), (0, 0, 0), "still under way");
        log.set_faults(FaultPlan::NONE);
        if !matches!(transaction.publish(&[], &nobody()), Publish::Ambiguous(_)) {
            assert_eq!(seen_values(&log, 0), ["late"], "the publish waited for it");
            return None;
        }
        if replace {
            transaction = producer(&log, "p");
        }
        log.advance(1_000);
        transaction.send(&at(0), &one("next")).unwrap();
        published(transaction.publish(&[], &nobody()));
        Some(seen_values(&log, 0))
    };
    let mut ambiguous = 0;
    for seed in 0..10 {
        if let Some(kept) = run(seed, false) {
            assert_eq!(kept, ["late", "next"]);
            assert_eq!(run(seed, true).unwrap(), ["next"]);
            ambiguous += 1;
        }
    }
    assert!((1..10).contains(&ambiguous), "both happen: {ambiguous} of 10");
}

#[test]
fn settle_decides_everything() {
    let log = log_with(ALWAYS_LATE_MARKERS);
    let (mut done, mut open) = (producer(&log, "1"), producer(&log, "2"));
    done.send(&at(0), &one("done")).unwrap();
    open.send(&at(0), &one("never")).unwrap();
    published(done.publish(&[], &nobody()));
    let before = log.now();
    log.settle();
    assert_eq!(seen_values(&log, 0), ["done"]);
    assert_eq!(ends(&log, 0), (0, 4, 4));
    assert_eq!(log.now(), before);
}

#[test]
fn any_call_may_ask_for_patience_and_has_done_nothing() {
    let log = log_with(FaultPlan::NONE);
    let mut source = member(&log, "a");
    let mut transaction = producer(&log, "p");
    log.set_faults(FaultPlan { retry: 1.0, ..FaultPlan::NONE });
    assert!(matches!(source.poll(&mut RecordBatch::new()), Err(LogError::Retry(_))));
    assert!(matches!(transaction.send(&at(0), &one("x")), Err(LogError::Retry(_))));
    assert!(log.admin().is_err() && log.reader().is_err());
    log.set_faults(FaultPlan::NONE);
    assert!(matches!(poll(&mut *source), Polled::Assigned(_)));
    assert_eq!(ends(&log, 0), (0, 0, 0));
}
