//! Two tables joined by their key: the result is a table again.
//!
//! Not here: where updates come from ([`crate::table_source`], [`crate::folded`]). Invariant: what was last said of a
//! key is what the join makes of the present rows of both sides; each commit says it at most once, and a tombstone only
//! of a key that had a result before.
//!
//! Kafka Streams says something for each update of either side. Here a commit is one moment: of all that happens to a
//! key within it the last word is said, with the later of its two rows' times. In what order the updates of the two
//! topics are read, a replay may choose anew; the present rows at the end are the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use state::{ColumnId, StateKey};

use crate::join::{Joiner, Side};
use crate::process::{Pipe, Raw, Sources, Timed};
use crate::record::EventTime;
use crate::step::Step;
use crate::table::{Kept, TableRows};
use crate::table_source::TablePipe;

/// What both tables hold under a key, each with the time from which on.
#[derive(Serialize, Deserialize)]
struct Both<L, R> {
    left: Option<(EventTime, L)>,
    right: Option<(EventTime, R)>,
}

impl<L, R> Both<L, R> {
    const NEITHER: Self = Self { left: None, right: None };

    fn is_empty(&self) -> bool {
        self.left.is_none() && self.right.is_none()
    }

    /// Whether the join makes something of them.
    fn has_result<K, J: Joiner<K, L, R>>(&self) -> bool {
        match (&self.left, &self.right) {
            (Some(_), Some(_)) => true,
            (Some(_), None) => J::KIND.keeps(Side::Left),
            (None, Some(_)) => J::KIND.keeps(Side::Right),
            (None, None) => false,
        }
    }

    /// What it makes, and since when.
    fn result<K, J: Joiner<K, L, R>>(&self, key: &K, join: &J) -> Option<(EventTime, J::Out)> {
        match (&self.left, &self.right) {
            (Some((since, left)), Some((or, right))) => Some((*since.max(or), join.pair(key, left, right))),
            (Some((since, left)), None) => Some((*since, join.left_alone(key, left)?)),
            (None, Some((since, right))) => Some((*since, join.right_alone(key, right)?)),
            (None, None) => None,
        }
    }
}

/// What the open transaction has done to a key.
struct Change {
    /// Whether the last commit had a result.
    had_result: bool,
    /// The latest update.
    time: EventTime,
}

/// The pairs of one task.
struct Pairs<K, L, R> {
    rows: TableRows<K, Both<L, R>>,
    changed: BTreeMap<K, Change>,
}

/// Joins the tables whose updates `A` and `B` bring.
pub struct TablePair<A, B, J>
where
    A: TablePipe,
    B: TablePipe<Key = A::Key>,
{
    left: A,
    right: B,
    /// How many sources the left side has: the right side's are counted on from there.
    left_sources: usize,
    pairs: Pairs<A::Key, A::Row, B::Row>,
    join: J,
}

/// By hand: a clone has seen nothing, and rows need not be `Clone`.
impl<A, B, J> Clone for TablePair<A, B, J>
where
    A: TablePipe,
    B: TablePipe<Key = A::Key>,
    J: Clone,
{
    fn clone(&self) -> Self {
        Self {
            left: self.left.clone(),
            right: self.right.clone(),
            left_sources: self.left_sources,
            pairs: Pairs { rows: self.pairs.rows.clone(), changed: BTreeMap::new() },
            join: self.join.clone(),
        }
    }
}

