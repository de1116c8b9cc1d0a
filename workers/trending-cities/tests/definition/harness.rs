//! A worker on an embedded log, from records in to records out, in this thread.
//!
//! Not here: what the records mean. Invariant: a run ends when every window that can close has closed.

use std::collections::BTreeMap;
use std::sync::Arc;

use events::{Gazetteer, SignalContract};
use processing_core::batch::{HeaderBuffer, Headers, RecordBatch, RecordRef};
use processing_core::counts::Counts;
use processing_core::error::CoreError;
use processing_core::layout::Layout;
use processing_core::limits::Bounds;
use processing_core::log::embedded::{Durability, EmbeddedLog, EmbeddedOptions};
use processing_core::log::{Cleanup, Log, Read, TopicSettings, partition_for_key};
use processing_core::record::{DurationMs, LogTime, Offset, TopicName, TopicPartition, WallTime};
use processing_core::task::TaskId;
use processing_core::worker::{InlineNursery, StateHome, Worker, WorkerTerms};
use serde_json::Value;
use state::{ColumnContents, MemoryBase};
use trending_cities::TrendingSettings;

use crate::Record;

/// How far ahead of the log's timestamp an event's time may be.
pub(crate) const FUTURE: DurationMs = DurationMs::hours(1);

/// A record of an input topic.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) contract: SignalContract,
    pub(crate) partition: u32,
    pub(crate) sent: i64,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Published {
    /// A record in the partition that its key belongs to.
    pub(crate) fn new(contract: SignalContract, partitions: u32, sent: i64, key: Vec<u8>, value: Vec<u8>) -> Self {
        Self { contract, partition: partition_for_key(&key, partitions).0, sent, key, value }
    }
}

/// A record of the table of places; `None` takes the place away.
#[derive(Clone, Debug)]
pub(crate) struct PlaceRow {
    pub(crate) partition: u32,
    pub(crate) sent: i64,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

impl PlaceRow {
    /// A record in the partition that its key belongs to.
    pub(crate) fn new(partitions: u32, sent: i64, key: Vec<u8>, value: Option<Vec<u8>>) -> Self {
        Self { partition: partition_for_key(&key, partitions).0, sent, key, value }
    }

