//! A story: what becomes of one thing that somebody begins, as the events that tell of it, beforehand.
//!
//! Not here: what stories there are ([`super::travel`] and its sisters) and when each begins. Invariant: a story is a
//! function of its draws and its beginning, and none of its events happens before it.

use super::act::Act;
use super::trial::Trial;
use crate::feed::draws::Draws;

/// One event of a story.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    pub(super) time_ms: i64,
    pub(super) user: u32,
    pub(super) act: Act,
}

/// A story while it is made up.
pub(super) struct Story<'w> {
    pub(super) draws: &'w mut Draws,
    pub(super) trial: &'w Trial,
    /// When it begins, in milliseconds since 1970.
    pub(super) begins: i64,
    /// Whose it is.
    pub(super) user: u32,
    /// A city, by its place in the gazetteer.
    pub(super) city: u32,
    pub(super) beats: &'w mut Vec<Beat>,
}

impl Story<'_> {
    /// So many milliseconds after the beginning, this happens.
    pub(super) fn tell(&mut self, after_ms: i64, act: impl Into<Act>) {
        self.beats.push(Beat { time_ms: self.begins + after_ms.max(0), user: self.user, act: act.into() });
    }

    /// A span in milliseconds from `from` up to `to`, short ones more often.
    pub(super) fn soon(&mut self, from: i64, to: i64) -> i64 {
        from + self.draws.skewed_below(to.saturating_sub(from).max(0) as u64) as i64
    }

    /// A name for a thing of this story.
    pub(super) fn name(&mut self) -> u64 {
        self.draws.bits()
    }

    /// True `n` times in 100.
    pub(super) fn percent(&mut self, n: u64) -> bool {
        self.draws.below(100) < n
    }
}

pub(super) const SECOND: i64 = 1_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;
