//! How far the worker is behind the log, seen from outside.
//!
//! Not here: what the worker says of itself. Invariant: the worker has caught up only where a reader finds no record
//! behind what the group has committed. Offsets alone cannot tell: transactions take some on Kafka.

use std::sync::Arc;

use processing_core::batch::RecordBatch;
use processing_core::error::CoreError;
use processing_core::log::{Log, LogError, Read};
use processing_core::record::{Offset, TopicPartition};

/// Answers that a reader may owe for one partition before it is asked another time.
const TRIES_MAX: usize = 10;

/// Whoever is watched.
#[derive(Clone)]
pub(crate) struct Follower {
    pub(crate) log: Arc<dyn Log>,
    /// Its consumer group.
    pub(crate) group: String,
    /// The partitions that it follows before it has committed any.
    pub(crate) inputs: Vec<TopicPartition>,
}

impl Follower {
    /// About how many records of all its sources it has not committed.
    pub(crate) fn behind(&self) -> Result<u64, CoreError> {
        let mut reader = self.log.reader()?;
        let mut behind = 0;
        for (place, next) in self.committed()? {
            behind += reader.watermarks(&place)?.last_stable.0.saturating_sub(next.0);
        }
        Ok(behind)
    }

    /// Whether it has committed all that stands in its sources, if nobody feeds them any more: what it makes of a
    /// source for the next one is there when the position in the first is.
    pub(crate) fn has_caught_up(&self) -> Result<bool, CoreError> {
        let (mut reader, mut batch) = (self.log.reader()?, RecordBatch::new());
        for (place, next) in self.committed()? {
            let next = next.max(reader.watermarks(&place)?.start);
            let mut read = reader.read(&place, next, &mut batch);
            for _ in 0..TRIES_MAX {
                if !matches!(read, Err(LogError::Retry(_))) {
                    break;
                }
                read = reader.read(&place, next, &mut batch);
            }
            if !matches!(read?, Read::End(_)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn committed(&self) -> Result<Vec<(TopicPartition, Offset)>, CoreError> {
        let mut offsets = self.log.admin()?.group_offsets(&self.group)?;
        for input in &self.inputs {
            if !offsets.iter().any(|(place, _)| place == input) {
                offsets.push((input.clone(), Offset::ZERO));
            }
        }
        Ok(offsets)
    }
}
