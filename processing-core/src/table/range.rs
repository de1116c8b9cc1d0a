//! Rows of a table in the order of their keys.
//!
//! Not here: single rows ([`super`]). Invariant: while a table moves into its next generation, a row is found once, as
//! the newer generation has it.
//!
//! What has changed in memory is staged first, so a row that changes again after this is logged twice in its commit.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow, RangeBounds};

use state::keys::table::TableKey;
use state::{KeyRange, StateKey};

use super::{Kept, TableRows, read};
use crate::limits::{REWRITE_BYTES_MAX, SCAN_ROWS};
use crate::step::Step;

/// Rows as bytes, their generation taken off, and the key at which those begin that were left.
type Part = (Vec<state::Row>, Option<Vec<u8>>);

impl<K: StateKey, R: Kept> TableRows<K, R> {
    /// The first rows of a range of keys, at most `at_most` of them.
    pub(crate) fn range(&mut self, step: &mut Step<'_>, keys: &impl RangeBounds<K>, at_most: usize) -> Vec<(K, R)> {
        let mut from = match keys.start_bound() {
            Bound::Included(key) => bytes(key, false),
            Bound::Excluded(key) => bytes(key, true),
            Bound::Unbounded => Vec::new(),
        };
        let to = match keys.end_bound() {
            Bound::Included(key) => Some(bytes(key, true)),
            Bound::Excluded(key) => Some(bytes(key, false)),
            Bound::Unbounded => None,
        };
        let mut found = Vec::new();
        loop {
            let (rows, left) = self.some_of(step, &from, to.as_deref(), at_most - found.len());
            found.extend(rows);
            match left {
                Some(left) if found.len() < at_most => from = left,
                _ => return found,
            }
        }
    }

    /// Rows from the key with the bytes `from` on and before `to`, in their order: at most `at_most`, and no more than
    /// memory has room for. Answers the bytes at which the rest begins, if there may be more.
    pub(crate) fn some_of(
        &mut self,
        step: &mut Step<'_>,
        from: &[u8],
        to: Option<&[u8]>,
        at_most: usize,
    ) -> (Vec<(K, R)>, Option<Vec<u8>>) {
        let mut found = Vec::new();
        if self.dirty > 0 {
            self.stage(step);
        }
        let Some(progress) = self.progress(step).cloned() else { return (found, None) };
        let (new, new_left) = self.part(step, progress.generation, from, to);
        let (old, old_left) = match &progress.cursor {
            // What lies before the cursor of a move is never looked at again.
            Some(cursor) => self.part(step, progress.generation.wrapping_sub(1), from.max(cursor), to),
            None => (Vec::new(), None),
        };
        let left = [new_left, old_left].into_iter().flatten().min();
        // The newer generation's word goes over the older one's.
        let rows: BTreeMap<_, _> = old.into_iter().chain(new).collect();
        for (key, value) in rows {
            if step.failure.is_some() {
                return (found, None);
            }
            if left.as_ref().is_some_and(|left| key >= *left) {
                break;
            }
            if found.len() == at_most {
                return (found, Some(key));
            }
            let key = step.ok(K::decode(&key).map_err(|error| self.damaged(&error.to_string())));
            let row = step.ok(read(&value).map_err(|error| self.damaged(&error))).flatten();
            found.extend(key.zip(row));
        }
        let left = left.filter(|_| step.failure.is_none());
        (found, left)
    }

    fn part(&self, step: &mut Step<'_>, generation: u32, from: &[u8], to: Option<&[u8]>) -> Part {
        let whole = TableKey::of_generation(generation);
        let with_prefix = |key: &[u8]| [whole.start.as_slice(), key].concat();
        let (start, prefix) = (with_prefix(from), whole.start.len());
        let end = to.map(with_prefix).or(whole.end.clone());
        let within = KeyRange { start: &start, end: end.as_deref() };
        let (mut rows, mut held, mut left) = (Vec::<state::Row>::new(), 0, None);
        if within.is_empty() {
            return (rows, left);
        }
        let scanned = step.rows.scan(self.column, within, &mut |key, value| {
            let key = key.get(prefix..).unwrap_or_default();
            if rows.len() >= SCAN_ROWS || held >= REWRITE_BYTES_MAX {
                left = Some(key.to_vec());
                return ControlFlow::Break(());
            }
            held += key.len() + value.len();
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        });
        step.ok(scanned);
        (rows, left)
    }
}

/// A key's bytes, or the first that come behind it.
fn bytes<K: StateKey>(key: &K, behind: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.encode(&mut bytes);
    if behind {
        bytes.push(0);
    }
    bytes
}
