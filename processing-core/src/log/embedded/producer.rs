//! A transaction: records gathered in memory, committed by one write.
//!
//! Not here: the write itself ([`super::writer`]).
//! Invariant: until that write nothing of a transaction is in the log, so that an abort, a crash and
//! a dropped producer leave no trace.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::row::{RowBuilder, RowLimits, SealedRow};
use super::writer::{Claim, Pending, ProducerEpoch, Refusal, Writer};
use crate::batch::RecordBatch;
use crate::log::{GroupMetadata, LogError, Publish, Published, Transaction};
use crate::record::{Offset, TopicPartition};

pub(super) struct EmbeddedTransaction {
    writer: Arc<Writer>,
    epoch: ProducerEpoch,
    open: Gathered,
}

/// Records on their way to the log, cut into rows.
#[derive(Debug)]
pub(super) struct Gathered {
    limits: RowLimits,
    runs: BTreeMap<TopicPartition, Run>,
    sealed_bytes: usize,
}

#[derive(Debug)]
struct Run {
    topic: u32,
    building: RowBuilder,
    sealed: Vec<SealedRow>,
}

impl Gathered {
    pub(super) fn new(limits: RowLimits) -> Self {
        Self { limits, runs: BTreeMap::new(), sealed_bytes: 0 }
    }

    /// Appends records to what goes to `to`, a partition of the topic with this number.
    pub(super) fn add(&mut self, to: &TopicPartition, topic: u32, records: &RecordBatch) {
        if records.is_empty() {
            return;
        }
        if !self.runs.contains_key(to) {
            let run = Run { topic, building: RowBuilder::new(self.limits), sealed: Vec::new() };
            self.runs.insert(to.clone(), run);
        }
        let Some(run) = self.runs.get_mut(to) else {
            return;
        };
        let mut from = 0;
        while from < records.len() {
            from = run.building.extend(records, from);
            if from < records.len() {
                self.sealed_bytes += run.building.byte_len();
                run.sealed.extend(run.building.seal());
            }
        }
    }

    /// Bytes of the rows that are full; each partition has at most one more.
    fn byte_len(&self) -> usize {
        self.sealed_bytes + self.runs.values().map(|run| run.building.byte_len()).sum::<usize>()
    }

    pub(super) fn take(&mut self) -> BTreeMap<TopicPartition, Pending> {
        self.sealed_bytes = 0;
        std::mem::take(&mut self.runs)
            .into_iter()
            .map(|(partition, mut run)| {
                run.sealed.extend(run.building.seal());
                (partition, Pending { topic: run.topic, rows: run.sealed })
            })
            .collect()
    }

    fn topic_of(&self, to: &TopicPartition) -> Option<u32> {
        self.runs.get(to).map(|run| run.topic)
    }
}

impl EmbeddedTransaction {
    pub(super) fn new(writer: Arc<Writer>, epoch: ProducerEpoch) -> Self {
        let open = Gathered::new(writer.options.row);
        Self { writer, epoch, open }
    }
}

impl Transaction for EmbeddedTransaction {
    fn send(&mut self, to: &TopicPartition, records: &RecordBatch) -> Result<(), LogError> {
        self.writer.check_producer(&self.epoch)?;
        let topic = match self.open.topic_of(to) {
            Some(topic) => topic,
            None => self.writer.standing(to)?.key.topic,
        };
        let most = self.writer.options.transaction_bytes_max;
        let bytes = self.open.byte_len() + records.byte_len();
        if bytes > most {
            return Err(LogError::Fatal(format!(
                "the transaction of {} would hold {bytes} bytes with what goes to {to}, over the \
                 limit of {most}; commit more often or raise the limit",
                self.epoch.id.0
            )));
        }
        self.open.add(to, topic, records);
        Ok(())
    }

    fn publish(&mut self, positions: &[(TopicPartition, Offset)], group: &GroupMetadata) -> Publish {
        let claim = Claim {
            producer: Some(&self.epoch),
            positions,
            group: Some(group),
            durability: self.writer.options.durability,
        };
        match self.writer.commit(&mut self.open.take(), claim) {
            Ok(positions) => Publish::Published(Published::new(positions)),
            Err(Refusal::Fenced(why)) => Publish::Fenced(why),
            Err(Refusal::Impossible(error)) => Publish::Aborted(error.to_string()),
            Err(Refusal::Failed(error)) => Publish::Ambiguous(error.to_string()),
        }
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.open = Gathered::new(self.writer.options.row);
        Ok(())
    }
}
