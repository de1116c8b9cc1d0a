//! A member of a consumer group: rebalances, and records taken in batches from one queue per partition.
//!
//! Not here: which other partitions go with an anchor's (the worker asks for them by `fetch`).
//! Invariant: nothing is given back to the group before the worker has released all of it. librdkafka takes
//! any call of unassign while a revoke is pending for its answer, so there is exactly one such call.
//!
//! ```text
//!   ours by the group's word ─fetch─▶ assigned, read from there ─revoke─▶ silent ─release of all─▶ unassigned
//! ```
//!
//! librdkafka learns of a partition only when the worker knows where to read it. Assigned before, at whatever
//! place, it would look that place up, and the answer could arrive after a seek and override it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::groups::{GroupInfo, GroupMemberInfo};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset as At, TopicPartitionList};

use super::ffi::{self, Met, PartitionQueue};
use super::refusal::{self, Doing};
use super::{KafkaOptions, consumer_config, list_at, list_of, log_line, mark};
use crate::batch::RecordBatch;
use crate::limits::{FETCH_RECORDS_MAX, KAFKA_ANSWER_WAIT, KAFKA_JOIN_AGAIN, MEMBER_CLOSE_WAIT, SEEK_WAIT};
use crate::log::{FetchEpoch, GroupMetadata, GroupSource, LogError, Membership, Polled, Watermarks};
use crate::record::{DurationMs, Offset, Partition, TopicName, TopicPartition};

/// A group with somebody else's consumers in it would lose them partitions, and us.
fn refuse_strangers(consumer: &BaseConsumer<MemberContext>, group: &str, mark: &str) -> Result<(), LogError> {
    // Brokers that do not answer are told of by whatever is asked next.
    let Ok(found) = consumer.client().fetch_group_list(Some(group), KAFKA_ANSWER_WAIT.span()) else { return Ok(()) };
    let members = found.groups().iter().filter(|found| found.name() == group).flat_map(GroupInfo::members);
    match members.map(GroupMemberInfo::client_id).find(|client| !client.contains(mark)) {
        None => Ok(()),
        Some(stranger) => Err(LogError::Fatal(format!(
            "group {group} has a member that is none of this application (client.id {stranger}): a worker's group is its \
             own; give this worker another `application.id`, or that consumer another group"
        ))),
    }
}

#[expect(clippy::disallowed_methods, reason = "who is no member has nothing else to do")]
fn pause() {
    std::thread::sleep(KAFKA_JOIN_AGAIN.span());
}

/// What the group has told, in order, and not yet been heard.
struct MemberContext {
    /// Each with the member id that the group knew this client by.
    told: Mutex<VecDeque<(Told, String)>>,
    /// The consumer is going: whatever is told now is answered at once.
    closing: AtomicBool,
}

enum Told {
    Assign(Vec<TopicPartition>),
    Revoke(Vec<TopicPartition>),
    Lose(Vec<TopicPartition>),
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "{reason}");
    }
}

impl ConsumerContext for MemberContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        if self.closing.load(Ordering::SeqCst) {
            if let Err(error) = consumer.unassign() {
                tracing::debug!(%error, "the last partitions are not given back in good order");
            }
            return;
        }
        let places = places(partitions);
        let told = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Told::Assign(places),
            _ if consumer.assignment_lost() => Told::Lose(places),
            _ => Told::Revoke(places),
        };
        let (_, member) = ffi::group_standing(consumer.client());
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push_back((told, member));
    }
}

fn places(partitions: &TopicPartitionList) -> Vec<TopicPartition> {
    partitions.elements().iter().map(place_of).collect()
}

fn place_of(element: &TopicPartitionListElem<'_>) -> TopicPartition {
    let partition = Partition(element.partition().max(0).cast_unsigned());
    TopicPartition { topic: TopicName::new(element.topic()), partition }
}

/// A partition that is assigned to this client.
struct Taken {
    queue: PartitionQueue,
    /// `None` once the group wants it back.
    reading: Option<Reading>,
    paused: bool,
}

