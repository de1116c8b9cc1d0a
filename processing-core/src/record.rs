//! The numbers that name a record's place and time, each a type of its own.
//!
//! Not here: what a record holds ([`crate::batch`]) and how it travels ([`crate::source`] and on).
//! Invariant: no two of these can be mistaken for one another, and none is ever a bare integer in
//! a public signature.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of a topic; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// A name as Kafka allows it: 1 to 249 of `a-z A-Z 0-9 . _ -`. It is checked where topics are
    /// created, not here.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(Arc::from(name.as_ref()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for TopicName {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// The identity of one incarnation of a topic: a topic deleted and made anew has another id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TopicId(pub u128);

/// A partition's number within its topic, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Partition(pub u32);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A partition of a named topic; written `topic-partition` as Kafka does.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition within it.
    pub partition: Partition,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    pub fn new(topic: impl Into<TopicName>, partition: u32) -> Self {
        Self { topic: topic.into(), partition: Partition(partition) }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A record's place within its partition. Offsets may have gaps (transaction markers, compaction);
/// a *next* offset is one past the last record that was read or written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Offset(pub u64);

impl Offset {
    /// The beginning of a partition that never lost a record.
    pub const ZERO: Self = Self(0);

    /// The offset right after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// When something happened, by the event's own word: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct EventTime(pub i64);

impl EventTime {
    /// Before every event: the stream time of a partition from which nothing was read.
    pub const MIN: Self = Self(i64::MIN);
    /// After every event: the time of an input that has ended.
    pub const MAX: Self = Self(i64::MAX);

    /// This time moved by `duration`; stays within [`Self::MIN`] and [`Self::MAX`].
    #[must_use]
    pub fn plus(self, duration: DurationMs) -> Self {
        Self(self.0.saturating_add(duration.0))
    }

    /// This time moved back by `duration`; stays within [`Self::MIN`] and [`Self::MAX`].
    #[must_use]
    pub fn minus(self, duration: DurationMs) -> Self {
        Self(self.0.saturating_sub(duration.0))
    }
}

/// When a record was appended to its log (or its producer's clock, as the topic is set):
/// milliseconds since 1970-01-01 UTC. Compared with event time only by the far-future guard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct LogTime(pub i64);

/// The wall clock's word, which enters the core only as a value: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct WallTime(pub i64);

/// A span of time in milliseconds; never negative where it names a size, an advance or a grace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct DurationMs(pub i64);

impl DurationMs {
    /// `n` milliseconds.
    pub const fn millis(n: i64) -> Self {
        Self(n)
    }
    /// `n` seconds.
    pub const fn seconds(n: i64) -> Self {
        Self(n * 1_000)
    }
    /// `n` minutes.
    pub const fn minutes(n: i64) -> Self {
        Self(n * 60_000)
    }
    /// `n` hours.
    pub const fn hours(n: i64) -> Self {
        Self(n * 3_600_000)
    }

    /// The same as the standard library's type; it has no sign.
    pub const fn span(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.unsigned_abs())
    }
    /// In seconds, rounded up.
    pub fn whole_seconds(self) -> u32 {
        u32::try_from(self.0.max(0).unsigned_abs().div_ceil(1_000)).unwrap_or(u32::MAX)
    }
}
