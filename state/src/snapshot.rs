//! A store as a file: all columns, their positions and what they hold, with a checksum over every byte.
//!
//! ```text
//!   ┌─────────┬─────────────┬────────────┬────────────┬─────┬───────────┐
//!   │ "SFsnap"│ version u16 │ head block │ rows block │ ... │ end block │   and nothing behind it
//!   └─────────┴─────────────┴────────────┴────────────┴─────┴───────────┘
//!   block  ┌─────────┬────────────┬──────┬──────────────┐
//!          │ kind u8 │ length u32 │ body │ checksum u64 │
//!          └─────────┴────────────┴──────┴──────────────┘
//!   head   1   the caller's words, the format record, (column u8, position u64)*      crate::codec
//!   rows   2   column u8, then (key length u32, key, value length u32, value)*        keys ascend
//!   end    3   how many rows there were u64
//! ```
//! Numbers are big-endian. The checksum is XXH3-64 over the block's number, kind, length and body, so that a block
//! that was changed, left out, doubled or moved is found, as a missing end is. It guards against damage, not against
//! malice.
//!
//! Not here: which store and where to ([`crate::directory`] has folders; the caller's words say whose it is).
//! Invariant: a reader hands out rows only of blocks whose checksum is right, and says that it was the end only if it
//! has seen every row that was written. Who reads keeps nothing of a file that did not come to its end.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::batch::Batch;
use crate::codec;
use crate::error::StoreError;
use crate::format::{Contents, FormatError};
use crate::position::Position;
use crate::store::{Base, ColumnId, KeyRange};

/// The version of the layout that this program writes and reads.
pub const SNAPSHOT_VERSION: u16 = 1;

/// The version that the format record in a snapshot has. Rows lie in blocks here, however a store has them on disk; so it
/// stays when that changes, and programs before and after a change read each other's snapshots.
const RECORD_VERSION: u16 = 1;

const MAGIC: &[u8; 6] = b"SFsnap";
const HEAD: u8 = 1;
const ROWS: u8 = 2;
const END: u8 = 3;

/// Rows of about so many bytes make a block.
const BLOCK_BYTES: usize = 1 << 20;
/// What a damaged length may make a reader allocate at most. A block has one row more than [`BLOCK_BYTES`].
const BLOCK_BYTES_MAX: usize = BLOCK_BYTES + 2 * codec::VALUE_BYTES_MAX;

/// What a snapshot says of itself before its rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotHead {
    /// The caller's words on whose store it is.
    pub about: Vec<u8>,
    /// What the store holds.
    pub contents: Contents,
    /// How far each column has followed its changelog.
    pub positions: Vec<(ColumnId, Position)>,
}

#[derive(Serialize, Deserialize)]
struct StoredHead {
    about: Vec<u8>,
    contents: Vec<u8>,
    positions: Vec<(u8, u64)>,
}

