//! The thread that feeds the demo's input topics.
//!
//! Not here: what the events are ([`events::feed`]). Invariant: the feed's position stands in the same
//! transaction as the records up to it, so that whatever process feeds next goes on exactly there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use events::feed::{Feed, FeedOptions, FeedRecord};
use events::{Gazetteer, SignalContract};
use processing_core::batch::{Headers, RecordBatch, RecordRef};
use processing_core::clock::Clock;
use processing_core::error::CoreError;
use processing_core::log::{
    Cleanup, GroupMetadata, Log, LogError, Publish, Read, TopicSettings, Transaction, TransactionalId,
    partition_for_key,
};
use processing_core::record::{DurationMs, EventTime, LogTime, Offset, TopicName, TopicPartition};
use processing_core::service::signals::Shutdown;
use serde::{Deserialize, Serialize};

use super::speed::Speed;
use crate::door::PARTITIONS;

/// Where the feed's position is kept.
const POSITIONS: &str = "streamfleet.demo.feed";
/// The feed's transactional id.
const PRODUCER: &str = "streamfleet-demo-feed";
/// Records of one transaction at most.
const BATCH_RECORDS: usize = 2_000;
/// How far the worker may be behind in all its sources, in records, before the feed waits. Beyond it the
/// inputs would drift apart in event time, because the largest one takes longest, and windows would wait.
const AHEAD_MAX: u64 = 20_000;
/// How often the feed looks whether records are due.
const PAUSE: Duration = Duration::from_millis(20);

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

    /// How much of the history's time lies before `until_ms`, from 0 to 1.
    pub(crate) fn history_counted(&self, until_ms: i64) -> f64 {
        let left = self.start_ms.saturating_sub(until_ms).max(0);
        if self.history_ms > 0 { (1.0 - left as f64 / self.history_ms as f64).max(0.0) } else { 1.0 }
    }

    /// What the log says; `None` in a new one.
    pub(crate) fn read(log: &dyn Log) -> Result<Option<Self>, CoreError> {
        let place = TopicPartition::new(POSITIONS, 0);
        if log.admin()?.topic(&place.topic)?.is_none() {
            return Ok(None);
        }
        let mut reader = log.reader()?;
        let marks = reader.watermarks(&place)?;
        let Some(last) = marks.last_stable.0.checked_sub(1) else { return Ok(None) };
        let mut batch = RecordBatch::new();
        let from = Offset(last).max(marks.start);
        if !matches!(reader.read(&place, from, &mut batch)?, Read::Records(_)) {
            return Ok(None);
        }
        let value = batch.iter().last().and_then(|record| record.value);
        value.map(serde_json::from_slice).transpose().map_err(|error| {
            CoreError::config(format!(
                "{place} holds a position that this version cannot read: {error}; begin with another --data"
            ))
        })
    }
}

/// How far the feed is, for the screen and for who publishes beside it.
#[derive(Debug)]
pub(crate) struct FeedProgress {
    /// Records in the log.
    pub(crate) position: AtomicU64,
    /// The feed's clock.
    pub(crate) time_ms: AtomicI64,
    /// Everything that was wanted is in the log.
    pub(crate) done: AtomicBool,
}

impl FeedProgress {
    /// Of a feed that goes on at `from`.
    pub(crate) fn at(from: &FeedPosition, gazetteer: &Arc<Gazetteer>) -> Self {
        let feed = Feed::at(from.options(), Arc::clone(gazetteer), from.position);
        Self {
            position: AtomicU64::new(from.position),
            time_ms: AtomicI64::new(feed.next_sent().0),
            done: AtomicBool::new(false),
        }
    }

    /// The feed's clock, which is ahead of the machine's while it goes faster.
    pub(crate) fn time(&self) -> LogTime {
        LogTime(self.time_ms.load(Ordering::Relaxed))
    }
}

/// The thread. Dropped or joined after the wish to stop.
pub(crate) struct Feeder {
    thread: Option<JoinHandle<Result<(), CoreError>>>,
}

/// What the thread is told.
pub(crate) struct FeedOrder {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) from: FeedPosition,
    pub(crate) progress: Arc<FeedProgress>,
    pub(crate) speed: Speed,
    /// The feed ends before this record.
    pub(crate) until: Option<u64>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shutdown: Shutdown,
    /// The consumer group that follows.
    pub(crate) follower: String,
    pub(crate) gazetteer: Arc<Gazetteer>,
}

/// Makes the input topics if there are none.
pub(crate) fn make_topics(log: &dyn Log) -> Result<(), CoreError> {
    let settings =
        |partitions, cleanup| TopicSettings { partitions, cleanup, retention_ms: None, log_append_time: false };
    let mut admin = log.admin()?;
    for contract in SignalContract::ALL {
        admin.create_topic(&contract.event_type().into(), settings(PARTITIONS, Cleanup::Delete))?;
    }
    admin.create_topic(&POSITIONS.into(), settings(1, Cleanup::Compact))?;
    Ok(())
}

impl Feeder {
    pub(crate) fn start(order: FeedOrder) -> Result<Self, CoreError> {
        let thread = std::thread::Builder::new().name("feed".into()).spawn(move || {
            let shutdown = order.shutdown.clone();
            let fed = Feeding::new(order).and_then(Feeding::feed);
            if let Err(error) = &fed {
                tracing::error!("the feed has ended: {error}");
                shutdown.request(format!("the feed has ended: {error}"));
            }
            fed
        });
        let thread = thread.map_err(|error| CoreError::config(format!("the machine refuses a thread: {error}")))?;
        Ok(Self { thread: Some(thread) })
    }

