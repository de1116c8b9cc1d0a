//! The log time of replayed rows: their own, but no single row's word for a leap.
//!
//! Not here: what a row is ([`crate::replay`]). Invariant: the clock never goes back, and a row that lies
//! more than [`LEAP`] ahead moves it only where a neighbour says the same, so that one wrong date does not
//! make every later row late.

use processing_core::record::LogTime;

/// How far one row may move the clock: what a worker lets an event be ahead of its log time.
const LEAP: i64 = 3_600_000;

/// The clock.
#[derive(Debug, Default)]
pub(crate) struct RowClock {
    now: Option<LogTime>,
    /// The row that was not believed, until one that is.
    ahead: Option<LogTime>,
    /// Rows that were not believed.
    pub(crate) disbelieved: u64,
}

impl RowClock {
    /// The log time of a row with this time, which is followed by one with the time `next`.
    pub(crate) fn stamp(&mut self, row: Option<LogTime>, next: Option<LogTime>) -> Option<LogTime> {
        let Some(row) = row else { return self.now };
        let leap = |from: LogTime, to: LogTime| to.0.saturating_sub(from.0) > LEAP;
        // Rows far apart are no mistake while they go on from there: the next one may be even later.
        let believed = next.is_some_and(|next| !leap(next, row))
            || self.ahead.is_some_and(|ahead| !leap(ahead, row) && !leap(row, ahead));
        self.now = match (self.now, next) {
            (Some(now), _) if !leap(now, row) || believed => {
                self.ahead = None;
                Some(now.max(row))
            }
            (None, Some(next)) if leap(next, row) => {
                self.disbelieve(row);
                Some(next)
            }
            (None, _) => Some(row),
            (now, _) => {
                self.disbelieve(row);
                now
            }
        };
        self.now
    }

    fn disbelieve(&mut self, row: LogTime) {
        self.ahead = Some(row);
        self.disbelieved += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const WRONG: i64 = 70_000 * 24 * HOUR;

    /// The log times of rows with these times, and how many of them were not believed.
    fn stamps(rows: &[i64]) -> (Vec<i64>, u64) {
        let mut clock = RowClock::default();
        let next = rows.iter().skip(1).map(|next| Some(LogTime(*next))).chain([None]);
        let stamps = rows.iter().zip(next).filter_map(|(row, next)| clock.stamp(Some(LogTime(*row)), next));
        (stamps.map(|time| time.0).collect(), clock.disbelieved)
    }

    #[test]
    fn one_row_with_a_wrong_date_moves_nothing_wherever_it_stands() {
        assert_eq!(stamps(&[0, 10, WRONG, 20, 30]), (vec![0, 10, 10, 20, 30], 1));
        assert_eq!(stamps(&[WRONG, 10, 20]), (vec![10, 10, 20], 1));
        assert_eq!(stamps(&[0, 10, WRONG]), (vec![0, 10, 10], 1));
    }

    #[test]
    fn a_leap_that_the_next_row_takes_too_is_one_and_time_never_goes_back() {
        let day = 24 * HOUR;
        assert_eq!(stamps(&[0, day, day + 5, day - 5]), (vec![0, day, day + 5, day + 5], 0));
        assert_eq!(stamps(&[0, day, 2 * day, 2 * day + 1]), (vec![0, day, 2 * day, 2 * day + 1], 0), "far apart");
        assert_eq!(stamps(&[0, day, 0, day + 1, 0]), (vec![0; 5], 2), "each is alone");
        assert_eq!(stamps(&[7]), (vec![7], 0));
        assert_eq!(stamps(&[0, HOUR, 2 * HOUR]), (vec![0, HOUR, 2 * HOUR], 0));
    }

    #[test]
    fn a_row_without_a_time_has_that_of_the_rows_before_it() {
        let mut clock = RowClock::default();
        assert_eq!(clock.stamp(None, Some(LogTime(5))), None);
        assert_eq!(clock.stamp(Some(LogTime(5)), None), Some(LogTime(5)));
        assert_eq!(clock.stamp(None, None), Some(LogTime(5)));
        // Two that agree, though what stands between them has no time.
        assert_eq!(clock.stamp(Some(LogTime(2 * HOUR)), None), Some(LogTime(5)));
        assert_eq!(clock.stamp(None, Some(LogTime(2 * HOUR + 1))), Some(LogTime(5)));
        assert_eq!(clock.stamp(Some(LogTime(2 * HOUR + 1)), None), Some(LogTime(2 * HOUR + 1)));
    }
}