/// Why a snapshot cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is no snapshot.
    #[error("it is no snapshot of a store")]
    NotOne,
    /// Another version of the layout.
    #[error(
        "it has snapshot version {0}, this program reads version {SNAPSHOT_VERSION}; use the program that wrote it"
    )]
    UnknownVersion(u16),
    /// It ends before its end block.
    #[error("it is cut off after block {blocks}: take the snapshot again")]
    CutOff {
        /// How many whole blocks there are.
        blocks: u64,
    },
    /// Bytes are not those that were written.
    #[error("block {block} is damaged ({what}): take the snapshot again")]
    Damaged {
        /// Its number, from 0.
        block: u64,
        /// What was found.
        what: String,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Writes all of `base` to `out`, which is flushed and not synced. Answers how many rows there were. The base must not
/// change meanwhile.
pub fn write<B: Base>(base: &B, head: &SnapshotHead, out: &mut impl Write) -> Result<u64, SnapshotError> {
    let mut blocks = BlockWriter { out, written: 0, block: Vec::new() };
    blocks.out.write_all(MAGIC)?;
    blocks.out.write_all(&SNAPSHOT_VERSION.to_be_bytes())?;
    let stored = StoredHead {
        about: head.about.clone(),
        contents: head.contents.to_bytes_of(RECORD_VERSION),
        positions: head.positions.iter().map(|(column, position)| (column.0, position.0)).collect(),
    };
    let mut body = Vec::new();
    codec::encode_into(&mut body, &stored).map_err(|error| io::Error::other(error.to_string()))?;
    blocks.write(HEAD, &body)?;
    let mut rows = 0_u64;
    for column in head.contents.columns() {
        body.clear();
        body.push(column.id.0);
        let mut failed = None;
        base.scan(column.id, KeyRange::ALL, &mut |key, value| {
            for part in [key, value] {
                body.extend_from_slice(&(part.len() as u32).to_be_bytes());
                body.extend_from_slice(part);
            }
            rows += 1;
            if body.len() >= BLOCK_BYTES {
                if let Err(error) = blocks.write(ROWS, &body) {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
                body.truncate(1);
            }
            ControlFlow::Continue(())
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        if body.len() > 1 {
            blocks.write(ROWS, &body)?;
        }
    }
    blocks.write(END, &rows.to_be_bytes())?;
    blocks.out.flush()?;
    Ok(rows)
}

struct BlockWriter<'w, W> {
    out: &'w mut W,
    written: u64,
    block: Vec<u8>,
}

impl<W: Write> BlockWriter<'_, W> {
    fn write(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len()).map_err(|_| io::Error::other("a row is too large for a snapshot"))?;
        self.block.clear();
        self.block.push(kind);
        self.block.extend_from_slice(&length.to_be_bytes());
        self.block.extend_from_slice(body);
        self.out.write_all(&self.block)?;
        self.out.write_all(&checksum(self.written, &self.block).to_be_bytes())?;
        self.written += 1;
        Ok(())
    }
}

/// Of a block's number, and its bytes before the checksum.
fn checksum(number: u64, block: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(number, block)
}

/// Reads a snapshot from its beginning to its end.
pub struct SnapshotReader<R> {
    from: R,
    /// Whole blocks so far.
    blocks: u64,
    rows: u64,
    head: SnapshotHead,
    /// The block that was read last, without its checksum.
    block: Vec<u8>,
}

/// Kind and length.
const BLOCK_HEAD: usize = 1 + 4;

/// What stands next in a snapshot.
#[derive(Debug)]
pub enum SnapshotPart<'r> {
    /// Rows of a column.
    Rows(ColumnId, SnapshotRows<'r>),
    /// There is no more, and nothing is missing. How many rows there were.
    End(u64),
}

/// Rows of one block, in the order of their keys.
#[derive(Debug)]
pub struct SnapshotRows<'r>(&'r [u8]);

impl<'r> Iterator for SnapshotRows<'r> {
    type Item = (&'r [u8], &'r [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = part(self.0)?;
        let (value, rest) = part(rest)?;
        self.0 = rest;
        Some((key, value))
    }
}

/// A part with its length before it, and what is behind it.
fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

impl<R: Read> SnapshotReader<R> {
    /// Reads as far as the head.
    pub fn open(mut from: R) -> Result<Self, SnapshotError> {
        let mut beginning = [0; MAGIC.len() + 2];
        from.read_exact(&mut beginning).map_err(|error| or_else_cut_off(error, SnapshotError::NotOne))?;
        let [magic @ .., v0, v1] = beginning;
        if magic != *MAGIC {
            return Err(SnapshotError::NotOne);
        }
        let version = u16::from_be_bytes([v0, v1]);
        if version != SNAPSHOT_VERSION {
            return Err(SnapshotError::UnknownVersion(version));
        }
        let contents = Contents::new([]).ok_or(SnapshotError::NotOne)?;
        let head = SnapshotHead { about: Vec::new(), contents, positions: Vec::new() };
        let mut reader = Self { from, blocks: 0, rows: 0, head, block: Vec::new() };
        if reader.read_block()? != HEAD {
            return Err(reader.damaged("it does not begin with a head"));
        }
        let stored: StoredHead = codec::decode(reader.body()).map_err(|error| reader.damaged(&error.to_string()))?;
        let contents = Contents::from_bytes(&stored.contents).map_err(|error: FormatError| {
            let what = error.to_string();
            reader.damaged(&what)
        })?;
        let positions = stored.positions.into_iter().map(|(column, position)| (ColumnId(column), Position(position)));
        reader.head = SnapshotHead { about: stored.about, contents, positions: positions.collect() };
        Ok(reader)
    }

    /// What it says of itself.
    pub fn head(&self) -> &SnapshotHead {
        &self.head
    }

    /// The next part. After [`SnapshotPart::End`] there is nothing to ask for.
    pub fn next_part(&mut self) -> Result<SnapshotPart<'_>, SnapshotError> {
        match self.read_block()? {
            ROWS => {
                let mut rows = 0;
                let column = self.checked_rows(&mut rows);
                let column = column.ok_or_else(|| self.damaged("its rows are not in their form"))?;
                self.rows += rows;
                Ok(SnapshotPart::Rows(column, SnapshotRows(self.body().get(1..).unwrap_or_default())))
            }
            END => {
                if self.body() != self.rows.to_be_bytes() {
                    return Err(self.damaged("it does not say how many rows there are"));
                }
                let mut beyond = [0];
                match self.from.read(&mut beyond) {
                    Ok(0) => Ok(SnapshotPart::End(self.rows)),
                    Ok(_) => Err(self.damaged("there are bytes behind the end")),
                    Err(error) => Err(error.into()),
                }
            }
            kind => Err(self.damaged(&format!("its kind {kind} is not known to this program"))),
        }
    }

