//! Where a record belongs among panes and windows, in the numbers that stores are keyed by.
//!
//! Not here: the arithmetic of time ([`crate::window`]), on which this stands. Invariant: a pane or
//! window is named by its start in milliseconds, everywhere in the core and on disk.

use std::fmt;

use crate::record::EventTime;
use crate::window::{Kind, Window, Windows};

/// The row that a record is folded into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) pane: i64,
    /// The start of the first window that accepts the record.
    pub(crate) first: i64,
    /// Whether an earlier window would have held it and has closed.
    pub(crate) partly_late: bool,
}

impl Windows {
    /// The row for a record at `time` whose partition has come to `stream_time`; `None` if it is late for
    /// every window.
    pub(crate) fn place(&self, time: EventTime, stream_time: EventTime) -> Option<Place> {
        match &self.0 {
            Kind::Even(even) => {
                let first = even.first_accepting(time, stream_time)?.0;
                let pane = even.pane_of(time);
                let natural = even.first_window_of(pane).0;
                Some(Place { pane: pane.start.0, first, partly_late: first > natural })
            }
            // Asked once, since a calendar takes its time.
            Kind::Calendar(calendar) => {
                let window = calendar.window_of(time);
                let start = window.start.0;
                let accepts = self.close_of(window) > stream_time;
                accepts.then_some(Place { pane: start, first: start, partly_late: false })
            }
        }
    }

    /// The start of the first window that holds the pane which starts at `pane`.
    pub(crate) fn first_of(&self, pane: i64) -> i64 {
        match &self.0 {
            Kind::Even(even) => even.first_window_of(even.pane_of(EventTime(pane))).0,
            Kind::Calendar(_) => pane,
        }
    }

    /// The start of the youngest window that is closed at `time`; the least number if none is.
    pub(crate) fn closable(&self, time: EventTime) -> i64 {
        self.closable_through(time).map_or(i64::MIN, |start| start.0)
    }

    /// The window that starts at `start`.
    pub(crate) fn starting(&self, start: i64) -> Window {
        self.window_at(EventTime(start))
    }

    /// The start of the window after the one that starts at `start`.
    pub(crate) fn next(&self, start: i64) -> i64 {
        self.next_start(EventTime(start)).0
    }

    /// The start of the window before the one that starts at `start`.
    pub(crate) fn previous(&self, start: i64) -> i64 {
        self.previous_start(EventTime(start)).0
    }

    /// Whether a record can belong to several windows.
    pub(crate) fn overlap(&self) -> bool {
        matches!(&self.0, Kind::Even(even) if even.size > even.advance)
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Even(even) if self.overlap() => write!(f, "hopping {} ms / {} ms", even.size, even.advance)?,
            Kind::Even(even) => write!(f, "tumbling {} ms", even.size)?,
            Kind::Calendar(calendar) => calendar.fmt(f)?,
        }
        write!(f, ", grace {} ms", self.grace().0)
    }
}
