//! In which row of many ids each of them is, by a part of its hash.
//!
//! Not here: the ids themselves; who is told a row has to look into it. Invariant: of whatever was put in, its row is among
//! those that are told.
//!
//! ```text
//! entry    ┌─────────────────────────┬────────────────┐
//!          │ the hash's upper 40 bits│ the row's number│
//!          └─────────────────────────┴────────────────┘
//! ```
//! Of a million ids, one look in a million is in vain.

use hashbrown::HashTable;

const NUMBER_BITS: u32 = 24;
const NUMBER_MAX: u64 = (1 << NUMBER_BITS) - 1;
/// An odd number without a pattern: spreads what is left of a hash over all bits of a place.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The ids of a pane, approximately.
#[derive(Debug, Clone, Default)]
pub(super) struct RowIndex {
    entries: HashTable<u64>,
    /// The number of the last row.
    last: u64,
}

impl RowIndex {
    /// The rows that the id may be in: nearly always that which it is in, or none.
    pub(super) fn rows_of(&self, hash: u64) -> impl Iterator<Item = u32> {
        let tag = hash & !NUMBER_MAX;
        let same = self.entries.iter_hash(place(tag)).filter(move |entry| **entry & !NUMBER_MAX == tag);
        same.map(|entry| (entry & NUMBER_MAX) as u32)
    }

    /// The number of the next row, for so many ids; `None` where they would take more than `bytes_max` in memory.
    pub(super) fn begin(&mut self, ids: usize, bytes_max: usize) -> Option<u32> {
        if self.last == NUMBER_MAX || self.bytes_with(ids) > bytes_max {
            return None;
        }
        self.last += 1;
        u32::try_from(self.last).ok()
    }

    /// Notes that an id is in a row.
    pub(super) fn put(&mut self, hash: u64, row: u32) {
        let number = u64::from(row) & NUMBER_MAX;
        self.last = self.last.max(number);
        let tag = hash & !NUMBER_MAX;
        self.entries.insert_unique(place(tag), tag | number, |entry| place(entry & !NUMBER_MAX));
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.entries.allocation_size()
    }

    /// What it would take with so many more ids: tables double.
    fn bytes_with(&self, ids: usize) -> usize {
        let has_room = self.entries.capacity() - self.entries.len() >= ids;
        if has_room { self.bytes() } else { (2 * self.bytes()).max(4 * ids * size_of::<u64>()) }
    }
}

fn place(tag: u64) -> u64 {
    (tag >> NUMBER_BITS).wrapping_mul(SPREAD)
}

#[cfg(test)]
mod tests {
    use super::super::mixed;
    use super::*;

    #[test]
    fn every_id_is_found_in_its_row_and_hardly_any_other() {
        let mut index = RowIndex::default();
        let hash = |id: u64| mixed(&id.to_be_bytes());
        for first in (0..100_000).step_by(100) {
            let row = index.begin(100, usize::MAX).unwrap();
            (first..first + 100).for_each(|id| index.put(hash(id), row));
        }
        for id in 0..100_000 {
            assert!(index.rows_of(hash(id)).any(|row| u64::from(row) == 1 + id / 100), "{id}");
        }
        let in_vain = (100_000..200_000).map(|id| index.rows_of(hash(id)).count()).sum::<usize>();
        assert!(in_vain < 10, "{in_vain} of 100 000");
        assert!(index.bytes() < 100_000 * 20, "{} bytes", index.bytes());
    }

    #[test]
    fn ids_of_one_hash_are_told_apart_by_their_rows() {
        let mut index = RowIndex::default();
        let rows = [(); 3].map(|()| index.begin(1, usize::MAX).unwrap());
        rows.iter().for_each(|row| index.put(7 << 32, *row));
        let mut found: Vec<_> = index.rows_of(7 << 32).collect();
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3]);
    }

    #[test]
    fn it_stays_within_its_bound_and_says_so() {
        let mut index = RowIndex::default();
        assert_eq!(index.begin(1, 0), None);
        let mut ids = 0..;
        while let Some(row) = index.begin(256, 1 << 20) {
            ids.by_ref().take(256).for_each(|id: u64| index.put(mixed(&id.to_be_bytes()), row));
            assert!(index.bytes() <= 1 << 20);
        }
        assert!(ids.start > 50_000, "{} ids", ids.start);
    }
}
