//! How often each of a bounded number of names came.
//!
//! Not here: what the names are of. Invariant: of all names that came, the first [`NAMES_MAX`] by their order are counted
//! each, all others together, whatever the order and grouping: a name that is cut in one part has as many names before it
//! in the whole.

use std::collections::BTreeMap;

use compact_str::CompactString;
use processing_core::aggregate::{Exactness, Mergeable};
use serde::{Deserialize, Serialize};

/// So many names are told apart.
pub const NAMES_MAX: usize = 100;

/// Counts by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    names: BTreeMap<CompactString, u64>,
    others: u64,
}

impl Tally {
    /// Counts a name.
    pub fn add(&mut self, name: &str) {
        match self.names.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(self.names.insert(name.into(), 1)),
        }
        self.bound();
    }

    /// The names with their counts, in order.
    pub fn names(&self) -> impl Iterator<Item = (&CompactString, u64)> {
        self.names.iter().map(|(name, count)| (name, *count))
    }

    /// How often other names came.
    pub fn others(&self) -> u64 {
        self.others
    }

    /// How often any name came.
    pub fn total(&self) -> u64 {
        self.names.values().sum::<u64>() + self.others
    }

    fn bound(&mut self) {
        while self.names.len() > NAMES_MAX {
            self.others += self.names.pop_last().map_or(0, |(_, count)| count);
        }
    }
}

impl Mergeable for Tally {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        for (name, count) in &other.names {
            *self.names.entry(name.clone()).or_default() += count;
        }
        self.others += other.others;
        self.bound();
    }

    fn heap_bytes(&self) -> usize {
        self.names.len() * size_of::<(CompactString, u64)>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cut_names_are_the_same_in_any_grouping(names in prop::collection::vec(0_u32..300, 0..600), cut in any::<prop::sample::Index>()) {
            let of = |names: &[u32]| {
                let mut tally = Tally::default();
                names.iter().for_each(|name| tally.add(&format!("{name:03}")));
                tally
            };
            let (first, second) = names.split_at(cut.index(names.len() + 1));
            let mut merged = of(second);
            merged.merge(&of(first));
            prop_assert_eq!(&merged, &of(&names));
            prop_assert_eq!(merged.total(), names.len() as u64);
            let distinct: std::collections::BTreeSet<u32> = names.iter().copied().collect();
            prop_assert_eq!(merged.names().count(), distinct.len().min(NAMES_MAX));
        }
    }
}
