//! The keys of the embedded log in its ordered store, and the small values that are not rows.
//!
//! Not here: rows of records ([`super::row`]).
//! Invariant: keys of one partition's rows are consecutive and rise with the offset; a tag is never
//! used for anything else.
//!
//! ```text
//!   00                                        format, incarnation, number of the next topic
//!   01 name                                   a topic: number, id, settings
//!   02 topic u32, partition u32               start, next offset, greatest time
//!   03 len u16, group, topic u32, part. u32   a group's position
//!   04 topic u32, partition u32               how far compaction came
//!   10 topic u32, partition u32, offset u64   a row; the offset is that of its last record, so that
//!                                             one seek finds the row of any offset
//! ```
//! All numbers are big-endian. A topic's number is never used again, so that what a deleted topic
//! left behind can never be taken for its successor's.

use super::row::Damaged;
use crate::log::{Cleanup, TopicSettings};
use crate::record::{LogTime, Offset, Partition, TopicId};

/// The format of the whole folder; another one is refused.
pub(super) const FORMAT: u8 = 1;

pub(super) const META: [u8; 1] = [0x00];
pub(super) const TOPIC: u8 = 0x01;
const ENDS: u8 = 0x02;
const POSITION: u8 = 0x03;
const CLEANED: u8 = 0x04;
const ROW: u8 = 0x10;

/// A partition of one incarnation of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PartitionKey {
    pub(super) topic: u32,
    pub(super) partition: Partition,
}

impl PartitionKey {
    fn tagged(self, tag: u8) -> [u8; 9] {
        let mut key = [tag; 9];
        key[1..5].copy_from_slice(&self.topic.to_be_bytes());
        key[5..9].copy_from_slice(&self.partition.0.to_be_bytes());
        key
    }

    pub(super) fn ends(self) -> [u8; 9] {
        self.tagged(ENDS)
    }

    pub(super) fn cleaned(self) -> [u8; 9] {
        self.tagged(CLEANED)
    }

    /// The row whose last record is at `last`; also the start of a scan from that offset on.
    pub(super) fn row(self, last: Offset) -> [u8; 17] {
        let mut key = [0; 17];
        key[..9].copy_from_slice(&self.tagged(ROW));
        key[9..].copy_from_slice(&last.0.to_be_bytes());
        key
    }
}

/// All keys of a tag that concern a topic, from the first to before the second.
pub(super) fn ranges_of_topic(topic: u32) -> [([u8; 9], [u8; 9]); 3] {
    let key = |topic| PartitionKey { topic, partition: Partition(0) };
    // Numbers are given from 0 up and never reach the greatest.
    let (from, to) = (key(topic), key(topic.saturating_add(1)));
    [ENDS, CLEANED, ROW].map(|tag| (from.tagged(tag), to.tagged(tag)))
}

pub(super) fn topic(name: &str) -> Vec<u8> {
    let mut key = vec![TOPIC];
    key.extend_from_slice(name.as_bytes());
    key
}

/// All positions of `group` begin with this.
pub(super) fn positions_of(group: &str) -> Vec<u8> {
    let mut key = vec![POSITION];
    key.extend_from_slice(&(group.len() as u16).to_be_bytes());
    key.extend_from_slice(group.as_bytes());
    key
}

pub(super) fn position(group: &str, partition: PartitionKey) -> Vec<u8> {
    let mut key = positions_of(group);
    key.extend_from_slice(&partition.tagged(POSITION)[1..]);
    key
}

/// All positions of all groups.
pub(super) const ALL_POSITIONS: ([u8; 1], [u8; 1]) = ([POSITION], [POSITION + 1]);

/// The partition at the end of a position's key.
pub(super) fn partition_of_position(key: &[u8]) -> Result<PartitionKey, Damaged> {
    let mut fields = Fields(key.get(key.len().saturating_sub(8)..).unwrap_or_default());
    Ok(PartitionKey { topic: fields.u32()?, partition: Partition(fields.u32()?) })
}

/// What concerns the whole log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) incarnation: u128,
    pub(super) next_topic: u32,
}

impl Meta {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.incarnation.to_be_bytes());
        bytes.extend_from_slice(&self.next_topic.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of_format(bytes)?;
        Ok(Self { incarnation: fields.u128()?, next_topic: fields.u32()? })
    }
}

/// A topic as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredTopic {
    pub(super) number: u32,
    pub(super) id: TopicId,
    pub(super) settings: TopicSettings,
}

impl StoredTopic {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(&self.id.0.to_be_bytes());
        bytes.extend_from_slice(&self.settings.partitions.to_be_bytes());
        bytes.push(match self.settings.cleanup {
            Cleanup::Delete => 0,
            Cleanup::Compact => 1,
            Cleanup::CompactDelete => 2,
        });
        bytes.push(u8::from(self.settings.log_append_time));
        bytes.push(u8::from(self.settings.retention_ms.is_some()));
        bytes.extend_from_slice(&self.settings.retention_ms.unwrap_or(0).to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of_format(bytes)?;
        let (number, id, partitions) = (fields.u32()?, TopicId(fields.u128()?), fields.u32()?);
        let cleanup = match fields.u8()? {
            0 => Cleanup::Delete,
            1 => Cleanup::Compact,
            2 => Cleanup::CompactDelete,
            other => {
                return Err(Damaged(format!("a topic with the unknown cleanup policy {other}")));
            }
        };
        let log_append_time = fields.u8()? != 0;
        let limited = fields.u8()? != 0;
        let retention_ms = Some(fields.u64()?).filter(|_| limited);
        let settings = TopicSettings { partitions, cleanup, retention_ms, log_append_time };
        Ok(Self { number, id, settings })
    }
}

