//! Transactions as Kafka's coordinator runs them: epochs, fencing, and markers written one by one.
//!
//! Not here: the producer's side of the calls (`producer`), and what a marker does to a partition.
//! Invariant: a transaction is decided once; a request of an epoch that is not the producer's latest
//! changes nothing.
//!
//! ```text
//!   Empty ── first send ──▶ Open ── publish, abort, timeout, newer producer ──▶ Ending ── last marker ──▶ Empty
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::broker::{Broker, Due};
use super::partition::TxnNumber;
use crate::batch::RecordBatch;
use crate::log::LogError;
use crate::record::{Offset, TopicName, TopicPartition};

/// Where a transaction's marker must be written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// A partition that the transaction announced, whether records reached it or not.
    Partition(TopicPartition),
    /// The partition of `__consumer_offsets` that holds this group.
    Offsets(String),
}

#[derive(Debug)]
pub(super) enum TxnState {
    Empty,
    Open {
        txn: TxnNumber,
        since: i64,
        /// Per announced partition one past the last record that reached it.
        partitions: BTreeMap<TopicPartition, Option<Offset>>,
        groups: BTreeSet<String>,
    },
    Ending {
        txn: TxnNumber,
        commit: bool,
        remaining: BTreeSet<Target>,
    },
}

/// What the coordinator knows of one transactional id.
#[derive(Debug)]
pub(super) struct Producer {
    pub(super) epoch: u64,
    pub(super) state: TxnState,
    /// Sent and not yet arrived, in the order of sending.
    pub(super) under_way: VecDeque<(TopicPartition, RecordBatch)>,
}

impl Producer {
    pub(super) fn open_since(&self) -> Option<i64> {
        match &self.state {
            TxnState::Open { since, .. } => Some(*since),
            _ => None,
        }
    }

    /// Deleted partitions get no marker.
    pub(super) fn forget_topic(&mut self, name: &TopicName) {
        match &mut self.state {
            TxnState::Empty => {}
            TxnState::Open { partitions, .. } => partitions.retain(|at, _| at.topic != *name),
            TxnState::Ending { remaining, .. } => {
                remaining.retain(|target| !matches!(target, Target::Partition(at) if at.topic == *name));
                if remaining.is_empty() {
                    self.state = TxnState::Empty;
                }
            }
        }
        self.under_way.retain(|(at, _)| at.topic != *name);
    }
}

impl Broker {
    /// A new producer takes the id: the former one is fenced, its transaction ends, and what it had
    /// under way will be refused. Answers the new epoch, after the last marker as Kafka does.
    pub(super) fn init_producer(&mut self, id: &str) -> Result<u64, LogError> {
        let epoch = match self.producers.get_mut(id) {
            Some(producer) => {
                producer.epoch += 1;
                producer.under_way.clear();
                producer.epoch
            }
            None => {
                let producer = Producer { epoch: 0, state: TxnState::Empty, under_way: VecDeque::new() };
                self.producers.insert(id.to_owned(), producer);
                0
            }
        };
        self.note("init", &id, epoch, 0);
        self.end(id, false);
        if self.is_ending(id) && self.dice.chance(self.faults.retry) {
            return Err(LogError::Retry(format!("the former transaction of {id} is still being ended")));
        }
        self.finish_ending(id);
        Ok(epoch)
    }

    pub(super) fn is_current(&self, id: &str, epoch: u64) -> bool {
        self.producers.get(id).is_some_and(|producer| producer.epoch == epoch)
    }

    fn is_ending(&self, id: &str) -> bool {
        self.producers.get(id).is_some_and(|producer| matches!(producer.state, TxnState::Ending { .. }))
    }

    /// The id's open transaction, begun if there is none. A former one is ended first, as the
    /// coordinator lets nobody begin before its last marker is written.
    pub(super) fn begin(&mut self, id: &str) {
        self.finish_ending(id);
        let txn = TxnNumber(self.next_txn);
        let now = self.now;
        if let Some(producer) = self.producers.get_mut(id)
            && matches!(producer.state, TxnState::Empty)
        {
            self.next_txn += 1;
            producer.state = TxnState::Open { txn, since: now, partitions: BTreeMap::new(), groups: BTreeSet::new() };
        }
    }

    pub(super) fn is_open(&self, id: &str) -> bool {
        self.producers.get(id).is_some_and(|producer| matches!(producer.state, TxnState::Open { .. }))
    }

    /// Announces a partition to the open transaction.
    pub(super) fn announce(&mut self, id: &str, to: &TopicPartition) {
        if let Some(TxnState::Open { partitions, .. }) = self.producers.get_mut(id).map(|p| &mut p.state)
            && !partitions.contains_key(to)
        {
            partitions.insert(to.clone(), None);
        }
    }

    /// Records arrive at a partition that the open transaction has announced.
    pub(super) fn write(&mut self, id: &str, to: &TopicPartition, records: &RecordBatch) -> Result<(), LogError> {
        let Some(TxnState::Open { txn, partitions, .. }) = self.producers.get(id).map(|p| &p.state) else {
            return Ok(());
        };
        if !partitions.contains_key(to) {
            return Ok(());
        }
        let next = self.append(to, records, Some(*txn))?;
        if let Some(TxnState::Open { partitions, .. }) = self.producers.get_mut(id).map(|p| &mut p.state) {
            partitions.insert(to.clone(), Some(next));
        }
        Ok(())
    }

    /// Whether records to this partition are still under way, behind which later ones must queue.
    pub(super) fn is_under_way(&self, id: &str, to: &TopicPartition) -> bool {
        self.producers.get(id).is_some_and(|producer| producer.under_way.iter().any(|(at, _)| at == to))
    }

