//! The key of one row of a table.
//!
//! ```text
//!   ┌────────────┬─────────────────┐
//!   │ generation │ key             │
//!   │ u32 BE     │ StateKey bytes  │
//!   │ 4          │ the rest        │
//!   └────────────┴─────────────────┘
//! ```
//!
//! A table has no time by which its rows expire. What is deleted leaves with its generation: the rows that
//! live are moved to the next one, and all of an older generation is one range from the beginning.
//!
//! Not here: when that is done. Invariant: bytes sort as (generation, key) do.

use super::KeyError;
use crate::store::OwnedRange;

const WHAT: &str = "table key";

/// One row of a table, its key still as bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TableKey<'a> {
    /// The generation in which the row was written.
    pub generation: u32,
    /// The key as [`super::StateKey::encode`] wrote it.
    pub key: &'a [u8],
}

impl<'a> TableKey<'a> {
    /// Appends the part before the key's own bytes, which the caller appends next.
    pub fn begin(out: &mut Vec<u8>, generation: u32) {
        out.extend_from_slice(&generation.to_be_bytes());
    }

    /// Reads what [`Self::begin`] and the caller wrote.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, KeyError> {
        let (generation, key) = bytes.split_first_chunk().ok_or(KeyError::Short { what: WHAT })?;
        Ok(Self { generation: u32::from_be_bytes(*generation), key })
    }

    /// All rows of `generation`.
    pub fn of_generation(generation: u32) -> OwnedRange {
        OwnedRange::of_prefix(&generation.to_be_bytes())
    }

    /// All rows of generations before `generation`.
    pub fn before(generation: u32) -> OwnedRange {
        OwnedRange { start: Vec::new(), end: Some(generation.to_be_bytes().to_vec()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn bytes(generation: u32, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        TableKey::begin(&mut out, generation);
        out.extend_from_slice(key);
        out
    }

    proptest! {
        #[test]
        fn round_trip_order_and_ranges(
            a in (prop_oneof![any::<u32>(), 0..3u32], vec(any::<u8>(), 0..4)),
            b in (prop_oneof![any::<u32>(), 0..3u32], vec(any::<u8>(), 0..4)),
        ) {
            let (left, right) = (bytes(a.0, &a.1), bytes(b.0, &b.1));
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            prop_assert_eq!(TableKey::decode(&left).unwrap(), TableKey { generation: a.0, key: &a.1 });
            prop_assert_eq!(TableKey::of_generation(b.0).as_range().contains(&left), a.0 == b.0);
            prop_assert_eq!(TableKey::before(b.0).as_range().contains(&left), a.0 < b.0);
        }
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(bytes(258, b"PT"), [0, 0, 1, 2, b'P', b'T']);
        assert_eq!(TableKey::decode(&[0, 0, 1]), Err(KeyError::Short { what: WHAT }));
    }
}
