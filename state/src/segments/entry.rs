//! How a row lies in a segment, and what tells its place.
//!
//! Not here: the files ([`super`]). Invariant: bytes are taken for a row only if their checksum is right and they bear its
//! key; a layout that differs gets another [`FORMAT`].
//!
//! ```text
//!   an entry of a segment                             a place, in the ordered store
//!   0  u8   format, 1                                 0  u32  number of the segment
//!   1  u64  XXH3 of the row, its seed the XXH3 of     4  u32  where the entry begins in it
//!           the lengths and the key                   8  u32  length of the entry
//!   9  u16  length of the key
//!  11  u32  length of the row
//!  15       key, row
//! ```
//! All numbers are big-endian. Entries follow one another without a gap.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Result, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;

use twox_hash::XxHash3_64;

const FORMAT: u8 = 1;
const HEAD: usize = 15;
/// Where the lengths begin.
const LENGTHS: usize = 9;
/// A walk reads so much at once: the heads and keys of some entries, and no rows in most cases.
const STEP: usize = 512;

/// The number of a segment; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct SegmentId(pub(crate) u32);

impl SegmentId {
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Where an entry lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: SegmentId,
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

impl Place {
    pub(crate) const BYTES: usize = 12;

    pub(crate) fn at(segment: SegmentId, offset: u64, head: &Head) -> Self {
        Self { segment, offset: offset as u32, length: head.entry_bytes() as u32 }
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let numbers = [self.segment.0, self.offset, self.length];
        for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self { segment: SegmentId(number(0)), offset: number(4), length: number(8) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {} ({} bytes)", self.offset, self.length)
    }
}

/// What stands before the key and the row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    checksum: u64,
    key: u16,
    row: u32,
}

impl Head {
    /// The longest key and row that an entry can have, in bytes. The lengths of an entry and of a segment fit 32 bits.
    pub(crate) const KEY_MAX: usize = u16::MAX as usize;
    pub(crate) const ROW_MAX: usize = 1 << 30;

    /// For a key and a row that are not longer than [`Self::KEY_MAX`] and [`Self::ROW_MAX`].
    pub(crate) fn of(key: &[u8], row: &[u8]) -> Self {
        let mut head = Self { checksum: 0, key: key.len() as u16, row: row.len() as u32 };
        head.checksum = checksum(&[&head.to_bytes()[LENGTHS..], key].concat(), row);
        head
    }

    pub(crate) fn entry_bytes(&self) -> u64 {
        HEAD as u64 + u64::from(self.key) + u64::from(self.row)
    }

    pub(crate) fn write(&self, to: &mut impl Write, key: &[u8], row: &[u8]) -> Result<()> {
        to.write_all(&self.to_bytes())?;
        to.write_all(key)?;
        to.write_all(row)
    }

    fn to_bytes(self) -> [u8; HEAD] {
        let mut bytes = [FORMAT; HEAD];
        bytes[1..9].copy_from_slice(&self.checksum.to_be_bytes());
        bytes[9..11].copy_from_slice(&self.key.to_be_bytes());
        bytes[11..15].copy_from_slice(&self.row.to_be_bytes());
        bytes
    }

    /// `None` if these are not the first bytes of an entry.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&format, rest) = bytes.split_first()?;
        let (checksum, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (row, _) = rest.split_first_chunk()?;
        let numbers = (u64::from_be_bytes(*checksum), u16::from_be_bytes(*key), u32::from_be_bytes(*row));
        let (checksum, key, row) = numbers;
        (format == FORMAT).then_some(Self { checksum, key, row })
    }
}

/// The row of `key`, if these bytes are its entry.
pub(crate) fn row<'b>(entry: &'b [u8], key: &[u8]) -> Option<&'b [u8]> {
    let head = Head::from_bytes(entry)?;
    let (named, row) = entry.split_at_checked(HEAD + usize::from(head.key))?;
    let whole = named.get(HEAD..)? == key && head.row as usize == row.len();
    (whole && checksum(named.get(LENGTHS..)?, row) == head.checksum).then_some(row)
}

fn checksum(lengths_and_key: &[u8], row: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(lengths_and_key), row)
}

/// How far a walk came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walked {
    /// To here, where it was broken off.
    To(u64),
    /// To the end, which is here.
    End(u64),
    /// What lies here is no entry, or not a whole one.
    Torn(u64),
}

/// Calls `visit` with key and place of the entries from `offset` on, until it breaks. Rows are not read, so that a head
/// is believed unchecked.
pub(crate) fn walk(
    file: &File,
    segment: SegmentId,
    mut offset: u64,
    mut visit: impl FnMut(&[u8], Place) -> ControlFlow<()>,
) -> Result<Walked> {
    let length = file.metadata()?.len();
    let mut bytes = vec![0; STEP];
    while offset < length {
        let mut read = read_at(file, &mut bytes, offset)?;
        let Some(head) = Head::from_bytes(&bytes[..read]).filter(|head| head.entry_bytes() <= length - offset) else {
            return Ok(Walked::Torn(offset));
        };
        let with_key = HEAD + usize::from(head.key);
        if with_key > read {
            bytes.resize(with_key, 0);
            read = read_at(file, &mut bytes, offset)?;
        }
        let Some(key) = bytes[..read].get(HEAD..with_key) else {
            return Ok(Walked::Torn(offset));
        };
        let place = Place::at(segment, offset, &head);
        offset += head.entry_bytes();
        if visit(key, place).is_break() && offset < length {
            return Ok(Walked::To(offset));
        }
    }
    Ok(Walked::End(offset))
}

/// Reads as much as there is.
fn read_at(file: &File, into: &mut [u8], offset: u64) -> Result<usize> {
    let mut read = 0;
    while read < into.len() {
        match file.read_at(&mut into[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
