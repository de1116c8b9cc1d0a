//! Compaction of one partition: each key's last record stays, offsets stay, rows are packed anew.
//!
//! Not here: when it is called ([`super::upkeep`]).
//! Invariant: a record goes only when a later one of its key is in the log, or when it is a tombstone
//! that a finished or repeated pass met long enough ago; so each step leaves a log that replays to the
//! same table.

use std::ops::ControlFlow;

use rustc_hash::FxHashMap;
use state::ordered::WriteSet;

use super::catalog::{damaged_error, store_error};
use super::keys::{Cleaned, Ends, PartitionKey};
use super::row::{NO_HORIZON, NO_TIME, Row, RowBuilder};
use super::scan;
use super::upkeep::Kept;
use super::writer::Writer;
use crate::batch::RecordBatch;
use crate::log::LogError;
use crate::record::{LogTime, Offset};

/// A compaction under way.
#[derive(Debug)]
pub(super) struct Pass {
    key: PartitionKey,
    /// The last offset of each key among the records that came in since the last pass.
    latest: FxHashMap<Box<[u8]>, Offset>,
    latest_bytes: usize,
    stage: Stage,
    /// Records that stay, counted while rows are rewritten.
    records: u64,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Keys are noted from `next` to before `end`.
    Noting { next: Offset, end: Offset },
    /// Rows from `next` to before `end` are rewritten.
    Rewriting { next: Offset, end: Offset },
}

/// Rows that are packed together, with what their heads must say.
struct Packing {
    builder: RowBuilder,
    running_max: LogTime,
    horizon: LogTime,
    write: WriteSet<'static>,
}

impl Pass {
    pub(super) fn begin_if_due(writer: &Writer, kept: &Kept) -> Result<Option<Self>, LogError> {
        let cleaned = writer
            .store
            .with_value(&kept.key.cleaned(), Cleaned::from_bytes)
            .map_err(store_error)?
            .transpose()
            .map_err(|damaged| damaged_error(&format!("the compaction of {}", kept.partition), &damaged))?
            .unwrap_or_default();
        let from = cleaned.to.max(kept.ends.start);
        let fresh = kept.ends.next.0.saturating_sub(from.0);
        // As much that is fresh as was left last time: so the work is a constant for each record.
        if fresh < writer.options.compaction_records_min.max(1) || fresh < cleaned.records {
            return Ok(None);
        }
        Ok(Some(Self {
            key: kept.key,
            latest: FxHashMap::default(),
            latest_bytes: 0,
            stage: Stage::Noting { next: from, end: kept.ends.next },
            records: 0,
        }))
    }

    pub(super) fn key(&self) -> PartitionKey {
        self.key
    }

    /// One bounded step; answers whether the pass is finished.
    pub(super) fn step(
        &mut self,
        writer: &Writer,
        ends: Ends,
        now: LogTime,
        compacted: &mut u64,
    ) -> Result<bool, LogError> {
        match self.stage {
            Stage::Noting { next, end } => {
                self.note(writer, next, end, ends.start)?;
                Ok(false)
            }
            Stage::Rewriting { next, end } => self.rewrite(writer, next.max(ends.start), end, now, compacted),
        }
    }