    /// Keeps records under way for a while.
    pub(super) fn delay_produce(&mut self, id: &str, epoch: u64, to: &TopicPartition, records: &RecordBatch) {
        if let Some(producer) = self.producers.get_mut(id) {
            producer.under_way.push_back((to.clone(), records.clone()));
        }
        self.note("produce under way", to, records.len() as u64, epoch);
        let delay = self.dice.delay(self.faults.late_ms);
        self.later(delay, Due::Produce { producer: id.to_owned(), epoch, partition: to.clone() });
    }

    /// The partition's oldest records under way arrive: into the transaction that this producer has
    /// open there, whichever that is by now; without one, or with another epoch, they are refused.
    pub(super) fn produce_arrives(&mut self, id: &str, epoch: u64, to: &TopicPartition) {
        let Some(producer) = self.producers.get_mut(id).filter(|producer| producer.epoch == epoch) else {
            return;
        };
        let Some(index) = producer.under_way.iter().position(|(at, _)| at == to) else {
            return;
        };
        let Some((_, records)) = producer.under_way.remove(index) else {
            return;
        };
        self.note("late produce", to, records.len() as u64, epoch);
        // A topic deleted meanwhile has no use for them.
        self.write(id, to, &records).unwrap_or_default();
    }

    /// The producer waits until all it sent has arrived.
    pub(super) fn flush(&mut self, id: &str, epoch: u64) {
        while let Some(at) =
            self.producers.get(id).and_then(|producer| producer.under_way.front()).map(|(at, _)| at.clone())
        {
            if !self.is_current(id, epoch) {
                return;
            }
            self.produce_arrives(id, epoch, &at);
        }
    }

    /// A commit arrives whose sender no longer waits. Like the brokers before KIP-890, the coordinator
    /// cannot tell for which of the producer's transactions it was meant.
    pub(super) fn commit_arrives(&mut self, id: &str, epoch: u64) {
        if self.is_current(id, epoch) {
            self.note("late commit", &id, epoch, 0);
            self.end(id, true);
        }
    }

    /// Decides the open transaction. Each marker is written at once or, by the plan, later.
    pub(super) fn end(&mut self, id: &str, commit: bool) {
        let Some(producer) = self.producers.get_mut(id) else {
            return;
        };
        let TxnState::Open { txn, partitions, groups, .. } = &mut producer.state else {
            return;
        };
        let txn = *txn;
        let targets: BTreeSet<Target> = std::mem::take(partitions)
            .into_keys()
            .map(Target::Partition)
            .chain(std::mem::take(groups).into_iter().map(Target::Offsets))
            .collect();
        producer.state = TxnState::Ending { txn, commit, remaining: targets.clone() };
        self.note(if commit { "commit" } else { "abort" }, &id, txn.0, targets.len() as u64);
        for target in targets {
            if self.dice.chance(self.faults.marker_delay) {
                let delay = self.dice.delay(self.faults.marker_ms);
                self.later(delay, Due::Marker { producer: id.to_owned(), txn, target });
            } else {
                self.write_marker(id, txn, &target);
            }
        }
        self.become_empty(id);
    }

    /// Writes one marker, unless it has been written since.
    pub(super) fn write_marker(&mut self, id: &str, number: TxnNumber, target: &Target) {
        let Some(TxnState::Ending { txn, commit, remaining }) = self.producers.get_mut(id).map(|p| &mut p.state) else {
            return;
        };
        if *txn != number || !remaining.remove(target) {
            return;
        }
        let commit = *commit;
        let now = self.log_time();
        match target {
            Target::Partition(at) => {
                self.note("marker", at, number.0, u64::from(commit));
                if let Ok(log) = self.partition(at) {
                    log.mark(number, commit, now);
                }
            }
            Target::Offsets(group) => {
                self.note("offsets marker", group, number.0, u64::from(commit));
                if let Some(group) = self.groups.get_mut(group) {
                    group.decide_offsets(number, commit);
                }
            }
        }
        self.become_empty(id);
    }

    fn become_empty(&mut self, id: &str) {
        if let Some(producer) = self.producers.get_mut(id)
            && matches!(&producer.state, TxnState::Ending { remaining, .. } if remaining.is_empty())
        {
            producer.state = TxnState::Empty;
        }
    }

    fn finish_ending(&mut self, id: &str) {
        while let Some(TxnState::Ending { txn, remaining, .. }) = self.producers.get(id).map(|p| &p.state)
            && let Some(target) = remaining.first().cloned()
        {
            self.write_marker(id, *txn, &target);
        }
    }

    /// Aborts what has been open for too long. The epoch rises, so that its producer is fenced, which
    /// librdkafka treats as fatal (it lacks KIP-588).
    pub(super) fn time_out_transactions(&mut self) {
        let expired_before = self.now.saturating_sub_unsigned(self.options.transaction_timeout_ms);
        self.abort_open(|since| since <= expired_before);
    }

    pub(super) fn abort_all_open(&mut self) {
        self.abort_open(|_| true);
    }

    fn abort_open(&mut self, wanted: impl Fn(i64) -> bool) {
        let expired: Vec<String> = self
            .producers
            .iter()
            .filter(|(_, producer)| producer.open_since().is_some_and(&wanted))
            .map(|(id, _)| id.clone())
            .collect();
        for id in expired {
            if let Some(producer) = self.producers.get_mut(&id) {
                producer.epoch += 1;
                producer.under_way.clear();
            }
            self.note("transaction timeout", &id, 0, 0);
            self.end(&id, false);
        }
    }
}
