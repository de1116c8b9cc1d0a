//! Tests of the whole embedded log.

mod durability;
mod model;
mod upkeep;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::batch::{Headers, RecordRef};
use crate::log::{Cleanup, GroupMetadata, Polled, Publish, Read, TopicInfo, TopicSettings, Watermarks};
use crate::record::{DurationMs, TopicName};

/// A clock that stands still until it is moved.
#[derive(Clone, Default)]
struct Hands(Arc<AtomicI64>);

impl Hands {
    fn at(time: i64) -> Self {
        let hands = Self::default();
        hands.set(time);
        hands
    }

    fn set(&self, time: i64) {
        self.0.store(time, Ordering::SeqCst);
    }

    fn clock(&self) -> LogClock {
        let hands = Arc::clone(&self.0);
        Arc::new(move || LogTime(hands.load(Ordering::SeqCst)))
    }
}

fn options(hands: &Hands) -> EmbeddedOptions {
    let mut options = EmbeddedOptions::new(hands.clock());
    // What is published lies in segments, if a row has a KiB; what is appended, with RocksDB.
    options.store.segments_from_bytes = 1;
    options.store.segment_bytes = 100_000;
    options
}

/// A log together with its folder, which goes when the log does.
struct InTemporaryFolder {
    log: Arc<EmbeddedLog>,
    _folder: tempfile::TempDir,
}

impl Log for InTemporaryFolder {
    fn group_source(&self, membership: Membership) -> Result<Box<dyn GroupSource>, LogError> {
        self.log.group_source(membership)
    }
    fn transaction(&self, id: &TransactionalId) -> Result<Box<dyn Transaction>, LogError> {
        self.log.transaction(id)
    }
    fn reader(&self) -> Result<Box<dyn FreeReader>, LogError> {
        self.log.reader()
    }
    fn admin(&self) -> Result<Box<dyn Admin>, LogError> {
        self.log.admin()
    }
}

mod contract_of_the_log {
    use super::*;

    fn make() -> Arc<dyn Log> {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path(), options(&Hands::at(1_000_000))).unwrap();
        Arc::new(InTemporaryFolder { log, _folder: folder })
    }

    crate::for_every_case!(make);
}

fn open(folder: &Path) -> Arc<EmbeddedLog> {
    EmbeddedLog::open(folder, options(&Hands::at(1_000_000))).unwrap()
}

fn settings(partitions: u32) -> TopicSettings {
    TopicSettings { partitions, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false }
}

fn topic(log: &dyn Log, name: &str, settings: TopicSettings) -> TopicInfo {
    log.admin().unwrap().create_topic(&TopicName::new(name), settings).unwrap()
}

fn tp(topic: &str, partition: u32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

fn batch_of(values: &[&str]) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for value in values {
        batch.push(keyed("key", Some(value), 1_000));
    }
    batch
}

fn keyed<'a>(key: &'a str, value: Option<&'a str>, time: i64) -> RecordRef<'a> {
    RecordRef {
        offset: Offset::ZERO,
        timestamp: LogTime(time),
        key: Some(key.as_bytes()),
        value: value.map(str::as_bytes),
        headers: Headers::NONE,
    }
}

fn nobody() -> GroupMetadata {
    GroupMetadata { group: "none".to_owned(), generation: 0, member: "none".to_owned(), instance: "none".to_owned() }
}

/// What a partition holds: offset, time, key, value.
type Line = (u64, i64, String, Option<String>);

fn lines_from(reader: &mut dyn FreeReader, partition: &TopicPartition, from: Offset) -> Vec<Line> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut lines = Vec::new();
    let (mut from, mut batch) = (from, RecordBatch::new());
    loop {
        match reader.read(partition, from, &mut batch).unwrap() {
            Read::Records(next) => from = next,
            Read::End(_) => return lines,
            Read::OutOfRange(marks) => panic!("{from} is outside {marks:?}"),
        }
        for record in batch.iter() {
            let (key, value) = (text(record.key.unwrap()), record.value.map(text));
            lines.push((record.offset.0, record.timestamp.0, key, value));
        }
    }
}

fn lines(log: &dyn Log, partition: &TopicPartition) -> Vec<Line> {
    let mut reader = log.reader().unwrap();
    let start = reader.watermarks(partition).unwrap().start;
    lines_from(&mut *reader, partition, start)
}

fn values(log: &dyn Log, partition: &TopicPartition) -> Vec<String> {
    lines(log, partition).into_iter().filter_map(|(_, _, _, value)| value).collect()
}

#[test]
fn a_second_process_is_told_that_the_folder_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let error = EmbeddedLog::open(folder.path(), options(&Hands::at(0))).map(drop).unwrap_err();
    let pid = std::process::id();
    assert!(error.to_string().contains(&format!("held by process {pid}")), "{error}");
    drop(log);
    open(folder.path());
}

