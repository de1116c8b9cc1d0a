//! The application's time log: how far every input partition has come, and when time was raised.
//!
//! Not here: deciding that a partition is idle ([`crate::idleness`]). Invariant: a raise stands here in
//! the same transaction that applies it, so that a replay reads it and decides nothing of its own.
//!
//! ```text
//! key    ┌───────────────┬───────────────┐   value  ┌───────────┬─────────┬────────────┬──────────┐
//!        │ partition u32 │ topic (UTF-8) │          │ epoch u32 │ kind u8 │ offset u64 │ time i64 │
//!        └───────────────┴───────────────┘          └───────────┴─────────┴────────────┴──────────┘
//! kind 1: before offset, stream time was time.  kind 2: the partition is idle at offset, and its time is
//! raised to time before the record there.
//! ```

use std::collections::BTreeMap;

use crate::batch::RecordBatch;
use crate::error::CoreError;
use crate::log::{FreeReader, Read};
use crate::record::{EventTime, Offset, Partition, TopicName, TopicPartition};
use crate::source::Raise;

const PROGRESS: u8 = 1;
const RAISE: u8 = 2;

/// What the time log says about an input partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It moves by its own records.
    Progress(Raise),
    /// It is idle, and raised.
    Raise(Raise),
}

/// The bytes of a record's key.
pub(crate) fn key(place: &TopicPartition) -> Vec<u8> {
    let mut key = place.partition.0.to_be_bytes().to_vec();
    key.extend_from_slice(place.topic.as_str().as_bytes());
    key
}

/// The bytes of a record's value.
pub(crate) fn value(epoch: u32, entry: Entry) -> Vec<u8> {
    let (kind, raise) = match entry {
        Entry::Progress(raise) => (PROGRESS, raise),
        Entry::Raise(raise) => (RAISE, raise),
    };
    let mut value = epoch.to_be_bytes().to_vec();
    value.push(kind);
    value.extend_from_slice(&raise.offset.0.to_be_bytes());
    value.extend_from_slice(&raise.time.0.to_be_bytes());
    value
}

/// Reads a record; `None` for other epochs and unknown forms.
pub(crate) fn read(epoch: u32, key: Option<&[u8]>, value: Option<&[u8]>) -> Option<(TopicPartition, Entry)> {
    let (partition, topic) = key?.split_first_chunk::<4>()?;
    let value: &[u8; 21] = value?.try_into().ok()?;
    let (e, rest) = value.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first()?;
    let (offset, time) = rest.split_first_chunk::<8>()?;
    if u32::from_be_bytes(*e) != epoch {
        return None;
    }
    let place = TopicPartition {
        topic: TopicName::new(std::str::from_utf8(topic).ok()?),
        partition: Partition(u32::from_be_bytes(*partition)),
    };
    let raise = Raise {
        offset: Offset(u64::from_be_bytes(*offset)),
        time: EventTime(i64::from_be_bytes(time.try_into().ok()?)),
    };
    match *kind {
        PROGRESS => Some((place, Entry::Progress(raise))),
        RAISE => Some((place, Entry::Raise(raise))),
        _ => None,
    }
}

/// What every process has said last, followed by each worker.
pub(crate) struct TimeLog {
    reader: Box<dyn FreeReader>,
    place: TopicPartition,
    epoch: u32,
    next: Offset,
    batch: RecordBatch,
    caught_up: bool,
    last: BTreeMap<TopicPartition, Entry>,
}

impl TimeLog {
    pub(crate) fn new(reader: Box<dyn FreeReader>, place: TopicPartition, epoch: u32) -> Self {
        Self {
            reader,
            place,
            epoch,
            next: Offset::ZERO,
            batch: RecordBatch::new(),
            caught_up: false,
            last: BTreeMap::new(),
        }
    }

    /// Reads what has come; at most one batch, so that a long log does not hold the worker up. Answers whether
    /// the end was ever reached: before, an input may seem idle that has long moved again.
    pub(crate) fn follow(&mut self) -> Result<bool, CoreError> {
        match self.reader.read(&self.place, self.next, &mut self.batch)? {
            Read::Records(next) => self.next = next.max(self.next),
            Read::End(next) => {
                self.next = next.max(self.next);
                self.caught_up = true;
            }
            Read::OutOfRange(marks) => self.next = marks.start,
        }
        for record in self.batch.iter() {
            if let Some((place, entry)) = read(self.epoch, record.key, record.value) {
                self.last.insert(place, entry);
            }
        }
        Ok(self.caught_up)
    }

    /// What was said last about a partition.
    pub(crate) fn last(&self, place: &TopicPartition) -> Option<Entry> {
        self.last.get(place).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_never_changes_and_other_epochs_are_passed() {
        let place = TopicPartition::new("in", 3);
        let raise = Raise { offset: Offset(7), time: EventTime(-2) };
        assert_eq!(key(&place), [0, 0, 0, 3, b'i', b'n']);
        let bytes = value(5, Entry::Raise(raise));
        assert_eq!(bytes[..6], [0, 0, 0, 5, 2, 0]);
        for entry in [Entry::Raise(raise), Entry::Progress(raise)] {
            let bytes = value(5, entry);
            assert_eq!(read(5, Some(&key(&place)), Some(&bytes)), Some((place.clone(), entry)));
            assert_eq!(read(6, Some(&key(&place)), Some(&bytes)), None, "another epoch");
            assert_eq!(read(5, Some(&key(&place)), Some(&bytes[1..])), None, "another form");
        }
    }
}
