//! The smallest of a value of each event.
//!
//! Not here: which events had it (take the smallest of a tuple, `min(|e| (e.score, e.id))`).
//! Invariant: of equal values any may be kept, so `Ord` must call equal only what is the same.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Exactness, Fold, Mergeable};

/// The smallest value so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Min<T>(Option<T>);

impl<T: Ord> Min<T> {
    /// Takes one value in.
    pub fn add(&mut self, value: T) {
        if self.0.as_ref().is_none_or(|kept| value < *kept) {
            self.0 = Some(value);
        }
    }

    /// The smallest value; `None` of nothing.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T> Default for Min<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Mergeable for Min<T>
where
    T: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
{
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        if let Some(value) = &other.0
            && self.0.as_ref().is_none_or(|kept| value < kept)
        {
            self.0 = Some(value.clone());
        }
    }
}

/// The recipe of [`min`].
#[derive(Debug, Clone, Copy)]
pub struct MinFold<F>(F);

/// The smallest of what `of` takes from each event: anything ordered, tuples too.
pub fn min<E, T: Ord, F: Fn(&E) -> T>(of: F) -> MinFold<F> {
    MinFold(of)
}

impl<E, T, F> Fold<E> for MinFold<F>
where
    T: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
    F: Fn(&E) -> T + Clone + Send + 'static,
{
    type State = Min<T>;

    fn add(&self, state: &mut Min<T>, event: &E) {
        state.add((self.0)(event));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws;

    proptest! {
        #[test]
        fn obeys_the_laws(events in prop::collection::vec((any::<i8>(), "[a-c]{0,2}"), 0..60), seed: u64) {
            let recipe = min(|e: &(i8, String)| e.clone());
            laws::exact(&recipe, &events, seed, |s| s.get().cloned());
            let state = laws::fold(&recipe, &events);
            prop_assert_eq!(state.get(), events.iter().min());
        }
    }
}
