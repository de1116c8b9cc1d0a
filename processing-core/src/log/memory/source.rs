//! One member's connection to its group: rebalance messages and the records of its partitions.
//!
//! Not here: who owns what (`group`).
//! Invariant: a member that the group no longer counts in may read, but is told `Lost` or `Fenced`
//! when it notices, and nothing it publishes with positions becomes true.

use std::collections::{BTreeMap, BTreeSet};

use super::Shared;
use super::broker::Broker;
use super::group::{Connection, Membership as Standing, Notice, member_name};
use crate::batch::RecordBatch;
use crate::log::{FetchEpoch, GroupMetadata, GroupSource, LogError, Membership, Polled, Watermarks};
use crate::record::{Offset, TopicId, TopicPartition};

/// Fetches from before a seek or release that may still hand something out.
const FORMER_FETCHES_MAX: usize = 4;

#[derive(Debug, Clone, Copy)]
struct Fetch {
    next: Offset,
    epoch: FetchEpoch,
    topic: TopicId,
    paused: bool,
}

pub(super) struct MemorySource {
    shared: Shared,
    membership: Membership,
    connection: Connection,
    /// The generation that it last heard of.
    generation: u64,
    held: BTreeSet<TopicPartition>,
    fetches: BTreeMap<TopicPartition, Fetch>,
    former: Vec<(TopicPartition, Fetch)>,
    /// The partition that gave the last records.
    last: Option<TopicPartition>,
    closed: bool,
}

impl MemorySource {
    pub(super) fn join(shared: Shared, membership: Membership) -> Result<Self, LogError> {
        let mut broker = shared.lock();
        broker.may_refuse("join")?;
        let connection = broker.join(&membership.group, &membership.instance, &membership.anchors);
        let generation = broker.groups.get(&membership.group).map_or(0, |group| group.generation());
        drop(broker);
        Ok(Self {
            shared,
            membership,
            connection,
            generation,
            held: BTreeSet::new(),
            fetches: BTreeMap::new(),
            former: Vec::new(),
            last: None,
            closed: false,
        })
    }

    fn standing(&self, broker: &Broker) -> Standing {
        broker
            .groups
            .get(&self.membership.group)
            .map_or(Standing::Dead, |group| group.standing(&self.membership.instance, self.connection))
    }

    fn fenced(&self) -> LogError {
        LogError::Fenced(format!(
            "instance {} of group {} is held by a newer connection; rejoin",
            self.membership.instance, self.membership.group
        ))
    }

    /// Remembers a fetch that ends, as records of it may be on their way.
    fn end_fetch(&mut self, broker: &Broker, at: &TopicPartition) {
        if let Some(fetch) = self.fetches.remove(at)
            && broker.faults.stale_batch > 0.0
        {
            if self.former.len() == FORMER_FETCHES_MAX {
                self.former.remove(0);
            }
            self.former.push((at.clone(), fetch));
        }
    }

    fn lose(&mut self, broker: &Broker, lost: &[TopicPartition]) {
        for at in lost {
            self.held.remove(at);
            self.end_fetch(broker, at);
        }
    }

    fn rejoin(&mut self, broker: &mut Broker) {
        let Membership { group, instance, anchors } = &self.membership;
        self.connection = broker.join(group, instance, anchors);
    }

    fn hear(&mut self, broker: &mut Broker) -> Option<Polled> {
        let now = broker.now;
        let group = broker.groups.get_mut(&self.membership.group)?;
        group.polled(&self.membership.instance, now);
        self.generation = group.generation();
        let notice = group.notice(&self.membership.instance, now)?;
        Some(match notice {
            Notice::Assigned(mut partitions) => {
                let kept = 1 + broker.dice.below(partitions.len());
                if kept < partitions.len() && broker.strikes(|faults| faults.spurious_control) {
                    let later = partitions.split_off(kept);
                    if let Some(group) = broker.groups.get_mut(&self.membership.group) {
                        group.untell(&self.membership.instance, &later);
                    }
                }
                self.note_all(broker, "assigned", &partitions);
                self.held.extend(partitions.iter().cloned());
                Polled::Assigned(partitions)
            }
            Notice::Revoked(partitions) => {
                self.note_all(broker, "revoked", &partitions);
                Polled::Revoked(partitions)
            }
            Notice::Lost(partitions) => {
                self.note_all(broker, "lost", &partitions);
                self.lose(broker, &partitions);
                Polled::Lost(partitions)
            }
        })
    }