    /// Waits for its end, which follows the wish to stop.
    pub(crate) fn join(mut self) -> Result<(), CoreError> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(CoreError::contradiction("the feed has panicked, which is a bug; nothing is lost")),
            None => Ok(()),
        }
    }
}

struct Feeding {
    order: FeedOrder,
    feed: Feed,
    producer: Box<dyn Transaction>,
    /// By contract and partition.
    batches: Vec<(TopicPartition, RecordBatch)>,
    position: RecordBatch,
}

impl Feeding {
    fn new(order: FeedOrder) -> Result<Self, CoreError> {
        let feed = Feed::at(order.from.options(), Arc::clone(&order.gazetteer), order.from.position);
        let producer = order.log.transaction(&TransactionalId(PRODUCER.to_owned()))?;
        let batches = SignalContract::ALL.iter().flat_map(|contract| {
            (0..PARTITIONS).map(|partition| {
                (TopicPartition::new(TopicName::new(contract.event_type()), partition), RecordBatch::new())
            })
        });
        Ok(Self { feed, producer, batches: batches.collect(), position: RecordBatch::new(), order })
    }

    fn feed(mut self) -> Result<(), CoreError> {
        let history = self.feed.history_records();
        // Wall clock and feed clock at which the paced part of this process began.
        let mut pace: Option<(Duration, LogTime)> = None;
        let mut bytes = Vec::new();
        while !self.order.shutdown.requested() {
            let until = self.order.until.unwrap_or(u64::MAX);
            if self.feed.position() >= until {
                self.order.progress.done.store(true, Ordering::SeqCst);
                return Ok(());
            }
            if self.ahead()? > AHEAD_MAX {
                self.order.shutdown.wait(PAUSE);
                continue;
            }
            let due = match self.order.speed {
                Speed::Times(times) if self.feed.position() >= history => {
                    let now = self.order.clock.elapsed();
                    let (begun, from) = *pace.get_or_insert((now, self.feed.next_sent()));
                    let passed = now.saturating_sub(begun).as_millis() as i64;
                    LogTime(from.0.saturating_add(passed.saturating_mul(i64::from(times))))
                }
                _ => LogTime(i64::MAX),
            };
            let mut count = 0;
            while count < BATCH_RECORDS && self.feed.position() < until && self.feed.next_sent() <= due {
                let record = self.feed.next_into(&mut bytes);
                self.take(&record, &bytes);
                count += 1;
            }
            if count == 0 {
                self.order.progress.time_ms.store(due.0, Ordering::Relaxed);
                self.order.shutdown.wait(PAUSE);
                continue;
            }
            self.publish()?;
            self.order.progress.position.store(self.feed.position(), Ordering::Relaxed);
            self.order.progress.time_ms.store(self.feed.next_sent().0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Records of all its sources that the follower has not committed.
    fn ahead(&self) -> Result<u64, CoreError> {
        let places: Vec<TopicPartition> = self.batches.iter().map(|(place, _)| place.clone()).collect();
        let offsets = self.order.log.admin()?.group_offsets(&self.order.follower, &places)?;
        let mut reader = self.order.log.reader()?;
        let mut ahead = 0;
        for place in &places {
            let offset = offsets.iter().find(|(at, _)| at == place).map_or(Offset::ZERO, |(_, next)| *next);
            ahead += reader.watermarks(place)?.last_stable.0.saturating_sub(offset.0);
        }
        Ok(ahead)
    }

    fn take(&mut self, record: &FeedRecord, bytes: &[u8]) {
        let (key, value) = (&bytes[record.key.clone()], &bytes[record.value.clone()]);
        let partition = partition_for_key(key, PARTITIONS).0 as usize;
        let contract = SignalContract::ALL.iter().position(|contract| *contract == record.contract).unwrap_or(0);
        if let Some((_, batch)) = self.batches.get_mut(contract * PARTITIONS as usize + partition) {
            batch.push(RecordRef {
                offset: Offset::ZERO,
                timestamp: record.sent,
                key: Some(key),
                value: Some(value),
                headers: Headers::NONE,
            });
        }
    }

    fn publish(&mut self) -> Result<(), CoreError> {
        for (place, batch) in self.batches.iter_mut().filter(|(_, batch)| !batch.is_empty()) {
            self.producer.send(place, batch)?;
            batch.clear();
        }
        let position = FeedPosition { position: self.feed.position(), ..self.order.from };
        let value = serde_json::to_vec(&position).map_err(|error| CoreError::config(error.to_string()))?;
        self.position.clear();
        self.position.push(RecordRef {
            offset: Offset::ZERO,
            timestamp: self.feed.next_sent(),
            key: Some(b"feed"),
            value: Some(&value),
            headers: Headers::NONE,
        });
        self.producer.send(&TopicPartition::new(POSITIONS, 0), &self.position)?;
        // No positions of a group: this transaction reads nothing.
        let nobody = GroupMetadata::nobody();
        match self.producer.publish(&[], &nobody) {
            Publish::Published(_) => Ok(()),
            Publish::Aborted(why) => Err(LogError::Fatal(why).into()),
            Publish::Refused(error) => Err(error.into()),
            Publish::Ambiguous(why) => {
                // Whoever takes its place is told by the log's own error what is wrong, such as a full disk.
                drop(self.order.log.transaction(&TransactionalId(PRODUCER.to_owned()))?);
                Err(CoreError::Ambiguous(why))
            }
            Publish::Fenced(why) => Err(LogError::Fenced(why).into()),
        }
    }
}
