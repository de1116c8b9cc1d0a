//! What a store on disk says of itself, and whether this program may read it.
//!
//! ```text
//!   ┌───────────┬─────────────────┬──────────────────────────────────────────────────┐
//!   │ "SFstate" │ format version  │ columns: number, name, key family, fingerprint   │
//!   │ 7         │ u16 BE          │ crate::codec                                     │
//!   └───────────┴─────────────────┴──────────────────────────────────────────────────┘
//! ```
//!
//! The fingerprint is the caller's word for what a column's rows mean: the type of the values, the
//! window, the aggregate. This module only compares it.
//!
//! | version | layout |
//! |---|---|
//! | 1 | a column family for each column; a store of it is migrated when it is opened |
//! | 2 | one column family, in which a row's key begins with its column: `rocks::layout` |
//!
//! The record itself is the same in both.
//!
//! A column is known by its name. Its number is that under which the store has it, and may be another than the
//! program's ([`Contents::adapted`]).
//!
//! Not here: rows that mean something else than the program expects, which are the caller's to migrate.
//! Invariant: a store is opened only if its version is one of these, and all of its columns are what the program
//! expects or the caller has said that it deals with others. A version's number is never used for another layout.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::keys::KeyFamily;
use crate::store::ColumnId;

/// The version of the layout on disk that this program writes. It reads those before it by migrating them.
pub const FORMAT_VERSION: u16 = 2;

/// The version in which each column had a column family.
pub(crate) const FAMILIES_VERSION: u16 = 1;

/// The greatest number that a column can have: a row's first byte says its column, and not all bytes are free for that.
pub const COLUMN_MAX: u8 = 252;

const MAGIC: &[u8; 7] = b"SFstate";

/// What one column holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ColumnContents {
    /// The column's number.
    pub id: ColumnId,
    /// The store's name, for people.
    pub name: String,
    /// The layout of its keys.
    pub keys: KeyFamily,
    /// What its rows mean; rows are readable to a program exactly if this text is the same.
    pub fingerprint: String,
}

/// What a task's store holds: its columns in the order of their numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contents {
    columns: Vec<ColumnContents>,
}

/// Why a store's own record does not let this program in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The record is not one: the store is damaged.
    #[error("its format record cannot be read ({0})")]
    Unreadable(String),
    /// Another version of the layout.
    #[error(
        "it has format version {found}, this program reads version {FORMAT_VERSION} and those before it; start the \
         version of the program that wrote it, or delete the folder to restore the state from its changelogs"
    )]
    UnknownVersion {
        /// The version on disk.
        found: u16,
    },
    /// The keys of a column have another layout, which no caller can deal with.
    #[error(
        "store `{name}` has keys of family {found} on disk, and this program's topology gives it keys of family \
         {wanted}: it became another kind of store. Give it another name, which begins empty, or run `streamfleet \
         reprocess` to compute the state anew"
    )]
    OtherKeys {
        /// The column's name.
        name: String,
        /// The family on disk.
        found: &'static str,
        /// The program's.
        wanted: &'static str,
    },
    /// The same layout with other contents: the topology has changed.
    #[error(
        "its contents are not what this program's topology expects: {difference}; start the program with the \
         topology that wrote it, or run `streamfleet reprocess` to compute the state anew"
    )]
    OtherContents {
        /// The first column that differs, as it is on disk and as it is expected.
        difference: String,
    },
}

#[derive(Serialize, Deserialize)]
struct StoredColumn {
    id: u8,
    keys: u8,
    name: String,
    fingerprint: String,
}

impl Contents {
    /// Contents of `columns`; `None` if two of them have the same number or the same name, or a number is greater than
    /// [`COLUMN_MAX`].
    pub fn new(columns: impl IntoIterator<Item = ColumnContents>) -> Option<Self> {
        let mut columns: Vec<ColumnContents> = columns.into_iter().collect();
        columns.sort_by_key(|column| column.id);
        let mut names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        names.sort_unstable();
        let repeated =
            columns.windows(2).any(|pair| pair[0].id == pair[1].id) || names.windows(2).any(|pair| pair[0] == pair[1]);
        let beyond = columns.last().is_some_and(|last| last.id.0 > COLUMN_MAX);
        (!repeated && !beyond).then_some(Self { columns })
    }

    /// The columns in the order of their numbers.
    pub fn columns(&self) -> &[ColumnContents] {
        &self.columns
    }

