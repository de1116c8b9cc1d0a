//! Windows of one size, evenly spaced: pure arithmetic on numbers.
//!
//! Not here: windows by the calendar ([`super::calendar`]), and panes (see the picture in [`super`]).
//! Invariant: nothing overflows, whatever the time.

use super::{Pane, SPAN_MAX, TIME_MAX, Window, WindowError, clamped};
use crate::record::{DurationMs, EventTime};

/// Windows `[offset + k * advance, offset + k * advance + size)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Even {
    pub(crate) size: i64,
    pub(crate) advance: i64,
    pub(crate) grace: i64,
    /// From 0 to below the advance.
    pub(crate) offset: i64,
    /// Where in each advance a window ends; 0 where that is also where one starts.
    pub(crate) cut: i64,
}

impl Even {
    /// Tumbling windows of one millisecond: what stands in where a description was refused.
    pub(crate) const EVERY_MILLISECOND: Self = Self { size: 1, advance: 1, grace: 0, offset: 0, cut: 0 };

    /// See [`super::Windows::new`].
    pub(crate) const fn new(
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

    /// The window that starts at `start`, which must be one of [`Self::windows_of`] something.
    pub(crate) fn window_at(&self, start: EventTime) -> Window {
        Window { start, end: start.plus(DurationMs(self.size)) }
    }

    /// The pane that an event at `time` belongs to.
    pub(crate) fn pane_of(&self, time: EventTime) -> Pane {
        self.pane_at(clamped(time))
    }

    /// The first window that holds an event at `time`, and how many younger ones do so too.
    pub(crate) fn windows_of(&self, time: EventTime) -> (i64, i64) {
        let first = self.first_start(clamped(time));
        let last = self.start_at_or_before(clamped(time));
        (first, (last - first) / self.advance)
    }

    /// The first pane of the window that starts at `start`, and the window's end.
    pub(crate) fn panes_of(&self, start: EventTime) -> (Pane, EventTime) {
        // The windows that hold the outermost times reach beyond those by less than their size.
        let start = start.0.clamp(-TIME_MAX.0 - self.size, TIME_MAX.0);
        (self.pane_at(start), EventTime(start + self.size))
    }

    /// The start of the first (oldest) window that holds the pane.
    pub(crate) fn first_window_of(&self, pane: Pane) -> EventTime {
        EventTime(self.first_start(clamped(pane.start)))
    }

    /// The start of the last (youngest) window that holds the pane.
    pub(crate) fn last_window_of(&self, pane: Pane) -> EventTime {
        EventTime(self.start_at_or_before(clamped(pane.start)))
    }

    /// The start of the first window that holds an event at `time` and still takes it in, where the
    /// event's source has come to `stream_time`; all younger windows that hold it do so too. `None`
    /// if the event is late for all. It is late for a window iff window end + grace <= stream time.
    pub(crate) fn first_accepting(&self, time: EventTime, stream_time: EventTime) -> Option<EventTime> {
        let time = clamped(time);
        let accepting = match self.last_closed(stream_time) {
            Some(closed) => self.first_start(time).max(closed + self.advance),
            None => self.first_start(time),
        };
        (accepting <= self.start_at_or_before(time)).then_some(EventTime(accepting))
    }

    /// The first moment after `time` at which a window closes; [`EventTime::MAX`] at the end of time.
    pub(crate) fn next_close_after(&self, time: EventTime) -> EventTime {
        let span = self.size + self.grace;
        let closed = self.start_at_or_before(time.0.max(-TIME_MAX.0) - span);
        EventTime(closed.saturating_add(self.advance + span))
    }

    /// The start of the youngest window that is closed when all inputs have reached `watermark`: with
    /// it, all older ones are. A window closes when the watermark reaches its end + grace. `None`
    /// before any window closes.
    pub(crate) fn closable_through(&self, watermark: EventTime) -> Option<EventTime> {
        self.last_closed(watermark).map(EventTime)
    }

    /// The youngest start whose window's end + grace is at or before `time`.
    fn last_closed(&self, time: EventTime) -> Option<i64> {
        let latest = time.0.checked_sub(self.size + self.grace)?;
        (latest >= -TIME_MAX.0 - self.size).then(|| self.start_at_or_before(latest))
    }

    pub(crate) fn pane_at(&self, time: i64) -> Pane {
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
