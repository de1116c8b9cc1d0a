//! A window's merged value while the window slides over its panes, in amortised constant time.
//!
//! Where the aggregate can take values out again ([`Mergeable::REMOVE`]), one running total:
//!
//! ```text
//!   panes   [10] [11] [12]          total = 10+11+12
//!   push     [13]: total += 13      evict [10]: total -= 10
//! ```
//!
//! For the others two stacks: values at the back come in with a running merge; when the front is
//! used up, the back is turned over into the front. There every eighth pane begins a block, which holds
//! the merge of all panes that are younger than its own, so that the oldest can simply be dropped:
//!
//! ```text
//!   front, blocks of 2 (oldest last)         back (youngest last)   merged back
//!   12 13 {younger: -}  10 11 {12+13}        14 15                  14+15
//!                                            value = 10 + 11 + (12+13) + (14+15)
//! ```
//!
//! Each pane is merged at most twice in its life, and asking for the value costs [`BLOCK`] small merges
//! and one more. With a merge at each pane of the front, it would be one; but then a window of 60 panes
//! holds up to 60 merges of many panes, and a sketch of those has its full size.
//!
//! Not here: which panes belong to a window ([`crate::window`]) and what a store holds. All of this
//! is derived from panes, never stored, and thrown away when an entry comes that is out of order.
//! Invariant: the value is the merge of exactly the entries that were pushed and not yet evicted.

use std::collections::VecDeque;
use std::mem::size_of;

use thiserror::Error;

use crate::aggregate::Mergeable;
use crate::record::EventTime;

/// The panes that a sliding window holds, and their merged value.
#[derive(Debug, Clone)]
pub struct Sliding<A> {
    newest: EventTime,
    /// The entries in their order; those that the front covers are not among them.
    back: VecDeque<Entry<A>>,
    merged: Merged<A>,
}

#[derive(Debug, Clone)]
struct Entry<A> {
    pane: EventTime,
    value: A,
}

#[derive(Debug, Clone)]
enum Merged<A> {
    /// The total of all entries, which are all in the back.
    Total { total: A, remove: fn(&mut A, &A) },
    /// The merge of the back, and the front: oldest last.
    Stacks { back: A, front: Vec<Block<A>> },
}

/// Some neighbouring panes of the front.
#[derive(Debug, Clone)]
struct Block<A> {
    /// At least one and at most [`BLOCK`], oldest last.
    panes: Vec<Entry<A>>,
    /// The merge of the panes of all younger blocks.
    younger: A,
}

/// How many panes of the front share a merge of those that are younger.
const BLOCK: usize = 8;

/// A pane was pushed after a younger one: a late entry. What was derived so far is of no use any
/// more; build it anew from the panes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("pane {pane:?} came after pane {newest:?}: discard this sliding value and build it anew from its panes")]
pub struct OutOfOrder {
    /// The start of the pane that came too late.
    pub pane: EventTime,
    /// The start of the youngest pane so far.
    pub newest: EventTime,
}

impl<A: Mergeable> Default for Sliding<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Mergeable> Sliding<A> {
    /// A window without panes.
    pub fn new() -> Self {
        let merged = match A::REMOVE {
            Some(remove) => Merged::Total { total: A::default(), remove },
            None => Merged::Stacks { back: A::default(), front: Vec::new() },
        };
        Self { newest: EventTime::MIN, back: VecDeque::new(), merged }
    }

    /// Lets in the value of the pane that starts at `pane`. Panes come in ascending order; one may
    /// come several times, since a pane can have several entries.
    ///
    /// # Errors
    ///
    /// [`OutOfOrder`] for a pane older than one that came before; nothing is changed then.
    pub fn push(&mut self, pane: EventTime, value: &A) -> Result<(), OutOfOrder> {
        if pane < self.newest {
            return Err(OutOfOrder { pane, newest: self.newest });
        }
        self.newest = pane;
        match &mut self.merged {
            Merged::Total { total: merged, .. } | Merged::Stacks { back: merged, .. } => merged.merge(value),
        }
        self.back.push_back(Entry { pane, value: value.clone() });
        Ok(())
    }

