//! The thread that feeds the demo's input topics, from the feed and from the world of the same users.
//!
//! Each is written in the order in which its records are sent. The feed's history is short and the world's is long, so
//! both are loaded side by side; the world is never ahead of the feed's clock, and goes with it once it has come so far.
//!
//! Not here: what the events are ([`events::feed`], [`events::world`]). Invariant: the positions of both stand in the same
//! transaction as the records up to them, so that whatever process feeds next goes on exactly there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use events::feed::Feed;
use events::world::World;
use events::{ContractName, Contracts, Gazetteer, SignalContract, poi_ingested};
use processing_core::batch::{Headers, RecordBatch, RecordRef};
use processing_core::clock::Clock;
use processing_core::error::{CoreError, Remedy};
use processing_core::log::{
    Cleanup, GroupMetadata, Log, LogError, Publish, TopicSettings, Transaction, TransactionalId, partition_for_key,
};
use processing_core::record::{LogTime, Offset, TopicName, TopicPartition};
use processing_core::service::signals::Shutdown;

use super::follower::Follower;
use super::ground::patiently;
use super::position::{FeedPosition, POSITIONS};
use super::speed::Speed;
use crate::door::PARTITIONS;

/// The feed's transactional id.
const PRODUCER: &str = "streamfleet-demo-feed";
/// Records of the feed, and of the world, in one transaction at most.
const BATCH_RECORDS: usize = 2_000;
/// How far a worker may be behind in what it is fed, in records, before the feeding waits. Beyond it the
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
    /// Records of the world in the log.
    pub(crate) world_position: AtomicU64,
    /// The world's clock.
    pub(crate) world_time_ms: AtomicI64,
    /// Everything that was wanted is in the log.
    pub(crate) done: AtomicBool,
}

impl FeedProgress {
    /// Of what goes on where `sources` are.
    pub(crate) fn of(sources: &Sources) -> Self {
        let progress = Self {
            position: AtomicU64::default(),
            time_ms: AtomicI64::default(),
            world_position: AtomicU64::default(),
            world_time_ms: AtomicI64::default(),
            done: AtomicBool::new(false),
        };
        progress.tell(sources);
        progress
    }

    fn tell(&self, sources: &Sources) {
        self.position.store(sources.feed.position(), Ordering::Relaxed);
        self.time_ms.store(sources.feed.next_sent().0, Ordering::Relaxed);
        self.world_position.store(sources.world.position(), Ordering::Relaxed);
        self.world_time_ms.store(sources.world.next_sent().0, Ordering::Relaxed);
    }

    /// The feed's clock, which is ahead of the machine's while it goes faster.
    pub(crate) fn time(&self) -> LogTime {
        LogTime(self.time_ms.load(Ordering::Relaxed))
    }

    /// The world's clock, which is behind the feed's while its history is loaded: nothing is older than it needs.
    pub(crate) fn world_time(&self) -> LogTime {
        LogTime(self.world_time_ms.load(Ordering::Relaxed))
    }
}

/// What is fed.
pub(crate) struct Sources {
    feed: Feed,
    world: World,
}

impl Sources {
    /// Both, where `from` says.
    pub(crate) fn at(from: &FeedPosition, gazetteer: &Arc<Gazetteer>) -> Self {
        Self {
            feed: Feed::at(from.options(), Arc::clone(gazetteer), from.position),
            world: World::at(from.world_options(), Arc::clone(gazetteer), from.world),
        }
    }

