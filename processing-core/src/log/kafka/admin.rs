//! Topics and group positions, asked and changed.
//!
//! Not here: which topics a plan needs ([`crate::layout`]). Invariant: a topic is told with the identity that
//! the brokers gave it, so that one that was deleted and made anew is never taken for the old one.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::Offset as At;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio::runtime::Runtime;

use super::refusal::{self, Doing};
use super::{Cluster, Quiet, base_config, ffi, list_at, list_of};
use crate::limits::{
    CLIENT_ERRORS_MAX, KAFKA_ADMIN_WAIT, KAFKA_ANSWER_WAIT, RECORD_BYTES_MAX, TOPIC_KNOWN_TRIES, TOPIC_KNOWN_WAIT,
};
use crate::log::{Admin, Cleanup, LogError, TopicInfo, TopicSettings};
use crate::record::{Offset, TopicId, TopicName, TopicPartition};

pub(super) struct KafkaAdmin {
    cluster: Arc<Cluster>,
    /// Made for this one, when it is needed first: a client that does not read learns of a leader that has moved by nothing, and goes on asking
    /// the old one.
    client: OnceCell<AdminClient<Quiet>>,
    /// The client's admin calls are futures; this waits for them.
    runtime: Runtime,
}

impl KafkaAdmin {
    pub(super) fn new(cluster: Arc<Cluster>) -> Result<Self, LogError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime =
            runtime.map_err(|error| LogError::Fatal(format!("the machine refuses what admin calls need: {error}")))?;
        Ok(Self { cluster, client: OnceCell::new(), runtime })
    }

    fn client(&self) -> Result<&AdminClient<Quiet>, LogError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = base_config(&self.cluster.options, "admin").create_with_context(Quiet);
        let made = made.map_err(|error| refusal::of(Doing::Connect, &error))?;
        Ok(self.client.get_or_init(|| made))
    }

    fn options() -> AdminOptions {
        AdminOptions::new()
            .request_timeout(Some(KAFKA_ADMIN_WAIT.span()))
            .operation_timeout(Some(KAFKA_ADMIN_WAIT.span()))
    }

    /// The topic as it stands. A broker may know of a topic that somebody has just made and not yet how it was set, so
    /// settings that are not the wanted ones are asked for again before they are believed.
    fn standing(&mut self, name: &TopicName, wanted: TopicSettings) -> Result<Option<TopicInfo>, LogError> {
        let mut found = self.topic(name)?;
        for _ in 0..TOPIC_KNOWN_TRIES {
            let differs = |found: &TopicInfo| {
                found.settings.cleanup != wanted.cleanup || found.settings.log_append_time != wanted.log_append_time
            };
            if !found.as_ref().is_some_and(differs) {
                break;
            }
            pause();
            found = self.topic(name)?;
        }
        Ok(found)
    }

    /// An admin call that comes to no broker runs out of time and does not say why; a consumer is told. Credentials that
    /// are not accepted would otherwise look like a broker that is away.
    fn explained(&self, error: LogError) -> LogError {
        let LogError::Retry(text) = &error else { return error };
        let ends = self.cluster.ends();
        let Err(unreached) = ends.client().fetch_metadata(None, KAFKA_ANSWER_WAIT.span()) else { return error };
        let told = std::iter::from_fn(|| ends.poll(Duration::ZERO)).take(CLIENT_ERRORS_MAX);
        let told: Vec<LogError> =
            told.filter_map(Result::err).map(|error| refusal::of(Doing::Connect, &error)).collect();
        let refused = told.iter().find(|told| matches!(told, LogError::Fatal(_)));
        let last = told.last().map_or_else(|| unreached.to_string(), LogError::to_string);
        refused.cloned().unwrap_or_else(|| LogError::Retry(format!("{text}; {last}")))
    }

    /// Its id and how many partitions it has, as the broker that is asked knows it.
    fn identity(&mut self, name: &TopicName) -> Result<Option<(u128, u32)>, LogError> {
        let found = ffi::describe_topic(self.client()?.inner(), name.as_str(), KAFKA_ADMIN_WAIT);
        found.map_err(|failure| self.explained(refusal::of_failure(Doing::Describe(name.as_str()), &failure)))
    }

    fn settings_of(&self, name: &TopicName, partitions: u32) -> Result<TopicSettings, LogError> {
        let doing = Doing::DescribeConfigs(name.as_str());
        let failed = |error: KafkaError| refusal::of(doing, &error);
        let wanted = [ResourceSpecifier::Topic(name.as_str())];
        let asked = self.client()?.describe_configs(&wanted, &Self::options());
        let mut found = self.runtime.block_on(asked).map_err(failed)?;
        let found = match found.pop() {
            Some(Ok(found)) => found,
            Some(Err(code)) => return Err(refusal::refusal(doing, code, "")),
            None => return Err(LogError::Retry(format!("{doing}: no answer"))),
        };
        Ok(TopicSettings {
            partitions,
            cleanup: cleanup_of(value(&found, "cleanup.policy")),
            retention_ms: value(&found, "retention.ms").parse().ok(),
            log_append_time: value(&found, "message.timestamp.type") == "LogAppendTime",
        })
    }
}

fn value<'a>(found: &'a ConfigResource, name: &str) -> &'a str {
    found.get(name).and_then(|entry| entry.value.as_deref()).unwrap_or("")
}

