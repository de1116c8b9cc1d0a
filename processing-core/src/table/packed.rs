//! Rows by key, both as the bytes that the store has, side by side in chunks of memory.
//!
//! A row in an allocation of its own, under a key that is decoded, takes two to four times as much.
//!
//! Not here: when rows have to go ([`super::held`]). Invariant: a key has one place, and a row that is there reads as it was
//! written last.
//!
//! ```text
//! record  ┌─────────┬────────────────┬──────────────────────┬─────┬───────┬──────────────────────┐
//!         │ use u32 │ key length u32 │ 1 + value length u32 │ key │ value │ up to the next grain │
//!         └─────────┴────────────────┴──────────────────────┴─────┴───────┴──────────────────────┘
//! ```
//! A value that no longer fits in its grains goes behind all others, and what it leaves is lost until the rest is
//! [moved together](Packed::tidy). 0 where a value's length should be: the key has no row.

use std::hash::Hasher as _;

use hashbrown::HashTable;
use rustc_hash::FxHasher;

use crate::chunked_map::{folded, spread};

/// A chunk takes so much, and one of a larger record as much as that.
const CHUNK_BYTES: usize = 64 << 10;
/// What records begin and end at: room to grow for most values, and 32 bits for a place are enough.
const GRAIN: usize = 16;
const CHUNK_GRAINS: usize = CHUNK_BYTES / GRAIN;
const HEAD: usize = 3 * size_of::<u32>();

/// Where a record begins, counted in grains of full chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At(u32);

/// What a row is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Nobody has asked for it since rows had to go last.
    None,
    /// Somebody has.
    Lately,
    /// It is open, under this number.
    Open(usize),
}

/// An entry of the index.
#[derive(Clone, Copy)]
struct Place {
    /// So that an index that grows, or is looked through, need not look at records.
    hash: u32,
    at: At,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Packed {
    index: HashTable<Place>,
    chunks: Vec<Vec<u8>>,
    /// Of all chunks.
    bytes: usize,
    /// Of those, what records have left behind.
    lost: usize,
}

/// A key's hash, as the index wants it.
pub(super) fn hash_of(key: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(key);
    folded(hasher.finish())
}

/// What a record takes.
fn grains_of(key: usize, value: usize) -> usize {
    (HEAD + key + value).div_ceil(GRAIN)
}

/// Takes a number from the front.
fn number(bytes: &mut &[u8]) -> Option<usize> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*number) as usize)
}

/// Writes a number; what is written here is shorter than 4 GiB, as all of a store's rows are.
fn write(into: &mut [u8], at: usize, number: usize) {
    if let Some(into) = into.get_mut(at..at + size_of::<u32>()) {
        into.copy_from_slice(&(number as u32).to_le_bytes());
    }
}

impl At {
    /// The chunk, and the byte of it.
    fn parts(self) -> (usize, usize) {
        let grain = self.0 as usize;
        (grain / CHUNK_GRAINS, grain % CHUNK_GRAINS * GRAIN)
    }
}

impl Use {
    fn number(self) -> usize {
        match self {
            Self::None => 0,
            Self::Lately => 1,
            Self::Open(number) => number + 2,
        }
    }

    fn of_number(number: usize) -> Self {
        match number {
            0 => Self::None,
            1 => Self::Lately,
            open => Self::Open(open - 2),
        }
    }
}

/// The parts of a record.
struct Record<'b> {
    used: Use,
    key: &'b [u8],
    value: Option<&'b [u8]>,
}

impl Packed {
    /// Where the record of a key is, whose hash is this.
    pub(super) fn find(&self, hash: u32, key: &[u8]) -> Option<At> {
        let is_it = |place: &Place| place.hash == hash && self.record(place.at).is_some_and(|record| record.key == key);
        self.index.find(spread(hash), is_it).map(|place| place.at)
    }

    /// Takes in what the store has of a key that has no record yet.
    pub(super) fn put(&mut self, hash: u32, key: &[u8], value: Option<&[u8]>) -> At {
        self.enter(hash, Use::None, key, value)
    }

    fn enter(&mut self, hash: u32, used: Use, key: &[u8], value: Option<&[u8]>) -> At {
        let at = self.push(used, key, value);
        self.index.insert_unique(spread(hash), Place { hash, at }, |place| spread(place.hash));
        at
    }

    /// What the store has.
    pub(super) fn value(&self, at: At) -> Option<&[u8]> {
        self.record(at)?.value
    }

