//! What is on its way: records in the order in which they are sent.
//!
//! Not here: what they say. Invariant: the order is total, so that it hangs on nothing but the records.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::story::Beat;

/// Where a record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    Story(u64),
    Hour(u64),
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It comes, and perhaps a second time.
    Event { again: Option<i64> },
    /// It is the same as the record with this number.
    RepeatOf(u64),
    /// It is damaged.
    Bad,
}

/// A record on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) sent: i64,
    pub(super) origin: Origin,
    /// Its place in its story.
    pub(super) step: u16,
    pub(super) fate: Fate,
    pub(super) beat: Beat,
}

impl Due {
    fn order(&self) -> (i64, Origin, u16, bool) {
        (self.sent, self.origin, self.step, matches!(self.fate, Fate::RepeatOf(_)))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

/// All records on their way.
#[derive(Default)]
pub(super) struct Queue(BinaryHeap<Reverse<Due>>);

impl Queue {
    pub(super) fn push(&mut self, due: Due) {
        self.0.push(Reverse(due));
    }

    pub(super) fn first(&self) -> Option<&Due> {
        self.0.peek().map(|Reverse(due)| due)
    }

    /// Takes the first one, which is the record `number`; if it comes again, it is on its way once more.
    pub(super) fn pop(&mut self, number: u64) -> Option<Due> {
        let Reverse(due) = self.0.pop()?;
        if let Fate::Event { again: Some(sent) } = due.fate {
            self.push(Due { sent, fate: Fate::RepeatOf(number), ..due });
        }
        Some(due)
    }
}
