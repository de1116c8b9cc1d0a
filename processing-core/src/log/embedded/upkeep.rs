//! What happens to old rows: deleted by age, deleted below the start, compacted.
//!
//! Not here: who calls it and when.
//! Invariant: a step reads a bounded number of bytes, and what it leaves is a whole log.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use state::ordered::WriteSet;

use super::catalog::store_error;
use super::compaction::Pass;
use super::keys::{Ends, PartitionKey, StoredTopic};
use super::options::Durability;
use super::scan;
use super::writer::{Commits, Writer};
use crate::log::{Cleanup, LogError};
use crate::record::{LogTime, Offset, TopicPartition};

/// What one step of upkeep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Maintained {
    /// Rows that were deleted because all their records were too old.
    pub expired_rows: u64,
    /// Records that compaction left out.
    pub compacted_records: u64,
    /// Whether another step at once has something to do.
    pub more: bool,
}

/// What upkeep remembers from step to step; nothing of it is needed after a restart.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// Below it, a partition's rows are deleted in the store too.
    deleted: BTreeMap<PartitionKey, Offset>,
    /// The greatest time of a partition's first row, so that it is not read each time.
    oldest: BTreeMap<PartitionKey, (Offset, LogTime)>,
    /// Where the next step begins to look, so that each partition has its turn.
    turn: Option<TopicPartition>,
    pass: Option<Pass>,
}

/// A partition with all that upkeep asks of it.
pub(super) struct Kept {
    pub(super) partition: TopicPartition,
    pub(super) topic: StoredTopic,
    pub(super) key: PartitionKey,
    pub(super) ends: Ends,
}

pub(super) fn step(writer: &Writer, now: LogTime) -> Result<Maintained, LogError> {
    let mut commits = writer.commits();
    let Commits { upkeep, .. } = &mut *commits;
    let mut kept: Vec<Kept> = writer
        .present()
        .catalog
        .partitions()
        .map(|(partition, topic, ends)| {
            let key = PartitionKey { topic: topic.number, partition: partition.partition };
            Kept { partition, topic, key, ends }
        })
        .collect();
    upkeep.forget_all_but(&kept);
    let turn = upkeep.turn.take();
    let first = kept.iter().position(|k| Some(&k.partition) >= turn.as_ref()).unwrap_or(0);
    kept.rotate_left(first);

    let mut done = Maintained::default();
    let mut budget = writer.options.maintain_bytes_max;
    for partition in &mut kept {
        if budget == 0 {
            upkeep.turn = Some(partition.partition.clone());
            done.more = true;
            break;
        }
        done.expired_rows += upkeep.expire(writer, partition, now, &mut budget)?;
        upkeep.delete_below_start(writer, partition)?;
    }
    upkeep.compact(writer, &kept, now, &mut done)?;
    done.more |= writer.store.collect_by_need().map_err(store_error)?;
    Ok(done)
}

impl Upkeep {
    fn forget_all_but(&mut self, kept: &[Kept]) {
        let present = |key: &PartitionKey| kept.iter().any(|k| k.key == *key);
        // Only after a topic was deleted is there something to forget.
        if self.deleted.len() > kept.len() || self.oldest.len() > kept.len() {
            self.deleted.retain(|key, _| present(key));
            self.oldest.retain(|key, _| present(key));
        }
        if self.pass.as_ref().is_some_and(|pass| !present(&pass.key())) {
            self.pass = None;
        }
    }

    /// Moves the start over the rows at the front that are too old as a whole.
    fn expire(&mut self, writer: &Writer, kept: &mut Kept, now: LogTime, budget: &mut usize) -> Result<u64, LogError> {
        let settings = kept.topic.settings;
        let Some(retention_ms) = settings.retention_ms.filter(|_| settings.cleanup != Cleanup::Compact) else {
            return Ok(0);
        };
        let retention_ms = i64::try_from(retention_ms).unwrap_or(i64::MAX);
        let too_old = |time: LogTime| now.0.saturating_sub(time.0) > retention_ms;
        let oldest = self.oldest.get(&kept.key);
        if oldest.is_some_and(|(start, time)| *start == kept.ends.start && !too_old(*time)) {
            return Ok(0);
        }
        let mut start = kept.ends.start;
        let (mut rows, mut oldest) = (0, None);
        scan::rows(&writer.store, kept.key, start, kept.ends.next, |last, row, bytes| {
            if !too_old(row.max_time) {
                oldest = Some(row.max_time);
                return Ok(ControlFlow::Break(()));
            }
            start = last.next();
            rows += 1;
            *budget = budget.saturating_sub(bytes);
            Ok(if *budget == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        if rows > 0 {
            kept.ends.start = start;
            let mut write = WriteSet::new();
            write.put(&kept.key.ends(), &kept.ends.to_bytes());
            writer.write(&write, Durability::Os)?;
            writer.present().catalog.set_ends(&kept.partition, kept.ends);
        }
        if let Some(time) = oldest {
            self.oldest.insert(kept.key, (start, time));
        }
        Ok(rows)
    }

    /// Deletes the rows that lie wholly below the start, all with one range.
    fn delete_below_start(&mut self, writer: &Writer, kept: &Kept) -> Result<(), LogError> {
        let from = self.deleted.get(&kept.key).copied().unwrap_or(Offset::ZERO);
        let start = kept.ends.start;
        if start <= from {
            return Ok(());
        }
        let mut write = WriteSet::new();
        write.delete_range(&kept.key.row(from), &kept.key.row(start));
        writer.write(&write, Durability::Os)?;
        self.deleted.insert(kept.key, start);
        Ok(())
    }

    /// Goes on with the compaction under way, or begins one where it is due.
    fn compact(&mut self, writer: &Writer, kept: &[Kept], now: LogTime, done: &mut Maintained) -> Result<(), LogError> {
        if self.pass.is_none() {
            for partition in kept.iter().filter(|k| k.topic.settings.cleanup != Cleanup::Delete) {
                self.pass = Pass::begin_if_due(writer, partition)?;
                if self.pass.is_some() {
                    break;
                }
            }
        }
        let Some(mut pass) = self.pass.take() else {
            return Ok(());
        };
        let Some(partition) = kept.iter().find(|k| k.key == pass.key()) else {
            return Ok(());
        };
        // A pass that fails is forgotten and begun anew; what it has rewritten so far is whole.
        let finished = pass.step(writer, partition.ends, now, &mut done.compacted_records)?;
        done.more = true;
        if !finished {
            self.pass = Some(pass);
        }
        Ok(())
    }
}
