//! How far the worker is behind the log, seen from outside.
//!
//! Not here: what the worker says of itself. Invariant: the worker has caught up only where a reader finds no record
//! behind what the group has committed. Offsets alone cannot tell: transactions take some on Kafka.

use std::sync::Arc;

use processing_core::batch::RecordBatch;
use processing_core::error::CoreError;
use processing_core::log::{Admin, Log, LogError, Read};
use processing_core::record::{Offset, TopicName, TopicPartition};

/// Answers that a reader may owe for one partition before it is asked another time.
const TRIES_MAX: usize = 10;

/// Whoever is watched.
#[derive(Clone)]
pub(crate) struct Follower {
    pub(crate) log: Arc<dyn Log>,
    /// Its consumer group.
    pub(crate) group: String,
    /// The partitions of its inputs.
    pub(crate) inputs: Vec<TopicPartition>,
    /// The topics through which it sends records to itself.
    pub(crate) between: Vec<TopicName>,
}

impl Follower {
    /// The same for some of its inputs.
    pub(crate) fn of(&self, wanted: impl Fn(&TopicName) -> bool) -> Self {
        let inputs = self.inputs.iter().filter(|place| wanted(&place.topic)).cloned().collect();
        Self { inputs, ..self.clone() }
    }

    /// About how many records of its inputs it has not committed.
    pub(crate) fn behind(&self) -> Result<u64, CoreError> {
        let mut reader = self.log.reader()?;
        let mut behind = 0;
        for (place, next) in self.committed(&mut *self.log.admin()?, self.inputs.clone())? {
            behind += reader.watermarks(&place)?.last_stable.0.saturating_sub(next.0);
        }
        Ok(behind)
    }

    /// Whether it has committed all that stands in its sources, if nobody feeds them any more: what it makes of a
    /// source for the next one is there when the position in the first is.
    pub(crate) fn has_caught_up(&self) -> Result<bool, CoreError> {
        let (mut admin, mut reader, mut batch) = (self.log.admin()?, self.log.reader()?, RecordBatch::new());
        let mut places = self.inputs.clone();
        for topic in &self.between {
            let partitions = admin.topic(topic)?.map_or(0, |info| info.settings.partitions);
            places.extend((0..partitions).map(|partition| TopicPartition::new(topic.clone(), partition)));
        }
        for (place, next) in self.committed(&mut *admin, places)? {
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

    fn committed(
        &self,
        admin: &mut dyn Admin,
        places: Vec<TopicPartition>,
    ) -> Result<Vec<(TopicPartition, Offset)>, CoreError> {
        let offsets = admin.group_offsets(&self.group, &places)?;
        let next =
            |place: &TopicPartition| offsets.iter().find(|(at, _)| at == place).map_or(Offset::ZERO, |(_, at)| *at);
        Ok(places.into_iter().map(|place| (place.clone(), next(&place))).collect())
    }
}
