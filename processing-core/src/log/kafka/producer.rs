//! A transactional producer: sent, delivered, committed, and never guessed.
//!
//! Not here: when a commit is due. Invariant: `Published` is answered only when the coordinator has said so;
//! a producer whose last answer was ambiguous or fatal is of no further use and says so to every call.

#![allow(clippy::disallowed_methods, reason = "one call of the client has no limit and needs a thread to be left to")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};

use rdkafka::TopicPartitionList;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext};

use super::ffi::{self, Delivery, Failure, TopicHandle};
use super::refusal::{self, Doing};
use super::{KafkaOptions, list_at, log_line, producer_config};
use crate::batch::RecordBatch;
use crate::limits::{
    ABORT_STEP_WAIT, ABORT_STEPS_MAX, CLIENTS_HUNG_MAX, DELIVERY_POLLS_MAX, KAFKA_INIT_WAIT, OFFSETS_WAIT,
    TRANSACTION_STEP_WAIT, TRANSACTION_STEPS_MAX,
};
use crate::log::{GroupMetadata, LogError, Publish, Published, Transaction, TransactionalId};
use crate::record::{DurationMs, Offset, TopicName, TopicPartition};

/// What the brokers have said of the records sent since the transaction began.
#[derive(Default)]
struct Deliveries {
    /// Which transaction of the producer they belong to; reports on an earlier one are nobody's any more.
    transaction: usize,
    /// By the number of the partition in [`KafkaProducer::sent`]: one past the last record.
    next: Vec<Option<Offset>>,
    /// The first record that was not delivered: its partition's number, and why.
    failed: Option<(usize, Code)>,
}

impl Deliveries {
    /// Takes in the reports that are there, after waiting at most a millisecond if `wait` for the first.
    fn take_in(&mut self, client: &Client<Reports>, wait: bool) {
        ffi::deliveries(client, DurationMs(i64::from(wait)), |Delivery { mark, offset }| {
            let (transaction, number) = (mark / PARTITIONS_MAX, mark % PARTITIONS_MAX);
            if transaction != self.transaction {
                return;
            }
            match offset {
                // A retried batch can succeed without telling its offset: then the place is not known.
                Ok(told) => {
                    if let Some(slot) = self.next.get_mut(number) {
                        let told = told.map(Offset::next);
                        *slot = told.and_then(|told| slot.map_or(Some(told), |known| Some(known.max(told))));
                    }
                }
                Err(code) => {
                    self.failed.get_or_insert((number, code));
                }
            }
        });
    }
}

/// A client that passes on what librdkafka logs. Its reports are taken in by [`Deliveries`].
struct Reports;

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "{reason}");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    /// Only a producer that goes is asked by the wrapper, and nobody waits for what it says then.
    fn delivery(&self, _: &DeliveryResult<'_>, _: usize) {}
}

/// Partitions that one transaction writes to, at most: a report's mark holds both numbers.
const PARTITIONS_MAX: usize = 1 << 20;

enum State {
    /// No transaction is open.
    Idle,
    Open,
    /// Something of the open transaction is lost: it can only be aborted.
    Spoiled(String),
    /// The producer is of no use any more.
    Dead(String),
}

pub(super) struct KafkaProducer {
    id: String,
    producer: Arc<BaseProducer<Reports>>,
    topics: BTreeMap<TopicName, TopicHandle>,
    /// The partitions of the open transaction, by number.
    sent: Vec<TopicPartition>,
    deliveries: Deliveries,
    state: State,
}

impl KafkaProducer {
    pub(super) fn open(options: &KafkaOptions, id: &TransactionalId) -> Result<Self, LogError> {
        let doing = Doing::Transact(&id.0);
        let producer: BaseProducer<Reports> =
            producer_config(options, id).create_with_context(Reports).map_err(|error| refusal::of(doing, &error))?;
        ffi::init(producer.client(), KAFKA_INIT_WAIT).map_err(|failure| refusal::of_failure(doing, &failure))?;
        Ok(Self {
            id: id.0.clone(),
            producer: Arc::new(producer),
            topics: BTreeMap::new(),
            sent: Vec::new(),
            deliveries: Deliveries::default(),
            state: State::Idle,
        })
    }

    fn begin(&mut self) -> Result<(), LogError> {
        match &self.state {
            State::Idle => {}
            State::Open | State::Spoiled(_) => return Ok(()),
            State::Dead(why) => return Err(LogError::Fenced(why.clone())),
        }
        self.sent.clear();
        let transaction = self.deliveries.transaction.wrapping_add(1) % (usize::MAX / PARTITIONS_MAX);
        self.deliveries = Deliveries { transaction, ..Deliveries::default() };
        match ffi::begin(self.producer.client()) {
            Ok(()) => {
                self.state = State::Open;
                Ok(())
            }
            Err(failure) => Err(self.die(&failure)),
        }
    }

