//! The arithmetic mean of a whole (or scaled) number of each event.
//!
//! Not here: rounding ([`super::fixed_point`]). Invariant: the state is a sum and a count, both
//! exact; only the answer is ever rounded, and never kept rounded.

use serde::{Deserialize, Serialize};

use super::{Decimal, Exactness, Fold, Mergeable};

/// A mean under way: the sum and how many numbers it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mean {
    sum: i128,
    count: u64,
}

impl Mean {
    /// Adds one number.
    pub fn add(&mut self, value: impl Into<i128>) {
        self.merge(&Self { sum: value.into(), count: 1 });
    }

    /// The sum of the numbers.
    pub fn sum(self) -> i128 {
        self.sum
    }

    /// How many numbers there are; the mean is exactly `sum / count`.
    pub fn count(self) -> u64 {
        self.count
    }

    /// The mean in the unit of the numbers, rounded half-even to `decimals` digits behind the point
    /// (18 at most); `None` of nothing, and where it does not fit in 128 bits.
    pub fn rounded(self, decimals: u8) -> Option<Decimal> {
        Decimal::quotient(self.sum, self.count.into(), decimals)
    }
}

impl Mergeable for Mean {
    const EXACTNESS: Exactness = Exactness::Exact;
    const REMOVE: Option<fn(&mut Self, &Self)> = Some(|mean, gone| {
        mean.sum = mean.sum.wrapping_sub(gone.sum);
        mean.count = mean.count.wrapping_sub(gone.count);
    });

    fn merge(&mut self, other: &Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.count = self.count.wrapping_add(other.count);
    }
}

/// The recipe of [`mean`].
#[derive(Debug, Clone, Copy)]
pub struct MeanFold<F>(F);

/// The mean of what `of` takes from each event: any integer of up to 64 bits, or an `i128`; fractions
/// as scaled integers ([`super::scaled`]).
pub fn mean<E, V: Into<i128>, F: Fn(&E) -> V>(of: F) -> MeanFold<F> {
    MeanFold(of)
}

impl<E, V, F> Fold<E> for MeanFold<F>
where
    V: Into<i128>,
    F: Fn(&E) -> V + Clone + Send + 'static,
{
    type State = Mean;

    fn add(&self, state: &mut Mean, event: &E) {
        state.add((self.0)(event));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws;

    #[test]
    fn of_nothing_is_nothing() {
        assert_eq!(Mean::default().rounded(2), None);
    }

    proptest! {
        #[test]
        fn obeys_the_laws(events in prop::collection::vec(any::<i32>(), 0..60), seed: u64) {
            let recipe = mean(|v: &i32| *v);
            laws::exact(&recipe, &events, seed, |s| (s.sum(), s.count(), s.rounded(3)));
            let sum: i64 = events.iter().map(|v| i64::from(*v)).sum();
            let state = laws::fold(&recipe, &events);
            prop_assert_eq!((state.sum(), state.count()), (i128::from(sum), events.len() as u64));
        }
    }
}