    /// Drops all panes that start before `before`.
    pub fn evict(&mut self, before: EventTime) {
        match &mut self.merged {
            Merged::Total { total, remove } => {
                while let Some(gone) = self.back.pop_front_if(|oldest| oldest.pane < before) {
                    remove(total, &gone.value);
                }
            }
            Merged::Stacks { back: merged, front } => {
                while let Some(oldest) = front.last_mut() {
                    while oldest.panes.pop_if(|oldest| oldest.pane < before).is_some() {}
                    if !oldest.panes.is_empty() {
                        break;
                    }
                    front.pop();
                }
                // While the front holds anything, nothing in the back is old enough to go.
                if self.back.front().is_none_or(|oldest| oldest.pane >= before) {
                    return;
                }
                while self.back.pop_front_if(|oldest| oldest.pane < before).is_some() {}
                *merged = A::default();
                while let Some(entry) = self.back.pop_back() {
                    match front.last_mut().filter(|block| block.panes.len() < BLOCK) {
                        Some(block) => block.panes.push(entry),
                        None => {
                            let younger = front.last().map_or_else(A::default, Block::merged);
                            front.push(Block { panes: vec![entry], younger });
                        }
                    }
                }
            }
        }
    }

    /// The merge of all panes within; `None` if there is none. A window can hold data whose value
    /// equals the default (a sum of 0), so emptiness is a matter of panes and not of the value.
    pub fn value(&self) -> Option<A> {
        if self.is_empty() {
            return None;
        }
        Some(match &self.merged {
            Merged::Total { total, .. } => total.clone(),
            Merged::Stacks { back, front } => match front.last() {
                None => back.clone(),
                Some(oldest) => {
                    let mut value = oldest.merged();
                    if !self.back.is_empty() {
                        value.merge(back);
                    }
                    value
                }
            },
        })
    }

    /// Whether no pane is within.
    pub fn is_empty(&self) -> bool {
        // No block of the front is empty.
        let front_is_empty = match &self.merged {
            Merged::Total { .. } => true,
            Merged::Stacks { front, .. } => front.is_empty(),
        };
        front_is_empty && self.back.is_empty()
    }

    /// How many entries are within.
    pub fn len(&self) -> usize {
        self.back.len()
            + match &self.merged {
                Merged::Total { .. } => 0,
                Merged::Stacks { front, .. } => front.iter().map(|block| block.panes.len()).sum(),
            }
    }

    /// Where the panes within start, oldest first, once for each entry.
    pub fn panes(&self) -> impl Iterator<Item = EventTime> {
        let front = match &self.merged {
            Merged::Total { .. } => &[][..],
            Merged::Stacks { front, .. } => front,
        };
        let front = front.iter().rev().flat_map(|block| block.panes.iter().rev());
        front.chain(&self.back).map(|entry| entry.pane)
    }

    /// About how many bytes this holds, for the bound of the cache that keeps it. Takes time in
    /// proportion to the panes within.
    pub fn bytes(&self) -> usize {
        let entries = |slots: usize| slots * size_of::<Entry<A>>();
        let heap = |entry: &Entry<A>| entry.value.heap_bytes();
        let block = |block: &Block<A>| {
            entries(block.panes.capacity()) + block.panes.iter().map(heap).sum::<usize>() + block.younger.heap_bytes()
        };
        let (merged, front) = match &self.merged {
            Merged::Total { total, .. } => (total, 0),
            Merged::Stacks { back, front } => {
                (back, front.capacity() * size_of::<Block<A>>() + front.iter().map(block).sum::<usize>())
            }
        };
        size_of::<Self>()
            + merged.heap_bytes()
            + front
            + entries(self.back.capacity())
            + self.back.iter().map(heap).sum::<usize>()
    }
}

