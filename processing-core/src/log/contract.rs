//! What every log must do: one suite that the embedded log, the simulator's log and Kafka pass.
//!
//! Not here: what only one of them has (durability, retention, faults). Nothing in the suite relies
//! on offsets without gaps or on an answer at the first poll, so that a log with transaction markers
//! and a log of another machine can pass it.
//! Invariant: a case makes its log with `make` and uses nothing of it but the traits.
//!
//! ```text
//!   processing_core::for_every_case!(|| -> Arc<dyn Log> { … });   // one #[test] per case
//! ```
//!
//! It is public to the feature `testing`, because the tests of a log on another machine need more than this
//! crate has: a broker.

mod groups;
mod reads;
#[expect(clippy::disallowed_methods, reason = "several threads use a log at once")]
mod transactions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{
    Cleanup, FetchEpoch, FreeReader, GroupSource, Log, LogError, Membership, Polled, Publish, Published, Read,
    TopicSettings, Transaction, TransactionalId,
};
use crate::batch::{Headers, RecordBatch, RecordRef};
use crate::record::{LogTime, Offset, TopicName, TopicPartition};

pub use groups::*;
pub use reads::*;
pub use transactions::*;

/// Makes a new, empty log.
pub type Make<'a> = &'a dyn Fn() -> Arc<dyn Log>;

/// One `#[test]` for each case of the contract, against the log that the closure makes.
#[macro_export]
macro_rules! for_every_case {
    // Without two: a producer may learn of an unknown partition when its records are not delivered, and a marker with a
    // time of its own may be the first of a later time.
    (anywhere $make:expr) => {
        $crate::for_every_case! { $make =>
            a_topic_is_made_once_and_listed
            a_topic_made_anew_has_another_id
            records_come_back_as_they_were_sent
            records_of_many_transactions_keep_their_order
            nothing_is_seen_before_publish
            an_abort_leaves_no_trace
            a_dropped_transaction_leaves_no_trace
            records_and_positions_become_true_together
            positions_alone_are_published
            a_newer_producer_fences_the_older
            producers_at_once_lose_and_mix_nothing
            a_lone_member_gets_every_partition
            two_members_share_and_a_revoke_is_waited_for
            two_anchors_are_both_dealt_out
            a_member_that_comes_back_finds_its_partitions
            the_same_instance_taken_over_is_lost_and_fenced
            an_older_generation_is_fenced
            an_invented_member_is_fenced
            a_topic_made_later_is_dealt_out
            many_members_hold_each_partition_once
            committed_is_none_before_the_first_commit
            records_carry_the_epoch_of_their_fetch
            pause_and_resume_neither_lose_nor_repeat
            a_released_partition_is_silent
            a_co_partitioned_topic_is_fetched
            watermarks_frame_the_records
            a_free_reader_ends_and_goes_on
            a_purge_moves_the_start
            the_log_stamps_append_time
            group_offsets_are_listed
        }
    };
    // Each log's.
    ($make:expr) => {
        $crate::for_every_case! { anywhere $make }
        $crate::for_every_case! { $make =>
            an_unknown_partition_is_named
            an_offset_is_found_by_time
        }
    };
    ($make:expr => $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::log::contract::$case(&$make);
            }
        )*
    };
}

/// How many polls may find nothing before a case gives up.
const PATIENCE: usize = 2_000;

fn settings(partitions: u32) -> TopicSettings {
    TopicSettings { partitions, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false }
}

fn with_topic(make: Make<'_>, name: &str, partitions: u32) -> Arc<dyn Log> {
    let log = make();
    add_topic(&*log, name, partitions);
    log
}

fn add_topic(log: &dyn Log, name: &str, partitions: u32) {
    log.admin().unwrap().create_topic(&TopicName::new(name), settings(partitions)).unwrap();
}

fn tp(topic: &str, partition: u32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

fn producer(log: &dyn Log, id: &str) -> Box<dyn Transaction> {
    log.transaction(&TransactionalId(id.to_owned())).unwrap()
}

fn record<'a>(value: &'a str, timestamp: i64) -> RecordRef<'a> {
    RecordRef {
        offset: Offset::ZERO,
        timestamp: LogTime(timestamp),
        key: Some(b"key"),
        value: Some(value.as_bytes()),
        headers: Headers::NONE,
    }
}

