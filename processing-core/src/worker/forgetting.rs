//! Changelogs forget by log time, and rows live by event time: stories of the two drifting apart.
//!
//! Not here: rules that hold on any log ([`super::rules`]). Invariant: whatever the log forgets, a result
//! is right or the worker stops.

use super::rules::{Stage, local};
use crate::error::{CoreError, Remedy};
use crate::testing::MemoryHome;

const DAY: u64 = 86_400_000;

impl Stage {
    /// Days in which nothing happens and the log forgets what is older than a week.
    fn days(&mut self, count: u64, working: bool) {
        for _ in 0..count {
            self.log.advance(DAY);
            if working {
                self.rest().unwrap();
            }
            self.log.run_retention();
        }
    }

    /// Closes the window.
    fn close_window(&mut self) -> Result<Vec<String>, CoreError> {
        self.append(0, "a", 2_000);
        self.rest()?;
        Ok(self.results())
    }
}

#[test]
fn rows_that_outlive_their_changelog_are_written_again() {
    let mut stage = Stage::with_open_window();
    stage.days(30, true);
    stage.crash();
    stage.home.wipe();
    stage.start();
    assert_eq!(stage.close_window().unwrap(), ["5"]);
}

#[test]
fn rows_are_written_again_slice_by_slice() {
    let mut stage = Stage::new(local, 1);
    let keys = 3 * crate::limits::REWRITE_ROWS_MAX;
    (0..keys).for_each(|n| stage.append(0, &format!("key {n}"), 0));
    stage.rest().unwrap();
    // A crash comes into the middle of each round.
    for _ in 0..10 {
        stage.days(3, false);
        stage.until_commit();
        stage.crash();
        stage.start();
        stage.rest().unwrap();
    }
    stage.crash();
    stage.home.wipe();
    stage.start();
    assert_eq!(stage.close_window().unwrap().len(), keys);
}

#[test]
fn a_store_at_the_last_commit_needs_nothing_that_the_log_has_forgotten() {
    let mut stage = Stage::with_open_window();
    stage.leave();
    stage.days(30, false);
    stage.start();
    assert_eq!(stage.close_window().unwrap(), ["5"]);
}

#[test]
fn a_store_that_lacks_a_commit_and_a_log_that_has_forgotten_it_stop_the_worker() {
    let mut stage = Stage::with_open_window();
    stage.leave();
    stage.start();
    stage.append(0, "a", 5);
    stage.rest().unwrap();
    stage.crash();
    stage.days(30, false);
    stage.start();
    let error = stage.close_window().unwrap_err();
    assert_eq!(error.remedy(), Remedy::Stop);
    assert!(error.to_string().contains("lost live rows"), "{error}");
}

#[test]
fn a_changelog_that_has_lost_live_rows_stops_the_worker() {
    let mut stage = Stage::with_open_window();
    stage.leave();
    stage.home.wipe();
    stage.days(30, false);
    stage.start();
    let error = stage.close_window().unwrap_err();
    assert_eq!(error.remedy(), Remedy::Stop);
    assert!(error.to_string().contains("lost live rows"), "{error}");
}

#[test]
fn lost_live_rows_are_missed_wherever_a_restore_is_interrupted() {
    for steps in 0..20 {
        let mut stage = Stage::with_open_window();
        stage.leave();
        stage.home = MemoryHome::new(Some(1));
        stage.days(30, false);
        stage.start();
        let met = (0..steps).find_map(|_| stage.step().err());
        stage.crash();
        stage.start();
        let error = met.map_or_else(|| stage.close_window().unwrap_err(), |error| error);
        assert!(error.to_string().contains("lost live rows"), "interrupted after {steps} steps: {error}");
        stage.crash();
        stage.start();
        let again = stage.close_window().unwrap_err();
        assert!(again.to_string().contains("lost live rows"), "{again}");
    }
}
