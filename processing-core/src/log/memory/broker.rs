//! The broker: topics, the virtual clock, and what is still under way.
//!
//! Not here: transactions (`coordinator`), groups (`group`), and the clients that call.
//! Invariant: time moves only in `advance`, and whatever was due is done in the order of its time.

use std::collections::BTreeMap;

use super::coordinator::{Producer, Target};
use super::faults::{Dice, FaultPlan};
use super::group::Group;
use super::partition::{PartitionLog, TxnNumber};
use super::trace::Recorder;
use super::{MemoryOptions, OwnedRecord};
use crate::batch::RecordBatch;
use crate::log::{Cleanup, LogError, TopicInfo, TopicSettings};
use crate::record::{LogTime, Offset, TopicId, TopicName, TopicPartition};

/// Kafka's bound on a topic's name.
const TOPIC_NAME_BYTES_MAX: usize = 249;

pub(super) struct Topic {
    pub(super) info: TopicInfo,
    pub(super) partitions: Vec<PartitionLog>,
}

/// A request or a marker that arrives later.
#[derive(Debug)]
pub(super) enum Due {
    /// The marker of an ended transaction at one of its targets.
    Marker { producer: String, txn: TxnNumber, target: Target },
    /// A commit whose sender has given up waiting.
    Commit { producer: String, epoch: u64 },
    /// Records on their way; the producer holds them in the order of sending.
    Produce { producer: String, epoch: u64, partition: TopicPartition },
}

pub(super) struct Broker {
    pub(super) options: MemoryOptions,
    pub(super) faults: FaultPlan,
    pub(super) now: i64,
    pub(super) dice: Dice,
    pub(super) recorder: Recorder,
    pub(super) topics: BTreeMap<TopicName, Topic>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) producers: BTreeMap<String, Producer>,
    pub(super) next_txn: u64,
    pub(super) next_connection: u64,
    next_topic: u64,
    next_due: u64,
    due: BTreeMap<(i64, u64), Due>,
}

impl Broker {
    pub(super) fn new(options: MemoryOptions) -> Self {
        Self {
            faults: options.faults,
            now: options.start.0,
            dice: Dice::new(options.seed),
            recorder: Recorder::new(options.trace_lines),
            topics: BTreeMap::new(),
            groups: BTreeMap::new(),
            producers: BTreeMap::new(),
            next_txn: 0,
            next_connection: 0,
            next_topic: 0,
            next_due: 0,
            due: BTreeMap::new(),
            options,
        }
    }

    pub(super) fn note(
        &mut self,
        what: &'static str,
        whom: &(impl std::hash::Hash + std::fmt::Display),
        a: u64,
        b: u64,
    ) {
        self.recorder.note(self.now, what, whom, a, b);
    }

    pub(super) fn log_time(&self) -> LogTime {
        LogTime(self.now)
    }

    /// The fault that any call can meet: it did nothing, and may be tried again.
    pub(super) fn may_refuse(&mut self, call: &'static str) -> Result<(), LogError> {
        if self.dice.chance(self.faults.retry) {
            self.note("refuse", &call, 0, 0);
            return Err(LogError::Retry(format!("{call} timed out")));
        }
        Ok(())
    }

    /// Whether this fault happens now.
    pub(super) fn strikes(&mut self, fault: impl Fn(&FaultPlan) -> f64) -> bool {
        self.dice.chance(fault(&self.faults))
    }

    // Topics.

    pub(super) fn partition(&mut self, at: &TopicPartition) -> Result<&mut PartitionLog, LogError> {
        self.topics
            .get_mut(&at.topic)
            .and_then(|topic| topic.partitions.get_mut(at.partition.0 as usize))
            .ok_or_else(|| LogError::Unknown(at.clone()))
    }

    pub(super) fn topic_id(&self, at: &TopicPartition) -> Result<TopicId, LogError> {
        self.topics
            .get(&at.topic)
            .filter(|topic| (at.partition.0 as usize) < topic.partitions.len())
            .map(|topic| topic.info.id)
            .ok_or_else(|| LogError::Unknown(at.clone()))
    }

    pub(super) fn append(
        &mut self,
        to: &TopicPartition,
        records: &RecordBatch,
        txn: Option<TxnNumber>,
    ) -> Result<Offset, LogError> {
        let now = self.log_time();
        let topic = self.topics.get_mut(&to.topic).ok_or_else(|| LogError::Unknown(to.clone()))?;
        let stamps = topic.info.settings.log_append_time;
        let log = topic.partitions.get_mut(to.partition.0 as usize).ok_or_else(|| LogError::Unknown(to.clone()))?;
        let next = log.append(records, txn, now, stamps);
        self.note("append", to, next.0, records.len() as u64);
        Ok(next)
    }