fn cleanup_of(policy: &str) -> Cleanup {
    match (policy.contains("compact"), policy.contains("delete")) {
        (true, true) => Cleanup::CompactDelete,
        (true, false) => Cleanup::Compact,
        _ => Cleanup::Delete,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the brokers tell each other of a topic that has come or gone; the worker's loop has not begun"
)]
fn pause() {
    std::thread::sleep(TOPIC_KNOWN_WAIT.span());
}

impl Admin for KafkaAdmin {
    fn create_topic(&mut self, name: &TopicName, settings: TopicSettings) -> Result<TopicInfo, LogError> {
        if let Some(standing) = self.standing(name, settings)? {
            return Ok(standing);
        }
        let doing = Doing::Create(name.as_str());
        let retention = settings.retention_ms.map_or_else(|| "-1".to_owned(), |ms| ms.to_string());
        let largest = (RECORD_BYTES_MAX + 64 * 1024).to_string();
        let partitions = i32::try_from(settings.partitions).unwrap_or(i32::MAX);
        let replication = TopicReplication::Fixed(self.cluster.options.replication);
        let mut topic = NewTopic::new(name.as_str(), partitions, replication)
            .set("cleanup.policy", settings.cleanup.policy())
            .set("retention.ms", &retention)
            .set("max.message.bytes", &largest);
        if settings.log_append_time {
            topic = topic.set("message.timestamp.type", "LogAppendTime");
        }
        let asked = self.client()?.create_topics([&topic], &Self::options());
        let made = self.runtime.block_on(asked).map_err(|error| refusal::of(doing, &error))?;
        match made.into_iter().next() {
            Some(Ok(_) | Err((_, Code::TopicAlreadyExists))) => {}
            Some(Err((_, code))) => return Err(refusal::refusal(doing, code, "")),
            None => return Err(LogError::Retry(format!("{doing}: no answer"))),
        }
        // Not every broker knows it at once.
        for _ in 0..TOPIC_KNOWN_TRIES {
            if let Some(known) = self.standing(name, settings)? {
                return Ok(known);
            }
            pause();
        }
        Err(LogError::Retry(format!("topic {name} was made, and the brokers do not all know it yet")))
    }

    fn topic(&mut self, name: &TopicName) -> Result<Option<TopicInfo>, LogError> {
        let Some((id, partitions)) = self.identity(name)? else { return Ok(None) };
        let settings = self.settings_of(name, partitions)?;
        Ok(Some(TopicInfo { name: name.clone(), id: TopicId(id), settings }))
    }

    fn topics(&mut self) -> Result<Vec<TopicInfo>, LogError> {
        let ends = self.cluster.ends();
        let found = ends.client().fetch_metadata(None, KAFKA_ADMIN_WAIT.span());
        let found = found.map_err(|error| refusal::of(Doing::Connect, &error))?;
        let mut names: Vec<&str> = found.topics().iter().map(rdkafka::metadata::MetadataTopic::name).collect();
        // Kafka's own.
        names.retain(|name| !name.starts_with("__"));
        names.sort_unstable();
        let mut topics = Vec::with_capacity(names.len());
        for name in names {
            topics.extend(self.topic(&TopicName::new(name))?);
        }
        Ok(topics)
    }

    fn delete_topic(&mut self, name: &TopicName) -> Result<(), LogError> {
        let doing = Doing::Delete(name.as_str());
        let asked = self.client()?.delete_topics(&[name.as_str()], &Self::options());
        let done = self.runtime.block_on(asked).map_err(|error| refusal::of(doing, &error))?;
        match done.into_iter().next() {
            Some(Err((_, code))) if code != Code::UnknownTopicOrPartition => {
                return Err(refusal::refusal(doing, code, ""));
            }
            _ => {}
        }
        // Not every broker knows it at once, and who makes the topic anew would be told that it stands.
        for _ in 0..TOPIC_KNOWN_TRIES {
            if self.identity(name)?.is_none() {
                return Ok(());
            }
            pause();
        }
        Err(LogError::Retry(format!("topic {name} was deleted, and the brokers do not all know it yet")))
    }

    fn purge(&mut self, partition: &TopicPartition, before: Offset) -> Result<(), LogError> {
        let doing = Doing::Delete(partition.topic.as_str());
        let list = list_at([(partition, before)]).map_err(|error| refusal::of(doing, &error))?;
        let asked = self.client()?.delete_records(&list, &Self::options());
        let done = self.runtime.block_on(asked).map_err(|error| refusal::of(doing, &error))?;
        for element in done.elements() {
            element.error().map_err(|error| refusal::of(doing, &error))?;
        }
        Ok(())
    }

    fn group_offsets(
        &mut self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Offset)>, LogError> {
        let doing = Doing::Group(group);
        let failed = |error: KafkaError| refusal::of(doing, &error);
        // By a consumer that never joins. Of the admin calls those that go to a group's coordinator end the process when
        // their answer comes after their time is over: a failed assertion in librdkafka (its issue 4605).
        let found = self.cluster.asking(group, |client| {
            client.committed_offsets(list_of(partitions), KAFKA_ADMIN_WAIT.span()).map_err(failed)
        })?;
        let mut offsets = Vec::new();
        for (element, place) in found.elements().iter().zip(partitions) {
            element.error().map_err(failed)?;
            if let At::Offset(offset) = element.offset() {
                offsets.push((place.clone(), Offset(offset.max(0).cast_unsigned())));
            }
        }
        Ok(offsets)
    }
}
