//! Which feed and which world a log has, and how far they are.
//!
//! Not here: who moves it ([`super::feeder`]). Invariant: a position is read from the log after whoever wrote it
//! before can write no more, so that it stays true.

use events::feed::FeedOptions;
use events::world::WorldOptions;
use processing_core::batch::RecordBatch;
use processing_core::error::CoreError;
use processing_core::log::{FreeReader, Log, LogError, Read};
use processing_core::record::{DurationMs, EventTime, Offset, TopicPartition};
use processing_core::service::signals::Shutdown;
use serde::{Deserialize, Serialize};

use super::ground::patiently;

/// Where the feed's position is kept.
pub(crate) const POSITIONS: &str = "streamfleet.demo.feed";

/// What a data folder's feed is, and how far it is. It stays the same for the life of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeedPosition {
    pub(crate) seed: u64,
    /// When the present begins, in milliseconds since 1970.
    pub(crate) start_ms: i64,
    pub(crate) history_ms: i64,
    pub(crate) events_per_minute: u32,
    /// The number of the next record.
    pub(crate) position: u64,
    /// Whether places are written beside the events.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) places: bool,
    /// How long before the present the world begins.
    #[serde(default = "world_history_ms")]
    pub(crate) world_history_ms: i64,
    /// Records of the world per minute of its history, about.
    #[serde(default = "world_history_per_minute")]
    pub(crate) world_history_per_minute: u32,
    /// Likewise of its present.
    #[serde(default = "world_per_minute")]
    pub(crate) world_per_minute: u32,
    /// The number of the world's next record.
    #[serde(default)]
    pub(crate) world: u64,
}

/// 35 days: a whole month of 28 days, and a week to get there.
pub(crate) fn world_history_ms() -> i64 {
    35 * 86_400_000
}

/// A thin history: it is for what needs days and not for what needs many.
pub(crate) fn world_history_per_minute() -> u32 {
    10
}

fn world_per_minute() -> u32 {
    100
}

impl FeedPosition {
    pub(crate) fn options(&self) -> FeedOptions {
        FeedOptions {
            history: DurationMs(self.history_ms),
            events_per_minute: self.events_per_minute,
            history_events_per_minute: self.events_per_minute,
            ..FeedOptions::new(self.seed, EventTime(self.start_ms))
        }
    }

    /// The world of everything that the feed does not tell, of the same users.
    pub(crate) fn world_options(&self) -> WorldOptions {
        WorldOptions {
            users: self.options().users,
            history: DurationMs(self.world_history_ms),
            history_events_per_minute: self.world_history_per_minute,
            events_per_minute: self.world_per_minute,
            ..WorldOptions::new(self.seed, EventTime(self.start_ms))
        }
    }

    /// How much of the world's history lies before `until_ms`, from 0 to 1.
    pub(crate) fn world_counted(&self, until_ms: i64) -> f64 {
        share_before(self.start_ms, self.world_history_ms, until_ms)
    }

    /// How much of the history's time lies before `until_ms`, from 0 to 1.
    pub(crate) fn history_counted(&self, until_ms: i64) -> f64 {
        share_before(self.start_ms, self.history_ms, until_ms)
    }

    /// What the log says; `None` in a new one.
    pub(crate) fn read(log: &dyn Log, shutdown: &Shutdown) -> Result<Option<Self>, CoreError> {
        let place = TopicPartition::new(POSITIONS, 0);
        let mut admin = log.admin()?;
        if patiently(shutdown, || admin.topic(&place.topic))?.is_none() {
            return Ok(None);
        }
        let mut reader = log.reader()?;
        let marks = patiently(shutdown, || reader.watermarks(&place))?;
        // On Kafka the last offsets are those of transactions' ends, and of records that were aborted.
        let mut back = 1_u64;
        let value = loop {
            let from = Offset(marks.last_stable.0.saturating_sub(back)).max(marks.start);
            let found = last_value(&mut *reader, &place, from, shutdown)?;
            if found.is_some() || from == marks.start {
                break found;
            }
            back = back.saturating_mul(8);
        };
        value.map(|value| serde_json::from_slice(&value)).transpose().map_err(|error| {
            CoreError::config(format!(
                "{place} holds a position that this version cannot read: {error}; begin with another --data"
            ))
        })
    }
}

fn share_before(start_ms: i64, history_ms: i64, until_ms: i64) -> f64 {
    let left = start_ms.saturating_sub(until_ms).max(0);
    if history_ms > 0 { (1.0 - left as f64 / history_ms as f64).max(0.0) } else { 1.0 }
}

fn last_value(
    reader: &mut dyn FreeReader,
    place: &TopicPartition,
    mut next: Offset,
    shutdown: &Shutdown,
) -> Result<Option<Vec<u8>>, CoreError> {
    let (mut batch, mut last) = (RecordBatch::new(), None);
    loop {
        match patiently(shutdown, || reader.read(place, next, &mut batch))? {
            Read::Records(after) => next = after,
            Read::End(_) => return Ok(last),
            Read::OutOfRange(_) => return Err(LogError::Retry(format!("{place} is being compacted")).into()),
        }
        if let Some(value) = batch.iter().filter_map(|record| record.value).last() {
            last = Some(value.to_vec());
        }
    }
}
