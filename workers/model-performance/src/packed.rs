//! Lists of items as bytes, four for each: most of what this worker sends and keeps.
//!
//! ```text
//! ┌────────────────┬──────────────────────┐
//! │ bytes (varint) │ u32 little-endian ... │
//! └────────────────┴──────────────────────┘
//! ```
//!
//! Not here: what is in a list. Invariant: a list is read as it was written, in its order.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

use crate::event::Item;

/// Writes a list.
pub fn serialize<S: Serializer>(items: &[Item], serializer: S) -> Result<S::Ok, S::Error> {
    let mut bytes = Vec::with_capacity(items.len() * 4);
    items.iter().for_each(|Item(item)| bytes.extend_from_slice(&item.to_le_bytes()));
    serializer.serialize_bytes(&bytes)
}

/// Reads a list.
///
/// # Errors
/// Bytes that are no whole items.
pub fn deserialize<'de, D: Deserializer<'de>, L: FromIterator<Item>>(deserializer: D) -> Result<L, D::Error> {
    deserializer.deserialize_bytes(ItemsVisitor(PhantomData))
}

struct ItemsVisitor<L>(PhantomData<L>);

impl<L: FromIterator<Item>> Visitor<'_> for ItemsVisitor<L> {
    type Value = L;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of items")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<L, E> {
        let (items, []) = bytes.as_chunks::<4>() else {
            return Err(E::custom("a list of items is cut off"));
        };
        Ok(items.iter().map(|item| Item(u32::from_le_bytes(*item))).collect())
    }
}
