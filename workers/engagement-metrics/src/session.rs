//! A session: what one person does without a pause of more than the gap, within one day.
//!
//! Not here: when it is told ([`crate::person`]). Invariant: deeds are taken in by time, then event; what is left out of
//! a journey is counted.

use processing_core::prelude::EventTime;
use smallvec::SmallVec;

use crate::action::Deed;
use crate::kind::Kind;
use crate::tally::{Measure, Tally};

/// How many steps of a journey are kept.
pub const JOURNEY_MAX: usize = 12;
/// Ratings beyond this, in thousandths, are taken for it: their squares have to add up.
const RATING_MAX: i64 = 1_000_000_000;

/// The first steps of a journey.
pub type Path = SmallVec<[Kind; JOURNEY_MAX]>;

/// A session, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its first event.
    pub first: EventTime,
    /// Its last event so far.
    pub last: EventTime,
    /// Its events.
    pub requests: u64,
    /// What was done, in order; the first [`JOURNEY_MAX`] steps.
    pub path: Path,
    /// Whether somebody searched in it.
    pub has_search: bool,
    /// Ratings behind a search in it.
    pub after_search: Ratings,
    /// Ratings before any.
    pub without_search: Ratings,
}

/// Ratings, in thousandths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ratings {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: i128,
    /// The sum of their squares.
    pub squares: i128,
}

impl Ratings {
    fn add(&mut self, thousandths: i64) {
        let rating = i128::from(thousandths.clamp(-RATING_MAX, RATING_MAX));
        self.count += 1;
        self.sum += rating;
        self.squares += rating * rating;
    }
}

impl Session {
    /// A session that begins with `deed`.
    pub fn begin(time: EventTime, deed: &Deed) -> Self {
        let mut session = Self {
            first: time,
            last: time,
            requests: 0,
            path: Path::new(),
            has_search: false,
            after_search: Ratings::default(),
            without_search: Ratings::default(),
        };
        session.go_on(time, deed);
        session
    }

    /// Takes in the next deed.
    pub fn go_on(&mut self, time: EventTime, deed: &Deed) {
        self.last = time;
        self.requests += 1;
        if self.path.len() < JOURNEY_MAX {
            self.path.push(deed.kind);
        }
        match deed.kind {
            Kind::Search => self.has_search = true,
            Kind::Rate if self.has_search => self.after_search.add(deed.amount),
            Kind::Rate => self.without_search.add(deed.amount),
            _ => {}
        }
    }

    /// The path in words: `search > click > rate`, with `> ...` where it goes on.
    pub fn journey(&self) -> String {
        let mut words: Vec<&str> = self.path.iter().map(|kind| kind.name()).collect();
        if self.requests > self.path.len() as u64 {
            words.push("...");
        }
        words.join(" > ")
    }

    /// Whether it is one event long.
    pub fn is_bounce(&self) -> bool {
        self.requests == 1
    }

    /// From the first event to the last one.
    pub fn millis(&self) -> i64 {
        self.last.0.saturating_sub(self.first.0)
    }

    /// What it adds to its scope's sums.
    pub fn tally(&self, tally: &mut Tally) {
        tally.count(Measure::Sessions);
        if self.is_bounce() {
            tally.count(Measure::Bounces);
        }
        tally.add(Measure::SessionRequests, i128::from(self.requests));
        tally.add(Measure::SessionMillis, i128::from(self.millis()));
        for (after_search, ratings) in [(true, &self.after_search), (false, &self.without_search)] {
            if ratings.count > 0 {
                tally.add(Measure::Ratings { after_search }, i128::from(ratings.count));
                tally.add(Measure::RatingSum { after_search }, ratings.sum);
                tally.add(Measure::RatingSquares { after_search }, ratings.squares);
            }
        }
    }
}
