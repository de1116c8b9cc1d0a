//! What a topology is simulated with: topics, and events that are listed or drawn.
//!
//! Not here: one run's records as bytes ([`super::feed`]), and event times for property tests
//! ([`super::strategy`]). Invariant: a workload and a seed give the same records.

use std::fmt;

use serde::Serialize;

use super::dice::Dice;
use super::feed::{Arrival, Feed};
use crate::log::partition_for_key;
use crate::plan::Plan;
use crate::record::{DurationMs, EventTime, LogTime, Partition, TopicName, TopicPartition};

/// The first moment of a workload, 2026-01-01: also that of the simulator's log.
const START_MS: i64 = 1_767_225_600_000;
/// One of so many events begins a silence or a burst, where the seed wants them.
const TURNS: f64 = 0.03;
/// The longest burst: events that come at one moment.
const BURST_MAX: u64 = 12;
/// The longest silence, in mean distances between two events.
const SILENCE_MAX: i64 = 20;

/// Topics and their events.
///
/// ```
/// use processing_core::prelude::*;
/// use processing_core::testing::{Event, Workload};
///
/// let searches = Workload::new().topic("searches", 3).every(DurationMs::seconds(20)).events(200, |dice, now| {
///     let city = dice.pick(["porto", "faro", "braga"]);
///     // Up to a minute out of order.
///     let at_ms = dice.disordered(now, DurationMs::minutes(1)).0;
///     Event::new("searches").key(city).json(&serde_json::json!({ "at_ms": at_ms, "city": city }))
/// });
/// # drop(searches);
/// ```
///
/// A topic that the topology reads and the workload does not name has one partition and stays empty.
#[must_use]
#[derive(Debug)]
pub struct Workload {
    topics: Vec<(TopicName, u32)>,
    every: DurationMs,
    events: Events,
}

enum Events {
    Listed(Vec<Event>),
    Drawn { count: usize, draw: Draw },
}

type Draw = Box<dyn Fn(&mut Dice, EventTime) -> Event>;

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed(events) => events.fmt(f),
            Self::Drawn { count, .. } => write!(f, "{count} drawn"),
        }
    }
}

impl Default for Workload {
    fn default() -> Self {
        Self::new()
    }
}

impl Workload {
    /// Without topics and events, whose time moves by a second from one event to the next.
    pub fn new() -> Self {
        Self { topics: Vec::new(), every: DurationMs::seconds(1), events: Events::Listed(Vec::new()) }
    }

    /// An input topic of so many partitions.
    pub fn topic(mut self, name: impl AsRef<str>, partitions: u32) -> Self {
        self.topics.push((TopicName::new(name.as_ref()), partitions));
        self
    }

    /// The mean distance of two events. Which it is follows from the seed: anything up to twice as much, in some
    /// seeds with bursts of events at one moment and with silences twenty times as long.
    pub fn every(mut self, mean: DurationMs) -> Self {
        self.every = mean;
        self
    }

    /// So many events, drawn anew for each seed. What draws them is told the time that it is: the log's timestamp
    /// of the event.
    pub fn events(mut self, count: usize, draw: impl Fn(&mut Dice, EventTime) -> Event + 'static) -> Self {
        self.events = Events::Drawn { count, draw: Box::new(draw) };
        self
    }

    /// These events, in this order. What happens to those who read them differs from seed to seed.
    pub fn listed(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        self.events = Events::Listed(events.into_iter().collect());
        self
    }

    /// The records of one seed.
    pub(super) fn feed(&self, plan: &Plan, seed: u64) -> Result<Feed, String> {
        let mut inputs = self.topics.clone();
        for topic in plan.inputs() {
            if !inputs.iter().any(|(name, _)| name == topic) {
                inputs.push((topic.clone(), 1));
            }
        }
        for (topic, partitions) in &inputs {
            if !plan.inputs().any(|input| input == topic) {
                let known: Vec<_> = plan.inputs().map(TopicName::as_str).collect();
                return Err(format!("{topic} is no input of this topology: there are {}", known.join(", ")));
            }
            if *partitions == 0 {
                return Err(format!("{topic} has no partitions"));
            }
        }
        let count = match &self.events {
            Events::Listed(events) => events.len(),
            Events::Drawn { count, .. } => *count,
        };
        let mut pace = Pace::new(self.every, seed);
        let mut arrivals = Vec::with_capacity(count);
        for number in 0..count {
            let (now, at_ms) = pace.next();
            let event = match &self.events {
                Events::Listed(events) => events[number].clone(),
                Events::Drawn { draw, .. } => draw(&mut pace.dice, now),
            };
            arrivals.push(event.arrival(&inputs, now, at_ms)?);
        }
        Ok(Feed { inputs, arrivals })
    }
}

