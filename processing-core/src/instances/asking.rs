//! A query for rows that may be anybody's: which tasks have them, who has those, and one answer of all.
//!
//! Invariant: each task is asked of one instance at a time, at most twice, and counts once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::forward::{self, Errand, Refusal};
use super::note::{Claim, Hold};
use super::table::Owner;
use super::wire::{Head, Question};
use super::{Ground, Instances, Presence, StoreTasks};
use crate::limits::{HTTP_BODY_BYTES_MAX, OWNER_RETRY, RESTORE_RETRY};
use crate::log::partition_for_key;
use crate::query::{Answer, Gathered, Inquiry, Queries, QueryError};
use crate::record::DurationMs;
use crate::task::TaskId;

/// An instance and its address.
type Peer = (String, String);

impl Instances {
    /// The rows that an inquiry is about, wherever they are; `None` while this instance does not take part.
    pub(crate) fn ask(&self, queries: &Queries, inquiry: &Arc<Inquiry>) -> Option<Result<Answer, QueryError>> {
        if self.lock().presence == Presence::Silent {
            return None;
        }
        Some(self.gather(queries, inquiry))
    }

    fn gather(&self, queries: &Queries, inquiry: &Arc<Inquiry>) -> Result<Answer, QueryError> {
        let Some(ground) = self.shared.ground.get() else {
            return Err(QueryError::Restoring(inquiry.store.clone()));
        };
        let Some(StoreTasks { sub_topology, tasks }) = ground.stores.get(inquiry.store.as_str()).copied() else {
            return Err(QueryError::NoSuchStore(inquiry.store.clone()));
        };
        let mut missing: BTreeSet<u32> = match &inquiry.group {
            Some(group) => [partition_for_key(group, tasks).0].into(),
            None => (0..tasks).collect(),
        };
        let mut gathered = Gathered::default();
        let mut last = Round::default();
        for round in 0..2 {
            if round > 0 {
                // Whoever had them may have given them up since: what is known is refreshed once.
                self.refresh();
            }
            last = self.plan(queries, sub_topology, &missing);
            last.here(queries, inquiry, &mut gathered, &mut missing)?;
            last.elsewhere(self.head(ground, inquiry), inquiry, &mut gathered, &mut missing)?;
            if missing.is_empty() {
                return gathered.answer(&inquiry.store);
            }
        }
        let Some(partition) = missing.first().copied() else { return gathered.answer(&inquiry.store) };
        let absence = last.absent.remove(&partition).unwrap_or(Absence::NOBODY);
        Err(absence.into_error(&inquiry.store, TaskId { sub_topology, partition }))
    }

    /// Who is to be asked for which tasks.
    fn plan(&self, queries: &Queries, sub_topology: u16, missing: &BTreeSet<u32>) -> Round {
        let now = self.shared.clock.elapsed();
        let inner = self.lock();
        let mut round = Round::default();
        for partition in missing.iter().copied() {
            let task = TaskId { sub_topology, partition };
            let own = inner.claim(task);
            let younger = |owner: &Owner| own.is_none_or(|own| owner.claim.generation > own.generation);
            match (inner.other_owner(self.name(), task, now).filter(younger), own) {
                (Some(owner), _) => round.seek(partition, owner),
                (None, Some(Claim { hold: Hold::Running, .. })) => {
                    round.here.insert(partition);
                }
                (None, Some(Claim { hold: Hold::Restoring, .. })) => {
                    let why = format!("is being restored on instance {}, which was asked", self.name());
                    round.miss(partition, why, Some(self.name().to_owned()), queries.restored_in(task));
                }
                (None, None) => {}
            }
        }
        round
    }

    fn head(&self, ground: &Ground, inquiry: &Inquiry) -> Head {
        Head {
            app: ground.app.clone(),
            epoch: self.lock().epoch,
            instance: String::new(),
            store: inquiry.store.clone(),
            tasks: Vec::new(),
        }
    }
}

