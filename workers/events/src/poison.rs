//! The verdict on bytes that are not an event of their contract.
//!
//! Not here: what becomes of them (the dead-letter topic).
//! Invariant: a verdict never repeats text of the event, which may be private; it names the field,
//! the kind of value found there, and the place in the bytes.

use std::fmt;

/// Why bytes are no event; the label of the counter of poison records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PoisonReason {
    /// The record has no value.
    Tombstone,
    /// The bytes end within a JSON value; also an empty value.
    Truncated,
    /// The bytes are not JSON, or not UTF-8, or hold a number beyond every float.
    NotJson,
    /// A field of the contract holds a value of another type or out of its range.
    WrongValue,
    /// A required field is absent or null.
    MissingField,
    /// The timestamp is none, or lies outside the years 1970 to 9999.
    Timestamp,
}

impl PoisonReason {
    /// The reason as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tombstone => "tombstone",
            Self::Truncated => "truncated",
            Self::NotJson => "not_json",
            Self::WrongValue => "wrong_value",
            Self::MissingField => "missing_field",
            Self::Timestamp => "timestamp",
        }
    }
}

impl fmt::Display for PoisonReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Bytes that are not an event of their contract, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Poison {
    /// Which rule they break.
    pub reason: PoisonReason,
    /// Where and how, without any of the event's text.
    pub detail: String,
}

impl Poison {
    /// The verdict `reason`, with a `detail` that must not hold text of the event.
    pub fn new(reason: PoisonReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// A record without a value.
    pub fn tombstone() -> Self {
        Self::new(PoisonReason::Tombstone, "the record has no value; events are never deleted")
    }

    /// The verdict on bytes that the JSON reader refused.
    ///
    /// The reader's own words are safe to repeat for these two classes: they are fixed sentences with
    /// a line and a column. Its third class, a value of the wrong type, quotes the value; the fields
    /// of [`crate::field`] never raise it.
    pub(crate) fn from_json(error: &serde_json::Error) -> Self {
        match error.classify() {
            serde_json::error::Category::Eof => Self::new(PoisonReason::Truncated, error.to_string()),
            serde_json::error::Category::Syntax => Self::new(PoisonReason::NotJson, error.to_string()),
            serde_json::error::Category::Data | serde_json::error::Category::Io => Self::new(
                PoisonReason::WrongValue,
                format!("unreadable at line {} column {}", error.line(), error.column()),
            ),
        }
    }
}