    /// Notes what the store has from now on; the record may be elsewhere then.
    #[must_use]
    pub(super) fn replace(&mut self, at: At, value: &[u8]) -> At {
        let Some(Record { used, key, value: before }) = self.record(at) else { return at };
        let room = grains_of(key.len(), before.map_or(0, <[u8]>::len));
        if let Some(left) = room.checked_sub(grains_of(key.len(), value.len())) {
            let from = HEAD + key.len();
            self.lost += left * GRAIN;
            let bytes = self.bytes_at(at);
            write(bytes, 2 * size_of::<u32>(), 1 + value.len());
            if let Some(place) = bytes.get_mut(from..from + value.len()) {
                place.copy_from_slice(value);
            }
            return at;
        }
        let (hash, key) = (hash_of(key), key.to_vec());
        self.lost += room * GRAIN;
        let now = self.push(used, &key, Some(value));
        if let Some(place) = self.index.find_mut(spread(hash), |place| place.at == at) {
            place.at = now;
        }
        now
    }

    /// What a row is used for.
    pub(super) fn used(&self, at: At) -> Use {
        self.record(at).map_or(Use::None, |record| record.used)
    }

    /// Notes what a row is used for.
    pub(super) fn set_used(&mut self, at: At, used: Use) {
        write(self.bytes_at(at), 0, used.number());
    }

    /// Moves records together where more is lost than is not: so what is copied is less than what was written since.
    pub(super) fn tidy(&mut self) {
        if self.lost > self.bytes / 2 {
            self.keep(|_, record| Some(record.used));
        }
    }

    /// Lets go of rows that nobody has asked for lately, and of others beyond some `bytes`: which ones is left to chance,
    /// so that of rows that are all asked for alike as many are found as there is room for.
    pub(super) fn thin_out(&mut self, bytes: usize) {
        self.keep(|kept, record| (record.used != Use::None && kept.bytes() < bytes).then_some(Use::None));
    }

    /// Moves the records together that are to be kept, which are those that `used` says something of.
    fn keep(&mut self, used: impl Fn(&Self, &Record<'_>) -> Option<Use>) {
        let Self { index, chunks, .. } = std::mem::take(self);
        // Entries come in the order of the index: one that had to grow meanwhile would be full in its first half.
        self.index.reserve(index.len(), |place| spread(place.hash));
        let before = Self { chunks, ..Self::default() };
        for (hash, record) in index.iter().filter_map(|place| Some((place.hash, before.record(place.at)?))) {
            if let Some(used) = used(self, &record) {
                self.enter(hash, used, record.key, record.value);
            }
        }
        self.index.shrink_to_fit(|place| spread(place.hash));
    }

    /// What all of it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.index.allocation_size()
    }

    fn push(&mut self, used: Use, key: &[u8], value: Option<&[u8]>) -> At {
        let size = GRAIN * grains_of(key.len(), value.map_or(0, <[u8]>::len));
        if self.chunks.last().is_none_or(|last| last.len() + size > CHUNK_BYTES) {
            // The first one grows as it needs: there are many of them, and most hold little.
            let room = if self.chunks.is_empty() { 0 } else { CHUNK_BYTES.max(size) };
            self.chunks.push(Vec::with_capacity(room));
        }
        let before = self.chunks.len() - 1;
        let Some(chunk) = self.chunks.last_mut() else { return At(u32::MAX) };
        let begin = chunk.len();
        for number in [used.number(), key.len(), value.map_or(0, |value| value.len() + 1)] {
            chunk.extend_from_slice(&(number as u32).to_le_bytes());
        }
        chunk.extend_from_slice(key);
        chunk.extend_from_slice(value.unwrap_or_default());
        chunk.resize(begin + size, 0);
        self.bytes += size;
        At((before * CHUNK_GRAINS + begin / GRAIN) as u32)
    }

