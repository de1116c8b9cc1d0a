//! Windows by a local clock: hours, days, weeks and months of a time zone, over daylight saving.
//!
//! A day begins when the clock first shows its midnight, or, where the clock jumps over midnight, at that jump; so
//! `java.time`'s `atStartOfDay` has it too. Weeks and months begin where their first day does. A day is 23 or 25 hours long
//! where the clock is put forward or back within it. Hours begin at each full hour of the clock *and* where it is put
//! forward or back: the hour that is lived through twice is two windows, and none is longer than an hour.
//!
//! ```text
//!   Berlin, 25 October 2026    01:00    02:00    02:00    03:00    04:00      local
//!                                |   1    |  2 (a) |  2 (b) |    3   |        hours
//!                              23:00    00:00    01:00    02:00    03:00      UTC
//!                           ────────────────── one day ──────────────────     of 25 hours
//! ```
//!
//! Where midnight is shown a second time (until 2011 Newfoundland put its clocks back at 00:01), the day has begun at the
//! first. A date that a zone left out (Samoa, 30 December 2011) has no window.
//!
//! The rules are those of the tz database ([`chrono_tz::IANA_TZDB_VERSION`]) that this program was built with, so its version
//! is part of what a replay depends on: a program with another one may cut other days, in the past as well. It is
//! pinned in the workspace's `Cargo.toml`, a plan's description names it, and with it changed a store keeps the windows
//! that it has, while new ones are cut by the new rules; `streamfleet reprocess` makes all of them anew.
//!
//! Cost: about a fifth of a microsecond per record more than windows of one size, and memory none.
//!
//! Not here: windows of one size ([`super::even`]). Invariant: windows are side by side without gaps, so that each is a
//! pane, and nothing overflows: times beyond [`LOCAL_MAX`] are taken for it.

use std::fmt;

use chrono::{DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeZone, Weekday};
use chrono_tz::Tz;

use super::{SPAN_MAX, SideBySide, Window, WindowError, Windowing, Windows};
use crate::record::{DurationMs, EventTime};

/// The furthest time from 1970, both ways, that a calendar is asked about: 2^52 ms, 142 000 years.
const LOCAL_MAX: i64 = 1 << 52;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// More than any zone is away from UTC, twice.
const WIDE: i64 = 60 * HOUR;

/// What a window is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Hour,
    Day,
    Week {
        /// The first day of each.
        from: Weekday,
    },
    Month,
}

/// Windows by the clock of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calendar {
    pub(crate) zone: Tz,
    pub(crate) unit: Unit,
    pub(crate) grace: i64,
}

impl Calendar {
    /// The window that holds `time`.
    pub(crate) fn window_of(&self, time: EventTime) -> Window {
        let time = clamped(time);
        let (start, end) = if self.unit == Unit::Hour { self.hour_of(time) } else { self.dates_of(time) };
        Window { start: EventTime(start), end: EventTime(end) }
    }

    /// No window is longer. Days of two days there were where a zone changed the side of the date line.
    pub(crate) const fn longest(&self) -> DurationMs {
        match self.unit {
            Unit::Hour => DurationMs(HOUR),
            Unit::Day => DurationMs(2 * DAY),
            Unit::Week { .. } => DurationMs(8 * DAY),
            Unit::Month => DurationMs(32 * DAY),
        }
    }

    /// See [`Windows::next_close_after`].
    pub(crate) fn next_close_after(&self, time: EventTime) -> EventTime {
        let before = time.0.saturating_sub(self.grace);
        if before > LOCAL_MAX {
            return EventTime::MAX;
        }
        self.window_of(EventTime(before)).end.plus(DurationMs(self.grace))
    }

    /// See [`Windows::closable_through`].
    pub(crate) fn closable_through(&self, watermark: EventTime) -> Option<EventTime> {
        let latest = watermark.0.checked_sub(self.grace).filter(|latest| *latest >= -LOCAL_MAX)?;
        let window = self.window_of(EventTime(latest));
        // Beyond the last time there is, the last window has ended.
        if window.end.0 <= latest {
            return Some(window.start);
        }
        Some(self.window_of(window.start.minus(DurationMs(1))).start)
    }

    /// From the full hour, or the change of the clock within it, to the next.
    fn hour_of(&self, time: i64) -> (i64, i64) {
        let offset = self.offset(time);
        let start = (time + offset).div_euclid(HOUR) * HOUR - offset;
        let end = start + HOUR;
        let same = |at: i64| self.offset(at) == offset;
        let start = if same(start) { start } else { first(start, time, same) };
        let end = if same(end - 1) { end } else { first(time, end - 1, |at| !same(at)) };
        (start, end)
    }

    /// From the beginning of the day, week or month to that of the next.
    fn dates_of(&self, time: i64) -> (i64, i64) {
        let mut number = self.number(time + self.offset(time));
        let mut end = self.begin(number + 1);
        // Where the clock was put back over midnight, it shows the day before once more.
        while end <= time {
            number += 1;
            end = self.begin(number + 1);
        }
        (self.begin(number), end)
    }

