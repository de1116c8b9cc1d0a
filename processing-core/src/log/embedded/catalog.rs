//! The topics of the log with the ends of their partitions, in memory as in the store.
//!
//! Not here: records. Invariant: the catalog in memory is what the store says; it is changed only
//! after the store was.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use state::ordered::OrderedStore;
use state::{KeyRange, StoreError};

use super::group::{Dealt, Topics};
use super::keys::{self, Ends, PartitionKey, StoredTopic};
use super::row::Damaged;
use crate::log::{LogError, TopicInfo, Watermarks};
use crate::record::{Partition, TopicName, TopicPartition};

#[derive(Debug, Default)]
pub(super) struct Catalog {
    topics: BTreeMap<TopicName, Topic>,
    version: u64,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) stored: StoredTopic,
    ends: Vec<Ends>,
}

/// A partition as it stands at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) key: PartitionKey,
    pub(super) ends: Ends,
}

impl Standing {
    /// Nothing is ever undecided here: what is in the log is committed.
    pub(super) fn watermarks(&self) -> Watermarks {
        let Ends { start, next, .. } = self.ends;
        Watermarks { start, last_stable: next, high: next }
    }
}

impl Catalog {
    pub(super) fn load(store: &OrderedStore) -> Result<Self, LogError> {
        let mut stored: Vec<(TopicName, StoredTopic)> = Vec::new();
        let mut damaged = None;
        let (from, to) = ([keys::TOPIC], [keys::TOPIC + 1]);
        store
            .scan(KeyRange::new(&from, &to), |key, value| {
                let name = key.get(1..).and_then(|name| std::str::from_utf8(name).ok());
                let name = name.ok_or_else(|| Damaged("a topic's name is no text".to_owned()));
                match name.and_then(|name| Ok((name, StoredTopic::from_bytes(value)?))) {
                    Ok((name, topic)) => {
                        stored.push((TopicName::new(name), topic));
                        ControlFlow::Continue(())
                    }
                    Err(error) => {
                        damaged = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })
            .map_err(store_error)?;
        if let Some(damaged) = damaged {
            return Err(damaged_error("the list of topics", &damaged));
        }
        let mut catalog = Self::default();
        for (name, topic) in stored {
            let ends = (0..topic.settings.partitions)
                .map(|p| load_ends(store, PartitionKey { topic: topic.number, partition: Partition(p) }))
                .collect::<Result<_, _>>()?;
            catalog.insert(name, topic, ends);
        }
        Ok(catalog)
    }

    pub(super) fn add(&mut self, name: TopicName, stored: StoredTopic) {
        let ends = vec![Ends::NONE; stored.settings.partitions as usize];
        self.insert(name, stored, ends);
    }

    fn insert(&mut self, name: TopicName, stored: StoredTopic, ends: Vec<Ends>) {
        self.version += 1;
        self.topics.insert(name, Topic { stored, ends });
    }

    pub(super) fn remove(&mut self, name: &TopicName) {
        self.version += 1;
        self.topics.remove(name);
    }

    pub(super) fn get(&self, name: &TopicName) -> Option<&Topic> {
        self.topics.get(name)
    }

    pub(super) fn standing(&self, partition: &TopicPartition) -> Result<Standing, LogError> {
        let unknown = || LogError::Unknown(partition.clone());
        let topic = self.topics.get(&partition.topic).ok_or_else(unknown)?;
        let ends = topic.ends.get(partition.partition.0 as usize).ok_or_else(unknown)?;
        let key = PartitionKey { topic: topic.stored.number, partition: partition.partition };
        Ok(Standing { key, ends: *ends })
    }

    pub(super) fn set_ends(&mut self, partition: &TopicPartition, ends: Ends) {
        let topic = self.topics.get_mut(&partition.topic);
        if let Some(place) = topic.and_then(|t| t.ends.get_mut(partition.partition.0 as usize)) {
            *place = ends;
        }
    }

    pub(super) fn infos(&self) -> Vec<TopicInfo> {
        self.topics.iter().map(|(name, topic)| topic.info(name)).collect()
    }

    /// All partitions, for what goes through the whole log.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (TopicPartition, StoredTopic, Ends)> {
        self.topics.iter().flat_map(|(name, topic)| {
            topic
                .ends
                .iter()
                .enumerate()
                .map(|(partition, ends)| (TopicPartition::new(name.clone(), partition as u32), topic.stored, *ends))
        })
    }

    /// The name of the topic with this number.
    pub(super) fn name_of(&self, number: u32) -> Option<&TopicName> {
        self.topics.iter().find(|(_, topic)| topic.stored.number == number).map(|(name, _)| name)
    }
}

impl Topic {
    pub(super) fn info(&self, name: &TopicName) -> TopicInfo {
        TopicInfo { name: name.clone(), id: self.stored.id, settings: self.stored.settings }
    }
}

impl Topics for Catalog {
    fn dealt(&self, topic: &TopicName) -> Option<Dealt> {
        let stored = self.topics.get(topic)?.stored;
        Some(Dealt { number: stored.number, partitions: stored.settings.partitions })
    }

    fn version(&self) -> u64 {
        self.version
    }
}

pub(super) fn load_ends(store: &OrderedStore, key: PartitionKey) -> Result<Ends, LogError> {
    let ends = store.with_value(&key.ends(), Ends::from_bytes).map_err(store_error)?;
    match ends {
        None => Ok(Ends::NONE),
        Some(ends) => ends.map_err(|damaged| damaged_error("the ends of a partition", &damaged)),
    }
}

/// What a failing store means for the log.
pub(super) fn store_error(error: StoreError) -> LogError {
    match error {
        StoreError::Full { path, detail } => LogError::Full(format!(
            "no room for the log in {}: {detail}; free room or enlarge the volume, then start again; \
             nothing that was published is lost",
            path.display()
        )),
        StoreError::Damaged { path, detail } => LogError::Fatal(format!(
            "the log in {} is damaged: {detail}; put a copy in its place, or delete the folder to \
             begin with an empty log",
            path.display()
        )),
        other => LogError::Fatal(other.to_string()),
    }
}

pub(super) fn damaged_error(what: &str, damaged: &Damaged) -> LogError {
    LogError::Fatal(format!(
        "the log is damaged at {what}: {damaged}; put a copy in its place, or delete the folder to \
         begin with an empty log"
    ))
}
