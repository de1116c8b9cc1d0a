//! Cities that everybody asks for, all of a sudden.
//!
//! Every [`FeedOptions::burst_every`] of the present, one city of middling size is asked for
//! [`FeedOptions::burst_factor`] times as often as usual, for 20 to 40 minutes.
//!
//! Not here: how the feed chooses cities. Invariant: which burst is when is a function of the seed
//! alone, so a demo can tell beforehand what must show up.
//!
//! [`FeedOptions::burst_every`]: super::FeedOptions::burst_every
//! [`FeedOptions::burst_factor`]: super::FeedOptions::burst_factor

use processing_core::record::{DurationMs, EventTime};

use super::crowd::{Crowd, slot};
use super::draws::{Draws, Stream};

/// Bursts hit cities of these ranks by population: smaller ones would not show in an hour of a thin
/// feed, larger ones would need no burst.
const RANKS: std::ops::Range<u64> = 20..220;
const SHORTEST: DurationMs = DurationMs::minutes(20);
const LONGEST: DurationMs = DurationMs::minutes(40);

/// A burst by the city's place in the gazetteer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlannedBurst {
    pub(super) city: usize,
    pub(super) from: EventTime,
    pub(super) until: EventTime,
}

pub(super) struct Bursts {
    seed: u64,
    /// When the present begins.
    live: EventTime,
    every: DurationMs,
}

impl Bursts {
    pub(super) fn new(seed: u64, live: EventTime, every: DurationMs) -> Self {
        Self { seed, live, every: DurationMs(every.0.max(LONGEST.0 / 4)) }
    }

    /// The bursts that overlap the time from `from` up to, not including, `until`, in their order.
    pub(super) fn between(
        &self,
        crowd: &Crowd,
        from: EventTime,
        until: EventTime,
    ) -> impl Iterator<Item = PlannedBurst> {
        // One that began earlier than this is over: it starts within half an interval, and lasts at
        // most the longest.
        let earliest = from.minus(LONGEST).minus(self.every);
        let number = |time: EventTime| time.0.saturating_sub(self.live.0).div_euclid(self.every.0);
        (number(earliest).max(0)..=number(until))
            .map(|number| self.burst(crowd, number as u64))
            .filter(move |burst| burst.from < until && burst.until > from)
    }

    fn burst(&self, crowd: &Crowd, number: u64) -> PlannedBurst {
        let mut draws = Draws::new(self.seed, Stream::Bursts);
        draws.turn_to(number);
        let delay = draws.below(self.every.0 as u64 / 2) as i64;
        let length = SHORTEST.0 + draws.below((LONGEST.0 - SHORTEST.0) as u64) as i64;
        let from = self.live.0.saturating_add(self.every.0.saturating_mul(number as i64));
        let from = EventTime(from.saturating_add(delay));
        // The liveliest of four: nobody notices a burst in a city that sleeps.
        let slot = slot(from.0);
        let city = (0..4)
            .map(|_| (RANKS.start + draws.below(RANKS.end - RANKS.start)) as usize % crowd.len().max(1))
            .max_by_key(|&city| crowd.weight(slot, city))
            .unwrap_or(0);
        PlannedBurst { city, from, until: from.plus(DurationMs(length)) }
    }
}
