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
//! Not here: what a pane holds, and who decides what time it is.
//! Invariant: nothing overflows. Times beyond [`TIME_MAX`] on either side of 1970 (146 million years)
//! are taken for that bound, so that every window and pane has a start and an end of its own.

use serde::{Deserialize, Serialize};
use thiserror::Error;

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
    /// How long each window is.
    fn size(&self) -> DurationMs;
    /// How far apart two windows start.
    fn advance(&self) -> DurationMs;
    /// How long after its end a window still takes in late events.
    fn grace(&self) -> DurationMs;
    /// How far after 1970-01-01 UTC, modulo the advance, windows start.
    fn offset(&self) -> DurationMs;

    /// The arithmetic of these windows; a topology asks for it when it is built.
    ///
    /// # Errors
    ///
    /// [`WindowError`] where the sizes make no sense together.
    fn windows(&self) -> Result<Windows, WindowError> {
        Windows::new(self.size(), self.advance(), self.grace(), self.offset())
    }
}

/// Windows of which no two hold the same event, so that a window's present value stands in one row.
#[diagnostic::on_unimplemented(
    message = "`{Self}` windows have no updates",
    label = "one event would update every window that holds it",
    note = "lay `Tumbling` windows for the updates, and take the hopping ones `on_close`"
)]
pub trait SideBySide: Windowing {}

impl SideBySide for Tumbling {}

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
    fn size(&self) -> DurationMs {
        self.0.size
    }
    fn advance(&self) -> DurationMs {
        self.0.advance
    }
    fn grace(&self) -> DurationMs {
        self.0.grace
    }
    fn offset(&self) -> DurationMs {
        self.0.offset
    }
}

impl Windowing for Hopping {
    fn size(&self) -> DurationMs {
        self.size
    }
    fn advance(&self) -> DurationMs {
        self.advance
    }
    fn grace(&self) -> DurationMs {
        self.grace
    }
    fn offset(&self) -> DurationMs {
        self.offset
    }
}

/// Checked windows, and every question about time that a pipeline asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    size: i64,
    advance: i64,
    grace: i64,
    /// From 0 to below the advance.
    offset: i64,
    /// Where in each advance a window ends; 0 where that is also where one starts.
    cut: i64,
}

