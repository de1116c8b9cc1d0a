//! Apache Kafka as the log.
//!
//! Not here: what a worker does with it. `member` is a group's member, `producer` a transaction, `reader` a
//! reader outside every group, `admin` the topics; `ffi` holds the calls that the client's wrapper lacks.
//! Invariant: what decides over exactly-once (isolation, offsets, identities) is set here and by nobody else.
//!
//! ```text
//!   worker thread ── member (group consumer) ── one queue per partition
//!                 └─ producer (transactional)
//!   restore, time log ── reader ── clients from a pool
//!   supervisor ── admin ── one client per process
//! ```

mod admin;
mod ffi;
mod member;
mod producer;
mod reader;
mod refusal;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset as At, TopicPartitionList};

use super::{Admin, FreeReader, GroupSource, Log, LogError, Membership, Transaction, TransactionalId, Watermarks};
use crate::limits::{
    CATCH_UP_FETCH_WAIT, FETCH_BYTES, FETCH_MESSAGES_MIN, FETCH_QUEUE_KIB, FETCH_WAIT, KAFKA_ANSWER_WAIT,
    KAFKA_READERS_IDLE_MAX, RECORD_BYTES_MAX, TRANSACTION_TIMEOUT, UNANSWERED_MAX,
};
use crate::record::{DurationMs, Offset, TopicPartition};
use reader::Pace;
use refusal::Doing;

/// How a fleet reaches a cluster.
#[derive(Clone)]
pub struct KafkaOptions {
    /// The application's id: the group, and what client ids begin with.
    pub application: String,
    /// Properties of librdkafka by their names, `bootstrap.servers` among them.
    pub properties: BTreeMap<String, String>,
    /// `replication.factor` of the topics that are made; -1 is the broker's default.
    pub replication: i32,
}

/// A Kafka cluster as a log.
pub struct KafkaLog {
    cluster: Arc<Cluster>,
}

/// What all sides share.
struct Cluster {
    options: KafkaOptions,
    ends: Mutex<Ends>,
    /// Readers' clients that nobody uses now: a client has threads and connections of its own.
    idle: Mutex<Vec<(Pace, Arc<BaseConsumer<Quiet>>)>>,
}

/// A client that sees records of open transactions too: only it knows where a partition really ends.
struct Ends {
    client: Arc<BaseConsumer<Quiet>>,
    patience: Patience,
}

/// How often in a row a client that only reads has had no answer. Nothing but a fetch tells librdkafka that a leader has
/// moved, so such a client can go on asking the old one for minutes, and is made anew when this is over.
#[derive(Default)]
struct Patience(u32);

impl Patience {
    /// Whether it is over with this.
    fn is_over(&mut self, answered: bool) -> bool {
        self.0 = if answered { 0 } else { self.0 + 1 };
        self.0 >= UNANSWERED_MAX
    }
}

impl Ends {
    fn open(options: &KafkaOptions) -> KafkaResult<Self> {
        let mut config = consumer_config(options, "ends");
        let client = config.set("isolation.level", "read_uncommitted").create_with_context(Quiet)?;
        Ok(Self { client: Arc::new(client), patience: Patience::default() })
    }
}

/// A client that only passes on what librdkafka logs.
#[derive(Clone, Copy)]
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, "{reason}");
    }
}

impl ConsumerContext for Quiet {}

/// librdkafka's errors are mostly what it mends by itself: a broker that is away.
fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        // A consumer's property is told to the producer as well, and passed over there.
        RDKafkaLogLevel::Warning if facility == "CONFWARN" => tracing::debug!(facility, "{message}"),
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, "{message}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => tracing::warn!(facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, "{message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(facility, "{message}"),
    }
}

impl KafkaLog {
    /// Makes the clients; nothing is sent yet, so that a cluster that is away is no error here.
    ///
    /// # Errors
    /// If librdkafka refuses a property.
    pub fn open(options: KafkaOptions) -> Result<Arc<Self>, LogError> {
        let made = |error: KafkaError| refusal::of(Doing::Connect, &error);
        let ends = Mutex::new(Ends::open(&options).map_err(made)?);
        let idle = Mutex::default();
        Ok(Arc::new(Self { cluster: Arc::new(Cluster { options, ends, idle }) }))
    }
}

