//! The rows of a table that are in memory: decoded, those that the open transaction has asked for, and others as the store
//! has them, which is a third of the size.
//!
//! Not here: what is in the store and what a row means ([`super`]). Invariant: a key that is known has one place; what is
//! not open is as the store has it.

use state::StateKey;

use crate::chunked::Chunked;
use crate::chunked_map::ChunkedMap;

/// The bytes of a row in the store, `None` where there is none.
pub(super) type Stored = Option<Box<[u8]>>;

/// A row that the open transaction has asked for.
pub(super) struct Open<K, R> {
    pub(super) key: K,
    /// `None`: the key has no row.
    pub(super) row: Option<R>,
    /// The row as the store has it, if it has not changed.
    pub(super) stored: Stored,
    pub(super) dirty: bool,
}

/// See the head of this file.
pub(super) struct Held<K, R> {
    open: Chunked<Open<K, R>>,
    /// Rows that were asked for since `older` was filled. Where they are too many, they become the older ones.
    recent: Known<K>,
    older: Known<K>,
}

/// Where a key's row is.
enum Place {
    Stored(Stored),
    /// The index of an open one.
    Open(usize),
    /// Among those that were asked for later.
    Recent,
}

struct Known<K> {
    places: ChunkedMap<K, Place>,
    /// Of the rows that are not open.
    bytes: usize,
}

/// What was known of a key when it was asked for.
pub(super) enum Asked {
    /// The index of its open row.
    Open(usize),
    /// Its row as the store has it. It is to be [opened](Held::push) next.
    Known(Stored),
    /// Nothing. Its row is to be read from the store and opened next.
    Unknown,
}

impl<K, R> Default for Held<K, R> {
    fn default() -> Self {
        Self { open: Chunked::default(), recent: Known::default(), older: Known::default() }
    }
}

impl<K> Default for Known<K> {
    fn default() -> Self {
        Self { places: ChunkedMap::default(), bytes: 0 }
    }
}

impl<K: StateKey> Known<K> {
    /// About what all of it takes: most keys are text that lies outside of them.
    fn bytes(&self) -> usize {
        self.bytes + self.places.len() * ChunkedMap::<K, Place>::ENTRY_BYTES
    }
}

impl<K: StateKey, R> Held<K, R> {
    pub(super) fn ask(&mut self, key: &K) -> Asked {
        let next = Place::Open(self.open.len());
        match self.recent.places.get_mut(key) {
            Some(Place::Open(at)) => return Asked::Open(*at),
            Some(place) => return Asked::Known(take(place, next, &mut self.recent.bytes)),
            None => {}
        }
        let known = match self.older.places.get_mut(key) {
            Some(place @ Place::Stored(_)) => Asked::Known(take(place, Place::Recent, &mut self.older.bytes)),
            // What is open is among the recent ones.
            Some(Place::Open(_) | Place::Recent) | None => Asked::Unknown,
        };
        self.recent.places.get_or_insert(key.clone(), |_| next);
        known
    }

    /// Opens the row that was asked for last.
    pub(super) fn push(&mut self, open: Open<K, R>) -> Option<&mut Open<K, R>> {
        self.open.push(open)
    }

    pub(super) fn open_at(&mut self, at: usize) -> Option<&mut Open<K, R>> {
        self.open.get_mut(at)
    }

    /// The rows that have changed, in the order of their keys.
    pub(super) fn changed(&mut self) -> Vec<&mut Open<K, R>> {
        let mut changed: Vec<_> = self.open.iter_mut().filter(|open| open.dirty).collect();
        changed.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        changed
    }

    /// Lets all open rows be as the store has them, and no more than some `bytes` stay.
    pub(super) fn close(&mut self, bytes: usize) {
        for Open { key, stored, .. } in self.open.drain() {
            self.recent.bytes += bytes_of(&stored);
            if let Some(place) = self.recent.places.get_mut(&key) {
                *place = Place::Stored(stored);
            }
        }
        if self.recent.bytes() > bytes / 2 {
            self.older = std::mem::take(&mut self.recent);
        }
    }

    /// About what the rows take that are not open, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.recent.bytes() + self.older.bytes()
    }
}

/// The row that was here and is at `now` from now on; `bytes` are less by what it took.
fn take(place: &mut Place, now: Place, bytes: &mut usize) -> Stored {
    let Place::Stored(stored) = std::mem::replace(place, now) else { return None };
    *bytes -= bytes_of(&stored);
    stored
}

fn bytes_of(row: &Stored) -> usize {
    row.as_ref().map_or(0, |row| row.len())
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
            let (mut held, mut store) = (Held::<u16, ()>::default(), BTreeMap::<u16, Box<[u8]>>::new());
            for (number, commit) in (0_u8..).zip(commits) {
                for (key, change) in commit {
                    let stored = match held.ask(&key) {
                        Asked::Open(_) => None,
                        Asked::Known(stored) => Some(stored),
                        Asked::Unknown => Some(store.get(&key).cloned()),
                    };
                    if let Some(stored) = stored {
                        prop_assert_eq!(stored.as_ref(), store.get(&key));
                        held.push(Open { key, row: None, stored, dirty: false }).unwrap();
                    }
                    let Asked::Open(at) = held.ask(&key) else { panic!("{key} was asked for and is not open") };
                    let open = held.open_at(at).unwrap();
                    prop_assert_eq!(open.key, key);
                    if let Some(length) = change {
                        let row: Box<[u8]> = vec![number; length].into();
                        (open.dirty, open.stored) = (true, Some(row.clone()));
                        store.insert(key, row);
                    }
                }
                let changed = held.changed();
                prop_assert!(changed.is_sorted_by_key(|open| open.key) && changed.iter().all(|open| open.dirty));
                held.close(bytes);
            }
        }
    }
}