impl<A, B, J> TablePair<A, B, J>
where
    A: TablePipe,
    B: TablePipe<Key = A::Key>,
{
    pub(crate) fn new(
        left: A,
        right: B,
        left_sources: usize,
        (store, column): (&'static str, ColumnId),
        join: J,
    ) -> Self {
        let pairs = Pairs { rows: TableRows::new(store, column), changed: BTreeMap::new() };
        Self { left, right, left_sources, pairs, join }
    }
}

impl<K, L, R> Pairs<K, L, R>
where
    K: StateKey,
    L: Kept,
    R: Kept,
{
    fn take_left<J: Joiner<K, L, R>>(&mut self, step: &mut Step<'_>, update: Timed<K, Option<L>>) {
        let Timed { key, value, time } = update;
        self.take::<J>(step, key, time, |both| both.left = value.map(|row| (time, row)));
    }

    fn take_right<J: Joiner<K, L, R>>(&mut self, step: &mut Step<'_>, update: Timed<K, Option<R>>) {
        let Timed { key, value, time } = update;
        self.take::<J>(step, key, time, |both| both.right = value.map(|row| (time, row)));
    }

    /// A side has changed: `put` brings the change into the row.
    fn take<J: Joiner<K, L, R>>(
        &mut self,
        step: &mut Step<'_>,
        key: K,
        time: EventTime,
        put: impl FnOnce(&mut Both<L, R>),
    ) {
        let (mut had_result, mut has_result) = (false, false);
        self.rows.change(step, &key, |row| {
            let mut both = row.take().unwrap_or(Both::NEITHER);
            had_result = both.has_result::<K, J>();
            put(&mut both);
            has_result = both.has_result::<K, J>();
            *row = (!both.is_empty()).then_some(both);
        });
        if let Some(change) = self.changed.get_mut(&key) {
            change.time = time.max(change.time);
        } else if had_result || has_result {
            step.held_bytes += size_of::<(K, Change)>();
            self.changed.insert(key, Change { had_result, time });
        }
    }
}

impl<A, B, J> Pipe for TablePair<A, B, J>
where
    A: TablePipe,
    B: TablePipe<Key = A::Key>,
    J: Joiner<A::Key, A::Row, B::Row>,
{
    type Head = Sources;
    type Key = A::Key;
    type Value = Option<J::Out>;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: Raw<'_>, _: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<A::Key, Option<J::Out>>),
    {
        let Self { left, right, left_sources, pairs, .. } = self;
        match input.source.checked_sub(*left_sources) {
            None => left.feed(step, input, &mut |step, update| pairs.take_left::<J>(step, update)),
            Some(source) => {
                right.feed(step, Raw { source, ..input }, &mut |step, update| pairs.take_right::<J>(step, update));
            }
        }
    }

    fn advance<F>(&mut self, step: &mut Step<'_>, times: &[EventTime], _: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<A::Key, Option<J::Out>>),
    {
        let Self { left, right, left_sources, pairs, .. } = self;
        let (of_left, of_right) = times.split_at((*left_sources).min(times.len()));
        let left = left.advance(step, of_left, &mut |step, update| pairs.take_left::<J>(step, update));
        left.min(right.advance(step, of_right, &mut |step, update| pairs.take_right::<J>(step, update)))
    }

    fn drain<F>(&mut self, step: &mut Step<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<A::Key, Option<J::Out>>),
    {
        let Self { left, right, pairs, join, .. } = self;
        left.drain(step, &mut |step, update| pairs.take_left::<J>(step, update));
        right.drain(step, &mut |step, update| pairs.take_right::<J>(step, update));
        for (key, Change { had_result, time }) in std::mem::take(&mut pairs.changed) {
            let result = pairs.rows.get(step, &key).and_then(|both| both.result(&key, join));
            match result {
                Some((time, value)) => emit(step, Timed { key, value: Some(value), time }),
                None if had_result => emit(step, Timed { key, value: None, time }),
                None => {}
            }
        }
        pairs.rows.drain(step);
    }

    fn abandon(&mut self) {
        self.left.abandon();
        self.right.abandon();
        self.pairs.rows.abandon();
        self.pairs.changed.clear();
    }
}

impl<A, B, J> TablePipe for TablePair<A, B, J>
where
    A: TablePipe,
    B: TablePipe<Key = A::Key>,
    J: Joiner<A::Key, A::Row, B::Row, Out: Kept>,
{
    type Row = J::Out;
}

#[cfg(test)]
mod tests;