    fn note(&mut self, writer: &Writer, from: Offset, end: Offset, start: Offset) -> Result<(), LogError> {
        let mut left = writer.options.maintain_bytes_max;
        let mut batch = RecordBatch::new();
        let (mut next, mut full) = (end, false);
        scan::rows(&writer.store, self.key, from, end, |last, row, bytes| {
            batch.clear();
            row.load(from, &mut batch)?;
            for record in batch.iter() {
                let Some(key) = record.key else { continue };
                match self.latest.get_mut(key) {
                    Some(latest) => *latest = record.offset,
                    None => {
                        self.latest_bytes += key.len() + ENTRY;
                        self.latest.insert(key.into(), record.offset);
                    }
                }
            }
            left = left.saturating_sub(bytes);
            full = self.latest_bytes >= writer.options.compaction_bytes_max;
            if left == 0 || full {
                next = last.next();
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.stage = if full || next >= end {
            Stage::Rewriting { next: start, end: next.min(end) }
        } else {
            Stage::Noting { next, end }
        };
        Ok(())
    }

    fn rewrite(
        &mut self,
        writer: &Writer,
        from: Offset,
        end: Offset,
        now: LogTime,
        compacted: &mut u64,
    ) -> Result<bool, LogError> {
        let keep_until = LogTime(now.0.saturating_add(writer.options.tombstone_retention.0));
        let mut left = writer.options.maintain_bytes_max;
        let mut batch = RecordBatch::new();
        let mut packing = Packing::new(RowBuilder::new(writer.options.row));
        let (mut next, mut kept_here, mut gone) = (end, 0, 0);
        scan::rows(&writer.store, self.key, from, end, |last, row, bytes| {
            batch.clear();
            row.load(Offset::ZERO, &mut batch)?;
            let stays = |index: usize| {
                batch.get(index).is_some_and(|record| match record.key {
                    None => true,
                    Some(key) => {
                        let latest = self.latest.get(key).is_none_or(|latest| *latest <= record.offset);
                        latest && (record.value.is_some() || now < row.horizon)
                    }
                })
            };
            let staying: Vec<usize> = (0..batch.len()).filter(|index| stays(*index)).collect();
            let tombstones = staying.iter().any(|i| batch.get(*i).is_some_and(|r| r.value.is_none()));
            kept_here += staying.len() as u64;
            gone += (batch.len() - staying.len()) as u64;

            let fresh_tombstones = tombstones && row.horizon == NO_HORIZON;
            let large = bytes * 2 >= writer.options.row.bytes || row.count as usize * 2 >= writer.options.row.records;
            if staying.len() == batch.len() && !fresh_tombstones && large {
                packing.end_row(self.key);
                packing.pass_by(&row);
            } else {
                packing.pass_by(&row);
                packing.write.delete(&self.key.row(last));
                let horizon = if fresh_tombstones { keep_until } else { row.horizon };
                for index in staying {
                    if let Some(record) = batch.get(index) {
                        packing.add(self.key, &record, horizon);
                    }
                }
            }
            left = left.saturating_sub(bytes);
            if left == 0 {
                next = last.next();
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        packing.end_row(self.key);
        self.records += kept_here;
        let finished = next >= end;
        if finished {
            let cleaned = Cleaned { to: end, records: self.records };
            packing.write.put(&self.key.cleaned(), &cleaned.to_bytes());
        }
        writer.write(&packing.write, writer.options.durability)?;
        *compacted += gone;
        self.stage = Stage::Rewriting { next, end };
        Ok(finished)
    }
}

/// What an entry of the map takes beside its key, near enough.
const ENTRY: usize = 48;

impl Packing {
    fn new(builder: RowBuilder) -> Self {
        Self { builder, running_max: NO_TIME, horizon: NO_TIME, write: WriteSet::new() }
    }

    fn add(&mut self, key: PartitionKey, record: &crate::batch::RecordRef<'_>, horizon: LogTime) {
        if !self.builder.push(record) {
            self.end_row(key);
            // An empty row takes any record.
            self.builder.push(record);
        }
        if record.value.is_none() && record.key.is_some() {
            self.horizon = self.horizon.max(horizon);
        }
    }

    /// What is written from here on holds records of this row or later ones, and must not fall below
    /// the greatest time so far. It may say too much: then a search by time begins too early, which
    /// costs a row and nothing else.
    fn pass_by(&mut self, row: &Row<'_>) {
        self.running_max = self.running_max.max(row.running_max);
    }

    /// Writes what was packed; deletes of the rows it replaces stand before it in the write.
    fn end_row(&mut self, key: PartitionKey) {
        let Some(mut row) = self.builder.seal() else {
            return;
        };
        row.running_max(self.running_max.max(row.max_time()));
        if self.horizon != NO_TIME {
            row.horizon(self.horizon);
        }
        self.horizon = NO_TIME;
        self.write.put(&key.row(row.last()), row.bytes());
    }
}
