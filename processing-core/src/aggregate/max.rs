//! The largest of a value of each event.
//!
//! Not here: which events had it (take the largest of a tuple, `max(|e| (e.score, e.id))`).
//! Invariant: of equal values any may be kept, so `Ord` must call equal only what is the same.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Exactness, Fold, Mergeable};

/// The largest value so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Max<T>(Option<T>);

impl<T: Ord> Max<T> {
    /// Takes one value in.
    pub fn add(&mut self, value: T) {
        if self.0.as_ref().is_none_or(|kept| value > *kept) {
            self.0 = Some(value);
        }
    }

    /// The largest value; `None` of nothing.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T> Default for Max<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Mergeable for Max<T>
where
    T: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
{
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        if let Some(value) = &other.0
            && self.0.as_ref().is_none_or(|kept| value > kept)
        {
            self.0 = Some(value.clone());
        }
    }
}

/// The recipe of [`max`].
#[derive(Debug, Clone, Copy)]
pub struct MaxFold<F>(F);

/// The largest of what `of` takes from each event: anything ordered, tuples too.
pub fn max<E, T: Ord, F: Fn(&E) -> T>(of: F) -> MaxFold<F> {
    MaxFold(of)
}

impl<E, T, F> Fold<E> for MaxFold<F>
where
    T: Ord + Clone + Serialize + DeserializeOwned + Send + 'static,
    F: Fn(&E) -> T + Clone + Send + 'static,
{
    type State = Max<T>;

    fn add(&self, state: &mut Max<T>, event: &E) {
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
            let recipe = max(|e: &(i8, String)| e.clone());
            laws::exact(&recipe, &events, seed, |s| s.get().cloned());
            let state = laws::fold(&recipe, &events);
            prop_assert_eq!(state.get(), events.iter().max());
        }
    }
}