/// When events come: by the time of the log, and by that of the run.
struct Pace {
    dice: Dice,
    every: DurationMs,
    /// Whether there are bursts and silences.
    uneven: bool,
    burst: u64,
    now: EventTime,
    at_ms: u64,
    /// The run's own time between two events: from a flood to a trickle in which commits come between them.
    tick_ms: u64,
}

impl Pace {
    fn new(every: DurationMs, seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0xfeed);
        let (uneven, tick_ms) = (dice.chance(0.5), dice.pick([20, 40, 100]));
        Self { dice, every, uneven, burst: 0, now: EventTime(START_MS), at_ms: 0, tick_ms }
    }

    fn next(&mut self) -> (EventTime, u64) {
        self.at_ms += self.dice.below(self.tick_ms);
        let mean = self.every.0.max(0);
        let mut step = |max: i64| self.dice.below(max.unsigned_abs().saturating_add(1)) as i64;
        let (short, long) = (step(mean.saturating_mul(2)), step(mean.saturating_mul(SILENCE_MAX)));
        if self.burst > 0 {
            self.burst -= 1;
            return (self.now, self.at_ms);
        }
        let mut step = short;
        if self.uneven && self.dice.chance(TURNS) {
            self.burst = self.dice.below(BURST_MAX);
        } else if self.uneven && self.dice.chance(TURNS) {
            step = long;
            self.at_ms += self.dice.below(4_000);
        }
        self.now = EventTime(self.now.0.saturating_add(step));
        (self.now, self.at_ms)
    }
}

/// One event as its producer sends it.
#[must_use]
#[derive(Debug, Clone)]
pub struct Event {
    topic: TopicName,
    partition: Option<u32>,
    logged: Option<EventTime>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl Event {
    /// A record of this topic without key and value, which is a tombstone.
    pub fn new(topic: impl AsRef<str>) -> Self {
        Self { topic: TopicName::new(topic.as_ref()), partition: None, logged: None, key: None, value: None }
    }

    /// Its key. It also decides the partition, as Kafka's producers do; without a key that is the first one.
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Some(key.as_ref().to_vec());
        self
    }

    /// Its value as JSON.
    ///
    /// # Panics
    /// If the value has no JSON, such as a map whose keys are not text.
    #[track_caller]
    pub fn json(self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.value(bytes),
            Err(error) => panic!("an event that has no JSON: {error}"),
        }
    }

    /// Its value.
    pub fn value(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.value = Some(bytes.into());
        self
    }

    /// The partition, whatever the key.
    pub fn partition(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// The log's timestamp. Without it, that is the workload's time when the event comes.
    pub fn logged_at(mut self, time: EventTime) -> Self {
        self.logged = Some(time);
        self
    }

    fn arrival(self, inputs: &[(TopicName, u32)], now: EventTime, at_ms: u64) -> Result<Arrival, String> {
        let Self { topic, partition, logged, key, value } = self;
        let Some((_, partitions)) = inputs.iter().find(|(name, _)| *name == topic) else {
            return Err(format!("an event of {topic}, which is no input of this topology"));
        };
        let partition = match (partition, &key) {
            (Some(partition), _) if partition >= *partitions => {
                return Err(format!("an event of {topic}/{partition}, which has {partitions} partitions"));
            }
            (Some(partition), _) => Partition(partition),
            (None, Some(key)) => partition_for_key(key, *partitions),
            (None, None) => Partition(0),
        };
        let place = TopicPartition { topic, partition };
        Ok(Arrival { at_ms, timestamp: Some(LogTime(logged.unwrap_or(now).0)), place, key, value })
    }
}
