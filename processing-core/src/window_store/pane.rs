//! The rows of one pane that are in memory, and what is known of those that are in the store alone.
//!
//! A row that nobody asks for lets its memory go once it is staged. What stays of it is two to eight bytes of a filter, so
//! that a key which comes for the first time still asks the store for nothing.
//!
//! Not here: the store, and when memory is short ([`super`]). Invariant: a row that the store has is in memory, or
//! [`PaneRows::may_be_elsewhere`] says so.

use std::hash::{BuildHasher as _, Hash};

use rustc_hash::FxBuildHasher;
use state::StateKey;

use super::Row;
use crate::chunked_map::ChunkedMap;
use crate::key_filter::{KeyFilter, mixed};

/// First accepting window and key.
type Place<K> = (i64, K);

#[derive(Clone)]
pub(super) struct PaneRows<K, A> {
    pub(super) rows: ChunkedMap<Place<K>, Slot<A>>,
    elsewhere: Elsewhere,
    pub(super) dirty: usize,
    /// About what all of it takes.
    pub(super) bytes: usize,
}

/// Which rows of a pane the store has that are not in memory.
#[derive(Clone)]
enum Elsewhere {
    /// None: the pane is *whole*.
    Nowhere,
    /// None but some of these.
    Among(KeyFilter),
    /// Nobody knows.
    Unknown,
}

#[derive(Clone)]
pub(super) struct Slot<A> {
    pub(super) value: A,
    pub(super) dirty: bool,
    /// Was asked for since the rows that nobody asks for were last let go.
    pub(super) used: bool,
    /// What the value took outside of itself when it was last asked.
    heap_bytes: u32,
}

impl<A: Row> Slot<A> {
    pub(super) fn new(value: A) -> Self {
        let heap_bytes = heap_bytes(&value);
        Self { value, dirty: false, used: true, heap_bytes }
    }

    /// Asks again; answers what it was before and is now.
    pub(super) fn weigh(&mut self) -> (usize, usize) {
        let before = std::mem::replace(&mut self.heap_bytes, heap_bytes(&self.value));
        (before as usize, self.heap_bytes as usize)
    }
}

fn heap_bytes<A: Row>(value: &A) -> u32 {
    u32::try_from(value.heap_bytes()).unwrap_or(u32::MAX)
}

fn hash_of<K: Hash>(place: &Place<K>) -> u64 {
    mixed(FxBuildHasher.hash_one(place))
}

impl Elsewhere {
    /// The row with this hash is in the store alone from now on.
    fn add(&mut self, hash: u64) {
        if let Self::Nowhere = self {
            *self = Self::Among(KeyFilter::default());
        }
        // A row that comes and goes takes no more room than one that went once.
        if let Self::Among(filter) = self
            && !filter.may_hold(hash)
            && !filter.put(hash)
        {
            *self = Self::Unknown;
        }
    }

    /// Whether the row may be one; `false` is certain.
    fn may_hold<K: Hash>(&self, place: &Place<K>) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Among(filter) => filter.may_hold(hash_of(place)),
            Self::Unknown => true,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Nowhere | Self::Unknown => 0,
            Self::Among(filter) => filter.bytes(),
        }
    }
}

impl<K: StateKey, A> PaneRows<K, A> {
    /// A row in memory, without what its value holds outside of itself.
    const ROW_BYTES: usize = ChunkedMap::<Place<K>, Slot<A>>::ENTRY_BYTES;

    /// None is in memory. `is_whole`: the store has none either.
    pub(super) fn new(is_whole: bool) -> Self {
        let elsewhere = if is_whole { Elsewhere::Nowhere } else { Elsewhere::Unknown };
        Self { rows: ChunkedMap::default(), elsewhere, dirty: 0, bytes: size_of::<Self>() }
    }

    pub(super) fn bytes_of(slot: &Slot<A>) -> usize {
        Self::ROW_BYTES + slot.heap_bytes as usize
    }

