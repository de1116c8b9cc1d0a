//! A row of the log: a run of records of one partition, written and read at once.
//!
//! Not here: the keys under which rows stand ([`super::keys`]) and where a run is cut.
//! Invariant: a row's bytes never change their meaning; a new layout gets a new format byte.
//!
//! ```text
//!   0  u8   format, 1
//!   1  u8   flags; 1: all records bear the row's greatest time (the log stamped them)
//!   2  u32  number of records, 1 or more
//!   6  u64  offset of the first record
//!  14  i64  greatest time of the row
//!  22  i64  greatest time of the partition up to and with this row, so that a time can be searched
//!  30  i64  when compaction may drop the row's tombstones; i64::MAX while it never looked at them
//!  38  u32  length of the payload
//!  42       payload: per record key, value, headers
//!   …       table, per record as varints: offsets skipped since the last record, time less the last
//!           record's (zigzag, wrapping; the first less 0), key length + 1 or 0 for null, value
//!           length + 1 or 0 for null, headers length
//! ```
//! All fixed numbers are big-endian. The payload lies together so that reading it is one copy.

#[cfg(test)]
mod tests;

use crate::batch::{RecordBatch, RecordRef};
use crate::record::{LogTime, Offset};
use crate::varint::{push_varint, take_varint, unzigzag, zigzag};

const FORMAT: u8 = 1;
const STAMPED: u8 = 1;
const HEAD: usize = 42;

/// The greatest time of a partition that never had a record.
pub(super) const NO_TIME: LogTime = LogTime(i64::MIN);
/// The horizon of tombstones that compaction never looked at.
pub(super) const NO_HORIZON: LogTime = LogTime(i64::MAX);

/// Bytes that are not a row of this format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Damaged(pub(super) String);

/// When a run of records is cut into another row.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowLimits {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

/// A row under construction.
#[derive(Debug)]
pub(super) struct RowBuilder {
    limits: RowLimits,
    bytes: Vec<u8>,
    table: Vec<u8>,
    count: u32,
    base: Option<Offset>,
    next: Offset,
    last_time: i64,
    max_time: LogTime,
}

/// A row that is full and waits for its place in the log.
#[derive(Debug)]
pub(super) struct SealedRow {
    bytes: Vec<u8>,
    count: u32,
    max_time: LogTime,
    last: Offset,
}

