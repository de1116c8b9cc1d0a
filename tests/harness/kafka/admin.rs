//! Topics and groups of a real broker, as an administrator sees and changes them.
//!
//! Not here: records. Invariant: a change is waited for until the brokers show it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const ANSWER: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(90);

/// An administrator.
pub struct Admin {
    brokers: String,
    replication: i32,
    client: AdminClient<DefaultClientContext>,
    witness: BaseConsumer,
}

/// What every client of the harness begins with.
pub(super) fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", "harness")
        .set("allow.auto.create.topics", "false")
        // A node that comes back is noticed at once.
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "200")
        // What a client has to say is in the error that it answers.
        .set("log_level", "0");
    config
}

impl Admin {
    pub(super) fn new(brokers: &str, replication: usize) -> Self {
        let mut config = client(brokers);
        let client = config.create().expect("an admin client can be made");
        let witness = config.set("group.id", "harness").create().expect("a consumer can be made");
        Self { brokers: brokers.to_owned(), replication: replication as i32, client, witness }
    }

    /// Whether this many brokers are there and every partition has all its replicas in sync.
    pub fn is_whole(&self, nodes: usize) -> bool {
        let Ok(metadata) = self.witness.fetch_metadata(None, Duration::from_secs(1)) else { return false };
        let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        metadata.brokers().len() == nodes
            && partitions
                .all(|partition| partition.leader() >= 0 && partition.isr().len() == partition.replicas().len())
    }

    /// Makes a topic with these settings, and waits until its leaders are there.
    pub fn create_topic(&self, name: &str, partitions: u32, settings: &[(&str, &str)]) {
        let topic = NewTopic::new(name, partitions as i32, TopicReplication::Fixed(self.replication));
        let topic = settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
        let made = wait(self.client.create_topics([&topic], &options())).expect("the broker answers");
        made[0].as_ref().unwrap_or_else(|(name, error)| panic!("topic {name} cannot be made: {error}"));
        self.await_partitions(name, Some(partitions));
    }

    /// Deletes a topic, and waits until it is gone.
    pub fn delete_topic(&self, name: &str) {
        let gone = wait(self.client.delete_topics(&[name], &options())).expect("the broker answers");
        gone[0].as_ref().unwrap_or_else(|(name, error)| panic!("topic {name} cannot be deleted: {error}"));
        self.await_partitions(name, None);
    }

    /// Gives a topic this many partitions in all.
    pub fn add_partitions(&self, name: &str, partitions: u32) {
        let more = NewPartitions::new(name, partitions as usize);
        let made = wait(self.client.create_partitions([&more], &options())).expect("the broker answers");
        made[0].as_ref().unwrap_or_else(|(name, error)| panic!("{name} gets no partitions: {error}"));
        self.await_partitions(name, Some(partitions));
    }

    fn await_partitions(&self, name: &str, wanted: Option<u32>) {
        let deadline = Instant::now() + PATIENCE;
        while self.partitions(name) != wanted {
            assert!(Instant::now() < deadline, "topic {name} is not as it was asked for at {}", self.brokers);
        }
    }

    /// How many partitions a topic has, all of them led; `None` if there is no such topic.
    pub fn partitions(&self, name: &str) -> Option<u32> {
        let metadata = self.witness.fetch_metadata(Some(name), ANSWER).expect("the broker answers");
        let topic = metadata.topics().iter().find(|topic| topic.name() == name && topic.error().is_none())?;
        let led = topic.partitions().iter().filter(|partition| partition.leader() >= 0);
        Some(led.count() as u32).filter(|led| *led > 0)
    }

    /// The names of all topics.
    pub fn topics(&self) -> Vec<String> {
        let metadata = self.witness.fetch_metadata(None, ANSWER).expect("the broker answers");
        metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
    }

