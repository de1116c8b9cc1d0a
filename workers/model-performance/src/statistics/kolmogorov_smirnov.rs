//! The greatest distance between two distribution functions.
//!
//! A. N. Kolmogorov 1933, N. V. Smirnov 1948: D = max over x of |F(x) - G(x)|. Of sketches, F and G are known where their
//! buckets end; both have the same buckets, so D is exact but for what happens within one bucket.
//!
//! Not here: how numbers are kept. Invariant: from 0 (equal) to 1 (nothing in common).

use super::psi::Buckets;

/// The distance of two distributions; `None` where either holds nothing.
pub fn distance(left: Buckets<'_>, right: Buckets<'_>) -> Option<f64> {
    let total = |of: Buckets<'_>| of.iter().map(|(_, count)| count).sum::<u64>();
    let (all_left, all_right) = (total(left), total(right));
    if all_left == 0 || all_right == 0 {
        return None;
    }
    let (mut at_left, mut at_right) = (left.iter().peekable(), right.iter().peekable());
    let (mut upto_left, mut upto_right, mut most) = (0_u64, 0_u64, 0.0_f64);
    loop {
        let next = match (at_left.peek(), at_right.peek()) {
            (Some((a, _)), Some((b, _))) => a.min(*b),
            (Some((a, _)), None) => *a,
            (None, Some((b, _))) => *b,
            (None, None) => return Some(most),
        };
        upto_left += at_left.next_if(|(value, _)| *value <= next).map_or(0, |(_, count)| *count);
        upto_right += at_right.next_if(|(value, _)| *value <= next).map_or(0, |(_, count)| *count);
        most = most.max((upto_left as f64 / all_left as f64 - upto_right as f64 / all_right as f64).abs());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn distances_by_hand() {
        assert_eq!(distance(&[(1.0, 5)], &[(1.0, 9)]), Some(0.0));
        assert_eq!(distance(&[(1.0, 5)], &[(2.0, 1)]), Some(1.0));
        assert_eq!(distance(&[(1.0, 1), (2.0, 1)], &[(2.0, 1), (3.0, 1)]), Some(0.5));
        assert_eq!(distance(&[], &[(2.0, 1)]), None);
    }

    proptest! {
        #[test]
        fn it_is_the_greatest_gap_at_any_value(
            left in prop::collection::btree_map(0_u32..30, 1_u64..20, 1..20),
            right in prop::collection::btree_map(0_u32..30, 1_u64..20, 1..20),
        ) {
            let buckets = |of: &std::collections::BTreeMap<u32, u64>| -> Vec<(f64, u64)> {
                of.iter().map(|(value, count)| (f64::from(*value), *count)).collect()
            };
            let share = |of: &std::collections::BTreeMap<u32, u64>, x: u32| {
                of.range(..=x).map(|(_, n)| n).sum::<u64>() as f64 / of.values().sum::<u64>() as f64
            };
            let expected = (0..30).map(|x| (share(&left, x) - share(&right, x)).abs()).fold(0.0, f64::max);
            let found = distance(&buckets(&left), &buckets(&right)).unwrap();
            prop_assert!((found - expected).abs() < 1e-12);
        }
    }
}
