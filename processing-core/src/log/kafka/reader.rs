//! A reader outside every group, on a client that is lent to it.
//!
//! Not here: the pool ([`super::Cluster`]). Invariant: a read goes on where the last one stopped without asking
//! anew, and an end is answered only when the broker has told that nothing decided lies beyond it.
//!
//! A broker that has nothing new lets a fetch wait, and the end is told only when it answers. So whoever catches
//! up has a client that lets it wait for a moment, and whoever follows one that lets it wait for longer.

use std::sync::Arc;

use rdkafka::Offset as At;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;

use super::ffi::{Met, PartitionQueue};
use super::refusal::{self, Doing};
use super::{Cluster, Patience, Quiet, list_at};
use crate::batch::RecordBatch;
use crate::limits::{FETCH_RECORDS_MAX, KAFKA_ANSWER_WAIT, READ_WAIT};
use crate::log::{FreeReader, LogError, Read, Watermarks};
use crate::record::{DurationMs, LogTime, Offset, TopicPartition};

/// How long a fetch may wait at the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pace {
    /// Whoever catches up wants to know the end at once.
    CatchingUp,
    /// Whoever follows is told of news at once and of nothing rarely.
    Following,
}

/// Questions at the end after which a reader counts as one that follows.
const FOLLOWS_AFTER: u32 = 8;

pub(super) struct KafkaReader {
    cluster: Arc<Cluster>,
    /// `None` until something is asked: a reader that waits for its turn has no threads and connections.
    client: Option<(Pace, Arc<BaseConsumer<Quiet>>)>,
    at: Option<Standing>,
    patience: Patience,
}

/// Which partition the client reads, and how far it has come.
struct Standing {
    place: TopicPartition,
    queue: PartitionQueue,
    next: Offset,
    /// The end was met here.
    at_end: bool,
    /// How often it was asked for more there.
    asked_at_end: u32,
}

impl KafkaReader {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, client: None, at: None, patience: Patience::default() }
    }

    /// A client that has had no answer for too long is not given back, and the next call makes a new one.
    fn answered(&mut self, answered: bool) {
        if self.patience.is_over(answered) {
            // ORDER: the queue goes before its client.
            self.at = None;
            (self.client, self.patience) = (None, Patience::default());
        }
    }

    fn client(&mut self) -> Result<Arc<BaseConsumer<Quiet>>, LogError> {
        match &self.client {
            Some((_, client)) => Ok(Arc::clone(client)),
            None => self.client_of(Pace::CatchingUp),
        }
    }

    /// The client of this pace; the one of the other is given back.
    fn client_of(&mut self, pace: Pace) -> Result<Arc<BaseConsumer<Quiet>>, LogError> {
        if let Some((_, client)) = self.client.as_ref().filter(|(present, _)| *present == pace) {
            return Ok(Arc::clone(client));
        }
        // ORDER: the queue goes before the client is somebody else's.
        self.at = None;
        if let Some((pace, client)) = self.client.take() {
            self.cluster.take_back(pace, client);
        }
        let client = self.cluster.lend(pace)?;
        self.client = Some((pace, Arc::clone(&client)));
        Ok(client)
    }

    /// Begins to read elsewhere.
    fn stand(&mut self, place: &TopicPartition, from: Offset, pace: Pace) -> Result<(), LogError> {
        let read = Doing::Read(place.topic.as_str());
        self.at = None;
        let client = self.client_of(pace)?;
        let queue = PartitionQueue::cut(&client, place, FETCH_RECORDS_MAX);
        let queue = queue.ok_or_else(|| LogError::Unknown(place.clone()))?;
        let assigned = list_at([(place, from)]).and_then(|list| client.assign(&list));
        assigned.map_err(|error| refusal::of(read, &error))?;
        self.at = Some(Standing { place: place.clone(), queue, next: from, at_end: false, asked_at_end: 0 });
        Ok(())
    }
}

impl FreeReader for KafkaReader {
    fn read(&mut self, partition: &TopicPartition, from: Offset, batch: &mut RecordBatch) -> Result<Read, LogError> {
        batch.clear();
        let goes_on = self.at.as_ref().is_some_and(|at| at.place == *partition && at.next == from);
        if !goes_on {
            self.stand(partition, from, Pace::CatchingUp)?;
        } else if let Some(at) = self.at.as_mut().filter(|at| at.at_end) {
            at.asked_at_end += 1;
            if at.asked_at_end == FOLLOWS_AFTER {
                let asked_at_end = at.asked_at_end;
                self.stand(partition, from, Pace::Following)?;
                // What was met is still true.
                if let Some(at) = &mut self.at {
                    (at.at_end, at.asked_at_end) = (true, asked_at_end);
                }
            }
        }
        // Serves what is said besides records: logs, errors of the whole client.
        let client = self.client()?;
        let trouble = client.poll(std::time::Duration::ZERO).and_then(Result::err);
        let Some(at) = &mut self.at else { return Err(LogError::Retry(format!("{partition} is not read yet"))) };
        // At the end nothing is waited for: whoever follows a topic has other things to do.
        let wait = if at.at_end { DurationMs(0) } else { READ_WAIT };
        let met = at.queue.take(wait, at.next, batch);
        if let Some(last) = batch.len().checked_sub(1).and_then(|last| batch.get(last)) {
            (at.next, at.at_end) = (last.offset.next(), false);
        }
        if met != Met::Nothing || !batch.is_empty() {
            self.patience = Patience::default();
        }
        match met {
            Met::Nothing => {}
            Met::End(end) => (at.next, at.at_end) = (end.max(at.next), true),
            Met::Error(Code::AutoOffsetReset | Code::OffsetOutOfRange, _) => {
                self.at = None;
                return Ok(Read::OutOfRange(self.watermarks(partition)?));
            }
            Met::Error(code, text) => {
                self.at = None;
                return Err(refusal::of_partition(partition, code, &text));
            }
        }
        if !batch.is_empty() {
            return Ok(Read::Records(at.next));
        }
        if at.at_end {
            return Ok(Read::End(at.next));
        }
        self.answered(false);
        match trouble {
            Some(error) => Err(refusal::of(Doing::Read(partition.topic.as_str()), &error)),
            None => Err(LogError::Retry(format!("{partition}: no answer yet"))),
        }
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        let client = self.client()?;
        let asked = self.cluster.watermarks(&client, partition);
        self.answered(asked.is_ok());
        asked
    }

    fn offset_for_time(&mut self, partition: &TopicPartition, time: LogTime) -> Result<Option<Offset>, LogError> {
        let describe = Doing::Describe(partition.topic.as_str());
        let client = self.client()?;
        let asked = list_at([(partition, Offset(time.0.max(0).cast_unsigned()))]);
        let found = asked.and_then(|list| client.offsets_for_times(list, KAFKA_ANSWER_WAIT.span()));
        let found = found.map_err(|error| refusal::of(describe, &error))?;
        Ok(match found.elements().first().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset) {
            Some(At::Offset(offset)) => Some(Offset(offset.max(0).cast_unsigned())),
            _ => None,
        })
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        // ORDER: the queue goes before the client is somebody else's.
        self.at = None;
        if let Some((pace, client)) = self.client.take() {
            self.cluster.take_back(pace, client);
        }
    }
}
