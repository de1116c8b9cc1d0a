//! Everything that a demo shows of its four workers at one moment, and the rates between two.
//!
//! Not here: how it looks ([`super::screen`]). Invariant: a view is made of committed results and the
//! workers' own pages alone.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use processing_core::service::status::{ProcessState, Snapshot};
use serde::Serialize;
use trending_cities::results::Trending;

use super::feeder::FeedProgress;
use super::findings::Finding;
use super::position::FeedPosition;

/// How far back the rate of events looks.
const RATE_SPAN: Duration = Duration::from_secs(5);
const HOUR_MS: i64 = 3_600_000;

/// One moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct View {
    /// Seconds since this process began.
    pub(crate) seconds: f64,
    /// Records of the feed in the log, of this and of earlier processes.
    pub(crate) feed_position: u64,
    /// The feed's clock, in milliseconds since 1970.
    pub(crate) feed_time_ms: i64,
    /// Records of the world in the log, of this and of earlier processes.
    pub(crate) world_position: u64,
    /// The world's clock, which is behind the feed's while its history is loaded.
    pub(crate) world_time_ms: i64,
    /// Events that the worker has taken in and committed in this process.
    pub(crate) events: u64,
    /// Of the last seconds.
    pub(crate) events_per_second: f64,
    /// Whether the history is still being counted.
    pub(crate) warming: bool,
    /// How much of the history's time has been counted, from 0 to 1.
    pub(crate) history_counted: f64,
    /// Unread records of all sources, the worker's own in between included.
    pub(crate) lag: u64,
    /// Commits of this process.
    pub(crate) commits: u64,
    /// Records too late for every window, met by this process.
    pub(crate) late: u64,
    /// Records put into the dead letters by this process.
    pub(crate) poison: u64,
    /// Results committed by this process.
    pub(crate) results: u64,
    /// The worker's state in one word.
    pub(crate) state: &'static str,
    /// Why it is not ready.
    pub(crate) reasons: Vec<String>,
    /// The newest list of the world.
    pub(crate) trending: Option<Trending>,
    /// The workers beside trending-cities, whose numbers are those above.
    pub(crate) workers: Vec<WorkerView>,
}

/// How one of the other workers goes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WorkerView {
    pub(crate) name: &'static str,
    /// Events that it has taken in and committed in this process.
    pub(crate) events: u64,
    /// Unread records of all its sources.
    pub(crate) lag: u64,
    /// Commits of this process.
    pub(crate) commits: u64,
    /// Records too late for every window, met by this process.
    pub(crate) late: u64,
    /// Records put into its dead letters by this process.
    pub(crate) poison: u64,
    /// Results committed by this process.
    pub(crate) results: u64,
    /// Its state in one word.
    pub(crate) state: &'static str,
    /// Whether the world's history is still being counted.
    pub(crate) warming: bool,
    /// How much of it has been counted, from 0 to 1.
    pub(crate) history_counted: f64,
    /// What it has found, in words.
    pub(crate) found: Vec<String>,
}

impl WorkerView {
    pub(crate) fn new(name: &'static str, page: &Snapshot, origin: &FeedPosition, finding: Finding) -> Self {
        // Hours are told when they are over: the one in which the present begins is the first of the present.
        let history_counted = origin.world_counted(finding.until_ms.saturating_add(HOUR_MS));
        Self {
            name,
            events: page.counts.events_in,
            lag: page.lag,
            commits: page.counts.commits,
            late: page.counts.dropped.get("late").copied().unwrap_or(0),
            poison: page.counts.dead_letters.values().sum(),
            results: page.counts.records_out,
            state: page.state.as_str(),
            warming: history_counted < 1.0,
            history_counted,
            found: finding.lines,
        }
    }
}

/// Remembers what differences between moments are made of.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    recent: VecDeque<(Duration, u64)>,
}

impl Rates {
    /// Events per second over the last seconds.
    fn of(&mut self, now: Duration, events: u64) -> f64 {
        self.recent.push_back((now, events));
        while self.recent.len() > 2
            && self.recent.front().is_some_and(|(then, _)| now.saturating_sub(*then) > RATE_SPAN)
        {
            self.recent.pop_front();
        }
        let (then, before) = self.recent.front().copied().unwrap_or((now, events));
        let span = now.saturating_sub(then).as_secs_f64();
        if span > 0.0 { events.saturating_sub(before) as f64 / span } else { 0.0 }
    }
}

impl View {
    pub(crate) fn new(
        now: Duration,
        page: &Snapshot,
        origin: &FeedPosition,
        feed: &FeedProgress,
        trending: Option<&Trending>,
        workers: Vec<WorkerView>,
        rates: &mut Rates,
    ) -> Self {
        let events = page.counts.events_in;
        let counted = trending.map_or(0.0, |list| origin.history_counted(list.stamp.window_end_ms));
        Self {
            seconds: now.as_secs_f64(),
            feed_position: feed.position.load(Ordering::Relaxed),
            feed_time_ms: feed.time_ms.load(Ordering::Relaxed),
            world_position: feed.world_position.load(Ordering::Relaxed),
            world_time_ms: feed.world_time_ms.load(Ordering::Relaxed),
            events,
            events_per_second: rates.of(now, events),
            warming: counted < 1.0,
            history_counted: counted,
            lag: page.lag,
            commits: page.counts.commits,
            late: page.counts.dropped.get("late").copied().unwrap_or(0),
            poison: page.counts.dead_letters.values().sum(),
            results: page.counts.records_out,
            state: page.state.as_str(),
            reasons: if page.state == ProcessState::Running { Vec::new() } else { page.reasons.clone() },
            trending: trending.cloned(),
            workers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_forgets_what_is_long_ago() {
        let mut rates = Rates::default();
        assert_eq!(rates.of(Duration::ZERO, 0), 0.0);
        assert_eq!(rates.of(Duration::from_secs(2), 200), 100.0);
        for second in 3..=20 {
            rates.of(Duration::from_secs(second), 200);
        }
        assert_eq!(rates.of(Duration::from_secs(21), 200), 0.0);
    }
}