impl Windows {
    /// Tumbling windows of one millisecond: what stands in where a description was refused.
    pub(crate) const EVERY_MILLISECOND: Self = Self { size: 1, advance: 1, grace: 0, offset: 0, cut: 0 };

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
        let (size, advance, grace) = (size.0, advance.0, grace.0);
        if size <= 0 {
            Err(WindowError::Size(size))
        } else if advance <= 0 {
            Err(WindowError::Advance(advance))
        } else if advance > size {
            Err(WindowError::Gaps { size, advance })
        } else if grace < 0 {
            Err(WindowError::Grace(grace))
        } else if size > SPAN_MAX {
            Err(WindowError::TooLong(size))
        } else if grace > SPAN_MAX {
            Err(WindowError::TooLong(grace))
        } else {
            Ok(Self { size, advance, grace, offset: offset.0.rem_euclid(advance), cut: size % advance })
        }
    }

    /// How long each window is.
    pub const fn size(&self) -> DurationMs {
        DurationMs(self.size)
    }

    /// How far apart two windows start.
    pub const fn advance(&self) -> DurationMs {
        DurationMs(self.advance)
    }

    /// How long after its end a window still takes in late events.
    pub const fn grace(&self) -> DurationMs {
        DurationMs(self.grace)
    }

    /// The window that starts at `start`, which must be one of [`Self::windows_of`] something.
    pub fn window_at(&self, start: EventTime) -> Window {
        Window { start, end: start.plus(DurationMs(self.size)) }
    }

    /// The pane that an event at `time` belongs to.
    pub fn pane_of(&self, time: EventTime) -> Pane {
        self.pane_at(clamped(time))
    }

    /// All windows that hold an event at `time`, oldest first.
    pub fn windows_of(&self, time: EventTime) -> impl DoubleEndedIterator<Item = Window> + use<> {
        let windows = *self;
        let first = self.first_start(clamped(time));
        let last = self.start_at_or_before(clamped(time));
        (0..=(last - first) / self.advance).map(move |k| windows.window_at(EventTime(first + k * windows.advance)))
    }

    /// The panes that make up the window that starts at `start`, oldest first.
    pub fn panes_of(&self, start: EventTime) -> impl Iterator<Item = Pane> + use<> {
        let windows = *self;
        // The windows that hold the outermost times reach beyond those by less than their size.
        let start = start.0.clamp(-TIME_MAX.0 - self.size, TIME_MAX.0);
        let end = EventTime(start + self.size);
        std::iter::successors(Some(self.pane_at(start)), move |pane| Some(windows.pane_at(pane.end.0)))
            .take_while(move |pane| pane.end <= end)
    }

    /// The start of the first (oldest) window that holds the pane.
    pub fn first_window_of(&self, pane: Pane) -> EventTime {
        EventTime(self.first_start(clamped(pane.start)))
    }

    /// The start of the last (youngest) window that holds the pane.
    pub fn last_window_of(&self, pane: Pane) -> EventTime {
        EventTime(self.start_at_or_before(clamped(pane.start)))
    }

    /// The start of the first window that holds an event at `time` and still takes it in, where the
    /// event's source has come to `stream_time`; all younger windows that hold it do so too. `None`
    /// if the event is late for all. It is late for a window iff window end + grace <= stream time.
    pub fn first_accepting(&self, time: EventTime, stream_time: EventTime) -> Option<EventTime> {
        let time = clamped(time);
        let accepting = match self.last_closed(stream_time) {
            Some(closed) => self.first_start(time).max(closed + self.advance),
            None => self.first_start(time),
        };
        (accepting <= self.start_at_or_before(time)).then_some(EventTime(accepting))
    }

    /// When the window closes: a watermark that has reached this closes it.
    pub fn close_of(&self, window: Window) -> EventTime {
        window.end.plus(DurationMs(self.grace))
    }

    /// The first moment after `time` at which a window closes; [`EventTime::MAX`] at the end of time.
    pub fn next_close_after(&self, time: EventTime) -> EventTime {
        let span = self.size + self.grace;
        let closed = self.start_at_or_before(time.0.max(-TIME_MAX.0) - span);
        EventTime(closed.saturating_add(self.advance + span))
    }

    /// The start of the youngest window that is closed when all inputs have reached `watermark`: with
    /// it, all older ones are. A window closes when the watermark reaches its end + grace. `None`
    /// before any window closes.
    pub fn closable_through(&self, watermark: EventTime) -> Option<EventTime> {
        self.last_closed(watermark).map(EventTime)
    }

    /// The youngest start whose window's end + grace is at or before `time`.
    fn last_closed(&self, time: EventTime) -> Option<i64> {
        let latest = time.0.checked_sub(self.size + self.grace)?;
        (latest >= -TIME_MAX.0 - self.size).then(|| self.start_at_or_before(latest))
    }

    fn pane_at(&self, time: i64) -> Pane {
        let start = self.start_at_or_before(time);
        let (start, end) =
            if time - start < self.cut { (start, start + self.cut) } else { (start + self.cut, start + self.advance) };
        Pane { start: EventTime(start), end: EventTime(end) }
    }

    /// The youngest window start at or before `time`.
    fn start_at_or_before(&self, time: i64) -> i64 {
        time - (time - self.offset).rem_euclid(self.advance)
    }

    /// The oldest window start after `time - size`.
    fn first_start(&self, time: i64) -> i64 {
        self.start_at_or_before(time - self.size) + self.advance
    }
}

pub(crate) fn clamped(time: EventTime) -> i64 {
    time.0.clamp(-TIME_MAX.0, TIME_MAX.0)
}

#[cfg(test)]
mod tests;
