//! Consumer groups: static members, cooperative rebalances, sessions, and committed positions.
//!
//! Not here: what a member's connection remembers (`source`), and which records it reads.
//! Invariant: a partition has at most one owner, and gets another only when the owner has released it
//! or is no longer a member.
//!
//! ```text
//!   target: who shall have it      owner: who has it      Member::told: what it believes
//!   target != owner  ──▶ Revoked to the owner ──▶ release ──▶ owner = target ──▶ Assigned
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::MemoryOptions;
use super::broker::Broker;
use super::partition::TxnNumber;
use crate::log::GroupMetadata;
use crate::record::{Offset, TopicName, TopicPartition};

/// Tells apart the connections that took the same instance name one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Connection(pub(super) u64);

#[derive(Debug)]
pub(super) struct Member {
    /// `None` once it crashed: nobody speaks for the instance until it comes back.
    connection: Option<Connection>,
    anchors: Vec<TopicName>,
    last_poll: i64,
    /// What its connection was told that it holds.
    told: BTreeSet<TopicPartition>,
    /// What of it was asked back, and since when.
    revoking: BTreeMap<TopicPartition, i64>,
    /// To be taken away and given back, with no other member to move it to.
    bounce: BTreeSet<TopicPartition>,
}

/// How a connection stands with its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Membership {
    Current,
    /// Declared dead; it may join again.
    Dead,
    /// Another connection has taken the instance, or the test crashed it.
    Replaced,
}

/// A rebalance message for a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
}

#[derive(Debug, Default)]
pub(super) struct Group {
    generation: u64,
    members: BTreeMap<String, Member>,
    target: BTreeMap<TopicPartition, String>,
    owner: BTreeMap<TopicPartition, String>,
    /// Each with its place in the order of the offsets partition.
    committed: BTreeMap<TopicPartition, (u64, Offset)>,
    pending: BTreeMap<TxnNumber, BTreeMap<TopicPartition, (u64, Offset)>>,
    offset_writes: u64,
}

impl Group {
    // Positions.

    pub(super) fn stage_offsets(&mut self, txn: TxnNumber, positions: &[(TopicPartition, Offset)]) {
        let pending = self.pending.entry(txn).or_default();
        for (at, offset) in positions {
            self.offset_writes += 1;
            pending.insert(at.clone(), (self.offset_writes, *offset));
        }
    }

    pub(super) fn decide_offsets(&mut self, txn: TxnNumber, commit: bool) {
        for (at, written) in self.pending.remove(&txn).unwrap_or_default() {
            if commit && self.committed.get(&at).is_none_or(|standing| standing.0 < written.0) {
                self.committed.insert(at, written);
            }
        }
    }

    pub(super) fn is_undecided(&self, at: &TopicPartition) -> bool {
        self.pending.values().any(|positions| positions.contains_key(at))
    }

    pub(super) fn committed(&self, at: &TopicPartition) -> Option<Offset> {
        self.committed.get(at).map(|(_, offset)| *offset)
    }

    pub(super) fn offsets(&self) -> Vec<(TopicPartition, Offset)> {
        self.committed.iter().map(|(at, (_, offset))| (at.clone(), *offset)).collect()
    }

    pub(super) fn set_offset(&mut self, at: &TopicPartition, offset: Option<Offset>) {
        self.offset_writes += 1;
        match offset {
            Some(offset) => drop(self.committed.insert(at.clone(), (self.offset_writes, offset))),
            None => drop(self.committed.remove(at)),
        }
    }

    pub(super) fn forget_topic(&mut self, name: &TopicName) {
        self.committed.retain(|at, _| at.topic != *name);
        for positions in self.pending.values_mut() {
            positions.retain(|at, _| at.topic != *name);
        }
    }

    // Members.

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn standing(&self, instance: &str, connection: Connection) -> Membership {
        match self.members.get(instance) {
            None => Membership::Dead,
            Some(member) if member.connection == Some(connection) => Membership::Current,
            Some(_) => Membership::Replaced,
        }
    }

    /// Whether this is what the group would answer now if it were asked for its metadata.
    pub(super) fn is_current(&self, metadata: &GroupMetadata) -> bool {
        metadata.generation == self.generation
            && self
                .members
                .get(&metadata.instance)
                .and_then(|member| member.connection)
                .is_some_and(|connection| member_name(&metadata.instance, connection) == metadata.member)
    }

    fn join(&mut self, instance: &str, connection: Connection, anchors: &[TopicName], now: i64) {
        let member = Member {
            connection: Some(connection),
            anchors: anchors.to_vec(),
            last_poll: now,
            told: BTreeSet::new(),
            revoking: BTreeMap::new(),
            bounce: BTreeSet::new(),
        };
        let known = self.members.insert(instance.to_owned(), member);
        // A static member that comes back with the same subscription causes no rebalance.
        if known.is_none_or(|known| known.anchors != anchors) {
            self.generation += 1;
        }
    }

