//! What a task writes about itself with every commit.
//!
//! Not here: committing ([`crate::commit`]). Invariant: the record of commit n stands in the same
//! transaction, and in the same batch of the store, as everything that commit n made true.
//!
//! It is one row of the meta column, bincode behind the state's format byte; fields are only ever
//! added, with a new format byte.

use serde::{Deserialize, Serialize};

use crate::record::{EventTime, Offset};
use crate::repartition::Upstreams;

/// A task's standing after a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommitRecord {
    /// Counts the task's commits from 1.
    pub(crate) number: u64,
    /// The state epoch, which reprocessing raises.
    pub(crate) epoch: u32,
    /// Every source, in the order of the chain.
    pub(crate) sources: Vec<SourceMark>,
    /// The ids of the changelog topics, by column.
    pub(crate) changelogs: Vec<Option<u128>>,
}

/// One source partition's standing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceMark {
    pub(crate) topic: String,
    pub(crate) topic_id: u128,
    pub(crate) next: Offset,
    pub(crate) time: TimeMark,
}

/// How far event time has come at a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TimeMark {
    Input(EventTime),
    Repartition(Upstreams),
}
