//! How many events there were.
//!
//! Not here: distinct values ([`super::distinct()`]). Invariant: arithmetic is modulo 2^64, so that
//! removing what was merged always restores the value before.

use serde::{Deserialize, Serialize};

use super::{Exactness, Fold, Mergeable};

/// A number of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count(u64);

impl Count {
    /// Counts one event.
    pub fn add(&mut self) {
        self.0 = self.0.wrapping_add(1);
    }

    /// How many events were counted.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl Mergeable for Count {
    const EXACTNESS: Exactness = Exactness::Exact;
    const REMOVE: Option<fn(&mut Self, &Self)> = Some(|count, gone| count.0 = count.0.wrapping_sub(gone.0));

    fn merge(&mut self, other: &Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

/// The recipe of [`count`].
#[derive(Debug, Clone, Copy)]
pub struct CountFold;

/// Counts events.
pub fn count() -> CountFold {
    CountFold
}

impl<E> Fold<E> for CountFold {
    type State = Count;

    fn add(&self, state: &mut Count, _event: &E) {
        state.add();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws;

    proptest! {
        #[test]
        fn obeys_the_laws(events in prop::collection::vec(any::<u8>(), 0..60), seed: u64) {
            laws::exact(&count(), &events, seed, |s| s.get());
            prop_assert_eq!(laws::fold(&count(), &events).get(), events.len() as u64);
        }
    }
}
