//! A user's own [`Aggregate`] as a recipe, so that it goes wherever a ready-made one goes.
//!
//! Not here: any arithmetic. Invariant: adds nothing to what the user's type does.

use std::fmt;
use std::marker::PhantomData;

use super::{Aggregate, Fold};

/// The recipe of [`fold_of`].
pub struct OfAggregate<A>(PhantomData<fn() -> A>);

/// The recipe that folds events by `A`'s own `add`.
pub fn fold_of<A>() -> OfAggregate<A> {
    OfAggregate(PhantomData)
}

impl<A> Clone for OfAggregate<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for OfAggregate<A> {}

impl<A> fmt::Debug for OfAggregate<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfAggregate")
    }
}

impl<E, A: Aggregate<E>> Fold<E> for OfAggregate<A> {
    type State = A;

    fn add(&self, state: &mut A, event: &E) {
        state.add(event);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::aggregate::{Count, Distinct, Exactness, Mergeable, laws};

    /// What a user writes: ready-made states as fields.
    #[derive(Debug, Default, Clone, Serialize, Deserialize)]
    struct Activity {
        searches: Count,
        users: Distinct,
    }

    impl Mergeable for Activity {
        const EXACTNESS: Exactness = Exactness::Exact;

        fn merge(&mut self, other: &Self) {
            self.searches.merge(&other.searches);
            self.users.merge(&other.users);
        }
    }

    impl Aggregate<u64> for Activity {
        fn add(&mut self, user: &u64) {
            self.searches.add();
            self.users.add_hash(*user);
        }
    }

    proptest! {
        #[test]
        fn obeys_the_laws(events in prop::collection::vec(0u64..20, 0..60), seed: u64) {
            laws::exact(&fold_of::<Activity>(), &events, seed, |a| (a.searches.get(), a.users.count()));
        }
    }
}