#[derive(Clone, Copy)]
struct Reading {
    next: Offset,
    epoch: FetchEpoch,
    /// The end was met here: nothing decided lies beyond.
    at_end: bool,
    /// Whether librdkafka reads from `next`. Nothing is taken before it does.
    sought: bool,
}

pub(super) struct KafkaMember {
    options: KafkaOptions,
    membership: Membership,
    /// The member id under which everything is held that is held. A client that the group has forgotten gets another
    /// one and goes on under it by itself, with whatever it had; but that is somebody else's by then.
    held_as: Option<String>,
    /// `None` once it is closed.
    consumer: Option<Arc<BaseConsumer<MemberContext>>>,
    taken: BTreeMap<TopicPartition, Taken>,
    /// The order in which partitions are asked, and whose turn it is.
    turns: Vec<TopicPartition>,
    turn: usize,
    /// Anchors that the group wants back and the worker has not released yet.
    pending: BTreeSet<TopicPartition>,
    /// Released, to be unassigned together with the last of `pending`.
    released: BTreeSet<TopicPartition>,
    /// What the brokers' last word was, if it was none of success.
    trouble: Option<LogError>,
}

impl KafkaMember {
    pub(super) fn join(options: &KafkaOptions, membership: Membership) -> Result<Self, LogError> {
        let group = Doing::Group(&membership.group);
        let mut config = consumer_config(options, &membership.instance);
        config.set("group.id", &membership.group).set("group.instance.id", &membership.instance);
        if options.properties.get("group.protocol").is_none_or(|protocol| protocol == "classic") {
            config.set("partition.assignment.strategy", "cooperative-sticky");
        }
        let context = MemberContext { told: Mutex::default(), closing: AtomicBool::new(false) };
        let consumer: BaseConsumer<MemberContext> =
            config.create_with_context(context).map_err(|error| refusal::of(group, &error))?;
        if !membership.anchors.is_empty() {
            refuse_strangers(&consumer, &membership.group, &mark(options))?;
            let topics: Vec<&str> = membership.anchors.iter().map(TopicName::as_str).collect();
            consumer.subscribe(&topics).map_err(|error| refusal::of(group, &error))?;
        }
        Ok(Self {
            options: options.clone(),
            membership,
            held_as: None,
            consumer: Some(Arc::new(consumer)),
            taken: BTreeMap::new(),
            turns: Vec::new(),
            turn: 0,
            pending: BTreeSet::new(),
            released: BTreeSet::new(),
            trouble: None,
        })
    }

    fn consumer(&self) -> Result<&Arc<BaseConsumer<MemberContext>>, LogError> {
        let closed = || LogError::Fenced(format!("this member of group {} is closed", self.membership.group));
        self.consumer.as_ref().ok_or_else(closed)
    }

