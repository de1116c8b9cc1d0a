//! Session windows: a key's events belong together as long as no two that follow each other lie more than a
//! gap apart. Pure arithmetic.
//!
//! ```text
//!   gap 4        |---- session ----|             |session|
//!   events       a    b     c      d             e       f
//!   panes     [       )[       )[       )[       )[       )[       ) ...
//! ```
//!
//! Time is cut into panes of an eighth of the gap, and wherever sessions are cut. A key's events in one pane are
//! always one run, since a pane is no longer than the gap; so a record touches one row, as with other windows, and
//! partial runs travel through a repartition topic. When nothing can come any more that a run of a pane could be
//! continued by, it either moves into the row of the next pane within the gap, or it is a session that is over.
//! So a session comes out at most one pane (an eighth of the gap, in event time) later than it could, and costs
//! as many rows as panes that it has events in.
//!
//! Not here: runs ([`run`]) and how they come out ([`closing`]). Invariant: a cut is always the end of a pane, and
//! nothing overflows ([`TIME_MAX`]).
//!
//! Where this is not what Kafka Streams does, [`crate::compared`] says why.

pub(crate) mod closing;
#[cfg(test)]
mod documented;
pub(crate) mod run;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::placement::Place;
use crate::record::{DurationMs, EventTime};
use crate::window::{Pane, SPAN_MAX, TIME_MAX, WindowError, clamped};
use crate::windowed::Grid;

pub use closing::{OnSessionClose, SessionStore};
pub use run::{Run, RunFold, Stamp, Stamped};

/// A gap is so many panes long: more of them close sessions earlier and cost more rows.
const PANES_PER_GAP: i64 = 8;

/// A description of sessions: what a pipeline can lay over a keyed stream.
///
/// ```
/// use processing_core::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Click {
///     at_ms: i64,
///     user: String,
/// }
///
/// fn visits() -> Result<Plan, TopologyError> {
///     let app = Topology::named("visits");
///     app.stream(Topic::<Json<Click>>::json("clicks"))
///         .event_time(|click| EventTime(click.at_ms))
///         .key_by(|click| click.user.clone())
///         .sessions(Sessions::gap(DurationMs::minutes(30)).grace(DurationMs::minutes(5)))
///         .fold("visits", count())
///         .on_close()
///         .map(|visit| (visit.window.end.0 - visit.window.start.0, visit.value.get()))
///         .to(Topic::json("visits.over"));
///     app.build()
/// }
///
/// processing_core::testing::script::check(
///     || visits().unwrap(),
///     r#"
///     in   clicks  10:00  u1  {"at_ms": $ms, "user": "u1"}
///     in   clicks  10:30  u1  {"at_ms": $ms, "user": "u1"}
///     in   clicks  12:00  u2  {"at_ms": $ms, "user": "u2"}
///     out  visits.over  u1  [1800001, 2]
///     "#,
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sessions {
    gap: DurationMs,
    grace: DurationMs,
    cut: Option<Cut>,
}

/// Where no session goes on: at `offset + k * length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    length: i64,
    /// From 0 to below the length.
    offset: i64,
}

impl Sessions {
    /// Events of a key that lie at most `gap` apart belong to one session.
    pub const fn gap(gap: DurationMs) -> Self {
        Self { gap, grace: DurationMs(0), cut: None }
    }

    /// The same sessions, with records taken in up to `grace` behind their partition's stream time; without this, 0.
    #[must_use]
    pub const fn grace(self, grace: DurationMs) -> Self {
        Self { grace, ..self }
    }

    /// The same sessions, but none goes on across the times `offset + k * length` from 1970-01-01 UTC: with
    /// a day and an offset of 0 each ends at midnight UTC at the latest. So no session is longer than `length`, which
    /// is at least the gap.
    #[must_use]
    pub const fn cut(self, length: DurationMs, offset: DurationMs) -> Self {
        Self { cut: Some(Cut { length: length.0, offset: offset.0 }), ..self }
    }

    /// The arithmetic of these sessions; a topology asks for it when it is built.
    ///
    /// # Errors
    ///
    /// [`WindowError`] where the spans make no sense together.
    pub const fn windows(self) -> Result<SessionWindows, WindowError> {
        let (gap, grace) = (self.gap.0, self.grace.0);
        if gap <= 0 {
            return Err(WindowError::Gap(gap));
        } else if grace < 0 {
            return Err(WindowError::SessionGrace(grace));
        } else if gap > SPAN_MAX {
            return Err(WindowError::TooLong(gap));
        } else if grace > SPAN_MAX {
            return Err(WindowError::TooLong(grace));
        }
        let cut = match self.cut {
            None => None,
            Some(Cut { length, .. }) if length < gap => return Err(WindowError::Cut { length, gap }),
            Some(Cut { length, .. }) if length > SPAN_MAX => return Err(WindowError::TooLong(length)),
            Some(Cut { length, offset }) => Some(Cut { length, offset: offset.rem_euclid(length) }),
        };
        let pane = if gap < PANES_PER_GAP { 1 } else { gap / PANES_PER_GAP };
        Ok(SessionWindows { gap, grace, pane, cut })
    }
}

