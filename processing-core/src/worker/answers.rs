//! What a worker tells about itself between two steps: committed rows, places in the input, rest.
//!
//! Not here: who asks ([`crate::query`], [`crate::threads`]). Invariant: nothing here changes what a
//! later step does, and no row is shown that a later abort could take back.

use std::collections::BTreeSet;

use state::Visit;

use super::{Nursery, StateHome, Worker};
use crate::error::CoreError;
use crate::log::partition_for_key;
use crate::plan::StorePlan;
use crate::query::Inquiry;
use crate::record::{EventTime, Offset, TopicPartition};
use crate::task::TaskId;

/// What came of a query to one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scan {
    /// No sub-topology has a store of this name.
    NoSuchStore,
    /// This task was asked, is here, and is not restored yet.
    Restoring(TaskId),
    /// Every row of the tasks asked was visited, or the visitor broke off. With the event time that all of
    /// them have committed: minus infinity where windows that are due still come out; `None` where no such
    /// task is here. And with the partitions of those tasks.
    Visited(Option<EventTime>, BTreeSet<u32>),
}

/// Where a task stands in one of its sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whose source it is.
    pub task: TaskId,
    /// The topic-partition.
    pub partition: TopicPartition,
    /// The next offset to be processed.
    pub next: Offset,
    /// Committed records from there on.
    pub lag: u64,
    /// Its event time: of an input the partition's stream time, of a repartition topic the time that all
    /// upstream tasks have reached.
    pub time: EventTime,
}

impl<H: StateHome, N: Nursery<H::Base>> Worker<H, N> {
    /// Visits the committed rows that are asked for, of all tasks or only of those with these partitions, task by
    /// task in the order of their numbers, each in the order of ranges and keys.
    pub fn query(
        &self,
        inquiry: &Inquiry,
        only: Option<&BTreeSet<u32>>,
        visit: &mut Visit<'_>,
    ) -> Result<Scan, CoreError> {
        let parts = self.layout.plan.sub_topologies().iter().zip(&self.layout.parts);
        let of_store = |plan: &&StorePlan| plan.name == inquiry.store;
        let found = parts.into_iter().find_map(|(part, laid)| Some((part, laid, part.stores.iter().find(of_store)?)));
        let Some((part, laid, plan)) = found else { return Ok(Scan::NoSuchStore) };
        let partition = inquiry.group.as_ref().map(|group| partition_for_key(group, laid.tasks).0);
        let asked = |id: &&TaskId| {
            id.sub_topology == part.number
                && partition.is_none_or(|partition| id.partition == partition)
                && only.is_none_or(|only| only.contains(&id.partition))
        };
        if let Some(id) = self.waiting.keys().chain(self.restoring.keys()).find(asked) {
            return Ok(Scan::Restoring(*id));
        }
        if let Some(task) = self.tasks.values().find(|task| asked(&&task.id) && task.is_upgrading()) {
            return Ok(Scan::Restoring(task.id));
        }
        let mut visited = BTreeSet::new();
        let mut reached: Option<EventTime> = None;
        let mut broken = false;
        for task in self.tasks.values().filter(|task| asked(&&task.id)) {
            visited.insert(task.id.partition);
            let time = if task.unfinished { EventTime::MIN } else { task.committed_time() };
            reached = Some(reached.map_or(time, |reached| reached.min(time)));
            for range in &inquiry.ranges {
                task.store.scan_committed(plan.column, range.as_range(), |key, value| {
                    let flow = visit(key, value);
                    broken = flow.is_break();
                    flow
                })?;
                if broken {
                    return Ok(Scan::Visited(reached, visited));
                }
            }
        }
        Ok(Scan::Visited(reached, visited))
    }

    /// The group's generation in which this worker has its tasks.
    pub fn generation(&self) -> u64 {
        self.source.group_metadata().generation
    }

    /// Where the running tasks stand in their sources.
    pub fn places(&mut self) -> Result<Vec<Place>, CoreError> {
        let mut places = Vec::new();
        for task in self.tasks.values() {
            for source in &task.sources {
                let marks = self.source.watermarks(&source.place)?;
                places.push(Place {
                    task: task.id,
                    partition: source.place.clone(),
                    next: source.next,
                    lag: marks.last_stable.0.saturating_sub(source.next.0),
                    time: source.reached(),
                });
            }
        }
        Ok(places)
    }

    /// Whether everything that was taken in is committed, closed and sent, as far as time has come.
    pub fn is_at_rest(&self) -> bool {
        self.waiting.is_empty()
            && self.restoring.is_empty()
            && self.oldest.is_none()
            && !self.shuffled
            && !self.moved
            && !self.tasks.values().any(|task| task.unfinished || task.waiting)
    }

    /// State that a crash now would lose and the changelogs would bring back, in bytes.
    pub fn unflushed_bytes(&self) -> usize {
        self.tasks.values().map(|task| task.store.unflushed_bytes()).sum()
    }
}
