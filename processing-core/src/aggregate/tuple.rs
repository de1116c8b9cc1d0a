//! Several aggregates over the same events: `(count(), sum(..), max(..))`, two to eight of them.
//!
//! Not here: any arithmetic. Invariant: a tuple is exact, and invertible, only if each member is.

use super::{Exactness, Fold, Mergeable};

macro_rules! tuple {
    ($($name:ident $place:tt),+) => {
        impl<$($name: Mergeable),+> Mergeable for ($($name,)+) {
            const EXACTNESS: Exactness = match ($($name::EXACTNESS,)+) {
                ($(tuple!(@exact $name),)+) => Exactness::Exact,
                _ => Exactness::Approximate,
            };

            const REMOVE: Option<fn(&mut Self, &Self)> = if $($name::REMOVE.is_some())&&+ {
                Some(|state, gone| {
                    $(if let Some(remove) = $name::REMOVE {
                        remove(&mut state.$place, &gone.$place);
                    })+
                })
            } else {
                None
            };

            fn merge(&mut self, other: &Self) {
                $(self.$place.merge(&other.$place);)+
            }

            fn heap_bytes(&self) -> usize {
                0 $(+ self.$place.heap_bytes())+
            }
        }

        impl<Event, $($name: Fold<Event>),+> Fold<Event> for ($($name,)+) {
            type State = ($($name::State,)+);

            fn add(&self, state: &mut Self::State, event: &Event) {
                $(self.$place.add(&mut state.$place, event);)+
            }
        }
    };
    (@exact $name:ident) => { Exactness::Exact };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::{
        Count, Distinct, FrequentItems, Max, Mean, Min, Sum, count, distinct_hash, laws, max, mean, min, quantiles,
        ratio, sum,
    };

    #[test]
    fn a_tuple_is_invertible_and_exact_only_if_each_member_is() {
        assert!(<(Count, Sum)>::REMOVE.is_some());
        assert!(<(Count, Sum, Mean, Count, Sum, Mean)>::REMOVE.is_some());
        assert!(<(Count, Max<i64>)>::REMOVE.is_none());
        assert!(<(Min<i64>, Count, Count)>::REMOVE.is_none());
        assert!(<(Count, Count, Count, Count, Count, Distinct)>::REMOVE.is_none());
        assert_eq!(<(Count, Distinct)>::EXACTNESS, Exactness::Exact);
        assert_eq!(<(Count, Sum, FrequentItems<u64>)>::EXACTNESS, Exactness::Approximate);
        assert_eq!(<(FrequentItems<u64>, Count)>::EXACTNESS, Exactness::Approximate);
    }

    proptest! {
        #[test]
        fn invertible_members_obey_the_laws(events in prop::collection::vec(any::<i64>(), 0..60), seed: u64) {
            let recipe = (count(), sum(|v: &i64| *v), mean(|v: &i64| v.wrapping_mul(3)));
            laws::exact(&recipe, &events, seed, |s| *s);
        }

        #[test]
        fn eight_members_obey_the_laws(events in prop::collection::vec(any::<i64>(), 0..60), seed: u64) {
            let recipe = (
                count(),
                sum(|v: &i64| *v),
                mean(|v: &i64| *v),
                min(|v: &i64| *v),
                max(|v: &i64| *v),
                distinct_hash(|v: &i64| v.cast_unsigned() % 16),
                quantiles(|v: &i64| *v as f64),
                ratio(|v: &i64| *v, |_: &i64| 1),
            );
            laws::exact(&recipe, &events, seed, |s| (s.0, s.1, s.2, s.3, s.4, s.5.count(), s.6.clone(), s.7));
        }
    }
}
