//! The value of a key of the ordered map as RocksDB has it.
//!
//! Not here: what a place leads to ([`crate::segments`]).
//! Invariant: every value reads back as what was stored; those of maps without segments are values as they are.
//!
//! ```text
//!   value            that does not begin with FF
//!   FF, value        that does
//!   FF, place        of a row in a segment: 12 bytes, the first is not FF
//! ```

use crate::segments::entry::Place;

const MARK: u8 = 0xff;

/// What a key leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored<'a> {
    /// The value itself.
    Here(&'a [u8]),
    /// A row of a segment.
    Apart(Place),
}

impl<'a> Stored<'a> {
    /// `None` if nothing of this kind was ever stored.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        match bytes {
            [MARK, value @ ..] if value.first() == Some(&MARK) => Some(Self::Here(value)),
            [MARK, place @ ..] => Some(Self::Apart(Place::from_bytes(place.try_into().ok()?))),
            value => Some(Self::Here(value)),
        }
    }

    /// Calls `put` with the bytes to store.
    pub(super) fn put<T>(&self, put: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Here(value) if value.first() == Some(&MARK) => put(&[&[MARK], *value].concat()),
            Self::Here(value) => put(value),
            Self::Apart(place) => put(&[&[MARK], &place.to_bytes()[..]].concat()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::segments::entry::SegmentId;

    proptest! {
        #[test]
        fn all_comes_back(
            value in vec(prop::sample::select(vec![0, 1, 0xfe, MARK]), 0..20),
            segment in 0..0xff00_0000_u32, offset in any::<u32>(), length in any::<u32>(),
        ) {
            for stored in [Stored::Here(&value), Stored::Apart(Place { segment: SegmentId(segment), offset, length })] {
                stored.put(|bytes| assert_eq!(Stored::parse(bytes).as_ref(), Some(&stored)));
            }
        }
    }

    #[test]
    fn a_place_of_another_length_is_none() {
        assert_eq!(Stored::parse(&[MARK, 0, 0, 0]), None);
        assert_eq!(Stored::parse(&[MARK]), None);
    }
}