    /// Whether the store has no row of this pane that is not in memory.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.elsewhere, Elsewhere::Nowhere)
    }

    /// All rows that the store has are in memory now.
    pub(super) fn make_whole(&mut self) {
        self.bytes -= self.elsewhere.bytes();
        self.elsewhere = Elsewhere::Nowhere;
    }

    /// Whether the store may have this row, which is not in memory; `false` is certain.
    pub(super) fn may_be_elsewhere(&self, place: &Place<K>) -> bool {
        self.elsewhere.may_hold(place)
    }

    /// Folds into the row of `place`, which `load` brings where it is in the store alone. Answers about what it takes, if
    /// this is its first change since it was staged: what it grows by afterwards is bounded by what is read for it.
    pub(super) fn fold(
        &mut self,
        place: Place<K>,
        load: impl FnOnce(&Place<K>) -> Option<A>,
        fold: impl FnOnce(&mut A),
    ) -> usize
    where
        A: Row,
    {
        let Self { rows, elsewhere, dirty, bytes } = self;
        let opened = rows.get_or_insert(place, |place| {
            let stored = if elsewhere.may_hold(place) { load(place) } else { None };
            Slot::new(stored.unwrap_or_default())
        });
        let Some((slot, is_new)) = opened else { return 0 };
        if is_new {
            *bytes += Self::bytes_of(slot);
        }
        slot.used = true;
        let becomes_dirty = !std::mem::replace(&mut slot.dirty, true);
        fold(&mut slot.value);
        if !becomes_dirty {
            return 0;
        }
        *dirty += 1;
        let (before, now) = slot.weigh();
        *bytes = *bytes - before + now;
        Self::ROW_BYTES + now
    }

    /// Keeps the rows that were asked for since the last time, and begins to watch them anew. All are staged.
    pub(super) fn let_idle_go(&mut self) {
        let Self { rows, elsewhere, .. } = self;
        rows.iter().filter(|(_, slot)| !slot.used).for_each(|(place, _)| elsewhere.add(hash_of(place)));
        rows.retain(|slot| slot.used);
        self.bytes = size_of::<Self>() + self.elsewhere.bytes();
        for (_, slot) in self.rows.iter_mut() {
            slot.used = false;
            self.bytes += Self::bytes_of(slot);
        }
    }

    /// Keeps no row. Answers whether anything is left that is worth its memory. All rows are staged.
    pub(super) fn let_all_go(&mut self) -> bool {
        let Self { rows, elsewhere, .. } = self;
        std::mem::take(rows).iter().for_each(|(place, _)| elsewhere.add(hash_of(place)));
        self.bytes = size_of::<Self>() + self.elsewhere.bytes();
        !matches!(self.elsewhere, Elsewhere::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::Count;

    #[derive(Debug, Clone)]
    enum Step {
        Add(u16),
        LetIdleGo,
        LetAllGo,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0_u16..60).prop_map(Step::Add),
            1 => Just(Step::LetIdleGo),
            1 => Just(Step::LetAllGo),
        ]
    }

    /// Puts the rows that have changed where they are found again.
    fn stage(pane: &mut PaneRows<u16, Count>, store: &mut BTreeMap<Place<u16>, Count>) {
        for (place, slot) in pane.rows.iter_mut().filter(|(_, slot)| slot.dirty) {
            store.insert(*place, slot.value);
            slot.dirty = false;
        }
        pane.dirty = 0;
    }

    proptest! {
        #[test]
        fn rows_that_went_are_found_again_and_new_ones_are_not_asked_for(steps in prop::collection::vec(step(), 0..400)) {
            let mut pane = PaneRows::<u16, Count>::new(true);
            let (mut store, mut expected) = (BTreeMap::new(), BTreeMap::<u16, u64>::new());
            let mut in_vain = 0;
            for step in steps {
                match step {
                    Step::Add(key) => {
                        let load = |place: &Place<u16>| {
                            in_vain += u32::from(!store.contains_key(place));
                            store.get(place).copied()
                        };
                        pane.fold((7, key), load, |count: &mut Count| count.add());
                        *expected.entry(key).or_default() += 1;
                    }
                    Step::LetIdleGo => {
                        stage(&mut pane, &mut store);
                        pane.let_idle_go();
                    }
                    Step::LetAllGo => {
                        stage(&mut pane, &mut store);
                        prop_assert!(pane.let_all_go());
                        prop_assert_eq!(pane.rows.len(), 0);
                    }
                }
                let rows: usize = pane.rows.iter().map(|(_, slot)| PaneRows::<u16, Count>::bytes_of(slot)).sum();
                prop_assert_eq!(pane.bytes, size_of_val(&pane) + pane.elsewhere.bytes() + rows);
            }
            stage(&mut pane, &mut store);
            let found: BTreeMap<u16, u64> = store.iter().map(|((_, key), count)| (*key, count.get())).collect();
            prop_assert_eq!(found, expected);
            // Sixty keys in a filter for sixty-four.
            prop_assert!(in_vain <= 3, "{} looks in vain", in_vain);
        }
    }

    #[test]
    fn a_pane_of_which_nothing_is_known_asks_for_everything() {
        let mut pane = PaneRows::<u16, Count>::new(false);
        let mut asked = 0;
        for key in 0..9 {
            let load = |_: &Place<u16>| {
                asked += 1;
                None
            };
            pane.fold((0, key), load, |count| count.add());
        }
        assert_eq!(asked, 9);
        assert!(!pane.let_all_go() && pane.may_be_elsewhere(&(0, 7)));
        pane.make_whole();
        assert!(pane.is_whole() && !pane.may_be_elsewhere(&(0, 7)));
    }
}
