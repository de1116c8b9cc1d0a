//! A consumer group: who its members are and which anchor partitions each of them holds.
//!
//! Not here: records and committed positions; a group knows names and numbers only, and forgets
//! everything with the process.
//! Invariant: a partition has one holder at a time; a holder that lives gives it up by `release` only.
//!
//! ```text
//!   Waiting ──poll: Assigned──▶ Held ──rebalance──▶ Leaving ──poll: Revoked──▶ Told ──release──▶ next
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::log::{GroupMetadata, Membership};
use crate::record::{LogTime, TopicName, TopicPartition};

/// What of a topic a group must know: the number of its incarnation and of its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dealt {
    pub(super) number: u32,
    pub(super) partitions: u32,
}

/// The topics that exist.
pub(super) trait Topics {
    fn dealt(&self, topic: &TopicName) -> Option<Dealt>;
    /// Changes whenever a topic comes or goes.
    fn version(&self) -> u64;
}

/// A group's word to a member that polls.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
    /// Another holds the instance now.
    Replaced,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    generation: u64,
    joined: u64,
    members: BTreeMap<String, Member>,
    holdings: BTreeMap<TopicPartition, Holding>,
    topics_version: u64,
}

#[derive(Debug)]
struct Member {
    id: String,
    anchors: BTreeSet<TopicName>,
    /// The generation that the member knows of.
    seen: u64,
    /// Set when something is to be told.
    news: bool,
    /// Partitions that went with their topic.
    lost: Vec<TopicPartition>,
    closed_at: Option<LogTime>,
}

#[derive(Debug)]
struct Holding {
    topic: u32,
    instance: String,
    state: HoldingState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HoldingState {
    Waiting,
    Held,
    Leaving,
    Told,
}

impl Group {
    /// Takes a member in, or puts a new one in the place of the same instance; answers its name.
    pub(super) fn join(&mut self, membership: &Membership, topics: &dyn Topics) -> String {
        self.joined += 1;
        let id = format!("{}-{}", membership.instance, self.joined);
        for holding in self.holdings.values_mut() {
            if holding.instance == membership.instance {
                // The one that held it is gone, and cannot be asked to give it up in good order.
                holding.state = HoldingState::Waiting;
            }
        }
        let member = Member {
            id: id.clone(),
            anchors: membership.anchors.iter().cloned().collect(),
            seen: 0,
            news: true,
            lost: Vec::new(),
            closed_at: None,
        };
        self.members.insert(membership.instance.clone(), member);
        self.rebalance(topics);
        if let Some(member) = self.members.get_mut(&membership.instance) {
            member.seen = self.generation;
        }
        id
    }

    /// Whether a closed member has waited longer than `timeout_ms`, so that [`Self::expire`] is due.
    pub(super) fn expiry_due(&self, now: LogTime, timeout_ms: i64) -> bool {
        self.members.values().any(|member| member.expired(now, timeout_ms))
    }

    /// Takes the partitions of members that closed long ago away from them.
    pub(super) fn expire(&mut self, now: LogTime, timeout_ms: i64, topics: &dyn Topics) {
        let before = self.members.len();
        self.members.retain(|_, member| !member.expired(now, timeout_ms));
        if self.members.len() != before {
            self.rebalance(topics);
        }
    }

    /// What `member` of `instance` has to know next.
    pub(super) fn poll(&mut self, instance: &str, id: &str, topics: &dyn Topics) -> Told {
        if self.topics_version != topics.version() {
            self.rebalance(topics);
        }
        let Some(member) = self.members.get_mut(instance).filter(|member| member.id == id) else {
            return Told::Replaced;
        };
        if !member.news {
            return Told::Nothing;
        }
        member.seen = self.generation;
        if !member.lost.is_empty() {
            return Told::Lost(std::mem::take(&mut member.lost));
        }
        let mut step = |from: HoldingState, to: HoldingState| -> Vec<TopicPartition> {
            let mut moved = Vec::new();
            for (partition, holding) in &mut self.holdings {
                if holding.instance == instance && holding.state == from {
                    holding.state = to;
                    moved.push(partition.clone());
                }
            }
            moved
        };
        let revoked = step(HoldingState::Leaving, HoldingState::Told);
        if !revoked.is_empty() {
            return Told::Revoked(revoked);
        }
        member.news = false;
        match step(HoldingState::Waiting, HoldingState::Held) {
            assigned if assigned.is_empty() => Told::Nothing,
            assigned => Told::Assigned(assigned),
        }
    }

    /// The member gives a partition up that it was told to give up; of others, this says nothing.
    pub(super) fn release(&mut self, instance: &str, id: &str, partition: &TopicPartition, topics: &dyn Topics) {
        let current = self.members.get(instance).is_some_and(|member| member.id == id);
        let told = self
            .holdings
            .get(partition)
            .is_some_and(|holding| holding.instance == instance && holding.state == HoldingState::Told);
        if current && told {
            self.holdings.remove(partition);
            self.rebalance(topics);
        }
    }

    /// The member stops without leaving.
    pub(super) fn close(&mut self, instance: &str, id: &str, now: LogTime) {
        if let Some(member) = self.members.get_mut(instance).filter(|member| member.id == id) {
            member.closed_at.get_or_insert(now);
        }
    }

