//! The present word on open windows: what has changed since the last commit.
//!
//! Not here: final results. Invariant: after the last change of a key's window its value is emitted at
//! least once more, across crashes too, and the last word under a key is always its youngest window's; so
//! consumers that keep the last value per key are right.
//!
//! Updates are for tumbling windows, in which a row is a window. They are limited to one per key and
//! interval of the wall clock, but for the last word on each window, which waits for nothing; which intermediate values are seen is the one thing in the core that
//! depends on that clock.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use state::StateKey;

use crate::aggregate::Mergeable;
use crate::closing::StillOpen;
use crate::process::{Terminal, Timed};
use crate::record::{DurationMs, EventTime, WallTime};
use crate::step::Step;
use crate::window::Window;
use crate::window_store::WindowStore;

/// The present word on a window; a newer one may follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Updated<A> {
    /// Which window.
    pub window: Window,
    /// Whether this is also the last word: the window has closed.
    pub is_final: bool,
    /// What is in it so far.
    pub value: A,
}

/// Who is told when rows of open windows change.
pub trait Watch<K, A>: Clone + Send + 'static {
    /// A row of `key` in the pane at `pane` has changed.
    fn touch(&mut self, pane: i64, key: &K);
    /// A window closed with this value.
    fn settle(&mut self, step: &mut Step<'_>, window: Window, key: &K, value: &A);
    /// A commit is due: what has changed is emitted, as far as the rate allows. Windows that are not open any
    /// more have had their last word; their rows may still be there to be read.
    #[allow(private_interfaces, reason = "implemented and called within the crate only")]
    fn drain(&mut self, step: &mut Step<'_>, store: &mut WindowStore<K, A>, open: &StillOpen<K>);
    /// Time has moved.
    fn advance(&mut self, step: &mut Step<'_>, time: EventTime);
    /// The transaction was aborted.
    fn abandon(&mut self);
}

/// Nobody is told.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl<K, A> Watch<K, A> for Unwatched {
    fn touch(&mut self, _: i64, _: &K) {}
    fn settle(&mut self, _: &mut Step<'_>, _: Window, _: &K, _: &A) {}
    #[allow(private_interfaces, reason = "implemented and called within the crate only")]
    fn drain(&mut self, _: &mut Step<'_>, _: &mut WindowStore<K, A>, _: &StillOpen<K>) {}
    fn advance(&mut self, _: &mut Step<'_>, _: EventTime) {}
    fn abandon(&mut self) {}
}

/// A side chain is told.
#[derive(Clone)]
pub struct Updates<K, T> {
    side: T,
    interval: DurationMs,
    /// Changed and not yet emitted, by pane.
    touched: BTreeMap<i64, FxHashSet<K>>,
    /// The last word on these keys was about a window that has closed.
    settled: FxHashSet<K>,
    /// When each key was last emitted; only within the last interval.
    last: FxHashMap<K, WallTime>,
    /// After opening, every row that is there may have changed unheard.
    recovered: bool,
}

impl<K: StateKey, T> Updates<K, T> {
    pub(crate) fn new(side: T, interval: DurationMs) -> Self {
        Self {
            side,
            interval,
            touched: BTreeMap::new(),
            settled: FxHashSet::default(),
            last: FxHashMap::default(),
            recovered: false,
        }
    }

    /// Every open window counts as changed.
    fn recover<A: Mergeable>(&mut self, step: &mut Step<'_>, store: &mut WindowStore<K, A>, open: &StillOpen<K>) {
        let mut from = open.from;
        while let Some(pane) = store.first_pane_from(step, from) {
            let keys = store.rows_of(step, pane).map(|(_, key, _)| key);
            let keys = keys.filter(|key| open.first_for(key) <= pane).cloned();
            self.touched.entry(pane).or_default().extend(keys);
            from = pane + 1;
        }
        self.recovered = true;
    }

    /// The first pane from `from` on that holds a row of `key`.
    fn pane_with<A: Mergeable>(
        step: &mut Step<'_>,
        store: &mut WindowStore<K, A>,
        mut from: i64,
        key: &K,
    ) -> Option<i64> {
        while let Some(pane) = store.first_pane_from(step, from) {
            if store.value(step, pane, key).is_some() {
                return Some(pane);
            }
            from = pane + 1;
        }
        None
    }
}

impl<K, A, T> Watch<K, A> for Updates<K, T>
where
    K: StateKey,
    A: Mergeable,
    T: Terminal<K, Updated<A>>,
{
    fn touch(&mut self, pane: i64, key: &K) {
        let keys = self.touched.entry(pane).or_default();
        // Most records hit a row that is on the list already.
        if !keys.contains(key) {
            keys.insert(key.clone());
        }
    }

    fn settle(&mut self, step: &mut Step<'_>, window: Window, key: &K, value: &A) {
        if let Some(keys) = self.touched.get_mut(&window.start.0) {
            keys.remove(key);
        }
        let value = Updated { window, is_final: true, value: value.clone() };
        self.side.accept(step, &Timed { key: key.clone(), value, time: window.end.minus(DurationMs(1)) });
        self.settled.insert(key.clone());
    }

    #[allow(private_interfaces, reason = "implemented and called within the crate only")]
    fn drain(&mut self, step: &mut Step<'_>, store: &mut WindowStore<K, A>, open: &StillOpen<K>) {
        if !self.recovered {
            self.recover(step, store, open);
        }
        let (now, interval) = (step.now, self.interval);
        self.last.retain(|_, last| now.0.saturating_sub(last.0) < interval.0);
        for key in std::mem::take(&mut self.settled) {
            if let Some(pane) = Self::pane_with(step, store, open.first_for(&key), &key) {
                self.touched.entry(pane).or_default().insert(key);
            }
        }
        let mut waiting = BTreeMap::<i64, FxHashSet<K>>::new();
        while let Some((pane, keys)) = self.touched.pop_first() {
            let mut keys: Vec<K> = keys.into_iter().collect();
            keys.sort_unstable();
            for key in keys {
                if self.last.contains_key(&key) {
                    waiting.entry(pane).or_default().insert(key);
                    continue;
                }
                let Some(value) = store.value(step, pane, &key) else { continue };
                let window = store.windows.starting(pane);
                let time = window.end.minus(DurationMs(1));
                let update = Updated { window, is_final: false, value };
                self.side.accept(step, &Timed { key: key.clone(), value: update, time });
                // A younger window's word must come after this one.
                if let Some(younger) = Self::pane_with(step, store, pane + 1, &key) {
                    self.touched.entry(younger).or_default().insert(key.clone());
                }
                self.last.insert(key, now);
            }
        }
        step.waiting |= !waiting.is_empty();
        self.touched = waiting;
        self.side.drain(step);
    }

    fn advance(&mut self, step: &mut Step<'_>, time: EventTime) {
        self.side.advance(step, time);
    }

    fn abandon(&mut self) {
        self.touched.clear();
        self.settled.clear();
        self.last.clear();
        self.recovered = false;
        self.side.abandon();
    }
}
