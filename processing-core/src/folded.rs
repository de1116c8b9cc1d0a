//! A table folded from a stream: one row for each key, for as long as records of the key keep coming.
//!
//! Not here: windows ([`crate::windowed`]) and the rows themselves ([`crate::table`]). Invariant: a key's row is made of
//! its records since the last pause longer than its time to live, whatever commits lie between; its present word is
//! emitted once in each commit that changes it, a tombstone when it is gone.
//!
//! A row is gone when its last record lies further back than its time to live, by the stream time of its partition. Each
//! row has one deadline that waits; when it is due and the row has been touched meanwhile, it is set anew.

mod rows;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use state::{ColumnId, StateKey};

use crate::aggregate::Fold;
use crate::process::{Terminal, Timed};
use crate::record::{DurationMs, EventTime};
use crate::step::Step;
use crate::table::{Kept, TableRows};
use crate::waiting::{Waiter, Waiting};

pub use rows::FoldedRows;

/// What a table makes of its records.
pub trait Folding<V>: Clone + Send + 'static {
    /// A row.
    type Row: Kept + Clone;
    /// Whether the row hangs on the order of the records.
    const IN_ORDER: bool;
    /// Folds a record into its key's row; `None` where there is none, before or afterwards.
    fn fold(&self, row: Option<Self::Row>, value: V) -> Option<Self::Row>;
}

/// By a recipe: the order of records does not matter.
#[derive(Clone)]
pub struct ByRecipe<S>(pub(crate) S);

impl<V, S: Fold<V>> Folding<V> for ByRecipe<S> {
    type Row = S::State;
    const IN_ORDER: bool = false;
    fn fold(&self, row: Option<S::State>, value: V) -> Option<S::State> {
        let mut row = row.unwrap_or_default();
        self.0.add(&mut row, &value);
        Some(row)
    }
}

/// By a function, in the order of the log.
#[derive(Clone)]
pub struct ByReducer<C>(pub(crate) C);

impl<V, C> Folding<V> for ByReducer<C>
where
    V: Kept + Clone,
    C: Fn(Option<V>, V) -> Option<V> + Clone + Send + 'static,
{
    type Row = V;
    const IN_ORDER: bool = true;
    fn fold(&self, row: Option<V>, value: V) -> Option<V> {
        (self.0)(row, value)
    }
}

/// A row and the age of its key.
#[derive(Serialize, Deserialize)]
struct Aged<R> {
    row: R,
    /// The latest time of its records.
    last: i64,
    /// The deadline that waits for it.
    due: i64,
}

/// The end of a chain that folds its records into a table and shows the present word on it to a side chain.
pub struct TableFold<K, V, S: Folding<V>, T> {
    store: &'static str,
    fold: S,
    rows: TableRows<K, Aged<S::Row>>,
    deadlines: Option<Deadlines<K>>,
    /// Keys that the open transaction has changed, with the time of the change.
    changed: BTreeMap<K, i64>,
    side: T,
}

struct Deadlines<K> {
    to_live: i64,
    waiting: Waiting<K, (), ()>,
}

impl<K> Clone for Deadlines<K> {
    fn clone(&self) -> Self {
        Self { to_live: self.to_live, waiting: self.waiting.clone() }
    }
}

/// By hand: a clone has seen nothing.
impl<K, V, S: Folding<V>, T: Clone> Clone for TableFold<K, V, S, T> {
    fn clone(&self) -> Self {
        Self {
            store: self.store,
            fold: self.fold.clone(),
            rows: self.rows.clone(),
            deadlines: self.deadlines.clone(),
            changed: BTreeMap::new(),
            side: self.side.clone(),
        }
    }
}