impl RowBuilder {
    pub(super) fn new(limits: RowLimits) -> Self {
        Self {
            limits,
            bytes: Vec::new(),
            table: Vec::new(),
            count: 0,
            base: None,
            next: Offset::ZERO,
            last_time: 0,
            max_time: NO_TIME,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What the row under construction takes in memory, near enough.
    pub(super) fn byte_len(&self) -> usize {
        self.bytes.len() + self.table.len()
    }

    fn is_full(&self) -> bool {
        self.count as usize >= self.limits.records || self.byte_len() >= self.limits.bytes
    }

    /// Takes as many records of `batch` from the `from`th on as fit, at least one into an empty row;
    /// answers the index of the first that it did not take. Offsets are given one after another.
    pub(super) fn extend(&mut self, batch: &RecordBatch, from: usize) -> usize {
        let room_bytes = self.limits.bytes.saturating_sub(self.byte_len());
        let room_records = self.limits.records.saturating_sub(self.count as usize);
        let (mut index, mut taken) = (from, 0);
        while let Some(record) = batch.get(index) {
            let length = length(&record);
            let first = index == from && self.is_empty();
            if !first && (taken + length > room_bytes || index - from >= room_records) {
                break;
            }
            taken += length;
            self.note(&record, self.next);
            index += 1;
        }
        let run = batch.run(from..index);
        // With the table, which comes behind it: a row that grows copies what it holds.
        self.bytes.reserve(HEAD + run.len() + self.table.len());
        self.start_payload();
        self.bytes.extend_from_slice(run);
        index
    }

    /// Takes one record with the offset that it has; `false` if the row is full.
    pub(super) fn push(&mut self, record: &RecordRef<'_>) -> bool {
        if !self.is_empty() && (self.is_full() || self.byte_len() + length(record) > self.limits.bytes) {
            return false;
        }
        self.note(record, record.offset);
        self.start_payload();
        for part in [record.key, record.value, Some(record.headers.0)] {
            self.bytes.extend_from_slice(part.unwrap_or_default());
        }
        true
    }

    fn start_payload(&mut self) {
        if self.bytes.is_empty() {
            self.bytes.resize(HEAD, 0);
        }
    }

    fn note(&mut self, record: &RecordRef<'_>, offset: Offset) {
        let skipped = match self.base {
            Some(_) => offset.0.saturating_sub(self.next.0),
            None => {
                self.base = Some(offset);
                0
            }
        };
        push_varint(&mut self.table, skipped);
        let step = record.timestamp.0.wrapping_sub(self.last_time);
        push_varint(&mut self.table, zigzag(step));
        push_varint(&mut self.table, record.key.map_or(0, |key| key.len() as u64 + 1));
        push_varint(&mut self.table, record.value.map_or(0, |value| value.len() as u64 + 1));
        push_varint(&mut self.table, record.headers.0.len() as u64);
        self.last_time = record.timestamp.0;
        self.max_time = self.max_time.max(record.timestamp);
        self.next = offset.next();
        self.count += 1;
    }

    /// Ends the row and starts anew; `None` if it holds nothing.
    pub(super) fn seal(&mut self) -> Option<SealedRow> {
        let empty = Self::new(self.limits);
        let mut row = std::mem::replace(self, empty);
        let base = row.base?;
        let payload = (row.bytes.len() - HEAD) as u32;
        row.bytes.extend_from_slice(&row.table);
        let mut sealed = SealedRow {
            bytes: row.bytes,
            count: row.count,
            max_time: row.max_time,
            last: Offset(row.next.0.saturating_sub(1)),
        };
        sealed.write(0, &[FORMAT, 0]);
        sealed.write(2, &row.count.to_be_bytes());
        sealed.write(6, &base.0.to_be_bytes());
        sealed.write(14, &row.max_time.0.to_be_bytes());
        sealed.write(30, &NO_HORIZON.0.to_be_bytes());
        sealed.write(38, &payload.to_be_bytes());
        Some(sealed)
    }
}

impl SealedRow {
    /// Moves the row to `base`; only for rows without gaps, as [`RowBuilder::extend`] makes them.
    pub(super) fn place(&mut self, base: Offset) {
        self.write(6, &base.0.to_be_bytes());
        self.last = Offset(base.0 + u64::from(self.count) - 1);
    }

    /// Gives all records the time of the log.
    pub(super) fn stamp(&mut self, time: LogTime) {
        self.max_time = time;
        self.write(1, &[STAMPED]);
        self.write(14, &time.0.to_be_bytes());
    }

    /// Notes the greatest time of the partition, this row included.
    pub(super) fn running_max(&mut self, time: LogTime) {
        self.write(22, &time.0.to_be_bytes());
    }

    /// Notes when the tombstones that are still here may go.
    pub(super) fn horizon(&mut self, time: LogTime) {
        self.write(30, &time.0.to_be_bytes());
    }

    pub(super) fn max_time(&self) -> LogTime {
        self.max_time
    }

    pub(super) fn last(&self) -> Offset {
        self.last
    }

    #[cfg(test)]
    fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn write(&mut self, at: usize, field: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + field.len()) {
            place.copy_from_slice(field);
        }
    }
}

/// A row as it stands in the store, borrowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) count: u32,
    pub(super) base: Offset,
    pub(super) max_time: LogTime,
    pub(super) running_max: LogTime,
    pub(super) horizon: LogTime,
    stamped: bool,
    payload: &'a [u8],
    table: &'a [u8],
}