    /// Ends every partition of the table at `time`, beyond which nothing is looked up.
    pub(crate) fn end_all(rows: &mut Vec<Self>, partitions: u32, time: i64) {
        rows.extend((0..partitions).map(|partition| Self { partition, sent: time, key: b"end".to_vec(), value: None }));
    }
}

/// Ends every partition of every input with an event at `time`, in a city of its own, so that all windows
/// that end well before it close.
pub(crate) fn close_all(records: &mut Vec<Published>, inputs: &[SignalContract], partitions: u32, time: i64) {
    for contract in inputs {
        for partition in 0..partitions {
            let value = format!(
                "{{\"event_id\":\"end-{partition}\",\"event_type\":\"{}\",\"timestamp\":{time},\"payload\":{{\
                 \"user_id\":\"end\",\"poi_id\":\"end\",\"itinerary_id\":\"end\",\"city\":\"Nowhere at all\"}}}}",
                contract.event_type()
            );
            let (key, value) = (b"end".to_vec(), value.into_bytes());
            records.push(Published { contract: *contract, partition, sent: time, key, value });
        }
    }
}

/// What a run left in the output topics.
pub(crate) struct Outputs {
    /// By topic, in the order of each partition: key and value.
    pub(crate) records: BTreeMap<&'static str, Vec<Record>>,
    /// When each record of the present word was sent, and which it was.
    pub(crate) current: Vec<(LogTime, Record)>,
    pub(crate) counts: Counts,
    /// What was set aside, dead or late, in its order.
    pub(crate) aside: Vec<Aside>,
}

/// A record that was set aside.
pub(crate) struct Aside {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    /// Names and values.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// The header that every record brings along: how many came before it.
pub(crate) const NUMBER: &str = "number";

/// The topics of last words.
pub(crate) const OUTPUTS: [&str; 3] = ["trending.cities.v1", "city.activity.1m.v1", "searches.top.v1"];
/// The topic of the present word.
pub(crate) const CURRENT: &str = "trending.cities.current.v1";

/// Runs the worker over `records` until it comes to rest.
pub(crate) fn run(
    settings: &TrendingSettings,
    cities: &Arc<Gazetteer>,
    partitions: u32,
    records: &[Published],
) -> Outputs {
    run_beside(settings, cities, partitions, records, &[])
}

/// The same beside a table of places.
pub(crate) fn run_beside(
    settings: &TrendingSettings,
    cities: &Arc<Gazetteer>,
    partitions: u32,
    records: &[Published],
    places: &[PlaceRow],
) -> Outputs {
    let folder = tempfile::tempdir().unwrap();
    let last = records.iter().map(|record| record.sent).max().unwrap_or(0);
    let mut options = EmbeddedOptions::new(Arc::new(move || LogTime(last)));
    options.durability = Durability::Os;
    let log = EmbeddedLog::open(folder.path(), options).unwrap();
    feed(&log, settings, partitions, records);
    feed_places(&log, settings, partitions, places);

    let plan = trending_cities::topology(settings, cities).unwrap();
    let layout = Layout::new(Arc::new(plan), &mut *log.admin().unwrap()).unwrap();
    let terms = WorkerTerms {
        instance: "test-0".to_owned(),
        commit_interval: DurationMs(100),
        idle_after: None,
        idle_close: None,
        future_bound: Some(FUTURE),
        epoch: 0,
        bounds: Bounds::default(),
    };
    let shared: Arc<dyn Log> = Arc::clone(&log) as Arc<dyn Log>;
    let mut worker = Worker::new(shared, Arc::new(layout), terms, InMemory, InlineNursery::default()).unwrap();
    // A clock of its own, so that a run is the same every time.
    let mut now = WallTime(last);
    let mut quiet = 0;
    while quiet < 500 {
        let activity = worker.step(now).unwrap();
        quiet = if activity.idle { quiet + 1 } else { 0 };
        now.0 += 7;
    }
    let counts = worker.status().counts;
    worker.close(now).unwrap();
    let records = OUTPUTS.into_iter().map(|topic| (topic, read(&log, topic)));
    let records = records.map(|(topic, records)| (topic, records.into_iter().map(|(_, record)| record).collect()));
    let current = log.admin().unwrap().topic(&TopicName::new(CURRENT)).unwrap().unwrap();
    assert_eq!(current.settings.cleanup, Cleanup::Compact);
    let aside = ["dlq", "late"].map(|side| aside(&log, &format!("{}-{side}", settings.application_id)));
    let aside = aside.into_iter().flatten().collect();
    Outputs { records: records.collect(), current: read(&log, CURRENT), counts, aside }
}

fn feed(log: &EmbeddedLog, settings: &TrendingSettings, partitions: u32, records: &[Published]) {
    let mut batches: BTreeMap<TopicPartition, RecordBatch> = BTreeMap::new();
    for (contract, topic) in &settings.inputs {
        let shape = TopicSettings { partitions, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false };
        log.admin().unwrap().create_topic(&TopicName::new(topic), shape).unwrap();
        for (number, record) in records.iter().enumerate().filter(|(_, record)| record.contract == *contract) {
            let mut headers = HeaderBuffer::default();
            headers.push(NUMBER, Some(number.to_string().as_bytes()));
            let batch = batches.entry(TopicPartition::new(topic.as_str(), record.partition)).or_default();
            batch.push(RecordRef {
                offset: Offset::ZERO,
                timestamp: LogTime(record.sent),
                key: Some(&record.key),
                value: Some(&record.value),
                headers: headers.as_headers(),
            });
        }
    }
    for (place, batch) in &batches {
        log.append(place, batch, Durability::Os).unwrap();
    }
}

fn feed_places(log: &EmbeddedLog, settings: &TrendingSettings, partitions: u32, places: &[PlaceRow]) {
    let Some(topic) = &settings.places else { return };
    let shape = TopicSettings { partitions, cleanup: Cleanup::Compact, retention_ms: None, log_append_time: false };
    log.admin().unwrap().create_topic(&TopicName::new(topic), shape).unwrap();
    let mut batches: BTreeMap<TopicPartition, RecordBatch> = BTreeMap::new();
    for row in places {
        batches.entry(TopicPartition::new(topic.as_str(), row.partition)).or_default().push(RecordRef {
            offset: Offset::ZERO,
            timestamp: LogTime(row.sent),
            key: Some(&row.key),
            value: row.value.as_deref(),
            headers: Headers::NONE,
        });
    }
    for (place, batch) in &batches {
        log.append(place, batch, Durability::Os).unwrap();
    }
}

fn aside(log: &EmbeddedLog, topic: &str) -> Vec<Aside> {
    let mut all = Vec::new();
    each(log, topic, |record| {
        let header = |(name, value): (&str, Option<&[u8]>)| (name.to_owned(), value.unwrap().to_vec());
        all.push(Aside {
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.iter().map(header).collect(),
        });
    });
    all
}

fn read(log: &EmbeddedLog, topic: &str) -> Vec<(LogTime, Record)> {
    let mut records = Vec::new();
    each(log, topic, |record| {
        let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
        let value: Value = serde_json::from_slice(record.value.unwrap()).unwrap();
        records.push((record.timestamp, (key, value.to_string())));
    });
    records
}

fn each(log: &EmbeddedLog, topic: &str, mut record: impl FnMut(RecordRef<'_>)) {
    let name = TopicName::new(topic);
    let info = log.admin().unwrap().topic(&name).unwrap().unwrap();
    let mut reader = log.reader().unwrap();
    let mut batch = RecordBatch::new();
    for partition in 0..info.settings.partitions {
        let place = TopicPartition::new(topic, partition);
        let mut from = Offset::ZERO;
        while let Read::Records(next) = reader.read(&place, from, &mut batch).unwrap() {
            batch.iter().for_each(&mut record);
            from = next;
        }
    }
}

/// Stores in plain memory.
struct InMemory;

impl StateHome for InMemory {
    type Base = MemoryBase;

    fn open(&mut self, _: TaskId, _: &[ColumnContents]) -> Result<MemoryBase, CoreError> {
        Ok(MemoryBase::new())
    }

    fn destroy(&mut self, _: TaskId) -> Result<(), CoreError> {
        Ok(())
    }
}
