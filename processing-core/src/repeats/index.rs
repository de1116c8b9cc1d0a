//! In which rows of many ids each of them may be, by a part of its hash.
//!
//! Rows that follow each other are a group, so that commits of few ids take as little as those of many. Of each id the index
//! has a part of its hash and the number of its group, in a hash table without chains whose entries are in the order of their
//! hashes (O. Amble, D. Knuth, "Ordered hash tables", The Computer Journal 17(2), 1974): one look ends where a greater hash
//! stands, so that nine places in ten can be taken, and a larger table is made in one walk through the smaller.
//!
//! Not here: the ids themselves; who is told rows has to look into them. Invariant: of whatever was put in, its row is among
//! those that are told.
//!
//! ```text
//! entry    ┌─────────────────────────┬──────────────────┐
//!          │ the hash's upper 32 bits│ group u16, from 1│   all zero where there is none
//!          └─────────────────────────┴──────────────────┘
//! ```
//! Of a pane with a million ids, one look in four thousand is in vain.

use std::ops::RangeInclusive;

use super::run;

/// As many as an entry can tell apart, and 16 million ids of a pane at least.
const GROUPS_MAX: usize = u16::MAX as usize;
/// A table is larger by a quarter than the one before, so that little is copied and little stands empty.
const GROWTH: usize = 4;
/// What the last places had no room for is allocated by so many: a vector by itself would double.
const TAIL: usize = 32;

/// The ids of a pane, approximately.
#[derive(Debug, Clone, Default)]
pub(super) struct RowIndex {
    /// In the order of their hashes, none before the place that is its hash's own, and no gap between the two.
    entries: Vec<Entry>,
    /// So many places are some hash's own; behind them is what the last of them had no room for.
    places: usize,
    ids: usize,
    /// The first row of each group.
    firsts: Vec<u32>,
    /// Ids of the last group.
    in_group: usize,
    /// The last row.
    last: u32,
}

/// Six bytes: in parts of two, or it would take eight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Entry {
    tag: [u16; 2],
    group: u16,
}

impl Entry {
    fn tag(self) -> u32 {
        u32::from(self.tag[0]) << 16 | u32::from(self.tag[1])
    }

    fn is_free(self) -> bool {
        self.group == 0
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// How many places keep one in ten free.
fn places_for(ids: usize) -> usize {
    ids + ids / 9 + 1
}

impl RowIndex {
    /// The rows that the id may be in: nearly always one group with that which it is in, or none.
    pub(super) fn rows_of(&self, hash: u64) -> impl Iterator<Item = RangeInclusive<u32>> {
        let tag = tag(hash);
        let from = self.entries.get(self.place(tag)..).unwrap_or_default();
        let near = from.iter().take_while(move |entry| !entry.is_free() && entry.tag() <= tag);
        near.filter(move |entry| entry.tag() == tag).filter_map(|entry| self.rows(usize::from(entry.group) - 1))
    }

    /// The number of the next row, for so many ids; `None` where they would take more than `bytes_max` in memory.
    pub(super) fn begin(&mut self, ids: usize, bytes_max: usize) -> Option<u32> {
        let needed = places_for(self.ids + ids);
        if needed > self.places {
            let places = needed.max(self.places + self.places / GROWTH);
            // Groups may become twice as many places as they have.
            let firsts = (2 * self.firsts.capacity()).max(8) * size_of::<u32>();
            if (places + TAIL) * size_of::<Entry>() + firsts > bytes_max {
                return None;
            }
            self.grow(places);
        }
        let row = self.last.checked_add(1)?;
        self.enter(row).then_some(row)
    }

    /// Notes that an id is in a row, which is the last one or begins behind it.
    pub(super) fn put(&mut self, hash: u64, row: u32) {
        if row > self.last && !self.enter(row) {
            return;
        }
        if places_for(self.ids + 1) > self.places {
            self.grow((self.places + self.places / GROWTH).max(places_for(self.ids + 1)));
        }
        self.ids += 1;
        self.in_group += 1;
        let tag = tag(hash);
        let entry = Entry { tag: [(tag >> 16) as u16, tag as u16], group: self.firsts.len() as u16 };
        let own = self.place(tag);
        let near = self.entries.iter().skip(own).take_while(|other| !other.is_free() && other.tag() <= tag).count();
        self.insert(own + near, entry);
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.firsts.capacity() * size_of::<u32>()
    }

    /// Rows go on with this one, in a new group where the last one is large enough; `false` if there can be no more groups.
    fn enter(&mut self, row: u32) -> bool {
        if self.firsts.is_empty() || self.in_group >= run::IDS_MAX {
            if self.firsts.len() == GROUPS_MAX {
                return false;
            }
            self.firsts.push(row);
            self.in_group = 0;
        }
        self.last = row;
        true
    }

    fn rows(&self, group: usize) -> Option<RangeInclusive<u32>> {
        let end = self.firsts.get(group + 1).map_or(self.last, |next| next - 1);
        self.firsts.get(group).map(|first| *first..=end)
    }

    /// The place that is the hash's own: the higher the hash, the further behind.
    fn place(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.places as u64) >> 32) as usize
    }