    /// The node that leads a partition.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<u32> {
        let metadata = self.witness.fetch_metadata(Some(topic), ANSWER).ok()?;
        let mut partitions = metadata.topics().first()?.partitions().iter();
        let leader = partitions.find(|one| one.id() == partition)?.leader();
        u32::try_from(leader).ok()
    }

    /// The node that coordinates a transactional id, once the first transaction has made it known.
    pub fn coordinator_of(&self, transactional_id: &str) -> Option<u32> {
        // `Utils.abs(transactionalId.hashCode) % transaction.state.log.num.partitions` in Kafka.
        let hash = transactional_id.encode_utf16().fold(0i32, |h, c| h.wrapping_mul(31).wrapping_add(i32::from(c)));
        self.leader("__transaction_state", (hash & i32::MAX) % 4)
    }

    /// The first offset and the end of a partition, open transactions included.
    pub fn watermarks(&self, topic: &str, partition: i32) -> (i64, i64) {
        self.witness.fetch_watermarks(topic, partition, ANSWER).expect("the broker answers")
    }

    /// Whether a transaction is open in one of the topics of which `asked` holds, or decided and not ended there yet.
    pub fn has_open_transactions(&self, asked: impl Fn(&str) -> bool) -> bool {
        let ends = |isolation: &str| -> Vec<i64> {
            let reader: BaseConsumer =
                client(&self.brokers).set("isolation.level", isolation).create().expect("a consumer can be made");
            let metadata = reader.fetch_metadata(None, ANSWER).expect("the broker answers");
            let topics = metadata.topics().iter().filter(|topic| asked(topic.name()));
            let places = topics.flat_map(|topic| topic.partitions().iter().map(|one| (topic.name(), one.id())));
            places
                .map(|(topic, at)| reader.fetch_watermarks(topic, at, ANSWER).expect("the broker answers").1)
                .collect()
        };
        ends("read_committed") != ends("read_uncommitted")
    }

    /// Deletes the records of a partition before an offset.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).expect("an offset");
        wait(self.client.delete_records(&list, &options())).expect("the broker deletes records");
    }

    /// A group as its coordinator sees it.
    pub fn group(&self, name: &str) -> Group {
        let mut config = client(&self.brokers);
        let witness = config.set("group.id", name).set("enable.auto.commit", "false").create();
        Group { name: name.to_owned(), witness: witness.expect("a consumer can be made") }
    }
}

/// A group, watched from outside.
pub struct Group {
    name: String,
    witness: BaseConsumer,
}

impl Group {
    /// What the group has committed for each of a topic's partitions; -1 where it has nothing. An answer that does not
    /// come is asked for again.
    pub fn committed(&self, topic: &str, partitions: u32) -> Vec<i64> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut list = TopicPartitionList::new();
            list.add_partition_range(topic, 0, partitions as i32 - 1);
            match self.witness.committed_offsets(list, ANSWER) {
                Ok(found) => {
                    let offset = |offset| if let Offset::Offset(offset) = offset { offset } else { -1 };
                    return found.elements().iter().map(|element| offset(element.offset())).collect();
                }
                Err(error) => assert!(Instant::now() < deadline, "group {}: {error}", self.name),
            }
        }
    }

    /// Sets by hand what the group, which has no members, has committed.
    pub fn commit(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
        self.witness.commit(&list, CommitMode::Sync).expect("offsets can be set by hand");
    }

    /// The client ids of its members.
    pub fn members(&self) -> Vec<String> {
        let Ok(list) = self.witness.fetch_group_list(Some(&self.name), ANSWER) else { return Vec::new() };
        let members = list.groups().iter().flat_map(|group| group.members());
        members.map(|member| member.client_id().to_owned()).collect()
    }

    /// Waits until `holds` of the members' client ids.
    pub fn await_members(&self, what: &str, holds: impl Fn(&[String]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let members = self.members();
            if holds(&members) {
                return;
            }
            assert!(Instant::now() < deadline, "group {}: not {what}, but {members:?}", self.name);
        }
    }

    /// Waits until no member is left: static members go when their session times out.
    pub fn await_empty(&self) {
        self.await_members("empty", <[String]>::is_empty);
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an answer of the admin client, which has a thread of its own.
fn wait<F: Future>(answer: F) -> F::Output {
    let mut answer = pin!(answer);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match answer.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
