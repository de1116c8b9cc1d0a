//! How far apart in event time two records may be that belong together.
//!
//! Not here: the records. Invariant: nothing overflows: times beyond [`crate::window::TIME_MAX`] on either side of 1970 are taken for
//! that bound, and spans are far shorter.

use std::fmt;

use thiserror::Error;

use crate::plan::JoinKind;
use crate::record::DurationMs;
use crate::window::SPAN_MAX;

/// In so many pieces the span in which partners may lie is cut: an arriving record looks at two more.
const PANES_PER_SPAN: i64 = 4;
/// Where a record has one partner at most. Whoever looks for one looks for its like too, through twice the span.
const PANES_PER_SPAN_ONCE: i64 = 1;
/// A row's whole life, its grace included, spans at most about so many panes.
const PANES_PER_LIFE: i64 = 64;
/// A pane is no shorter than this, or nearly every record would open one of its own.
const PANE_MS_MIN: i64 = 100;

/// Records join if the right one is no more than `before` older and no more than `after` younger than the left one,
/// both ends included: Kafka Streams' `JoinWindows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a window does nothing until something is joined within it"]
pub struct JoinWindow {
    before: i64,
    after: i64,
    grace: i64,
}

/// A join window that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JoinWindowError {
    /// A bound or the grace is negative.
    #[error(
        "a join window of {0} ms: give bounds and a grace of 0 or more; to look to one side only, let the other be 0"
    )]
    Negative(i64),
    /// It is beyond all use.
    #[error("a span of {0} ms is longer than the 9 million years that a join window can be")]
    TooLong(i64),
}

/// One of the two streams that are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    Left,
    Right,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

impl JoinWindow {
    /// The right record from `before` before the left one to `after` after it.
    pub const fn within(before: DurationMs, after: DurationMs) -> Self {
        Self { before: before.0, after: after.0, grace: 0 }
    }

    /// The same distance both ways.
    pub const fn around(span: DurationMs) -> Self {
        Self::within(span, span)
    }

    /// The same window for records that are up to `grace` older than their partition's stream time; without this, 0.
    pub const fn grace(self, grace: DurationMs) -> Self {
        Self { grace: grace.0, ..self }
    }

    /// Whether such a window can be.
    pub(crate) fn check(self) -> Result<Self, JoinWindowError> {
        for ms in [self.before, self.after, self.grace] {
            match ms {
                ms if ms < 0 => return Err(JoinWindowError::Negative(ms)),
                ms if ms > SPAN_MAX => return Err(JoinWindowError::TooLong(ms)),
                _ => {}
            }
        }
        Ok(self)
    }

    /// How long after their time records are taken in, and how long after its bound a row is kept.
    pub(crate) fn grace_ms(self) -> DurationMs {
        DurationMs(self.grace)
    }

    /// How far the last partner of a record of `side` may lie behind it: by then all its partners have happened, and a grace
    /// later they have come.
    pub(crate) fn bound(self, side: Side) -> i64 {
        match side {
            Side::Left => self.after,
            Side::Right => self.before,
        }
    }

    /// How far apart two partners of one row may be.
    pub(crate) fn span(self) -> i64 {
        self.before + self.after
    }

    /// How much event time of input a row can depend on.
    pub(crate) fn history(self, kind: JoinKind) -> DurationMs {
        DurationMs(self.span() + self.longest() + self.grace + self.pane_ms(kind))
    }

    /// The longer bound.
    pub(crate) fn longest(self) -> i64 {
        self.before.max(self.after)
    }

    /// How much time of dues one pane holds.
    pub(crate) fn pane_ms(self, kind: JoinKind) -> i64 {
        let life = self.span() + self.grace;
        let panes = if kind.is_once() { PANES_PER_SPAN_ONCE } else { PANES_PER_SPAN };
        PANE_MS_MIN.max(self.span() / panes).max(life / PANES_PER_LIFE)
    }
}

/// For fingerprints: these words never change for a join that stays what it is.
impl fmt::Display for JoinWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} ms before to {} ms after, grace {} ms", self.before, self.after, self.grace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_cannot_be_are_refused() {
        let ms = DurationMs;
        assert!(JoinWindow::around(ms(0)).check().is_ok());
        assert_eq!(JoinWindow::within(ms(-1), ms(5)).check(), Err(JoinWindowError::Negative(-1)));
        assert_eq!(JoinWindow::within(ms(1), ms(5)).grace(ms(-2)).check(), Err(JoinWindowError::Negative(-2)));
        assert_eq!(JoinWindow::around(ms(i64::MAX)).check(), Err(JoinWindowError::TooLong(i64::MAX)));
    }
}