    /// Lets the group speak.
    fn listen(&mut self) -> Result<(), LogError> {
        let consumer = Arc::clone(self.consumer()?);
        match consumer.poll(Duration::ZERO) {
            None => {}
            // Nothing is read through the consumer's own queue: this was fetched before its queue was cut off, and
            // is fetched again from where the worker wants it.
            Some(Ok(_)) => {}
            Some(Err(KafkaError::MessageConsumptionFatal(Code::UnreleasedInstanceId))) if self.taken.is_empty() => {
                return Err(self.join_again());
            }
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                return Err(match refusal::refusal(Doing::Group(&self.membership.group), code, "") {
                    // A consumer that has failed for good is made anew, with everything that hangs on it.
                    LogError::Retry(text) => LogError::Fenced(text),
                    error => error,
                });
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) => {
                let error = refusal::of(Doing::Group(&self.membership.group), &error);
                if matches!(error, LogError::Fatal(_) | LogError::Fenced(_)) {
                    return Err(error);
                }
                self.trouble = Some(error);
            }
        }
        Ok(())
    }

    /// Under the consumer protocol a member that was killed is in its successor's way until its session times out, and
    /// who is refused so harms nobody by asking again. Nothing is held yet.
    fn join_again(&mut self) -> LogError {
        self.close();
        pause();
        match Self::join(&self.options, self.membership.clone()) {
            Ok(anew) => *self = anew,
            Err(error) => return error,
        }
        let Membership { group, instance, .. } = &self.membership;
        LogError::Retry(format!(
            "group {group} still has the member `{instance}` of an earlier process, which has to end, or its session to time \
             out"
        ))
    }

    /// What the group has told, with its first half carried out.
    fn heard(&mut self) -> Result<Option<Polled>, LogError> {
        let consumer = Arc::clone(self.consumer()?);
        let told = consumer.context().told.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((told, member)) = told else { return Ok(None) };
        if matches!(told, Told::Lose(_)) {
            self.held_as = None;
        } else if self.held_as.get_or_insert_with(|| member.clone()) != &member {
            return Err(LogError::Fenced(format!(
                "group {} had forgotten this member, whose session timed out: others have its partitions",
                self.membership.group
            )));
        }
        Ok(match told {
            Told::Assign(anchors) => {
                self.trouble = None;
                // The answer that the group waits for; the partitions follow one by one.
                self.assign(&consumer, None)?;
                self.lose_places();
                for anchor in &anchors {
                    self.released.remove(anchor);
                }
                let news = !anchors.is_empty();
                news.then_some(Polled::Assigned(anchors))
            }
            Told::Revoke(anchors) => {
                self.silence(&anchors);
                self.hand_back_if_done(&consumer)?;
                (!anchors.is_empty()).then_some(Polled::Revoked(anchors))
            }
            Told::Lose(anchors) => {
                self.silence(&anchors);
                self.hand_back_if_done(&consumer)?;
                (!anchors.is_empty()).then_some(Polled::Lost(anchors))
            }
        })
    }

    /// Tells librdkafka what is to be read from where.
    fn assign(
        &mut self,
        consumer: &Arc<BaseConsumer<MemberContext>>,
        what: Option<(&TopicPartition, Reading)>,
    ) -> Result<(), LogError> {
        let group = Doing::Group(&self.membership.group);
        let list = list_at(what.iter().map(|(place, reading)| (*place, reading.next)));
        let list = list.map_err(|error| refusal::of(group, &error))?;
        if let Some((place, reading)) = what {
            let queue = PartitionQueue::cut(consumer, place, FETCH_RECORDS_MAX);
            let queue = queue.ok_or_else(|| LogError::Unknown(place.clone()))?;
            self.taken.insert(place.clone(), Taken { queue, reading: Some(reading), paused: false });
            self.turns.push(place.clone());
        }
        consumer.incremental_assign(&list).map_err(|error| refusal::of(group, &error))
    }

    /// Nothing more is handed out of these.
    fn silence(&mut self, anchors: &[TopicPartition]) {
        for anchor in anchors {
            if let Some(taken) = self.taken.get_mut(anchor) {
                taken.reading = None;
            }
            self.pending.insert(anchor.clone());
        }
    }

    fn hand_back_if_done(&mut self, consumer: &Arc<BaseConsumer<MemberContext>>) -> Result<(), LogError> {
        if !self.pending.is_empty() {
            return Ok(());
        }
        let mut released = std::mem::take(&mut self.released);
        // Its queue goes with it.
        released.retain(|place| self.taken.remove(place).is_some());
        let list = list_of(&released);
        self.turns.retain(|place| self.taken.contains_key(place));
        self.lose_places();
        let group = Doing::Group(&self.membership.group);
        consumer.incremental_unassign(&list).map_err(|error| refusal::of(group, &error))
    }

    /// librdkafka halts what is kept while a group rebalances, and goes on behind the last record that it knows to
    /// be consumed; a marker that was fetched before a seek moves that place too. So after each answer to the group
    /// it is told anew.
    fn lose_places(&mut self) {
        for reading in self.taken.values_mut().filter_map(|taken| taken.reading.as_mut()) {
            reading.sought = false;
        }
    }

    /// Tells librdkafka where to read what it may not be reading from the right place.
    fn seek(&mut self) -> Result<(), LogError> {
        let consumer = Arc::clone(self.consumer()?);
        let unsure = self.taken.iter().filter_map(|(place, taken)| {
            let reading = taken.reading.filter(|reading| !reading.sought)?;
            Some((place, reading.next))
        });
        let group = Doing::Group(&self.membership.group);
        let list = list_at(unsure).map_err(|error| refusal::of(group, &error))?;
        if list.count() == 0 {
            return Ok(());
        }
        let sought = consumer.seek_partitions(list, SEEK_WAIT.span()).map_err(|error| refusal::of(group, &error))?;
        // One that was assigned a moment ago cannot be told yet, and is told at the next poll.
        for place in sought.elements().iter().filter(|element| element.error().is_ok()).map(place_of) {
            if let Some(reading) = self.taken.get_mut(&place).and_then(|taken| taken.reading.as_mut()) {
                reading.sought = true;
            }
        }
        Ok(())
    }

    /// A batch of the next partition that has one.
    fn records(&mut self, batch: &mut RecordBatch) -> Result<Polled, LogError> {
        for _ in 0..self.turns.len() {
            self.turn = (self.turn + 1) % self.turns.len();
            let Some(place) = self.turns.get(self.turn) else { continue };
            let Some(taken) = self.taken.get_mut(place) else { continue };
            let Taken { queue, reading: Some(reading @ Reading { sought: true, .. }), paused: false } = taken else {
                continue;
            };
            let met = queue.take(DurationMs(0), reading.next, batch);
            if let Some(last) = batch.len().checked_sub(1).and_then(|last| batch.get(last)) {
                (reading.next, reading.at_end) = (last.offset.next().max(reading.next), false);
            }
            match met {
                Met::Nothing => {}
                Met::End(end) => (reading.next, reading.at_end) = (end.max(reading.next), true),
                Met::Error(Code::AutoOffsetReset | Code::OffsetOutOfRange, text) => {
                    return Err(LogError::Fatal(format!(
                        "{place} is read at offset {}, which is not in the log any more ({text}): what is missing was \
                         deleted by retention or purge; `streamfleet reprocess` begins anew",
                        reading.next
                    )));
                }
                Met::Error(code, text) => {
                    let error = refusal::of_partition(place, code, &text);
                    if matches!(error, LogError::Fatal(_) | LogError::Fenced(_)) {
                        return Err(error);
                    }
                    self.trouble = Some(error);
                    continue;
                }
            }
            if !batch.is_empty() || met != Met::Nothing {
                self.trouble = None;
                let (partition, next, epoch) = (place.clone(), reading.next, reading.epoch);
                return Ok(Polled::Records { partition, next, epoch });
            }
        }
        Ok(Polled::Nothing)
    }

    /// Whether the trouble is over: a silent partition would not tell.
    fn look_up(&mut self) -> Result<(), LogError> {
        let Some(error) = self.trouble.clone() else { return Ok(()) };
        let topic = self.membership.anchors.first().map(TopicName::as_str);
        if self.consumer()?.client().fetch_metadata(topic, KAFKA_ANSWER_WAIT.span()).is_err() {
            return Err(error);
        }
        self.trouble = None;
        Ok(())
    }
}

