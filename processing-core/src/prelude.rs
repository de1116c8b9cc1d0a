//! What a worker needs, in one line: `use processing_core::prelude::*`.
//!
//! Not here: what only the library's own parts use. Invariant: everything that a topology's sentence can
//! say.

pub use state::{KeyError, StateKey};

pub use crate::aggregate::{Aggregate, Exactness, Fold, Mergeable, count, sum, top_k};
pub use crate::dsl::{Topic, Topology, TopologyError};
pub use crate::hindsight::Frame;
pub use crate::plan::Plan;
pub use crate::record::{DurationMs, EventTime};
pub use crate::window::{Hopping, Tumbling};
