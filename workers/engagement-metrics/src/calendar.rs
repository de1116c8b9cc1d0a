//! Days and hours of the one time zone that is set.
//!
//! Not here: how windows are cut by a clock ([`processing_core::window`]). Invariant: a day is the library's window of
//! that day, so that what a person does on a day and the day's result have the same bounds.

use chrono::{DateTime, Datelike};
use chrono_tz::Tz;
use processing_core::error::CoreError;
use processing_core::prelude::{EventTime, LocalDays, LocalHours, Windowing};
use processing_core::window::Windows;
use serde::{Deserialize, Serialize};

/// A minute in milliseconds.
pub const MINUTE_MS: i64 = 60_000;
/// An hour in milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;

/// A calendar day, counted: the next date has the next number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Day(pub i32);

impl Day {
    /// How many calendar days lie between; below 0 if `earlier` is later.
    pub fn since(self, earlier: Self) -> i32 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The clock of a zone.
#[derive(Debug, Clone, Copy)]
pub struct Calendar {
    zone: Tz,
    days: Windows,
    hours: Windows,
}

impl Calendar {
    /// The calendar of `zone`.
    ///
    /// # Errors
    /// Never for a zone of the tz database; what the library says of its windows.
    pub fn of(zone: Tz) -> Result<Self, CoreError> {
        let refused = |error: processing_core::window::WindowError| CoreError::config(error.to_string());
        let days = LocalDays::of(zone).windows().map_err(refused)?;
        let hours = LocalHours::of(zone).windows().map_err(refused)?;
        Ok(Self { zone, days, hours })
    }

    /// The day that holds `time`.
    pub fn day_of(&self, time: EventTime) -> Day {
        self.date_at(self.days.pane_of(time).start)
    }

    /// The first moment of the day that holds `time`.
    pub fn day_start(&self, time: EventTime) -> EventTime {
        self.days.pane_of(time).start
    }

    /// The first moment behind the day that holds `time`.
    pub fn day_end(&self, time: EventTime) -> EventTime {
        self.days.pane_of(time).end
    }

    /// The first moment behind the hour of the clock that holds `time`.
    pub fn hour_end(&self, time: EventTime) -> EventTime {
        self.hours.pane_of(time).end
    }

    /// The date that the clock shows at a day's first moment.
    pub fn date_at(&self, start: EventTime) -> Day {
        let moment = DateTime::from_timestamp_millis(start.0).unwrap_or_default();
        Day(moment.with_timezone(&self.zone).date_naive().num_days_from_ce())
    }
}

/// The last millisecond of the minute that holds `time`: when everything that happened up to `time` is known.
pub fn minute_last(time: i64) -> EventTime {
    EventTime(time.div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS).saturating_add(MINUTE_MS - 1))
}

/// The first moment of the UTC hour that holds `time`.
pub fn utc_hour(time: i64) -> i64 {
    time - time.rem_euclid(HOUR_MS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use super::*;

    #[test]
    fn days_are_the_zones_own() {
        let berlin = Calendar::of(Tz::Europe__Berlin).unwrap();
        // 2026-10-24T22:00Z is midnight of the 25th, a day of 25 hours.
        let start = EventTime(1_792_879_200_000);
        assert_eq!(berlin.day_of(start).since(berlin.day_of(EventTime(start.0 - 1))), 1);
        assert_eq!(berlin.day_end(start).0 - start.0, 25 * HOUR_MS);
        assert_eq!(berlin.day_of(EventTime(start.0 + 25 * HOUR_MS)).since(berlin.day_of(start)), 1);
    }
}
