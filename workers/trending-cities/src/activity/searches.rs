//! The searches of a minute by event: a sorted list, because most minutes hold a few.
//!
//! Not here: how they are written down ([`super::packed`]). Invariant: whoever reads sees each event once,
//! in order. Two events with one id are one event; should they differ, the lesser stands, in any order.
//!
//! ```text
//!  [ in order, each once          | as they came ]
//!    0                      tidy                len     len <= 2 tidy + FEW
//! ```
//! Up to [`FEW`], a search goes to its place at once. Beyond, it waits at the end until there are as many as
//! are in order: so a minute of n searches costs n log n and not the square of n.

use std::borrow::Cow;

use super::Search;

/// So many are cheaper to shift than to sort.
const FEW: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Searches {
    all: Vec<(u64, Search)>,
    /// So many at the front are in order.
    tidy: usize,
}

impl Searches {
    /// Takes in a search.
    pub(super) fn put(&mut self, event: u64, search: Search) {
        if self.all.len() >= FEW {
            self.all.push((event, search));
            if self.all.len() > 2 * self.tidy + FEW {
                self.tidy_up();
            }
            return;
        }
        match self.all.binary_search_by_key(&event, |(event, _)| *event) {
            Ok(place) => {
                if let Some((_, known)) = self.all.get_mut(place).filter(|(_, known)| search < *known) {
                    *known = search;
                }
            }
            Err(place) => {
                if self.all.len() < 4 {
                    // A city that is searched for once a minute has no room for three more.
                    self.all.reserve_exact(1);
                }
                self.all.insert(place, (event, search));
                self.tidy = self.all.len();
            }
        }
    }

    /// Takes in all of `other`.
    pub(super) fn absorb(&mut self, other: Self) {
        if self.all.is_empty() {
            *self = other;
            return;
        }
        for (event, search) in other.all {
            self.put(event, search);
        }
    }

    /// In order of their events, each once.
    pub(super) fn in_order(&self) -> Cow<'_, [(u64, Search)]> {
        if self.tidy == self.all.len() {
            return Cow::Borrowed(&self.all);
        }
        Cow::Owned(self.clone().all)
    }

    /// Without texts that are too long to lie within.
    pub(super) fn heap_bytes(&self) -> usize {
        self.all.capacity() * size_of::<(u64, Search)>()
    }

    fn tidy_up(&mut self) {
        if self.tidy == self.all.len() {
            return;
        }
        // The lesser of two with one id comes first, and stays.
        self.all.sort_unstable();
        self.all.dedup_by_key(|(event, _)| *event);
        self.tidy = self.all.len();
    }
}

/// A copy is in order: it is made where a closed minute begins to be read.
impl Clone for Searches {
    fn clone(&self) -> Self {
        let mut copy = Self { all: self.all.clone(), tidy: self.tidy };
        copy.tidy_up();
        copy
    }
}

impl FromIterator<(u64, Search)> for Searches {
    fn from_iter<I: IntoIterator<Item = (u64, Search)>>(searches: I) -> Self {
        let mut all = Self { all: searches.into_iter().collect(), tidy: 0 };
        all.tidy_up();
        all
    }
}

impl PartialEq for Searches {
    fn eq(&self, other: &Self) -> bool {
        self.in_order() == other.in_order()
    }
}

impl Eq for Searches {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::{IdHash, Source};
    use super::*;

    fn search(user: u64) -> Search {
        Search { user: IdHash::from_bits(user), source: Source::Chat, without_result: false, query: None }
    }

    proptest! {
        #[test]
        fn it_is_a_map_that_keeps_the_lesser(
            puts in prop::collection::vec((0_u64..400, 0_u64..5), 0..400),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut map = BTreeMap::new();
            for (event, user) in &puts {
                let known = map.entry(*event).or_insert_with(|| search(*user));
                *known = known.clone().min(search(*user));
            }
            let of = |puts: &[(u64, u64)]| {
                let mut all = Searches::default();
                puts.iter().for_each(|(event, user)| all.put(*event, search(*user)));
                all
            };
            let (first, second) = puts.split_at(cut.index(puts.len() + 1));
            let mut absorbed = of(first);
            absorbed.absorb(of(second));
            let expected: Vec<_> = map.into_iter().collect();
            let (whole, collected) = (of(&puts), puts.iter().map(|(event, user)| (*event, search(*user))).collect());
            let copy = whole.clone();
            for all in [whole, copy, absorbed, collected] {
                prop_assert_eq!(all.in_order().into_owned(), expected.clone());
            }
        }
    }
}
