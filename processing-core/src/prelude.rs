//! What a worker's file begins with: `use processing_core::prelude::*;`.
//!
//! Not here: the log, tasks, commits and whatever else a worker never names. Invariant: nothing in this
//! crate uses it; every name has its home elsewhere.

pub use state::{KeyError, StateKey};

pub use crate::aggregate::{
    Aggregate, Count, Distinct, Exactness, Fold, FrequentItems, Max, Mean, Mergeable, Min, Ranked, Sum, TopK, count,
    distinct, distinct_hash, fold_of, frequent_items, max, mean, min, scaled, sum, top_k, top_k_ref,
};
pub use crate::decode::{Decoder, Encoder, Json, JsonView, Poison, ViewedJson};
pub use crate::dsl::{Topic, Topology, TopologyError};
pub use crate::hindsight::{Earlier, Frame};
pub use crate::join::{Exchange, JoinWindow};
pub use crate::plan::Plan;
pub use crate::previous::Successive;
pub use crate::record::{DurationMs, EventTime};
pub use crate::session::Sessions;
pub use crate::updates::Updated;
pub use crate::window::{Hopping, Tumbling, Window, Windowing};
pub use crate::windowed::Closed;