#[test]
fn a_folder_of_another_format_is_refused() {
    use state::ordered::{OrderedOptions, OrderedStore, Sync, WriteSet};
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let store = OrderedStore::open(&store_folder(folder.path()), OrderedOptions::default()).unwrap();
    let mut write = WriteSet::new();
    write.put(&[0], &[77, 1, 2, 3]);
    store.write(&write, Sync::Os).unwrap();
    drop(store);
    let error = EmbeddedLog::open(folder.path(), options(&Hands::at(0))).map(drop).unwrap_err();
    assert!(error.to_string().contains("format 77"), "{error}");
}

#[test]
fn a_closed_member_loses_its_partitions_after_the_session_timeout_only() {
    let folder = tempfile::tempdir().unwrap();
    let hands = Hands::at(1_000);
    let log = EmbeddedLog::open(folder.path(), options(&hands)).unwrap();
    topic(&*log, "t", settings(2));
    let member = |instance: &str| {
        let (group, instance) = ("g".to_owned(), instance.to_owned());
        log.group_source(Membership { group, instance, anchors: vec!["t".into()] }).unwrap()
    };
    let mut batch = RecordBatch::new();
    let mut a = member("a");
    assert_eq!(a.poll(&mut batch).unwrap(), Polled::Assigned(vec![tp("t", 0), tp("t", 1)]));
    let mut b = member("b");
    assert!(matches!(a.poll(&mut batch).unwrap(), Polled::Revoked(gone) if gone == [tp("t", 1)]));
    a.release(&tp("t", 1)).unwrap();
    assert_eq!(b.poll(&mut batch).unwrap(), Polled::Assigned(vec![tp("t", 1)]));
    let standing = a.group_metadata();
    a.close();
    let timeout = DurationMs::seconds(45).0;
    hands.set(1_000 + timeout - 1);
    assert_eq!(b.poll(&mut batch).unwrap(), Polled::Nothing);
    hands.set(1_000 + timeout);
    assert_eq!(b.poll(&mut batch).unwrap(), Polled::Assigned(vec![tp("t", 0)]));
    let mut transaction = log.transaction(&TransactionalId("p".to_owned())).unwrap();
    let answer = transaction.publish(&[(tp("t", 0), Offset(1))], &standing);
    assert!(matches!(answer, Publish::Fenced(_)), "{answer:?}");
    // A member that lives never times out, however seldom it polls.
    hands.set(1_000_000_000);
    assert_eq!(b.poll(&mut batch).unwrap(), Polled::Nothing);
}

#[test]
fn a_takeover_waits_for_the_commit_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    topic(&*log, "t", settings(1));
    let join = || {
        let (group, instance) = ("g".to_owned(), "a".to_owned());
        log.group_source(Membership { group, instance, anchors: vec!["t".into()] }).unwrap()
    };
    let filling = "x".repeat(50_000);
    for round in 0..100 {
        let mut old = join();
        let metadata = old.group_metadata();
        let start = old.committed(&tp("t", 0)).unwrap().unwrap_or_default();
        let found = std::thread::scope(|scope| {
            scope.spawn(|| {
                // A producer of its own, so that only the group can fence it.
                let id = TransactionalId(format!("p{round}"));
                let mut transaction = log.transaction(&id).unwrap();
                let mut position = start;
                loop {
                    position = position.next();
                    transaction.send(&tp("t", 0), &batch_of(&[&filling])).unwrap();
                    match transaction.publish(&[(tp("t", 0), position)], &metadata) {
                        Publish::Published(_) => {}
                        Publish::Fenced(_) => return,
                        other => panic!("{other:?}"),
                    }
                }
            });
            while old.committed(&tp("t", 0)).unwrap().unwrap_or_default() <= start {
                std::thread::yield_now();
            }
            let mut new = join();
            new.committed(&tp("t", 0)).unwrap()
        });
        let end = join().committed(&tp("t", 0)).unwrap();
        assert_eq!(end, found, "the replaced member committed after all");
    }
}

