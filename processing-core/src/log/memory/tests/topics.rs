//! Retention, compaction, purge, and topics that are made anew.

use super::*;
use crate::log::FetchEpoch;

#[test]
fn retention_deletes_by_age_and_spares_what_is_undecided() {
    let log = MemoryLog::new(MemoryOptions::default());
    topic(&log, "t", Cleanup::Delete, Some(10_000));
    for n in 0..5 {
        log.append(&at(0), &one(&n.to_string())).unwrap();
        log.advance(4_000);
    }
    log.run_retention();
    assert_eq!(seen_values(&log, 0), ["3", "4"]);
    let mut open = producer(&log, "p");
    open.send(&at(0), &one("open")).unwrap();
    log.advance(30_000);
    log.run_retention();
    assert_eq!(ends(&log, 0), (5, 5, 6));
    published(open.publish(&[], &nobody()));
    assert_eq!(seen_values(&log, 0), ["open"]);
}

/// The oracle replays the partition into a map, before and after.
#[test]
fn compaction_keeps_the_last_record_of_each_key_at_its_offset() {
    let log = MemoryLog::new(MemoryOptions::default());
    topic(&log, "t", Cleanup::Compact, None);
    let table = || {
        let mut table = std::collections::BTreeMap::new();
        for record in &log.committed_records(&"t".into())[0] {
            match &record.value {
                Some(value) => table.insert(record.key.clone(), (record.offset, value.clone())),
                None => table.remove(&record.key),
            };
        }
        table
    };
    let mut transaction = producer(&log, "p");
    for n in 0..60 {
        let value = n.to_string();
        transaction.send(&at(0), &keyed(&format!("k{}", n * 7 % 11), (n % 5 > 0).then_some(&value))).unwrap();
        match n % 3 {
            0 => transaction.abort().unwrap(),
            1 => drop(published(transaction.publish(&[], &nobody()))),
            _ => {}
        }
    }
    published(transaction.publish(&[], &nobody()));
    let (before, high) = (table(), ends(&log, 0).2);
    log.run_compaction();
    let kept = log.committed_records(&"t".into())[0].clone();
    assert_eq!(table(), before);
    let mut keys: Vec<_> = kept.iter().map(|record| record.key.clone()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), kept.len(), "one record for each key");
    assert!(kept.iter().any(|record| record.value.is_none()), "young tombstones stay");
    assert_eq!(ends(&log, 0), (0, high, high));

    log.advance(86_400_001);
    log.run_compaction();
    assert_eq!(table(), before);
    assert_eq!(log.committed_records(&"t".into())[0].len(), before.len(), "old tombstones go");
    // Reading starts in a hole and ends behind one.
    let (read, _) = read(&log, 0, 0);
    assert_eq!(read, Read::Records(Offset(high)));
}

#[test]
fn compaction_spares_what_is_behind_an_open_transaction() {
    let log = MemoryLog::new(MemoryOptions::default());
    topic(&log, "t", Cleanup::Compact, None);
    log.append(&at(0), &one("a")).unwrap();
    log.append(&at(0), &one("b")).unwrap();
    let mut open = producer(&log, "p");
    open.send(&at(0), &one("c")).unwrap();
    log.append(&at(0), &one("d")).unwrap();
    log.run_compaction();
    published(open.publish(&[], &nobody()));
    assert_eq!(seen_values(&log, 0), ["b", "c", "d"]);
}

#[test]
fn a_topic_made_anew_ends_fetches_positions_and_transactions_of_the_old() {
    let log = log_with(FaultPlan::NONE);
    let mut a = member(&log, "a");
    poll(&mut *a);
    a.fetch(&at(0), Offset::ZERO, FetchEpoch(1)).unwrap();
    let mut transaction = producer(&log, "p");
    published(transaction.publish(&[(at(0), Offset(3))], &a.group_metadata()));
    transaction.send(&at(0), &one("never")).unwrap();
    log.admin().unwrap().delete_topic(&"t".into()).unwrap();
    assert_eq!(log.group_offsets("g"), []);
    assert!(matches!(poll(&mut *a), Polled::Lost(lost) if lost.len() == 2));
    topic(&log, "t", Cleanup::Delete, None);
    published(transaction.publish(&[], &nobody()));
    assert_eq!(ends(&log, 0), (0, 0, 0));
    assert!(matches!(poll(&mut *a), Polled::Assigned(again) if again.len() == 2));
}

#[test]
fn a_topic_needs_a_legal_name_and_a_partition() {
    let log = MemoryLog::new(MemoryOptions::default());
    let mut admin = log.admin().unwrap();
    let settings =
        TopicSettings { partitions: 1, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false };
    for name in ["", "a b", "ä", &"x".repeat(250)] {
        assert!(matches!(admin.create_topic(&name.into(), settings), Err(LogError::Fatal(_))), "{name}");
    }
    let none = TopicSettings { partitions: 0, ..settings };
    assert!(admin.create_topic(&"t".into(), none).is_err());
    assert_eq!(admin.topics(), Ok(vec![]));
}
