//! What a worker tells about itself between two steps: committed rows, places in the input, rest.
//!
//! Not here: who asks ([`crate::query`], [`crate::threads`]). Invariant: nothing here changes what a
//! later step does, and no row is shown that a later abort could take back.

use state::{KeyRange, Visit};

use super::{Nursery, StateHome, Worker};
use crate::error::CoreError;
use crate::record::{EventTime, Offset, TopicPartition};
use crate::task::TaskId;

/// What came of a query to one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// No sub-topology has a store of this name.
    NoSuchStore,
    /// A task of the store is here and not restored yet.
    Restoring,
    /// Every row of this worker's tasks was visited, or the visitor broke off.
    Visited,
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
    /// Visits the committed rows of `range` of the store called `store`, task by task in the order of
    /// their numbers, each in the order of keys.
    pub fn query(&self, store: &str, range: KeyRange<'_>, visit: &mut Visit<'_>) -> Result<Scan, CoreError> {
        let parts = self.layout.plan.sub_topologies();
        let found = parts.iter().find_map(|part| Some((part, part.stores.iter().find(|plan| plan.name == store)?)));
        let Some((part, plan)) = found else { return Ok(Scan::NoSuchStore) };
        let of_store = |id: &TaskId| id.sub_topology == part.number;
        if self.waiting.keys().chain(self.restoring.keys()).any(of_store) {
            return Ok(Scan::Restoring);
        }
        let mut broken = false;
        for task in self.tasks.values().filter(|task| of_store(&task.id)) {
            task.store.scan_committed(plan.column, range, |key, value| {
                let flow = visit(key, value);
                broken = flow.is_break();
                flow
            })?;
            if broken {
                break;
            }
        }
        Ok(Scan::Visited)
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
            && !self.tasks.values().any(|task| task.unfinished || task.waiting)
    }

    /// State that a crash now would lose and the changelogs would bring back, in bytes.
    pub fn unflushed_bytes(&self) -> usize {
        self.tasks.values().map(|task| task.store.unflushed_bytes()).sum()
    }
}
