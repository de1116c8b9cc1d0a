//! The key of one entry of a windowed store.
//!
//! ```text
//!   ┌───────────────────┬───────────────────┬─────────────────┐
//!   │ pane start        │ first window      │ key             │
//!   │ i64 BE, sign flip │ i64 BE, sign flip │ StateKey bytes  │
//!   │ 8                 │ 8                 │ the rest        │
//!   └───────────────────┴───────────────────┴─────────────────┘
//! ```
//!
//! Time comes first: rows are written in the order of time, closing a window reads neighbours, and
//! expiry is one range from the beginning.
//!
//! Not here: how panes are cut, and what "first window" (the start of the first window that still
//! accepted the records of this entry) is for. Times are in the unit of the caller.
//! Invariant: bytes sort as (pane start, first window, key) do.

use super::{KeyError, time};
use crate::store::OwnedRange;

const WHAT: &str = "pane key";

/// One entry of a windowed store, its key still as bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PaneKey<'a> {
    /// Where the pane starts.
    pub pane: i64,
    /// The start of the first window that accepts the entry's records.
    pub first_window: i64,
    /// The key as [`super::StateKey::encode`] wrote it.
    pub key: &'a [u8],
}

impl<'a> PaneKey<'a> {
    /// Appends the key's bytes to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        Self::begin(out, self.pane, self.first_window);
        out.extend_from_slice(self.key);
    }

    /// Appends the part before the key's own bytes, which the caller appends next: so that a typed key
    /// needs no buffer of its own.
    pub fn begin(out: &mut Vec<u8>, pane: i64, first_window: i64) {
        out.extend_from_slice(&time::encode(pane));
        out.extend_from_slice(&time::encode(first_window));
    }

    /// Reads what [`Self::encode_into`] wrote.
    pub fn decode(mut bytes: &'a [u8]) -> Result<Self, KeyError> {
        let pane = time::take(&mut bytes, WHAT)?;
        let first_window = time::take(&mut bytes, WHAT)?;
        Ok(Self { pane, first_window, key: bytes })
    }

    /// All entries of the pane that starts at `pane`.
    pub fn of_pane(pane: i64) -> OwnedRange {
        OwnedRange::of_prefix(&time::encode(pane))
    }

    /// All entries of the pane that starts at `pane` and whose first window starts at `first_window`.
    pub fn of_pane_and_window(pane: i64, first_window: i64) -> OwnedRange {
        let mut prefix = Vec::with_capacity(2 * time::TIME_BYTES);
        Self::begin(&mut prefix, pane, first_window);
        OwnedRange::of_prefix(&prefix)
    }

    /// All entries of panes that start before `time`.
    pub fn before(time: i64) -> OwnedRange {
        OwnedRange { start: Vec::new(), end: Some(time::encode(time).to_vec()) }
    }

    /// All entries of panes that start at `from` or later.
    pub fn since(from: i64) -> OwnedRange {
        OwnedRange { start: time::encode(from).to_vec(), end: None }
    }

    /// All entries of panes that start at `from` or later and before `to`.
    pub fn between(from: i64, to: i64) -> OwnedRange {
        OwnedRange { start: time::encode(from).to_vec(), end: Some(time::encode(to).to_vec()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time() -> impl Strategy<Value = i64> {
        prop_oneof![any::<i64>(), -2i64..3, Just(i64::MIN), Just(i64::MAX)]
    }

    fn parts() -> impl Strategy<Value = (i64, i64, Vec<u8>)> {
        (time(), time(), proptest::collection::vec(any::<u8>(), 0..5))
    }

    fn bytes(parts: &(i64, i64, Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        PaneKey { pane: parts.0, first_window: parts.1, key: &parts.2 }.encode_into(&mut out);
        out
    }

    proptest! {
        #[test]
        fn round_trip_and_order(a in parts(), b in parts()) {
            let (left, right) = (bytes(&a), bytes(&b));
            let read = PaneKey::decode(&left).unwrap();
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            prop_assert_eq!((read.pane, read.first_window, read.key.to_vec()), a);
        }

        #[test]
        fn ranges_hold_what_they_say(row in parts(), pane in time(), window in time(), to in time()) {
            let key = bytes(&row);
            let holds = |range: OwnedRange| range.as_range().contains(&key);
            prop_assert_eq!(holds(PaneKey::of_pane(pane)), row.0 == pane);
            prop_assert_eq!(holds(PaneKey::of_pane(row.0)), true);
            prop_assert_eq!(holds(PaneKey::of_pane_and_window(pane, window)), (row.0, row.1) == (pane, window));
            prop_assert_eq!(holds(PaneKey::of_pane_and_window(row.0, row.1)), true);
            prop_assert_eq!(holds(PaneKey::before(pane)), row.0 < pane);
            prop_assert_eq!(holds(PaneKey::between(pane, to)), pane <= row.0 && row.0 < to);
        }
    }

    #[test]
    fn golden_bytes() {
        let key = (60_000, -1, b"PT".to_vec());
        let expected = [0x80, 0, 0, 0, 0, 0, 0xEA, 0x60, 0x7F, 255, 255, 255, 255, 255, 255, 255, b'P', b'T'];
        assert_eq!(bytes(&key), expected);
        assert_eq!(PaneKey::decode(&expected[..15]), Err(KeyError::Short { what: WHAT }));
    }
}
