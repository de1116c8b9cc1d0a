//! The worker's results as they come out of its topic: the newest list of the world.
//!
//! Invariant: only what is committed is seen, as any other reader of the topic would.

use std::sync::Arc;

use processing_core::batch::RecordBatch;
use processing_core::error::CoreError;
use processing_core::log::{FreeReader, Log, LogError, Read};
use processing_core::record::{Offset, TopicName, TopicPartition};
use trending_cities::results::Trending;

/// The topic of final lists.
const LISTS: &str = "trending.cities.v1";
/// How far before the end of a partition an earlier run's last list is looked for.
const BACK: u64 = 5_000;
/// Reads of one look, so that a look never takes long.
const READS_MAX: usize = 64;

/// A partition, where reading it goes on, and by whom: a reader of several would begin anew at each.
struct Place {
    partition: TopicPartition,
    next: Offset,
    reader: Box<dyn FreeReader>,
}

/// A reader of the lists.
pub(crate) struct Results {
    log: Arc<dyn Log>,
    places: Vec<Place>,
    batch: RecordBatch,
    /// The newest list of the world.
    pub(crate) newest: Option<Trending>,
}

impl Results {
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        Self { log, places: Vec::new(), batch: RecordBatch::new(), newest: None }
    }

    /// Takes in what has come since the last look, as far as the log answers now.
    pub(crate) fn look(&mut self) -> Result<(), CoreError> {
        match self.take_in() {
            Err(LogError::Retry(_)) => Ok(()),
            taken => taken.map_err(Into::into),
        }
    }

    fn take_in(&mut self) -> Result<(), LogError> {
        if self.places.is_empty() {
            let topic = TopicName::new(LISTS);
            let Some(info) = self.log.admin()?.topic(&topic)? else { return Ok(()) };
            let places = (0..info.settings.partitions).map(|partition| {
                let (partition, mut reader) = (TopicPartition::new(topic.clone(), partition), self.log.reader()?);
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
                for value in self.batch.iter().filter_map(|record| record.value) {
                    let of_world = value.windows(WORLD.len()).any(|part| part == WORLD);
                    let Some(list) = of_world.then(|| serde_json::from_slice::<Trending>(value).ok()).flatten() else {
                        continue;
                    };
                    let newer = |newest: &Trending| newest.stamp.window_end_ms <= list.stamp.window_end_ms;
                    if self.newest.as_ref().is_none_or(newer) {
                        self.newest = Some(list);
                    }
                }
            }
        }
        Ok(())
    }
}

/// So that the lists of all the countries need not be parsed.
const WORLD: &[u8] = br#""scope":"world""#;
