//! Everything that a demo shows at one moment, and the rates between two.
//!
//! Not here: how it looks ([`super::screen`]). Invariant: a view is made of committed results and the
//! worker's own page alone.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use processing_core::service::status::{ProcessState, Snapshot};
use serde::Serialize;
use trending_cities::results::Trending;

use super::feeder::FeedProgress;

/// How far back the rate of events looks.
const RATE_SPAN: Duration = Duration::from_secs(5);

/// One moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct View {
    /// Seconds since this process began.
    pub(crate) seconds: f64,
    /// Records of the feed in the log, of this and of earlier processes.
    pub(crate) feed_position: u64,
    /// How many of them are history.
    pub(crate) feed_history: u64,
    /// The feed's clock, in milliseconds since 1970.
    pub(crate) feed_time_ms: i64,
    /// Whether the history is still being loaded.
    pub(crate) warming: bool,
    /// Records taken in by this process.
    pub(crate) events: u64,
    /// Of the last seconds.
    pub(crate) events_per_second: f64,
    /// Unread records of all sources.
    pub(crate) lag: u64,
    /// Commits of this process.
    pub(crate) commits: u64,
    /// Records too late for every window.
    pub(crate) late: u64,
    /// Records in the dead letters.
    pub(crate) dead_letters: u64,
    /// Results committed.
    pub(crate) results: u64,
    /// The worker's state in one word.
    pub(crate) state: &'static str,
    /// Why it is not ready.
    pub(crate) reasons: Vec<String>,
    /// The newest list of the world.
    pub(crate) trending: Option<Trending>,
}

/// Remembers what rates are made of.
#[derive(Debug, Default)]
pub(crate) struct Rates(VecDeque<(Duration, u64)>);

impl Rates {
    /// Events per second over the last seconds.
    fn of(&mut self, now: Duration, events: u64) -> f64 {
        self.0.push_back((now, events));
        while self.0.len() > 2 && self.0.front().is_some_and(|(then, _)| now.saturating_sub(*then) > RATE_SPAN) {
            self.0.pop_front();
        }
        let (then, before) = self.0.front().copied().unwrap_or((now, events));
        let span = now.saturating_sub(then).as_secs_f64();
        if span > 0.0 { (events - before) as f64 / span } else { 0.0 }
    }
}

impl View {
    pub(crate) fn new(
        now: Duration,
        page: &Snapshot,
        feed: &FeedProgress,
        trending: Option<&Trending>,
        rates: &mut Rates,
    ) -> Self {
        let (feed_position, feed_history) =
            (feed.position.load(Ordering::Relaxed), feed.history.load(Ordering::Relaxed));
        let warming_still = trending.is_none_or(|list| list.warming);
        Self {
            seconds: now.as_secs_f64(),
            feed_position,
            feed_history,
            feed_time_ms: feed.time_ms.load(Ordering::Relaxed),
            warming: feed_position < feed_history || (warming_still && feed_history > 0 && page.lag > 0),
            events: page.counts.records_in,
            events_per_second: rates.of(now, page.counts.records_in),
            lag: page.lag,
            commits: page.counts.commits,
            late: page.counts.dropped.get("late").copied().unwrap_or(0),
            dead_letters: page.counts.dead_letters.values().sum(),
            results: page.counts.records_out,
            state: page.state.as_str(),
            reasons: if page.state == ProcessState::Running { Vec::new() } else { page.reasons.clone() },
            trending: trending.cloned(),
        }
    }
}