/// Checked sessions, and every question about time that a pipeline asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionWindows {
    gap: i64,
    grace: i64,
    /// How long a pane is that nothing cuts.
    pane: i64,
    cut: Option<Cut>,
}

impl SessionWindows {
    /// Sessions of one millisecond: what stands in where a description was refused.
    pub(crate) const EVERY_MILLISECOND: Self = Self { gap: 1, grace: 0, pane: 1, cut: None };

    /// How far apart the events of a session are at most.
    pub const fn gap(&self) -> DurationMs {
        DurationMs(self.gap)
    }

    /// How far behind its partition's stream time a record is still taken in.
    pub const fn grace(&self) -> DurationMs {
        DurationMs(self.grace)
    }

    /// How long a session is at most, and how far after 1970-01-01 UTC, modulo that length, sessions are cut.
    pub const fn cut(&self) -> Option<(DurationMs, DurationMs)> {
        match self.cut {
            Some(Cut { length, offset }) => Some((DurationMs(length), DurationMs(offset))),
            None => None,
        }
    }

    /// How long a pane is, where no cut makes it shorter: a session comes out later than it could by less than this.
    pub const fn pane(&self) -> DurationMs {
        DurationMs(self.pane)
    }

    /// How long a row that is not continued stays, from the beginning of its pane.
    pub(crate) const fn row_lives(&self) -> DurationMs {
        DurationMs(self.pane + self.span())
    }

    /// The pane that an event at `time` belongs to.
    pub fn pane_of(&self, time: EventTime) -> Pane {
        self.pane_at(clamped(time))
    }

    /// The start of the first pane that is still open when all inputs have reached `watermark`: an event may come
    /// that belongs to it, or to a session with events in it. `i64::MIN` before any pane is closed.
    pub(crate) fn open_from(&self, watermark: EventTime) -> i64 {
        let earliest = -TIME_MAX.0 - self.pane;
        let latest = watermark.0.checked_sub(self.span()).filter(|latest| *latest >= earliest);
        // By the pane's start, so that whoever is told the time at which it opened says the same.
        latest.map(|latest| self.pane_at(latest).start.0).filter(|start| *start >= earliest).unwrap_or(i64::MIN)
    }

    /// The last moment at which an event would continue a session whose last event so far was at `last`.
    pub(crate) fn reach(&self, last: EventTime) -> EventTime {
        let reach = last.plus(DurationMs(self.gap));
        match self.cut {
            Some(cut) => reach.min(EventTime(cut.start_at_or_before(last.0) + (cut.length - 1))),
            None => reach,
        }
    }

    /// From the end of a pane on, how far time has to come until nothing can reach into it any more.
    const fn span(&self) -> i64 {
        self.gap + self.grace
    }

    fn pane_at(&self, time: i64) -> Pane {
        let start = time - time.rem_euclid(self.pane);
        let (mut start, mut end) = (start, start.saturating_add(self.pane));
        if let Some(cut) = self.cut {
            let cell = cut.start_at_or_before(time);
            (start, end) = (start.max(cell), end.min(cell.saturating_add(cut.length)));
        }
        Pane { start: EventTime(start), end: EventTime(end) }
    }
}

impl Cut {
    fn start_at_or_before(self, time: i64) -> i64 {
        time - (time - self.offset).rem_euclid(self.length)
    }
}

impl Grid for SessionWindows {
    /// A record is late iff its time + grace < stream time.
    #[allow(private_interfaces, reason = "implemented and called within the crate only")]
    fn place(&self, time: EventTime, stream_time: EventTime) -> Option<Place> {
        let time = clamped(time);
        if EventTime(time + self.grace) < stream_time {
            return None;
        }
        let pane = self.pane_at(time).start.0;
        Some(Place { pane, first: pane, partly_late: false })
    }

    fn last_close(&self, reached: EventTime) -> EventTime {
        match self.open_from(reached) {
            i64::MIN => EventTime::MIN,
            open => EventTime(open.saturating_add(self.span())),
        }
    }
}

/// For fingerprints: these words never change for a store that stays what it is.
impl fmt::Display for SessionWindows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sessions gap {} ms, grace {} ms, panes {} ms", self.gap, self.grace, self.pane)?;
        match self.cut {
            Some(Cut { length, offset }) => write!(f, ", cut every {length} ms at {offset} ms"),
            None => Ok(()),
        }
    }
}
