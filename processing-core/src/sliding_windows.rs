//! Sliding windows: for each moment at which what a span of time holds is another set of records, that span. Pure
//! arithmetic.
//!
//! ```text
//!   difference 5       a   b            c                    a, b, c: a key's records, at 1, 2 and 5
//!   time        -4 ... 1   2   3   4    5   6   7   8  ...
//!      [-4, 1]  -------|                                     holds a
//!      [-3, 2]    ---------|                                 holds a, b
//!      [0, 5]           ----------------|                    holds a, b, c
//!      [2, 7]              |-------------------|             holds b, c: a has gone
//!      [3, 8]                  |-------------------|         holds c: b has gone
//! ```
//!
//! A window spans [`SlidingWindows::difference`], both ends included. For each distinct time `t` of a key's records there
//! is the window that ends at `t`, and the one that begins just behind `t` where it holds a record; where two of them
//! are the same span they are one window. So a window is named by its end, and each distinct time makes two windows at
//! most: one when it comes in, and one when it goes.
//!
//! A row holds what a key's records of one time fold to, and stands at (pane, time, key), where other windows have
//! their first accepting window. Panes are pieces of time of a second at most: they let rows in memory come and go
//! together, and mean nothing else.
//!
//! Not here: what the windows hold ([`running`]) and how they come out ([`closing`]). Invariant: a record that is taken
//! in lies behind the end of every window that is closed; and nothing overflows ([`TIME_MAX`]).
//!
//! Where this is not what Kafka Streams does, [`crate::compared`] says why.

pub(crate) mod closing;
#[cfg(test)]
mod documented;
mod in_time;
mod running;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::placement::Place;
use crate::record::{DurationMs, EventTime};
use crate::window::{Pane, SPAN_MAX, TIME_MAX, Window, WindowError, clamped};
use crate::windowed::Grid;

pub use closing::{OnSlidingClose, SlidingStore};

/// A difference is so many panes long, where they are not longer than [`PANE_MAX`].
const PANES_PER_DIFFERENCE: i64 = 8;

/// The longest pane in milliseconds: what came within it is looked through at each commit.
const PANE_MAX: i64 = 1_000;

/// A description of sliding windows: what a pipeline can lay over a keyed stream.
///
/// What a key's records within `difference` fold to, each time that it changes: at most two results for each distinct
/// time (in milliseconds) at which a key has records, one when they come into the window and one when they leave it.
/// Records of one key and time cost one row, whatever their number. Where results at fixed distances are enough,
/// [`Hopping`](crate::window::Hopping) windows cost less.
///
/// Rows are kept for the difference and the grace. In memory is one value for each key that has records within the
/// difference, if the aggregate can take values out again ([`Mergeable::REMOVE`](crate::aggregate::Mergeable::REMOVE):
/// counts, sums), and otherwise the values of the rows within as well, as far as there is room for them: of the keys for
/// which there is none, a window's rows are read each time that one comes out.
///
/// ```
/// use processing_core::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Payment {
///     at_ms: i64,
///     card: String,
///     cents: i64,
/// }
///
/// /// What each card has paid within ten minutes, whenever they begin.
/// fn spending() -> Result<Plan, TopologyError> {
///     let app = Topology::named("spending");
///     app.stream(Topic::<Json<Payment>>::json("payments"))
///         .event_time(|payment| EventTime(payment.at_ms))
///         .key_by(|payment| payment.card.clone())
///         .sliding(SlidingWindows::difference(DurationMs::minutes(10)).grace(DurationMs::seconds(30)))
///         .fold("spent", (count(), sum(|payment: &Payment| payment.cents)))
///         .on_close()
///         .map(|closed| (closed.value.0.get(), closed.value.1.get() as i64))
///         .to(Topic::json("spent"));
///     app.build()
/// }
///
/// processing_core::testing::script::check(
///     || spending().unwrap(),
///     r#"
///     in   payments  10:00  c1  {"at_ms": $ms, "card": "c1", "cents": 500}
///     in   payments  10:09  c1  {"at_ms": $ms, "card": "c1", "cents": 700}
///     out  spent  c1  [1, 500]
///     in   payments  11:00  c2  {"at_ms": $ms, "card": "c2", "cents": 100}
///     out  spent  c1  [2, 1200]
///     // The first one has gone.
///     out  spent  c1  [1, 700]
///     "#,
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlidingWindows {
    difference: DurationMs,
    grace: DurationMs,
}

