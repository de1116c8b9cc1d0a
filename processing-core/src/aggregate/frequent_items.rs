//! The most frequent items of an unbounded key space, with bounds on each count.
//!
//! The sketch is that of the crate `datasketches` (a Misra-Gries summary). While at most `capacity`
//! distinct items were seen, all counts are exact. Beyond, each count is known within an interval
//! whose width is at most [`FrequentItems::error_max`], itself at most `3.5 / map size` of the total
//! weight, with a map size between 4/3 and 8/3 of the capacity.
//!
//! Not here: exact ranking by a score that is known per event ([`super::top_k()`]).
//! Invariant: the true count of every item lies within its bounds, in any order and grouping; which
//! items are kept and how tight the bounds are does depend on the order, hence
//! [`Exactness::Approximate`].

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::fmt::Debug;
use std::hash::Hash;

use datasketches::frequencies::{ErrorType, FrequentItemValue, FrequentItemsSketch};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Exactness, Fold, Mergeable, sketch_bytes};

/// The smallest and largest map of the sketch; a million entries are some 40 MiB of text items.
const MAP_SIZES: (usize, usize) = (8, 1 << 20);

/// What can be counted: `String`, `u64`, `i64`.
pub trait FrequentItem: FrequentItemValue + Clone + Ord + Debug + Send + 'static {}

impl<T: FrequentItemValue + Clone + Ord + Debug + Send + 'static> FrequentItem for T {}

/// An item and what is known of its count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frequency<T> {
    /// The item.
    pub item: T,
    /// It was counted at least so often.
    pub lower: u64,
    /// It was counted at most so often.
    pub upper: u64,
}

/// Items and their counts, within bounds.
#[derive(Debug, Clone)]
pub struct FrequentItems<T> {
    /// `None` is the empty multiset; the recipe knows the capacity that the first item brings.
    sketch: Option<FrequentItemsSketch<T>>,
}

impl<T> Default for FrequentItems<T> {
    fn default() -> Self {
        Self { sketch: None }
    }
}

impl<T: FrequentItem> FrequentItems<T> {
    /// Counts `item`, `weight` times. `capacity` is how many distinct items are counted exactly; the
    /// first item sets it. The item is copied only if it is not among those kept already.
    pub fn add<Q>(&mut self, capacity: usize, item: &Q, weight: u32)
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = T> + ?Sized,
    {
        // Weights of 32 bits cannot overflow the sketch's 64-bit total, at which it would panic.
        self.sketch.get_or_insert_with(|| new_sketch(capacity)).update_with_count_ref(item, u64::from(weight));
    }

    /// The items that may be among the `n` most frequent ones, most frequent first (by upper bound,
    /// then by item); no item whose count exceeds [`Self::error_max`] is missing before the cut.
    pub fn candidates(&self, n: usize) -> Vec<Frequency<T>> {
        self.rows(ErrorType::NoFalseNegatives, n)
    }

    /// The items that surely were counted more often than [`Self::error_max`], at most `n`, most
    /// frequent first.
    pub fn certain(&self, n: usize) -> Vec<Frequency<T>> {
        self.rows(ErrorType::NoFalsePositives, n)
    }

    /// What is known of one item; an item that is not kept has the lower bound 0.
    pub fn frequency(&self, item: T) -> Frequency<T> {
        let (lower, upper) =
            self.sketch.as_ref().map_or((0, 0), |sketch| (sketch.lower_bound(&item), sketch.upper_bound(&item)));
        Frequency { item, lower, upper }
    }

    /// The width of the interval in which each count is known; 0 while all counts are exact.
    pub fn error_max(&self) -> u64 {
        self.sketch.as_ref().map_or(0, FrequentItemsSketch::maximum_error)
    }

    /// The sum of all weights; exact.
    pub fn total(&self) -> u64 {
        self.sketch.as_ref().map_or(0, FrequentItemsSketch::total_weight)
    }