#[test]
fn partitions_of_a_deleted_topic_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    topic(&*log, "t", settings(1));
    let membership = Membership { group: "g".to_owned(), instance: "a".to_owned(), anchors: vec!["t".into()] };
    let mut source = log.group_source(membership).unwrap();
    let mut batch = RecordBatch::new();
    assert_eq!(source.poll(&mut batch).unwrap(), Polled::Assigned(vec![tp("t", 0)]));
    source.fetch(&tp("t", 0), Offset::ZERO, Default::default()).unwrap();
    let mut transaction = log.transaction(&TransactionalId("p".to_owned())).unwrap();
    transaction.send(&tp("t", 0), &batch_of(&["never"])).unwrap();
    let metadata = source.group_metadata();
    let mut other = log.transaction(&TransactionalId("q".to_owned())).unwrap();
    assert!(matches!(other.publish(&[(tp("t", 0), Offset(3))], &metadata), Publish::Published(_)));
    log.admin().unwrap().delete_topic(&"t".into()).unwrap();
    topic(&*log, "t", settings(1));
    let answer = transaction.publish(&[], &metadata);
    assert!(matches!(answer, Publish::Aborted(_)), "records of the old topic: {answer:?}");
    assert_eq!(source.poll(&mut batch).unwrap(), Polled::Lost(vec![tp("t", 0)]));
    assert_eq!(source.poll(&mut batch).unwrap(), Polled::Assigned(vec![tp("t", 0)]));
    assert_eq!(source.committed(&tp("t", 0)).unwrap(), None, "a position dies with its topic");
}

#[test]
fn a_poll_is_bounded_and_goes_round() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    topic(&*log, "t", settings(3));
    let text = "x".repeat(240);
    let batch = batch_of(&vec![text.as_str(); 20_000]);
    for p in 0..3 {
        log.append(&tp("t", p), &batch, Durability::Os).unwrap();
    }
    let membership = Membership { group: "g".to_owned(), instance: "a".to_owned(), anchors: vec!["t".into()] };
    let mut source = log.group_source(membership).unwrap();
    let mut batch = RecordBatch::new();
    source.poll(&mut batch).unwrap();
    for p in 0..3 {
        source.fetch(&tp("t", p), Offset::ZERO, Default::default()).unwrap();
    }
    let mut last = Vec::new();
    for _ in 0..9 {
        let Polled::Records { partition, .. } = source.poll(&mut batch).unwrap() else { panic!("no records") };
        assert!(batch.len() < 1_024 && batch.byte_len() <= 256 << 10);
        last.push(partition.partition.0);
    }
    assert_eq!(last[..3], last[3..6]);
    assert_eq!(last[..3], last[6..]);
    last.truncate(3);
    last.sort_unstable();
    assert_eq!(last, [0, 1, 2]);
}

#[test]
fn a_transaction_over_its_limit_is_refused_before_it_takes_memory() {
    let folder = tempfile::tempdir().unwrap();
    let limited = EmbeddedOptions { transaction_bytes_max: 100, ..options(&Hands::at(0)) };
    let log = EmbeddedLog::open(folder.path(), limited).unwrap();
    topic(&*log, "t", settings(1));
    let mut transaction = log.transaction(&TransactionalId("p".to_owned())).unwrap();
    transaction.send(&tp("t", 0), &batch_of(&["short"])).unwrap();
    let error = transaction.send(&tp("t", 0), &batch_of(&[&"long".repeat(30)])).unwrap_err();
    assert!(error.to_string().contains("limit of 100"), "{error}");
}

#[test]
fn a_full_disk_stops_the_log_and_leaves_it_whole() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    topic(&*log, "t", settings(1));
    log.append(&tp("t", 0), &batch_of(&["before"]), Durability::Os).unwrap();
    let marks = |log: &dyn Log| -> Watermarks { log.reader().unwrap().watermarks(&tp("t", 0)).unwrap() };
    let before = marks(&*log);
    let mut transaction = log.transaction(&TransactionalId("p".to_owned())).unwrap();
    transaction.send(&tp("t", 0), &batch_of(&["never"])).unwrap();
    log.writer.fault.store(true, Ordering::SeqCst);
    let answer = transaction.publish(&[], &nobody());
    assert!(matches!(&answer, Publish::Ambiguous(why) if why.contains("no room")), "{answer:?}");
    // Also when there is room again: only opening anew tells what the disk holds.
    log.writer.fault.store(false, Ordering::SeqCst);
    let full = |error: LogError| assert!(matches!(error, LogError::Full(_)), "{error}");
    full(log.append(&tp("t", 0), &batch_of(&["never"]), Durability::Os).unwrap_err());
    full(transaction.send(&tp("t", 0), &batch_of(&["never"])).unwrap_err());
    full(log.transaction(&TransactionalId("p".to_owned())).map(drop).unwrap_err());
    full(log.admin().unwrap().create_topic(&"u".into(), settings(1)).unwrap_err());
    assert_eq!(marks(&*log), before);
    assert_eq!(values(&*log, &tp("t", 0)), ["before"]);
    drop(transaction);
    drop(log);
    let log = open(folder.path());
    assert_eq!(marks(&*log), before);
    log.append(&tp("t", 0), &batch_of(&["after"]), Durability::Os).unwrap();
    assert_eq!(values(&*log, &tp("t", 0)), ["before", "after"]);
}