impl Log for KafkaLog {
    fn group_source(&self, membership: Membership) -> Result<Box<dyn GroupSource>, LogError> {
        Ok(Box::new(member::KafkaMember::join(&self.cluster.options, membership)?))
    }

    fn transaction(&self, id: &TransactionalId) -> Result<Box<dyn Transaction>, LogError> {
        Ok(Box::new(producer::KafkaProducer::open(&self.cluster.options, id)?))
    }

    fn reader(&self) -> Result<Box<dyn FreeReader>, LogError> {
        Ok(Box::new(reader::KafkaReader::new(Arc::clone(&self.cluster))))
    }

    fn admin(&self) -> Result<Box<dyn Admin>, LogError> {
        Ok(Box::new(admin::KafkaAdmin::new(Arc::clone(&self.cluster))?))
    }
}

impl Cluster {
    /// A client for a reader.
    fn lend(&self, pace: Pace) -> Result<Arc<BaseConsumer<Quiet>>, LogError> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let found = idle.iter().position(|(known, _)| *known == pace).map(|index| idle.swap_remove(index));
        drop(idle);
        if let Some((_, client)) = found {
            return Ok(client);
        }
        let mut config = consumer_config(&self.options, "reader");
        if pace == Pace::CatchingUp {
            config.set("fetch.wait.max.ms", CATCH_UP_FETCH_WAIT.0.to_string());
        }
        let made = config.create_with_context(Quiet);
        Ok(Arc::new(made.map_err(|error| refusal::of(Doing::Connect, &error))?))
    }

    fn ends(&self) -> Arc<BaseConsumer<Quiet>> {
        Arc::clone(&self.ends.lock().unwrap_or_else(PoisonError::into_inner).client)
    }

    fn ends_answered(&self, answered: bool) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if !ends.patience.is_over(answered) {
            return;
        }
        match Ends::open(&self.options) {
            Ok(anew) => *ends = anew,
            Err(error) => tracing::debug!(%error, "the client that asks for ends cannot be made anew"),
        }
    }

    /// Asks with a client that may know the positions of `group`, and joins nothing.
    fn asking<T>(
        &self,
        group: &str,
        ask: impl FnOnce(&BaseConsumer<Quiet>) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        if group == self.options.application {
            let client = self.lend(Pace::CatchingUp)?;
            // One that has failed is not for the next.
            let answer = ask(&client)?;
            self.take_back(Pace::CatchingUp, client);
            return Ok(answer);
        }
        let mut config = consumer_config(&self.options, "positions");
        let client = config.set("group.id", group).create_with_context(Quiet);
        ask(&client.map_err(|error| refusal::of(Doing::Group(group), &error))?)
    }

    /// Takes a client back for the next reader.
    fn take_back(&self, pace: Pace, client: Arc<BaseConsumer<Quiet>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KAFKA_READERS_IDLE_MAX && client.unassign().is_ok() {
            idle.push((pace, client));
        }
    }

    /// Asks the brokers for the ends: the high watermark by a client that sees open transactions, the last stable
    /// offset by one that does not.
    fn watermarks(&self, committed: &BaseConsumer<Quiet>, place: &TopicPartition) -> Result<Watermarks, LogError> {
        let (topic, number) = (place.topic.as_str(), number(place));
        let failed = |error: KafkaError| match error.rdkafka_error_code() {
            Some(code) => refusal::of_partition(place, code, ""),
            None => refusal::of(Doing::Describe(topic), &error),
        };
        // ORDER: the last stable offset first, or it could be taken beyond the high watermark.
        let (_, stable) = committed.fetch_watermarks(topic, number, KAFKA_ANSWER_WAIT.span()).map_err(failed)?;
        let asked = self.ends().fetch_watermarks(topic, number, KAFKA_ANSWER_WAIT.span());
        self.ends_answered(asked.is_ok());
        let (low, high) = asked.map_err(failed)?;
        let offset = |at: i64| Offset(at.max(0).cast_unsigned());
        Ok(Watermarks { start: offset(low), last_stable: offset(stable), high: offset(high) })
    }
}

