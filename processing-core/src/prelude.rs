//! What a worker's file begins with: `use processing_core::prelude::*;`.
//!
//! Not here: the log, tasks, commits and whatever else a worker never names. Invariant: nothing in this
//! crate uses it; every name has its home elsewhere.

pub use state::{KeyError, StateKey};

pub use crate::aggregate::{
    Aggregate, Collect, Count, Distinct, Exactness, First, Fold, FrequentItems, Histogram, Last, Max, Mean, Mergeable,
    Min, Quantiles, Ranked, Ratio, Sum, TopK, collect, count, distinct, distinct_hash, first, fold_of, frequent_items,
    histogram, last, max, mean, min, quantiles, ratio, rolled_up, scaled, sum, top_k, top_k_ref, weighted_mean,
};
pub use crate::decode::{Decoder, Encoder, Json, JsonView, Poison, ViewedJson};
pub use crate::dsl::{Topic, Topology, TopologyError};
pub use crate::hindsight::{Earlier, Frame};
pub use crate::join::{Exchange, JoinWindow};
pub use crate::plan::Plan;
pub use crate::previous::Successive;
pub use crate::processor::{Context, KeyValueStore, Output, Processor, Timer, VersionedStore, WindowedStore};
pub use crate::record::{DurationMs, EventTime};
pub use crate::session::Sessions;
pub use crate::sliding_windows::SlidingWindows;
pub use crate::updates::Updated;
pub use crate::window::{Hopping, LocalDays, LocalHours, LocalMonths, LocalWeeks, Tumbling, Tz, Window, Windowing};
pub use crate::windowed::Closed;
