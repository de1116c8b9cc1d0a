//! Topics as a topology names them: what their records hold, and how they are to be set up.
//!
//! Not here: the log's own topics ([`crate::log`]). Invariant: a topic's codec is part of its type, so
//! a stream can only be read from or written to a topic of its own kind.

use crate::decode::{Json, JsonView};
use crate::log::{Cleanup, TopicSettings};
use crate::record::{DurationMs, TopicName};

/// A topic and its codec.
#[derive(Debug, Clone)]
pub struct Topic<C> {
    pub(crate) name: TopicName,
    pub(crate) codec: C,
    pub(crate) partitions: Option<u32>,
    pub(crate) cleanup: Cleanup,
    pub(crate) retention: Option<DurationMs>,
}

impl<E> Topic<Json<E>> {
    /// A topic of JSON records that serde reads or writes as `E`.
    pub fn json(name: impl AsRef<str>) -> Self {
        Self::with(name, Json::new())
    }
}

impl<E> Topic<JsonView<E>> {
    /// A topic of JSON records that are read as `E` through its borrowing view.
    pub fn json_view(name: impl AsRef<str>) -> Self {
        Self::with(name, JsonView::new())
    }
}

impl<C> Topic<C> {
    /// A topic with a codec of one's own.
    pub fn with(name: impl AsRef<str>, codec: C) -> Self {
        Self { name: TopicName::new(name), codec, partitions: None, cleanup: Cleanup::Delete, retention: None }
    }

    /// How many partitions an output topic is made with; without it, as many as its sub-topology has
    /// tasks.
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// Keeps the last record of each key for ever.
    #[must_use]
    pub fn compacted(mut self) -> Self {
        self.cleanup = Cleanup::Compact;
        self
    }

    /// Keeps records for `retention`; without it, for ever.
    #[must_use]
    pub fn retention(mut self, retention: DurationMs) -> Self {
        self.retention = Some(retention);
        self
    }

    /// 0 partitions stand for as many as the sub-topology has tasks.
    pub(crate) fn settings(&self) -> TopicSettings {
        TopicSettings {
            partitions: self.partitions.unwrap_or(0),
            cleanup: self.cleanup,
            retention_ms: self.retention.map(|retention| retention.0.unsigned_abs()),
            log_append_time: false,
        }
    }
}
