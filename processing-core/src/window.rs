//! From event time to windows and panes: pure arithmetic.
//!
//! A window is `[start, end)`; window starts are `offset + k * advance`, aligned to 1970-01-01 UTC. Time
//! is cut into panes wherever a window starts or ends, so that each window is a whole number of panes
//! and a record belongs to one pane only:
//!
//! ```text
//!   size 5, advance 2     |---- window 0 ----|
//!                              0   1   2   3   4   5   6   7   8   9
//!                                      |---- window 2 ----|
//!                                              |---- window 4 ----|
//!   panes (5 mod 2 = 1)        [0) [1  )[2)[3  )[4)[5  )[6)[7  )[8) ...
//! ```
//!
//! There are two kinds: windows of one size ([`Tumbling`], [`Hopping`]) and windows by a local clock ([`LocalDays`]
//! and its kin), which are their own panes. Windows of so many records there are not: which records are the next
//! hundred hangs on the order in which partitions are read, so a replay would cut others. Count within windows of time,
//! or keep the first so many by event time ([`crate::aggregate::collect()`]).
//!
//! Not here: what a pane holds, and who decides what time it is.
//! Invariant: nothing overflows. Times beyond [`TIME_MAX`] on either side of 1970 (146 million years)
//! are taken for that bound, so that every window and pane has a start and an end of its own.

mod calendar;
mod even;
mod fit;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use calendar::Calendar;
pub use calendar::{LocalDays, LocalHours, LocalMonths, LocalWeeks};
pub use chrono_tz::Tz;
use even::Even;
pub(crate) use fit::Misfit;

use crate::record::{DurationMs, EventTime};

/// The furthest time from 1970, both ways, that windows tell apart: 2^62 ms.
pub const TIME_MAX: EventTime = EventTime(1 << 62);

/// The largest size and the largest grace: 2^58 ms, 9 million years.
pub(crate) const SPAN_MAX: i64 = 1 << 58;

/// A span of event time whose events are answered for together: those at `start <= t < end`.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// The first millisecond within.
    pub start: EventTime,
    /// The first millisecond after.
    pub end: EventTime,
}

/// A piece of time that no window start or end divides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pane {
    /// The first millisecond within.
    pub start: EventTime,
    /// The first millisecond after.
    pub end: EventTime,
}

impl From<Window> for Pane {
    fn from(Window { start, end }: Window) -> Self {
        Self { start, end }
    }
}

/// A description of windows that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WindowError {
    /// The size is not positive.
    #[error("a window of {0} ms holds no event: give it a size of at least 1 ms")]
    Size(i64),
    /// The advance is not positive.
    #[error("windows that advance by {0} ms never move: give an advance of at least 1 ms")]
    Advance(i64),
    /// The windows leave gaps.
    #[error(
        "windows of {size} ms that advance by {advance} ms leave gaps whose events would vanish: \
         give an advance of at most the size"
    )]
    Gaps {
        /// The size.
        size: i64,
        /// The advance.
        advance: i64,
    },
    /// The grace is negative.
    #[error("a grace of {0} ms would close windows before they end: give 0 or more")]
    Grace(i64),
    /// The difference of sliding windows is negative.
    #[error(
        "a difference of {0} ms holds not even what happens at one time: give sliding windows a difference of 0 ms or more"
    )]
    Difference(i64),
    /// The gap of sessions is not positive.
    #[error("a gap of {0} ms would tear apart what happens at the same time: give sessions a gap of at least 1 ms")]
    Gap(i64),
    /// The grace of sessions is negative.
    #[error("a grace of {0} ms would end sessions before their gap is over: give 0 or more")]
    SessionGrace(i64),
    /// Sessions are cut more often than their gap is long.
    #[error(
        "sessions that are cut every {length} ms never see a gap of {gap} ms: lay tumbling windows of {length} ms, \
         or cut at least {gap} ms apart"
    )]
    Cut {
        /// How far apart the cuts are.
        length: i64,
        /// The gap.
        gap: i64,
    },
    /// Size or grace is beyond all use.
    #[error("a span of {0} ms is longer than the 9 million years that windows can be")]
    TooLong(i64),
}

/// What a pipeline can be windowed by.
pub trait Windowing {
    /// The arithmetic of these windows; a topology asks for it when it is built.
    ///
    /// # Errors
    ///
    /// [`WindowError`] where the sizes make no sense together.
    fn windows(&self) -> Result<Windows, WindowError>;
}

/// Windows of which no two hold the same event, so that a window's present value stands in one row, and what was counted
/// in one is counted in no other.
#[diagnostic::on_unimplemented(
    message = "`{Self}` windows overlap",
    label = "an event is in every window that holds it",
    note = "lay `Tumbling` or local windows here, and take the hopping ones `on_close`"
)]
pub trait SideBySide: Windowing {}

impl SideBySide for Tumbling {}

