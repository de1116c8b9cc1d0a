//! What the columns of a task hold, as its meta changelog says.
//!
//! A store's own format record ([`state::format`]) is lost with its folder, and the changelog's records do not say of
//! which type their values are. So one row of the meta column does, [`MetaKey::Contents`]. It is written by the first
//! commit, and again whenever a topology has changed ([`crate::upgrade`]).
//!
//! ```text
//! value  (column u8 │ key family u8 │ name │ fingerprint │ under way: fingerprint, key or nothing) for each store
//! ```
//! In the state's codec. The column numbers are those under which the task's other rows about itself speak of stores:
//! cursors and progress. Topology and store find each other by name.
//!
//! Not here: rows that are made into others ([`crate::upgrade`]). Invariant: at every commit, a column's rows are those of
//! its fingerprint, but for those before the key that is under way, which are the other fingerprint's.

use serde::{Deserialize, Serialize};
use state::keys::meta::MetaKey;
use state::{ColumnContents, ColumnId, Contents, KeyFamily};

use crate::changelog::META;
use crate::error::CoreError;
use crate::state_view::Rows;

/// See the head of this file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) stores: Vec<HeldStore>,
}

/// One store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldStore {
    pub(crate) column: u8,
    keys: u8,
    pub(crate) name: String,
    pub(crate) fingerprint: String,
    pub(crate) under_way: Option<UnderWay>,
}

/// A migration that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnderWay {
    /// What the rows become.
    pub(crate) to: String,
    /// Rows before this key have become it.
    pub(crate) before: Vec<u8>,
}

impl Held {
    /// What the columns of a task hold, but for its rows about itself.
    pub(crate) fn of(columns: &[ColumnContents]) -> Self {
        let stores = columns.iter().filter(|column| column.keys != KeyFamily::Meta).map(|column| HeldStore {
            column: column.id.0,
            keys: column.keys.tag(),
            name: column.name.clone(),
            fingerprint: column.fingerprint.clone(),
            under_way: None,
        });
        Self { stores: stores.collect() }
    }

    /// The same of what a store's own format record says.
    pub(crate) fn of_record(contents: &Contents) -> Self {
        Self::of(contents.columns())
    }

    pub(crate) fn named(&self, name: &str) -> Option<&HeldStore> {
        self.stores.iter().find(|store| store.name == name)
    }

    /// The name of the store with this number.
    pub(crate) fn name_of(&self, column: ColumnId) -> Option<&str> {
        self.stores.iter().find(|store| store.column == column.0).map(|store| store.name.as_str())
    }

    /// Whether no migration is under way.
    pub(crate) fn is_through(&self) -> bool {
        self.stores.iter().all(|store| store.under_way.is_none())
    }

    /// Whether the two have other stores, numbers or fingerprints; what is under way does not count.
    pub(crate) fn is_another_than(&self, other: &Self) -> bool {
        let same = |a: &HeldStore, b: &HeldStore| {
            (a.column, a.keys, &a.name, &a.fingerprint) == (b.column, b.keys, &b.name, &b.fingerprint)
        };
        self.stores.len() != other.stores.len() || self.stores.iter().zip(&other.stores).any(|(a, b)| !same(a, b))
    }
}

impl HeldStore {
    /// Whether it holds the same as another store under another name.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        let words = |store: &Self| store.fingerprint.strip_prefix(&store.name).map(str::to_owned);
        self.keys == other.keys && words(self).is_some() && words(self) == words(other)
    }

    /// Whether its keys have the layout that `column` asks for.
    pub(crate) fn has_keys_of(&self, column: &ColumnContents) -> bool {
        self.keys == column.keys.tag()
    }
}

/// What a task's columns hold, if it is written down.
pub(crate) fn read(rows: &dyn Rows) -> Result<Option<Held>, CoreError> {
    let Some(bytes) = rows.get(META, &MetaKey::Contents.to_bytes())? else { return Ok(None) };
    held_of(&bytes).map(Some)
}

/// The same of the row's value.
pub(crate) fn held_of(bytes: &[u8]) -> Result<Held, CoreError> {
    state::codec::decode(bytes)
        .map_err(|error| CoreError::store_refused(format!("what the stores hold cannot be read: {error}")))
}

/// The number under which the rows of a task speak of `column`, which has one of these names; `None` where they say
/// nothing of it yet. A column without a name is always the same.
pub(crate) fn number_in(held: Option<&Held>, names: &[(ColumnId, &str)], column: ColumnId) -> Option<ColumnId> {
    let name = names.iter().find(|(of, _)| *of == column).map(|(_, name)| name);
    match (held, name) {
        (Some(held), Some(name)) => held.named(name).map(|store| ColumnId(store.column)),
        _ => Some(column),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_never_changes() {
        let store = |under_way| HeldStore { column: 3, keys: 1, name: "n".into(), fingerprint: "f".into(), under_way };
        let under_way = UnderWay { to: "t".into(), before: vec![9] };
        let held = Held { stores: vec![store(None), store(Some(under_way))] };
        let mut bytes = Vec::new();
        state::codec::encode_into(&mut bytes, &held).unwrap();
        assert_eq!(bytes, b"\x01\x02\x03\x01\x01n\x01f\x00\x03\x01\x01n\x01f\x01\x01t\x01\x09");
        assert_eq!(held_of(&bytes), Ok(held));
    }
}
