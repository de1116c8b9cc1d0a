//! The end of a topic, followed from look to look.
//!
//! Not here: what the records say. Invariant: only what is committed is seen, as any other reader of the topic would, and
//! a look takes a bounded number of reads.

use processing_core::batch::RecordBatch;
use processing_core::log::{FreeReader, Log, LogError, Read};
use processing_core::record::{Offset, TopicName, TopicPartition};

/// How far before the end of a partition the first look begins.
const BACK: u64 = 5_000;
/// Reads of one look, so that a look never takes long.
const READS_MAX: usize = 64;

/// A partition, where reading it goes on, and by whom: a reader of several would begin anew at each.
struct Place {
    partition: TopicPartition,
    next: Offset,
    reader: Box<dyn FreeReader>,
}

/// The end of a topic.
pub(crate) struct Tail {
    topic: TopicName,
    places: Vec<Place>,
    batch: RecordBatch,
}

impl Tail {
    pub(crate) fn of(topic: &str) -> Self {
        Self { topic: TopicName::new(topic), places: Vec::new(), batch: RecordBatch::new() }
    }

    /// Takes in the values that have come since the last look, as far as the log answers; none of a topic that is not
    /// there yet. Answers how many they were.
    pub(crate) fn look(&mut self, log: &dyn Log, mut take: impl FnMut(&[u8])) -> Result<usize, LogError> {
        let mut taken = 0;
        let mut counting = |value: &[u8]| {
            taken += 1;
            take(value);
        };
        match self.take_in(log, &mut counting) {
            Ok(()) | Err(LogError::Retry(_)) => Ok(taken),
            Err(error) => Err(error),
        }
    }

    fn take_in(&mut self, log: &dyn Log, take: &mut impl FnMut(&[u8])) -> Result<(), LogError> {
        if self.places.is_empty() {
            let Some(info) = log.admin()?.topic(&self.topic)? else { return Ok(()) };
            let places = (0..info.settings.partitions).map(|partition| {
                let (partition, mut reader) = (TopicPartition::new(self.topic.clone(), partition), log.reader()?);
                let marks = reader.watermarks(&partition)?;
                let next = Offset(marks.last_stable.0.saturating_sub(BACK)).max(marks.start);
                Ok(Place { partition, next, reader })
            });
            self.places = places.collect::<Result<_, LogError>>()?;
        }
        for Place { partition, next, reader } in &mut self.places {
            for _ in 0..READS_MAX {
                match reader.read(partition, *next, &mut self.batch)? {
                    Read::Records(after) => *next = after,
                    Read::End(_) => break,
                    Read::OutOfRange(marks) => {
                        *next = marks.start;
                        continue;
                    }
                }
                self.batch.iter().filter_map(|record| record.value).for_each(&mut *take);
            }
        }
        Ok(())
    }
}
