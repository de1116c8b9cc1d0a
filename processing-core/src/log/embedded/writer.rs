//! The one place that changes the log: commits, topics, groups, in one order for all threads.
//!
//! Not here: what a transaction gathers before it commits ([`super::producer`]) and what the upkeep
//! of old rows does ([`super::upkeep`]).
//! Invariant: memory says nothing that the store does not say already, and whatever could let a
//! partition change hands waits for a commit under way.
//!
//! ```text
//!   ORDER: `commits` before `present`. `commits` is held over a write to the disk, `present` never.
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use state::KeyRange;
use state::ordered::{OrderedStore, Sync as StoreSync, WriteSet};

use super::catalog::{Catalog, Standing, damaged_error, store_error};
use super::group::{Group, Told};
use super::keys::{self, Ends, Meta, StoredTopic};
use super::lock::FolderLock;
use super::options::{Durability, EmbeddedOptions};
use super::row::SealedRow;
use super::upkeep::Upkeep;
use crate::log::{GroupMetadata, LogError, Membership, TopicInfo, TopicSettings, TransactionalId};
use crate::record::{Offset, TopicId, TopicName, TopicPartition};

/// The state of a log's folder, shared by all that was opened from it.
pub(super) struct Writer {
    pub(super) store: OrderedStore,
    pub(super) options: EmbeddedOptions,
    commits: Mutex<Commits>,
    present: Mutex<Present>,
    _lock: FolderLock,
    #[cfg(test)]
    pub(super) fault: std::sync::atomic::AtomicBool,
}

/// What only commits and upkeep touch.
pub(super) struct Commits {
    meta: Meta,
    pub(super) upkeep: Upkeep,
}

/// What everybody looks at, briefly.
#[derive(Default)]
pub(super) struct Present {
    pub(super) catalog: Catalog,
    groups: BTreeMap<String, Group>,
    producers: BTreeMap<TransactionalId, u64>,
    /// Set by the first write that failed. What the disk holds of that write is unknown until the
    /// folder is opened again, so that nothing is written on top.
    failed: Option<LogError>,
}

/// Rows of one partition that are to be committed.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) topic: u32,
    pub(super) rows: Vec<SealedRow>,
}

/// One run of a transactional producer.
#[derive(Debug, Clone)]
pub(super) struct ProducerEpoch {
    pub(super) id: TransactionalId,
    pub(super) epoch: u64,
}

/// Why a commit did not happen, or perhaps did.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nothing was written: somebody newer is there.
    Fenced(String),
    /// Nothing was written.
    Impossible(LogError),
    /// The write failed, and only the next opening of the folder tells how far it came.
    Failed(LogError),
}

/// What a commit consists of, beside its rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'a> {
    pub(super) producer: Option<&'a ProducerEpoch>,
    pub(super) positions: &'a [(TopicPartition, Offset)],
    pub(super) group: Option<&'a GroupMetadata>,
    pub(super) durability: Durability,
}

impl Writer {
    pub(super) fn open(folder: &Path, options: EmbeddedOptions) -> Result<Self, LogError> {
        std::fs::create_dir_all(folder)
            .map_err(|error| LogError::Fatal(format!("cannot make the log's folder {}: {error}", folder.display())))?;
        refuse_foreign(folder)?;
        let lock = FolderLock::take(folder)?;
        let store = OrderedStore::open(&super::store_folder(folder), options.store.clone());
        let store = store.map_err(store_error)?;
        let meta = match load_meta(&store)? {
            Some(meta) => meta,
            None => {
                let meta = Meta { incarnation: uuid::Uuid::new_v4().as_u128(), next_topic: 0 };
                let mut write = WriteSet::new();
                write.put(&keys::META, &meta.to_bytes());
                store.write(&write, StoreSync::Disk).map_err(store_error)?;
                meta
            }
        };
        let catalog = Catalog::load(&store)?;
        Ok(Self {
            store,
            options,
            commits: Mutex::new(Commits { meta, upkeep: Upkeep::default() }),
            present: Mutex::new(Present { catalog, ..Present::default() }),
            _lock: lock,
            #[cfg(test)]
            fault: false.into(),
        })
    }

    pub(super) fn incarnation(&self) -> u128 {
        self.commits().meta.incarnation
    }

    // A panic elsewhere leaves both whole: they are changed only after the store, without a step
    // that can fail.
    pub(super) fn commits(&self) -> MutexGuard<'_, Commits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one way to the store; the caller holds `commits`.
    pub(super) fn write(&self, write: &WriteSet<'_>, durability: Durability) -> Result<(), LogError> {
        if let Some(failed) = &self.present().failed {
            return Err(failed.clone());
        }
        let sync = match durability {
            Durability::Os => StoreSync::Os,
            Durability::Disk => StoreSync::Disk,
        };
        let result = self.store_write(write, sync);
        result.map_err(|error| {
            let error = store_error(error);
            self.present().failed = Some(error.clone());
            error
        })
    }