    fn rows(&self, kind: ErrorType, n: usize) -> Vec<Frequency<T>> {
        let Some(sketch) = &self.sketch else {
            return Vec::new();
        };
        let mut rows: Vec<_> = sketch
            .frequent_items(kind)
            .into_iter()
            .map(|row| Frequency { item: row.item().clone(), lower: row.lower_bound(), upper: row.upper_bound() })
            .collect();
        rows.sort_unstable_by(|a, b| (Reverse(a.upper), &a.item).cmp(&(Reverse(b.upper), &b.item)));
        rows.truncate(n);
        rows
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let damaged = |why: &dyn std::fmt::Display| format!("a list of frequent items is damaged: {why}");
        // The sketch trusts the stored map size and allocates it: look at it first.
        match bytes.get(3..5) {
            Some([max, current]) if *max <= 20 && *current <= 20 => {}
            _ => return Err(damaged(&"its size is out of bounds")),
        }
        let sketch = FrequentItemsSketch::deserialize(bytes).map_err(|error| damaged(&error))?;
        if sketch.total_weight() > u64::MAX / 4 {
            return Err(damaged(&"its total weight is out of bounds"));
        }
        Ok(Self { sketch: Some(sketch) })
    }
}

#[expect(clippy::expect_used, reason = "the size is a power of two within the crate's bounds")]
fn new_sketch<T: Eq + Hash>(capacity: usize) -> FrequentItemsSketch<T> {
    let (least, most) = MAP_SIZES;
    // The sketch fills three quarters of its map.
    let slots = capacity.min(most).saturating_mul(4).div_ceil(3).next_power_of_two();
    FrequentItemsSketch::new(slots.clamp(least, most)).expect("a power of two within 8 and 2^20")
}

impl<T: FrequentItem> Serialize for FrequentItems<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.sketch.as_ref().map(FrequentItemsSketch::serialize);
        sketch_bytes::serialize(bytes.as_deref().unwrap_or_default(), serializer)
    }
}

impl<'de, T: FrequentItem> Deserialize<'de> for FrequentItems<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        sketch_bytes::deserialize(deserializer, Self::from_bytes)
    }
}

impl<T: FrequentItem> Mergeable for FrequentItems<T> {
    const EXACTNESS: Exactness = Exactness::Approximate;

    fn merge(&mut self, other: &Self) {
        let Some(other) = &other.sketch else { return };
        match &mut self.sketch {
            Some(sketch) => sketch.merge(other),
            empty => *empty = Some(other.clone()),
        }
    }

    fn heap_bytes(&self) -> usize {
        self.sketch.as_ref().map_or(0, FrequentItemsSketch::estimated_size)
    }
}

/// The recipe of [`frequent_items`].
#[derive(Debug, Clone, Copy)]
pub struct FrequentItemsFold<F> {
    capacity: usize,
    of: F,
}

/// Counts the items that `of` lends from each event (`|e| e.query.as_str()`, `|e| &e.user_id`), the
/// first `capacity` distinct ones exactly (786 432 at most), all others within bounds.
pub fn frequent_items<E, Q, F>(capacity: usize, of: F) -> FrequentItemsFold<F>
where
    Q: Eq + Hash + ToOwned + ?Sized,
    Q::Owned: FrequentItem,
    F: Fn(&E) -> &Q,
{
    FrequentItemsFold { capacity, of }
}

