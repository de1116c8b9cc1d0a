//! Whether windows are whole numbers of finer ones, so that their values can be merged from those.
//!
//! Not here: the merging ([`crate::aggregate::rolled_up()`]). Invariant: what is said to fit holds for every window, or,
//! where a calendar is concerned, for every window of [`YEARS`].

use super::{Kind, Window, Windows};
use crate::record::EventTime;

/// The span in which calendars are compared: 1970 to 2069. Before 1970 some clocks were off by seconds.
const YEARS: (i64, i64) = (0, 100 * 365 * 86_400_000);

/// Why windows are no whole number of finer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// The finer ones overlap: an event is in several of them.
    Overlap,
    /// This coarser window begins or ends within a finer one.
    Cut(Window),
}

impl Windows {
    /// Whether each of these windows is a whole number of `finer` ones, each of which holds events of its own.
    pub(crate) fn made_of(&self, finer: &Self) -> Result<(), Misfit> {
        if finer.overlap() {
            return Err(Misfit::Overlap);
        }
        let begins = |time: EventTime| finer.pane_of(time).start == time;
        let cut = |window: Window| !begins(window.start) || !begins(window.end);
        let at = |time: i64| self.windows_of(EventTime(time)).next_back();
        if let (Kind::Even(_), Kind::Even(even)) = (&self.0, &finer.0) {
            // What holds for one window holds for all if it holds for their distance.
            let misfit = at(0).filter(|window| cut(*window) || self.advance().0 % even.size != 0);
            return misfit.map_or(Ok(()), |window| Err(Misfit::Cut(window)));
        }
        let mut days = (YEARS.0..YEARS.1).step_by(86_400_000).filter_map(at);
        days.find(|window| cut(*window)).map_or(Ok(()), |window| Err(Misfit::Cut(window)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::DurationMs;
    use crate::window::{Hopping, LocalDays, LocalHours, LocalMonths, LocalWeeks, Tumbling, Tz, Windowing};

    fn fit(coarse: impl Windowing, fine: impl Windowing) -> Result<(), Misfit> {
        coarse.windows().unwrap().made_of(&fine.windows().unwrap())
    }

    #[test]
    fn what_divides_fits() {
        let minutes = Tumbling::minutes(1);
        let berlin = Tz::Europe__Berlin;
        assert_eq!(fit(Tumbling::hours(1), minutes), Ok(()));
        assert_eq!(fit(Hopping::new(DurationMs::hours(1), DurationMs::minutes(5)), minutes), Ok(()));
        assert_eq!(fit(Tumbling::hours(24).offset(DurationMs::hours(22)), Tumbling::hours(1)), Ok(()));
        assert_eq!(fit(LocalDays::of(berlin), Tumbling::hours(1)), Ok(()));
        assert_eq!(fit(LocalDays::of(Tz::Asia__Kathmandu), Tumbling::minutes(15)), Ok(()));
        assert_eq!(fit(LocalDays::of(berlin), LocalHours::of(berlin)), Ok(()));
        assert_eq!(fit(LocalWeeks::of(berlin), LocalDays::of(berlin)), Ok(()));
        assert_eq!(fit(LocalMonths::of(berlin), LocalDays::of(berlin)), Ok(()));
        assert_eq!(fit(Tumbling::hours(24), LocalDays::of(Tz::UTC)), Ok(()));
    }

    #[test]
    fn what_cuts_does_not() {
        let berlin = Tz::Europe__Berlin;
        let cut = |fit: Result<(), Misfit>| assert!(matches!(fit, Err(Misfit::Cut(_))), "{fit:?}");
        cut(fit(Tumbling::minutes(1), Tumbling::seconds(7)));
        cut(fit(Tumbling::minutes(1), Tumbling::hours(1)));
        cut(fit(Tumbling::hours(1).offset(DurationMs::seconds(30)), Tumbling::minutes(1)));
        cut(fit(Hopping::new(DurationMs::minutes(10), DurationMs::seconds(30)), Tumbling::minutes(1)));
        cut(fit(Hopping::new(DurationMs::seconds(90), DurationMs::minutes(1)), Tumbling::minutes(1)));
        cut(fit(LocalDays::of(Tz::Asia__Kathmandu), Tumbling::hours(1)));
        cut(fit(LocalMonths::of(berlin), LocalWeeks::of(berlin)));
        cut(fit(LocalDays::of(berlin), LocalDays::of(Tz::Asia__Tokyo)));
        cut(fit(Tumbling::hours(24), LocalDays::of(berlin)));
        let hopping = Hopping::new(DurationMs::minutes(2), DurationMs::minutes(1));
        assert_eq!(fit(Tumbling::hours(1), hopping), Err(Misfit::Overlap));
    }
}
