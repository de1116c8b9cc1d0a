//! Keys as bytes: whatever sorts first as a value sorts first as bytes.
//!
//! A column holds keys of one family, and the family is part of what the store's format record names
//! ([`crate::format`]), so no key carries its family:
//!
//! | tag | family | file | order |
//! |---|---|---|---|
//! | 1 | [`KeyFamily::Pane`] | [`pane`] | pane start, first accepting window, key |
//! | 2 | [`KeyFamily::TopK`] | [`top_k`] | window, scope, score from the top, item |
//! | 3 | [`KeyFamily::Meta`] | [`meta`] | kind, then as the kind says |
//! | 4 | session: reserved | | session end, key, session start |
//! | 5 | session by key: reserved | | key, session start |
//! | 6 | join row: reserved | | timestamp, side, key, offset |
//! | 7 | [`KeyFamily::Table`] | [`table`] | generation, key |
//! | 8 | [`KeyFamily::Queue`] | [`queue`] | time, side, source, number |
//! | 9 | [`KeyFamily::Ids`] | [`ids`] | pane start, number or id |
//!
//! Not here: values ([`crate::codec`]).
//! Invariant: bytes once given to a tag or a layout are never used for another. To change a layout, add
//! a family; retired ones keep their tag.

pub mod ids;
pub mod key;
pub mod meta;
pub mod pane;
pub mod queue;
pub mod table;
pub mod top_k;

mod time;

pub use key::StateKey;

/// The layout of a column's keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyFamily {
    /// [`pane::PaneKey`].
    Pane,
    /// [`top_k::TopKKey`].
    TopK,
    /// [`meta::MetaKey`].
    Meta,
    /// [`table::TableKey`].
    Table,
    /// [`queue::QueueKey`].
    Queue,
    /// [`ids::IdsKey`].
    Ids,
}

impl KeyFamily {
    /// The number that stands for the family on disk.
    pub fn tag(self) -> u8 {
        match self {
            Self::Pane => 1,
            Self::TopK => 2,
            Self::Meta => 3,
            Self::Table => 7,
            Self::Queue => 8,
            Self::Ids => 9,
        }
    }

    /// The family with this number.
    pub fn of_tag(tag: u8) -> Option<Self> {
        [Self::Pane, Self::TopK, Self::Meta, Self::Table, Self::Queue, Self::Ids]
            .into_iter()
            .find(|family| family.tag() == tag)
    }

    /// The family's name in messages and format records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pane => "pane",
            Self::TopK => "top-k",
            Self::Meta => "meta",
            Self::Table => "table",
            Self::Queue => "queue",
            Self::Ids => "ids",
        }
    }
}

/// Bytes that are not a key of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key ends before its parts do.
    #[error("stored {what} is cut short; the store is damaged or holds something else")]
    Short {
        /// The kind of key or part.
        what: &'static str,
    },
    /// The key has bytes behind its last part.
    #[error("stored {what} has bytes that belong to nothing; the store is damaged or holds something else")]
    Surplus {
        /// The kind of key or part.
        what: &'static str,
    },
    /// A part has a form that is never written.
    #[error("stored {what} is malformed: {detail}")]
    Malformed {
        /// The kind of key or part.
        what: &'static str,
        /// What was found.
        detail: String,
    },
}