/// Windows that are all of one size and start at even distances, so that spans of time before them can be named.
#[diagnostic::on_unimplemented(
    message = "`{Self}` windows are of unequal size",
    label = "a frame of milliseconds is no whole number of them",
    note = "lay `Tumbling` or `Hopping` windows for `on_close_with`, or take `with_previous`"
)]
pub trait EvenlySpaced: Windowing {}

impl EvenlySpaced for Tumbling {}
impl EvenlySpaced for Hopping {}

/// Windows side by side: each event is in exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tumbling(Hopping);

impl Tumbling {
    /// Windows of `size`.
    pub const fn new(size: DurationMs) -> Self {
        Self(Hopping::new(size, size))
    }

    /// Windows of `n` milliseconds.
    pub const fn millis(n: i64) -> Self {
        Self::new(DurationMs(n))
    }

    /// Windows of `n` seconds.
    pub const fn seconds(n: i64) -> Self {
        Self::millis(n.saturating_mul(1_000))
    }

    /// Windows of `n` minutes.
    pub const fn minutes(n: i64) -> Self {
        Self::seconds(n.saturating_mul(60))
    }

    /// Windows of `n` hours.
    pub const fn hours(n: i64) -> Self {
        Self::minutes(n.saturating_mul(60))
    }

    /// The same windows, open for late events until `grace` after their end; without this, 0.
    #[must_use]
    pub const fn grace(self, grace: DurationMs) -> Self {
        Self(self.0.grace(grace))
    }

    /// The same windows, all moved by `offset`: days that begin at 22:00 UTC.
    #[must_use]
    pub const fn offset(self, offset: DurationMs) -> Self {
        Self(self.0.offset(offset))
    }
}

/// Windows that overlap: each event is in `size / advance` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hopping {
    size: DurationMs,
    advance: DurationMs,
    grace: DurationMs,
    offset: DurationMs,
}

impl Hopping {
    /// Windows of `size`, one every `advance`.
    pub const fn new(size: DurationMs, advance: DurationMs) -> Self {
        Self { size, advance, grace: DurationMs(0), offset: DurationMs(0) }
    }

    /// The same windows, open for late events until `grace` after their end; without this, 0.
    #[must_use]
    pub const fn grace(self, grace: DurationMs) -> Self {
        Self { grace, ..self }
    }

    /// The same windows, all moved by `offset`.
    #[must_use]
    pub const fn offset(self, offset: DurationMs) -> Self {
        Self { offset, ..self }
    }
}

impl Windowing for Tumbling {
    fn windows(&self) -> Result<Windows, WindowError> {
        self.0.windows()
    }
}

impl Windowing for Hopping {
    fn windows(&self) -> Result<Windows, WindowError> {
        Windows::new(self.size, self.advance, self.grace, self.offset)
    }
}

/// Checked windows, and every question about time that a pipeline asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows(pub(crate) Kind);

/// The two ways in which windows are laid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of one size.
    Even(Even),
    /// By a local clock.
    Calendar(Calendar),
}

impl Windows {
    /// Tumbling windows of one millisecond: what stands in where a description was refused.
    pub(crate) const EVERY_MILLISECOND: Self = Self(Kind::Even(Even::EVERY_MILLISECOND));

    /// Windows of `size`, one every `advance`, closing `grace` after their end, moved by `offset`. It
    /// is const: `const HOUR: Windows = match Windows::new(..) { .. }` is checked by the compiler.
    ///
    /// # Errors
    ///
    /// [`WindowError`] where the sizes make no sense together.
    pub const fn new(
        size: DurationMs,
        advance: DurationMs,
        grace: DurationMs,
        offset: DurationMs,
    ) -> Result<Self, WindowError> {
        match Even::new(size, advance, grace, offset) {
            Ok(even) => Ok(Self(Kind::Even(even))),
            Err(error) => Err(error),
        }
    }

    /// How long each window is; windows in local time are at most so long.
    pub const fn size(&self) -> DurationMs {
        match &self.0 {
            Kind::Even(even) => DurationMs(even.size),
            Kind::Calendar(calendar) => calendar.longest(),
        }
    }

    /// How far apart two windows start; windows in local time at most so far.
    pub const fn advance(&self) -> DurationMs {
        match &self.0 {
            Kind::Even(even) => DurationMs(even.advance),
            Kind::Calendar(calendar) => calendar.longest(),
        }
    }

    /// How long after its end a window still takes in late events.
    pub const fn grace(&self) -> DurationMs {
        match &self.0 {
            Kind::Even(even) => DurationMs(even.grace),
            Kind::Calendar(calendar) => DurationMs(calendar.grace),
        }
    }

    /// The same windows, closing at their end.
    #[must_use]
    pub(crate) const fn without_grace(self) -> Self {
        match self.0 {
            Kind::Even(even) => Self(Kind::Even(Even { grace: 0, ..even })),
            Kind::Calendar(calendar) => Self(Kind::Calendar(Calendar { grace: 0, ..calendar })),
        }
    }