impl<A: Mergeable> Block<A> {
    /// The merge of its panes and all younger ones of the front.
    fn merged(&self) -> A {
        let mut merged = self.younger.clone();
        for entry in &self.panes {
            merged.merge(&entry.value);
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::aggregate::{Exactness, Max, Sum};

    /// What happens to a window: time goes on by a gap, maybe a pane comes, old panes go.
    #[derive(Debug, Clone)]
    struct Step {
        gap: i64,
        values: Vec<i64>,
        size: i64,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let gap = prop_oneof![8 => 0i64..4, 1 => 0i64..40];
        let step = (gap, prop::collection::vec(-2i64..3, 0..3), prop_oneof![6 => Just(7i64), 1 => 0i64..30])
            .prop_map(|(gap, values, size)| Step { gap, values, size });
        prop::collection::vec(step, 0..120)
    }

    /// Slides over the steps and merges all panes anew at each one.
    fn equals_naive<A: Mergeable + PartialEq + std::fmt::Debug>(steps: &[Step], of: impl Fn(i64) -> A) {
        let mut sliding = Sliding::<A>::new();
        let mut panes: Vec<(i64, A)> = Vec::new();
        let mut now = -50;
        let mut evicted = i64::MIN;
        for step in steps {
            now += step.gap;
            for value in &step.values {
                sliding.push(EventTime(now), &of(*value)).unwrap();
                panes.push((now, of(*value)));
            }
            evicted = evicted.max(now - step.size);
            sliding.evict(EventTime(evicted));
            panes.retain(|(pane, _)| *pane >= evicted);
            let naive = panes.iter().map(|(_, value)| value).cloned().reduce(|mut merged, value| {
                merged.merge(&value);
                merged
            });
            assert_eq!(sliding.value(), naive);
            assert_eq!((sliding.len(), sliding.is_empty()), (panes.len(), panes.is_empty()));
            assert!(sliding.panes().eq(panes.iter().map(|(pane, _)| EventTime(*pane))));
        }
    }

    fn maximum(value: i64) -> Max<i64> {
        let mut max = Max::default();
        max.add(value);
        max
    }

    fn total(value: i64) -> Sum {
        let mut sum = Sum::default();
        sum.add(value);
        sum
    }

    thread_local! {
        static MERGES: Cell<usize> = const { Cell::new(0) };
    }

    /// A sum that counts its merges and removals.
    #[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
    struct Counted<const INVERTIBLE: bool>(i64);

    impl<const INVERTIBLE: bool> Mergeable for Counted<INVERTIBLE> {
        const EXACTNESS: Exactness = Exactness::Exact;
        const REMOVE: Option<fn(&mut Self, &Self)> = if INVERTIBLE {
            Some(|total, gone| {
                MERGES.set(MERGES.get() + 1);
                total.0 -= gone.0;
            })
        } else {
            None
        };

        fn merge(&mut self, other: &Self) {
            MERGES.set(MERGES.get() + 1);
            self.0 += other.0;
        }
    }

    fn merges_while_sliding<const INVERTIBLE: bool>(window: i64, panes: i64) -> usize {
        MERGES.set(0);
        let mut sliding = Sliding::<Counted<INVERTIBLE>>::new();
        for pane in 0..panes {
            sliding.push(EventTime(pane), &Counted(pane)).unwrap();
            sliding.evict(EventTime(pane - window + 1));
            let first = (pane - window + 1).max(0);
            assert_eq!(sliding.value(), Some(Counted((first..=pane).sum())));
        }
        MERGES.get()
    }

    #[test]
    fn each_advance_costs_a_constant_number_of_merges_whatever_the_size() {
        for window in [1, 2, 60, 1_440] {
            let panes = 5_000;
            assert!(merges_while_sliding::<true>(window, panes) <= 2 * 5_000, "window of {window} panes, running");
            assert!(merges_while_sliding::<false>(window, panes) <= 10 * 5_000, "window of {window} panes, stacks");
        }
    }

    #[test]
    fn a_sum_of_zero_is_not_an_empty_window() {
        let mut sliding = Sliding::new();
        sliding.push(EventTime(1), &total(5)).unwrap();
        sliding.push(EventTime(2), &total(-5)).unwrap();
        assert_eq!(sliding.value(), Some(Sum::default()));
        sliding.evict(EventTime(3));
        assert_eq!(sliding.value(), None);
    }

    #[test]
    fn a_late_pane_is_refused_and_changes_nothing() {
        let mut sliding = Sliding::new();
        sliding.push(EventTime(5), &maximum(1)).unwrap();
        let refused = sliding.push(EventTime(4), &maximum(9));
        assert_eq!(refused, Err(OutOfOrder { pane: EventTime(4), newest: EventTime(5) }));
        assert_eq!(sliding.value(), Some(maximum(1)));
        assert_eq!(sliding.len(), 1);
    }

    #[test]
    fn bytes_grow_with_the_panes() {
        let mut sliding = Sliding::new();
        let empty = sliding.bytes();
        (0..100).for_each(|pane| sliding.push(EventTime(pane), &maximum(pane)).unwrap());
        assert!(sliding.bytes() >= empty + 100 * size_of::<Entry<Max<i64>>>());
    }

    proptest! {
        #[test]
        fn stacks_equal_a_naive_merge(steps in steps()) {
            equals_naive(&steps, maximum);
        }

        #[test]
        fn a_running_total_equals_a_naive_merge(steps in steps()) {
            equals_naive(&steps, total);
        }
    }
}
