//! The lists that a user was shown, and how those that may still be clicked are found.
//!
//! A minute's lists are one row, which leaves with its time. Most clicks come within the minute and are written with them, so
//! most rows are written once. Where to look stands in a row of the user's, which each list changes and which has no items,
//! only a filter of them.
//!
//! Not here: which list a click belongs to ([`crate::attribution`]). Invariant: of each list that waits for clicks its minute
//! is told when one of its items is asked for.

use processing_core::record::DurationMs;
use serde::{Deserialize, Serialize};

use crate::event::{Item, ItemList};
use crate::followed::Followed;
use crate::outcomes::Outcome;
use crate::packed;
use crate::span::MINUTE;
use crate::subject::Subject;

/// So many lists of a user wait for clicks.
const LISTS_MAX: usize = 64;

/// A list of a user's minute, until its outcome is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// When it was shown, in milliseconds of its minute.
    pub at: u16,
    /// The model within the tenant.
    pub model: Subject,
    /// The hash of its request's id.
    pub request: u64,
    /// What was in it, best first.
    #[serde(with = "packed")]
    pub items: ItemList,
    /// What the user did with it.
    pub followed: Option<Followed>,
}

impl List {
    /// What became of it.
    pub fn outcome(&self) -> Outcome {
        // A list has some hundreds of items at most.
        let impressions = self.items.len() as u16;
        let left_alone = || Outcome { impressions: impressions.into(), ..Outcome::default() };
        self.followed.as_ref().map_or_else(left_alone, |followed| followed.outcome(impressions))
    }
}

/// The minutes in which a user was shown the lists that wait for clicks, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting(Vec<WaitingMinute>);

/// A minute with lists that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingMinute {
    /// Which one, counted from 1970 UTC: a shorter number to write than the time at which it began.
    minute: i64,
    /// So many of its lists wait.
    lists: u16,
    /// A filter of the items in its lists, with three bits for each (B. Bloom, "Space/time trade-offs in hash coding with
    /// allowable errors", CACM 13(7), 1970): of a list of ten, one item in twenty that is not in it has its bits set.
    items: u64,
}

impl WaitingMinute {
    /// When it began.
    pub fn start(&self) -> i64 {
        self.minute * MINUTE
    }
}

/// The bits of an item, which is a hash itself.
fn bits(item: Item) -> u64 {
    [0, 6, 12].iter().fold(0, |bits, part| bits | 1 << (item.0 >> part & 63))
}

impl Waiting {
    /// Forgets the minutes that began before `start`.
    pub fn forget_before(&mut self, start: i64) {
        self.0.retain(|minute| minute.start() >= start);
    }

    /// Takes in a list of the latest minute.
    pub fn push(&mut self, start: i64, items: &[Item]) {
        let minute = start.div_euclid(MINUTE);
        if self.0.last().is_none_or(|last| last.minute < minute) {
            self.0.push(WaitingMinute { minute, lists: 0, items: 0 });
        }
        if let Some(minute) = self.0.last_mut() {
            minute.lists += 1;
            minute.items |= items.iter().fold(0, |all, item| all | bits(*item));
        }
    }

    /// The minute of the oldest list, if more wait than may.
    pub fn too_many(&self) -> Option<WaitingMinute> {
        let lists: usize = self.0.iter().map(|minute| usize::from(minute.lists)).sum();
        self.0.first().copied().filter(|_| lists > LISTS_MAX)
    }

    /// The oldest list waits no more.
    pub fn forget_oldest(&mut self) {
        if let Some(minute) = self.0.first_mut() {
            minute.lists -= 1;
            if minute.lists == 0 {
                self.0.remove(0);
            }
        }
    }

    /// The minutes in whose lists this item may be, of those that a click at `time` can belong to.
    pub fn with(&self, item: Item, window: DurationMs, time: i64) -> impl DoubleEndedIterator<Item = WaitingMinute> {
        let is_near = move |minute: &&WaitingMinute| {
            let start = minute.start();
            start <= time && time < start.saturating_add(MINUTE).saturating_add(window.0)
        };
        let bits = bits(item);
        let may_hold = move |minute: &&WaitingMinute| minute.items & bits == bits;
        self.0.iter().filter(is_near).filter(may_hold).copied()
    }

    /// Whether nothing waits that was shown in a minute that began later than `start`.
    pub fn is_over(&self, start: i64) -> bool {
        self.0.last().is_none_or(|last| last.start() <= start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: DurationMs = DurationMs::minutes(2);

    fn starts(minutes: impl Iterator<Item = WaitingMinute>) -> Vec<i64> {
        minutes.map(|minute| minute.minute).collect()
    }

    #[test]
    fn minutes_are_told_as_long_as_one_of_their_moments_is_near() {
        let mut waiting = Waiting::default();
        (0..4).for_each(|minute| waiting.push(minute * MINUTE, &[Item(7)]));
        assert_eq!(starts(waiting.with(Item(7), WINDOW, 3 * MINUTE - 1)), [0, 1, 2]);
        assert_eq!(starts(waiting.with(Item(7), WINDOW, 3 * MINUTE)), [1, 2, 3]);
        assert_eq!(starts(waiting.with(Item(8), WINDOW, 3 * MINUTE)), [0; 0]);
        assert!(waiting.is_over(3 * MINUTE) && !waiting.is_over(2 * MINUTE));
        waiting.forget_before(2 * MINUTE);
        assert_eq!(starts(waiting.with(Item(7), WINDOW, 3 * MINUTE)), [2, 3]);
    }

    #[test]
    fn the_oldest_lists_give_way() {
        let mut waiting = Waiting::default();
        waiting.push(0, &[Item(1)]);
        waiting.push(0, &[Item(2)]);
        (2..LISTS_MAX).for_each(|_| waiting.push(MINUTE, &[Item(3)]));
        assert_eq!(waiting.too_many(), None);
        waiting.push(MINUTE, &[Item(3)]);
        assert_eq!(waiting.too_many().map(|minute| (minute.minute, minute.lists)), Some((0, 2)));
        waiting.forget_oldest();
        waiting.push(MINUTE, &[Item(3)]);
        assert_eq!(waiting.too_many().map(|minute| (minute.minute, minute.lists)), Some((0, 1)));
        waiting.forget_oldest();
        assert_eq!(waiting.too_many(), None);
        assert_eq!(starts(waiting.with(Item(2), WINDOW, MINUTE)), [0; 0]);
    }

    proptest! {
        #[test]
        fn no_list_is_missed(lists in prop::collection::vec((0_i64..9, prop::collection::vec(any::<u32>(), 0..12)), 1..40)) {
            let (mut waiting, mut lists) = (Waiting::default(), lists);
            lists.sort();
            let items = |list: &[u32]| -> Vec<Item> { list.iter().copied().map(Item).collect() };
            lists.iter().for_each(|(minute, list)| waiting.push(minute * MINUTE, &items(list)));
            for (minute, list) in &lists {
                for item in items(list) {
                    prop_assert!(starts(waiting.with(item, WINDOW, minute * MINUTE)).contains(minute));
                }
            }
        }
    }
}
