//! The thread that feeds the demo's input topics.
//!
//! Not here: what the events are ([`events::feed`]). Invariant: the feed's position stands in the same
//! transaction as the records up to it, so that whatever process feeds next goes on exactly there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use events::feed::{Feed, FeedRecord};
use events::{Gazetteer, SignalContract, poi_ingested};
use processing_core::batch::{Headers, RecordBatch, RecordRef};
use processing_core::clock::Clock;
use processing_core::error::{CoreError, Remedy};
use processing_core::log::{
    Cleanup, GroupMetadata, Log, LogError, Publish, TopicSettings, Transaction, TransactionalId, partition_for_key,
};
use processing_core::record::{LogTime, Offset, TopicPartition};
use processing_core::service::signals::Shutdown;

use super::follower::Follower;
use super::ground::patiently;
use super::position::{FeedPosition, POSITIONS};
use super::speed::Speed;
use crate::door::PARTITIONS;

/// The feed's transactional id.
const PRODUCER: &str = "streamfleet-demo-feed";
/// Records of one transaction at most.
const BATCH_RECORDS: usize = 2_000;
/// How far the worker may be behind in all its sources, in records, before the feed waits. Beyond it the
/// inputs would drift apart in event time, because the largest one takes longest, and windows would wait.
const AHEAD_MAX: u64 = 20_000;
/// How often the feed looks whether records are due, and whether a log answers that did not.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);
/// Transactions in a row that may come to nothing before the feed ends.
const FAILURES_MAX: u32 = 20;

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
    pub(crate) producer: Box<dyn Transaction>,
    /// As the log said when `producer` was there.
    pub(crate) from: FeedPosition,
    pub(crate) progress: Arc<FeedProgress>,
    pub(crate) speed: Speed,
    /// The feed ends before this record.
    pub(crate) until: Option<u64>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shutdown: Shutdown,
    pub(crate) follower: Follower,
    pub(crate) gazetteer: Arc<Gazetteer>,
}

/// The feed's producer. From now on nobody else feeds this log, and what others have left undecided is decided.
pub(crate) fn producer(log: &dyn Log) -> Result<Box<dyn Transaction>, LogError> {
    log.transaction(&TransactionalId(PRODUCER.to_owned()))
}

/// The topics that the feed writes into, that of places last.
pub(crate) fn topics(places: bool) -> impl Iterator<Item = &'static str> {
    let signals = SignalContract::ALL.into_iter().map(SignalContract::event_type);
    signals.chain(places.then_some(poi_ingested::EVENT_TYPE))
}

/// All partitions of the inputs; `places`: of those that places are written into as well.
pub(crate) fn inputs(places: bool) -> impl Iterator<Item = TopicPartition> {
    topics(places).flat_map(|topic| (0..PARTITIONS).map(move |partition| TopicPartition::new(topic, partition)))
}

/// Makes the input topics if there are none.
pub(crate) fn make_topics(log: &dyn Log, places: bool) -> Result<(), LogError> {
    let settings =
        |partitions, cleanup| TopicSettings { partitions, cleanup, retention_ms: None, log_append_time: false };
    let mut admin = log.admin()?;
    // ORDER: the feed's own first, by which the others are known to be a demo's.
    admin.create_topic(&POSITIONS.into(), settings(1, Cleanup::Compact))?;
    for topic in topics(places) {
        let cleanup = if topic == poi_ingested::EVENT_TYPE { Cleanup::Compact } else { Cleanup::Delete };
        admin.create_topic(&topic.into(), settings(PARTITIONS, cleanup))?;
    }
    Ok(())
}

