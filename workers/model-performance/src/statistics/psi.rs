//! The population stability index: how far a distribution has moved from a reference.
//!
//! N. Siddiqi, "Credit Risk Scorecards", 2006: over the bins of the reference's deciles,
//! sum of (current share - reference share) ln(current share / reference share). By custom, under 0.1 nothing has moved,
//! over 0.25 a lot has. A share of less than [`EPSILON`] counts as that much, or an empty bin would make it infinite.
//!
//! Not here: how numbers are kept ([`processing_core::aggregate::Quantiles`]). Invariant: 0 for equal distributions, and
//! never below.

/// The least share of a bin.
pub const EPSILON: f64 = 1e-4;

/// Ascending (value, count) of a distribution.
pub type Buckets<'b> = &'b [(f64, u64)];

/// The index of `current` against `reference`, `None` where either holds nothing. Deciles that fall on one value are one
/// edge: a bin that cannot hold anything says nothing.
pub fn psi(reference: Buckets<'_>, current: Buckets<'_>) -> Option<f64> {
    let edges = deciles(reference)?;
    let expected = shares(reference, &edges)?;
    let found = shares(current, &edges)?;
    let part = |(q, p): (&f64, &f64)| {
        let (q, p) = (q.max(EPSILON), p.max(EPSILON));
        (p - q) * libm::log(p / q)
    };
    Some(expected.iter().zip(&found).map(part).sum())
}

/// The values up to which one, two, ... nine tenths of all lie, each once.
fn deciles(of: Buckets<'_>) -> Option<Vec<f64>> {
    let all: u64 = of.iter().map(|(_, count)| count).sum();
    if all == 0 {
        return None;
    }
    let mut edges: Vec<f64> = Vec::with_capacity(9);
    let (mut upto, mut rest) = (0_u64, of.iter());
    for tenth in 1..10 {
        while upto * 10 < all * tenth {
            let (value, count) = rest.next()?;
            upto += count;
            if upto * 10 >= all * tenth && edges.last().is_none_or(|last| last < value) {
                edges.push(*value);
            }
        }
    }
    Some(edges)
}

/// The shares of what lies up to each edge and beyond the one before, and of what lies beyond the last.
fn shares(of: Buckets<'_>, edges: &[f64]) -> Option<Vec<f64>> {
    let all: u64 = of.iter().map(|(_, count)| count).sum();
    if all == 0 {
        return None;
    }
    let mut counts = vec![0_u64; edges.len() + 1];
    for (value, count) in of {
        let bin = edges.partition_point(|edge| edge < value);
        counts[bin] += count;
    }
    Some(counts.into_iter().map(|count| count as f64 / all as f64).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn buckets(numbers: &[u32]) -> Vec<(f64, u64)> {
        let mut counts = std::collections::BTreeMap::<u32, u64>::new();
        numbers.iter().for_each(|number| *counts.entry(*number).or_default() += 1);
        counts.into_iter().map(|(value, count)| (f64::from(value), count)).collect()
    }

    /// From sorted numbers: edges are the ceil(n k / 10)-th ones.
    fn definition(reference: &[u32], current: &[u32]) -> f64 {
        let mut sorted = reference.to_vec();
        sorted.sort_unstable();
        let mut edges: Vec<u32> = (1..10).map(|k| sorted[(sorted.len() * k).div_ceil(10) - 1]).collect();
        edges.dedup();
        let share = |of: &[u32], from: Option<u32>, to: Option<u32>| {
            let inside = |n: &&u32| from.is_none_or(|from| **n > from) && to.is_none_or(|to| **n <= to);
            of.iter().filter(inside).count() as f64 / of.len() as f64
        };
        let bounds: Vec<Option<u32>> = edges.iter().copied().map(Some).chain([None]).collect();
        let mut from = None;
        let mut sum = 0.0;
        for to in bounds {
            let (q, p) = (share(reference, from, to).max(1e-4), share(current, from, to).max(1e-4));
            sum += (p - q) * (p / q).ln();
            from = to;
        }
        sum
    }

    #[test]
    fn what_has_moved_away_altogether() {
        let (reference, moved): (Vec<u32>, Vec<u32>) = ((0..100).collect(), (1000..1100).collect());
        let index = psi(&buckets(&reference), &buckets(&moved)).unwrap();
        // Nine bins of 0.1 became empty, the last became all.
        let expected = 9.0 * (1e-4 - 0.1) * (1e-4_f64 / 0.1).ln() + 0.9 * 10_f64.ln();
        assert!((index - expected).abs() < 1e-9, "{index} {expected}");
        assert_eq!(psi(&[], &buckets(&moved)), None);
        assert_eq!(psi(&buckets(&moved), &[]), None);
    }

    proptest! {
        #[test]
        fn it_is_what_the_definition_makes_of_sorted_numbers(
            reference in prop::collection::vec(0_u32..60, 1..200), current in prop::collection::vec(0_u32..80, 1..200),
        ) {
            let index = psi(&buckets(&reference), &buckets(&current)).unwrap();
            prop_assert!((index - definition(&reference, &current)).abs() < 1e-9);
            prop_assert!(index >= 0.0);
            prop_assert_eq!(psi(&buckets(&reference), &buckets(&reference)), Some(0.0));
        }
    }
}
