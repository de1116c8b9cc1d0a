//! A sum over a sum: ratios, and means in which events have weights.
//!
//! A ratio of sums is not a mean of ratios: `ratio(|e| e.clicks, |e| e.views)` of 1 in 1 and 0 in 99 is 0.01. A weighted
//! mean is the same with the weighted values above: `sum(weight * value) / sum(weight)`.
//!
//! Not here: rounding ([`super::fixed_point`]). Invariant: the state is two exact sums, modulo 2^128; only the answer is
//! rounded.

use serde::{Deserialize, Serialize};

use super::{Decimal, Exactness, Fold, Mergeable};

/// Two sums, of which one is divided by the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ratio {
    over: i128,
    under: i128,
}

impl Ratio {
    /// Adds to both sums.
    pub fn add(&mut self, over: impl Into<i128>, under: impl Into<i128>) {
        self.merge(&Self { over: over.into(), under: under.into() });
    }

    /// Adds a value with a weight. Their product must fit in 128 bits, as those of 64-bit numbers do.
    pub fn add_weighted(&mut self, value: impl Into<i128>, weight: impl Into<i128>) {
        let weight = weight.into();
        self.add(value.into().wrapping_mul(weight), weight);
    }

    /// The sum above: of the numerators, or of the weighted values.
    pub fn over(self) -> i128 {
        self.over
    }

    /// The sum below: of the denominators, or of the weights.
    pub fn under(self) -> i128 {
        self.under
    }

    /// `over / under`, rounded half-even to `decimals` digits behind the point (18 at most); `None` where the sum
    /// below is 0, and where the answer does not fit in 128 bits.
    pub fn rounded(self, decimals: u8) -> Option<Decimal> {
        Decimal::quotient(self.over, self.under, decimals)
    }
}

impl Mergeable for Ratio {
    const EXACTNESS: Exactness = Exactness::Exact;
    const REMOVE: Option<fn(&mut Self, &Self)> = Some(|ratio, gone| {
        ratio.over = ratio.over.wrapping_sub(gone.over);
        ratio.under = ratio.under.wrapping_sub(gone.under);
    });

    fn merge(&mut self, other: &Self) {
        self.over = self.over.wrapping_add(other.over);
        self.under = self.under.wrapping_add(other.under);
    }
}

/// The recipe of [`ratio`].
#[derive(Debug, Clone, Copy)]
pub struct RatioFold<N, D> {
    over: N,
    under: D,
}

/// The sum of what `over` takes from each event, divided by the sum of what `under` takes: any integers of up to 64 bits,
/// or `i128`; fractions as scaled integers ([`super::scaled`]).
pub fn ratio<E, N, D, V, W>(over: N, under: D) -> RatioFold<N, D>
where
    N: Fn(&E) -> V,
    D: Fn(&E) -> W,
    V: Into<i128>,
    W: Into<i128>,
{
    RatioFold { over, under }
}

impl<E, N, D, V, W> Fold<E> for RatioFold<N, D>
where
    N: Fn(&E) -> V + Clone + Send + 'static,
    D: Fn(&E) -> W + Clone + Send + 'static,
    V: Into<i128>,
    W: Into<i128>,
{
    type State = Ratio;

    fn add(&self, state: &mut Ratio, event: &E) {
        state.add((self.over)(event), (self.under)(event));
    }
}

/// The recipe of [`weighted_mean`].
#[derive(Debug, Clone, Copy)]
pub struct WeightedMeanFold<V, W> {
    value: V,
    weight: W,
}

/// The mean of what `value` takes from each event, each counted as often as `weight` says: integers of up to 64 bits,
/// fractions scaled ([`super::scaled`]); the answer has the unit of the values.
pub fn weighted_mean<E, N, D, V, W>(value: N, weight: D) -> WeightedMeanFold<N, D>
where
    N: Fn(&E) -> V,
    D: Fn(&E) -> W,
    V: Into<i128>,
    W: Into<i128>,
{
    WeightedMeanFold { value, weight }
}

impl<E, N, D, V, W> Fold<E> for WeightedMeanFold<N, D>
where
    N: Fn(&E) -> V + Clone + Send + 'static,
    D: Fn(&E) -> W + Clone + Send + 'static,
    V: Into<i128>,
    W: Into<i128>,
{
    type State = Ratio;

    fn add(&self, state: &mut Ratio, event: &E) {
        state.add_weighted((self.value)(event), (self.weight)(event));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws;

    type Pair = (i32, i32);

    #[test]
    fn of_nothing_and_of_nothing_below_is_nothing() {
        assert_eq!(Ratio::default().rounded(2), None);
        let cancelled = laws::fold(&ratio(|p: &Pair| p.0, |p: &Pair| p.1), &[(1, 5), (1, -5)]);
        assert_eq!(cancelled.rounded(2), None);
    }

    #[test]
    fn a_ratio_of_sums_is_no_mean_of_ratios() {
        let clicks = laws::fold(&ratio(|p: &Pair| p.0, |p: &Pair| p.1), &[(1, 1), (0, 99)]);
        assert_eq!(clicks.rounded(3).unwrap().to_string(), "0.010");
        let negative = laws::fold(&ratio(|p: &Pair| p.0, |p: &Pair| p.1), &[(1, -3)]);
        assert_eq!(negative.rounded(3).unwrap().to_string(), "-0.333");
    }

    #[test]
    fn a_weight_counts_a_value_so_often() {
        let weighted = laws::fold(&weighted_mean(|p: &Pair| p.0, |p: &Pair| p.1), &[(10, 1), (20, 3)]);
        assert_eq!(weighted.rounded(1).unwrap().to_string(), "17.5");
        let extremes = laws::fold(&weighted_mean(|v: &i64| *v, |v: &i64| *v), &[i64::MIN]);
        assert_eq!(extremes.rounded(0).unwrap().units, i128::from(i64::MIN));
    }

    proptest! {
        #[test]
        fn obeys_the_laws(events in prop::collection::vec(any::<Pair>(), 0..60), seed: u64) {
            laws::exact(&ratio(|p: &Pair| p.0, |p: &Pair| p.1), &events, seed, |s| *s);
            laws::exact(&weighted_mean(|p: &Pair| p.0, |p: &Pair| p.1), &events, seed, |s| (*s, s.rounded(4)));
            let state = laws::fold(&weighted_mean(|p: &Pair| p.0, |p: &Pair| p.1), &events);
            let weighted: i128 = events.iter().map(|p| i128::from(p.0) * i128::from(p.1)).sum();
            prop_assert_eq!(state.over(), weighted);
            prop_assert_eq!(state.under(), events.iter().map(|p| i128::from(p.1)).sum::<i128>());
        }
    }
}