/// The ends of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    /// The first offset that may be read.
    pub(super) start: Offset,
    /// The offset that the next record gets.
    pub(super) next: Offset,
    /// The greatest time that any record ever had.
    pub(super) max_time: LogTime,
}

impl Ends {
    pub(super) const NONE: Self = Self { start: Offset::ZERO, next: Offset::ZERO, max_time: super::row::NO_TIME };

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.start.0.to_be_bytes());
        bytes.extend_from_slice(&self.next.0.to_be_bytes());
        bytes.extend_from_slice(&self.max_time.0.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of_format(bytes)?;
        Ok(Self { start: Offset(fields.u64()?), next: Offset(fields.u64()?), max_time: LogTime(fields.u64()? as i64) })
    }
}

/// How far compaction came in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cleaned {
    /// Below it, each key stands once.
    pub(super) to: Offset,
    /// How many records are left below it.
    pub(super) records: u64,
}

impl Cleaned {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.to.0.to_be_bytes());
        bytes.extend_from_slice(&self.records.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut fields = Fields::of_format(bytes)?;
        Ok(Self { to: Offset(fields.u64()?), records: fields.u64()? })
    }
}

pub(super) fn position_to_bytes(position: Offset) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    bytes.extend_from_slice(&position.0.to_be_bytes());
    bytes
}

pub(super) fn position_from_bytes(bytes: &[u8]) -> Result<Offset, Damaged> {
    Ok(Offset(Fields::of_format(bytes)?.u64()?))
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn of_format(bytes: &'a [u8]) -> Result<Self, Damaged> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => Ok(Self(rest)),
            Some((other, _)) => Err(Damaged(format!(
                "written in format {other}; this program knows format {FORMAT}: use the program that wrote it"
            ))),
            None => Err(Damaged("an empty entry".to_owned())),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (field, rest) =
            self.0.split_first_chunk::<N>().ok_or_else(|| Damaged("an entry is cut short".to_owned()))?;
        self.0 = rest;
        Ok(*field)
    }

    fn u8(&mut self) -> Result<u8, Damaged> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, Damaged> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Damaged> {
        self.take().map(u64::from_be_bytes)
    }

    fn u128(&mut self) -> Result<u128, Damaged> {
        self.take().map(u128::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_come_back(
            a in any::<u64>(), b in any::<u64>(), c in any::<i64>(), id in any::<u128>(),
            number in any::<u32>(), retention_ms in option::of(any::<u64>()), policy in 0..3_usize, stamp in any::<bool>(),
        ) {
            let ends = Ends { start: Offset(a), next: Offset(b), max_time: LogTime(c) };
            prop_assert_eq!(Ends::from_bytes(&ends.to_bytes()).unwrap(), ends);
            let cleaned = Cleaned { to: Offset(a), records: b };
            prop_assert_eq!(Cleaned::from_bytes(&cleaned.to_bytes()).unwrap(), cleaned);
            let meta = Meta { incarnation: id, next_topic: number };
            prop_assert_eq!(Meta::from_bytes(&meta.to_bytes()).unwrap(), meta);
            prop_assert_eq!(position_from_bytes(&position_to_bytes(Offset(a))).unwrap(), Offset(a));
            let cleanup = [Cleanup::Delete, Cleanup::Compact, Cleanup::CompactDelete][policy];
            let settings = TopicSettings { partitions: number, cleanup, retention_ms, log_append_time: stamp };
            let topic = StoredTopic { number, id: TopicId(id), settings };
            prop_assert_eq!(StoredTopic::from_bytes(&topic.to_bytes()).unwrap(), topic);
        }

        #[test]
        fn row_keys_sort_by_partition_and_offset(a in any::<(u32, u32, u64)>(), b in any::<(u32, u32, u64)>()) {
            let key = |(topic, partition, last)| {
                PartitionKey { topic, partition: Partition(partition) }.row(Offset(last))
            };
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
        }

        #[test]
        fn groups_do_not_meet(a in "[ab]{0,3}", b in "[ab]{0,3}", number in any::<u32>(), partition in any::<u32>()) {
            let partition = PartitionKey { topic: number, partition: Partition(partition) };
            let key = position(&a, partition);
            prop_assert_eq!(key.starts_with(&positions_of(&b)), a == b);
            prop_assert_eq!(partition_of_position(&key).unwrap(), partition);
        }
    }

    #[test]
    fn another_format_is_refused() {
        let error = Meta::from_bytes(&[9, 0, 0]).unwrap_err().to_string();
        assert!(error.contains("format 9") && error.contains("format 1"), "{error}");
    }
}
