//! How fast a restore thread reads, and how long what is left will take it.
//!
//! Not here: what is read ([`crate::restore`]) and who asks the clock ([`crate::nursery`]). Invariant: nothing is
//! foretold before [`RESTORE_PACE`] of work was measured.
//!
//! The pace is measured over stretches of [`RESTORE_PACE`] at least. The first one counts as it is; of each later one
//! a quarter goes into the pace. So a change of pace is believed after about four stretches, and a stretch of
//! standstill, as behind an open transaction, makes the time left longer and not infinite.

use std::time::Duration;

use crate::limits::RESTORE_PACE;

/// See the file's head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    /// Since when offsets are counted…
    since: Duration,
    /// …and how many there were.
    passed: u64,
    per_second: Option<f64>,
}

impl Pace {
    /// Measures from `now` on, by a clock that never goes back.
    pub(crate) fn from(now: Duration) -> Self {
        Self { since: now, passed: 0, per_second: None }
    }

    /// Another `passed` offsets are done at `now`. Answers whether the pace is a new one.
    pub(crate) fn pass(&mut self, now: Duration, passed: u64) -> bool {
        self.passed += passed;
        let span = now.saturating_sub(self.since);
        if span < RESTORE_PACE.span() {
            return false;
        }
        let fresh = self.passed as f64 / span.as_secs_f64();
        self.per_second = Some(self.per_second.map_or(fresh, |known| known + (fresh - known) / 4.0));
        (self.since, self.passed) = (now, 0);
        true
    }

    /// How long `remaining` offsets take at this pace; `None` before it was measured, and where nothing moves.
    pub(crate) fn time_for(&self, remaining: u64) -> Option<Duration> {
        let seconds = remaining as f64 / self.per_second.filter(|pace| *pace > 0.0)?;
        // More than a Duration holds is as good as never.
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// How many offsets are read before each of the jobs, `remaining` in the order of the queue, is through.
/// Of those worked on at once each has the same share of the pace: by the time that one is through, each of the
/// others has come as far or is through itself. Whoever waits behind them comes after all before it.
pub(crate) fn until_through(remaining: &[u64], at_once: usize) -> Vec<u64> {
    let first = &remaining[..at_once.min(remaining.len())];
    let mut before: u64 = first.iter().sum();
    let mut through: Vec<u64> = first.iter().map(|own| first.iter().map(|other| other.min(own)).sum()).collect();
    for own in &remaining[first.len()..] {
        before += own;
        through.push(before);
    }
    through
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn nothing_is_foretold_before_a_second_was_measured() {
        let mut pace = Pace::from(seconds(50));
        assert!(!pace.pass(seconds(50) + Duration::from_millis(900), 900));
        assert_eq!(pace.time_for(10_000), None);
        assert!(pace.pass(seconds(51), 100));
        assert_eq!(pace.time_for(10_000), Some(seconds(10)));
        assert_eq!(pace.time_for(0), Some(Duration::ZERO));
    }

    #[test]
    fn a_change_of_pace_is_believed_by_and_by_and_a_standstill_makes_it_longer() {
        let mut pace = Pace::from(seconds(0));
        pace.pass(seconds(2), 2_000);
        assert_eq!(pace.time_for(1_000), Some(seconds(1)));
        pace.pass(seconds(3), 5_000);
        assert_eq!(pace.time_for(1_000), Some(Duration::from_millis(500)), "1 000 + (5 000 - 1 000) / 4 a second");
        pace.pass(seconds(4), 0);
        pace.pass(seconds(5), 0);
        assert_eq!(pace.time_for(1_125), Some(seconds(1)));
    }

    #[test]
    fn what_never_moved_has_no_end() {
        let mut pace = Pace::from(seconds(0));
        assert!(pace.pass(seconds(9), 0));
        assert_eq!(pace.time_for(1), None);
    }

    #[test]
    fn a_short_task_is_through_before_a_long_one_and_who_waits_comes_last() {
        assert_eq!(until_through(&[10, 100, 40], 2), [20, 110, 150]);
        assert_eq!(until_through(&[7], 4), [7]);
        assert_eq!(until_through(&[], 4), [0; 0]);
    }
}
