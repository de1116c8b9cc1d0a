//! One partition as a Kafka broker keeps it: records, transaction markers, holes.
//!
//! Not here: who writes, when a marker comes, and what a reader does with what it reads.
//! Invariant: offsets only rise and are never given twice; nothing at or above the last stable
//! offset is ever read as committed.
//!
//! ```text
//!   offset   0   1   2   3   4   5   6   7   8
//!            r   t1  t1  r   C1  t2  r   t3  A3       C/A: marker of transaction n
//!          start             LSO ─┘                high = 9
//! ```

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::OwnedRecord;
use crate::batch::{Headers, RecordBatch, RecordRef};
use crate::log::Watermarks;
use crate::record::{LogTime, Offset};

/// One transaction of one producer, numbered over the whole log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TxnNumber(pub(super) u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Committed,
    Undecided(TxnNumber),
    Aborted,
    Marker,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: u64,
    /// When it was written, by the log's clock, whatever its timestamp says.
    written: LogTime,
    standing: Standing,
}

/// How far a read goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// At most so many records.
    pub(super) records: usize,
    /// Whether markers and aborted records behind the last record are passed too.
    pub(super) trailing: bool,
}

#[derive(Debug, Default)]
pub(super) struct PartitionLog {
    /// The contents of `entries`, one by one; a marker's is empty.
    contents: RecordBatch,
    entries: Vec<Entry>,
    start: u64,
    end: u64,
    /// First offsets of the transactions that are not decided here.
    open: BTreeMap<TxnNumber, u64>,
}

impl PartitionLog {
    pub(super) fn watermarks(&self) -> Watermarks {
        Watermarks { start: Offset(self.start), last_stable: Offset(self.last_stable()), high: Offset(self.end) }
    }

    fn last_stable(&self) -> u64 {
        self.open.values().min().map_or(self.end, |first| (*first).max(self.start))
    }

    /// Appends records, within a transaction or plainly; returns one past the last.
    pub(super) fn append(
        &mut self,
        records: &RecordBatch,
        txn: Option<TxnNumber>,
        now: LogTime,
        log_append_time: bool,
    ) -> Offset {
        if let Some(txn) = txn
            && !records.is_empty()
        {
            self.open.entry(txn).or_insert(self.end);
        }
        let standing = txn.map_or(Standing::Committed, Standing::Undecided);
        for record in records.iter() {
            let timestamp = if log_append_time { now } else { record.timestamp };
            self.push(RecordRef { offset: Offset(self.end), timestamp, ..record }, standing, now);
        }
        Offset(self.end)
    }

    fn push(&mut self, record: RecordRef<'_>, standing: Standing, written: LogTime) {
        self.contents.push(record);
        self.entries.push(Entry { offset: self.end, written, standing });
        self.end += 1;
    }

    /// Writes a transaction's marker, which decides its records here and takes an offset itself.
    pub(super) fn mark(&mut self, txn: TxnNumber, commit: bool, now: LogTime) {
        if let Some(first) = self.open.remove(&txn) {
            let from = self.index_of(first);
            let decided = if commit { Standing::Committed } else { Standing::Aborted };
            for entry in &mut self.entries[from..] {
                if entry.standing == Standing::Undecided(txn) {
                    entry.standing = decided;
                }
            }
        }
        let marker =
            RecordRef { offset: Offset(self.end), timestamp: now, key: None, value: None, headers: Headers::NONE };
        self.push(marker, Standing::Marker, now);
    }

    fn index_of(&self, offset: u64) -> usize {
        self.entries.partition_point(|entry| entry.offset < offset)
    }

    /// Reads committed records from `from`, which lies within start and high, and appends them to
    /// `batch`; returns where reading goes on.
    pub(super) fn read(&self, from: Offset, reach: Reach, batch: &mut RecordBatch) -> Offset {
        let stable = self.last_stable();
        let mut behind_record = from.0;
        let mut passed = from.0;
        let mut index = self.index_of(from.0.max(self.start));
        loop {
            let Some(entry) = self.entries.get(index).filter(|entry| entry.offset < stable) else {
                // Holes that compaction left before the last stable offset are passed as well.
                passed = passed.max(stable);
                break;
            };
            if entry.standing == Standing::Committed {
                if batch.len() == reach.records {
                    break;
                }
                if let Some(record) = self.contents.get(index) {
                    batch.push(record);
                }
                behind_record = entry.offset + 1;
            }
            passed = entry.offset + 1;
            index += 1;
        }
        Offset(if reach.trailing || batch.is_empty() { passed } else { behind_record })
    }

