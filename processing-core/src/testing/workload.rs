//! What a simulated application is fed with.
//!
//! Not here: what the bytes mean. Invariant: a workload is data; the run that it is fed to decides nothing
//! about it but when it is appended.

use crate::batch::{Headers, RecordBatch, RecordRef};
use crate::error::CoreError;
use crate::log::memory::{MemoryLog, OwnedRecord};
use crate::log::{Cleanup, Log, TopicSettings};
use crate::record::{LogTime, Offset, TopicName, TopicPartition};

/// Records of input topics, in the order in which they come.
#[derive(Debug, Clone, Default)]
pub struct Workload {
    /// The input topics and their partition counts.
    pub inputs: Vec<(TopicName, u32)>,
    /// The records.
    pub events: Vec<Event>,
}

/// One input record.
#[derive(Debug, Clone)]
pub struct Event {
    /// When it is appended, in milliseconds of virtual time since the beginning.
    pub at_ms: u64,
    /// Where.
    pub place: TopicPartition,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

impl Workload {
    /// Makes the input topics.
    pub(super) fn create_inputs(&self, log: &MemoryLog) -> Result<(), CoreError> {
        let mut admin = log.admin()?;
        for (name, partitions) in &self.inputs {
            let settings = TopicSettings {
                partitions: *partitions,
                cleanup: Cleanup::Delete,
                retention_ms: None,
                log_append_time: false,
            };
            admin.create_topic(name, settings)?;
        }
        Ok(())
    }

    /// Appends one event, stamped with its own time: the same in every run, whenever somebody came to feed it.
    pub(super) fn feed(log: &MemoryLog, event: &Event, began: LogTime) -> Result<(), CoreError> {
        let Event { at_ms, place, key, value } = event;
        append(log, place, LogTime(began.0.saturating_add_unsigned(*at_ms)), key.as_deref(), value.as_deref())
    }

    /// Appends records as they stood in another log, which must have no holes.
    pub(super) fn copy(log: &MemoryLog, topic: &TopicName, records: &[Vec<OwnedRecord>]) -> Result<(), CoreError> {
        for (partition, records) in (0..).zip(records) {
            let place = TopicPartition::new(topic.clone(), partition);
            for record in records {
                append(log, &place, record.timestamp, record.key.as_deref(), record.value.as_deref())?;
            }
        }
        Ok(())
    }
}

fn append(
    log: &MemoryLog,
    place: &TopicPartition,
    timestamp: LogTime,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<(), CoreError> {
    let mut batch = RecordBatch::new();
    batch.push(RecordRef { offset: Offset::ZERO, timestamp, key, value, headers: Headers::NONE });
    log.append(place, &batch)?;
    Ok(())
}
