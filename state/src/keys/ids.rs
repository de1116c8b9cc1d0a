//! The key of one row of ids that have passed.
//!
//! ```text
//!   ┌───────────────────┬──────────┬─────────────────┐
//!   │ pane start        │ u8 = 1   │ number u32 BE   │   many ids, which came together
//!   │ i64 BE, sign flip ├──────────┼─────────────────┤
//!   │ 8                 │ u8 = 2   │ StateKey bytes  │   one id
//!   └───────────────────┴──────────┴─────────────────┘
//! ```
//!
//! Not here: how panes are cut, and who counts the numbers. Invariant: bytes sort by pane first, so that expiry is one
//! range from the beginning; of a pane the rows of many ids come first.

use std::ops::RangeInclusive;

use super::{KeyError, time};
use crate::store::OwnedRange;

const WHAT: &str = "key of ids";
const MANY: u8 = 1;
const ONE: u8 = 2;

/// Which ids of a pane a row holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IdsKey<'a> {
    /// Many, which came together.
    Many(u32),
    /// One, as [`super::StateKey::encode`] wrote it.
    One(&'a [u8]),
}

impl<'a> IdsKey<'a> {
    /// The key's bytes in the pane that starts at `pane`.
    pub fn to_bytes(self, pane: i64) -> Vec<u8> {
        match self {
            Self::Many(number) => [&begin(pane, MANY)[..], &number.to_be_bytes()].concat(),
            Self::One(id) => [&begin(pane, ONE)[..], id].concat(),
        }
    }

    /// Reads what [`Self::to_bytes`] wrote: the pane, and which ids.
    pub fn decode(mut bytes: &'a [u8]) -> Result<(i64, Self), KeyError> {
        let pane = time::take(&mut bytes, WHAT)?;
        match bytes.split_first().ok_or(KeyError::Short { what: WHAT })? {
            (&MANY, rest) if rest.len() < 4 => Err(KeyError::Short { what: WHAT }),
            (&MANY, rest) => {
                let number = rest.try_into().map_err(|_| KeyError::Surplus { what: WHAT })?;
                Ok((pane, Self::Many(u32::from_be_bytes(number))))
            }
            (&ONE, id) => Ok((pane, Self::One(id))),
            (other, _) => Err(KeyError::Malformed { what: WHAT, detail: format!("found the kind {other}") }),
        }
    }

    /// The rows of a pane that hold many ids.
    pub fn many_of(pane: i64) -> OwnedRange {
        OwnedRange::of_prefix(&begin(pane, MANY))
    }

    /// Of a pane's rows of many ids those with these numbers.
    pub fn many_within(pane: i64, numbers: RangeInclusive<u32>) -> OwnedRange {
        let (start, end) = (Self::Many(*numbers.start()).to_bytes(pane), Self::Many(*numbers.end()).to_bytes(pane));
        OwnedRange { start, end: OwnedRange::of_prefix(&end).end }
    }

    /// The rows of a pane that hold one id each.
    pub fn ones_of(pane: i64) -> OwnedRange {
        OwnedRange::of_prefix(&begin(pane, ONE))
    }

    /// Smaller than every key in a pane that starts at `time` or later, and greater than all others.
    pub fn first(time: i64) -> Vec<u8> {
        time::encode(time).to_vec()
    }
}

fn begin(pane: i64, kind: u8) -> [u8; time::TIME_BYTES + 1] {
    let mut bytes = [kind; time::TIME_BYTES + 1];
    bytes[..time::TIME_BYTES].copy_from_slice(&time::encode(pane));
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn panes() -> impl Strategy<Value = i64> {
        prop_oneof![any::<i64>(), -2i64..3, Just(i64::MIN), Just(i64::MAX)]
    }

    proptest! {
        #[test]
        fn round_trip_order_and_ranges(
            a in panes(), b in panes(), number in any::<u32>(), id in prop::collection::vec(any::<u8>(), 0..5),
        ) {
            let (many, one) = (IdsKey::Many(number).to_bytes(a), IdsKey::One(&id).to_bytes(a));
            prop_assert_eq!(IdsKey::decode(&many), Ok((a, IdsKey::Many(number))));
            prop_assert_eq!(IdsKey::decode(&one), Ok((a, IdsKey::One(&id))));
            let holds = |range: OwnedRange, key: &[u8]| range.as_range().contains(key);
            prop_assert_eq!((holds(IdsKey::many_of(b), &many), holds(IdsKey::many_of(b), &one)), (a == b, false));
            prop_assert_eq!((holds(IdsKey::ones_of(b), &many), holds(IdsKey::ones_of(b), &one)), (false, a == b));
            let within = |from, to| holds(IdsKey::many_within(a, from..=to), &many);
            prop_assert!(within(number, number) && within(0, u32::MAX) && !holds(IdsKey::many_within(a, 0..=u32::MAX), &one));
            prop_assert!(number == 0 || !within(0, number - 1));
            prop_assert!(number == u32::MAX || !within(number + 1, u32::MAX));
            for key in [many, one] {
                prop_assert_eq!(key < IdsKey::first(b), a < b);
            }
        }
    }

    #[test]
    fn golden_bytes() {
        let many = [0x7F, 255, 255, 255, 255, 255, 255, 255, 1, 0, 0, 2, 3];
        assert_eq!(IdsKey::Many(515).to_bytes(-1), many);
        assert_eq!(IdsKey::One(b"id").to_bytes(0), [0x80, 0, 0, 0, 0, 0, 0, 0, 2, b'i', b'd']);
        assert_eq!(IdsKey::decode(&many[..12]), Err(KeyError::Short { what: WHAT }));
        assert_eq!(IdsKey::decode(&[&many[..], &[0]].concat()), Err(KeyError::Surplus { what: WHAT }));
        assert!(IdsKey::decode(&[0; 9]).is_err() && IdsKey::decode(&[0; 8]).is_err());
    }
}