impl<'a> Row<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Damaged> {
        let (head, rest) = bytes
            .split_at_checked(HEAD)
            .ok_or_else(|| Damaged(format!("a row of {} bytes has no head", bytes.len())))?;
        let number = |at: usize| {
            let mut field = [0; 8];
            field.copy_from_slice(&head[at..at + 8]);
            u64::from_be_bytes(field)
        };
        let short = |at: usize| (number(at) >> 32) as u32;
        if head[0] != FORMAT {
            return Err(Damaged(format!("a row of format {} where this program knows format {FORMAT}", head[0])));
        }
        let payload_len = u32::from_be_bytes([head[38], head[39], head[40], head[41]]);
        let (payload, table) = rest
            .split_at_checked(payload_len as usize)
            .ok_or_else(|| Damaged(format!("a payload of {payload_len} bytes in a row of {}", bytes.len())))?;
        Ok(Self {
            count: short(2),
            base: Offset(number(6)),
            max_time: LogTime(number(14) as i64),
            running_max: LogTime(number(22) as i64),
            horizon: LogTime(number(30) as i64),
            stamped: head[1] & STAMPED != 0,
            payload,
            table,
        })
    }

    /// Appends the records from offset `from` on to `batch`.
    pub(super) fn load(&self, from: Offset, batch: &mut RecordBatch) -> Result<(), Damaged> {
        let mut entries = Entries { row: self, rest: self.table, next: self.base, time: 0 };
        let mut left = self.count;
        let mut skipped = 0;
        let mut first = None;
        while left > 0 && first.is_none() {
            let entry = entries.next()?;
            left -= 1;
            if entry.offset < from {
                skipped += entry.length();
            } else {
                first = Some(entry);
            }
        }
        let Some(first) = first else { return Ok(()) };
        let run = self.payload.get(skipped..).ok_or_else(|| self.torn())?;
        let mut loader = batch.load(run);
        let mut add = |entry: Entry| {
            let Entry { offset, time, key, value, headers } = entry;
            if loader.record(offset, time, key, value, headers) { Ok(()) } else { Err(self.torn()) }
        };
        add(first)?;
        for _ in 0..left {
            add(entries.next()?)?;
        }
        Ok(())
    }

    /// The first offset from `from` on whose record has `time` or a later one.
    pub(super) fn offset_for_time(&self, from: Offset, time: LogTime) -> Result<Option<Offset>, Damaged> {
        if self.max_time < time {
            return Ok(None);
        }
        let mut entries = Entries { row: self, rest: self.table, next: self.base, time: 0 };
        for _ in 0..self.count {
            let entry = entries.next()?;
            if entry.offset >= from && entry.time >= time {
                return Ok(Some(entry.offset));
            }
        }
        Ok(None)
    }

    fn torn(&self) -> Damaged {
        Damaged(format!("the row at offset {} ends within a record", self.base))
    }
}

struct Entry {
    offset: Offset,
    time: LogTime,
    key: Option<u32>,
    value: Option<u32>,
    headers: u32,
}

impl Entry {
    fn length(&self) -> usize {
        self.key.unwrap_or(0) as usize + self.value.unwrap_or(0) as usize + self.headers as usize
    }
}

struct Entries<'r, 'a> {
    row: &'r Row<'a>,
    rest: &'a [u8],
    next: Offset,
    time: i64,
}

impl Entries<'_, '_> {
    #[inline]
    fn next(&mut self) -> Result<Entry, Damaged> {
        let mut number = || take_varint(&mut self.rest).ok_or_else(|| self.row.torn());
        let (skipped, step, key, value, headers) = (number()?, number()?, number()?, number()?, number()?);
        let offset = Offset(self.next.0.wrapping_add(skipped));
        self.next = Offset(offset.0.wrapping_add(1));
        self.time = self.time.wrapping_add(unzigzag(step));
        let time = if self.row.stamped { self.row.max_time } else { LogTime(self.time) };
        let part = |length: u64| (length > 0).then(|| (length - 1).min(u64::from(u32::MAX)) as u32);
        Ok(Entry { offset, time, key: part(key), value: part(value), headers: headers.min(u64::from(u32::MAX)) as u32 })
    }
}

/// The bytes that a record takes in a payload.
pub(super) fn length(record: &RecordRef<'_>) -> usize {
    record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + record.headers.0.len()
}