fn batch_of(values: &[&str]) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for value in values {
        batch.push(record(value, 1_000));
    }
    batch
}

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| format!("value {i}")).collect()
}

fn batch_of_strings(values: &[String]) -> RecordBatch {
    batch_of(&values.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A member of `group` that reads `anchors`.
fn member(log: &dyn Log, instance: &str, anchors: &[&str]) -> Box<dyn GroupSource> {
    log.group_source(Membership {
        group: "group".to_owned(),
        instance: instance.to_owned(),
        anchors: anchors.iter().map(TopicName::new).collect(),
    })
    .unwrap()
}

fn published(answer: Publish) -> Published {
    match answer {
        Publish::Published(published) => published,
        other => panic!("expected Published, got {other:?}"),
    }
}

fn fenced(answer: Publish) {
    assert!(matches!(answer, Publish::Fenced(_)), "expected Fenced, got {answer:?}");
}

/// Nothing of it is true, and the answer says so: fenced, or undone if the member only has to hear what is new.
fn refused(answer: Publish) {
    assert!(matches!(answer, Publish::Fenced(_) | Publish::Aborted(_)), "expected a refusal, got {answer:?}");
}

/// Publishes `values` to one partition with a producer of its own and no positions.
fn put(log: &dyn Log, to: &TopicPartition, values: &[&str]) -> Published {
    send_all(log, to, &batch_of(values))
}

fn send_all(log: &dyn Log, to: &TopicPartition, batch: &RecordBatch) -> Published {
    let mut source = member_of(log, "feeders");
    let mut transaction = producer(log, "feeder");
    transaction.send(to, batch).unwrap();
    let answer = published(transaction.publish(&[], &source.group_metadata()));
    source.close();
    answer
}

/// A member without anchors: it lends its metadata to producers that read nothing.
fn member_of(log: &dyn Log, group: &str) -> Box<dyn GroupSource> {
    log.group_source(Membership { group: group.to_owned(), instance: "only".to_owned(), anchors: vec![] }).unwrap()
}

/// Repeats what answers `Retry`, as a worker does.
fn patiently<T>(mut call: impl FnMut() -> Result<T, LogError>) -> T {
    for _ in 0..PATIENCE {
        match call() {
            Err(LogError::Retry(_)) => {}
            other => return other.unwrap(),
        }
    }
    panic!("still `Retry` after {PATIENCE} calls");
}

/// Everything committed in `partition`, from its start to its end: offsets and values.
fn contents(log: &dyn Log, partition: &TopicPartition) -> Vec<(Offset, String)> {
    let mut reader = log.reader().unwrap();
    let from = patiently(|| reader.watermarks(partition)).start;
    read_to_end(&mut *reader, partition, from).0
}

fn values(log: &dyn Log, partition: &TopicPartition) -> Vec<String> {
    contents(log, partition).into_iter().map(|(_, value)| value).collect()
}

/// Reads from `from` to the end; also tells where the end stood.
fn read_to_end(
    reader: &mut dyn FreeReader,
    partition: &TopicPartition,
    mut from: Offset,
) -> (Vec<(Offset, String)>, Offset) {
    let mut found = Vec::new();
    let mut batch = RecordBatch::new();
    for _ in 0..PATIENCE {
        match patiently(|| reader.read(partition, from, &mut batch)) {
            Read::Records(next) => {
                assert!(!batch.is_empty(), "`Records` of {partition} without a record");
                take(&batch, from, next, &mut found);
                from = next;
            }
            Read::End(end) => {
                assert!(batch.is_empty(), "`End` of {partition} with records");
                assert!(end >= from);
                return (found, end);
            }
            Read::OutOfRange(marks) => panic!("{partition} at {from} is outside {marks:?}"),
        }
    }
    panic!("no end of {partition}");
}

/// Takes a batch's records over and checks that their offsets rise and lie in `from..next`.
fn take(batch: &RecordBatch, from: Offset, next: Offset, into: &mut Vec<(Offset, String)>) {
    let mut least = from;
    for record in batch.iter() {
        assert!(record.offset >= least, "offset {} where {least} is the least", record.offset);
        least = record.offset.next();
        into.push((record.offset, String::from_utf8(record.value.unwrap().to_vec()).unwrap()));
    }
    assert!(next >= least, "reading goes on at {next}, below {least}");
}

/// A member together with all that its polls told.
struct Watched {
    source: Box<dyn GroupSource>,
    held: BTreeSet<TopicPartition>,
    revoked: BTreeSet<TopicPartition>,
    lost: BTreeSet<TopicPartition>,
    records: BTreeMap<TopicPartition, Vec<(Offset, String)>>,
    positions: BTreeMap<TopicPartition, Offset>,
    epoch: FetchEpoch,
}

impl Watched {
    fn join(log: &dyn Log, instance: &str, anchors: &[&str]) -> Self {
        Self {
            source: member(log, instance, anchors),
            held: BTreeSet::new(),
            revoked: BTreeSet::new(),
            lost: BTreeSet::new(),
            records: BTreeMap::new(),
            positions: BTreeMap::new(),
            epoch: FetchEpoch(1),
        }
    }

    /// One poll; answers whether it told anything.
    fn poll(&mut self) -> Result<bool, LogError> {
        let mut batch = RecordBatch::new();
        batch.push(record("a batch is cleared by poll", 0));
        let polled = match self.source.poll(&mut batch) {
            Err(LogError::Retry(_)) => return Ok(false),
            other => other?,
        };
        if !matches!(polled, Polled::Records { .. }) {
            assert!(batch.is_empty(), "{polled:?} with records");
        }
        match polled {
            Polled::Nothing => return Ok(false),
            Polled::Records { partition, next, epoch } => {
                assert_eq!(epoch, self.epoch, "records of another epoch of {partition}");
                let from = self.positions[&partition];
                let into = self.records.entry(partition.clone()).or_default();
                take(&batch, from, next, into);
                self.positions.insert(partition, next);
            }
            Polled::Assigned(partitions) => {
                for partition in partitions {
                    self.revoked.remove(&partition);
                    assert!(self.held.insert(partition.clone()), "{partition} assigned twice");
                }
            }
            Polled::Revoked(partitions) => {
                for partition in partitions {
                    assert!(self.held.remove(&partition), "{partition} revoked, not held");
                    self.revoked.insert(partition);
                }
            }
            Polled::Lost(partitions) => {
                for partition in partitions {
                    self.held.remove(&partition);
                    self.revoked.remove(&partition);
                    self.lost.insert(partition);
                }
            }
        }
        Ok(true)
    }

    fn fetch(&mut self, partition: &TopicPartition, from: Offset) {
        self.positions.insert(partition.clone(), from);
        self.source.fetch(partition, from, self.epoch).unwrap();
    }

    fn release_revoked(&mut self) {
        for partition in std::mem::take(&mut self.revoked) {
            self.positions.remove(&partition);
            self.source.release(&partition).unwrap();
        }
    }

    fn values(&self, partition: &TopicPartition) -> Vec<String> {
        self.records.get(partition).into_iter().flatten().map(|(_, value)| value.clone()).collect()
    }
}

/// Polls all members in turn until `done`.
fn until(members: &mut [&mut Watched], what: &str, done: impl Fn(&[&mut Watched]) -> bool) {
    for _ in 0..PATIENCE {
        if done(members) {
            return;
        }
        for member in members.iter_mut() {
            member.poll().unwrap();
        }
    }
    panic!("in vain waited for: {what}");
}

/// Polls all members until a whole round tells nothing, twice, so that what must not come had its chance.
fn until_quiet(members: &mut [&mut Watched]) {
    let mut quiet = 0;
    for _ in 0..PATIENCE {
        let mut told = false;
        for member in members.iter_mut() {
            told |= member.poll().unwrap();
        }
        quiet = if told { 0 } else { quiet + 1 };
        if quiet == 5 {
            return;
        }
    }
    panic!("the members never fall silent");
}

fn all_of(topic: &str, partitions: u32) -> BTreeSet<TopicPartition> {
    (0..partitions).map(|p| tp(topic, p)).collect()
}
