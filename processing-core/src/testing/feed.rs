//! What one simulated run is fed with.
//!
//! Not here: what the bytes mean, and where they come from ([`super::workload`]). Invariant: a feed is data; the
//! run that it is fed to decides nothing about it but when it is appended.

use crate::batch::{Headers, RecordBatch, RecordRef};
use crate::error::CoreError;
use crate::log::memory::{MemoryLog, OwnedRecord};
use crate::log::{Cleanup, Log, TopicSettings};
use crate::record::{LogTime, Offset, TopicName, TopicPartition};

/// Records of input topics, in the order in which they come.
#[derive(Debug, Clone, Default)]
pub struct Feed {
    /// The input topics and their partition counts.
    pub inputs: Vec<(TopicName, u32)>,
    /// The records.
    pub arrivals: Vec<Arrival>,
}

/// One input record.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// When it is appended, in milliseconds of virtual time since the beginning.
    pub at_ms: u64,
    /// The log's timestamp; `None` is the virtual time at which it is appended.
    pub timestamp: Option<LogTime>,
    /// Where.
    pub place: TopicPartition,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

impl Feed {
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

    /// Appends one record, stamped with its own time: the same in every run, whenever somebody came to feed it.
    pub(super) fn append(log: &MemoryLog, arrival: &Arrival, began: LogTime) -> Result<(), CoreError> {
        let Arrival { at_ms, timestamp, place, key, value } = arrival;
        let timestamp = timestamp.unwrap_or(LogTime(began.0.saturating_add_unsigned(*at_ms)));
        append(log, place, timestamp, key.as_deref(), value.as_deref())
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
