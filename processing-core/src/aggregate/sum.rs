//! The sum of a whole number of each event.
//!
//! Not here: fractions (scale them first, [`super::scaled`]); floating point is never added, since
//! its sum depends on the order. Invariant: arithmetic is modulo 2^128, so that any order and any
//! removal is exact; sums of 64-bit numbers cannot reach that modulus.

use serde::{Deserialize, Serialize};

use super::{Exactness, Fold, Mergeable};

/// A sum of whole numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum(i128);

impl Sum {
    /// Adds one number.
    pub fn add(&mut self, value: impl Into<i128>) {
        self.0 = self.0.wrapping_add(value.into());
    }

    /// The sum; 0 of nothing.
    pub fn get(self) -> i128 {
        self.0
    }
}

impl Mergeable for Sum {
    const EXACTNESS: Exactness = Exactness::Exact;
    const REMOVE: Option<fn(&mut Self, &Self)> = Some(|sum, gone| sum.0 = sum.0.wrapping_sub(gone.0));

    fn merge(&mut self, other: &Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

/// The recipe of [`sum`].
#[derive(Debug, Clone, Copy)]
pub struct SumFold<F>(F);

/// Adds up what `of` takes from each event: any integer of up to 64 bits, or an `i128`.
pub fn sum<E, V: Into<i128>, F: Fn(&E) -> V>(of: F) -> SumFold<F> {
    SumFold(of)
}

impl<E, V, F> Fold<E> for SumFold<F>
where
    V: Into<i128>,
    F: Fn(&E) -> V + Clone + Send + 'static,
{
    type State = Sum;

    fn add(&self, state: &mut Sum, event: &E) {
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
        fn obeys_the_laws(events in prop::collection::vec(any::<i64>(), 0..60), seed: u64) {
            let recipe = sum(|v: &i64| *v);
            laws::exact(&recipe, &events, seed, |s| s.get());
            let expected: i128 = events.iter().map(|v| i128::from(*v)).sum();
            prop_assert_eq!(laws::fold(&recipe, &events).get(), expected);
        }

        #[test]
        fn stays_exact_where_128_bits_overflow(events in prop::collection::vec(any::<i128>(), 0..60), seed: u64) {
            laws::exact(&sum(|v: &i128| *v), &events, seed, |s| s.get());
        }
    }
}