    fn die(&mut self, failure: &Failure) -> LogError {
        let why = format!("{}: {} ({})", Doing::Transact(&self.id), failure.text, failure.code);
        self.state = State::Dead(why.clone());
        match refusal::of_failure(Doing::Transact(&self.id), failure) {
            error @ LogError::Fatal(_) => error,
            _ => LogError::Fenced(why),
        }
    }

    /// The producer has died of an answer to a publish: of something that only a person mends, or `otherwise`.
    fn refused(&mut self, failure: &Failure, otherwise: impl FnOnce(String) -> Publish) -> Publish {
        match self.die(failure) {
            error @ LogError::Fatal(_) => Publish::Refused(error),
            error => otherwise(error.to_string()),
        }
    }

    /// The number under which reports on a partition come back.
    fn mark(&mut self, to: &TopicPartition) -> usize {
        let known = self.sent.iter().position(|place| place == to);
        let number = known.unwrap_or_else(|| {
            self.sent.push(to.clone());
            self.sent.len() - 1
        });
        self.deliveries.next.resize(self.sent.len(), None);
        self.deliveries.transaction * PARTITIONS_MAX + number
    }

    fn produce_all(&mut self, to: &TopicPartition, records: &RecordBatch) -> Result<(), Failure> {
        let mark = self.mark(to);
        let Self { topics, producer, deliveries, .. } = self;
        let handle = match topics.get(&to.topic) {
            Some(handle) => handle,
            None => {
                let made = TopicHandle::new(producer, to.topic.as_str());
                let made = made.ok_or_else(|| local(Code::UnknownTopic, "the client has no room for the topic"))?;
                topics.entry(to.topic.clone()).or_insert(made)
            }
        };
        for record in records.iter() {
            let mut polls = 0;
            loop {
                match ffi::produce(producer.client(), handle, to.partition.0, record, mark) {
                    Err(failure) if failure.code == Code::QueueFull && polls < DELIVERY_POLLS_MAX => {
                        polls += 1;
                        deliveries.take_in(producer.client(), true);
                    }
                    done => break done?,
                }
            }
        }
        // Reports are taken in while there are some, so that they do not pile up until the commit.
        deliveries.take_in(producer.client(), false);
        Ok(())
    }

    /// Waits until there is an answer for every record that was sent.
    fn drain(&mut self) {
        for _ in 0..DELIVERY_POLLS_MAX {
            if self.producer.in_flight_count() == 0 {
                break;
            }
            self.deliveries.take_in(self.producer.client(), true);
        }
    }

    /// Waits until the brokers have taken every record.
    fn deliver(&mut self) -> Result<(), LogError> {
        self.drain();
        if let Some((number, code)) = self.deliveries.failed.take() {
            let place = self.sent.get(number);
            let topic = place.map_or("?", |place| place.topic.as_str());
            let place = place.map_or_else(|| "a topic".to_owned(), TopicPartition::to_string);
            return Err(refusal::refusal(
                Doing::Write(topic),
                code,
                &format!("a record for {place} was not delivered"),
            ));
        }
        match self.producer.in_flight_count() {
            0 => Ok(()),
            left => Err(LogError::Retry(format!("{left} records were not delivered in time"))),
        }
    }