    /// Puts an entry there, and those that are there one place on.
    fn insert(&mut self, at: usize, entry: Entry) {
        let pushed = self.entries.iter().skip(at).position(|other| other.is_free());
        match pushed {
            Some(pushed) => self.entries.copy_within(at..at + pushed, at + 1),
            None => {
                self.make_room();
                self.entries.insert(at.min(self.entries.len()), Entry::default());
            }
        }
        if let Some(place) = self.entries.get_mut(at) {
            *place = entry;
        }
    }

    fn grow(&mut self, places: usize) {
        let before = std::mem::replace(&mut self.entries, Vec::with_capacity(places + TAIL));
        self.entries.resize(places, Entry::default());
        self.places = places;
        let mut free = 0;
        for entry in before.into_iter().filter(|entry| !entry.is_free()) {
            let at = self.place(entry.tag()).max(free);
            match self.entries.get_mut(at) {
                Some(place) => *place = entry,
                None => {
                    self.make_room();
                    self.entries.push(entry);
                }
            }
            free = at + 1;
        }
    }

    /// For one entry behind the last.
    fn make_room(&mut self) {
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(TAIL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::mixed;
    use super::*;

    fn hash(id: u64) -> u64 {
        mixed(&id.to_be_bytes())
    }

    #[test]
    fn every_id_is_found_in_its_row_and_hardly_any_other() {
        let mut index = RowIndex::default();
        for first in (0..100_000).step_by(100) {
            let row = index.begin(100, usize::MAX).unwrap();
            (first..first + 100).for_each(|id| index.put(hash(id), row));
        }
        for id in 0..100_000 {
            assert!(index.rows_of(hash(id)).any(|rows| rows.contains(&(1 + id as u32 / 100))), "{id}");
        }
        assert!(index.rows_of(hash(0)).all(|rows| rows.count() <= 3));
        let in_vain = (100_000..200_000).map(|id| index.rows_of(hash(id)).count()).sum::<usize>();
        assert!(in_vain < 10, "{in_vain} of 100 000");
        assert!(index.bytes() < 100_000 * 9, "{} bytes", index.bytes());
    }

    #[test]
    fn it_stays_within_its_bound_and_says_so() {
        let mut index = RowIndex::default();
        assert_eq!(index.begin(1, 0), None);
        let mut ids = 0..;
        while let Some(row) = index.begin(256, 1 << 20) {
            ids.by_ref().take(256).for_each(|id: u64| index.put(hash(id), row));
            assert!(index.bytes() <= 1 << 20);
        }
        assert!(ids.start > 100_000, "{} ids", ids.start);
    }

    #[test]
    fn there_are_no_more_groups_than_an_entry_can_tell_apart() {
        let mut index = RowIndex::default();
        for _ in 0..GROUPS_MAX {
            let row = index.begin(256, usize::MAX).unwrap();
            (0..256).for_each(|id| index.put(hash(u64::from(row) << 8 | id), row));
        }
        assert_eq!(index.begin(1, usize::MAX), None);
        assert!(index.rows_of(hash(GROUPS_MAX as u64 * 256)).any(|rows| rows == (65_535..=65_535)));
    }

    proptest! {
        /// Few different hashes, at both ends, so that many want one place and some go beyond the last.
        #[test]
        fn it_tells_what_a_map_would(rows in prop::collection::vec(prop::collection::vec((0_u32..40, any::<bool>()), 0..300), 1..12)) {
            let (mut index, mut model) = (RowIndex::default(), BTreeMap::<u64, Vec<u32>>::new());
            let of = |(tag, is_high): (u32, bool)| u64::from(if is_high { u32::MAX - tag } else { tag }) << 32;
            for ids in &rows {
                let row = index.begin(ids.len(), usize::MAX).unwrap();
                for id in ids {
                    index.put(of(*id), row);
                    model.entry(of(*id)).or_default().push(row);
                }
            }
            let mut again = RowIndex::default();
            for (row, ids) in rows.iter().enumerate() {
                ids.iter().for_each(|id| again.put(of(*id), row as u32 + 1));
            }
            for tag in 0..50 {
                let hash = of((tag % 25, tag < 25));
                let rows = model.get(&hash).map_or(&[][..], Vec::as_slice);
                for index in [&index, &again] {
                    let told: Vec<_> = index.rows_of(hash).collect();
                    prop_assert_eq!(told.len(), rows.len());
                    prop_assert!(rows.iter().all(|row| told.iter().any(|told| told.contains(row))));
                }
            }
        }
    }
}
