//! A map whose entries lie in chunks, in the order in which they came, and beside them an index of 8 bytes an entry.
//!
//! A plain map keeps its entries in one table that is half empty as a rule, and moves them all into one twice as large when
//! it is full. Rows are a hundred bytes and more, and a pane's are thousands.
//!
//! Not here: what the entries are. Invariant: the index has one place for each entry, and no other.

use std::hash::{BuildHasher as _, Hash};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::FxBuildHasher;

use crate::chunked::Chunked;

/// Entries by key.
#[derive(Clone)]
pub(crate) struct ChunkedMap<K, V> {
    index: HashTable<Place>,
    entries: Chunked<(K, V)>,
}

/// Where an entry is.
#[derive(Clone, Copy)]
struct Place {
    /// So that an index that grows, or is looked through, need not look at entries.
    hash: u32,
    /// 32 bits are enough: so many entries would take more memory than there is.
    at: u32,
}

impl Place {
    /// Whether the entry of `key`, with this hash, is here.
    fn is_of<K: Eq, V>(self, hash: u32, key: &K, entries: &Chunked<(K, V)>) -> bool {
        self.hash == hash && entries.get(self.at as usize).is_some_and(|(it, _)| it == key)
    }
}

/// The hash for the index, which takes some of its bits from the upper end and others from the lower.
pub(crate) fn spread(hash: u32) -> u64 {
    // 2^64 divided by the golden ratio: Knuth, The Art of Computer Programming, 6.4.
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What an entry of an index keeps of a hash.
pub(crate) fn folded(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

fn hash_of<K: Hash>(key: &K) -> u32 {
    folded(FxBuildHasher.hash_one(key))
}

impl<K, V> Default for ChunkedMap<K, V> {
    fn default() -> Self {
        Self { index: HashTable::new(), entries: Chunked::default() }
    }
}

impl<K: Hash + Eq, V> ChunkedMap<K, V> {
    /// What an entry takes, without what it holds outside of itself.
    pub(crate) const ENTRY_BYTES: usize = size_of::<(K, V)>() + 2 * size_of::<Place>();

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let at = self.find(key)?;
        self.entries.get(at).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key)?;
        self.entries.get_mut(at).map(|(_, value)| value)
    }

    /// The value of `key`, which `new` makes where there is none; and whether it did.
    pub(crate) fn get_or_insert(&mut self, key: K, new: impl FnOnce(&K) -> V) -> Option<(&mut V, bool)> {
        let Self { index, entries } = self;
        let hash = hash_of(&key);
        match index.entry(spread(hash), |place| place.is_of(hash, &key, entries), |place| spread(place.hash)) {
            Entry::Occupied(place) => {
                let at = place.get().at as usize;
                entries.get_mut(at).map(|(_, value)| (value, false))
            }
            Entry::Vacant(vacant) => {
                let value = new(&key);
                vacant.insert(Place { hash, at: entries.len() as u32 });
                entries.push((key, value)).map(|(_, value)| (value, true))
            }
        }
    }

    /// All entries, in the order in which they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// All entries, in the order in which they came.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Lets go of all entries but those that are to be kept.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        if self.iter().all(|(_, value)| keep(value)) {
            return;
        }
        let Self { mut entries, .. } = std::mem::take(self);
        for (key, value) in entries.drain().filter(|(_, value)| keep(value)) {
            self.get_or_insert(key, |_| value);
        }
    }

    fn find(&self, key: &K) -> Option<usize> {
        let hash = hash_of(key);
        let place = self.index.find(spread(hash), |place| place.is_of(hash, key, &self.entries))?;
        Some(place.at as usize)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Put(u16),
        Retain(u16),
    }

    proptest! {
        #[test]
        fn it_says_what_a_plain_map_does(
            steps in prop::collection::vec(prop_oneof![40 => (0..3_000_u16).prop_map(Step::Put), 1 => (1..5_u16).prop_map(Step::Retain)], 0..600)
        ) {
            let (mut chunked, mut plain) = (ChunkedMap::<u16, [u64; 200]>::default(), BTreeMap::new());
            for (number, step) in (0_u64..).zip(steps) {
                match step {
                    Step::Put(key) => {
                        let (value, is_new) = chunked.get_or_insert(key, |_| [0; 200]).unwrap();
                        value[9] += number;
                        prop_assert_eq!(is_new, !plain.contains_key(&key));
                        *plain.entry(key).or_insert(0) += number;
                    }
                    Step::Retain(of) => {
                        chunked.retain(|value| value[9] % u64::from(of) == 0);
                        plain.retain(|_, value| *value % u64::from(of) == 0);
                    }
                }
                prop_assert_eq!((chunked.len(), chunked.is_empty()), (plain.len(), plain.is_empty()));
            }
            for key in 0..3_000 {
                prop_assert_eq!(chunked.get(&key).map(|value| value[9]), plain.get(&key).copied());
                prop_assert_eq!(chunked.get_mut(&key).map(|value| value[9]), plain.get(&key).copied());
            }
            let all: BTreeMap<u16, u64> = chunked.iter_mut().map(|(key, value)| (*key, value[9])).collect();
            prop_assert_eq!(&all, &plain);
            prop_assert!(chunked.iter().map(|(key, value)| (*key, value[9])).collect::<BTreeMap<_, _>>() == plain);
        }
    }
}