    /// The generation that `instance` knows of.
    pub(super) fn generation_seen(&self, instance: &str, id: &str) -> Option<u64> {
        self.members.get(instance).filter(|member| member.id == id).map(|member| member.seen)
    }

    /// Whether a transaction of this member may still commit positions; if not, why.
    pub(super) fn check(&self, metadata: &GroupMetadata) -> Result<(), String> {
        let GroupMetadata { group, generation, member, instance } = metadata;
        match self.members.get(instance) {
            None => Err(format!("group {group} has no member {instance}")),
            Some(present) if present.id != *member => {
                Err(format!("member {member} of group {group} was replaced by {}", present.id))
            }
            Some(present) if !present.lives() => Err(format!("member {member} of group {group} is closed")),
            Some(present) if present.seen != *generation => Err(format!(
                "member {member} of group {group} commits in generation {generation}, but was told of {}",
                present.seen
            )),
            Some(_) => Ok(()),
        }
    }

    /// Deals all partitions out anew, each staying where it is as far as the shares allow.
    fn rebalance(&mut self, topics: &dyn Topics) {
        self.topics_version = topics.version();
        self.generation += 1;
        self.drop_vanished(topics);
        let target = self.deal(topics);
        // A living holder subscribes what it holds, so that only what nobody reads goes here.
        self.holdings.retain(|partition, _| target.contains_key(partition));
        for (partition, (topic, instance)) in target {
            let holding = self.holdings.entry(partition).or_insert_with(|| Holding {
                topic,
                instance: instance.clone(),
                state: HoldingState::Waiting,
            });
            let stays = holding.instance == instance;
            let free = !self.members.get(&holding.instance).is_some_and(Member::lives);
            match holding.state {
                HoldingState::Leaving if stays => holding.state = HoldingState::Held,
                HoldingState::Held if !stays && !free => holding.state = HoldingState::Leaving,
                // Whoever lives and has not been told yet still works on it.
                HoldingState::Leaving | HoldingState::Told if !free => {}
                // Never told of, or without a holder that could still work on it: no need to ask.
                _ if !stays => {
                    holding.instance = instance;
                    holding.state = HoldingState::Waiting;
                }
                _ => {}
            }
        }
        for member in self.members.values_mut() {
            member.news = true;
        }
    }

    /// Takes partitions away whose topic is no more, or is another one of the same name.
    fn drop_vanished(&mut self, topics: &dyn Topics) {
        let members = &mut self.members;
        self.holdings.retain(|partition, holding| {
            let present = topics.dealt(&partition.topic);
            let stands =
                present.is_some_and(|topic| topic.number == holding.topic && partition.partition.0 < topic.partitions);
            if !stands
                && holding.state != HoldingState::Waiting
                && let Some(member) = members.get_mut(&holding.instance)
            {
                member.lost.push(partition.clone());
            }
            stands
        });
    }

    /// Who should hold what: per topic each subscriber its share, the odd ones to whom has least.
    fn deal(&self, topics: &dyn Topics) -> BTreeMap<TopicPartition, (u32, String)> {
        let mut target = BTreeMap::new();
        let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
        let anchors: BTreeSet<&TopicName> = self.members.values().flat_map(|m| &m.anchors).collect();
        for name in anchors {
            let Some(topic) = topics.dealt(name) else {
                continue;
            };
            let partitions = (0..topic.partitions).map(|p| TopicPartition::new(name.clone(), p));
            let mut held: BTreeMap<&str, Vec<TopicPartition>> = BTreeMap::new();
            for (instance, member) in &self.members {
                if member.anchors.contains(name) {
                    held.insert(instance, Vec::new());
                }
            }
            let mut loose = Vec::new();
            for partition in partitions {
                let holder = self.holdings.get(&partition).and_then(|h| held.get_mut(h.instance.as_str()));
                match holder {
                    Some(own) => own.push(partition),
                    None => loose.push(partition),
                }
            }
            let mut order: Vec<&str> = held.keys().copied().collect();
            order.sort_by_key(|instance| {
                let total = totals.get(instance).copied().unwrap_or(0);
                (total, std::cmp::Reverse(held.get(instance).map_or(0, Vec::len)), *instance)
            });
            let (share, odd) = match order.len() {
                0 => continue,
                n => (topic.partitions as usize / n, topic.partitions as usize % n),
            };
            let quota = |place: usize| share + usize::from(place < odd);
            for (place, instance) in order.iter().enumerate() {
                if let Some(own) = held.get_mut(instance) {
                    loose.extend(own.drain(quota(place).min(own.len())..));
                }
            }
            loose.sort_by(|a, b| b.cmp(a));
            for (place, instance) in order.iter().enumerate() {
                let own = held.remove(instance).unwrap_or_default();
                let more = quota(place) - own.len();
                let given = std::iter::repeat_with(|| loose.pop()).take(more).flatten();
                for partition in own.into_iter().chain(given) {
                    *totals.entry(instance).or_default() += 1;
                    target.insert(partition, (topic.number, (*instance).to_owned()));
                }
            }
        }
        target
    }
}

impl Member {
    fn lives(&self) -> bool {
        self.closed_at.is_none()
    }

    fn expired(&self, now: LogTime, timeout_ms: i64) -> bool {
        self.closed_at.is_some_and(|closed| now.0.saturating_sub(closed.0) >= timeout_ms)
    }
}
