//! The admin side: topics, purge, and groups' positions.
//!
//! Not here: what the broker does with them.
//! Invariant: a refused call has changed nothing.

use super::Shared;
use crate::log::{Admin, LogError, TopicInfo, TopicSettings};
use crate::record::{Offset, TopicName, TopicPartition};

pub(super) struct MemoryAdmin {
    shared: Shared,
}

impl MemoryAdmin {
    pub(super) fn open(shared: Shared) -> Result<Self, LogError> {
        shared.lock().may_refuse("admin")?;
        Ok(Self { shared })
    }
}

impl Admin for MemoryAdmin {
    fn create_topic(&mut self, name: &TopicName, settings: TopicSettings) -> Result<TopicInfo, LogError> {
        let mut broker = self.shared.lock();
        broker.may_refuse("create topic")?;
        broker.create_topic(name, settings)
    }

    fn topic(&mut self, name: &TopicName) -> Result<Option<TopicInfo>, LogError> {
        let mut broker = self.shared.lock();
        broker.may_refuse("describe topic")?;
        Ok(broker.topics.get(name).map(|topic| topic.info.clone()))
    }

    fn topics(&mut self) -> Result<Vec<TopicInfo>, LogError> {
        let mut broker = self.shared.lock();
        broker.may_refuse("list topics")?;
        Ok(broker.topics.values().map(|topic| topic.info.clone()).collect())
    }

    fn delete_topic(&mut self, name: &TopicName) -> Result<(), LogError> {
        let mut broker = self.shared.lock();
        broker.may_refuse("delete topic")?;
        broker.delete_topic(name);
        Ok(())
    }

    fn purge(&mut self, partition: &TopicPartition, before: Offset) -> Result<(), LogError> {
        let mut broker = self.shared.lock();
        broker.may_refuse("purge")?;
        broker.partition(partition)?.purge(before);
        broker.note("purge", partition, before.0, 0);
        Ok(())
    }

    fn group_offsets(
        &mut self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Offset)>, LogError> {
        let mut broker = self.shared.lock();
        broker.may_refuse("group offsets")?;
        let known = broker.groups.get(group).map(super::group::Group::offsets).unwrap_or_default();
        let of = |place: &TopicPartition| known.iter().find(|(known, _)| known == place).cloned();
        Ok(partitions.iter().filter_map(of).collect())
    }
}
