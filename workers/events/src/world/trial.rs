//! The A/B test that runs in the world, and its true effect.
//!
//! Users come into it one after the other, the busiest ones first, each once. Which variant a user gets hangs on the user
//! and the seed alone; whether the user converts is drawn once, at the assignment.
//!
//! Not here: what a user of a variant sees ([`super::films`]). Invariant: a user is assigned at most once and converts at
//! most once, and both are functions of the seed.

use crate::feed::schedule::Schedule;

/// The A/B test that runs in the world.
pub const EXPERIMENT: &str = "ranker-2026";

/// A variant, and what is true of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Its name.
    pub name: &'static str,
    /// The model that its users are served by.
    pub model: &'static str,
    /// The model's version.
    pub version: &'static str,
    /// Of 10 000 users that are assigned to it, so many convert.
    pub conversions_per_10_000: u64,
    /// Clicks beside those of the control, in per cent.
    pub(super) clicks_percent: u64,
}

/// The variants, the control first.
pub const VARIANTS: [Variant; 2] = [
    Variant { name: "control", model: "als", version: "2026-09", conversions_per_10_000: 800, clicks_percent: 100 },
    Variant {
        name: "treatment",
        model: "two-tower",
        version: "2026-11",
        conversions_per_10_000: 1_100,
        clicks_percent: 125,
    },
];

/// One story in so many brings somebody into the test.
const STORIES_AN_ASSIGNMENT: u64 = 6;
/// Which of them.
const PLACE: u64 = 3;
/// Users come in their order but for blocks of so many, a power of two.
const BLOCK: u32 = 256;

/// Who is in the test, and from when on.
pub(super) struct Trial {
    seed: u64,
    users: u32,
    /// The turn at which the first user comes in.
    first: u64,
}

impl Trial {
    /// The test that begins at `begins`.
    pub(super) fn new(seed: u64, users: u32, schedule: &Schedule, begins: i64) -> Self {
        let (mut from, mut to) = (0_u64, u64::from(u32::MAX));
        while from < to {
            let turn = from + (to - from) / 2;
            if schedule.sent_at(story_of(turn)) < begins { from = turn + 1 } else { to = turn }
        }
        Self { seed, users, first: from }
    }

    /// Who comes into the test by this story.
    pub(super) fn comes_in(&self, story: u64) -> Option<u32> {
        let turn = (story % STORIES_AN_ASSIGNMENT == PLACE).then_some(story / STORIES_AN_ASSIGNMENT)?;
        let place = u32::try_from(turn.checked_sub(self.first)?).ok()?;
        // Behind the users there is nobody; the last block is a whole one.
        Some(self.shuffled(place)).filter(|user| *user < self.users)
    }

    /// The user's variant, if the user is in the test by the time of the story `story`.
    pub(super) fn variant(&self, user: u32, story: u64) -> Option<usize> {
        let turn = u64::from(self.shuffled(user)) + self.first;
        (story_of(turn) <= story).then(|| self.fate(user))
    }

    /// The variant that the user has, or will have.
    pub(super) fn fate(&self, user: u32) -> usize {
        (mixed(self.seed ^ u64::from(user)) >> 32 & 1) as usize
    }

    /// Its own inverse, and within a block.
    fn shuffled(&self, place: u32) -> u32 {
        place ^ (mixed(self.seed.wrapping_add(u64::from(place / BLOCK))) as u32 % BLOCK)
    }
}

fn story_of(turn: u64) -> u64 {
    turn * STORIES_AN_ASSIGNMENT + PLACE
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014).
fn mixed(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
