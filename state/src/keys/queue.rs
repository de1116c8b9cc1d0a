//! The key of one entry of a queue in the order of event time.
//!
//! ```text
//!   ┌───────────────────┬──────┬────────┬────────┐
//!   │ time              │ side │ source │ number │
//!   │ i64 BE, sign flip │ u8   │ u16 BE │ u64 BE │
//!   │ 8                 │ 1    │ 2      │ 8      │
//!   └───────────────────┴──────┴────────┴────────┘
//! ```
//!
//! What leaves a queue is one range from its beginning. At one time, the lower side goes first; within a side the
//! entries of each source keep the order in which they came.
//!
//! Not here: what sides and sources there are, and who counts the numbers. Invariant: bytes sort as (time, side,
//! source, number) do.

use super::{KeyError, time};
use crate::store::OwnedRange;

const WHAT: &str = "queue key";
const BYTES: usize = time::TIME_BYTES + 11;

/// The place of one entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct QueueKey {
    /// When it is due.
    pub time: i64,
    /// Which of the sides that are due at one time it belongs to.
    pub side: u8,
    /// Where it came from.
    pub source: u16,
    /// Greater than those of all entries before it.
    pub number: u64,
}

impl QueueKey {
    /// The key's bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BYTES + 1);
        out.extend_from_slice(&time::encode(self.time));
        out.push(self.side);
        out.extend_from_slice(&self.source.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
        out
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, KeyError> {
        let time = time::take(&mut bytes, WHAT)?;
        let rest: &[u8; 11] = match bytes.len() {
            0..11 => return Err(KeyError::Short { what: WHAT }),
            _ => bytes.try_into().map_err(|_| KeyError::Surplus { what: WHAT })?,
        };
        let [side, s0, s1, number @ ..] = *rest;
        Ok(Self { time, side, source: u16::from_be_bytes([s0, s1]), number: u64::from_be_bytes(number) })
    }

    /// The first key behind this one.
    pub fn behind(self) -> Vec<u8> {
        let mut behind = self.to_bytes();
        behind.push(0);
        behind
    }

    /// All entries later than `after` and not later than `through`.
    pub fn between(after: i64, through: i64) -> OwnedRange {
        let behind = |at: i64| at.checked_add(1).map(|next| time::encode(next).to_vec());
        // Behind the last possible time there is nothing.
        let start = if after == i64::MIN { Vec::new() } else { behind(after).unwrap_or_else(|| vec![u8::MAX; 9]) };
        OwnedRange { start, end: behind(through) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn times() -> impl Strategy<Value = i64> {
        prop_oneof![any::<i64>(), -2i64..3, Just(i64::MIN + 1), Just(i64::MAX)]
    }

    fn keys() -> impl Strategy<Value = QueueKey> {
        let parts = (times(), 0..3u8, 0..3u16, prop_oneof![any::<u64>(), 0..3u64]);
        parts.prop_map(|(time, side, source, number)| QueueKey { time, side, source, number })
    }

    proptest! {
        #[test]
        fn round_trip_order_and_ranges(a in keys(), b in keys(), after in times(), through in times()) {
            let (left, right) = (a.to_bytes(), b.to_bytes());
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            prop_assert_eq!(QueueKey::decode(&left), Ok(a));
            prop_assert_eq!(left < b.behind(), a <= b);
            let inside = QueueKey::between(after, through).as_range().contains(&left);
            prop_assert_eq!(inside, after < a.time && a.time <= through);
            prop_assert!(QueueKey::between(i64::MIN, i64::MAX).as_range().contains(&left));
        }
    }

    #[test]
    fn golden_bytes() {
        let bytes = QueueKey { time: -1, side: 1, source: 2, number: 3 }.to_bytes();
        assert_eq!(bytes, [0x7F, 255, 255, 255, 255, 255, 255, 255, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3]);
        assert_eq!(QueueKey::decode(&bytes[..18]), Err(KeyError::Short { what: WHAT }));
        assert_eq!(QueueKey::decode(&[&bytes[..], &[0]].concat()), Err(KeyError::Surplus { what: WHAT }));
    }
}