impl SlidingWindows {
    /// Windows in which no two records lie more than `difference` apart: 0 or more, and 9 million years at most. With 0
    /// the records of each millisecond stand for themselves.
    pub const fn difference(difference: DurationMs) -> Self {
        Self { difference, grace: DurationMs(0) }
    }

    /// The same windows, with records taken in up to `grace` behind their partition's stream time; without this, 0.
    #[must_use]
    pub const fn grace(self, grace: DurationMs) -> Self {
        Self { grace, ..self }
    }

    /// The arithmetic of these windows; a topology asks for it when it is built.
    ///
    /// # Errors
    ///
    /// [`WindowError`] where a span is negative or too long.
    pub const fn spans(self) -> Result<SlidingSpans, WindowError> {
        let (difference, grace) = (self.difference.0, self.grace.0);
        if difference < 0 {
            return Err(WindowError::Difference(difference));
        } else if grace < 0 {
            return Err(WindowError::Grace(grace));
        } else if difference > SPAN_MAX {
            return Err(WindowError::TooLong(difference));
        } else if grace > SPAN_MAX {
            return Err(WindowError::TooLong(grace));
        }
        let pane = match difference / PANES_PER_DIFFERENCE {
            0 => 1,
            PANE_MAX.. => PANE_MAX,
            pane => pane,
        };
        Ok(SlidingSpans { difference, grace, pane })
    }
}

/// Checked sliding windows, and every question about time that a pipeline asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlidingSpans {
    difference: i64,
    grace: i64,
    pane: i64,
}

impl SlidingSpans {
    /// The records of each millisecond: what stands in where a description was refused.
    pub(crate) const EVERY_MILLISECOND: Self = Self { difference: 0, grace: 0, pane: 1 };

    /// How far apart the records of a window are at most.
    pub const fn difference(&self) -> DurationMs {
        DurationMs(self.difference)
    }

    /// How far behind its partition's stream time a record is still taken in.
    pub const fn grace(&self) -> DurationMs {
        DurationMs(self.grace)
    }

    /// The window whose last moment is `end`.
    pub fn window_to(&self, end: EventTime) -> Window {
        Window { start: end.minus(self.difference()), end: end.plus(DurationMs(1)) }
    }

    /// How long a row stays from the beginning of its pane.
    pub(crate) const fn row_lives(&self) -> DurationMs {
        DurationMs(self.pane + self.difference + 1 + self.grace)
    }

    /// All inputs have reached `watermark`: the windows whose last moment lies before what this answers are closed. No
    /// record from there on belongs to them, and all that is still to come is taken in from there on. `i64::MIN` before
    /// any is closed.
    pub(crate) const fn closed_before(&self, watermark: EventTime) -> i64 {
        watermark.0.saturating_sub(self.grace)
    }

    /// The last moment of the window that a row of `time` has just left.
    pub(crate) const fn left_by(&self, time: i64) -> i64 {
        time.saturating_add(self.difference + 1)
    }

    /// The time of the rows that have just left the window whose last moment is `end`.
    pub(crate) const fn leaving(&self, end: i64) -> i64 {
        end.saturating_sub(self.difference + 1)
    }

    /// The pane of a row of `time`; rows lie within [`TIME_MAX`].
    pub(crate) fn pane_at(&self, time: i64) -> Pane {
        // Before all rows there is one pane like another, and whose start can be named.
        let time = time.max(-TIME_MAX.0 - SPAN_MAX);
        let start = time - time.rem_euclid(self.pane);
        Pane { start: EventTime(start), end: EventTime(start.saturating_add(self.pane)) }
    }
}

impl Grid for SlidingSpans {
    /// A record is late iff its time + grace < stream time.
    #[allow(private_interfaces, reason = "implemented and called within the crate only")]
    fn place(&self, time: EventTime, stream_time: EventTime) -> Option<Place> {
        let time = clamped(time);
        if EventTime(time + self.grace) < stream_time {
            return None;
        }
        Some(Place { pane: self.pane_at(time).start.0, first: time, partly_late: false })
    }

    /// A window may end at any millisecond.
    fn last_close(&self, reached: EventTime) -> EventTime {
        reached
    }
}

/// For fingerprints: these words never change for a store that stays what it is.
impl fmt::Display for SlidingSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sliding difference {} ms, grace {} ms, panes {} ms", self.difference, self.grace, self.pane)
    }
}
