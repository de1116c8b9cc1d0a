//! Windows that are due come out of their store.
//!
//! Not here: folding records in ([`crate::window_store`]). Invariant: every window that holds a record
//! is emitted exactly once, in the order of (window end, key), whatever the jump in time and however
//! many commits it takes.
//!
//! The cursor is a row of the task's meta column, so it moves with the commit that emits. A call emits
//! no more than its step allows and says that it is unfinished; the next call goes on at the cursor.
//! Windows without a record cost nothing: the cursor jumps to the next pane that holds one.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use state::StateKey;
use state::keys::meta::MetaKey;

use crate::aggregate::Mergeable;
use crate::changelog;
use crate::error::CoreError;
use crate::hindsight::Hindsight;
use crate::record::{DurationMs, EventTime};
use crate::sliding::Sliding;
use crate::step::Step;
use crate::window::Window;
use crate::window_store::WindowStore;

/// What closes the windows of one store.
#[derive(Clone)]
pub(crate) struct Closer<K, A> {
    /// For how long closed panes stay readable, in milliseconds of event time.
    keep_ms: i64,
    /// `None` until it has been read from the store.
    cursor: Option<Cursor>,
    open: Option<OpenWindow<K, A>>,
    overlap: Overlap<K, A>,
}

/// Where closing stands: of windows, or of panes of sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// No window that starts earlier will be emitted.
    pub(crate) next: i64,
    /// The keys of window `next` up to this one have been emitted.
    after: Option<Vec<u8>>,
    /// Panes that start earlier are gone.
    expired: i64,
}

impl Cursor {
    /// The cursor of a store, as the task's rows have it.
    pub(crate) fn load<K, A, G>(step: &mut Step<'_>, store: &WindowStore<K, A, G>) -> Option<Self> {
        let what = || format!("store {}: its cursor cannot be read", store.name);
        let begun = Self { next: i64::MIN, after: None, expired: i64::MIN };
        Some(changelog::own(step, MetaKey::ClosingCursor(store.column), what)?.unwrap_or(begun))
    }

    pub(crate) fn save<K, A, G>(&self, step: &mut Step<'_>, store: &WindowStore<K, A, G>) {
        changelog::put_own(step, MetaKey::ClosingCursor(store.column), self);
    }

    /// The keys of `next` up to this one are done.
    pub(crate) fn stop_after<K: StateKey>(&mut self, key: &K) {
        let mut last = Vec::new();
        key.encode(&mut last);
        self.after = Some(last);
    }

    /// Everything that starts before `next` is done.
    pub(crate) fn pass_to(&mut self, next: i64) {
        (self.next, self.after) = (next, None);
    }

    /// The last key of the window or pane at `start` that is done.
    pub(crate) fn done_of<K: StateKey, A, G>(
        &self,
        step: &mut Step<'_>,
        store: &WindowStore<K, A, G>,
        start: i64,
    ) -> Option<K> {
        let after = self.after.as_deref().filter(|_| start == self.next)?;
        step.ok(decode_after(store, after))
    }

    /// Drops the panes that start before `before`.
    pub(crate) fn expire<K: StateKey, A: Mergeable, G>(
        &mut self,
        step: &mut Step<'_>,
        store: &mut WindowStore<K, A, G>,
        before: i64,
    ) {
        store.expire(step, &mut self.expired, before);
    }
}

/// The windows that have not been emitted: those that start at `from` or later, but of the first one only
/// the keys after `after`.
#[derive(Debug, Clone)]
pub(crate) struct StillOpen<K> {
    pub(crate) from: i64,
    pub(crate) after: Option<K>,
}

impl<K: Ord> StillOpen<K> {
    /// The start of the first window that may still be open for `key`.
    pub(crate) fn first_for(&self, key: &K) -> i64 {
        if self.after.as_ref().is_some_and(|after| key <= after) { self.from + 1 } else { self.from }
    }
}

/// Rows of a pane in the order of their keys, taken from the store slice by slice.
#[derive(Clone)]
pub(crate) struct Slices<K, A> {
    pane: i64,
    rows: std::vec::IntoIter<(K, A)>,
    /// Whether the pane holds more rows behind `rows`.
    more: bool,
}

impl<K: StateKey, A: Mergeable> Slices<K, A> {
    /// All rows at once.
    fn whole(pane: i64, rows: Vec<(K, A)>) -> Self {
        Self { pane, rows: rows.into_iter(), more: false }
    }

