//! From a folded name to the rows of the cities that bear it, best first.
//!
//! Layout: the names' 64-bit hashes (XXH3) in ascending order, beside each the row; equal hashes stand
//! together, best first. A first table, by the hash's upper bits, says where to begin, so that a
//! look-up reads about three neighbouring entries.
//!
//! ```text
//! buckets [0, 3, 5, …]        by the upper 15 bits
//! hashes  [h0 h0 h1 | h2 h3 | …]
//! rows    [ 7 91  4 | 12  3 | …]
//! ```
//!
//! Invariant: names are equal where their hashes are. The names themselves are not kept: that a name
//! outside the table meets one of 150 000 hashes has a chance of 1 in 10^14, and would misplace
//! nothing but itself.

use twox_hash::XxHash3_64;

const BUCKET_BITS: u32 = 15;

/// One name of one city, before sorting. Smaller `class`, then larger `population`, is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) hash: u64,
    pub(super) class: Class,
    pub(super) population: std::cmp::Reverse<u32>,
    pub(super) row: u32,
}

/// How good a claim to a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// A row of the extension file says so.
    Extension,
    /// It is the city's own name.
    Own,
    /// It is one of the city's other names.
    Alias,
}

/// The hash of a folded name.
pub(super) fn hash(folded: &[u8]) -> u64 {
    XxHash3_64::oneshot(folded)
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    buckets: Vec<u32>,
    hashes: Vec<u64>,
    rows: Vec<u32>,
}

impl Index {
    /// The index of `entries`.
    pub(super) fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable();
        // A city can claim one name twice; the better claim stands first.
        entries.dedup_by_key(|entry| (entry.hash, entry.row));
        let mut buckets = vec![0u32; (1 << BUCKET_BITS) + 1];
        for entry in &entries {
            buckets[bucket(entry.hash) + 1] += 1;
        }
        for i in 1..buckets.len() {
            buckets[i] += buckets[i - 1];
        }
        Self {
            buckets,
            hashes: entries.iter().map(|entry| entry.hash).collect(),
            rows: entries.iter().map(|entry| entry.row).collect(),
        }
    }

    /// The rows of the cities that bear the name with this hash, best first; empty for none.
    pub(super) fn rows(&self, hash: u64) -> &[u32] {
        let bucket = bucket(hash);
        let (from, to) = (self.buckets[bucket] as usize, self.buckets[bucket + 1] as usize);
        let hashes = &self.hashes[from..to];
        let before = hashes.iter().take_while(|&&other| other < hash).count();
        let equal = hashes[before..].iter().take_while(|&&other| other == hash).count();
        &self.rows[from + before..from + before + equal]
    }

    /// The memory held, in bytes.
    pub(super) fn resident_bytes(&self) -> usize {
        self.buckets.capacity() * 4 + self.hashes.capacity() * 8 + self.rows.capacity() * 4
    }
}

fn bucket(hash: u64) -> usize {
    (hash >> (64 - BUCKET_BITS)) as usize
}