impl<E, Q, F> Fold<E> for FrequentItemsFold<F>
where
    Q: Eq + Hash + ToOwned + ?Sized,
    Q::Owned: FrequentItem,
    F: Fn(&E) -> &Q + Clone + Send + 'static,
{
    type State = FrequentItems<Q::Owned>;

    fn add(&self, state: &mut Self::State, event: &E) {
        state.add(self.capacity, (self.of)(event), 1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::aggregate::laws;

    /// Few frequent items and many rare ones, as queries are.
    fn skewed(n: usize, seed: u64) -> Vec<u64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| (1.0 / rng.random_range(0.000_3f64..1.0)) as u64).collect()
    }

    fn check_bounds(state: &FrequentItems<u64>, events: &[u64], map_size: u64) {
        let mut truth = BTreeMap::<u64, u64>::new();
        for event in events {
            *truth.entry(*event).or_default() += 1;
        }
        assert_eq!(state.total(), events.len() as u64);
        let allowed = 3.5 / map_size as f64 * events.len() as f64;
        assert!(state.error_max() as f64 <= allowed, "an error of {} exceeds {allowed}", state.error_max());
        for (item, count) in &truth {
            let known = state.frequency(*item);
            assert!((known.lower..=known.upper).contains(count), "{item} counts {count}, not {known:?}");
            assert!(known.upper - known.lower <= state.error_max());
        }
        let candidates = state.candidates(usize::MAX);
        for (item, count) in truth.iter().filter(|(_, count)| **count > state.error_max()) {
            assert!(candidates.iter().any(|row| row.item == *item), "{item} with {count} is missing");
        }
        for row in state.certain(usize::MAX) {
            assert!(truth[&row.item] > state.error_max());
        }
    }

    #[test]
    fn true_counts_are_within_the_bounds_in_any_grouping() {
        let recipe = frequent_items(48, |v: &u64| v);
        for seed in 0..30 {
            for n in [0, 10, 1_000, 20_000] {
                let events = skewed(n, seed);
                check_bounds(&laws::fold(&recipe, &events), &events, 64);
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                check_bounds(&laws::regrouped(&recipe, &events, &mut rng), &events, 64);
            }
        }
    }

    #[test]
    fn ties_are_listed_by_item() {
        let recipe = frequent_items(10, |v: &&str| *v);
        let state = laws::fold(&recipe, &["b", "c", "a", "c"]);
        let names: Vec<_> = state.candidates(3).into_iter().map(|row| row.item).collect();
        assert_eq!(names, ["c", "a", "b"]);
        assert_eq!(state.candidates(1).len(), 1);
    }

    #[test]
    fn every_capacity_is_bounded() {
        for (capacity, slots) in [(0, 8), (1, 8), (6, 8), (7, 16), (96, 128), (97, 256), (usize::MAX, 1 << 20)] {
            assert_eq!(new_sketch::<u64>(capacity).max_map_size(), slots, "capacity {capacity}");
        }
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let state = laws::fold(&frequent_items(48, |v: &u64| v), &skewed(500, 1));
        let bytes = state.sketch.unwrap().serialize();
        assert!(FrequentItems::<u64>::from_bytes(&bytes).is_ok());
        for cut in [1, 4, 8, 31, 40, bytes.len() - 1] {
            assert!(FrequentItems::<u64>::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut vast = bytes;
        (vast[3], vast[4]) = (30, 30);
        assert!(FrequentItems::<u64>::from_bytes(&vast).is_err());
    }

    proptest! {
        #[test]
        fn exact_while_the_items_fit(events in prop::collection::vec("[ab]{0,4}", 0..80), seed: u64) {
            let recipe = frequent_items(31, |e: &String| e.as_str());
            let mut truth = BTreeMap::<&str, u64>::new();
            for event in &events {
                *truth.entry(event).or_default() += 1;
            }
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            for state in [laws::fold(&recipe, &events), laws::regrouped(&recipe, &events, &mut rng)] {
                prop_assert_eq!(state.error_max(), 0);
                let counts: BTreeMap<_, _> = state.certain(99).into_iter().map(|f| (f.item, f.lower)).collect();
                let expected: BTreeMap<_, _> = truth.iter().map(|(item, n)| ((*item).to_owned(), *n)).collect();
                prop_assert_eq!(counts, expected);
            }
        }

        #[test]
        fn encoding_keeps_every_answer(n in 0usize..3_000, seed: u64) {
            let state = laws::fold(&frequent_items(48, |v: &u64| v), &skewed(n, seed));
            let back = laws::through_bytes(&state);
            prop_assert_eq!(state.candidates(99), back.candidates(99));
            prop_assert_eq!((state.total(), state.error_max()), (back.total(), back.error_max()));
        }
    }
}