    pub(super) fn create_topic(&mut self, name: &TopicName, settings: TopicSettings) -> Result<TopicInfo, LogError> {
        if let Some(topic) = self.topics.get(name) {
            return Ok(topic.info.clone());
        }
        let text = name.as_str();
        let legal = (1..=TOPIC_NAME_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !legal || settings.partitions == 0 {
            return Err(LogError::Fatal(format!(
                "cannot create topic {text:?} with {} partitions: names have 1 to {TOPIC_NAME_BYTES_MAX} \
                 characters of a-z A-Z 0-9 . _ -, and topics at least one partition",
                settings.partitions
            )));
        }
        self.next_topic += 1;
        let id = TopicId(u128::from(self.next_topic) << 64 | u128::from(self.options.seed));
        let info = TopicInfo { name: name.clone(), id, settings };
        let partitions = (0..settings.partitions).map(|_| PartitionLog::default()).collect();
        self.topics.insert(name.clone(), Topic { info: info.clone(), partitions });
        self.note("create", name, self.next_topic, u64::from(settings.partitions));
        self.reassign_all();
        Ok(info)
    }

    pub(super) fn delete_topic(&mut self, name: &TopicName) {
        if self.topics.remove(name).is_none() {
            return;
        }
        for producer in self.producers.values_mut() {
            producer.forget_topic(name);
        }
        for group in self.groups.values_mut() {
            group.forget_topic(name);
        }
        self.note("delete", name, 0, 0);
        self.reassign_all();
    }

    pub(super) fn run_retention(&mut self) {
        let now = self.now;
        for topic in self.topics.values_mut() {
            let settings = topic.info.settings;
            if let (Cleanup::Delete | Cleanup::CompactDelete, Some(ms)) = (settings.cleanup, settings.retention_ms) {
                let cutoff = LogTime(now.saturating_sub_unsigned(ms));
                topic.partitions.iter_mut().for_each(|log| log.retain(cutoff));
            }
        }
        self.note("retention", &"", 0, 0);
    }

    /// Compacts every compacted topic up to a random point (the active segment is spared), or wholly
    /// where the plan has no disorder.
    pub(super) fn run_compaction(&mut self) {
        let forget = LogTime(self.now.saturating_sub_unsigned(self.options.delete_retention_ms));
        for topic in self.topics.values_mut() {
            if topic.info.settings.cleanup == Cleanup::Delete {
                continue;
            }
            for log in &mut topic.partitions {
                let ends = log.watermarks();
                let bound = if self.dice.chance(self.faults.short_batch) {
                    Offset(ends.start.0 + self.dice.below((ends.high.0 - ends.start.0) as usize) as u64)
                } else {
                    ends.high
                };
                log.compact(bound, forget);
            }
        }
        self.note("compaction", &"", 0, 0);
    }

    pub(super) fn committed_records(&self, name: &TopicName) -> Vec<Vec<OwnedRecord>> {
        self.topics
            .get(name)
            .map_or_else(Vec::new, |topic| topic.partitions.iter().map(PartitionLog::committed).collect())
    }

    pub(super) fn written(&self, name: &TopicName) -> Vec<Vec<(Option<Vec<u8>>, LogTime)>> {
        self.topics
            .get(name)
            .map_or_else(Vec::new, |topic| topic.partitions.iter().map(PartitionLog::written).collect())
    }

    // Time.

    pub(super) fn later(&mut self, delay: i64, due: Due) {
        self.next_due += 1;
        self.due.insert((self.now + delay, self.next_due), due);
    }

    /// Moves time on, and does in its order what becomes due: markers, late requests, the timeouts of
    /// transactions, sessions and rebalances.
    pub(super) fn advance(&mut self, ms: u64) {
        let until = self.now.saturating_add_unsigned(ms);
        loop {
            let arrival = self.due.first_key_value().map(|((at, _), _)| *at);
            let transaction = self.producers.values().filter_map(Producer::open_since).min();
            let transaction =
                transaction.map(|since| since.saturating_add_unsigned(self.options.transaction_timeout_ms));
            let member = self.groups.values().filter_map(|group| group.next_deadline(&self.options)).min();
            let Some(next) = [arrival, transaction, member].into_iter().flatten().min().filter(|at| *at <= until)
            else {
                break;
            };
            self.now = self.now.max(next);
            self.run_due();
            self.time_out_transactions();
            self.time_out_members();
        }
        self.now = until;
        self.note("advance", &"", ms, 0);
        if self.dice.chance(self.faults.rebalance) {
            self.force_rebalance();
        }
        if self.dice.chance(self.faults.expire) {
            self.expire_any();
        }
    }

    fn run_due(&mut self) {
        while let Some(entry) = self.due.first_entry()
            && entry.key().0 <= self.now
        {
            let due = entry.remove();
            self.run(due);
        }
    }

    fn run(&mut self, due: Due) {
        match due {
            Due::Marker { producer, txn, target } => self.write_marker(&producer, txn, &target),
            Due::Commit { producer, epoch } => self.commit_arrives(&producer, epoch),
            Due::Produce { producer, epoch, partition } => self.produce_arrives(&producer, epoch, &partition),
        }
    }

    /// Lets everything that is under way arrive and every open transaction time out, without moving
    /// the clock: how the log stands when everybody has gone home.
    pub(super) fn settle(&mut self) {
        while let Some((_, due)) = self.due.pop_first() {
            self.run(due);
        }
        self.abort_all_open();
        while let Some((_, due)) = self.due.pop_first() {
            self.run(due);
        }
        self.note("settle", &"", 0, 0);
    }
}
