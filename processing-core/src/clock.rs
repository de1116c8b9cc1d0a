//! The one door through which time of the outside comes in.
//!
//! Not here: event time and log time, which come from records. Nothing between a record's bytes and
//! its result asks a clock; who needs the time gets it as a value.
//! Invariant: the system's clocks are read in this file and nowhere else in the crate.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::record::{DurationMs, WallTime};

/// What tells the time: the system, or a test.
pub trait Clock: Send + Sync {
    /// The wall clock's time. It may jump in both directions: machines correct their clocks.
    fn now(&self) -> WallTime;

    /// Time since some fixed moment, which never goes back: for measuring how long work takes.
    fn elapsed(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now().0).unwrap_or(0))
    }
}

/// The machine's clocks.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose `elapsed` counts from now.
    #[allow(clippy::disallowed_methods, reason = "the one place where the system's clock is read")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place where the system's clock is read")]
    fn now(&self) -> WallTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    #[allow(clippy::disallowed_methods, reason = "the one place where the system's clock is read")]
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug, Default)]
pub struct ManualClock {
    now: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: WallTime) -> Self {
        Self { now: AtomicI64::new(now.0) }
    }

    /// Moves on by `span`.
    pub fn advance(&self, span: DurationMs) {
        self.now.fetch_add(span.0, Ordering::SeqCst);
    }

    /// Shows `now` from here on; back is allowed, as with real clocks.
    pub fn set(&self, now: WallTime) {
        self.now.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> WallTime {
        WallTime(self.now.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::at(WallTime(5_000));
        assert_eq!(clock.now(), WallTime(5_000));
        clock.advance(DurationMs::seconds(2));
        assert_eq!(clock.now(), WallTime(7_000));
        assert_eq!(clock.elapsed(), Duration::from_secs(7));
        clock.set(WallTime(1));
        assert_eq!(clock.now(), WallTime(1));
    }

    #[test]
    fn the_system_clock_is_past_the_day_this_was_written() {
        let clock = SystemClock::new();
        assert!(clock.now() > WallTime(1_700_000_000_000));
        let first = clock.elapsed();
        assert!(clock.elapsed() >= first);
    }
}
