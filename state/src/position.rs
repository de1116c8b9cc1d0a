//! How far a column has followed its changelog.
//!
//! Not here: what a changelog is; this crate only keeps the number beside the rows.
//! Invariant: a position and the rows it speaks for are written in one batch, so a crash loses both
//! or neither.

use std::fmt;

/// The next changelog offset a column has not yet seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position(pub u64);

impl Position {
    /// The eight bytes kept on disk, big endian.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The position that [`Self::to_bytes`] wrote, or `None` for any other length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(u64::from_be_bytes(bytes)))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