    pub(super) fn polled(&mut self, instance: &str, now: i64) {
        if let Some(member) = self.members.get_mut(instance) {
            member.last_poll = now;
        }
    }

    /// The next thing that the group has to tell a member, and remembers that it did.
    pub(super) fn notice(&mut self, instance: &str, now: i64) -> Option<Notice> {
        let member = self.members.get_mut(instance)?;
        let lost: Vec<_> = member.told.iter().filter(|at| !self.target.contains_key(*at)).cloned().collect();
        if !lost.is_empty() {
            for at in &lost {
                member.told.remove(at);
                member.revoking.remove(at);
                member.bounce.remove(at);
            }
            return Some(Notice::Lost(lost));
        }
        let revoked: Vec<_> = member
            .told
            .iter()
            .filter(|at| self.target.get(*at).is_none_or(|to| to != instance) || member.bounce.contains(*at))
            .filter(|at| !member.revoking.contains_key(*at))
            .cloned()
            .collect();
        if !revoked.is_empty() {
            for at in &revoked {
                member.revoking.insert(at.clone(), now);
            }
            return Some(Notice::Revoked(revoked));
        }
        let assigned: Vec<_> = self
            .owner
            .iter()
            .filter(|(at, owner)| {
                *owner == instance && self.target.get(*at) == Some(*owner) && !member.told.contains(*at)
            })
            .map(|(at, _)| at.clone())
            .collect();
        if assigned.is_empty() {
            return None;
        }
        member.told.extend(assigned.iter().cloned());
        Some(Notice::Assigned(assigned))
    }

    /// Takes back a part of an assignment that has just been noticed, to be told by a later poll.
    pub(super) fn untell(&mut self, instance: &str, later: &[TopicPartition]) {
        if let Some(member) = self.members.get_mut(instance) {
            member.told.retain(|at| !later.contains(at));
        }
    }

    /// A member has served a revoke. Answers whether the partition was being revoked.
    pub(super) fn release(&mut self, instance: &str, at: &TopicPartition) -> bool {
        let Some(member) = self.members.get_mut(instance) else {
            return false;
        };
        if member.revoking.remove(at).is_none() {
            return false;
        }
        member.told.remove(at);
        member.bounce.remove(at);
        self.settle_owners();
        true
    }

    pub(super) fn is_revoking(&self, instance: &str, at: &TopicPartition) -> bool {
        self.members.get(instance).is_some_and(|member| member.revoking.contains_key(at))
    }

    fn crash(&mut self, instance: &str) -> Option<Connection> {
        self.members.get_mut(instance)?.connection.take()
    }

    /// When the next member will be declared dead, if nobody calls until then.
    pub(super) fn next_deadline(&self, options: &MemoryOptions) -> Option<i64> {
        self.members.values().map(|member| member.deadline(options)).min()
    }

    // Assignment.

    /// Deals out the anchors' partitions: evenly, and moving as few as possible.
    fn assign(&mut self, topics: &BTreeMap<TopicName, u32>) {
        let wanted = |member: &Member, at: &TopicPartition| member.anchors.contains(&at.topic);
        let all: Vec<TopicPartition> = topics
            .iter()
            .filter(|(name, _)| self.members.values().any(|member| member.anchors.contains(name)))
            .flat_map(|(name, partitions)| (0..*partitions).map(|p| TopicPartition::new(name.clone(), p)))
            .collect();
        let mut load: BTreeMap<&str, usize> = self.members.keys().map(|name| (name.as_str(), 0)).collect();
        let readers = self.members.values().filter(|member| !member.anchors.is_empty()).count();
        let quota = all.len().div_ceil(readers.max(1));
        let mut target: BTreeMap<TopicPartition, String> = BTreeMap::new();
        for at in &all {
            if let Some(name) = self.target.get(at)
                && let Some(member) = self.members.get(name)
                && wanted(member, at)
                && let Some(count) = load.get_mut(name.as_str())
                && *count < quota
            {
                *count += 1;
                target.insert(at.clone(), name.clone());
            }
        }
        let eligible = |at: &TopicPartition, load: &BTreeMap<&str, usize>| {
            let members = self.members.iter().filter(|(_, member)| wanted(member, at));
            members.map(|(name, _)| (load.get(name.as_str()).copied().unwrap_or(0), name.clone())).min()
        };
        for at in &all {
            let present = target.get(at).cloned();
            let Some((least, name)) = eligible(at, &load) else {
                continue;
            };
            let full = present.as_ref().and_then(|present| load.get(present.as_str())).copied();
            if full.is_some_and(|full| full < least + 2) {
                continue;
            }
            if let Some(count) = present.as_ref().and_then(|present| load.get_mut(present.as_str())) {
                *count -= 1;
            }
            if let Some(count) = load.get_mut(name.as_str()) {
                *count += 1;
            }
            target.insert(at.clone(), name);
        }
        if target != self.target {
            self.target = target;
            self.generation += 1;
        }
        self.owner.retain(|at, _| self.target.contains_key(at));
        self.settle_owners();
    }

