//! What a join keeps of some records of one key: their sides, times and values, still encoded, in the order in which they
//! came. Most joins keep the sides in rows of their own.
//!
//! ```text
//! row     ┌────────────────────────────┬──────────────────────────────┐
//!         │ number of the last row u32 │ the entries, as a byte string │     in the state's value codec
//!         └────────────────────────────┴──────────────────────────────┘
//! entry   ┌──────────┬──────────┬────────────┬───────┐
//!         │ flags u8 │ time i64 │ length u32 │ value │        big-endian; the value in the state's value codec
//!         └──────────┴──────────┴────────────┴───────┘
//! flags   1 it has found a partner   2 it is of the right side   4 there is no length and no value
//! ```
//! Of records that find one partner at most, those that have found it may stand without their value.
//! A key with more records of a pane than fit into [`JOIN_ROW_BYTES`] has several rows; the first one knows how many. A
//! larger record has a row to itself.
//! So a record that comes writes one of them anew and not all that its key has.
//!
//! Not here: where rows stand ([`super::store`]). Invariant: the bytes are always whole entries; what was read from
//! a store is checked when it is read.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::window::Side;
use crate::limits::JOIN_ROW_BYTES;
use crate::window_store::Row;

const HEAD: usize = 1 + 8 + 4;
const MATCHED: u8 = 1;
const RIGHT: u8 = 2;
const EMPTY: u8 = 4;

/// See the head of this file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entries {
    /// Of the first row of a pane, side and key: the number of their last one.
    pub(super) last: u32,
    bytes: Packed,
}

/// One record of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Its place in the row; later ones came later.
    pub(super) at: u32,
    pub(super) side: Side,
    /// Nobody need be told any more that it had no partner.
    pub(super) matched: bool,
    pub(super) time: i64,
    pub(super) value: &'a [u8],
}

impl Row for Entries {
    fn heap_bytes(&self) -> usize {
        self.bytes.0.capacity()
    }
}

impl Entries {
    /// Whether a record with a value of this length begins a new row.
    pub(super) fn is_full_for(&self, length: usize) -> bool {
        !self.bytes.0.is_empty() && self.bytes.0.len() + HEAD + length > JOIN_ROW_BYTES
    }

    /// Where the next record will stand.
    pub(super) fn next_at(&self) -> u32 {
        self.bytes.0.len() as u32
    }

    pub(super) fn push(&mut self, side: Side, matched: bool, time: i64, value: &[u8]) {
        let bytes = &mut self.bytes.0;
        // Most keys have one record in a pane: it takes no more than it needs.
        if bytes.is_empty() {
            bytes.reserve_exact(HEAD + value.len());
        }
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        bytes.push(flag(matched, MATCHED) | flag(side == Side::Right, RIGHT) | flag(value.is_empty(), EMPTY));
        bytes.extend_from_slice(&time.to_be_bytes());
        if !value.is_empty() {
            bytes.extend_from_slice(&(value.len() as u32).to_be_bytes());
            bytes.extend_from_slice(value);
        }
    }

    /// All records, in the order in which they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (entry, next) = entry_at(&self.bytes.0, at)?;
            at = next;
            Some(entry)
        })
    }

    /// The record at a place.
    pub(super) fn at(&self, at: u32) -> Option<Entry<'_>> {
        entry_at(&self.bytes.0, at as usize).map(|(entry, _)| entry)
    }

    /// All records of `side` from `from` to `to` have found a partner. `once`: they will not find another, so that the
    /// value of one goes where no other record stands behind it, whose place it would change.
    pub(super) fn mark(&mut self, side: Side, (from, to): (i64, i64), once: bool) {
        let mut at = 0;
        while let Some((entry, next)) = entry_at(&self.bytes.0, at) {
            let time = entry.time;
            if entry.side == side
                && (from..=to).contains(&time)
                && let Some(flags) = self.bytes.0.get_mut(at)
            {
                *flags |= MATCHED;
                if once && next == self.bytes.0.len() {
                    self.bytes.0.truncate(at);
                    self.push(side, true, time, &[]);
                    self.bytes.0.shrink_to_fit();
                    return;
                }
            }
            at = next;
        }
    }
}