impl GroupSource for KafkaMember {
    fn poll(&mut self, batch: &mut RecordBatch) -> Result<Polled, LogError> {
        batch.clear();
        self.listen()?;
        if let Some(news) = self.heard()? {
            return Ok(news);
        }
        self.seek()?;
        let found = self.records(batch)?;
        if found == Polled::Nothing {
            self.look_up()?;
        }
        Ok(found)
    }

    fn fetch(&mut self, partition: &TopicPartition, from: Offset, epoch: FetchEpoch) -> Result<(), LogError> {
        let consumer = Arc::clone(self.consumer()?);
        let reading = Reading { next: from, epoch, at_end: false, sought: false };
        if let Some(taken) = self.taken.get_mut(partition) {
            (taken.reading, taken.paused) = (Some(reading), false);
            return Ok(());
        }
        self.assign(&consumer, Some((partition, Reading { sought: true, ..reading })))
    }

    fn pause(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        // Its queue fills up to its bound and fetching stops by itself; nothing that was fetched is thrown away.
        if let Some(taken) = self.taken.get_mut(partition) {
            taken.paused = true;
        }
        Ok(())
    }

    fn resume(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        if let Some(taken) = self.taken.get_mut(partition) {
            taken.paused = false;
        }
        Ok(())
    }