    /// Gives each partition that nobody holds to whom it is meant for.
    fn settle_owners(&mut self) {
        let mut moved = false;
        for (at, target) in &self.target {
            let owner = self.owner.get(at);
            let held = owner.and_then(|owner| self.members.get(owner)).is_some_and(|member| member.told.contains(at));
            if !held && owner != Some(target) {
                self.owner.insert(at.clone(), target.clone());
                moved = true;
            }
        }
        if moved {
            self.generation += 1;
        }
    }
}

impl Member {
    fn deadline(&self, options: &MemoryOptions) -> i64 {
        let session = self.last_poll.saturating_add_unsigned(options.session_timeout_ms);
        let revoke =
            self.revoking.values().min().map(|since| since.saturating_add_unsigned(options.rebalance_timeout_ms));
        revoke.map_or(session, |revoke| revoke.min(session))
    }
}

/// A member's name: a new one for each connection, so that the former holder of an instance is told
/// apart within the same generation.
pub(super) fn member_name(instance: &str, connection: Connection) -> String {
    format!("{instance}-{}", connection.0)
}

impl Broker {
    fn anchor_sizes(&self) -> BTreeMap<TopicName, u32> {
        self.topics.iter().map(|(name, topic)| (name.clone(), topic.info.settings.partitions)).collect()
    }

    pub(super) fn join(&mut self, group: &str, instance: &str, anchors: &[TopicName]) -> Connection {
        self.next_connection += 1;
        let connection = Connection(self.next_connection);
        let topics = self.anchor_sizes();
        let now = self.now;
        let group = self.groups.entry(group.to_owned()).or_default();
        group.join(instance, connection, anchors, now);
        group.assign(&topics);
        let generation = group.generation;
        self.note("join", &instance, connection.0, generation);
        connection
    }

    pub(super) fn reassign_all(&mut self) {
        let topics = self.anchor_sizes();
        self.groups.values_mut().for_each(|group| group.assign(&topics));
    }

    /// Declares a member dead in every group: its partitions go to others at once. Answers whether it
    /// was a member of any.
    pub(super) fn expire(&mut self, instance: &str) -> bool {
        let topics = self.anchor_sizes();
        let mut found = false;
        for group in self.groups.values_mut() {
            if group.members.remove(instance).is_some() {
                found = true;
                group.generation += 1;
                group.assign(&topics);
            }
        }
        if found {
            self.note("expire", &instance, 0, 0);
        }
        found
    }

    pub(super) fn time_out_members(&mut self) {
        let now = self.now;
        let expired: BTreeSet<String> = self
            .groups
            .values()
            .flat_map(|group| &group.members)
            .filter(|(_, member)| member.deadline(&self.options) <= now)
            .map(|(name, _)| name.clone())
            .collect();
        for instance in expired {
            self.expire(&instance);
        }
    }

    pub(super) fn expire_any(&mut self) {
        let names: Vec<String> = self.groups.values().flat_map(|group| group.members.keys().cloned()).collect();
        let index = self.dice.below(names.len());
        if let Some(name) = names.get(index) {
            self.expire(name);
        }
    }

    pub(super) fn crash(&mut self, instance: &str) -> bool {
        let crashed = self.groups.values_mut().filter_map(|group| group.crash(instance)).count();
        self.note("crash", &instance, crashed as u64, 0);
        crashed > 0
    }

    /// Moves one random partition of each group to another random member; with one member alone, away
    /// and back.
    pub(super) fn force_rebalance(&mut self) {
        let Self { groups, dice, .. } = self;
        for group in groups.values_mut() {
            let index = dice.below(group.target.len());
            let Some((at, holder)) = group.target.iter().nth(index).map(|(at, to)| (at.clone(), to.clone())) else {
                continue;
            };
            let others: Vec<&String> = group
                .members
                .iter()
                .filter(|(name, member)| **name != holder && member.anchors.contains(&at.topic))
                .map(|(name, _)| name)
                .collect();
            if let Some(other) = others.get(dice.below(others.len())) {
                group.target.insert(at, (*other).clone());
            } else if let Some(member) = group.members.get_mut(&holder)
                && member.told.contains(&at)
            {
                member.bounce.insert(at);
            }
            group.generation += 1;
            group.settle_owners();
        }
        self.note("force rebalance", &"", 0, 0);
    }

    /// A rebalance that moves nothing, yet makes older metadata of the group invalid.
    pub(super) fn rebalance_in_place(&mut self, group: &str) {
        if let Some(group) = self.groups.get_mut(group) {
            group.generation += 1;
        }
        self.note("rebalance", &group, 0, 0);
    }
}
