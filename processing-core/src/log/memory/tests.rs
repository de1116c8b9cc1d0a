//! The honest log passes the contract of every log; the files beside this one test what only a log
//! with markers, timeouts and faults has.

use std::sync::Arc;

use super::*;
use crate::batch::Headers;
use crate::log::{Cleanup, GroupMetadata, Polled, Publish, Published, Read, TopicSettings, Watermarks};

mod copying;
mod groups;
mod partitions;
mod topics;
mod transactions;

mod contract {
    use super::*;
    crate::for_every_case!(|| -> Arc<dyn Log> { MemoryLog::new(MemoryOptions::default()) });
}

/// Freedom of order is not a fault: the contract holds whatever the batches and turns are.
mod contract_in_disorder {
    use super::*;
    crate::for_every_case!(|| -> Arc<dyn Log> {
        MemoryLog::new(MemoryOptions { seed: 7, faults: FaultPlan::SHUFFLED, ..MemoryOptions::default() })
    });
}

/// A log with this one fault, and topic `t` of two partitions.
fn log_with(faults: FaultPlan) -> Arc<MemoryLog> {
    let log = MemoryLog::new(MemoryOptions { faults: FaultPlan::NONE, seed: 3, ..MemoryOptions::default() });
    topic(&log, "t", Cleanup::Delete, None);
    log.set_faults(faults);
    log
}

fn topic(log: &MemoryLog, name: &str, cleanup: Cleanup, retention_ms: Option<u64>) {
    let settings = TopicSettings { partitions: 2, cleanup, retention_ms, log_append_time: true };
    log.admin().unwrap().create_topic(&name.into(), settings).unwrap();
}

fn at(partition: u32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn keyed(key: &str, value: Option<&str>) -> RecordBatch {
    let mut batch = RecordBatch::new();
    batch.push(RecordRef {
        offset: Offset::ZERO,
        timestamp: LogTime(0),
        key: Some(key.as_bytes()),
        value: value.map(str::as_bytes),
        headers: Headers::NONE,
    });
    batch
}

fn one(value: &str) -> RecordBatch {
    keyed("k", Some(value))
}

fn producer(log: &MemoryLog, id: &str) -> Box<dyn Transaction> {
    log.transaction(&TransactionalId(id.to_owned())).unwrap()
}

fn member(log: &MemoryLog, instance: &str) -> Box<dyn GroupSource> {
    let membership = Membership { group: "g".to_owned(), instance: instance.to_owned(), anchors: vec!["t".into()] };
    log.group_source(membership).unwrap()
}

/// For publishes without positions, which are checked against no group.
fn nobody() -> GroupMetadata {
    GroupMetadata::nobody()
}

fn poll(source: &mut dyn GroupSource) -> Polled {
    source.poll(&mut RecordBatch::new()).unwrap()
}

fn published(answer: Publish) -> Published {
    match answer {
        Publish::Published(published) => published,
        other => panic!("expected Published, got {other:?}"),
    }
}

/// Offsets and values that a read-committed reader sees in one partition of `t`.
fn seen(log: &MemoryLog, partition: usize) -> Vec<(u64, String)> {
    let records = &log.committed_records(&"t".into())[partition];
    let value = |record: &OwnedRecord| String::from_utf8(record.value.clone().unwrap_or_default()).unwrap();
    records.iter().map(|record| (record.offset.0, value(record))).collect()
}

fn seen_values(log: &MemoryLog, partition: usize) -> Vec<String> {
    seen(log, partition).into_iter().map(|(_, value)| value).collect()
}

fn ends(log: &MemoryLog, partition: u32) -> (u64, u64, u64) {
    let Watermarks { start, last_stable, high } = log.reader().unwrap().watermarks(&at(partition)).unwrap();
    (start.0, last_stable.0, high.0)
}

fn read(log: &MemoryLog, partition: u32, from: u64) -> (Read, Vec<u64>) {
    let mut batch = RecordBatch::new();
    let read = log.reader().unwrap().read(&at(partition), Offset(from), &mut batch).unwrap();
    (read, batch.iter().map(|record| record.offset.0).collect())
}
