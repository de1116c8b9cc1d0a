//! The transactional producer: what it sends, and what it is told about its publish.
//!
//! Not here: how the coordinator decides and marks (`coordinator`).
//! Invariant: `Published` is answered only after the decision to commit stands, `Aborted` and
//! `Fenced` only where nothing of the transaction will ever be true.

use std::collections::BTreeMap;

use super::Shared;
use super::broker::{Broker, Due};
use super::coordinator::TxnState;
use crate::batch::RecordBatch;
use crate::log::{GroupMetadata, LogError, Publish, Published, Transaction, TransactionalId};
use crate::record::{Offset, TopicPartition};

pub(super) struct MemoryTransaction {
    shared: Shared,
    id: String,
    epoch: u64,
}

impl MemoryTransaction {
    pub(super) fn open(shared: Shared, id: &TransactionalId) -> Result<Self, LogError> {
        let mut broker = shared.lock();
        broker.may_refuse("init producer")?;
        let epoch = broker.init_producer(&id.0)?;
        drop(broker);
        Ok(Self { shared, id: id.0.clone(), epoch })
    }

    fn fenced(&self) -> String {
        format!(
            "producer {} of epoch {} has been replaced by a newer one, or its transaction timed out; open it anew",
            self.id, self.epoch
        )
    }
}

impl Transaction for MemoryTransaction {
    fn send(&mut self, to: &TopicPartition, records: &RecordBatch) -> Result<(), LogError> {
        let mut broker = self.shared.lock();
        broker.may_refuse("send")?;
        if !broker.is_current(&self.id, self.epoch) {
            // Sending is asynchronous in Kafka's clients: the refusal may be seen only at the publish.
            let unnoticed = broker.strikes(|faults| faults.zombie);
            return if unnoticed { Ok(()) } else { Err(LogError::Fenced(self.fenced())) };
        }
        broker.partition(to)?;
        if records.is_empty() {
            return Ok(());
        }
        broker.begin(&self.id);
        broker.announce(&self.id, to);
        if broker.is_under_way(&self.id, to) || broker.strikes(|faults| faults.late_produce) {
            broker.delay_produce(&self.id, self.epoch, to, records);
            return Ok(());
        }
        broker.write(&self.id, to, records)
    }

    fn publish(&mut self, positions: &[(TopicPartition, Offset)], group: &GroupMetadata) -> Publish {
        let mut broker = self.shared.lock();
        let answer = if broker.is_current(&self.id, self.epoch) {
            broker.publish(&self.id, self.epoch, positions, group)
        } else {
            Publish::Fenced(self.fenced())
        };
        let kind = match &answer {
            Publish::Published(_) => "published",
            Publish::Aborted(_) => "publish aborted",
            Publish::Refused(_) => "publish refused",
            Publish::Fenced(_) => "publish fenced",
            Publish::Ambiguous(_) => "publish ambiguous",
        };
        broker.note(kind, &self.id, self.epoch, positions.len() as u64);
        answer
    }

    fn abort(&mut self) -> Result<(), LogError> {
        let mut broker = self.shared.lock();
        broker.may_refuse("abort")?;
        if !broker.is_current(&self.id, self.epoch) {
            let unnoticed = broker.strikes(|faults| faults.zombie);
            return if unnoticed { Ok(()) } else { Err(LogError::Fenced(self.fenced())) };
        }
        if let Some(producer) = broker.producers.get_mut(&self.id) {
            producer.under_way.clear();
        }
        broker.end(&self.id, false);
        Ok(())
    }
}

impl Broker {
    fn publish(
        &mut self,
        id: &str,
        epoch: u64,
        positions: &[(TopicPartition, Offset)],
        group: &GroupMetadata,
    ) -> Publish {
        if self.producers.get(id).is_some_and(|producer| !producer.under_way.is_empty()) {
            if self.dice.chance(0.5) {
                return Publish::Ambiguous(format!("the records of {id} were not acknowledged in time"));
            }
            self.flush(id, epoch);
        }
        if positions.is_empty() && !self.is_open(id) {
            return Publish::Published(Published::new(BTreeMap::new()));
        }
        self.begin(id);
        if self.dice.chance(self.faults.publish_aborted) {
            self.end(id, false);
            return Publish::Aborted(format!("the coordinator moved during the transaction of {id}"));
        }
        // A transaction without positions is checked against no generation, as in Kafka.
        if !positions.is_empty() {
            if self.dice.chance(self.faults.rebalance_in_publish) {
                self.rebalance_in_place(&group.group);
            }
            if let Err(reason) = self.attach(id, positions, group) {
                self.end(id, false);
                return Publish::Fenced(reason);
            }
        }
        if self.dice.chance(self.faults.ambiguous_committed) {
            self.end(id, true);
            return Publish::Ambiguous(format!("no answer to the commit of {id}"));
        }
        if self.dice.chance(self.faults.ambiguous_aborted) {
            self.end(id, false);
            return Publish::Ambiguous(format!("no answer to the commit of {id}"));
        }
        if self.dice.chance(self.faults.ambiguous_late) {
            if self.dice.chance(0.7) {
                let delay = self.dice.delay(self.faults.late_ms);
                self.later(delay, Due::Commit { producer: id.to_owned(), epoch });
            }
            return Publish::Ambiguous(format!("the commit of {id} timed out"));
        }
        let mut written = match self.producers.get(id).map(|producer| &producer.state) {
            Some(TxnState::Open { partitions, .. }) => partitions.clone(),
            _ => BTreeMap::new(),
        };
        self.end(id, true);
        for next in written.values_mut() {
            if self.dice.chance(self.faults.unknown_position) {
                *next = None;
            }
        }
        Publish::Published(Published::new(written))
    }

    /// Puts the group's positions into the transaction, if the group knows the one who commits them.
    fn attach(
        &mut self,
        id: &str,
        positions: &[(TopicPartition, Offset)],
        metadata: &GroupMetadata,
    ) -> Result<(), String> {
        let checks = self.options.checks_generation;
        let group = self.groups.get_mut(&metadata.group);
        let Some(group) = group.filter(|group| !checks || group.is_current(metadata)) else {
            return Err(format!(
                "member {} of generation {} is not a present member of group {}; rejoin",
                metadata.member, metadata.generation, metadata.group
            ));
        };
        if let Some(TxnState::Open { txn, groups, .. }) = self.producers.get_mut(id).map(|p| &mut p.state) {
            groups.insert(metadata.group.clone());
            group.stage_offsets(*txn, positions);
        }
        Ok(())
    }
}
