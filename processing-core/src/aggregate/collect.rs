//! The first events by an order of the user's own, as a list with a bound.
//!
//! A list without a bound would grow with its key's events until nothing holds it any more; so the recipe names how
//! many entries are kept, and what did not fit is counted. Which are kept does not depend on arrival: the smallest by
//! (order, value) of all that came. Equal ones are kept side by side.
//!
//! Not here: the best by a score, each once ([`super::top_k()`]). Invariant: `entries` ascend by (order, value), and
//! are at most `limit`.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Exactness, Fold, Mergeable};

/// The first entries so far, and how many did not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collect<O, V> {
    /// 0 while nothing was added. Stored because a merge must know it; the smallest one wins, as with
    /// [`super::TopK`].
    limit: u32,
    entries: Vec<(O, V)>,
    left_out: u64,
}

impl<O, V> Default for Collect<O, V> {
    fn default() -> Self {
        Self { limit: 0, entries: Vec::new(), left_out: 0 }
    }
}

impl<O: Ord, V: Ord> Collect<O, V> {
    /// Takes an entry in, keeping the first `limit` (at least one). `value` is asked only where the order does not
    /// say no.
    pub fn add(&mut self, limit: u32, order: O, value: impl FnOnce() -> V) {
        self.limit_to(limit);
        let is_full = self.entries.len() >= self.limit as usize;
        if is_full && self.entries.last().is_some_and(|(last, _)| order > *last) {
            self.left_out += 1;
            return;
        }
        let entry = (order, value());
        let place = self.entries.partition_point(|kept| *kept <= entry);
        self.entries.insert(place, entry);
        self.cut();
    }

    /// The entries in their order, each beside its place in it.
    pub fn entries(&self) -> &[(O, V)] {
        &self.entries
    }

    /// The values in their order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.entries.iter().map(|(_, value)| value)
    }

    /// How many did not fit.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    fn limit_to(&mut self, limit: u32) {
        self.limit = if self.limit == 0 { limit.max(1) } else { self.limit.min(limit.max(1)) };
        self.cut();
    }

    fn cut(&mut self) {
        let surplus = self.entries.len().saturating_sub(self.limit as usize);
        self.entries.truncate(self.limit as usize);
        self.left_out += surplus as u64;
    }
}

impl<O, V> Mergeable for Collect<O, V>
where
    O: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
    V: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
{
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        if other.limit == 0 {
            return;
        }
        self.limit_to(other.limit);
        for (order, value) in &other.entries {
            self.add(other.limit, order.clone(), || value.clone());
        }
        self.left_out += other.left_out;
    }

    fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(O, V)>()
    }
}

/// The recipe of [`collect`].
#[derive(Debug, Clone, Copy)]
pub struct CollectFold<B, F> {
    limit: u32,
    by: B,
    of: F,
}

/// What `of` takes from the first `limit` events by the order `by`: `collect(100, |e| (e.time, e.id), |e| e.text.clone())`.
/// Memory, and the bytes that a commit writes, are in proportion to `limit`, which is at least 1.
pub fn collect<E, O: Ord, V: Ord, B: Fn(&E) -> O, F: Fn(&E) -> V>(limit: u32, by: B, of: F) -> CollectFold<B, F> {
    CollectFold { limit, by, of }
}

impl<E, O, V, B, F> Fold<E> for CollectFold<B, F>
where
    O: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
    V: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
    B: Fn(&E) -> O + Clone + Send + 'static,
    F: Fn(&E) -> V + Clone + Send + 'static,
{
    type State = Collect<O, V>;

    fn add(&self, state: &mut Collect<O, V>, event: &E) {
        state.add(self.limit, (self.by)(event), || (self.of)(event));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws;

    type Event = (i64, String);

    fn recipe(limit: u32) -> impl Fold<Event, State = Collect<i64, String>> {
        collect(limit, |e: &Event| e.0, |e: &Event| e.1.clone())
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        prop::collection::vec((0i64..6, "[a-c]"), 0..40)
    }

    proptest! {
        #[test]
        fn is_the_head_of_the_sorted_list_and_obeys_the_laws(mut events in events(), limit in 0u32..9, seed: u64) {
            laws::exact(&recipe(limit), &events, seed, Clone::clone);
            let state = laws::fold(&recipe(limit), &events);
            events.sort();
            let kept = events.len().min(limit.max(1) as usize);
            prop_assert_eq!(state.entries(), &events[..kept]);
            prop_assert_eq!(state.left_out(), (events.len() - kept) as u64);
        }

        #[test]
        fn states_of_different_limits_merge_alike_in_any_grouping(parts in prop::array::uniform3((events(), 1u32..5))) {
            let [a, b, c] = parts.map(|(events, limit)| laws::fold(&recipe(limit), &events));
            let merged = |left: &Collect<_, _>, right: &Collect<_, _>| {
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
