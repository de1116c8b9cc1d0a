//! How much of a thread's memory for rows each of its stores may keep between transactions.
//!
//! A worker has dozens of stores in each task, and few of them hold much. So none has a bound of its own: those that need
//! little have what they need, and the others share the rest alike, as water stands level in vessels of different depth.
//!
//! Not here: what a store does with its share. Invariant: if no store keeps more than its share, all of them together keep
//! no more than the thread may.

/// The share of each store, when they keep `kept` bytes each and may keep `most` together.
pub(crate) fn share(kept: impl Iterator<Item = usize>, most: usize) -> usize {
    let mut kept: Vec<usize> = kept.collect();
    if kept.iter().sum::<usize>() <= most {
        return most;
    }
    kept.sort_unstable();
    let (mut left, mut stores) = (most, kept.len());
    for bytes in kept {
        if bytes > left / stores {
            break;
        }
        left -= bytes;
        stores -= 1;
    }
    left / stores.max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_stores_have_what_they_need_and_large_ones_share_the_rest() {
        assert_eq!(share([].into_iter(), 100), 100);
        assert_eq!(share([30, 60].into_iter(), 100), 100);
        assert_eq!(share([200].into_iter(), 100), 100);
        assert_eq!(share([200, 10, 300, 0].into_iter(), 100), 45);
    }

    proptest! {
        #[test]
        fn what_is_kept_within_the_share_fits(kept in prop::collection::vec(0..1_000_usize, 0..40), most in 0..9_000_usize) {
            let share = share(kept.iter().copied(), most);
            let within: usize = kept.iter().map(|bytes| *bytes.min(&share)).sum();
            prop_assert!(within <= most);
            // One byte more for each, and it would no longer fit.
            let more: usize = kept.iter().map(|bytes| *bytes.min(&(share + 1))).sum();
            prop_assert!(share >= most || more > most.saturating_sub(kept.len()));
        }
    }
}
