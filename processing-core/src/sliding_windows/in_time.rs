//! Rows of sliding windows in the order of (time, key), whatever pane they stand in.
//!
//! Not here: what is made of them ([`super::closing`]). Invariant: each row of the asked span is answered once, and no more
//! than a slice of them is in memory at a time, beyond the panes that the store holds.

use state::StateKey;

use super::SlidingSpans;
use crate::aggregate::Mergeable;
use crate::step::Step;
use crate::window_store::WindowStore;

/// See the head of this file. Nothing may change the rows of the span while it is read.
#[derive(Clone)]
pub(super) struct InTime<K, A> {
    /// The rows of this time up to this key, and all earlier ones, have been taken from the store.
    taken: (i64, Option<K>),
    until: i64,
    rows: std::vec::IntoIter<((i64, K), A)>,
}

impl<K: StateKey, A: Mergeable> InTime<K, A> {
    /// The rows from `from` on, of that time those behind the key `after`, and before `until`.
    pub(super) fn new(from: i64, after: Option<K>, until: i64) -> Self {
        Self { taken: (from, after), until, rows: Vec::new().into_iter() }
    }

    /// The next row, which stays.
    pub(super) fn peek(
        &mut self,
        store: &WindowStore<K, A, SlidingSpans>,
        step: &mut Step<'_>,
    ) -> Option<&((i64, K), A)> {
        while self.rows.as_slice().is_empty() && self.taken.0 < self.until && step.failure.is_none() {
            self.bring(store, step);
        }
        self.rows.as_slice().first()
    }

    /// The row that was looked at.
    pub(super) fn take(&mut self) -> Option<((i64, K), A)> {
        self.rows.next()
    }

    fn bring(&mut self, store: &WindowStore<K, A, SlidingSpans>, step: &mut Step<'_>) {
        let from = store.windows.pane_at(self.taken.0).start.0;
        let Some(pane) = store.first_pane_from(step, from).filter(|pane| *pane < self.until) else {
            self.taken = (self.until, None);
            return;
        };
        let most = step.terms.bounds.close_slice_records.max(1);
        let taken = (self.taken.0, self.taken.1.as_ref());
        let (rows, more) = store.slice_between(step, pane, taken, self.until, most);
        self.taken = match rows.last() {
            Some(((time, key), _)) if more => (*time, Some(key.clone())),
            _ => (store.windows.pane_at(pane).end.0, None),
        };
        self.rows = rows.into_iter();
    }
}