    /// The rows of `pane` after the key `after`.
    pub(crate) fn of<G>(step: &mut Step<'_>, store: &WindowStore<K, A, G>, pane: i64, after: Option<&K>) -> Self {
        let (rows, more) = store.slice_of(step, pane, after, step.terms.bounds.close_slice_records);
        Self { pane, rows: rows.into_iter(), more }
    }

    /// The next row. As long as there are more, at least one of them is in `rows`.
    pub(crate) fn next<G>(&mut self, store: &WindowStore<K, A, G>, step: &mut Step<'_>) -> Option<(K, A)> {
        let row = self.rows.next()?;
        if self.more && self.rows.len() == 0 {
            *self = Self::of(step, store, self.pane, Some(&row.0));
        }
        Some(row)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.rows.len() == 0
    }
}

/// A window in the middle of being emitted.
#[derive(Clone)]
struct OpenWindow<K, A> {
    window: Window,
    rows: Slices<K, A>,
}

/// What overlapping windows share: running values by key, derived from panes and never stored.
#[derive(Clone)]
struct Overlap<K, A> {
    running: FxHashMap<K, Sliding<A>>,
    /// Panes that start earlier are in `running`; `None` before the first window.
    through: Option<i64>,
    /// Keys with rows that only later windows accept, and the start of the last such pane: as long as
    /// it can matter, their windows are merged from panes afresh.
    irregular: BTreeMap<K, i64>,
}

impl<K: StateKey, A: Mergeable> Closer<K, A> {
    pub(crate) fn new(keep_ms: i64) -> Self {
        Self { keep_ms, cursor: None, open: None, overlap: Overlap::new() }
    }

    /// A row came in that only windows from `first` on accept.
    pub(crate) fn note(&mut self, store: &WindowStore<K, A>, pane: i64, first: i64, key: &K) {
        if first > store.windows.first_of(pane) {
            self.overlap.note(pane, key);
        }
    }

    /// Emits what is due at `upto` and answers the time that the output has reached.
    pub(crate) fn close<B, F>(
        &mut self,
        store: &mut WindowStore<K, A>,
        hindsight: &mut B,
        step: &mut Step<'_>,
        upto: EventTime,
        emit: &mut F,
    ) -> EventTime
    where
        B: Hindsight<K, A>,
        F: FnMut(&mut Step<'_>, &B, Window, K, A),
    {
        let Some(mut cursor) = self.cursor(store, step) else { return EventTime::MIN };
        let before = cursor.clone();
        let mut reached = EventTime(upto.0.saturating_sub(store.windows.grace().0));
        while step.failure.is_none() {
            if self.open.is_none() && !self.open_next(store, hindsight, step, &cursor, upto) {
                break;
            }
            let Some(open) = &mut self.open else { break };
            // What `after` says is of this window, whichever the cursor has jumped over to get here.
            cursor.next = open.window.start.0;
            while step.closings_left > 0
                && let Some((key, value)) = open.rows.next(store, step)
            {
                step.closings_left -= 1;
                step.counts.closed += 1;
                if step.closings_left == 0 && !open.rows.is_done() {
                    cursor.stop_after(&key);
                }
                emit(step, hindsight, open.window, key, value);
            }
            if !open.rows.is_done() {
                step.unfinished = true;
                reached = open.window.end.minus(DurationMs(1)).min(reached);
                break;
            }
            cursor.pass_to(store.windows.next(open.window.start.0));
            self.open = None;
        }
        // What no window to come needs.
        let before_needed = cursor.next.min(hindsight.needs_from()).saturating_sub(self.keep_ms);
        cursor.expire(step, store, before_needed);
        // What overlapping windows need of a pane stands in their running values already.
        store.cool(self.overlap.through.unwrap_or(cursor.next));
        if cursor != before {
            cursor.save(step, store);
        }
        self.cursor = Some(cursor);
        reached
    }

    /// Which windows have still to be emitted.
    pub(crate) fn still_open(&mut self, store: &WindowStore<K, A>, step: &mut Step<'_>) -> StillOpen<K> {
        let Some(cursor) = self.cursor(store, step) else { return StillOpen { from: i64::MIN, after: None } };
        let after = cursor.after.as_deref().map(|after| decode_after(store, after));
        StillOpen { from: cursor.next, after: after.and_then(|after| step.ok(after)) }
    }

    /// Forgets everything that the store does not back.
    pub(crate) fn abandon(&mut self) {
        *self = Self::new(self.keep_ms);
    }

    /// Prepares the first window from the cursor on that holds a record, if it is due.
    fn open_next<B: Hindsight<K, A>>(
        &mut self,
        store: &mut WindowStore<K, A>,
        hindsight: &mut B,
        step: &mut Step<'_>,
        cursor: &Cursor,
        upto: EventTime,
    ) -> bool {
        // With nothing due even for a full store, the look at the store is spared.
        if store.windows.closable(upto) < cursor.next {
            return false;
        }
        let Some(pane) = store.first_pane_from(step, cursor.next) else { return false };
        let start = cursor.next.max(store.windows.first_of(pane));
        if start > store.windows.closable(upto) {
            return false;
        }
        let window = store.windows.starting(start);
        hindsight.look(step, store, window);
        let after = cursor.done_of(step, store, start);
        let rows = if store.windows.overlap() {
            let mut rows = self.overlap.values(store, step, window);
            rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            if let Some(after) = after {
                rows.retain(|(key, _)| *key > after);
            }
            Slices::whole(window.start.0, rows)
        } else {
            // One pane, and it may hold more than memory does.
            Slices::of(step, store, window.start.0, after.as_ref())
        };
        self.open = Some(OpenWindow { window, rows });
        true
    }

    /// The cursor, read from the store the first time.
    fn cursor(&mut self, store: &WindowStore<K, A>, step: &mut Step<'_>) -> Option<Cursor> {
        if self.cursor.is_none() {
            self.cursor = Cursor::load(step, store);
        }
        self.cursor.clone()
    }
}

fn decode_after<K: StateKey, A, G>(store: &WindowStore<K, A, G>, after: &[u8]) -> Result<K, CoreError> {
    K::decode(after).map_err(|error| {
        CoreError::store_rebuild(format!("store {}: the cursor's key cannot be read: {error}", store.name))
    })
}

impl<K: StateKey, A: Mergeable> Overlap<K, A> {
    fn new() -> Self {
        Self { running: FxHashMap::default(), through: None, irregular: BTreeMap::new() }
    }