/// A wait as librdkafka takes it.
fn millis(wait: DurationMs) -> i32 {
    i32::try_from(wait.0).unwrap_or(i32::MAX)
}

/// A partition as librdkafka numbers it.
fn number(place: &TopicPartition) -> i32 {
    i32::try_from(place.partition.0).unwrap_or(i32::MAX)
}

/// These partitions, each with the offset to be read or told.
fn list_at<'p>(places: impl IntoIterator<Item = (&'p TopicPartition, Offset)>) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (place, offset) in places {
        list.add_partition_offset(place.topic.as_str(), number(place), At::Offset(offset.0.cast_signed()))?;
    }
    Ok(list)
}

/// These partitions.
fn list_of<'p>(places: impl IntoIterator<Item = &'p TopicPartition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for place in places {
        list.add_partition(place.topic.as_str(), number(place));
    }
    list
}

/// What every client of the application is set to.
fn base_config(options: &KafkaOptions, role: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
    // Before what was set: whoever knows better may.
    config.set("socket.keepalive.enable", "true");
    for (name, value) in &options.properties {
        config.set(name, value);
    }
    let client = options.properties.get("client.id").map_or("streamfleet", String::as_str);
    config.set("client.id", format!("{client}{}{role}", mark(options)));
    config
}

/// By which the clients of an application know each other.
fn mark(options: &KafkaOptions) -> String {
    format!("-{}-", options.application)
}

/// What every consumer is set to, member or not.
fn consumer_config(options: &KafkaOptions, role: &str) -> ClientConfig {
    let mut defaults = BTreeMap::new();
    // The default waits for a second when the queue was full once, which is how long a restore would stand still.
    defaults.insert("fetch.queue.backoff.ms", "10".to_owned());
    defaults.insert("fetch.wait.max.ms", FETCH_WAIT.0.to_string());
    defaults.insert("queued.max.messages.kbytes", FETCH_QUEUE_KIB.to_string());
    defaults.insert("queued.min.messages", FETCH_MESSAGES_MIN.to_string());
    defaults.insert("fetch.message.max.bytes", FETCH_BYTES.to_string());
    // Kafka rejects no larger record of ours, and a partition's first record is delivered whatever its size.
    defaults.insert("receive.message.max.bytes", (4 * RECORD_BYTES_MAX).to_string());
    let mut config = base_config(options, role);
    for (name, value) in defaults {
        if !options.properties.contains_key(name) {
            config.set(name, value);
        }
    }
    config
        .set("group.id", &options.application)
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("allow.auto.create.topics", "false")
        .set("enable.partition.eof", "true");
    config
}

/// What every producer is set to.
fn producer_config(options: &KafkaOptions, id: &TransactionalId) -> ClientConfig {
    let mut defaults = BTreeMap::new();
    // A commit waits for what was sent last, so nothing is gained by gathering longer.
    defaults.insert("linger.ms", "2".to_owned());
    defaults.insert("compression.type", "lz4".to_owned());
    defaults.insert("queue.buffering.max.messages", "500000".to_owned());
    defaults.insert("queue.buffering.max.kbytes", (64 * 1024).to_string());
    defaults.insert("message.max.bytes", (RECORD_BYTES_MAX + 64 * 1024).to_string());
    // Kafka Streams' own choice under exactly-once: a worker that is gone holds up its readers no longer.
    defaults.insert("transaction.timeout.ms", TRANSACTION_TIMEOUT.0.to_string());
    let mut config = base_config(options, "producer");
    for (name, value) in defaults {
        if !options.properties.contains_key(name) {
            config.set(name, value);
        }
    }
    config.set("transactional.id", &id.0).set("partitioner", "murmur2_random");
    config
}
