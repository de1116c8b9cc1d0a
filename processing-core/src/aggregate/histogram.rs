//! How many events have a value up to each of some given bounds.
//!
//! Only buckets that hold something are kept, each under its upper bound: a histogram says itself what its buckets
//! are, and one whose bounds were changed meanwhile is still merged rightly, into buckets of both kinds.
//!
//! Not here: bounds that follow from the values ([`super::quantiles()`]). Invariant: buckets ascend by their upper
//! bounds, and none is empty.

use std::sync::Arc;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Exactness, Fold, Mergeable};

/// Counts by buckets, `(previous bound, bound]` each, as Prometheus has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram<T> {
    buckets: Vec<(Upper<T>, u64)>,
}

/// Where a bucket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Upper<T> {
    /// It holds values up to this one, which is within.
    UpTo(T),
    /// It holds whatever is larger than the last bound.
    Beyond,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self { buckets: Vec::new() }
    }
}

impl<T: Ord + Clone> Histogram<T> {
    /// Counts a value in the first bucket whose bound is not below it. `bounds` must ascend.
    pub fn add(&mut self, bounds: &[T], value: &T) {
        let upper = bounds.get(bounds.partition_point(|bound| bound < value));
        match self.buckets.binary_search_by(|(bucket, _)| match (bucket, upper) {
            (Upper::UpTo(bucket), Some(upper)) => bucket.cmp(upper),
            (Upper::UpTo(_), None) => std::cmp::Ordering::Less,
            (Upper::Beyond, Some(_)) => std::cmp::Ordering::Greater,
            (Upper::Beyond, None) => std::cmp::Ordering::Equal,
        }) {
            Ok(place) => self.buckets[place].1 = self.buckets[place].1.wrapping_add(1),
            Err(place) => {
                self.buckets.insert(place, (upper.map_or(Upper::Beyond, |upper| Upper::UpTo(upper.clone())), 1))
            }
        }
    }

    /// The buckets that hold something, ascending: where each ends, and how many values are in it alone.
    pub fn buckets(&self) -> &[(Upper<T>, u64)] {
        &self.buckets
    }

    /// How many values are in buckets that end at `bound` or before: for a bound of the recipe's, those up to it.
    pub fn up_to(&self, bound: &T) -> u64 {
        let within = self.buckets.iter().take_while(|(upper, _)| matches!(upper, Upper::UpTo(upper) if upper <= bound));
        within.fold(0, |sum, (_, count)| sum.wrapping_add(*count))
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, (_, count)| sum.wrapping_add(*count))
    }
}

impl<T> Mergeable for Histogram<T>
where
    T: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
{
    const EXACTNESS: Exactness = Exactness::Exact;
    const REMOVE: Option<fn(&mut Self, &Self)> = Some(|histogram, gone| {
        for (upper, count) in &gone.buckets {
            if let Ok(place) = histogram.buckets.binary_search_by(|(bucket, _)| bucket.cmp(upper)) {
                histogram.buckets[place].1 = histogram.buckets[place].1.wrapping_sub(*count);
            }
        }
        histogram.buckets.retain(|(_, count)| *count > 0);
    });

    fn merge(&mut self, other: &Self) {
        for (upper, count) in &other.buckets {
            match self.buckets.binary_search_by(|(bucket, _)| bucket.cmp(upper)) {
                Ok(place) => self.buckets[place].1 = self.buckets[place].1.wrapping_add(*count),
                Err(place) => self.buckets.insert(place, (upper.clone(), *count)),
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<(Upper<T>, u64)>()
    }
}

/// The recipe of [`histogram`].
#[derive(Debug, Clone)]
pub struct HistogramFold<T, F> {
    bounds: Arc<[T]>,
    of: F,
}

/// Counts what `of` takes from each event by these upper bounds, and what is beyond the last one:
/// `histogram([50, 100, 500], |e| e.ms)`. Bounds may come in any order. Memory is bounded by their number.
pub fn histogram<E, T: Ord, F: Fn(&E) -> T>(bounds: impl Into<Vec<T>>, of: F) -> HistogramFold<T, F> {
    let mut bounds = bounds.into();
    bounds.sort_unstable();
    bounds.dedup();
    HistogramFold { bounds: bounds.into(), of }
}

impl<E, T, F> Fold<E> for HistogramFold<T, F>
where
    T: Ord + Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
    F: Fn(&E) -> T + Clone + Send + 'static,
{
    type State = Histogram<T>;

    fn add(&self, state: &mut Histogram<T>, event: &E) {
        state.add(&self.bounds, &(self.of)(event));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws;

    #[test]
    fn a_bound_is_within_its_bucket() {
        let recipe = histogram([100, 10, 100], |v: &i64| *v);
        let histogram = laws::fold(&recipe, &[-5, 10, 11, 100, 101, 7_000]);
        assert_eq!(histogram.buckets(), [(Upper::UpTo(10), 2), (Upper::UpTo(100), 2), (Upper::Beyond, 2)]);
        assert_eq!((histogram.up_to(&10), histogram.up_to(&100), histogram.count()), (2, 4, 6));
    }

    #[test]
    fn other_bounds_than_before_are_merged_side_by_side() {
        let mut old = laws::fold(&histogram([10], |v: &i64| *v), &[3, 30]);
        old.merge(&laws::fold(&histogram([20], |v: &i64| *v), &[3, 30]));
        assert_eq!(old.buckets(), [(Upper::UpTo(10), 1), (Upper::UpTo(20), 1), (Upper::Beyond, 2)]);
    }

    proptest! {
        #[test]
        fn is_the_naive_count_and_obeys_the_laws(
            events in prop::collection::vec(-20i64..40, 0..80), bounds in prop::collection::vec(-10i64..30, 0..6), seed: u64,
        ) {
            let recipe = histogram(bounds.clone(), |v: &i64| *v);
            laws::exact(&recipe, &events, seed, Clone::clone);
            let state = laws::fold(&recipe, &events);
            for bound in bounds {
                prop_assert_eq!(state.up_to(&bound), events.iter().filter(|v| **v <= bound).count() as u64);
            }
            prop_assert_eq!(state.count(), events.len() as u64);
        }
    }
}