    fn note(&mut self, pane: i64, key: &K) {
        let last = self.irregular.entry(key.clone()).or_insert(pane);
        *last = pane.max(*last);
    }

    /// The value of each key with a record in `window`, in no order.
    fn values(&mut self, store: &mut WindowStore<K, A>, step: &mut Step<'_>, window: Window) -> Vec<(K, A)> {
        self.slide_to(store, step, window);
        self.irregular.retain(|_, pane| *pane >= window.start.0);
        let afresh = if self.irregular.is_empty() { FxHashMap::default() } else { self.merged(store, step, window) };
        let regular = self.running.iter().filter(|(key, _)| !self.irregular.contains_key(*key));
        let regular = regular.filter_map(|(key, running)| Some((key.clone(), running.value()?)));
        regular.chain(afresh).collect()
    }

    /// Takes the panes in that have come under the window, and those out that have left it.
    fn slide_to(&mut self, store: &mut WindowStore<K, A>, step: &mut Step<'_>, window: Window) {
        let mut pane = self.through.map_or(window.start.0, |through| through.max(window.start.0));
        for running in self.running.values_mut() {
            running.evict(window.start);
        }
        while let Some(next) = store.first_pane_from(step, pane).filter(|next| *next < window.end.0) {
            let natural = store.windows.first_of(next);
            let mut broken = None;
            for (first, key, value) in store.rows_of(step, next) {
                if first > natural {
                    self.irregular.entry(key.clone()).and_modify(|last| *last = next.max(*last)).or_insert(next);
                } else {
                    // Panes come in ascending order here, so none is ever refused.
                    let running = self.running.entry(key.clone()).or_default();
                    if let Err(error) = running.push(EventTime(next), value) {
                        broken = Some(error);
                    }
                }
            }
            if let Some(error) = broken {
                step.fail(CoreError::store_rebuild(error.to_string()));
            }
            pane = next + 1;
        }
        self.running.retain(|_, running| !running.is_empty());
        self.through = Some(window.end.0);
    }

    /// The window's values merged straight from its panes, for the irregular keys.
    fn merged(&self, store: &mut WindowStore<K, A>, step: &mut Step<'_>, window: Window) -> FxHashMap<K, A> {
        let mut merged = FxHashMap::<K, A>::default();
        let mut pane = window.start.0;
        while let Some(next) = store.first_pane_from(step, pane).filter(|next| *next < window.end.0) {
            for (first, key, value) in store.rows_of(step, next) {
                if first <= window.start.0 && self.irregular.contains_key(key) {
                    merged.entry(key.clone()).or_default().merge(value);
                }
            }
            pane = next + 1;
        }
        merged
    }
}
