//! Fewer records, while what is wrong stays wrong.
//!
//! Not here: what is wrong. Invariant: what is answered has failed, or is what came in; and no more is tried than
//! was allowed.

/// Drops ranges of items, then smaller ones, as long as the rest still fails: the delta debugging of Zeller and
/// Hildebrandt (2002), without its test of single ranges, which a failure of few items seldom needs.
pub(super) fn shrink<T: Clone>(items: &[T], mut attempts: usize, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut kept = items.to_vec();
    let mut range = kept.len().div_ceil(2);
    while range > 0 {
        let mut dropped = false;
        // From the end: what comes last is the least likely to matter to what comes before.
        let mut end = kept.len();
        while end > 0 {
            if attempts == 0 {
                return kept;
            }
            attempts -= 1;
            let begin = end.saturating_sub(range);
            let rest = [&kept[..begin], &kept[end..]].concat();
            if fails(&rest) {
                kept = rest;
                dropped = true;
            }
            end = begin;
        }
        // A range of one is tried again for as long as it helps: one record may need another to be gone.
        if range > 1 || !dropped {
            range /= 2;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_fails_and_nothing_can_be_dropped_from_it(
            len in 0usize..80,
            needed in proptest::collection::btree_set(0usize..80, 0..6),
        ) {
            let items: Vec<usize> = (0..len).collect();
            let fails = |some: &[usize]| needed.iter().all(|item| some.contains(item));
            let kept = shrink(&items, 10_000, fails);
            if fails(&items) {
                prop_assert_eq!(kept, needed.into_iter().collect::<Vec<_>>());
            } else {
                prop_assert_eq!(kept, items);
            }
        }

        #[test]
        fn no_more_is_tried_than_was_allowed(attempts in 0usize..30) {
            let mut tried = 0;
            let kept = shrink(&[0; 200], attempts, |_| { tried += 1; tried % 3 == 0 });
            prop_assert!(tried <= attempts);
            prop_assert!(!kept.is_empty() || tried > 0);
        }
    }
}