/// The entry that begins at `at`, and where the next one does.
fn entry_at(bytes: &[u8], at: usize) -> Option<(Entry<'_>, usize)> {
    let (flags, rest) = bytes.get(at..)?.split_first()?;
    let (time, rest) = rest.split_first_chunk()?;
    let (head, value) = if flags & EMPTY != 0 {
        (HEAD - 4, &[][..])
    } else {
        let (length, rest) = rest.split_first_chunk()?;
        (HEAD, rest.get(..u32::from_be_bytes(*length) as usize)?)
    };
    let side = if flags & RIGHT != 0 { Side::Right } else { Side::Left };
    let entry = Entry { at: at as u32, side, matched: flags & MATCHED != 0, time: i64::from_be_bytes(*time), value };
    Some((entry, at + head + value.len()))
}

/// Bytes as one string, not as a sequence of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Packed(Vec<u8>);

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(PackedVisitor)
    }
}

struct PackedVisitor;

impl<'de> Visitor<'de> for PackedVisitor {
    type Value = Packed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the entries of a join's row")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Packed, E> {
        self.visit_byte_buf(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Packed, E> {
        let mut at = 0;
        while let Some((_, next)) = entry_at(&bytes, at) {
            at = next;
        }
        if at == bytes.len() { Ok(Packed(bytes)) } else { Err(E::custom("an entry of a join's row is cut off")) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Packed, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        self.visit_byte_buf(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(entries: &Entries) -> Vec<(bool, i64, Vec<u8>)> {
        entries.iter().map(|entry| (entry.matched, entry.time, entry.value.to_vec())).collect()
    }

    #[test]
    fn entries_are_read_as_they_were_written_and_marked_by_time() {
        let mut entries = Entries::default();
        let mut places = Vec::new();
        for (time, value) in [(5, &b"five"[..]), (-3, b""), (i64::MAX, b"last"), (6, b"six")] {
            places.push(entries.next_at());
            entries.push(Side::Left, false, time, value);
        }
        entries.push(Side::Right, false, 5, b"right");
        entries.mark(Side::Left, (-3, 5), false);
        let mut bytes = Vec::new();
        state::codec::encode_into(&mut bytes, &entries).unwrap();
        let read: Entries = state::codec::decode(&bytes).unwrap();
        assert_eq!(read, entries);
        assert_eq!(
            times(&read),
            [
                (true, 5, b"five".to_vec()),
                (true, -3, vec![]),
                (false, i64::MAX, b"last".to_vec()),
                (false, 6, b"six".to_vec()),
                (false, 5, b"right".to_vec())
            ]
        );
        let sides: Vec<Side> = read.iter().map(|entry| entry.side).collect();
        assert_eq!(sides, [Side::Left, Side::Left, Side::Left, Side::Left, Side::Right]);
        assert_eq!(places.iter().map(|at| read.at(*at).unwrap().time).collect::<Vec<_>>(), [5, -3, i64::MAX, 6]);
    }

    #[test]
    fn the_last_ones_value_goes_with_its_only_partner_and_no_other_moves() {
        let mut entries = Entries::default();
        entries.push(Side::Left, false, 5, b"five");
        let second = entries.next_at();
        entries.push(Side::Left, false, 9, b"nine");
        entries.mark(Side::Left, (5, 5), true);
        assert_eq!(times(&entries), [(true, 5, b"five".to_vec()), (false, 9, b"nine".to_vec())]);
        assert_eq!(entries.at(second).unwrap().time, 9);
        entries.mark(Side::Left, (9, 9), true);
        assert_eq!(times(&entries), [(true, 5, b"five".to_vec()), (true, 9, vec![])]);
        entries.push(Side::Left, false, 20, b"twenty");
        assert_eq!(entries.iter().map(|entry| entry.time).collect::<Vec<_>>(), [5, 9, 20]);
    }

    #[test]
    fn a_row_that_is_cut_off_is_told() {
        let mut entries = Entries::default();
        entries.push(Side::Left, true, 1, b"one");
        for cut in 1..entries.bytes.0.len() {
            let cut = Entries { last: 0, bytes: Packed(entries.bytes.0[..cut].to_vec()) };
            let mut bytes = Vec::new();
            state::codec::encode_into(&mut bytes, &cut).unwrap();
            assert!(state::codec::decode::<Entries>(&bytes).is_err());
        }
    }
}