    /// Makes a call as often as it may be repeated, and takes in reports in between.
    fn patiently(
        &mut self,
        times: u32,
        mut call: impl FnMut(&Client<Reports>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut last = Ok(());
        for _ in 0..times {
            last = call(self.producer.client());
            match &last {
                Err(failure) if failure.retriable && !failure.fatal => {
                    self.deliveries.take_in(self.producer.client(), true);
                }
                _ => return last,
            }
        }
        last
    }

    /// Hands the group's positions to the coordinator; `None` if the client does not come back from that.
    ///
    /// In a thread of its own, because librdkafka's call has no limit where it waits for the group's coordinator: it
    /// keeps a time limit for that request and never looks at it (`creq_ts_timeout` in `rdkafka_coord.c` of 2.12), and
    /// a coordinator that moved while nothing else happened is never asked for again.
    fn send_offsets(&mut self, list: TopicPartitionList, group: &GroupMetadata) -> Option<Result<(), Failure>> {
        let (answer, answered) = sync_channel(1);
        let (producer, group) = (Arc::clone(&self.producer), group.clone());
        let call = move || {
            let sent = ffi::send_offsets(producer.client(), &list, &group, OFFSETS_WAIT);
            // Who does not wait any more has made a new producer, which has fenced this one.
            drop(answer.send(sent));
        };
        if let Err(error) = std::thread::Builder::new().name("offsets".into()).spawn(call) {
            return Some(Err(local(Code::Fail, &format!("the machine refuses a thread: {error}"))));
        }
        let step = TRANSACTION_STEP_WAIT.span();
        for _ in 0..TRANSACTION_STEPS_MAX {
            match answered.recv_timeout(step) {
                Ok(sent) => return Some(sent),
                Err(RecvTimeoutError::Timeout) => self.deliveries.take_in(self.producer.client(), false),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        None
    }

    /// Ends the transaction without a trace and says why.
    fn give_up(&mut self, why: LogError) -> Publish {
        self.state = State::Spoiled(why.to_string());
        match (self.end(), why) {
            (_, why @ (LogError::Fatal(_) | LogError::Full(_))) => Publish::Refused(why),
            (Err(error @ LogError::Fatal(_)), _) => Publish::Refused(error),
            (Ok(()), why) => Publish::Aborted(why.to_string()),
            (Err(error), why) => Publish::Fenced(format!("{why}; {error}")),
        }
    }

    fn end(&mut self) -> Result<(), LogError> {
        match &self.state {
            State::Idle => return Ok(()),
            State::Dead(why) => return Err(LogError::Fenced(why.clone())),
            // Delivered first: the end of a transaction whose partitions the coordinator does not know yet is refused,
            // and what is on its way could arrive in the next one.
            State::Open => self.deliver().unwrap_or_else(|error| tracing::debug!(%error, "given up anyway")),
            State::Spoiled(_) => {}
        }
        // The client takes back by itself what is not sent yet, and waits for what is on its way; in short steps, because
        // it counts a record as under way until its report is taken in here.
        let ended = self.patiently(ABORT_STEPS_MAX, |client| ffi::abort(client, ABORT_STEP_WAIT));
        match ended {
            Ok(()) => {
                self.state = State::Idle;
                Ok(())
            }
            Err(failure) => Err(self.die(&failure)),
        }
    }
}

/// Counts a client that never comes back, with its threads and its memory. Where there are too many of them only a new
/// process helps.
fn hung() -> Result<(), LogError> {
    static HUNG: AtomicU32 = AtomicU32::new(0);
    if HUNG.fetch_add(1, Ordering::SeqCst) < CLIENTS_HUNG_MAX {
        return Ok(());
    }
    Err(LogError::Fatal(format!(
        "more than {CLIENTS_HUNG_MAX} producers have waited for a coordinator without end, and each keeps its memory; \
         nothing is lost: start this process again"
    )))
}

fn local(code: Code, text: &str) -> Failure {
    Failure { code, text: text.to_owned(), fatal: false, retriable: false, abortable: true }
}

impl Transaction for KafkaProducer {
    fn send(&mut self, to: &TopicPartition, records: &RecordBatch) -> Result<(), LogError> {
        self.begin()?;
        if matches!(self.state, State::Spoiled(_)) || records.is_empty() {
            return Ok(());
        }
        match self.produce_all(to, records) {
            Ok(()) => Ok(()),
            Err(failure) if failure.fatal => Err(self.die(&failure)),
            Err(failure) => {
                match refusal::of_failure(Doing::Write(to.topic.as_str()), &failure) {
                    error @ (LogError::Fatal(_) | LogError::Full(_)) => Err(error),
                    // Half of the batch may be in the transaction: the caller must not send it again into this one.
                    error => {
                        self.state = State::Spoiled(error.to_string());
                        Ok(())
                    }
                }
            }
        }
    }

    fn publish(&mut self, positions: &[(TopicPartition, Offset)], group: &GroupMetadata) -> Publish {
        if let Err(error) = self.begin() {
            return Publish::Fenced(error.to_string());
        }
        if let State::Spoiled(why) = &self.state {
            let why = LogError::Retry(why.clone());
            return self.give_up(why);
        }
        if !positions.is_empty() {
            // While the last records are on their way.
            let list = match list_at(positions.iter().map(|(place, offset)| (place, *offset))) {
                Ok(list) => list,
                Err(error) => return self.give_up(refusal::of(Doing::Group(&group.group), &error)),
            };
            let sent = match self.send_offsets(list, group) {
                Some(sent) => sent,
                None => {
                    let why = "the client does not come back from handing the group's positions to the coordinator";
                    self.state = State::Dead(why.to_owned());
                    return match hung() {
                        Ok(()) => Publish::Fenced(why.to_owned()),
                        Err(error) => Publish::Refused(error),
                    };
                }
            };
            if let Err(failure) = sent {
                let why = refusal::of_failure(Doing::Group(&group.group), &failure);
                if failure.fatal {
                    return self.refused(&failure, Publish::Fenced);
                }
                return match (failure.code, self.give_up(why)) {
                    // Another member has taken this one's place.
                    (Code::FencedInstanceId, Publish::Aborted(why)) => Publish::Fenced(why),
                    (_, answer) => answer,
                };
            }
        }
        if let Err(why) = self.deliver() {
            return self.give_up(why);
        }
        match self.patiently(TRANSACTION_STEPS_MAX, |client| ffi::commit(client, TRANSACTION_STEP_WAIT)) {
            Ok(()) => {
                self.state = State::Idle;
                let next = std::mem::take(&mut self.deliveries.next);
                Publish::Published(Published::new(self.sent.drain(..).zip(next).collect()))
            }
            Err(failure) if failure.abortable && !failure.fatal => {
                let why = refusal::of_failure(Doing::Transact(&self.id), &failure);
                self.give_up(why)
            }
            Err(failure) => self.refused(&failure, Publish::Ambiguous),
        }
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.end()
    }
}
