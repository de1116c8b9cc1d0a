//! Tests of what happens to old rows.

use super::*;
use crate::log::embedded::row::RowLimits;

fn until_done(log: &EmbeddedLog, now: i64) -> Maintained {
    let mut all = Maintained::default();
    for _ in 0..10_000 {
        let done = log.maintain(LogTime(now)).unwrap();
        all.expired_rows += done.expired_rows;
        all.compacted_records += done.compacted_records;
        if !done.more {
            return all;
        }
    }
    panic!("upkeep never ends");
}

fn append(log: &EmbeddedLog, to: &TopicPartition, records: &[(&str, Option<&str>, i64)]) {
    let mut batch = RecordBatch::new();
    for (key, value, time) in records {
        batch.push(keyed(key, *value, *time));
    }
    log.append(to, &batch, Durability::Os).unwrap();
}

#[test]
fn rows_go_when_all_their_records_are_too_old() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    topic(&*log, "t", TopicSettings { retention_ms: Some(100), ..settings(1) });
    topic(&*log, "for ever".replace(' ', "-").as_str(), settings(1));
    append(&log, &tp("t", 0), &[("a", Some("0"), 1_000), ("a", Some("1"), 1_050)]);
    append(&log, &tp("t", 0), &[("a", Some("2"), 1_200)]);
    append(&log, &tp("t", 0), &[("a", Some("3"), 1_020)]);
    append(&log, &tp("for-ever", 0), &[("a", Some("kept"), 0)]);
    for (now, gone, left) in [(1_150, 0, 4), (1_151, 1, 2), (1_300, 0, 2), (1_301, 2, 0), (9_999, 0, 0)] {
        assert_eq!(until_done(&log, now).expired_rows, gone, "at {now}");
        assert_eq!(values(&*log, &tp("t", 0)).len(), left, "at {now}");
    }
    assert_eq!(values(&*log, &tp("for-ever", 0)), ["kept"]);
    drop(log);
    let log = open(folder.path());
    let marks = log.reader().unwrap().watermarks(&tp("t", 0)).unwrap();
    assert_eq!((marks.start, marks.high), (Offset(4), Offset(4)), "offsets go on where they stood");
    append(&log, &tp("t", 0), &[("a", Some("4"), 2_000)]);
    assert_eq!(lines(&*log, &tp("t", 0)), [(4, 2_000, "a".to_owned(), Some("4".to_owned()))]);
}

#[test]
fn a_row_expires_by_its_own_time_whatever_was_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    topic(&*log, "t", TopicSettings { retention_ms: Some(100), ..settings(1) });
    append(&log, &tp("t", 0), &[("a", Some("ahead of its time"), 9_000)]);
    log.admin().unwrap().purge(&tp("t", 0), Offset(1)).unwrap();
    append(&log, &tp("t", 0), &[("a", Some("of its time"), 1_000)]);
    assert_eq!(until_done(&log, 1_101).expired_rows, 1);
}

#[test]
fn retention_is_counted_from_the_append_where_the_log_stamps() {
    let folder = tempfile::tempdir().unwrap();
    let hands = Hands::at(5_000);
    let log = EmbeddedLog::open(folder.path(), options(&hands)).unwrap();
    let stamped = TopicSettings {
        log_append_time: true,
        cleanup: Cleanup::CompactDelete,
        retention_ms: Some(100),
        ..settings(1)
    };
    topic(&*log, "t", stamped);
    append(&log, &tp("t", 0), &[("a", Some("0"), 1)]);
    until_done(&log, 5_100);
    assert_eq!(values(&*log, &tp("t", 0)), ["0"]);
    until_done(&log, 5_101);
    assert_eq!(values(&*log, &tp("t", 0)).len(), 0);
}

#[test]
fn rows_below_the_start_are_deleted_in_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    topic(&*log, "t", settings(1));
    for _ in 0..4 {
        append(&log, &tp("t", 0), &[("a", Some("x"), 0), ("a", Some("x"), 0)]);
    }
    let stored = || {
        let mut rows = 0;
        let key = log.writer.standing(&tp("t", 0)).unwrap().key;
        scan::rows(&log.writer.store, key, Offset::ZERO, Offset(99), |_, _, _| {
            rows += 1;
            Ok(std::ops::ControlFlow::Continue(()))
        })
        .unwrap();
        rows
    };
    // The middle of the third row: it stays as a whole.
    log.admin().unwrap().purge(&tp("t", 0), Offset(5)).unwrap();
    assert_eq!(stored(), 4);
    until_done(&log, 0);
    assert_eq!(stored(), 2);
    assert_eq!(values(&*log, &tp("t", 0)).len(), 3);
}

fn compacting(folder: &Path, maintain_bytes_max: usize) -> Arc<EmbeddedLog> {
    compacting_with(folder, maintain_bytes_max, 16 << 20)
}

fn compacting_with(folder: &Path, maintain_bytes_max: usize, compaction_bytes_max: usize) -> Arc<EmbeddedLog> {
    let options = EmbeddedOptions {
        compaction_bytes_max,
        compaction_records_min: 1,
        tombstone_retention: DurationMs(1_000),
        maintain_bytes_max,
        row: RowLimits { records: 4, bytes: 4_000 },
        ..options(&Hands::at(0))
    };
    let log = EmbeddedLog::open(folder, options).unwrap();
    topic(&*log, "c", TopicSettings { cleanup: Cleanup::Compact, ..settings(1) });
    log
}