    fn positions(&self) -> (u64, u64) {
        (self.feed.position(), self.world.position())
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
    pub(crate) sources: Sources,
    pub(crate) progress: Arc<FeedProgress>,
    pub(crate) speed: Speed,
    /// The feed ends before this record.
    pub(crate) until: Option<u64>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shutdown: Shutdown,
    /// Who follows the feed.
    pub(crate) follower: Follower,
    /// Who follows the world.
    pub(crate) world_followers: Vec<Follower>,
    pub(crate) gazetteer: Arc<Gazetteer>,
}

/// The feed's producer. From now on nobody else feeds this log, and what others have left undecided is decided.
pub(crate) fn producer(log: &dyn Log) -> Result<Box<dyn Transaction>, LogError> {
    log.transaction(&TransactionalId(PRODUCER.to_owned()))
}

/// The topics that are fed: the feed's first, in the order of its contracts, then the world's; that of places last.
pub(crate) fn topics(places: bool) -> Vec<String> {
    let mut topics: Vec<String> =
        SignalContract::ALL.into_iter().map(|contract| contract.event_type().to_owned()).collect();
    let others: Vec<ContractName> =
        ContractName::ALL.iter().copied().filter(|contract| *contract != ContractName::PoiIngested).collect();
    for reader in Contracts::shipped().topics(&others) {
        if !topics.iter().any(|topic| topic == reader.topic()) {
            topics.push(reader.topic().to_owned());
        }
    }
    topics.extend(places.then(|| poi_ingested::EVENT_TYPE.to_owned()));
    topics
}

/// Whether the feed, and not the world, writes into this topic.
pub(crate) fn is_of_the_feed(topic: &str) -> bool {
    topic == poi_ingested::EVENT_TYPE || SignalContract::ALL.iter().any(|contract| contract.event_type() == topic)
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
        admin.create_topic(&TopicName::new(topic), settings(PARTITIONS, cleanup))?;
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

/// Workers that must not fall too far behind, and how far they are at most.
struct Gate {
    followers: Vec<Follower>,
    /// Behind at the last look, and what was fed since: a look costs a round trip for each partition on a cluster.
    behind_max: u64,
}

impl Gate {
    /// None of them has been looked at.
    fn of(followers: Vec<Follower>) -> Self {
        Self { followers, behind_max: u64::MAX }
    }

    /// Whether all of them are near enough.
    fn is_open(&mut self) -> Result<bool, CoreError> {
        if self.behind_max <= AHEAD_MAX {
            return Ok(true);
        }
        let mut furthest = 0;
        for follower in &self.followers {
            match follower.behind() {
                Ok(behind) => furthest = furthest.max(behind),
                Err(error) if error.remedy() > Remedy::Retry => return Err(error),
                Err(_) => return Ok(false),
            }
        }
        self.behind_max = furthest;
        Ok(furthest <= AHEAD_MAX)
    }

    fn fed(&mut self, records: u64) {
        self.behind_max = self.behind_max.saturating_add(records);
    }
}

struct Feeding {
    order: FeedOrder,
    /// Before the feed, and before the world.
    gates: [Gate; 2],
    topics: BTreeMap<String, usize>,
    /// Transactions in a row that came to nothing.
    failures: u32,
    /// By topic and partition.
    batches: Vec<(TopicPartition, RecordBatch)>,
    position: RecordBatch,
}

impl Feeding {
    fn new(order: FeedOrder) -> Self {
        let topics = topics(order.from.places);
        let places =
            topics.iter().flat_map(|topic| (0..PARTITIONS).map(move |n| TopicPartition::new(topic.as_str(), n)));
        let batches = places.map(|place| (place, RecordBatch::new())).collect();
        let topics = topics.into_iter().zip(0..).collect();
        let gates = [vec![order.follower.clone()], order.world_followers.clone()].map(Gate::of);
        Self { topics, gates, failures: 0, batches, position: RecordBatch::new(), order }
    }

    fn feed(mut self) -> Result<(), CoreError> {
        let history = self.order.sources.feed.history_records();
        let until = self.order.until.unwrap_or(u64::MAX);
        // Wall clock and feed clock at which the paced part of this process began.
        let mut pace: Option<(Duration, LogTime)> = None;
        while !self.order.shutdown.requested() {
            let Sources { feed, world } = &self.order.sources;
            // The world's records of the time up to the feed's last one belong to the same feeding.
            if feed.position() >= until && world.next_sent() > feed.next_sent() {
                self.order.progress.done.store(true, Ordering::SeqCst);
                return Ok(());
            }
            let due = match self.order.speed {
                Speed::Times(times) if feed.position() >= history => {
                    let now = self.order.clock.elapsed();
                    let (begun, from) = *pace.get_or_insert((now, feed.next_sent()));
                    let passed = now.saturating_sub(begun).as_millis() as i64;
                    LogTime(from.0.saturating_add(passed.saturating_mul(i64::from(times))))
                }
                _ => LogTime(i64::MAX),
            };
            let before = self.order.sources.positions();
            if self.gates[0].is_open()? {
                self.take_feed(until, due);
            }
            if self.gates[1].is_open()? {
                self.take_world(due);
            }
            let after = self.order.sources.positions();
            self.gates[0].fed(after.0 - before.0);
            self.gates[1].fed(after.1 - before.1);
            if after == before {
                if due.0 < i64::MAX {
                    self.order.progress.time_ms.store(due.0, Ordering::Relaxed);
                }
                self.order.shutdown.wait(PAUSE);
                continue;
            }
            match self.publish() {
                Ok(()) => self.failures = 0,
                Err(error) => self.begin_again(before, error)?,
            }
            self.order.progress.tell(&self.order.sources);
        }
        Ok(())
    }

    fn take_feed(&mut self, until: u64, due: LogTime) {
        let (mut bytes, mut beside) = (Vec::new(), Vec::new());
        for _ in 0..BATCH_RECORDS {
            let feed = &mut self.order.sources.feed;
            if feed.position() >= until || feed.next_sent() > due {
                return;
            }
            let record = feed.next_into(&mut bytes);
            let place = self.order.from.places.then(|| feed.place_beside(record.number, &mut beside)).flatten();
            self.put(record.contract.event_type(), record.sent, &bytes[record.key], &bytes[record.value]);
            if let Some(place) = place {
                self.put(poi_ingested::EVENT_TYPE, place.sent, &beside[place.key], &beside[place.value]);
            }
        }
    }

    fn take_world(&mut self, due: LogTime) {
        let mut bytes = Vec::new();
        let due = due.min(self.order.sources.feed.next_sent());
        for _ in 0..BATCH_RECORDS {
            let world = &mut self.order.sources.world;
            if world.next_sent() > due {
                return;
            }
            let record = world.next_into(&mut bytes);
            self.put(record.topic, record.sent, &bytes[record.key], &bytes[record.value]);
        }
    }

    /// Adds a record to a topic.
    fn put(&mut self, topic: &str, timestamp: LogTime, key: &[u8], value: &[u8]) {
        let Some(topic) = self.topics.get(topic) else { return };
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
        let (position, world) = self.order.sources.positions();
        let position = FeedPosition { position, world, ..self.order.from };
        let value = serde_json::to_vec(&position).map_err(|error| CoreError::config(error.to_string()))?;
        self.position.clear();
        self.position.push(RecordRef {
            offset: Offset::ZERO,
            timestamp: self.order.sources.feed.next_sent(),
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
    fn begin_again(&mut self, before: (u64, u64), error: CoreError) -> Result<(), CoreError> {
        self.failures += 1;
        if error.remedy() == Remedy::Stop || self.failures > FAILURES_MAX {
            return Err(error);
        }
        tracing::warn!("the feed goes on where the log says: {error}");
        let FeedOrder { producer: broken, follower, shutdown, from, sources, gazetteer, .. } = &mut self.order;
        // Whoever takes its place is told by the log's own error what is wrong, such as a full disk.
        *broken = patiently(shutdown, || producer(&*follower.log))?;
        let found =
            FeedPosition::read(&*follower.log, shutdown)?.unwrap_or(FeedPosition { position: 0, world: 0, ..*from });
        let place = (found.position, found.world);
        if place != before && place != sources.positions() {
            return Err(LogError::Fenced(format!("another demo feeds this log: {error}")).into());
        }
        *sources = Sources::at(&found, gazetteer);
        self.batches.iter_mut().for_each(|(_, batch)| batch.clear());
        Ok(())
    }
}
