//! How much of a thread's memory for rows each of its stores may keep between transactions.
//!
//! A worker has dozens of stores in each task, and few of them hold much. So none has a bound of its own: those that need
//! little have what they need, and the others share the rest alike, as water stands level in vessels of different depth.
//!
//! Some of what stores keep has to last until its time is over: it is shared among those that have such, and the rest among
//! the others.
//!
//! Not here: what a store does with its share. Invariant: if no store keeps more than its share, all of them together keep
//! no more than the thread may.

/// How much of the memory may last, at most: one part of so many.
const LASTING_PART: usize = 2;
/// What all others have at least, where shares of what lasts have become smaller than what is there.
const OTHERS_PART: usize = 4;

/// What each store may keep in memory between transactions, in bytes; it changes with what the others keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Of what it can let go of.
    pub cached: usize,
    /// Of what has to last.
    pub lasting: usize,
}

impl Shares {
    /// Those of the only store.
    pub fn of_one(most: usize) -> Self {
        Self { cached: most, lasting: most / LASTING_PART }
    }

    /// Those of stores that keep so many bytes each, and may keep `most` together.
    pub(crate) fn of_all(
        cached: impl Iterator<Item = usize>,
        lasting: impl Iterator<Item = usize> + Clone,
        most: usize,
    ) -> Self {
        let others = most.saturating_sub(lasting.clone().sum()).max(most / OTHERS_PART);
        Self { cached: share(cached, others), lasting: share(lasting, most / LASTING_PART) }
    }
}

/// The share of each store, when they keep `kept` bytes each and may keep `most` together.
fn share(kept: impl Iterator<Item = usize>, most: usize) -> usize {
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

    #[test]
    fn what_lasts_takes_room_from_the_others_and_never_all_of_it() {
        let shares = |cached: &[usize], lasting: &[usize]| {
            let shares = Shares::of_all(cached.iter().copied(), lasting.iter().copied(), 100);
            (shares.cached, shares.lasting)
        };
        assert_eq!(shares(&[30], &[]), (100, 50));
        assert_eq!(shares(&[80, 10], &[20, 10]), (60, 50));
        assert_eq!(shares(&[80, 80], &[50, 10]), (20, 40));
        assert_eq!(shares(&[80, 80], &[50, 50]), (12, 25));
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
