//! The same plan over the same input on the embedded log, in this process: what a worker on Kafka has to equal.
//!
//! Not here: Kafka. Invariant: the twin gets the records at the same offsets, with the same log timestamps and the
//! same time log, and decides nothing of its own.

use std::sync::Arc;
use std::time::Duration;

use processing_core::batch::{HeaderBuffer, RecordBatch, RecordRef};
use processing_core::log::embedded::{Durability, EmbeddedLog, EmbeddedOptions};
use processing_core::log::{Cleanup, Log, Read, TopicSettings};
use processing_core::plan::Plan;
use processing_core::record::{DurationMs, LogTime, Offset, TopicName, TopicPartition};
use processing_core::run::{RunOptions, Running, StatePlace, Surroundings};
use tests::kafka::dump::Dumped;

/// The embedded log, when all of the input is processed.
pub(crate) struct Twin {
    log: Arc<EmbeddedLog>,
    _folder: tempfile::TempDir,
}

impl Twin {
    /// Runs `plan` over inputs and a time log as they were dumped.
    pub(crate) fn run(plan: Plan, inputs: &[(&str, &[Vec<Dumped>])], time: (&str, &[Vec<Dumped>])) -> Self {
        let records = inputs.iter().flat_map(|(_, partitions)| partitions.iter());
        for (at, record) in records.flat_map(|partition| (0..).zip(partition)) {
            assert_eq!(record.offset, at, "the input has gaps, which the embedded log does not know");
        }
        let folder = tempfile::tempdir().unwrap();
        let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let options = EmbeddedOptions::new(Arc::new(move || LogTime(now() as i64)));
        let log = EmbeddedLog::open(folder.path(), options).unwrap();
        for (topic, partitions) in inputs.iter().copied().chain([time]) {
            let settings = TopicSettings {
                partitions: partitions.len() as u32,
                cleanup: Cleanup::Delete,
                retention_ms: None,
                log_append_time: false,
            };
            log.admin().unwrap().create_topic(&TopicName::new(topic), settings).unwrap();
            for (partition, records) in (0..).zip(partitions.iter()) {
                let place = TopicPartition::new(topic, partition);
                log.append(&place, &batch(records), Durability::Os).unwrap();
            }
        }
        let options = RunOptions {
            instance: "twin".into(),
            threads: 1,
            commit_interval: DurationMs(100),
            idle_after: None,
            idle_close: None,
            future_bound: Some(DurationMs::hours(1)),
            epoch: 0,
            cached_bytes: processing_core::limits::CACHED_BYTES_MAX,
            applied_bytes: processing_core::limits::APPLIED_BYTES_MAX,
            state: StatePlace::Memory,
        };
        let around = Surroundings::quiet(plan.name());
        let running = Running::start(Arc::new(plan), Arc::clone(&log) as Arc<dyn Log>, options, around).unwrap();
        assert!(running.settle(Duration::from_secs(120)), "the twin does not come to rest");
        running.stop().unwrap();
        Self { log, _folder: folder }
    }

    /// A topic as it is dumped from Kafka, but for the offsets: transactions take some there.
    pub(crate) fn topic(&self, name: &str) -> Vec<Vec<Dumped>> {
        let info = self.log.admin().unwrap().topic(&TopicName::new(name)).unwrap().unwrap();
        let mut reader = self.log.reader().unwrap();
        let mut batch = RecordBatch::new();
        let partitions = (0..info.settings.partitions).map(|partition| {
            let (place, mut next, mut dumped) = (TopicPartition::new(name, partition), Offset::ZERO, Vec::new());
            while let Read::Records(after) = reader.read(&place, next, &mut batch).unwrap() {
                next = after;
                dumped.extend(batch.iter().map(|record| Dumped {
                    partition,
                    offset: 0,
                    timestamp: record.timestamp.0,
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    headers: record.headers.iter().map(|(k, v)| (k.to_owned(), v.map(<[u8]>::to_vec))).collect(),
                }));
            }
            dumped
        });
        partitions.collect()
    }
}

fn batch(records: &[Dumped]) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for record in records {
        let mut headers = HeaderBuffer::from_headers(processing_core::batch::Headers::NONE);
        for (name, value) in &record.headers {
            headers.push(name, value.as_deref());
        }
        batch.push(RecordRef {
            offset: Offset::ZERO,
            timestamp: LogTime(record.timestamp),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: headers.as_headers(),
        });
    }
    batch
}
