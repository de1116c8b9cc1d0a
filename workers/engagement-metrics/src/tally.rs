//! What is counted for a scope and a span of time: sums by what they are sums of.
//!
//! Not here: how a person's deeds become sums ([`crate::person`]). Invariant: everything in a tally adds up, over
//! people, over minutes and over tenants; nothing that is only an estimate is in it.
//!
//! Numbers of distinct users add up because each person tells once that it is the first time: of an hour's users, each
//! is counted in the minute in which it came first.

use processing_core::aggregate::{Aggregate, Exactness, Mergeable};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::kind::Kind;

/// Days after the first one on which it is asked who of a cohort is active.
pub const COHORT_AGES: [u16; 3] = [1, 7, 28];
/// Lengths of streaks, in days, from which on users are counted.
pub const STREAKS: [u16; 5] = [2, 3, 7, 14, 30];

/// What a sum is a sum of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Measure {
    /// People's events of a kind.
    Requests(Kind),
    /// Programs' events.
    BotRequests,
    /// The company's own events.
    InternalRequests,
    /// Minutes of a person that held more than is kept.
    CutMinutes,
    /// Users whose first activity of their minute this is.
    MinuteUsers,
    /// Of their hour.
    HourUsers,
    /// Of their day.
    DayUsers,
    /// Of all days in this log.
    NewUsers,
    /// Not of all days, and the day before was at most 28 days ago.
    ReturningUsers,
    /// The day before was longer ago.
    ResurrectedUsers,
    /// Users of the day whose streak is at least so many days long.
    StreakUsers(u16),
    /// Users active in the seven days up to and with this one, told as it ends.
    WeekUsers,
    /// Users active in the 28 days up to and with this one, told as it ends.
    MonthUsers,
    /// Users who were new so many days ago, told as the day ends.
    CohortUsers(u16),
    /// Those of them who were active on this day.
    CohortActive(u16),
    /// Sessions that were over.
    Sessions,
    /// Those of one event.
    Bounces,
    /// Their events.
    SessionRequests,
    /// From their first events to their last ones.
    SessionMillis,
    /// Ratings behind a search of the same session, and behind none.
    Ratings {
        /// Which of both.
        after_search: bool,
    },
    /// Their sum in thousandths.
    RatingSum {
        /// Which of both.
        after_search: bool,
    },
    /// The sum of their squares in millionths.
    RatingSquares {
        /// Which of both.
        after_search: bool,
    },
    /// Experience points.
    Xp,
}

/// Sums, by what they are sums of. There are few of them, and most tallies are of one person's minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally(SmallVec<[(Measure, i128); 2]>);

impl Tally {
    /// Adds to one sum.
    pub fn add(&mut self, measure: Measure, amount: i128) {
        match self.0.binary_search_by_key(&measure, |(of, _)| *of) {
            Ok(place) => self.0[place].1 = self.0[place].1.wrapping_add(amount),
            Err(place) => self.0.insert(place, (measure, amount)),
        }
    }

    /// Adds one to a sum.
    pub fn count(&mut self, measure: Measure) {
        self.add(measure, 1);
    }

    /// A sum; 0 where nothing was added.
    pub fn get(&self, measure: Measure) -> i128 {
        self.0.binary_search_by_key(&measure, |(of, _)| *of).map_or(0, |place| self.0[place].1)
    }

    /// A sum of things, which is never below 0.
    pub fn number(&self, measure: Measure) -> u64 {
        u64::try_from(self.get(measure)).unwrap_or(0)
    }

    /// People's events by kind, those that there were.
    pub fn requests(&self) -> impl Iterator<Item = (Kind, u64)> {
        self.0.iter().filter_map(|(measure, sum)| match measure {
            Measure::Requests(kind) => Some((*kind, u64::try_from(*sum).unwrap_or(0))),
            _ => None,
        })
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a person adds to a scope.
impl Aggregate<Self> for Tally {
    fn add(&mut self, other: &Self) {
        self.merge(other);
    }
}

impl Mergeable for Tally {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        for (measure, sum) in &other.0 {
            Self::add(self, *measure, *sum);
        }
    }

    fn heap_bytes(&self) -> usize {
        if self.0.spilled() { self.0.capacity() * size_of::<(Measure, i128)>() } else { 0 }
    }
}