impl Feeder {
    pub(crate) fn start(order: FeedOrder) -> Result<Self, CoreError> {
        let thread = std::thread::Builder::new().name("feed".into()).spawn(move || {
            let shutdown = order.shutdown.clone();
            let fed = Feeding::new(order).feed();
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
    /// Transactions in a row that came to nothing.
    failures: u32,
    /// By topic and partition, those of places last.
    batches: Vec<(TopicPartition, RecordBatch)>,
    position: RecordBatch,
}

impl Feeding {
    fn new(order: FeedOrder) -> Self {
        let feed = Feed::at(order.from.options(), Arc::clone(&order.gazetteer), order.from.position);
        let batches = inputs(order.from.places).map(|place| (place, RecordBatch::new())).collect();
        Self { feed, failures: 0, batches, position: RecordBatch::new(), order }
    }

    fn feed(mut self) -> Result<(), CoreError> {
        let history = self.feed.history_records();
        // Wall clock and feed clock at which the paced part of this process began.
        let mut pace: Option<(Duration, LogTime)> = None;
        let (mut bytes, mut beside) = (Vec::new(), Vec::new());
        while !self.order.shutdown.requested() {
            let until = self.order.until.unwrap_or(u64::MAX);
            if self.feed.position() >= until {
                self.order.progress.done.store(true, Ordering::SeqCst);
                return Ok(());
            }
            match self.order.follower.behind() {
                Ok(behind) if behind <= AHEAD_MAX => {}
                Err(error) if error.remedy() > Remedy::Retry => return Err(error),
                _ => {
                    self.order.shutdown.wait(PAUSE);
                    continue;
                }
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
            let before = self.feed.position();
            let mut count = 0;
            while count < BATCH_RECORDS && self.feed.position() < until && self.feed.next_sent() <= due {
                let record = self.feed.next_into(&mut bytes);
                self.take(&record, &bytes);
                if self.order.from.places
                    && let Some(place) = self.feed.place_beside(record.number, &mut beside)
                {
                    let (key, value) = (&beside[place.key], &beside[place.value]);
                    self.put(SignalContract::ALL.len(), place.sent, key, value);
                }
                count += 1;
            }
            if count == 0 {
                self.order.progress.time_ms.store(due.0, Ordering::Relaxed);
                self.order.shutdown.wait(PAUSE);
                continue;
            }
            match self.publish() {
                Ok(()) => self.failures = 0,
                Err(error) => self.begin_again(before, error)?,
            }
            self.order.progress.position.store(self.feed.position(), Ordering::Relaxed);
            self.order.progress.time_ms.store(self.feed.next_sent().0, Ordering::Relaxed);
        }
        Ok(())
    }

    fn take(&mut self, record: &FeedRecord, bytes: &[u8]) {
        let (key, value) = (&bytes[record.key.clone()], &bytes[record.value.clone()]);
        let contract = SignalContract::ALL.iter().position(|contract| *contract == record.contract).unwrap_or(0);
        self.put(contract, record.sent, key, value);
    }

    /// Adds a record to the topic of this number.
    fn put(&mut self, topic: usize, timestamp: LogTime, key: &[u8], value: &[u8]) {
        let partition = partition_for_key(key, PARTITIONS).0 as usize;
        if let Some((_, batch)) = self.batches.get_mut(topic * PARTITIONS as usize + partition) {
            batch.push(RecordRef {
                offset: Offset::ZERO,
                timestamp,
                key: Some(key),
                value: Some(value),
                headers: Headers::NONE,
            });
        }
    }

    fn publish(&mut self) -> Result<(), CoreError> {
        for (place, batch) in self.batches.iter_mut().filter(|(_, batch)| !batch.is_empty()) {
            self.order.producer.send(place, batch)?;
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
        self.order.producer.send(&TopicPartition::new(POSITIONS, 0), &self.position)?;
        // No positions of a group: this transaction reads nothing.
        let nobody = GroupMetadata::nobody();
        match self.order.producer.publish(&[], &nobody) {
            Publish::Published(_) => Ok(()),
            Publish::Aborted(why) => Err(CoreError::Aborted(why)),
            Publish::Refused(error) => Err(error.into()),
            Publish::Ambiguous(why) => Err(CoreError::Ambiguous(why)),
            Publish::Fenced(why) => Err(LogError::Fenced(why).into()),
        }
    }

    /// After a transaction that came to nothing, or of which nobody knows: goes on where the log says, unless somebody
    /// else has moved it. `before` is where the transaction began.
    fn begin_again(&mut self, before: u64, error: CoreError) -> Result<(), CoreError> {
        self.failures += 1;
        if error.remedy() == Remedy::Stop || self.failures > FAILURES_MAX {
            return Err(error);
        }
        tracing::warn!("the feed goes on where the log says: {error}");
        let FeedOrder { producer: broken, follower, shutdown, from, gazetteer, .. } = &mut self.order;
        // Whoever takes its place is told by the log's own error what is wrong, such as a full disk.
        *broken = patiently(shutdown, || producer(&*follower.log))?;
        let found = FeedPosition::read(&*follower.log, shutdown)?.map_or(0, |found| found.position);
        if found != before && found != self.feed.position() {
            return Err(LogError::Fenced(format!("another demo feeds this log: {error}")).into());
        }
        self.feed = Feed::at(from.options(), Arc::clone(gazetteer), found);
        self.batches.iter_mut().for_each(|(_, batch)| batch.clear());
        Ok(())
    }
}
