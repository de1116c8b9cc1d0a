//! A log through which a worker that keeps the rules does what one would do that does not.
//!
//! Invariant: what a mutation does not name passes unchanged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Mutation;
use crate::batch::{RecordBatch, RecordRef};
use crate::log::memory::MemoryLog;
use crate::log::{
    Admin, FetchEpoch, FreeReader, GroupMetadata, GroupSource, Log, LogError, Membership, Polled, Publish, Read,
    Transaction, TransactionalId, Watermarks,
};
use crate::record::{LogTime, Offset, TopicName, TopicPartition};
use crate::varint::take_varint;

/// The memory log, with one rule broken on the way to it.
pub(in crate::testing) struct MutantLog {
    log: Arc<MemoryLog>,
    mutation: Mutation,
    producers: Mutex<BTreeMap<String, Shared>>,
}

impl MutantLog {
    pub(in crate::testing) fn new(log: Arc<MemoryLog>, mutation: Mutation) -> Self {
        Self { log, mutation, producers: Mutex::default() }
    }
}

impl Log for MutantLog {
    fn group_source(&self, membership: Membership) -> Result<Box<dyn GroupSource>, LogError> {
        let id = format!("{}-{}", membership.group, membership.instance);
        let producer = lock(&self.producers).get(&id).cloned();
        let source = self.log.group_source(membership)?;
        Ok(Box::new(Source { source, mutation: self.mutation, producer, reading: BTreeMap::new() }))
    }

    fn transaction(&self, id: &TransactionalId) -> Result<Box<dyn Transaction>, LogError> {
        let spare = self.log.transaction(&TransactionalId(format!("{}-spare", id.0)))?;
        let producer = Producer { transaction: self.log.transaction(id)?, put_off: None };
        let producer: Shared = Arc::new(Mutex::new(producer));
        lock(&self.producers).insert(id.0.clone(), Arc::clone(&producer));
        let (log, mutation) = (Arc::clone(&self.log), self.mutation);
        Ok(Box::new(Mutant { log, mutation, producer, spare, untold: Vec::new() }))
    }

    fn reader(&self) -> Result<Box<dyn FreeReader>, LogError> {
        Ok(Box::new(Reader { reader: self.log.reader()?, mutation: self.mutation }))
    }