    /// The record that says so, of a store as this program writes it.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_bytes_of(FORMAT_VERSION)
    }

    /// The record of a store of this version.
    pub(crate) fn to_bytes_of(&self, version: u16) -> Vec<u8> {
        let stored: Vec<StoredColumn> = self.columns.iter().map(StoredColumn::from).collect();
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&version.to_be_bytes());
        // A sequence of plain numbers and texts always encodes.
        if codec::encode_into(&mut bytes, &stored).is_err() {
            bytes.clear();
        }
        bytes
    }

    /// The record `stored` as one of another format version; `None` if it is no record.
    #[cfg(feature = "testing")]
    pub(crate) fn with_version(mut stored: Vec<u8>, version: u16) -> Option<Vec<u8>> {
        stored.get_mut(MAGIC.len()..MAGIC.len() + 2)?.copy_from_slice(&version.to_be_bytes());
        Some(stored)
    }

    /// What a store with the record `stored` holds, of whatever version this program reads.
    pub fn from_bytes(stored: &[u8]) -> Result<Self, FormatError> {
        let columns = read(stored)?.into_iter().map(|StoredColumn { id, keys, name, fingerprint }| {
            let keys = KeyFamily::of_tag(keys)
                .ok_or_else(|| FormatError::Unreadable(format!("key family {keys} is not known to this program")))?;
            Ok(ColumnContents { id: ColumnId(id), name, keys, fingerprint })
        });
        let columns = columns.collect::<Result<Vec<_>, FormatError>>()?;
        Self::of_store(columns)
    }

    fn of_store(columns: Vec<ColumnContents>) -> Result<Self, FormatError> {
        let wrong = || format!("two columns have one number or one name, or a number is greater than {COLUMN_MAX}");
        Self::new(columns).ok_or_else(|| FormatError::Unreadable(wrong()))
    }

    /// The column of this name.
    pub fn named(&self, name: &str) -> Option<&ColumnContents> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The same columns, of which nothing says what their rows mean.
    pub(crate) fn without_words(&self) -> Self {
        let columns = self.columns.iter().map(|column| ColumnContents { fingerprint: String::new(), ..column.clone() });
        Self { columns: columns.collect() }
    }

    /// Whether all columns say what their rows mean.
    pub fn say_all(&self) -> bool {
        self.columns.iter().all(|column| !column.fingerprint.is_empty())
    }

    /// These contents with the numbers and fingerprints that a store with the contents `stored` has for columns of the
    /// same names; new columns take numbers that it does not have, and no fingerprint.
    pub(crate) fn adapted(&self, stored: &Self) -> Result<Self, FormatError> {
        let mut taken: Vec<ColumnId> = stored.columns.iter().map(|column| column.id).collect();
        let mut columns = Vec::with_capacity(self.columns.len());
        for wanted in &self.columns {
            match stored.named(&wanted.name) {
                Some(found) if found.keys != wanted.keys => {
                    let (found, wanted_keys) = (found.keys.name(), wanted.keys.name());
                    return Err(FormatError::OtherKeys { name: wanted.name.clone(), found, wanted: wanted_keys });
                }
                Some(found) => columns.push(found.clone()),
                None => {
                    let free = || (0..=COLUMN_MAX).map(ColumnId).find(|id| !taken.contains(id));
                    let id = if taken.contains(&wanted.id) { free() } else { Some(wanted.id) };
                    let id = id.ok_or_else(|| FormatError::Unreadable("it has no number left for a column".into()))?;
                    taken.push(id);
                    columns.push(ColumnContents { id, fingerprint: String::new(), ..wanted.clone() });
                }
            }
        }
        Self::of_store(columns)
    }

    /// Whether a store with the record `stored` holds these contents.
    pub fn check(&self, stored: &[u8]) -> Result<(), FormatError> {
        let stored = read(stored)?;
        let expected: Vec<StoredColumn> = self.columns.iter().map(StoredColumn::from).collect();
        let pairs = (0..stored.len().max(expected.len())).map(|index| (stored.get(index), expected.get(index)));
        for (on_disk, wanted) in pairs {
            let on_disk = on_disk.map_or_else(|| "no further column".to_owned(), StoredColumn::described);
            let wanted = wanted.map_or_else(|| "no further column".to_owned(), StoredColumn::described);
            if on_disk != wanted {
                return Err(FormatError::OtherContents { difference: format!("on disk {on_disk}, expected {wanted}") });
            }
        }
        Ok(())
    }
}

/// Which version the layout of a store with the record `stored` has.
pub(crate) fn version_of(stored: &[u8]) -> Result<u16, FormatError> {
    split(stored).map(|(version, _)| version)
}

fn read(stored: &[u8]) -> Result<Vec<StoredColumn>, FormatError> {
    let (_, body) = split(stored)?;
    codec::decode(body).map_err(|error| FormatError::Unreadable(error.to_string()))
}

/// The version, and what is behind it.
fn split(stored: &[u8]) -> Result<(u16, &[u8]), FormatError> {
    let body = stored.strip_prefix(MAGIC).ok_or_else(|| FormatError::Unreadable("wrong beginning".into()))?;
    let (version, body) =
        body.split_first_chunk().ok_or_else(|| FormatError::Unreadable("no format version".into()))?;
    let found = u16::from_be_bytes(*version);
    match found {
        FAMILIES_VERSION | FORMAT_VERSION => Ok((found, body)),
        _ => Err(FormatError::UnknownVersion { found }),
    }
}

