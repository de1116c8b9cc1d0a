//! The rows of a table that are in memory: decoded, those that the open transaction has asked for, and others as the store
//! has them, which is much smaller.
//!
//! Not here: what is in the store and what a row means ([`super`]). Invariant: of a key that is known, one row is open or
//! none, and what the store has of it is there.

use state::StateKey;

use super::packed::{At, Packed, Use, hash_of};
use crate::chunked::Chunked;

/// A row that the open transaction has asked for.
pub(super) struct Open<K, R> {
    pub(super) key: K,
    /// `None`: the key has no row.
    pub(super) row: Option<R>,
    /// The row as the store has it.
    pub(super) stored: At,
    pub(super) dirty: bool,
}

/// See the head of this file.
pub(super) struct Held<K, R> {
    open: Chunked<Open<K, R>>,
    /// All of them, as the store has them.
    packed: Packed,
    /// The key that was asked for last.
    key: Vec<u8>,
}

/// What was known of a key when it was asked for.
pub(super) enum Asked {
    /// The number of its open row.
    Open(usize),
    /// What the store has. It is to be [opened](Held::open) next.
    Known(At),
    /// Nothing. It is to be [learnt](Held::learn) from the store, and opened next.
    Unknown,
}

impl<K, R> Default for Held<K, R> {
    fn default() -> Self {
        Self { open: Chunked::default(), packed: Packed::default(), key: Vec::new() }
    }
}

impl<K: StateKey, R> Held<K, R> {
    pub(super) fn ask(&mut self, key: &K) -> Asked {
        self.key.clear();
        key.encode(&mut self.key);
        let Some(at) = self.packed.find(hash_of(&self.key), &self.key) else { return Asked::Unknown };
        match self.packed.used(at) {
            Use::Open(number) => Asked::Open(number),
            Use::None | Use::Lately => Asked::Known(at),
        }
    }

    /// The bytes of the key that was asked for last.
    pub(super) fn asked(&self) -> &[u8] {
        &self.key
    }

    /// Takes in what the store has of the key that was asked for last.
    pub(super) fn learn(&mut self, stored: Option<&[u8]>) -> At {
        self.packed.put(hash_of(&self.key), &self.key, stored)
    }

    /// What the store has.
    pub(super) fn stored(&self, at: At) -> Option<&[u8]> {
        self.packed.value(at)
    }

    /// Opens a row of which the store has what is `stored`.
    pub(super) fn open(&mut self, key: K, row: Option<R>, stored: At) -> Option<&mut Open<K, R>> {
        self.packed.set_used(stored, Use::Open(self.open.len()));
        self.open.push(Open { key, row, stored, dirty: false })
    }

    pub(super) fn open_at(&mut self, at: usize) -> Option<&mut Open<K, R>> {
        self.open.get_mut(at)
    }

    /// The rows that have changed, in the order of their keys, and those that the store has.
    pub(super) fn changed(&mut self) -> (Vec<&mut Open<K, R>>, &mut Packed) {
        let mut changed: Vec<_> = self.open.iter_mut().filter(|open| open.dirty).collect();
        changed.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        (changed, &mut self.packed)
    }

    /// Lets all open rows be as the store has them, and no more than some `bytes` stay.
    pub(super) fn close(&mut self, bytes: usize) {
        for open in self.open.drain() {
            self.packed.set_used(open.stored, Use::Lately);
        }
        self.packed.tidy();
        if self.packed.bytes() > bytes {
            // Rows that come need room as well, or each of them would make others go.
            self.packed.thin_out(bytes / 4 * 3);
        }
    }

    /// About what the rows take that are not open, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.packed.bytes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Each commit asks for some keys and gives some of them another row.
        #[test]
        fn what_is_known_of_a_key_is_what_the_store_has(
            commits in prop::collection::vec(prop::collection::vec((0..40_u16, prop::option::of(0..4_usize)), 0..30), 1..20),
            bytes in 0..4_000_usize,
        ) {
            let (mut held, mut store) = (Held::<u16, ()>::default(), BTreeMap::<u16, Vec<u8>>::new());
            for (number, commit) in (0_u8..).zip(commits) {
                for (key, change) in commit {
                    let stored = match held.ask(&key) {
                        Asked::Open(_) => None,
                        Asked::Known(stored) => Some(stored),
                        Asked::Unknown => Some(held.learn(store.get(&key).map(Vec::as_slice))),
                    };
                    if let Some(stored) = stored {
                        prop_assert_eq!(held.stored(stored), store.get(&key).map(Vec::as_slice));
                        held.open(key, None, stored).unwrap();
                    }
                    let Asked::Open(at) = held.ask(&key) else { panic!("{key} was asked for and is not open") };
                    let open = held.open_at(at).unwrap();
                    prop_assert_eq!(open.key, key);
                    if let Some(length) = change {
                        open.dirty = true;
                        store.insert(key, vec![number; 20 * length]);
                    }
                }
                let (changed, stored) = held.changed();
                prop_assert!(changed.is_sorted_by_key(|open| open.key) && changed.iter().all(|open| open.dirty));
                for open in changed {
                    open.stored = stored.replace(open.stored, &store[&open.key]);
                }
                held.close(bytes);
            }
        }
    }
}