    /// The window that starts at `start`, which must be one of [`Self::windows_of`] something.
    pub fn window_at(&self, start: EventTime) -> Window {
        match &self.0 {
            Kind::Even(even) => even.window_at(start),
            Kind::Calendar(calendar) => calendar.window_of(start),
        }
    }

    /// The start of the window after the one that starts at `start`.
    pub fn next_start(&self, start: EventTime) -> EventTime {
        match &self.0 {
            Kind::Even(even) => start.plus(DurationMs(even.advance)),
            Kind::Calendar(calendar) => calendar.window_of(start).end,
        }
    }

    /// The start of the window before the one that starts at `start`.
    pub fn previous_start(&self, start: EventTime) -> EventTime {
        match &self.0 {
            Kind::Even(even) => start.minus(DurationMs(even.advance)),
            Kind::Calendar(calendar) => calendar.window_of(start.minus(DurationMs(1))).start,
        }
    }

    /// The pane that an event at `time` belongs to. Windows in local time do not overlap: each is a pane.
    pub fn pane_of(&self, time: EventTime) -> Pane {
        match &self.0 {
            Kind::Even(even) => even.pane_of(time),
            Kind::Calendar(calendar) => calendar.window_of(time).into(),
        }
    }

    /// All windows that hold an event at `time`, oldest first.
    pub fn windows_of(&self, time: EventTime) -> impl DoubleEndedIterator<Item = Window> + use<> {
        let windows = *self;
        let (first, more) = match &self.0 {
            Kind::Even(even) => even.windows_of(time),
            Kind::Calendar(calendar) => (calendar.window_of(time).start.0, 0),
        };
        (0..=more).map(move |k| windows.window_at(EventTime(first + k * windows.advance().0)))
    }

    /// The panes that make up the window that starts at `start`, oldest first.
    pub fn panes_of(&self, start: EventTime) -> impl Iterator<Item = Pane> + use<> {
        let windows = *self;
        let (first, end) = match &self.0 {
            Kind::Even(even) => even.panes_of(start),
            Kind::Calendar(calendar) => (calendar.window_of(start).into(), calendar.window_of(start).end),
        };
        std::iter::successors(Some(first), move |pane| Some(windows.pane_from(pane.end)))
            .take_while(move |pane| pane.end <= end)
    }

    /// The pane that begins at `start`, which may lie where no record does.
    fn pane_from(&self, start: EventTime) -> Pane {
        match &self.0 {
            Kind::Even(even) => even.pane_at(start.0),
            Kind::Calendar(calendar) => calendar.window_of(start).into(),
        }
    }

    /// The start of the first (oldest) window that holds the pane.
    pub fn first_window_of(&self, pane: Pane) -> EventTime {
        match &self.0 {
            Kind::Even(even) => even.first_window_of(pane),
            Kind::Calendar(_) => pane.start,
        }
    }

    /// The start of the last (youngest) window that holds the pane.
    pub fn last_window_of(&self, pane: Pane) -> EventTime {
        match &self.0 {
            Kind::Even(even) => even.last_window_of(pane),
            Kind::Calendar(_) => pane.start,
        }
    }

    /// The start of the first window that holds an event at `time` and still takes it in, where the
    /// event's source has come to `stream_time`; all younger windows that hold it do so too. `None`
    /// if the event is late for all. It is late for a window iff window end + grace <= stream time.
    pub fn first_accepting(&self, time: EventTime, stream_time: EventTime) -> Option<EventTime> {
        match &self.0 {
            Kind::Even(even) => even.first_accepting(time, stream_time),
            Kind::Calendar(calendar) => {
                let window = calendar.window_of(time);
                (self.close_of(window) > stream_time).then_some(window.start)
            }
        }
    }

    /// When the window closes: a watermark that has reached this closes it.
    pub fn close_of(&self, window: Window) -> EventTime {
        window.end.plus(self.grace())
    }

    /// The first moment after `time` at which a window closes; [`EventTime::MAX`] at the end of time.
    pub fn next_close_after(&self, time: EventTime) -> EventTime {
        match &self.0 {
            Kind::Even(even) => even.next_close_after(time),
            Kind::Calendar(calendar) => calendar.next_close_after(time),
        }
    }

    /// The start of the youngest window that is closed when all inputs have reached `watermark`: with
    /// it, all older ones are. A window closes when the watermark reaches its end + grace. `None`
    /// before any window closes.
    pub fn closable_through(&self, watermark: EventTime) -> Option<EventTime> {
        match &self.0 {
            Kind::Even(even) => even.closable_through(watermark),
            Kind::Calendar(calendar) => calendar.closable_through(watermark),
        }
    }
}

pub(crate) fn clamped(time: EventTime) -> i64 {
    time.0.clamp(-TIME_MAX.0, TIME_MAX.0)
}

#[cfg(test)]
mod documented;
#[cfg(test)]
mod tests;