    /// The column of a block of rows, if all of it is in its form; counts the rows.
    fn checked_rows(&self, rows: &mut u64) -> Option<ColumnId> {
        let (column, mut rest) = self.body().split_first()?;
        let column = ColumnId(*column);
        self.head.contents.columns().iter().find(|known| known.id == column)?;
        while !rest.is_empty() {
            let (_, behind) = part(rest)?;
            (_, rest) = part(behind)?;
            *rows += 1;
        }
        Some(column)
    }

    fn body(&self) -> &[u8] {
        self.block.get(BLOCK_HEAD..).unwrap_or_default()
    }

    /// Reads a block, and answers its kind.
    fn read_block(&mut self) -> Result<u8, SnapshotError> {
        let mut start = [0; BLOCK_HEAD];
        self.fill(&mut start)?;
        let [kind, length @ ..] = start;
        let length = u32::from_be_bytes(length) as usize;
        if length > BLOCK_BYTES_MAX {
            return Err(self.at_damage("its length cannot be"));
        }
        self.block.clear();
        self.block.extend_from_slice(&start);
        // Grown by what is really there: a damaged length must not cost its memory.
        let read = self.from.by_ref().take(length as u64).read_to_end(&mut self.block)?;
        if read < length {
            return Err(SnapshotError::CutOff { blocks: self.blocks });
        }
        let mut sum = [0; 8];
        self.fill(&mut sum)?;
        if u64::from_be_bytes(sum) != checksum(self.blocks, &self.block) {
            return Err(self.at_damage("its checksum is another"));
        }
        self.blocks += 1;
        Ok(kind)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), SnapshotError> {
        let blocks = self.blocks;
        self.from.read_exact(bytes).map_err(|error| or_else_cut_off(error, SnapshotError::CutOff { blocks }))
    }

    /// The block that was read last is not what it should be.
    fn damaged(&self, what: &str) -> SnapshotError {
        SnapshotError::Damaged { block: self.blocks.saturating_sub(1), what: what.to_owned() }
    }

    /// The block that is being read is not what it should be.
    fn at_damage(&self, what: &str) -> SnapshotError {
        SnapshotError::Damaged { block: self.blocks, what: what.to_owned() }
    }
}

fn or_else_cut_off(error: io::Error, cut_off: SnapshotError) -> SnapshotError {
    if error.kind() == io::ErrorKind::UnexpectedEof { cut_off } else { error.into() }
}