    /// All committed records below the last stable offset.
    pub(super) fn committed(&self) -> Vec<OwnedRecord> {
        let mut batch = RecordBatch::new();
        self.read(Offset(self.start), Reach { records: usize::MAX, trailing: true }, &mut batch);
        batch.iter().map(OwnedRecord::from).collect()
    }

    /// The keys of the same records, and when each was written, whatever its timestamp says.
    pub(super) fn written(&self) -> Vec<(Option<Vec<u8>>, LogTime)> {
        let stable = self.last_stable();
        let entries = self.entries.iter().enumerate();
        let committed = entries
            .filter(|(_, entry)| (self.start..stable).contains(&entry.offset) && entry.standing == Standing::Committed);
        let key = |index| self.contents.get(index).and_then(|record| record.key).map(<[u8]>::to_vec);
        committed.map(|(index, entry)| (key(index), entry.written)).collect()
    }

    /// The first committed record of this log time or later.
    pub(super) fn offset_for_time(&self, time: LogTime) -> Option<Offset> {
        let stable = self.last_stable();
        let from = self.index_of(self.start);
        (from..self.entries.len())
            .take_while(|index| self.entries[*index].offset < stable)
            .filter(|index| self.entries[*index].standing == Standing::Committed)
            .filter_map(|index| self.contents.get(index))
            .find(|record| record.timestamp >= time)
            .map(|record| record.offset)
    }

    /// Deletes what is below `before`; never more than there is.
    pub(super) fn purge(&mut self, before: Offset) {
        self.start = self.start.max(before.0.min(self.end));
        let dead = self.index_of(self.start);
        if dead > 0 && dead * 2 >= self.entries.len() {
            self.keep(|index, _, _| index >= dead);
        }
    }

    /// Deletes the stable records at the beginning whose timestamp is before `cutoff`.
    pub(super) fn retain(&mut self, cutoff: LogTime) {
        let stable = self.last_stable();
        let from = self.index_of(self.start);
        let first_kept = (from..self.entries.len()).find(|index| {
            self.entries[*index].offset >= stable
                || self.contents.get(*index).is_none_or(|record| record.timestamp >= cutoff)
        });
        let before = first_kept.map_or(stable, |index| self.entries[index].offset);
        self.purge(Offset(before));
    }

    /// Keeps, below `bound` and the last stable offset, only the last committed record of each key;
    /// tombstones and markers written before `forget` go too. Offsets stay as they are.
    pub(super) fn compact(&mut self, bound: Offset, forget: LogTime) {
        let bound = bound.0.min(self.last_stable());
        let from = self.index_of(self.start);
        let mut last: FxHashMap<Vec<u8>, u64> = FxHashMap::default();
        for index in from..self.index_of(bound) {
            if self.entries[index].standing == Standing::Committed
                && let Some(record) = self.contents.get(index)
                && let Some(key) = record.key
            {
                last.insert(key.to_vec(), self.entries[index].offset);
            }
        }
        self.keep(|_, entry, record| {
            if entry.offset >= bound {
                return true;
            }
            match entry.standing {
                Standing::Undecided(_) => true,
                Standing::Aborted => false,
                Standing::Marker => entry.written >= forget,
                Standing::Committed => {
                    let latest = record.key.is_none_or(|key| last.get(key) == Some(&entry.offset));
                    latest && (record.value.is_some() || entry.written >= forget)
                }
            }
        });
    }

    fn keep(&mut self, wanted: impl Fn(usize, &Entry, RecordRef<'_>) -> bool) {
        let mut contents = RecordBatch::new();
        let mut entries = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            if let Some(record) = self.contents.get(index)
                && wanted(index, entry, record)
            {
                contents.push(record);
                entries.push(*entry);
            }
        }
        self.contents = contents;
        self.entries = entries;
    }
}
