//! The `k` best distinct items by a score, exactly.
//!
//! An item that comes with several scores counts with its best one. Equal scores rank by item,
//! ascending. Since an item among the `k` best of all is among the `k` best of each part that holds
//! its best score, cutting every part to `k` loses nothing: top-K is exact locally and then globally.
//!
//! Not here: scores that add up over events (aggregate them per key first, then rank the closed
//! values) and unbounded counting ([`super::frequent_items()`]).
//! Invariant: `entries` is sorted best first, holds each item once, and has at most `k` of them.

use std::borrow::Borrow;
use std::cmp::Ordering;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Exactness, Fold, Mergeable};

/// An item and its best score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranked<S, T> {
    /// The best score that the item came with.
    pub score: S,
    /// The item.
    pub item: T,
}

/// The best items so far, best first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopK<S, T> {
    /// How many are kept; 0 while nothing was added. It is stored because a merge must know it, and
    /// because the smallest one wins: that keeps merging associative even where sizes differ.
    k: u32,
    entries: Vec<Ranked<S, T>>,
}

impl<S, T> Default for TopK<S, T> {
    fn default() -> Self {
        Self { k: 0, entries: Vec::new() }
    }
}

impl<S: Ord, T: Ord> TopK<S, T> {
    /// Takes in an item with a score, keeping the best `k`.
    pub fn add(&mut self, k: u32, score: S, item: T) {
        self.limit(k);
        if let Some(place) = self.place(&score, &item) {
            self.insert(place, Ranked { score, item });
        }
    }

    /// Like [`Self::add`], but copies the item only if it is to be kept.
    pub fn add_ref<Q>(&mut self, k: u32, score: S, item: &Q)
    where
        T: Borrow<Q>,
        Q: Ord + ToOwned<Owned = T> + ?Sized,
    {
        self.limit(k);
        if let Some(place) = self.place(&score, item) {
            self.insert(place, Ranked { score, item: item.to_owned() });
        }
    }

    /// The items, best first.
    pub fn entries(&self) -> &[Ranked<S, T>] {
        &self.entries
    }

    fn limit(&mut self, k: u32) {
        self.k = match (self.k, k) {
            (0, k) | (k, 0) => k,
            (a, b) => a.min(b),
        };
        self.entries.truncate(self.k as usize);
    }

    /// Where the item belongs, if it is among the best and not there with as good a score.
    fn place<Q: Ord + ?Sized>(&self, score: &S, item: &Q) -> Option<usize>
    where
        T: Borrow<Q>,
    {
        let rank = |entry: &Ranked<S, T>| score.cmp(&entry.score).reverse().then_with(|| item.cmp(entry.item.borrow()));
        let is_full = self.entries.len() >= self.k as usize;
        if is_full && self.entries.last().is_none_or(|last| rank(last) != Ordering::Less) {
            return None;
        }
        let place = self.entries.partition_point(|entry| rank(entry) == Ordering::Greater);
        let is_there_already = self.entries[..place].iter().any(|better| better.item.borrow() == item)
            || self.entries.get(place).is_some_and(|same| rank(same) == Ordering::Equal);
        (!is_there_already).then_some(place)
    }

    /// Puts the entry where [`Self::place`] said, in the stead of the same item's worse score if there
    /// is one, else of the last one too many.
    fn insert(&mut self, place: usize, entry: Ranked<S, T>) {
        match self.entries[place..].iter().position(|worse| worse.item == entry.item) {
            Some(behind) => {
                self.entries[place..=place + behind].rotate_right(1);
                self.entries[place] = entry;
            }
            None => {
                self.entries.truncate((self.k as usize).saturating_sub(1));
                self.entries.insert(place, entry);
            }
        }
    }
}

