//! Everything that is known of a model within a window.
//!
//! Not here: how each part is counted. Invariant: parts that have nothing are empty, and a coarser window holds what its
//! finer ones held together.

use compact_str::CompactString;
use processing_core::aggregate::{Aggregate, Exactness, Mean, Mergeable};
use serde::{Deserialize, Serialize};

use crate::event::Understanding;
use crate::intents::Intents;
use crate::outcomes::Outcomes;
use crate::series::AllSeries;
use crate::serving::Serving;
use crate::statistics::calibration::Calibration;

/// Something that is known of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// A request was answered.
    Answered {
        /// How long it took.
        latency_ms: u64,
        /// Whether it went well.
        is_success: bool,
        /// The hour of the day, UTC.
        hour: u8,
    },
    /// A request was not answered in time.
    TimedOut {
        /// The hour of the day, UTC.
        hour: u8,
    },
    /// An answer to which there is no request.
    Unasked,
    /// A request or an answer that repeats another.
    Repeated,
    /// A list that was shown to nobody known.
    ShownToNobody,
    /// The scores of a list, in millionths.
    Scores(Vec<i64>),
    /// What became of lists.
    Lists(Outcomes),
    /// So many clicks belonged to no list.
    Unattributed(u64),
    /// So many events were too many to be looked at.
    Cut(u64),
    /// A number that the model reports.
    Measured {
        /// Under which name.
        metric: CompactString,
        /// When.
        time: i64,
        /// Which event.
        id: u64,
        /// In millionths.
        value: i64,
    },
    /// A message was understood.
    Understood(Understanding),
    /// A message failed, by this type of error.
    Failed(CompactString),
    /// A message's true intent has become known.
    Judged {
        /// How sure the model was, in millionths.
        confidence: u64,
        /// Whether it was right.
        is_right: bool,
    },
    /// An item was rated, in millionths.
    Rated(i64),
}

/// A model's window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Performance {
    /// Requests.
    pub serving: Serving,
    /// What became of lists.
    pub outcomes: Outcomes,
    /// What it reports.
    pub series: AllSeries,
    /// Messages.
    pub intents: Intents,
    /// Whether it was right.
    pub calibration: Calibration,
    /// Ratings, whatever list they belong to.
    pub ratings: Mean,
    /// Clicks that belonged to no list.
    pub unattributed: u64,
    /// Events that were too many to be looked at.
    pub cut: u64,
}

impl Aggregate<Fact> for Performance {
    fn add(&mut self, fact: &Fact) {
        match fact {
            Fact::Lists(outcomes) => self.outcomes.merge(outcomes),
            Fact::Unattributed(clicks) => self.unattributed += clicks,
            Fact::Cut(events) => self.cut += events,
            Fact::Measured { metric, time, id, value } => self.series.add(metric, *time, *id, *value),
            Fact::Understood(understood) => self.intents.add(understood),
            Fact::Failed(error) => self.intents.errors.add(error),
            Fact::Judged { confidence, is_right } => self.calibration.add(*confidence, *is_right),
            Fact::Rated(rating) => self.ratings.add(*rating),
            serving => self.serving.add(serving),
        }
    }
}

impl Mergeable for Performance {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.serving.merge(&other.serving);
        self.outcomes.merge(&other.outcomes);
        self.series.merge(&other.series);
        self.intents.merge(&other.intents);
        self.calibration.merge(&other.calibration);
        self.ratings.merge(&other.ratings);
        self.unattributed += other.unattributed;
        self.cut += other.cut;
    }

    fn heap_bytes(&self) -> usize {
        self.serving.heap_bytes() + self.series.heap_bytes() + self.intents.heap_bytes()
    }
}
