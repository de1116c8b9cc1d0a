//! The value of the last event, by an order of the user's own.
//!
//! The order is event time in most cases, with something beside it that tells events of one moment apart:
//! `last(|e| (e.time, e.id), |e| e.status)`. Arrival is no order: it is another one in each replay.
//!
//! Not here: the order itself. Invariant: of events that are equal in the order the one with the largest value is kept,
//! so that the answer is the same whichever came before the other.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Exactness, First, Fold, Mergeable};

/// The last event so far: its place in the order, and its value. It is the first one, seen from the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last<O, V>(First<Reverse<O>, Reverse<V>>);

impl<O, V> Default for Last<O, V> {
    fn default() -> Self {
        Self(First::default())
    }
}

impl<O: Ord, V: Ord> Last<O, V> {
    /// Takes an event in. `value` is asked only where the order does not say no.
    pub fn add(&mut self, order: O, value: impl FnOnce() -> V) {
        self.0.add(Reverse(order), || Reverse(value()));
    }

    /// Its value; `None` of nothing.
    pub fn get(&self) -> Option<&V> {
        self.0.get().map(|Reverse(value)| value)
    }

    /// Its place in the order; `None` of nothing.
    pub fn order(&self) -> Option<&O> {
        self.0.order().map(|Reverse(order)| order)
    }
}

impl<O, V> Mergeable for Last<O, V>
where
    O: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
    V: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
{
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }
}

/// The recipe of [`last`].
#[derive(Debug, Clone, Copy)]
pub struct LastFold<B, F> {
    by: B,
    of: F,
}

/// What `of` takes from the event that comes last by the order `by`. Of several in one place, the largest value.
pub fn last<E, O: Ord, V: Ord, B: Fn(&E) -> O, F: Fn(&E) -> V>(by: B, of: F) -> LastFold<B, F> {
    LastFold { by, of }
}

impl<E, O, V, B, F> Fold<E> for LastFold<B, F>
where
    O: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
    V: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
    B: Fn(&E) -> O + Clone + Send + 'static,
    F: Fn(&E) -> V + Clone + Send + 'static,
{
    type State = Last<O, V>;

    fn add(&self, state: &mut Last<O, V>, event: &E) {
        state.add((self.by)(event), || (self.of)(event));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws;

    proptest! {
        #[test]
        fn is_the_naive_one_and_obeys_the_laws(
            events in prop::collection::vec((0i64..6, "[a-c]{1,2}"), 0..60), seed: u64,
        ) {
            let recipe = last(|e: &(i64, String)| e.0, |e: &(i64, String)| e.1.clone());
            laws::exact(&recipe, &events, seed, Clone::clone);
            let state = laws::fold(&recipe, &events);
            prop_assert_eq!(state.order().copied().zip(state.get().cloned()), events.iter().max().cloned());
        }
    }
}