    /// The number of the day, week or month that the clock shows, given what it shows in milliseconds.
    fn number(&self, local: i64) -> i64 {
        let day = local.div_euclid(DAY);
        match self.unit {
            Unit::Hour | Unit::Day => day,
            Unit::Week { from } => (day - first_day(from)).div_euclid(7),
            Unit::Month => {
                let date = naive(local).date();
                i64::from(date.year()) * 12 + i64::from(date.month0())
            }
        }
    }

    /// When the day, week or month of this number begins.
    fn begin(&self, number: i64) -> i64 {
        let midnight = match self.unit {
            Unit::Hour | Unit::Day => number * DAY,
            Unit::Week { from } => (number * 7 + first_day(from)) * DAY,
            Unit::Month => {
                let (year, month0) = (number.div_euclid(12) as i32, number.rem_euclid(12) as u32);
                let date = NaiveDate::from_ymd_opt(year, month0 + 1, 1).unwrap_or(NaiveDate::MAX);
                date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis()
            }
        };
        match self.zone.offset_from_local_datetime(&naive(midnight)) {
            LocalResult::Single(offset) => midnight - ms(&offset),
            LocalResult::Ambiguous(one, other) => midnight - ms(&one).max(ms(&other)),
            // The clock jumps over it.
            LocalResult::None => first(midnight - WIDE, midnight + WIDE, |at| at + self.offset(at) >= midnight),
        }
    }

    /// How far the clock is ahead of UTC.
    fn offset(&self, time: i64) -> i64 {
        ms(&self.zone.offset_from_utc_datetime(&naive(time)))
    }
}

/// For fingerprints: these words never change for windows that stay what they are.
impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone.name();
        match self.unit {
            Unit::Hour => write!(f, "local hours of {zone}"),
            Unit::Day => write!(f, "local days of {zone}"),
            Unit::Week { from } => write!(f, "local weeks from {from} of {zone}"),
            Unit::Month => write!(f, "local months of {zone}"),
        }
    }
}

/// The first time after `no` at which `yes`; it says no at `no` and yes at `yes_at`, and changes its mind once.
fn first(mut no: i64, mut yes_at: i64, yes: impl Fn(i64) -> bool) -> i64 {
    while yes_at - no > 1 {
        let middle = no + (yes_at - no) / 2;
        if yes(middle) {
            yes_at = middle;
        } else {
            no = middle;
        }
    }
    yes_at
}

/// The first such day after 1 January 1970, a Thursday, counted from that.
fn first_day(weekday: Weekday) -> i64 {
    i64::from(weekday.days_since(Weekday::Thu))
}

fn clamped(time: EventTime) -> i64 {
    time.0.clamp(-LOCAL_MAX, LOCAL_MAX)
}

fn naive(time: i64) -> NaiveDateTime {
    // Within what was clamped there is always one.
    DateTime::from_timestamp_millis(time).unwrap_or(DateTime::UNIX_EPOCH).naive_utc()
}

fn ms(offset: &impl Offset) -> i64 {
    i64::from(offset.fix().local_minus_utc()) * 1_000
}

macro_rules! local {
    ($(#[$doc:meta])* $name:ident, $unit:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(Calendar);

        impl $name {
            /// By the clock of this zone: `Tz::Europe__Berlin`, or `"Europe/Berlin".parse::<Tz>()`.
            pub const fn of(zone: Tz) -> Self {
                Self(Calendar { zone, unit: $unit, grace: 0 })
            }

            /// The same windows, open for late events until `grace` after their end; without this, 0.
            #[must_use]
            pub const fn grace(self, grace: DurationMs) -> Self {
                Self(Calendar { grace: grace.0, ..self.0 })
            }
        }

        impl Windowing for $name {
            fn windows(&self) -> Result<Windows, WindowError> {
                match self.0.grace {
                    negative if negative < 0 => Err(WindowError::Grace(negative)),
                    long if long > SPAN_MAX => Err(WindowError::TooLong(long)),
                    _ => Ok(Windows(super::Kind::Calendar(self.0))),
                }
            }
        }

        impl SideBySide for $name {}
    };
}

local!(
    /// The hours of a local clock. An hour that the clock shows twice is two windows; one in which it is put forward
    /// or back by less than an hour is cut there.
    LocalHours,
    Unit::Hour
);
local!(
    /// Local days, from midnight to midnight: 23 or 25 hours where the clock is put forward or back.
    LocalDays,
    Unit::Day
);
local!(
    /// Local weeks, from Monday's midnight as ISO 8601 has them; see [`LocalWeeks::starting_on`].
    LocalWeeks,
    Unit::Week { from: Weekday::Mon }
);
local!(
    /// Local months, from the midnight of their first day.
    LocalMonths,
    Unit::Month
);

impl LocalWeeks {
    /// The same windows with another first day.
    #[must_use]
    pub const fn starting_on(self, weekday: Weekday) -> Self {
        Self(Calendar { unit: Unit::Week { from: weekday }, ..self.0 })
    }
}

#[cfg(test)]
mod tests;