    fn note_all(&self, broker: &mut Broker, what: &'static str, partitions: &[TopicPartition]) {
        for at in partitions {
            broker.note(what, at, self.connection.0, self.generation);
        }
    }

    /// A control message that changes nothing and that a worker must bear.
    fn invent(&mut self, broker: &mut Broker) -> Polled {
        let foreign: Vec<TopicPartition> = self
            .membership
            .anchors
            .iter()
            .filter_map(|anchor| broker.topics.get_key_value(anchor))
            .flat_map(|(name, topic)| {
                (0..topic.info.settings.partitions).map(|partition| TopicPartition::new(name.clone(), partition))
            })
            .filter(|at| !self.held.contains(at))
            .take(1)
            .collect();
        let kind = broker.dice.below(4);
        broker.note("invent", &self.membership.instance, kind as u64, 0);
        match kind {
            0 if !foreign.is_empty() => Polled::Revoked(foreign),
            1 if !foreign.is_empty() => Polled::Lost(foreign),
            2 => {
                let group = broker.groups.get(&self.membership.group);
                let instance = &self.membership.instance;
                let kept = self.held.iter().filter(|at| !group.is_some_and(|group| group.is_revoking(instance, at)));
                Polled::Assigned(kept.cloned().collect())
            }
            _ => Polled::Assigned(Vec::new()),
        }
    }

    /// The partition to read next: in turn, or by the plan a random one.
    fn choose(&self, broker: &mut Broker) -> Result<Option<TopicPartition>, LogError> {
        let mut ready = Vec::new();
        for (at, fetch) in &self.fetches {
            let revoked = broker
                .groups
                .get(&self.membership.group)
                .is_some_and(|group| group.is_revoking(&self.membership.instance, at));
            if fetch.paused || revoked {
                continue;
            }
            if broker.topic_id(at)? != fetch.topic {
                return Err(LogError::Unknown(at.clone()));
            }
            let ends = broker.partition(at)?.watermarks();
            if fetch.next < ends.start || fetch.next > ends.high {
                return Err(LogError::Fatal(format!(
                    "offset {} of {at} is out of range: the log holds {} to {}",
                    fetch.next, ends.start, ends.high
                )));
            }
            if fetch.next < ends.last_stable {
                ready.push(at);
            }
        }
        if !ready.is_empty() && broker.strikes(|faults| faults.reorder) {
            // One more than there are: now and then nobody's records arrive.
            let index = broker.dice.below(ready.len() + 1);
            return Ok(ready.get(index).map(|at| (*at).clone()));
        }
        let behind_last = ready.iter().find(|at| self.last.as_ref().is_none_or(|last| **at > last));
        Ok(behind_last.or(ready.first()).map(|at| (*at).clone()))
    }

    fn records(&mut self, broker: &mut Broker, batch: &mut RecordBatch) -> Result<Polled, LogError> {
        if !self.former.is_empty() && broker.strikes(|faults| faults.stale_batch) {
            let (at, fetch) = self.former.remove(0);
            if let Some(polled) = Self::read(broker, &at, fetch, batch) {
                return Ok(polled);
            }
        }
        let Some(at) = self.choose(broker)? else {
            return Ok(Polled::Nothing);
        };
        let Some(fetch) = self.fetches.get_mut(&at) else {
            return Ok(Polled::Nothing);
        };
        let polled = Self::read(broker, &at, *fetch, batch);
        if let Some(Polled::Records { next, .. }) = &polled {
            fetch.next = *next;
        }
        self.last = Some(at);
        Ok(polled.unwrap_or(Polled::Nothing))
    }

    /// Reads on; `None` where nothing moves any more. The batch may stay empty, when only markers and
    /// aborted records were passed.
    fn read(broker: &mut Broker, at: &TopicPartition, fetch: Fetch, batch: &mut RecordBatch) -> Option<Polled> {
        let reach = broker.reach();
        if broker.topic_id(at) != Ok(fetch.topic) {
            return None;
        }
        let log = broker.partition(at).ok()?;
        let ends = log.watermarks();
        if fetch.next < ends.start || fetch.next >= ends.last_stable {
            return None;
        }
        let next = log.read(fetch.next, reach, batch);
        broker.note("fetched", at, fetch.next.0, next.0);
        Some(Polled::Records { partition: at.clone(), next, epoch: fetch.epoch })
    }
}