impl<S, T> Mergeable for TopK<S, T>
where
    S: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
    T: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
{
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.limit(other.k);
        for entry in &other.entries {
            if let Some(place) = self.place(&entry.score, &entry.item) {
                self.insert(place, entry.clone());
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Ranked<S, T>>()
    }
}

/// The recipe of [`top_k`].
#[derive(Debug, Clone, Copy)]
pub struct TopKFold<F> {
    k: u32,
    of: F,
}

/// The `k` best items by score: `top_k(20, |e| (e.score, e.city_id))`. Finding an item costs time
/// in proportion to `k`. With `k` = 0 nothing is kept.
pub fn top_k<E, S: Ord, T: Ord, F: Fn(&E) -> (S, T)>(k: u32, of: F) -> TopKFold<F> {
    TopKFold { k, of }
}

impl<E, S, T, F> Fold<E> for TopKFold<F>
where
    S: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
    T: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
    F: Fn(&E) -> (S, T) + Clone + Send + 'static,
{
    type State = TopK<S, T>;

    fn add(&self, state: &mut TopK<S, T>, event: &E) {
        let (score, item) = (self.of)(event);
        state.add(self.k, score, item);
    }
}

/// The recipe of [`top_k_ref`].
#[derive(Debug, Clone, Copy)]
pub struct TopKRefFold<F> {
    k: u32,
    of: F,
}

/// Like [`top_k`] with a borrowed item, `top_k_ref(20, |e| (e.score, e.city.as_str()))`, which is
/// copied only when it enters the list.
pub fn top_k_ref<E, S, Q, F>(k: u32, of: F) -> TopKRefFold<F>
where
    S: Ord,
    Q: Ord + ToOwned + ?Sized,
    F: Fn(&E) -> (S, &Q),
{
    TopKRefFold { k, of }
}

impl<E, S, Q, F> Fold<E> for TopKRefFold<F>
where
    S: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
    Q: Ord + ToOwned + ?Sized,
    Q::Owned: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
    F: Fn(&E) -> (S, &Q) + Clone + Send + 'static,
{
    type State = TopK<S, Q::Owned>;

    fn add(&self, state: &mut Self::State, event: &E) {
        let (score, item) = (self.of)(event);
        state.add_ref(self.k, score, item);
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws;

    /// Every item with its best score, sorted, cut.
    fn naive(events: &[(i8, String)], k: usize) -> Vec<(i8, String)> {
        let mut best = BTreeMap::<&String, i8>::new();
        for (score, item) in events {
            let kept = best.entry(item).or_insert(*score);
            *kept = (*kept).max(*score);
        }
        let mut ranked: Vec<_> = best.into_iter().map(|(item, score)| (score, item.clone())).collect();
        ranked.sort_by_key(|(score, item)| (Reverse(*score), item.clone()));
        ranked.truncate(k);
        ranked
    }

    fn pairs(state: &TopK<i8, String>) -> Vec<(i8, String)> {
        state.entries().iter().map(|entry| (entry.score, entry.item.clone())).collect()
    }

    proptest! {
        #[test]
        fn is_the_naive_ranking_and_obeys_the_laws(
            events in prop::collection::vec((-3i8..8, "[a-d]{1,2}"), 0..80), k in 0u32..9, seed: u64,
        ) {
            let owned = top_k(k, |e: &(i8, String)| e.clone());
            let borrowed = top_k_ref(k, |e: &(i8, String)| (e.0, e.1.as_str()));
            prop_assert_eq!(pairs(&laws::fold(&owned, &events)), naive(&events, k as usize));
            prop_assert_eq!(pairs(&laws::fold(&borrowed, &events)), naive(&events, k as usize));
            laws::exact(&owned, &events, seed, pairs);
            laws::exact(&borrowed, &events, seed, pairs);
        }

        #[test]
        fn states_of_different_sizes_merge_alike_in_any_grouping(
            parts in prop::array::uniform3((prop::collection::vec((-3i8..8, "[a-d]"), 1..9), 1u32..5)),
        ) {
            let [a, b, c] = parts.map(|(events, k)| laws::fold(&top_k(k, |e: &(i8, String)| e.clone()), &events));
            let merged = |left: &TopK<i8, String>, right: &TopK<i8, String>| {
                let mut left = left.clone();
                left.merge(right);
                left
            };
            let left = merged(&merged(&a, &b), &c);
            prop_assert_eq!(&left, &merged(&a, &merged(&b, &c)));
            prop_assert_eq!(&left, &merged(&merged(&c, &a), &b));
        }
    }
}
