//! The present word on each key: its last closed window, at a limited rate.
//!
//! Not here: open windows ([`crate::updates`]) and what comes before a window ([`crate::previous`], which
//! drives this). Invariant: the last word under a key is that of its youngest closed window, be it the empty
//! one of a key that fell silent; after its last change it is emitted at least once more, across crashes too.
//!
//! A word that must wait for its interval is held in memory only. What it is made of stands in the rows of
//! [`crate::previous`], which wait for it; after opening, every key that has rows counts as changed.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use state::StateKey;

use crate::aggregate::Mergeable;
use crate::previous::Successive;
use crate::process::{Terminal, Timed};
use crate::record::{DurationMs, EventTime, WallTime};
use crate::step::Step;

/// Who is told of each key's last closed window.
pub trait Listener<K, A>: Clone + Send + 'static {
    /// Whether anybody is.
    const LISTENS: bool;
    /// A window closed.
    fn hear(&mut self, step: &mut Step<'_>, record: &Timed<K, Successive<A>>);
    /// After opening: the last windows of all keys that have rows, heard or not.
    fn recall(&mut self, records: Vec<Timed<K, Successive<A>>>);
    /// Rows of windows that start earlier are not needed for words that wait.
    fn needs_from(&self) -> i64;
    /// Time has moved.
    fn advance(&mut self, step: &mut Step<'_>, time: EventTime);
    /// A commit is due: what has waited long enough is emitted.
    fn drain(&mut self, step: &mut Step<'_>);
    /// The transaction was aborted.
    fn abandon(&mut self);
}

/// Nobody is told.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl<K, A> Listener<K, A> for Nobody {
    const LISTENS: bool = false;
    fn hear(&mut self, _: &mut Step<'_>, _: &Timed<K, Successive<A>>) {}
    fn recall(&mut self, _: Vec<Timed<K, Successive<A>>>) {}
    fn needs_from(&self) -> i64 {
        i64::MAX
    }
    fn advance(&mut self, _: &mut Step<'_>, _: EventTime) {}
    fn drain(&mut self, _: &mut Step<'_>) {}
    fn abandon(&mut self) {}
}

/// A side chain is told, at most once per key and interval of the wall clock.
#[derive(Clone)]
pub struct Latest<K, A, T> {
    side: T,
    interval: DurationMs,
    /// The youngest word of each key that must wait.
    waiting: BTreeMap<K, Timed<K, Successive<A>>>,
    /// When each key was last heard of; only within the last interval.
    last: FxHashMap<K, WallTime>,
}

impl<K, A, T> Latest<K, A, T> {
    pub(crate) fn new(side: T, interval: DurationMs) -> Self {
        Self { side, interval, waiting: BTreeMap::new(), last: FxHashMap::default() }
    }
}

impl<K, A, T> Listener<K, A> for Latest<K, A, T>
where
    K: StateKey,
    A: Mergeable,
    T: Terminal<K, Successive<A>>,
{
    const LISTENS: bool = true;

    fn hear(&mut self, step: &mut Step<'_>, record: &Timed<K, Successive<A>>) {
        let interval = self.interval.0;
        if self.last.get(&record.key).is_some_and(|last| step.now.0.saturating_sub(last.0) < interval) {
            self.waiting.insert(record.key.clone(), record.clone());
            return;
        }
        self.waiting.remove(&record.key);
        self.last.insert(record.key.clone(), step.now);
        self.side.accept(step, record);
    }

    fn recall(&mut self, records: Vec<Timed<K, Successive<A>>>) {
        self.waiting.extend(records.into_iter().map(|record| (record.key.clone(), record)));
    }

    fn needs_from(&self) -> i64 {
        // An empty window is made of the one before it; so is a window's earlier one.
        let made_of = |record: &Timed<K, Successive<A>>| {
            let Successive { window, .. } = &record.value;
            window.start.0.saturating_sub(window.end.0 - window.start.0)
        };
        self.waiting.values().map(made_of).min().unwrap_or(i64::MAX)
    }

    fn advance(&mut self, step: &mut Step<'_>, time: EventTime) {
        self.side.advance(step, time);
    }

    fn drain(&mut self, step: &mut Step<'_>) {
        let (now, interval) = (step.now, self.interval.0);
        self.last.retain(|_, last| now.0.saturating_sub(last.0) < interval);
        let Self { side, waiting, last, .. } = self;
        waiting.retain(|key, record| {
            let waits = last.contains_key(key);
            if !waits {
                last.insert(key.clone(), now);
                side.accept(step, record);
            }
            waits
        });
        step.waiting |= !waiting.is_empty();
        side.drain(step);
    }

    fn abandon(&mut self) {
        self.waiting.clear();
        self.last.clear();
        self.side.abandon();
    }
}