    fn record(&self, at: At) -> Option<Record<'_>> {
        let (chunk, begin) = at.parts();
        let mut bytes = self.chunks.get(chunk)?.get(begin..)?;
        let (used, key, value) = (number(&mut bytes)?, number(&mut bytes)?, number(&mut bytes)?);
        let (key, bytes) = bytes.split_at_checked(key)?;
        let value = value.checked_sub(1).and_then(|value| bytes.get(..value));
        Some(Record { used: Use::of_number(used), key, value })
    }

    fn bytes_at(&mut self, at: At) -> &mut [u8] {
        let (chunk, begin) = at.parts();
        self.chunks.get_mut(chunk).and_then(|chunk| chunk.get_mut(begin..)).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Change {
        Put(Option<usize>),
        Use(Use),
        Tidy,
        ThinOut,
    }

    fn change() -> impl Strategy<Value = Change> {
        let length = prop_oneof![20 => 0..100_usize, 1 => 60_000..140_000_usize];
        prop_oneof![
            8 => prop::option::of(length).prop_map(Change::Put),
            4 => (0..100_usize).prop_map(|number| Change::Use(Use::Open(number))),
            4 => Just(Change::Use(Use::Lately)),
            1 => Just(Change::Tidy),
            1 => Just(Change::ThinOut),
        ]
    }

    proptest! {
        #[test]
        fn it_says_what_a_plain_map_does(changes in prop::collection::vec((0..60_usize, change()), 0..300)) {
            let (mut packed, mut plain) = (Packed::default(), BTreeMap::new());
            for (number, (key, change)) in changes.into_iter().enumerate() {
                // Of every length, none among them.
                let key = vec![7; key];
                let at = packed.find(hash_of(&key), &key);
                prop_assert_eq!(at.is_some(), plain.contains_key(&key));
                match (at, change) {
                    (None, Change::Put(length)) => {
                        let value = length.map(|length| vec![number as u8; length]);
                        packed.put(hash_of(&key), &key, value.as_deref());
                        plain.insert(key, (value, Use::None));
                    }
                    (Some(at), Change::Put(length)) => {
                        let value = vec![number as u8; length.unwrap_or(3)];
                        let now = packed.replace(at, &value);
                        prop_assert_eq!(packed.find(hash_of(&key), &key), Some(now));
                        plain.get_mut(&key).unwrap().0 = Some(value);
                    }
                    (Some(at), Change::Use(used)) => {
                        packed.set_used(at, used);
                        plain.get_mut(&key).unwrap().1 = used;
                    }
                    (_, Change::Tidy) => packed.tidy(),
                    (_, Change::ThinOut) => {
                        packed.thin_out(usize::MAX);
                        plain.retain(|_, (_, used)| std::mem::replace(used, Use::None) != Use::None);
                    }
                    (None, Change::Use(_)) => {}
                }
            }
            prop_assert_eq!(packed.index.len(), plain.len());
            for (key, (value, used)) in &plain {
                let at = packed.find(hash_of(key), key).unwrap();
                prop_assert_eq!((packed.value(at), packed.used(at)), (value.as_deref(), *used));
            }
        }
    }

    #[test]
    fn a_value_that_changes_within_its_grains_takes_no_more_room() {
        let mut packed = Packed::default();
        let at = packed.put(hash_of(b"key"), b"key", Some(&[1; 10]));
        let before = packed.bytes();
        let room = 2 * GRAIN - HEAD - b"key".len();
        assert_eq!(packed.replace(at, &vec![2; room]), at);
        assert_eq!((packed.value(at), packed.bytes()), (Some(&vec![2; room][..]), before));
        assert_ne!(packed.replace(at, &vec![3; room + 1]), at);
        assert!(packed.bytes() > before);
    }

    #[test]
    fn of_rows_that_are_all_asked_for_alike_as_many_stay_as_there_is_room_for() {
        let mut packed = Packed::default();
        for key in 0..10_000_u32 {
            let at = packed.put(hash_of(&key.to_le_bytes()), &key.to_le_bytes(), Some(&[1; 40]));
            packed.set_used(at, Use::Lately);
        }
        let room = packed.bytes() / 2;
        packed.thin_out(room);
        assert!((room / 4 * 3..=room + GRAIN * 4).contains(&packed.bytes()), "{} of {room}", packed.bytes());
        packed.thin_out(room);
        assert_eq!(packed.bytes(), 0);
    }

    #[test]
    fn what_changes_its_length_takes_no_more_than_twice_its_room() {
        let mut packed = Packed::default();
        let mut at = packed.put(hash_of(b"key"), b"key", None);
        // Every other time nothing, so that what shrinks in its place is found too.
        for length in (0..9_000).map(|length| length * (length % 2)) {
            let _moved = packed.replace(at, &vec![1; length]);
            packed.tidy();
            at = packed.find(hash_of(b"key"), b"key").unwrap();
            assert!(packed.bytes <= 2 * length + 4 * GRAIN, "{} bytes for {length}", packed.bytes);
        }
    }
}