    fn admin(&self) -> Result<Box<dyn Admin>, LogError> {
        self.log.admin()
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_store_changelog(topic: &TopicName) -> bool {
    topic.as_str().ends_with("-changelog") && !topic.as_str().ends_with("-meta-changelog")
}

fn is_internal(topic: &TopicName) -> bool {
    ["-changelog", "-repartition", "-time"].iter().any(|kind| topic.as_str().ends_with(kind))
}

/// A transaction, and what was to be published by now.
struct Producer {
    transaction: Box<dyn Transaction>,
    put_off: Option<(Vec<(TopicPartition, Offset)>, GroupMetadata)>,
}

type Shared = Arc<Mutex<Producer>>;

impl Producer {
    /// Does what was put off. Nobody waits for the answer any more.
    fn catch_up(&mut self) {
        if let Some((positions, group)) = self.put_off.take() {
            drop(self.transaction.publish(&positions, &group));
        }
    }
}

struct Mutant {
    log: Arc<MemoryLog>,
    mutation: Mutation,
    producer: Shared,
    /// Publishes nothing: its answers are what a worker that does not wait takes for its own.
    spare: Box<dyn Transaction>,
    /// Time records that wait for their transaction to be known as true.
    untold: Vec<(TopicPartition, RecordBatch)>,
}

impl Mutant {
    fn is_outside(&self, topic: &TopicName) -> bool {
        match self.mutation {
            Mutation::OutputsOutsideTransaction => !is_internal(topic),
            Mutation::ChangelogOutsideTransaction => is_store_changelog(topic),
            Mutation::TimeLogOutsideTransaction => topic.as_str().ends_with("-time"),
            _ => false,
        }
    }

    fn empty_success(&mut self, group: &GroupMetadata) -> Publish {
        self.spare.publish(&[], group)
    }
}

/// The records in another order, or fewer.
fn chosen<const N: usize>(records: &RecordBatch, turns: [fn(&[u8]) -> bool; N]) -> RecordBatch {
    let mut chosen = RecordBatch::new();
    for turn in turns {
        for record in records.iter().filter(|record| turn(record.value.unwrap_or_default())) {
            chosen.push(record);
        }
    }
    chosen
}

/// The answers of a foreign-key join, all of one version, wherever it takes one byte.
fn unversioned(records: &RecordBatch) -> RecordBatch {
    // What stands behind its length.
    let part = |bytes: &[u8], at: usize| {
        let mut rest = bytes.get(at..)?;
        let length = take_varint(&mut rest)? as usize;
        let start = bytes.len() - rest.len();
        Some(start..start + length)
    };
    let mut unversioned = RecordBatch::new();
    for record in records.iter() {
        let mut value = record.value.unwrap_or_default().to_vec();
        // A bundle: keys and records, each behind its length; in a record, two times, headers and the state's codec.
        let mut at = if value.first() == Some(&4) { 5 } else { value.len() };
        while let Some(key) = part(&value, at) {
            let Some(body) = part(&value, key.end) else { break };
            let Some(headers) = part(&value, body.start + 16) else { break };
            if let Some(version) = value.get_mut(headers.end + 1).filter(|byte| **byte < 251) {
                *version = 0;
            }
            at = body.end;
        }
        unversioned.push(RecordRef { value: Some(&value), ..record });
    }
    unversioned
}

impl Transaction for Mutant {
    fn send(&mut self, to: &TopicPartition, records: &RecordBatch) -> Result<(), LogError> {
        if self.is_outside(&to.topic) {
            return self.log.append(to, records).map(|_| ());
        }
        let mut producer = lock(&self.producer);
        producer.catch_up();
        match self.mutation {
            Mutation::TimeBeforeData if to.topic.as_str().ends_with("-repartition") => {
                let is_time = |value: &[u8]| value.first() == Some(&2);
                producer.transaction.send(to, &chosen(records, [is_time, |value| value.first() != Some(&2)]))
            }
            Mutation::VersionsForgotten if to.topic.as_str().ends_with("-responses-repartition") => {
                producer.transaction.send(to, &unversioned(records))
            }
            Mutation::RaisesNotLogged if to.topic.as_str().ends_with("-time") => {
                let is_no_raise = |value: &[u8]| value.get(4) != Some(&2);
                producer.transaction.send(to, &chosen(records, [is_no_raise]))
            }
            Mutation::TimeLogAfterTransaction if to.topic.as_str().ends_with("-time") => {
                self.untold.push((to.clone(), records.clone()));
                Ok(())
            }
            _ => producer.transaction.send(to, records),
        }
    }

    fn publish(&mut self, positions: &[(TopicPartition, Offset)], group: &GroupMetadata) -> Publish {
        lock(&self.producer).catch_up();
        match self.mutation {
            Mutation::ApplyBeforePublish => {
                lock(&self.producer).put_off = Some((positions.to_vec(), group.clone()));
                return self.empty_success(group);
            }
            Mutation::OffsetsBeforeOutputs => {
                for (at, offset) in positions {
                    self.log.set_group_offset(&group.group, at, Some(*offset));
                }
            }
            _ => {}
        }
        let answer = lock(&self.producer).transaction.publish(positions, group);
        for (to, records) in std::mem::take(&mut self.untold) {
            if let Publish::Published(_) = &answer {
                drop(self.log.append(&to, &records));
            }
        }
        match (answer, self.mutation) {
            (Publish::Ambiguous(why), Mutation::AmbiguousIsFailure) => Publish::Aborted(why),
            (Publish::Ambiguous(_), Mutation::AmbiguousIsSuccess) => self.empty_success(group),
            (answer, _) => answer,
        }
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.untold.clear();
        let mut producer = lock(&self.producer);
        producer.catch_up();
        producer.transaction.abort()
    }
}

struct Source {
    source: Box<dyn GroupSource>,
    mutation: Mutation,
    producer: Option<Shared>,
    /// Where each partition is read, and the epoch that it was last asked for.
    reading: BTreeMap<TopicPartition, (Offset, FetchEpoch)>,
}

impl Source {
    fn catch_up(&mut self) {
        if let Some(producer) = &self.producer {
            lock(producer).catch_up();
        }
    }
}

impl GroupSource for Source {
    fn poll(&mut self, batch: &mut RecordBatch) -> Result<Polled, LogError> {
        self.catch_up();
        let polled = self.source.poll(batch)?;
        Ok(match polled {
            Polled::Lost(_) if self.mutation == Mutation::LostIsIgnored => Polled::Nothing,
            Polled::Records { partition, next, mut epoch } => {
                if let Some((read, asked)) = self.reading.get_mut(&partition) {
                    *read = next.max(*read);
                    if self.mutation == Mutation::StaleBatchesTaken {
                        epoch = *asked;
                    }
                }
                Polled::Records { partition, next, epoch }
            }
            polled => polled,
        })
    }

    fn fetch(&mut self, partition: &TopicPartition, from: Offset, epoch: FetchEpoch) -> Result<(), LogError> {
        let from = match self.reading.get(partition) {
            Some((read, _)) if self.mutation == Mutation::PositionsSurviveAbort => from.max(*read),
            _ => from,
        };
        self.source.fetch(partition, from, epoch)?;
        self.reading.insert(partition.clone(), (from, epoch));
        Ok(())
    }

    fn pause(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        self.source.pause(partition)
    }

    fn resume(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        self.source.resume(partition)
    }

    fn release(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        self.reading.remove(partition);
        self.source.release(partition)
    }

    fn committed(&mut self, partition: &TopicPartition) -> Result<Option<Offset>, LogError> {
        self.source.committed(partition)
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        self.source.watermarks(partition)
    }

    fn group_metadata(&self) -> GroupMetadata {
        self.source.group_metadata()
    }

    fn close(&mut self) {
        self.catch_up();
        self.source.close();
    }
}

struct Reader {
    reader: Box<dyn FreeReader>,
    mutation: Mutation,
}

impl FreeReader for Reader {
    fn read(&mut self, partition: &TopicPartition, from: Offset, batch: &mut RecordBatch) -> Result<Read, LogError> {
        if self.mutation == Mutation::RestoreSkipped && is_store_changelog(&partition.topic) {
            let high = self.reader.watermarks(partition)?.high;
            batch.clear();
            return Ok(Read::End(high));
        }
        self.reader.read(partition, from, batch)
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        let marks = self.reader.watermarks(partition)?;
        if self.mutation == Mutation::RestoreEndsAtLastStable && partition.topic.as_str().ends_with("-changelog") {
            return Ok(Watermarks { high: marks.last_stable, ..marks });
        }
        Ok(marks)
    }

    fn offset_for_time(&mut self, partition: &TopicPartition, time: LogTime) -> Result<Option<Offset>, LogError> {
        self.reader.offset_for_time(partition, time)
    }
}
