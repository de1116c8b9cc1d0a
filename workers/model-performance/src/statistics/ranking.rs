//! How well a list was ordered, by what was clicked in it.
//!
//! Normalised discounted cumulative gain after K. Järvelin, J. Kekäläinen, "Cumulated gain-based evaluation of IR
//! techniques", ACM TOIS 20(4), 2002, with a gain of 1 for a click and the discount 1 / log2(rank + 1) for ranks from 1;
//! the ideal is the same list with all its clicks at the front. Reciprocal rank: 1 / rank of the first click.
//!
//! Not here: which clicks belong to which list. Invariant: answers are whole millionths, so that sums of them are the
//! same in any order.

/// One, in the unit of all answers here.
pub const ONE: u64 = 1_000_000;

/// NDCG of a list in millionths; `None` without a click, for such a list says nothing of its order.
pub fn ndcg(clicked: &[bool]) -> Option<u64> {
    let clicks = clicked.iter().filter(|clicked| **clicked).count();
    if clicks == 0 {
        return None;
    }
    let gain = |rank: usize| 1.0 / libm::log2(rank as f64 + 1.0);
    let got: f64 = (1..).zip(clicked).filter(|(_, clicked)| **clicked).map(|(rank, _)| gain(rank)).sum();
    let ideal: f64 = (1..=clicks).map(gain).sum();
    Some(libm::round(got / ideal * ONE as f64) as u64)
}

/// The reciprocal rank of the first click in millionths, 0 without one.
pub fn reciprocal_rank(clicked: &[bool]) -> u64 {
    let first = clicked.iter().position(|clicked| *clicked);
    first.map_or(0, |place| (ONE + (place as u64).div_ceil(2)) / (place as u64 + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_by_hand() {
        assert_eq!(ndcg(&[true, false, false]), Some(ONE));
        // 1/log2(3)
        assert_eq!(ndcg(&[false, true, false]), Some(630_930));
        // (1 + 1/2) / (1 + 1/log2(3))
        assert_eq!(ndcg(&[true, false, true]), Some(919_721));
        assert_eq!(ndcg(&[false, false]), None);
        assert_eq!(ndcg(&[]), None);
        let ranks: Vec<u64> = (0..4).map(|at| reciprocal_rank(&[at == 0, at == 1, at == 2])).collect();
        assert_eq!(ranks, [ONE, 500_000, 333_333, 0]);
        assert_eq!(reciprocal_rank(&[false, false, false, false, false, false, true, true]), 142_857);
    }

    proptest! {
        #[test]
        fn a_click_further_up_is_never_worse(mut list in prop::collection::vec(any::<bool>(), 2..40), at in any::<prop::sample::Index>()) {
            let place = 1 + at.index(list.len() - 1);
            prop_assume!(list[place] && !list[place - 1]);
            let (before, rank) = (ndcg(&list), reciprocal_rank(&list));
            list.swap(place, place - 1);
            prop_assert!(ndcg(&list) > before && reciprocal_rank(&list) >= rank);
        }

        #[test]
        fn the_reciprocal_is_rounded_to_the_nearest(place in 0_usize..300) {
            let mut list = vec![false; 300];
            list[place] = true;
            let exact = ONE as f64 / (place as f64 + 1.0);
            prop_assert!((reciprocal_rank(&list) as f64 - exact).abs() <= 0.5, "{place}");
        }
    }
}