/// Who is asked in one go, and who could not be.
#[derive(Default)]
struct Round {
    here: BTreeSet<u32>,
    elsewhere: BTreeMap<Peer, BTreeSet<u32>>,
    absent: BTreeMap<u32, Absence>,
}

impl Round {
    /// A task that another instance has.
    fn seek(&mut self, partition: u32, owner: Owner) {
        let Owner { instance, address, claim } = owner;
        match (address, claim.hold) {
            (None, _) => {
                let why = format!("is on instance {instance}, which cannot be asked: set `http.advertised` there");
                self.miss(partition, why, Some(instance), OWNER_RETRY);
            }
            (Some(address), Hold::Running) => {
                self.elsewhere.entry((instance, address)).or_default().insert(partition);
            }
            (Some(address), Hold::Restoring) => {
                let why = format!("is being restored on instance {instance} ({address})");
                self.miss(partition, why, Some(instance), RESTORE_RETRY);
            }
        }
    }

    fn miss(&mut self, partition: u32, why: String, instance: Option<String>, after: DurationMs) {
        self.absent.insert(partition, Absence { why, instance, after });
    }

    fn here(
        &mut self,
        queries: &Queries,
        inquiry: &Arc<Inquiry>,
        gathered: &mut Gathered,
        missing: &mut BTreeSet<u32>,
    ) -> Result<(), QueryError> {
        if self.here.is_empty() {
            return Ok(());
        }
        for partition in queries.ask_here(inquiry, Some(&self.here), gathered)? {
            missing.remove(&partition);
        }
        Ok(())
    }

    fn elsewhere(
        &mut self,
        head: Head,
        inquiry: &Inquiry,
        gathered: &mut Gathered,
        missing: &mut BTreeSet<u32>,
    ) -> Result<(), QueryError> {
        let peers = std::mem::take(&mut self.elsewhere);
        if peers.is_empty() {
            return Ok(());
        }
        let mut errands = Vec::new();
        for ((instance, address), tasks) in &peers {
            let head = Head { instance: instance.clone(), tasks: tasks.iter().copied().collect(), ..head.clone() };
            let body = Question { head, ranges: inquiry.ranges.clone() }.to_bytes();
            if body.len() > HTTP_BODY_BYTES_MAX {
                return Err(QueryError::TooMuchAsked);
            }
            errands.push(Errand { address: address.clone(), body });
        }
        let peers: Vec<(Peer, BTreeSet<u32>)> = peers.into_iter().collect();
        forward::send_all(errands, |number, found| {
            let Some(((instance, address), tasks)) = peers.get(number) else { return Ok(()) };
            match found {
                Ok(found) => {
                    gathered.take(found.rows, Some(found.time))?;
                    missing.retain(|partition| !tasks.contains(partition));
                    return Ok(());
                }
                Err(Refusal::TooLarge) => return Err(QueryError::TooLarge),
                Err(Refusal::Other { why, after }) => {
                    let why = format!("is on instance {instance} ({address}), {why}");
                    let absence = Absence { why, instance: Some(instance.clone()), after };
                    self.absent.extend(tasks.iter().map(|partition| (*partition, absence.clone())));
                }
            }
            Ok(())
        })
    }
}

/// Why a task does not answer.
#[derive(Debug, Clone)]
struct Absence {
    /// Continues "task 0_3".
    why: String,
    instance: Option<String>,
    after: DurationMs,
}

impl Absence {
    const NOBODY: Self = Self { why: String::new(), instance: None, after: OWNER_RETRY };

    fn into_error(self, store: &str, task: TaskId) -> QueryError {
        let why = if self.why.is_empty() {
            "has nobody at present: its last owner has gone, and it waits for that one or moves to another".to_owned()
        } else {
            self.why
        };
        QueryError::NotNow { store: store.to_owned(), task, instance: self.instance, why, after: self.after }
    }
}
