//! What stands in a topic for a read-committed reader, record by record.
//!
//! Not here: what should stand there. Invariant: a dump ends at the last stable offset of each partition, as the
//! broker tells it, and never after a time.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::admin::client;

const PATIENCE: Duration = Duration::from_secs(90);

/// A record as a reader gets it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dumped {
    /// Where it stands.
    pub partition: u32,
    /// Where it stands in its partition.
    pub offset: u64,
    /// Its log timestamp in milliseconds.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Dumped {
    /// Its value as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }

    /// A header's value as text.
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(found, _)| found == name)?;
        Some(String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned())
    }
}

/// Every committed record of a topic, by partition and in order.
pub fn committed(brokers: &str, topic: &str) -> Vec<Vec<Dumped>> {
    read(brokers, topic, "read_committed")
}

/// Every record of a topic, also those of open and aborted transactions.
pub fn uncommitted(brokers: &str, topic: &str) -> Vec<Vec<Dumped>> {
    read(brokers, topic, "read_uncommitted")
}

fn read(brokers: &str, topic: &str, isolation: &str) -> Vec<Vec<Dumped>> {
    let consumer: BaseConsumer = client(brokers)
        .set("group.id", "harness")
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", "10")
        .create()
        .expect("a consumer can be made");
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).expect("the broker answers");
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    let partitions = found.unwrap_or_else(|| panic!("there is no topic {topic}")).partitions().len();
    let mut all = TopicPartitionList::new();
    for partition in 0..partitions as i32 {
        all.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&all).expect("partitions can be assigned");
    let mut records: Vec<Vec<Dumped>> = vec![Vec::new(); partitions];
    let mut ended = vec![false; partitions];
    let deadline = Instant::now() + PATIENCE;
    while ended.iter().any(|ended| !ended) {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
                records[message.partition() as usize].push(Dumped {
                    partition: message.partition() as u32,
                    offset: message.offset() as u64,
                    timestamp: message.timestamp().to_millis().unwrap_or(-1),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    headers: headers.map(|one| (one.key.to_owned(), one.value.map(<[u8]>::to_vec))).collect(),
                });
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => ended[partition as usize] = true,
            // The client tries again by itself; what it cannot mend shows as a deadline that passes.
            Some(Err(_)) | None => {}
        }
        assert!(Instant::now() < deadline, "{topic} cannot be read to its end; read to it are {ended:?}");
    }
    records
}