    fn store_write(&self, write: &WriteSet<'_>, sync: StoreSync) -> Result<(), state::StoreError> {
        #[cfg(test)]
        if self.fault.load(std::sync::atomic::Ordering::SeqCst) {
            let detail = "the test says so".to_owned();
            return Err(state::StoreError::Full { path: "folder".into(), detail });
        }
        self.store.write(write, sync)
    }

    pub(super) fn standing(&self, partition: &TopicPartition) -> Result<Standing, LogError> {
        self.present().catalog.standing(partition)
    }

    /// Makes all rows and positions of a claim true at once; answers where each partition ends now.
    pub(super) fn commit(
        &self,
        pending: &mut BTreeMap<TopicPartition, Pending>,
        claim: Claim<'_>,
    ) -> Result<BTreeMap<TopicPartition, Option<Offset>>, Refusal> {
        let _commits = self.commits();
        let mut write = WriteSet::new();
        let mut new_ends = Vec::with_capacity(pending.len());
        {
            let present = self.present();
            present.check(claim)?;
            for (partition, position) in claim.positions {
                let key = present.catalog.standing(partition).map_err(Refusal::Impossible)?.key;
                let group = claim.group.map_or("", |metadata| &metadata.group);
                write.put(&keys::position(group, key), &keys::position_to_bytes(*position));
            }
            for (partition, rows) in pending.iter() {
                let standing = present.catalog.standing(partition).map_err(Refusal::Impossible)?;
                if standing.key.topic != rows.topic {
                    return Err(Refusal::Impossible(LogError::Unknown(partition.clone())));
                }
                let topic = present.catalog.get(&partition.topic);
                let stamped = topic.is_some_and(|topic| topic.stored.settings.log_append_time);
                new_ends.push((partition.clone(), standing, stamped));
            }
        }
        let now = (self.options.clock)();
        for ((_, standing, stamped), rows) in new_ends.iter_mut().zip(pending.values_mut()) {
            let Standing { key, ends } = standing;
            for row in &mut rows.rows {
                row.place(ends.next);
                if *stamped {
                    row.stamp(now);
                }
                ends.next = row.last().next();
                ends.max_time = ends.max_time.max(row.max_time());
                row.running_max(ends.max_time);
                write.put_lent(&key.row(row.last()), row.bytes());
            }
            write.put(&key.ends(), &ends.to_bytes());
        }
        if !write.is_empty() {
            self.write(&write, claim.durability).map_err(Refusal::Failed)?;
        }
        let mut present = self.present();
        let mut positions = BTreeMap::new();
        for (partition, standing, _) in new_ends {
            present.catalog.set_ends(&partition, standing.ends);
            positions.insert(partition, Some(standing.ends.next));
        }
        Ok(positions)
    }

    /// Makes `id`'s newest producer; older ones are fenced from now on.
    pub(super) fn new_producer(&self, id: &TransactionalId) -> Result<ProducerEpoch, LogError> {
        let _commits = self.commits();
        let mut present = self.present();
        present.usable()?;
        let epoch = present.producers.entry(id.clone()).or_default();
        *epoch += 1;
        Ok(ProducerEpoch { id: id.clone(), epoch: *epoch })
    }

    pub(super) fn check_producer(&self, producer: &ProducerEpoch) -> Result<(), LogError> {
        let present = self.present();
        present.usable()?;
        present.check_producer(producer).map_err(LogError::Fenced)
    }

    pub(super) fn join(&self, membership: &Membership) -> Result<String, LogError> {
        if membership.group.len() > usize::from(u16::MAX) {
            return Err(LogError::Fatal("a group's name has at most 65535 bytes".to_owned()));
        }
        // A takeover must not overtake a commit of the one that is taken over.
        let _commits = self.commits();
        let mut present = self.present();
        present.usable()?;
        let Present { groups, catalog, .. } = &mut *present;
        Ok(groups.entry(membership.group.clone()).or_default().join(membership, catalog))
    }

    pub(super) fn poll_group(&self, membership: &Membership, member: &str) -> Told {
        let now = (self.options.clock)();
        let timeout_ms = self.options.session_timeout.0;
        let mut present = self.present();
        let due = present.groups.get(&membership.group).is_some_and(|group| group.expiry_due(now, timeout_ms));
        if due {
            drop(present);
            let _commits = self.commits();
            let mut present = self.present();
            let Present { groups, catalog, .. } = &mut *present;
            if let Some(group) = groups.get_mut(&membership.group) {
                group.expire(now, timeout_ms, catalog);
                return group.poll(&membership.instance, member, catalog);
            }
            return Told::Replaced;
        }
        let Present { groups, catalog, .. } = &mut *present;
        match groups.get_mut(&membership.group) {
            Some(group) => group.poll(&membership.instance, member, catalog),
            None => Told::Replaced,
        }
    }

    pub(super) fn release(&self, membership: &Membership, member: &str, partition: &TopicPartition) {
        let mut present = self.present();
        let Present { groups, catalog, .. } = &mut *present;
        if let Some(group) = groups.get_mut(&membership.group) {
            group.release(&membership.instance, member, partition, catalog);
        }
    }

