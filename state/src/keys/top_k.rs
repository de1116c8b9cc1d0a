//! The key of one ranked item of a windowed top-K store.
//!
//! ```text
//!   ┌───────────────────┬──────────────────┬─────────────────────────┬───────────┐
//!   │ window start      │ scope            │ score                   │ item      │
//!   │ i64 BE, sign flip │ escaped, 00 00   │ i64 BE, all but sign    │ StateKey  │
//!   │                   │ at the end       │ flipped: greatest first │ bytes     │
//!   │ 8                 │ any              │ 8                       │ the rest  │
//!   └───────────────────┴──────────────────┴─────────────────────────┴───────────┘
//! ```
//!
//! Not here: how an item's old row is found when its score changes.
//! Invariant: the first K rows of [`TopKKey::of_scope`] are the K greatest scores, ties by item.

use super::key::{escape, take_escaped};
use super::{KeyError, time};
use crate::store::OwnedRange;

const WHAT: &str = "top-K key";

/// One ranked item of a window and a scope.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TopKKey<'a> {
    /// Where the window starts.
    pub window: i64,
    /// What is ranked apart, as [`super::StateKey::encode`] wrote it.
    pub scope: Vec<u8>,
    /// The score; greater ranks first.
    pub score: i64,
    /// What is ranked, as [`super::StateKey::encode`] wrote it.
    pub item: &'a [u8],
}

impl<'a> TopKKey<'a> {
    /// Appends the bytes of the item at `score` to `out`.
    pub fn encode_into(out: &mut Vec<u8>, window: i64, scope: &[u8], score: i64, item: &[u8]) {
        out.extend_from_slice(&time::encode(window));
        escape(out, scope);
        out.extend_from_slice(&time::encode(!score));
        out.extend_from_slice(item);
    }

    /// Reads what [`Self::encode_into`] wrote.
    pub fn decode(mut bytes: &'a [u8]) -> Result<Self, KeyError> {
        let window = time::take(&mut bytes, WHAT)?;
        let scope = take_escaped(&mut bytes, WHAT)?;
        let score = !time::take(&mut bytes, WHAT)?;
        Ok(Self { window, scope, score, item: bytes })
    }

    /// All items of `window`, scope after scope.
    pub fn of_window(window: i64) -> OwnedRange {
        OwnedRange::of_prefix(&time::encode(window))
    }

    /// All items of `scope` in `window`, the greatest score first.
    pub fn of_scope(window: i64, scope: &[u8]) -> OwnedRange {
        let mut prefix = time::encode(window).to_vec();
        escape(&mut prefix, scope);
        OwnedRange::of_prefix(&prefix)
    }

    /// All items of windows that start before `time`.
    pub fn before(time: i64) -> OwnedRange {
        OwnedRange { start: Vec::new(), end: Some(time::encode(time).to_vec()) }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type Parts = (i64, Vec<u8>, Reverse<i64>, Vec<u8>);

    fn parts() -> impl Strategy<Value = Parts> {
        let number = || prop_oneof![any::<i64>(), -2i64..3];
        let text = || vec(prop::sample::select(vec![0u8, 1, 254, 255]), 0..4);
        (number(), text(), number().prop_map(Reverse), text())
    }

    fn bytes((window, scope, Reverse(score), item): &Parts) -> Vec<u8> {
        let mut out = Vec::new();
        TopKKey::encode_into(&mut out, *window, scope, *score, item);
        out
    }

    proptest! {
        #[test]
        fn round_trip_order_and_ranges(a in parts(), b in parts()) {
            let (left, right) = (bytes(&a), bytes(&b));
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            let holds = |range: OwnedRange| range.as_range().contains(&left);
            prop_assert_eq!(holds(TopKKey::of_window(b.0)), a.0 == b.0);
            prop_assert_eq!(holds(TopKKey::of_scope(b.0, &b.1)), (a.0, &a.1) == (b.0, &b.1));
            prop_assert_eq!(holds(TopKKey::of_scope(a.0, &a.1)), true);
            prop_assert_eq!(holds(TopKKey::before(b.0)), a.0 < b.0);
            let read = TopKKey::decode(&left).unwrap();
            prop_assert_eq!((read.window, read.scope, Reverse(read.score), read.item.to_vec()), a);
        }

        #[test]
        fn any_bytes_are_a_key_or_an_error(bytes in vec(any::<u8>(), 0..40)) {
            if let Ok(key) = TopKKey::decode(&bytes) {
                let mut again = Vec::new();
                TopKKey::encode_into(&mut again, key.window, &key.scope, key.score, key.item);
                prop_assert_eq!(again, bytes);
            }
        }
    }

    #[test]
    fn golden_bytes() {
        let key = bytes(&(1, b"P\0".to_vec(), Reverse(2), b"Faro".to_vec()));
        let expected = [
            &[0x80, 0, 0, 0, 0, 0, 0, 1][..],
            &[b'P', 0, 0xFF, 0, 0],
            &[0x7F, 255, 255, 255, 255, 255, 255, 0xFD],
            b"Faro",
        ];
        assert_eq!(key, expected.concat());
    }
}