/// Writes all that a snapshot holds into an empty base, and flushes it. Answers how many rows there were. A base in
/// which this has failed is to be thrown away.
pub fn restore<B: Base, R: Read>(reader: &mut SnapshotReader<R>, base: &mut B) -> Result<u64, SnapshotError> {
    let mut batch = Batch::new();
    loop {
        match reader.next_part()? {
            SnapshotPart::Rows(column, rows) => {
                rows.for_each(|(key, value)| batch.put(column, key, value));
                base.write(&batch)?;
                batch.clear();
            }
            SnapshotPart::End(rows) => {
                for (column, position) in &reader.head().positions {
                    batch.set_position(*column, *position);
                }
                base.write(&batch)?;
                base.flush()?;
                return Ok(rows);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::format::ColumnContents;
    use crate::keys::KeyFamily;
    use crate::memory::MemoryBase;

    type Rows = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

    fn head(columns: &[u8]) -> SnapshotHead {
        let column = |id: &u8| ColumnContents {
            id: ColumnId(*id),
            name: format!("store-{id}"),
            keys: KeyFamily::Pane,
            fingerprint: "count".into(),
        };
        SnapshotHead {
            about: b"whose it is".to_vec(),
            contents: Contents::new(columns.iter().map(column)).unwrap(),
            positions: columns.iter().map(|id| (ColumnId(*id), Position(u64::from(*id) + 7))).collect(),
        }
    }

    fn snapshot(rows: &Rows) -> Vec<u8> {
        let mut base = MemoryBase::new();
        let mut batch = Batch::new();
        rows.iter().for_each(|((column, key), value)| batch.put(ColumnId(*column), key, value));
        base.write(&batch).unwrap();
        let mut bytes = Vec::new();
        assert_eq!(write(&base, &head(&[0, 3]), &mut bytes).unwrap(), rows.len() as u64);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<(SnapshotHead, Rows, MemoryBase), SnapshotError> {
        let mut reader = SnapshotReader::open(bytes)?;
        let mut base = MemoryBase::new();
        restore(&mut reader, &mut base)?;
        let mut rows = Rows::new();
        for column in reader.head().contents.columns() {
            base.scan(column.id, KeyRange::ALL, &mut |key, value| {
                rows.insert((column.id.0, key.to_vec()), value.to_vec());
                ControlFlow::Continue(())
            })?;
        }
        Ok((reader.head().clone(), rows, base))
    }

    fn any_rows() -> impl Strategy<Value = Rows> {
        let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
        prop::collection::btree_map((prop_oneof![Just(0_u8), Just(3)], bytes(6)), bytes(9), 0..6)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_every_damage_is_found(rows in any_rows(), bit in 0..8_u32) {
            let bytes = snapshot(&rows);
            let (read_head, read_rows, base) = read(&bytes).unwrap();
            prop_assert_eq!(&read_head, &head(&[0, 3]));
            prop_assert_eq!(read_rows, rows);
            for (column, position) in read_head.positions {
                prop_assert_eq!(base.position(column).unwrap(), Some(position));
            }
            for at in 0..bytes.len() {
                prop_assert!(read(&bytes[..at]).is_err(), "cut at {}", at);
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                prop_assert!(read(&flipped).is_err(), "flipped at {}", at);
            }
            let mut longer = bytes;
            longer.push(0);
            prop_assert!(read(&longer).is_err());
        }

        #[test]
        fn any_bytes_are_a_snapshot_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut behind = [MAGIC.as_slice(), &SNAPSHOT_VERSION.to_be_bytes()].concat();
            behind.extend_from_slice(&bytes);
            prop_assert!(read(&behind).is_err() && read(&bytes).is_err());
        }
    }

    #[test]
    fn many_blocks_cannot_change_places_or_be_left_out() {
        let large = |n: u8| ((0, vec![n]), vec![n; BLOCK_BYTES]);
        let rows: Rows = (0..3).map(large).collect();
        let bytes = snapshot(&rows);
        assert_eq!(read(&bytes).unwrap().1, rows);
        // A rows block: kind, length, column, two lengths, key, value, checksum.
        let block = 5 + 1 + 4 + 1 + 4 + BLOCK_BYTES + 8;
        let first = bytes.len() - 3 * block - (5 + 8 + 8);
        let (second, third) = (first + block, first + 2 * block);
        let swapped = [&bytes[..first], &bytes[second..third], &bytes[first..second], &bytes[third..]].concat();
        let short = [&bytes[..second], &bytes[third..]].concat();
        let doubled = [&bytes[..third], &bytes[second..third], &bytes[third..]].concat();
        for (name, damaged) in [("swapped", swapped), ("short", short), ("doubled", doubled)] {
            assert!(matches!(read(&damaged), Err(SnapshotError::Damaged { .. })), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let bytes = snapshot(&Rows::from([((0, b"k".to_vec()), b"v".to_vec())]));
        let told = |bytes: &[u8]| read(bytes).map(drop).unwrap_err().to_string();
        assert!(told(b"{\"json\": true}").contains("no snapshot"));
        let mut newer = bytes.clone();
        newer[7] = 9;
        assert!(told(&newer).contains("version 9"));
        assert!(told(&bytes[..bytes.len() - 1]).contains("cut off after block 2"));
        let mut flipped = bytes;
        let last = flipped.len() - 30;
        flipped[last] ^= 1;
        assert!(told(&flipped).contains("block 1 is damaged"), "{}", told(&flipped));
    }

    #[test]
    fn golden_bytes() {
        let bytes = snapshot(&Rows::from([((3, b"k".to_vec()), b"v".to_vec())]));
        assert!(bytes.starts_with(b"SFsnap\x00\x01\x01"));
        let record = b"SFstate\x00\x01";
        assert!(bytes.windows(record.len()).any(|window| window == record), "earlier programs read it");
        let rows = [&[2, 0, 0, 0, 11, 3][..], &[0, 0, 0, 1], b"k", &[0, 0, 0, 1], b"v"].concat();
        let at = bytes.windows(rows.len()).position(|window| window == rows).unwrap();
        let end = &bytes[at + rows.len() + 8..];
        assert_eq!(end[..13], [3, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(bytes[at + rows.len()..][..8], checksum(1, &rows).to_be_bytes());
    }
}