impl GroupSource for MemorySource {
    fn poll(&mut self, batch: &mut RecordBatch) -> Result<Polled, LogError> {
        batch.clear();
        let shared = self.shared.clone();
        let mut broker = shared.lock();
        if self.closed {
            return Err(self.fenced());
        }
        broker.may_refuse("poll")?;
        match self.standing(&broker) {
            Standing::Current => {}
            Standing::Dead | Standing::Replaced if broker.strikes(|faults| faults.zombie) => {
                return self.records(&mut broker, batch);
            }
            Standing::Replaced => return Err(self.fenced()),
            Standing::Dead if self.held.is_empty() => self.rejoin(&mut broker),
            Standing::Dead => {
                let lost: Vec<TopicPartition> = self.held.iter().cloned().collect();
                self.note_all(&mut broker, "lost", &lost);
                self.lose(&broker, &lost);
                return Ok(Polled::Lost(lost));
            }
        }
        if let Some(polled) = self.hear(&mut broker) {
            return Ok(polled);
        }
        if broker.strikes(|faults| faults.spurious_control) {
            return Ok(self.invent(&mut broker));
        }
        self.records(&mut broker, batch)
    }

    fn fetch(&mut self, partition: &TopicPartition, from: Offset, epoch: FetchEpoch) -> Result<(), LogError> {
        let shared = self.shared.clone();
        let mut broker = shared.lock();
        broker.may_refuse("fetch")?;
        let topic = broker.topic_id(partition)?;
        self.end_fetch(&broker, partition);
        self.fetches.insert(partition.clone(), Fetch { next: from, epoch, topic, paused: false });
        broker.note("fetch", partition, from.0, epoch.0);
        Ok(())
    }

    fn pause(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        self.shared.lock().may_refuse("pause")?;
        if let Some(fetch) = self.fetches.get_mut(partition) {
            fetch.paused = true;
        }
        Ok(())
    }

    fn resume(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        self.shared.lock().may_refuse("resume")?;
        if let Some(fetch) = self.fetches.get_mut(partition) {
            fetch.paused = false;
        }
        Ok(())
    }

    fn release(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        let shared = self.shared.clone();
        let mut broker = shared.lock();
        broker.may_refuse("release")?;
        self.end_fetch(&broker, partition);
        if self.standing(&broker) == Standing::Current
            && let Some(group) = broker.groups.get_mut(&self.membership.group)
            && group.release(&self.membership.instance, partition)
        {
            self.held.remove(partition);
            broker.note("release", partition, self.connection.0, 0);
        }
        Ok(())
    }

    fn committed(&mut self, partition: &TopicPartition) -> Result<Option<Offset>, LogError> {
        let mut broker = self.shared.lock();
        broker.may_refuse("committed")?;
        let Some(group) = broker.groups.get(&self.membership.group) else {
            return Ok(None);
        };
        if group.is_undecided(partition) {
            return Err(LogError::Retry(format!(
                "a transaction over the position of group {} in {partition} is not decided",
                self.membership.group
            )));
        }
        Ok(group.committed(partition))
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        let mut broker = self.shared.lock();
        broker.may_refuse("watermarks")?;
        Ok(broker.partition(partition)?.watermarks())
    }

    fn group_metadata(&self) -> GroupMetadata {
        let broker = self.shared.lock();
        // The client's own thread follows rebalances that take nothing away without asking; only the
        // verdict of death has to be noticed first.
        let generation = match (self.standing(&broker), broker.groups.get(&self.membership.group)) {
            (Standing::Current, Some(group)) => group.generation(),
            _ => self.generation,
        };
        GroupMetadata {
            group: self.membership.group.clone(),
            generation,
            member: member_name(&self.membership.instance, self.connection),
            instance: self.membership.instance.clone(),
        }
    }

    fn close(&mut self) {
        self.closed = true;
    }
}
