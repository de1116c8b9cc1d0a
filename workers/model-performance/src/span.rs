//! A closed window as a record that a processor can be handed and a repartition can carry.
//!
//! Not here: windows themselves. Invariant: the value and the window are those that closed together.

use processing_core::record::DurationMs;
use processing_core::windowed::Closed;
use serde::{Deserialize, Serialize};

/// The span in which most of this worker counts, in milliseconds.
pub(crate) const MINUTE: i64 = DurationMs::minutes(1).0;

/// What a span of time held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span<A> {
    /// The first moment that is counted, in milliseconds since 1970 UTC.
    pub start: i64,
    /// The first moment that is no longer counted.
    pub end: i64,
    /// What was in it.
    pub value: A,
}

impl<A> From<Closed<A>> for Span<A> {
    fn from(closed: Closed<A>) -> Self {
        Self { start: closed.window.start.0, end: closed.window.end.0, value: closed.value }
    }
}