fn line(offset: u64, key: &str, value: Option<&str>) -> Line {
    (offset, offset as i64 * 10, key.to_owned(), value.map(str::to_owned))
}

#[test]
fn compaction_keeps_the_last_record_of_each_key_at_its_offset() {
    let folder = tempfile::tempdir().unwrap();
    let log = compacting(folder.path(), 4 << 20);
    let c = tp("c", 0);
    append(&log, &c, &[("a", Some("0"), 0), ("b", Some("1"), 10)]);
    append(&log, &c, &[("a", Some("2"), 20), ("c", Some("3"), 30)]);
    append(&log, &c, &[("d", Some("4"), 40), ("d", None, 50)]);
    append(&log, &c, &[("c", Some("6"), 60)]);
    assert_eq!(until_done(&log, 5_000).compacted_records, 3);
    let stays = [line(1, "b", Some("1")), line(2, "a", Some("2")), line(5, "d", None), line(6, "c", Some("6"))];
    assert_eq!(lines(&*log, &c), stays);
    // Nothing is fresh: nothing is done, also after reopening.
    assert_eq!(until_done(&log, 5_999).compacted_records, 0);
    drop(log);
    let log = compacting(folder.path(), 4 << 20);
    assert_eq!(until_done(&log, 5_999).compacted_records, 0);
    assert_eq!(lines(&*log, &c), stays);

    // A tombstone that compaction met stays for its time and goes with the first pass after it.
    let fresh = |n: u64| -> Vec<(&str, Option<&str>, i64)> { vec![("e", Some("x"), n as i64); 4] };
    append(&log, &c, &fresh(70));
    until_done(&log, 5_999);
    assert!(lines(&*log, &c).contains(&line(5, "d", None)));
    append(&log, &c, &fresh(110));
    append(&log, &c, &fresh(110));
    until_done(&log, 6_000);
    let left = lines(&*log, &c);
    assert_eq!(left.iter().map(|line| line.2.as_str()).collect::<Vec<_>>(), ["b", "a", "c", "e"]);
    assert_eq!(log.reader().unwrap().watermarks(&c).unwrap().high, Offset(19));
}

#[test]
fn compaction_in_small_steps_gives_the_same_table() {
    let folder = tempfile::tempdir().unwrap();
    let log = compacting(folder.path(), 200);
    let c = tp("c", 0);
    let mut wanted = std::collections::BTreeMap::new();
    for n in 0..1_000_u64 {
        let (key, value) = ((n * 7919 % 61).to_string(), n.to_string());
        append(&log, &c, &[(&key, Some(&value), n as i64)]);
        wanted.insert(key, (n, value));
        // Records keep coming while a pass is under way.
        log.maintain(LogTime(0)).unwrap();
    }
    until_done(&log, 0);
    let mut got = std::collections::BTreeMap::new();
    let present = lines(&*log, &c);
    for (offset, _, key, value) in &present {
        got.insert(key.clone(), (*offset, value.clone().unwrap()));
    }
    assert_eq!(got, wanted);
    assert!(present.len() < 200, "{} records of 61 keys are left", present.len());
}

#[test]
fn keys_that_do_not_fit_at_once_take_several_passes() {
    let folder = tempfile::tempdir().unwrap();
    let log = compacting_with(folder.path(), 4 << 20, 300);
    for n in 0..600_u64 {
        append(&log, &tp("c", 0), &[(&(n % 31).to_string(), Some(&n.to_string()), 0)]);
    }
    until_done(&log, 0);
    let present = lines(&*log, &tp("c", 0));
    for key in 0..31 {
        let last = present.iter().rfind(|line| line.2 == key.to_string()).unwrap();
        assert_eq!(last.0 % 31, key);
        assert!(last.0 >= 600 - 31);
    }
    // What came in since the last pass is less than what that one left.
    assert!(present.len() < 4 * 31, "{} records of 31 keys are left", present.len());
}

#[test]
fn records_without_a_key_are_never_compacted() {
    let folder = tempfile::tempdir().unwrap();
    let log = compacting(folder.path(), 4 << 20);
    let mut batch = RecordBatch::new();
    for _ in 0..2 {
        batch.push(RecordRef { key: None, ..keyed("", Some("x"), 0) });
        batch.push(RecordRef { key: None, ..keyed("", None, 0) });
    }
    log.append(&tp("c", 0), &batch, Durability::Os).unwrap();
    assert_eq!(until_done(&log, i64::MAX).compacted_records, 0);
    let mut reader = log.reader().unwrap();
    assert_eq!(reader.read(&tp("c", 0), Offset::ZERO, &mut batch), Ok(Read::Records(Offset(4))));
    assert_eq!(batch.len(), 4);
}

#[test]
fn a_topic_deleted_under_compaction_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let log = compacting(folder.path(), 100);
    for _ in 0..50 {
        append(&log, &tp("c", 0), &[("a", Some("x"), 0), ("b", Some("y"), 0)]);
    }
    assert!(log.maintain(LogTime(0)).unwrap().more);
    log.admin().unwrap().delete_topic(&"c".into()).unwrap();
    until_done(&log, 0);
    let again = TopicSettings { cleanup: Cleanup::Compact, ..settings(1) };
    topic(&*log, "c", again);
    append(&log, &tp("c", 0), &[("a", Some("new"), 0)]);
    until_done(&log, 0);
    assert_eq!(values(&*log, &tp("c", 0)), ["new"]);
}
