//! What a broker's refusal means for the worker.
//!
//! Not here: what is done about it ([`crate::error`]). Invariant: a missing right is named as Kafka's tools
//! name it, so that the person who reads the message can grant it.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::ffi::Failure;
use crate::log::LogError;
use crate::record::TopicPartition;

/// What was being done.
#[derive(Debug, Clone, Copy)]
pub(super) enum Doing<'a> {
    /// Reaching the cluster at all.
    Connect,
    /// Reading a topic's records.
    Read(&'a str),
    /// Writing records to a topic.
    Write(&'a str),
    /// Asking for a topic's identity, partitions, ends.
    Describe(&'a str),
    /// Asking for a topic's settings.
    DescribeConfigs(&'a str),
    /// Making a topic.
    Create(&'a str),
    /// Deleting a topic or records of it.
    Delete(&'a str),
    /// Being a member of a group, or asking for its offsets.
    Group(&'a str),
    /// Running transactions.
    Transact(&'a str),
}

impl fmt::Display for Doing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("reaching the cluster"),
            Self::Read(topic) => write!(f, "reading topic {topic}"),
            Self::Write(topic) => write!(f, "writing to topic {topic}"),
            Self::Describe(topic) => write!(f, "asking for topic {topic}"),
            Self::DescribeConfigs(topic) => write!(f, "asking for the settings of topic {topic}"),
            Self::Create(topic) => write!(f, "making topic {topic}"),
            Self::Delete(topic) => write!(f, "deleting from topic {topic}"),
            Self::Group(group) => write!(f, "taking part in group {group}"),
            Self::Transact(id) => write!(f, "running transactions as {id}"),
        }
    }
}

impl Doing<'_> {
    /// The right, in the words of `kafka-acls.sh`.
    fn right(&self) -> String {
        match self {
            Self::Connect => "--operation Describe --cluster".to_owned(),
            Self::Read(topic) => format!("--operation Read --topic {topic}"),
            Self::Write(topic) => format!("--operation Write --topic {topic}"),
            Self::Describe(topic) => format!("--operation Describe --topic {topic}"),
            Self::DescribeConfigs(topic) => format!("--operation DescribeConfigs --topic {topic}"),
            Self::Create(topic) => format!("--operation Create --topic {topic}"),
            Self::Delete(topic) => format!("--operation Delete --topic {topic}"),
            Self::Group(group) => format!("--operation Read --group {group}"),
            Self::Transact(id) => format!("--operation Write --transactional-id {id}"),
        }
    }
}

/// What an answer of this code asks of the caller.
pub(super) fn refusal(doing: Doing<'_>, code: Code, text: &str) -> LogError {
    let said = if text.is_empty() { code.to_string() } else { format!("{text} ({code})") };
    match code {
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => LogError::Fatal(format!(
            "{doing}: this user lacks a right; grant it by `kafka-acls.sh --add --allow-principal User:NAME {}` \
             (`streamfleet acls` lists all that a worker needs): {said}",
            doing.right()
        )),
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
            LogError::Fatal(format!(
                "{doing}: the broker does not accept the credentials; see KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD \
                     and `kafka.sasl.mechanism`: {said}"
            ))
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId => {
            LogError::Retry(format!("{doing}: there is no such topic or partition: {said}"))
        }
        // Whether there is another process is not known by this: where a coordinator dies, one that joins again and was
        // heard the first time fences itself. The claims to the instance's name tell.
        Code::FencedInstanceId
        | Code::UnreleasedInstanceId
        | Code::Fenced
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::FencedMemberEpoch => {
            LogError::Fenced(format!("{doing}: somebody newer runs under this identity: {said}"))
        }
        Code::InvalidReplicationFactor => LogError::Fatal(format!(
            "{doing}: the cluster has fewer brokers than `replication.factor` asks for: {said}"
        )),
        Code::MessageSizeTooLarge
        | Code::InvalidTopic
        | Code::InvalidConfig
        | Code::PolicyViolation
        | Code::InvalidSessionTimeout
        | Code::InconsistentGroupProtocol
        | Code::InvalidTransactionTimeout
        | Code::UnsupportedVersion
        | Code::UnsupportedFeature
        | Code::InvalidPartitions => LogError::Fatal(format!("{doing}: {said}")),
        _ => LogError::Retry(format!("{doing}: {said}")),
    }
}

/// The same for an error of the wrapper.
pub(super) fn of(doing: Doing<'_>, error: &KafkaError) -> LogError {
    match (error.rdkafka_error_code(), error) {
        (Some(code), _) => refusal(doing, code, ""),
        (None, KafkaError::AdminOp(code)) => refusal(doing, *code, ""),
        // Without the value, which may be a secret.
        (None, KafkaError::ClientConfig(_, reason, name, _)) => {
            LogError::Fatal(format!("{doing}: the client refuses `kafka.{name}`: {reason}"))
        }
        (None, KafkaError::ClientCreation(reason)) => {
            LogError::Fatal(format!("{doing}: the client refuses its settings: {reason}"))
        }
        (None, error) => LogError::Retry(format!("{doing}: {error}")),
    }
}

/// The same for a direct call.
pub(super) fn of_failure(doing: Doing<'_>, failure: &Failure) -> LogError {
    refusal(doing, failure.code, &failure.text)
}

/// An error that a partition's queue held.
pub(super) fn of_partition(place: &TopicPartition, code: Code, text: &str) -> LogError {
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId => {
            LogError::Unknown(place.clone())
        }
        _ => refusal(Doing::Read(place.topic.as_str()), code, text),
    }
}