impl<K, V, S: Folding<V>, T> TableFold<K, V, S, T> {
    /// `deadlines`: the time to live, and where deadlines wait.
    pub(crate) fn new(
        store: &'static str,
        column: ColumnId,
        fold: S,
        deadlines: Option<(DurationMs, (&'static str, ColumnId))>,
        side: T,
    ) -> Self {
        let deadlines = deadlines
            .map(|(to_live, (name, column))| Deadlines { to_live: to_live.0, waiting: Waiting::new(name, column) });
        Self { store, fold, rows: TableRows::new(store, column), deadlines, changed: BTreeMap::new(), side }
    }

    /// The same, shown to `side`.
    pub(crate) fn shown_to<U>(self, side: U) -> TableFold<K, V, S, U> {
        let Self { store, fold, rows, deadlines, changed, .. } = self;
        TableFold { store, fold, rows, deadlines, changed, side }
    }
}

impl<K: StateKey> Deadlines<K> {
    fn set(&mut self, step: &mut Step<'_>, due: i64, key: K) {
        self.waiting.push(step, due, 0, Waiter::Record { key, value: (), headers: Vec::new() }, 0);
    }
}

impl<K, V, S, T> Terminal<K, V> for TableFold<K, V, S, T>
where
    K: StateKey,
    V: Clone + 'static,
    S: Folding<V>,
    T: Terminal<K, Option<S::Row>>,
{
    fn accept(&mut self, step: &mut Step<'_>, record: &Timed<K, V>) {
        let Self { store, fold, rows, deadlines, changed, .. } = self;
        let Timed { key, value, time: EventTime(time) } = record;
        let to_live = deadlines.as_ref().map(|deadlines| deadlines.to_live);
        // What is gone by the time to which this record takes its partition is gone, closed or not.
        let now = step.stream_time.0.max(*time);
        let is_gone = |last: i64| to_live.is_some_and(|to_live| last.saturating_add(to_live) < now);
        if is_gone(*time) {
            return step.late(store);
        }
        let mut to_set = None;
        rows.change(step, key, |row| {
            let before = row.take();
            let waits = before.as_ref().map(|aged| aged.due);
            let (before, last) = match before.filter(|aged| !is_gone(aged.last)) {
                Some(aged) => (Some(aged.row), aged.last.max(*time)),
                None => (None, *time),
            };
            *row = fold.fold(before, value.clone()).map(|row| {
                let due = waits.unwrap_or_else(|| {
                    let due = last.saturating_add(to_live.unwrap_or(0));
                    to_set = Some(due);
                    due
                });
                Aged { row, last, due }
            });
        });
        if let (Some(due), Some(deadlines)) = (to_set, deadlines) {
            deadlines.set(step, due, key.clone());
        }
        if changed.insert(key.clone(), *time).is_none() {
            step.held_bytes += size_of::<(K, i64)>();
        }
    }

    fn advance(&mut self, step: &mut Step<'_>, time: EventTime) {
        let Self { rows, deadlines, changed, side, .. } = self;
        if let Some(deadlines) = deadlines {
            let (through, to_live) = (time.0.saturating_sub(1), deadlines.to_live);
            let mut again = Vec::new();
            deadlines.waiting.release(step, through, |step, due, waiter| {
                let Waiter::Record { key, .. } = waiter else { return };
                let Some(aged) = rows.get(step, &key).filter(|aged| aged.due == due) else { return };
                let end = aged.last.saturating_add(to_live);
                if end <= through {
                    rows.set(step, &key, None);
                    changed.insert(key, end);
                } else {
                    rows.change(step, &key, |row| {
                        if let Some(aged) = row {
                            aged.due = end;
                        }
                    });
                    again.push((end, key));
                }
            });
            for (due, key) in again {
                deadlines.set(step, due, key);
            }
        }
        side.advance(step, time);
    }

    fn drain(&mut self, step: &mut Step<'_>) {
        let Self { rows, deadlines, changed, side, .. } = self;
        for (key, time) in std::mem::take(changed) {
            let value = rows.get(step, &key).map(|aged| aged.row.clone());
            side.accept(step, &Timed { key, value, time: EventTime(time) });
        }
        rows.drain(step);
        if let Some(deadlines) = deadlines {
            deadlines.waiting.drain(step);
        }
        side.drain(step);
    }

    fn abandon(&mut self) {
        self.rows.abandon();
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.waiting.abandon();
        }
        self.changed.clear();
        self.side.abandon();
    }
}

#[cfg(test)]
mod documented;
#[cfg(test)]
mod tests;
