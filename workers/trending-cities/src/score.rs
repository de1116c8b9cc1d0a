//! How strongly a city trends.
//!
//! Not here: counting. Invariant: a score is a function of whole numbers and of IEEE 754 operations
//! that are exactly rounded (division, square root), so every machine gets the same one.
//!
//! Volume alone would rank the largest cities for ever. The score is a Pearson residual, damped for
//! small expectations: `(n - m) / sqrt(m + k)`, where n is the window's volume and m what was to be
//! expected: the greater of the mean of the 24 hours before the window and the same window a day
//! earlier (the seasonal naive forecast; Hyndman & Athanasopoulos, "Forecasting: Principles and
//! Practice", section 5.2). Taking the greater one keeps every evening from being news.

use events::identity::IdHash;
use processing_core::aggregate::{Aggregate, Distinct, Exactness, Mergeable, Sum};
use processing_core::hindsight::{Earlier, Frame};
use processing_core::record::DurationMs;
use serde::{Deserialize, Serialize};

use crate::activity::CityMinute;
use crate::settings::{TrendingSettings, Weights};

/// How long the expectation looks back.
pub const DAY: DurationMs = DurationMs::hours(24);

/// A closed minute as hours need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinuteVolume {
    /// Its volume.
    pub volume: i64,
    /// Its users, of those who are known.
    pub users: Vec<IdHash>,
}

impl MinuteVolume {
    /// What is left of a minute.
    pub fn of(minute: &CityMinute, weights: &Weights) -> Self {
        Self { volume: minute.volume(weights), users: minute.users() }
    }
}

/// A city's window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CityWindow {
    /// The sum of its minutes' volumes.
    pub volume: Sum,
    /// Its distinct users: exact up to some hundreds, then within 1.6 % (one standard error).
    pub users: Distinct,
}

impl Aggregate<MinuteVolume> for CityWindow {
    fn add(&mut self, minute: &MinuteVolume) {
        self.volume.add(minute.volume);
        for user in &minute.users {
            self.users.add_hash(user.get());
        }
    }
}

impl Mergeable for CityWindow {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.volume.merge(&other.volume);
        self.users.merge(&other.users);
    }

    fn heap_bytes(&self) -> usize {
        self.users.heap_bytes()
    }
}

/// The spans that the expectation is made of: the day before the window, the same window a day earlier.
pub fn frames(settings: &TrendingSettings) -> [Frame; 2] {
    [Frame::before(DAY), Frame::same_window_earlier(DAY, settings.window)]
}

/// A city's window, judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// n: the volume; never below 0.
    pub volume: i64,
    /// Distinct users.
    pub users: u64,
    /// m: the volume to be expected.
    pub baseline: f64,
    /// How far n is above m, in units of its noise.
    pub score: f64,
    /// How much of the day before the window there is; m is a guess from it where it is less than a day.
    pub covered: DurationMs,
}

impl Judgement {
    /// Judges a window by what lies before it.
    pub fn of(window: &CityWindow, earlier: &Earlier<Sum>, settings: &TrendingSettings) -> Self {
        let whole = |sum: i128| i64::try_from(sum.max(0)).unwrap_or(i64::MAX);
        let volume = whole(window.volume.get());
        let frame = |number: usize| earlier.frames.get(number).map_or(0, |sum| whole(sum.get()));
        let (day, yesterday) = (frame(0), frame(1));
        let mean =
            if earlier.covered.0 > 0 { day as f64 * settings.window.0 as f64 / earlier.covered.0 as f64 } else { 0.0 };
        let baseline = mean.max(yesterday as f64);
        let score = (volume as f64 - baseline) / (baseline + f64::from(settings.damping)).sqrt();
        Self { volume, users: window.users.count(), baseline, score, covered: earlier.covered }
    }

    /// Whether the city can be on the list of trends.
    pub fn trends(&self, settings: &TrendingSettings) -> bool {
        self.users >= settings.users_min && self.volume as f64 > self.baseline
    }
}
