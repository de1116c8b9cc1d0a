//! The driver's own client: topics, load, positions, and results as read-committed readers see them.
//!
//! Not here: anything that is measured. Invariant: what it says of results is what is committed.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::DefaultProducerContext;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(30);

/// A way to one broker.
pub(crate) struct Client {
    brokers: String,
    admin: AdminClient<DefaultClientContext>,
    ends: BaseConsumer,
    runtime: tokio::runtime::Runtime,
}

/// Offsets of a topic's partitions.
pub(crate) type Positions = Vec<i64>;

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

impl Client {
    pub(crate) fn new(brokers: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let ends = config(brokers).set("group.id", "bench-ends").create().expect("a consumer");
        Self { brokers: brokers.to_owned(), admin: config(brokers).create().expect("an admin"), ends, runtime }
    }

    /// Makes a topic and waits until its partitions have a leader.
    pub(crate) fn create(&self, topic: &str, partitions: u32) {
        let new = NewTopic::new(topic, partitions as i32, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        let made = self.runtime.block_on(self.admin.create_topics([&new], &AdminOptions::new())).expect("an answer");
        made.into_iter().for_each(|made| drop(made.expect("the topic")));
        wait_until(topic, PATIENCE, || {
            // Asked for by name, or the client would believe what it has heard before: that there is none.
            let there = self.partitions(topic);
            there == partitions && self.end(topic).is_some()
        });
    }

    /// Deletes every topic whose name begins like this.
    pub(crate) fn delete(&self, prefix: &str) {
        let names = self.topics(prefix);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if !names.is_empty() {
            self.runtime.block_on(self.admin.delete_topics(&names, &AdminOptions::new())).expect("an answer");
        }
    }

    /// The topics whose names begin like this.
    pub(crate) fn topics(&self, prefix: &str) -> Vec<String> {
        let metadata = self.ends.fetch_metadata(None, PATIENCE).expect("metadata");
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    /// How many partitions a topic has.
    pub(crate) fn partitions(&self, topic: &str) -> u32 {
        let metadata = self.ends.fetch_metadata(Some(topic), PATIENCE).expect("metadata");
        metadata.topics().first().map_or(0, |topic| topic.partitions().len() as u32)
    }

    /// The ends of a topic's partitions, open transactions included; `None` while it has none.
    pub(crate) fn end(&self, topic: &str) -> Option<Positions> {
        let end = |partition| self.ends.fetch_watermarks(topic, partition as i32, PATIENCE).ok().map(|(_, high)| high);
        (0..self.partitions(topic)).map(end).collect()
    }

    /// The committed positions of a group in a topic.
    pub(crate) fn group(&self, group: &str, topic: &str) -> Group {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_range(topic, 0, self.partitions(topic) as i32 - 1);
        Group { consumer: config(&self.brokers).set("group.id", group).create().expect("a consumer"), wanted }
    }

    /// Sends records with keys, values and times made by `record` for each number.
    pub(crate) fn load(
        &self,
        topic: &str,
        numbers: std::ops::Range<u64>,
        record: impl Fn(u64, &mut String, &mut String) -> i64,
    ) {
        let sender = Sender::new(&self.brokers, 20);
        let (mut key, mut value) = (String::new(), String::new());
        for number in numbers {
            let time = record(number, &mut key, &mut value);
            sender.send(topic, &key, &value, time);
        }
        sender.finish();
    }

    /// A reader of a topic from its beginning.
    pub(crate) fn reader(&self, topic: &str) -> Reader {
        Reader::new(&self.brokers, topic, (0..self.partitions(topic)).map(|_| Offset::Beginning))
    }

    /// A reader of a topic from these positions on.
    pub(crate) fn reader_from(&self, topic: &str, from: &[i64]) -> Reader {
        Reader::new(&self.brokers, topic, from.iter().map(|offset| Offset::Offset(*offset)))
    }

    pub(crate) fn sender(&self, linger_ms: u32) -> Sender {
        Sender::new(&self.brokers, linger_ms)
    }
}

/// A group, looked at from outside.
pub(crate) struct Group {
    consumer: BaseConsumer,
    wanted: TopicPartitionList,
}

impl Group {
    /// The stable committed positions; 0 where there is none.
    pub(crate) fn committed(&self) -> Positions {
        loop {
            match self.consumer.committed_offsets(self.wanted.clone(), PATIENCE) {
                Ok(found) => {
                    let offset = |offset| if let Offset::Offset(offset) = offset { offset } else { 0 };
                    return found.elements().iter().map(|found| offset(found.offset())).collect();
                }
                // The group has no coordinator yet, or a transaction is deciding over its positions.
                Err(KafkaError::OffsetFetch(_)) => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => panic!("positions of a group: {error}"),
            }
        }
    }
}

/// A producer whose keys land where Java's do.
pub(crate) struct Sender(ThreadedProducer<DefaultProducerContext>);

impl Sender {
    fn new(brokers: &str, linger_ms: u32) -> Self {
        let producer = config(brokers)
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            .set("linger.ms", linger_ms.to_string())
            .set("enable.idempotence", "true")
            .create();
        Self(producer.expect("a producer"))
    }

    pub(crate) fn send(&self, topic: &str, key: &str, value: &str, time: i64) {
        let mut record = BaseRecord::to(topic).key(key).payload(value).timestamp(time);
        loop {
            match self.0.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((error, _)) => panic!("{topic}: {error}"),
            }
        }
    }

    pub(crate) fn finish(self) {
        self.0.flush(PATIENCE).expect("everything is sent");
    }
}

/// Committed records of a topic, in the order of each partition.
pub(crate) struct Reader(BaseConsumer);

impl Reader {
    fn new(brokers: &str, topic: &str, from: impl IntoIterator<Item = Offset>) -> Self {
        let consumer: BaseConsumer = config(brokers)
            .set("group.id", "bench-results")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "20")
            .set("fetch.queue.backoff.ms", "10")
            .create()
            .expect("a consumer");
        let mut wanted = TopicPartitionList::new();
        for (partition, from) in (0..).zip(from) {
            wanted.add_partition_offset(topic, partition, from).expect("an offset");
        }
        consumer.assign(&wanted).expect("assigned");
        Self(consumer)
    }

    /// Shows the next record to `look`; `None` if none comes for this long.
    pub(crate) fn next<R>(&self, wait: Duration, look: impl FnOnce(&BorrowedMessage<'_>) -> R) -> Option<R> {
        match self.0.poll(wait)? {
            Ok(message) => Some(look(&message)),
            Err(error) => panic!("results: {error}"),
        }
    }

    /// Reads every value until none has come for this long.
    pub(crate) fn values(&self, quiet: Duration, mut take: impl FnMut(&str)) {
        while self.next(quiet, |message| take(text(message))).is_some() {}
    }
}

/// A record's value.
pub(crate) fn text<'m>(message: &'m BorrowedMessage<'_>) -> &'m str {
    std::str::from_utf8(message.payload().expect("a result has a value")).expect("results are text")
}

/// Asks until the answer is yes; panics with `what` when it has not come for this long.
pub(crate) fn wait_until(what: &str, patience: Duration, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
