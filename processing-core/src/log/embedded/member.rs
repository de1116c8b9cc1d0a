//! One member of a group: rebalances first, then records of the partitions it fetches, in turn.
//!
//! Not here: who gets what ([`super::group`]).
//! Invariant: a partition's records are handed out in offset order, once per `fetch`, and none after
//! its revoke, loss or release.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::catalog::{Standing, damaged_error, store_error};
use super::group::Told;
use super::keys;
use super::scan;
use super::writer::Writer;
use crate::batch::RecordBatch;
use crate::log::{FetchEpoch, GroupMetadata, GroupSource, LogError, Membership, Polled, Watermarks};
use crate::record::{Offset, TopicPartition};

pub(super) struct EmbeddedMember {
    writer: Arc<Writer>,
    membership: Membership,
    id: String,
    standing: Membered,
    held: BTreeSet<TopicPartition>,
    fetched: Vec<Fetched>,
    /// Whose turn it is among the fetched.
    turn: usize,
    /// The generation last heard of; it stays when the member is replaced.
    generation: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Membered {
    Joined,
    Replaced,
    Closed,
}

#[derive(Debug)]
struct Fetched {
    partition: TopicPartition,
    topic: u32,
    next: Offset,
    epoch: FetchEpoch,
    paused: bool,
}

impl EmbeddedMember {
    pub(super) fn join(writer: Arc<Writer>, membership: Membership) -> Result<Self, LogError> {
        let id = writer.join(&membership)?;
        let generation = writer.generation_seen(&membership, &id).unwrap_or(0);
        Ok(Self {
            writer,
            membership,
            id,
            standing: Membered::Joined,
            held: BTreeSet::new(),
            fetched: Vec::new(),
            turn: 0,
            generation,
        })
    }

    fn forget(&mut self, partitions: &[TopicPartition]) {
        self.fetched.retain(|fetched| !partitions.contains(&fetched.partition));
        for partition in partitions {
            self.held.remove(partition);
        }
    }

    fn fenced(&self) -> LogError {
        let Membership { group, instance, .. } = &self.membership;
        LogError::Fenced(match self.standing {
            Membered::Closed => format!("member {} of group {group} is closed", self.id),
            _ => format!("another member of group {group} holds the instance {instance} now"),
        })
    }

    fn news(&mut self) -> Result<Option<Polled>, LogError> {
        if self.standing != Membered::Joined {
            return Err(self.fenced());
        }
        let told = self.writer.poll_group(&self.membership, &self.id);
        if let Some(seen) = self.writer.generation_seen(&self.membership, &self.id) {
            self.generation = seen;
        }
        Ok(match told {
            Told::Nothing => None,
            Told::Assigned(partitions) => {
                self.held.extend(partitions.iter().cloned());
                Some(Polled::Assigned(partitions))
            }
            Told::Revoked(partitions) => {
                self.forget(&partitions);
                Some(Polled::Revoked(partitions))
            }
            Told::Lost(partitions) => {
                self.forget(&partitions);
                Some(Polled::Lost(partitions))
            }
            Told::Replaced => {
                self.standing = Membered::Replaced;
                self.fetched.clear();
                let lost: Vec<_> = std::mem::take(&mut self.held).into_iter().collect();
                if lost.is_empty() {
                    return Err(self.fenced());
                }
                Some(Polled::Lost(lost))
            }
        })
    }

    fn records(&mut self, batch: &mut RecordBatch) -> Result<Polled, LogError> {
        for _ in 0..self.fetched.len() {
            self.turn = (self.turn + 1) % self.fetched.len();
            let Some(fetched) = self.fetched.get_mut(self.turn).filter(|f| !f.paused) else {
                continue;
            };
            let partition = &fetched.partition;
            let standing = self.writer.standing(partition)?;
            if standing.key.topic != fetched.topic {
                return Err(LogError::Unknown(partition.clone()));
            }
            let Watermarks { start, high, .. } = standing.watermarks();
            if fetched.next < start || fetched.next > high {
                return Err(LogError::Fatal(format!(
                    "{partition} is read at offset {}, but holds only {start} to {high}: what is \
                     missing was deleted by retention or purge; `streamfleet reprocess` begins anew",
                    fetched.next
                )));
            }
            let enough = self.writer.options.row;
            if let Some(next) = scan::load(&self.writer.store, standing, fetched.next, enough, batch)? {
                fetched.next = next;
                let (partition, epoch) = (partition.clone(), fetched.epoch);
                return Ok(Polled::Records { partition, next, epoch });
            }
        }
        Ok(Polled::Nothing)
    }

    fn fetched(&mut self, partition: &TopicPartition) -> Option<&mut Fetched> {
        self.fetched.iter_mut().find(|fetched| fetched.partition == *partition)
    }
}

impl GroupSource for EmbeddedMember {
    fn poll(&mut self, batch: &mut RecordBatch) -> Result<Polled, LogError> {
        batch.clear();
        match self.news()? {
            Some(news) => Ok(news),
            None => self.records(batch),
        }
    }

    fn fetch(&mut self, partition: &TopicPartition, from: Offset, epoch: FetchEpoch) -> Result<(), LogError> {
        if self.standing != Membered::Joined {
            return Err(self.fenced());
        }
        let Standing { key, .. } = self.writer.standing(partition)?;
        let partition = partition.clone();
        let fetched = Fetched { partition, topic: key.topic, next: from, epoch, paused: false };
        match self.fetched(&fetched.partition) {
            Some(present) => *present = fetched,
            None => self.fetched.push(fetched),
        }
        Ok(())
    }

    fn pause(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        if let Some(fetched) = self.fetched(partition) {
            fetched.paused = true;
        }
        Ok(())
    }

    fn resume(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        if let Some(fetched) = self.fetched(partition) {
            fetched.paused = false;
        }
        Ok(())
    }

    fn release(&mut self, partition: &TopicPartition) -> Result<(), LogError> {
        self.fetched.retain(|fetched| fetched.partition != *partition);
        self.writer.release(&self.membership, &self.id, partition);
        Ok(())
    }

    fn committed(&mut self, partition: &TopicPartition) -> Result<Option<Offset>, LogError> {
        let Standing { key, .. } = self.writer.standing(partition)?;
        let key = keys::position(&self.membership.group, key);
        let found = self.writer.store.with_value(&key, keys::position_from_bytes).map_err(store_error)?;
        let what = || format!("the position of group {} in {partition}", self.membership.group);
        found.transpose().map_err(|damaged| damaged_error(&what(), &damaged))
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<Watermarks, LogError> {
        Ok(self.writer.standing(partition)?.watermarks())
    }

    fn group_metadata(&self) -> GroupMetadata {
        GroupMetadata {
            group: self.membership.group.clone(),
            generation: self.generation,
            member: self.id.clone(),
            instance: self.membership.instance.clone(),
        }
    }

    fn close(&mut self) {
        if self.standing == Membered::Joined {
            self.standing = Membered::Closed;
            self.fetched.clear();
            self.writer.close_member(&self.membership, &self.id);
        }
    }
}

impl Drop for EmbeddedMember {
    fn drop(&mut self) {
        self.close();
    }
}
