//! The floor: reading with librdkafka and parsing, and nothing else. No worker on this client can cost less.
//!
//! Not here: anything of ours. Invariant: the parser is the worker's, and reads five fields; the worker reads the two
//! or three that its topology asks for.

use std::ptr;

use cpu_time::ProcessTime;
use rdkafka::bindings as rd;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use crate::input::PARTITIONS;
use crate::process::Usage;
use crate::wire;

const BATCH: usize = 2_000;

/// What the process has used, said on its standard output.
#[derive(Serialize, Deserialize)]
pub(crate) struct Floor {
    pub(crate) cpu_ms: f64,
    pub(crate) peak_rss_mib: f64,
}

/// The process of the floor: reads `events` records of `topic` and says what it took.
pub(crate) fn run(brokers: &str, topic: &str, events: u64) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench-floor")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "10")
        .create()
        .expect("a consumer");
    let mut wanted = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        wanted.add_partition_offset(topic, partition as i32, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&wanted).expect("assigned");
    let mut read = 0;
    while read < events {
        read += batch(&consumer);
    }
    let floor = Floor {
        cpu_ms: ProcessTime::now().as_duration().as_secs_f64() * 1e3,
        peak_rss_mib: Usage::of(std::process::id()).peak_rss_mib,
    };
    println!("{}", serde_json::to_string(&floor).expect("figures are JSON"));
}

/// Reads and parses one batch; answers how many records it held.
#[allow(unsafe_code, reason = "the wrapper has no batches, and a floor must not pay for its single steps")]
fn batch(consumer: &BaseConsumer) -> u64 {
    let mut messages = [ptr::null_mut::<rd::rd_kafka_message_t>(); BATCH];
    // SAFETY: the client lives as long as `consumer`; the queue is given back below.
    let queue = unsafe { rd::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
    // SAFETY: the buffer holds as many places as it says; the queue is alive.
    let count = unsafe { rd::rd_kafka_consume_batch_queue(queue, 100, messages.as_mut_ptr(), BATCH) };
    let count = usize::try_from(count).expect("the queue can be read");
    let mut events = 0;
    for message in &messages[..count] {
        // SAFETY: librdkafka has put `count` messages here, which are ours until they are destroyed.
        let record = unsafe { &**message };
        if record.err as i32 == 0 {
            // SAFETY: without an error the payload is `len` bytes, alive until the message is destroyed.
            let bytes = unsafe { std::slice::from_raw_parts(record.payload.cast::<u8>(), record.len) };
            wire::parse(bytes);
            events += 1;
        }
        // SAFETY: each message is destroyed once, and nothing borrows from it any more.
        unsafe { rd::rd_kafka_message_destroy(*message) };
    }
    // SAFETY: taken above, given back once.
    unsafe { rd::rd_kafka_queue_destroy(queue) };
    events
}