    pub(super) fn close_member(&self, membership: &Membership, member: &str) {
        let now = (self.options.clock)();
        if let Some(group) = self.present().groups.get_mut(&membership.group) {
            group.close(&membership.instance, member, now);
        }
    }

    pub(super) fn generation_seen(&self, membership: &Membership, member: &str) -> Option<u64> {
        self.present().groups.get(&membership.group)?.generation_seen(&membership.instance, member)
    }

    pub(super) fn create_topic(&self, name: &TopicName, settings: TopicSettings) -> Result<TopicInfo, LogError> {
        let mut commits = self.commits();
        if let Some(topic) = self.present().catalog.get(name) {
            return Ok(topic.info(name));
        }
        let stored =
            StoredTopic { number: commits.meta.next_topic, id: TopicId(uuid::Uuid::new_v4().as_u128()), settings };
        let meta = Meta { next_topic: stored.number + 1, ..commits.meta };
        let mut write = WriteSet::new();
        write.put(&keys::META, &meta.to_bytes());
        write.put(&keys::topic(name.as_str()), &stored.to_bytes());
        self.write(&write, Durability::Disk)?;
        commits.meta = meta;
        self.present().catalog.add(name.clone(), stored);
        Ok(TopicInfo { name: name.clone(), id: stored.id, settings })
    }

    pub(super) fn delete_topic(&self, name: &TopicName) -> Result<(), LogError> {
        let _commits = self.commits();
        let number = self.present().catalog.get(name).map(|topic| topic.stored.number);
        let Some(number) = number else {
            return Err(LogError::Unknown(TopicPartition::new(name.clone(), 0)));
        };
        let mut write = WriteSet::new();
        write.delete(&keys::topic(name.as_str()));
        for (from, to) in keys::ranges_of_topic(number) {
            write.delete_range(&from, &to);
        }
        let (from, to) = keys::ALL_POSITIONS;
        self.store
            .scan(KeyRange::new(&from, &to), |key, _| {
                if keys::partition_of_position(key).is_ok_and(|partition| partition.topic == number) {
                    write.delete(key);
                }
                std::ops::ControlFlow::Continue(())
            })
            .map_err(store_error)?;
        self.write(&write, Durability::Disk)?;
        self.present().catalog.remove(name);
        Ok(())
    }

    /// Moves the start of a partition up; the rows below go with the next upkeep.
    pub(super) fn purge(&self, partition: &TopicPartition, before: Offset) -> Result<(), LogError> {
        let _commits = self.commits();
        let Standing { key, ends } = self.standing(partition)?;
        let start = before.min(ends.next);
        if start <= ends.start {
            return Ok(());
        }
        let ends = Ends { start, ..ends };
        let mut write = WriteSet::new();
        write.put(&key.ends(), &ends.to_bytes());
        // A purge that a loss of power takes back is only repeated; nobody relies on it.
        self.write(&write, Durability::Os)?;
        self.present().catalog.set_ends(partition, ends);
        Ok(())
    }
}

impl Present {
    fn usable(&self) -> Result<(), LogError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn check_producer(&self, producer: &ProducerEpoch) -> Result<(), String> {
        let ProducerEpoch { id, epoch } = producer;
        match self.producers.get(id) {
            Some(newest) if newest == epoch => Ok(()),
            _ => Err(format!("a newer producer holds the transactional id {}", id.0)),
        }
    }

    fn check(&self, claim: Claim<'_>) -> Result<(), Refusal> {
        self.usable().map_err(Refusal::Impossible)?;
        if let Some(producer) = claim.producer {
            self.check_producer(producer).map_err(Refusal::Fenced)?;
        }
        // As in Kafka, a transaction without positions is checked against no generation.
        if let Some(metadata) = claim.group.filter(|_| !claim.positions.is_empty()) {
            let group = self.groups.get(&metadata.group);
            let known = group.ok_or_else(|| format!("there is no group {}", metadata.group));
            known.and_then(|group| group.check(metadata)).map_err(Refusal::Fenced)?;
        }
        Ok(())
    }
}

/// A folder with files and without a log is somebody else's.
fn refuse_foreign(folder: &Path) -> Result<(), LogError> {
    if super::store_folder(folder).is_dir() || FolderLock::file(folder).exists() {
        return Ok(());
    }
    match std::fs::read_dir(folder).map(|mut entries| entries.next()) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(LogError::Fatal(format!(
            "the folder {} holds files and no log; name an empty or a new one, or the folder of a log",
            folder.display()
        ))),
        Err(error) => Err(LogError::Fatal(format!("cannot read the log's folder {}: {error}", folder.display()))),
    }
}

pub(super) fn load_meta(store: &OrderedStore) -> Result<Option<Meta>, LogError> {
    match store.with_value(&keys::META, Meta::from_bytes).map_err(store_error)? {
        None => Ok(None),
        Some(meta) => meta.map(Some).map_err(|damaged| damaged_error("its head", &damaged)),
    }
}