impl From<&ColumnContents> for StoredColumn {
    fn from(column: &ColumnContents) -> Self {
        Self {
            id: column.id.0,
            keys: column.keys.tag(),
            name: column.name.clone(),
            fingerprint: column.fingerprint.clone(),
        }
    }
}

impl StoredColumn {
    fn described(&self) -> String {
        let Self { id, keys, name, fingerprint } = self;
        format!("column {id} `{name}` with keys of family {keys} and `{fingerprint}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(id: u8, name: &str, fingerprint: &str) -> ColumnContents {
        ColumnContents { id: ColumnId(id), name: name.into(), keys: KeyFamily::Pane, fingerprint: fingerprint.into() }
    }

    fn contents(columns: &[ColumnContents]) -> Contents {
        Contents::new(columns.to_vec()).unwrap()
    }

    #[test]
    fn golden_bytes() {
        let contents = contents(&[column(3, "pulse", "count")]);
        let expected =
            |version| [b"SFstate".as_slice(), &[0, version], &[1, 1, 3, 1, 5], b"pulse", &[5], b"count"].concat();
        assert_eq!(contents.to_bytes(), expected(2));
        for version in [1, 2] {
            assert_eq!(Contents::from_bytes(&expected(version)).as_ref(), Ok(&contents));
            assert_eq!(version_of(&expected(version)), Ok(u16::from(version)));
        }
    }

    #[test]
    fn the_same_contents_are_let_in_whatever_order_they_are_declared_in() {
        let (a, b) = (column(1, "a", "x"), column(2, "b", "y"));
        let stored = contents(&[a.clone(), b.clone()]).to_bytes();
        assert_eq!(contents(&[b, a]).check(&stored), Ok(()));
    }

    #[test]
    fn every_difference_is_refused_and_both_sides_are_named() {
        let stored = contents(&[column(1, "a", "count"), column(2, "b", "sum")]).to_bytes();
        let changed = [
            contents(&[column(1, "a", "count"), column(2, "b", "mean")]),
            contents(&[column(1, "a", "count"), column(2, "c", "sum")]),
            contents(&[column(1, "a", "count"), column(3, "b", "sum")]),
            contents(&[column(1, "a", "count")]),
            contents(&[column(1, "a", "count"), column(2, "b", "sum"), column(4, "d", "max")]),
            contents(&[column(1, "a", "count"), ColumnContents { keys: KeyFamily::TopK, ..column(2, "b", "sum") }]),
        ];
        for expected in changed {
            let error = expected.check(&stored).unwrap_err();
            assert!(matches!(error, FormatError::OtherContents { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains("on disk") && text.contains("expected") && text.contains("reprocess"), "{text}");
        }
        let text = contents(&[column(1, "a", "mean"), column(2, "b", "sum")]).check(&stored).unwrap_err().to_string();
        assert!(text.contains("`count`") && text.contains("`mean`"), "{text}");
    }

    #[test]
    fn columns_are_found_by_name_and_new_ones_take_free_numbers() {
        let stored = contents(&[column(0, "meta", "m"), column(1, "a", "count"), column(2, "b", "sum")]);
        assert_eq!(Contents::from_bytes(&stored.to_bytes()), Ok(stored.clone()));
        let wanted = contents(&[column(0, "meta", "m"), column(1, "new", "max"), column(2, "a", "mean")]);
        let adapted = wanted.adapted(&stored).unwrap();
        let expected = contents(&[column(0, "meta", "m"), column(1, "a", "count"), column(3, "new", "")]);
        assert_eq!(adapted, expected, "what is on disk stays what it is");
        let table = ColumnContents { keys: KeyFamily::Table, ..column(1, "a", "count") };
        let told = contents(&[table]).adapted(&stored).unwrap_err().to_string();
        assert!(told.contains("`a` has keys of family pane") && told.contains("reprocess"), "{told}");
    }

    #[test]
    fn another_version_is_refused_and_named() {
        let contents = contents(&[column(1, "a", "count")]);
        let mut stored = contents.to_bytes();
        stored.truncate(9);
        for found in [0, 3] {
            stored[8] = found as u8;
            let error = contents.check(&stored).unwrap_err();
            assert_eq!(error, FormatError::UnknownVersion { found });
            assert!(error.to_string().contains(&format!("has format version {found}")), "{error}");
            assert!(error.to_string().contains("reads version 2"), "{error}");
        }
        assert!(matches!(contents.check(b"other"), Err(FormatError::Unreadable(_))));
    }

    #[test]
    fn a_number_or_a_name_given_twice_is_no_contents_nor_is_a_number_without_room() {
        assert_eq!(Contents::new([column(1, "a", ""), column(1, "b", "")]), None);
        assert_eq!(Contents::new([column(1, "a", ""), column(2, "a", "")]), None);
        assert!(Contents::new([column(COLUMN_MAX, "a", "")]).is_some());
        assert_eq!(Contents::new([column(COLUMN_MAX + 1, "a", "")]), None);
    }
}