    fn release(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        let consumer = Arc::clone(self.consumer()?);
        if let Some(taken) = self.taken.get_mut(partition) {
            taken.reading = None;
        }
        let anchor = self.membership.anchors.contains(&partition.topic);
        if !anchor || self.pending.contains(partition) {
            self.released.insert(partition.clone());
        }
        if self.pending.remove(partition) {
            self.hand_back_if_done(&consumer)?;
        }
        Ok(())
    }

    fn committed(&mut self, partition: &TopicPartition) -> Result<Option<Offset>, LogError> {
        let group = Doing::Group(&self.membership.group);
        let found = self
            .consumer()?
            .committed_offsets(list_of([partition]), KAFKA_ANSWER_WAIT.span())
            .map_err(|error| refusal::of(group, &error))?;
        let element = found.elements().into_iter().next();
        let Some(element) = element else { return Ok(None) };
        element.error().map_err(|error| refusal::of(group, &error))?;
        Ok(match element.offset() {
            At::Offset(offset) => Some(Offset(offset.max(0).cast_unsigned())),
            _ => None,
        })
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        let known = ffi::known_ends(self.consumer()?.client(), partition);
        let reading = self.taken.get(partition).and_then(|taken| taken.reading.as_ref());
        let next = reading.map_or(Offset::ZERO, |reading| reading.next);
        let at_end = reading.is_some_and(|reading| reading.at_end);
        Ok(match known {
            Some((start, high)) => {
                let high = high.max(next);
                Watermarks { start, last_stable: if at_end { next } else { high }, high }
            }
            // Before the first answer: as if there were more, which nobody takes for the end.
            None => Watermarks { start: Offset::ZERO, last_stable: next, high: next.next() },
        })
    }

    fn group_metadata(&self) -> GroupMetadata {
        let (generation, member) =
            self.consumer.as_ref().map_or((-1, String::new()), |consumer| ffi::group_standing(consumer.client()));
        // A later generation of the same member is the same standing; another member's is not ours to commit with.
        let member = self.held_as.clone().unwrap_or(member);
        GroupMetadata {
            group: self.membership.group.clone(),
            generation: i64::from(generation).cast_unsigned(),
            member,
            instance: self.membership.instance.clone(),
        }
    }

    fn close(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            consumer.context().closing.store(true, Ordering::SeqCst);
            // The client ends only when all that the group has told is answered, and nobody else will answer it now.
            let held = list_of(self.taken.keys());
            // One of the two is the answer to a revoke, the other to an assignment.
            let answers =
                [consumer.incremental_unassign(&held), consumer.incremental_assign(&TopicPartitionList::new())];
            for error in answers.into_iter().filter_map(Result::err) {
                tracing::debug!(%error, "the partitions are not given back in good order");
            }
            // ORDER: queues go before the client that they belong to.
            self.taken.clear();
            self.turns.clear();
            self.pending.clear();
            self.released.clear();
            end_within(MEMBER_CLOSE_WAIT, &self.membership.instance, consumer);
        }
    }
}

/// Ends a client, and goes on without it if that takes too long. The wrapper waits for the client's end without a limit,
/// and a worker thread that waits with it neither stops nor begins anew.
#[expect(clippy::disallowed_methods, reason = "a wait without a limit is left to a thread")]
fn end_within(limit: DurationMs, instance: &str, consumer: Arc<BaseConsumer<MemberContext>>) {
    let (done, ended) = sync_channel(1);
    let end = move || {
        drop(consumer);
        // Who does not wait any more has said so.
        done.send(()).ok();
    };
    let begun = std::thread::Builder::new().name("leave".into()).spawn(end);
    if begun.is_ok() && ended.recv_timeout(limit.span()) == Err(RecvTimeoutError::Timeout) {
        tracing::warn!(instance, "the group's client has not ended within {} ms; going on without it", limit.0);
    }
}

impl Drop for KafkaMember {
    fn drop(&mut self) {
        self.close();
    }
}
