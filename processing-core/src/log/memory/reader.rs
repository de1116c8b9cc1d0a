//! The free reader: committed records of any partition, and its ends.
//!
//! Not here: groups and their positions.
//! Invariant: it remembers nothing between calls; every answer is the partition's present one.

use super::Shared;
use super::broker::Broker;
use super::partition::Reach;
use crate::batch::RecordBatch;
use crate::log::{FreeReader, LogError, Read, Watermarks};
use crate::record::{LogTime, Offset, TopicPartition};

pub(super) struct MemoryReader {
    shared: Shared,
}

impl MemoryReader {
    pub(super) fn open(shared: Shared) -> Result<Self, LogError> {
        shared.lock().may_refuse("reader")?;
        Ok(Self { shared })
    }
}

impl Broker {
    /// How far the next fetch goes, by the plan's disorder.
    pub(super) fn reach(&mut self) -> Reach {
        if self.dice.chance(self.faults.short_batch) {
            Reach { records: 1 + self.dice.below(self.options.max_batch.min(8)), trailing: false }
        } else {
            Reach { records: self.options.max_batch.max(1), trailing: true }
        }
    }
}

impl FreeReader for MemoryReader {
    fn read(&mut self, partition: &TopicPartition, from: Offset, batch: &mut RecordBatch) -> Result<Read, LogError> {
        batch.clear();
        let mut broker = self.shared.lock();
        broker.may_refuse("read")?;
        let ends = broker.partition(partition)?.watermarks();
        if from < ends.start || from > ends.high {
            return Ok(Read::OutOfRange(ends));
        }
        let reach = broker.reach();
        let next = broker.partition(partition)?.read(from, reach, batch);
        broker.note("read", partition, from.0, next.0);
        Ok(if batch.is_empty() { Read::End(ends.last_stable) } else { Read::Records(next) })
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        let mut broker = self.shared.lock();
        broker.may_refuse("watermarks")?;
        Ok(broker.partition(partition)?.watermarks())
    }

    fn offset_for_time(&mut self, partition: &TopicPartition, time: LogTime) -> Result<Option<Offset>, LogError> {
        let mut broker = self.shared.lock();
        broker.may_refuse("offset for time")?;
        Ok(broker.partition(partition)?.offset_for_time(time))
    }
}
