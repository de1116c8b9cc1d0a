//! The middle of a foreign-key join: the left rows under the foreign keys that they name, beside the right table.
//!
//! Not here: whose answers count ([`super::results`]). Invariant: a left row that is there has been answered from the
//! right row that is there, or its foreign key waits for its turn; a turn is a bounded number of answers with each
//! commit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use state::store::OwnedRange;
use state::{ColumnId, StateKey};

use super::{Response, Subscription, Version, Word};
use crate::error::CoreError;
use crate::join::Joiner;
use crate::process::{Pipe, Raw, Sources, Timed};
use crate::record::EventTime;
use crate::repartition::records::Repartitioned;
use crate::step::Step;
use crate::table::{Kept, TableRows};
use crate::table_source::TablePipe;
use crate::waiting::{Waiter, Waiting};

/// Turns come in the order in which they were asked for, whatever event time is.
const IN_TURN: i64 = 0;

/// A left row.
#[derive(Serialize, Deserialize)]
struct Subscriber<L> {
    version: Version,
    time: EventTime,
    row: L,
}

/// How far a foreign key's left rows have been told of its right row.
#[derive(Serialize, Deserialize)]
struct Turn {
    /// When the right row changed.
    time: EventTime,
    /// The key of the next left row to be told, as the store has it; empty at the beginning.
    from: Vec<u8>,
}

/// Where it keeps what: left rows, right rows, and foreign keys that wait for their turn.
#[derive(Clone, Copy)]
pub(crate) struct Stores {
    pub(crate) left: (&'static str, ColumnId),
    pub(crate) right: (&'static str, ColumnId),
    pub(crate) turns: (&'static str, ColumnId),
}

/// Answers the left rows of type `L`, by keys `K`, that come through the subscriptions' topic, from the right table
/// `B`.
pub(crate) struct Respond<K, L, B: TablePipe, J> {
    subscriptions: Repartitioned<Vec<u8>, Subscription>,
    right: B,
    desk: Desk<K, L, B::Key, B::Row, J>,
}

/// What answers are made of.
struct Desk<K, L, F, R, J> {
    stores: Stores,
    left: TableRows<(F, K), Subscriber<L>>,
    right: TableRows<F, (EventTime, R)>,
    /// Right rows that the open transaction has changed.
    changed: BTreeMap<F, EventTime>,
    turns: Waiting<F, Turn, ()>,
    join: J,
}

impl<K, L, F, R, J> Desk<K, L, F, R, J> {
    fn new(stores: Stores, join: J) -> Self {
        let Stores { left, right, turns } = stores;
        Self {
            stores,
            left: TableRows::new(left.0, left.1),
            right: TableRows::new(right.0, right.1),
            changed: BTreeMap::new(),
            turns: Waiting::new(turns.0, turns.1),
            join,
        }
    }
}

impl<K, L, B: TablePipe, J> Respond<K, L, B, J> {
    pub(crate) fn new(right: B, stores: Stores, join: J) -> Self {
        Self { subscriptions: Repartitioned::new(), right, desk: Desk::new(stores, join) }
    }
}

/// A clone has seen nothing.
impl<K, L, B: TablePipe, J: Clone> Clone for Respond<K, L, B, J> {
    fn clone(&self) -> Self {
        Self::new(self.right.clone(), self.desk.stores, self.desk.join.clone())
    }
}

impl<K, L, F, R, J> Desk<K, L, F, R, J>
where
    K: StateKey,
    L: Kept,
    F: StateKey,
    R: Kept,
    J: Joiner<K, L, R>,
{
    /// The left table's task has said something.
    fn hear<E>(&mut self, step: &mut Step<'_>, said: Timed<Vec<u8>, Subscription>, emit: &mut E)
    where
        E: FnMut(&mut Step<'_>, Timed<K, Response<J::Out>>),
    {
        let Timed { key: foreign, value: Subscription { key, version, word }, time } = said;
        let Some(key) = step.ok(K::decode(&key).map_err(unreadable)) else { return };
        match word {
            Word::Row(row) => {
                let bytes = row.len();
                let foreign = step.ok(F::decode(&foreign).map_err(unreadable));
                let row = step.ok(state::codec::decode(&row).map_err(unreadable));
                let Some((foreign, row)) = foreign.zip(row) else { return };
                step.held_bytes += bytes;
                let subscriber = Subscriber { version, time, row };
                // Where the right row has changed as well, all its left rows are told at the commit.
                if !self.changed.contains_key(&foreign) {
                    let response = respond(&self.join, &key, &subscriber, self.right.get(step, &foreign), time);
                    emit(step, response);
                }
                self.left.set(step, &(foreign, key), Some(subscriber));
            }
            Word::Left => {
                let Some(foreign) = step.ok(F::decode(&foreign).map_err(unreadable)) else { return };
                self.left.set(step, &(foreign, key), None);
            }
            Word::Alone(row) => {
                let Some(row) = step.ok(state::codec::decode(&row).map_err(unreadable)) else { return };
                let result = self.join.left_alone(&key, &row);
                emit(step, Timed { key, value: Response { version, result, gone: None }, time });
            }
            Word::Gone(at) => {
                emit(step, Timed { key, value: Response { version, result: None, gone: Some(at) }, time });
            }
        }
    }

    /// The right table has changed.
    fn change(&mut self, step: &mut Step<'_>, update: Timed<F, Option<R>>) {
        let Timed { key, value, time } = update;
        let mut matters = false;
        self.right.change(step, &key, |row| {
            matters = row.is_some() || value.is_some();
            *row = value.map(|row| (time, row));
        });
        if !matters {
            return;
        }
        if let Some(known) = self.changed.get_mut(&key) {
            *known = time.max(*known);
        } else {
            step.held_bytes += size_of::<(F, EventTime)>();
            self.changed.insert(key, time);
        }
    }

    /// Tells left rows of right rows that have changed, as many as the step allows.
    fn take_turns<E>(&mut self, step: &mut Step<'_>, emit: &mut E)
    where
        E: FnMut(&mut Step<'_>, Timed<K, Response<J::Out>>),
    {
        for (key, time) in std::mem::take(&mut self.changed) {
            let turn = Waiter::Record { key, value: Turn { time, from: Vec::new() }, headers: Vec::new() };
            self.turns.push(step, IN_TURN, 0, turn, 0);
        }
        let Self { left, right, turns, join, .. } = self;
        let mut cut = None;
        turns.release(step, IN_TURN, |step, _, waiter| {
            let Waiter::Record { key: foreign, value: turn, .. } = waiter else { return };
            let Turn { time, from } = turn;
            let row = right.get(step, &foreign);
            if let Some(from) = tell(step, left, &foreign, from, |step, key, subscriber| {
                let response = respond(join, key, subscriber, row, time);
                emit(step, response);
            }) {
                cut = Some((foreign, Turn { time, from }));
            }
        });
        if let Some((key, value)) = cut {
            self.turns.push(step, IN_TURN, 0, Waiter::Record { key, value, headers: Vec::new() }, 0);
            step.unfinished = true;
        }
    }

    fn abandon(&mut self) {
        self.left.abandon();
        self.right.abandon();
        self.changed.clear();
        self.turns.abandon();
    }
}

/// Hands the left rows of a foreign key to `each`, from the key with the bytes `from` on: one, and more while the step
/// has room for them. Answers where it stopped before the last.
fn tell<K: StateKey, L: Kept, F: StateKey>(
    step: &mut Step<'_>,
    left: &mut TableRows<(F, K), Subscriber<L>>,
    foreign: &F,
    from: Vec<u8>,
    mut each: impl FnMut(&mut Step<'_>, &K, &Subscriber<L>),
) -> Option<Vec<u8>> {
    let mut prefix = Vec::new();
    foreign.encode_part(&mut prefix);
    let all = OwnedRange::of_prefix(&prefix);
    let mut from = if from.is_empty() { all.start } else { from };
    loop {
        let room = step.closings_left.max(1);
        let (rows, rest) = left.some_of(step, &from, all.end.as_deref(), room);
        for ((foreign, key), subscriber) in rows {
            each(step, &key, &subscriber);
            step.closings_left = step.closings_left.saturating_sub(1);
            if step.is_full() {
                step.closings_left = 0;
                let mut behind = Vec::new();
                (foreign, key).encode(&mut behind);
                behind.push(0);
                return Some(behind);
            }
        }
        from = rest?;
        if step.closings_left == 0 {
            return Some(from);
        }
    }
}

/// What a left row and the right row that it names make. `at` is the time of a result that there is none of.
fn respond<K: StateKey, L, R, J: Joiner<K, L, R>>(
    join: &J,
    key: &K,
    subscriber: &Subscriber<L>,
    right: Option<&(EventTime, R)>,
    at: EventTime,
) -> Timed<K, Response<J::Out>> {
    let Subscriber { version, time, row } = subscriber;
    let (result, time) = match right {
        Some((since, right)) => (Some(join.pair(key, row, right)), *time.max(since)),
        None => match join.left_alone(key, row) {
            Some(alone) => (Some(alone), *time),
            None => (None, at.max(*time)),
        },
    };
    Timed { key: key.clone(), value: Response { version: *version, result, gone: None }, time }
}

fn unreadable(error: impl std::fmt::Display) -> CoreError {
    CoreError::contradiction(format!(
        "a subscription of a foreign-key join cannot be read by this version ({error}): finish the repartition topic \
         with the version that wrote it, or run `streamfleet reprocess`"
    ))
}

impl<K, L, B, J> Pipe for Respond<K, L, B, J>
where
    K: StateKey,
    L: Kept,
    B: TablePipe,
    J: Joiner<K, L, B::Row>,
{
    type Head = Sources;
    type Key = K;
    type Value = Response<J::Out>;

    fn feed<E>(&mut self, step: &mut Step<'_>, input: Raw<'_>, emit: &mut E)
    where
        E: FnMut(&mut Step<'_>, Timed<K, Response<J::Out>>),
    {
        let Self { subscriptions, right, desk } = self;
        match input.source.checked_sub(1) {
            None => subscriptions.feed(step, input, &mut |step, said| desk.hear(step, said, emit)),
            Some(source) => {
                right.feed(step, Raw { source, ..input }, &mut |step, update| desk.change(step, update));
            }
        }
    }

    fn advance<E>(&mut self, step: &mut Step<'_>, times: &[EventTime], _: &mut E) -> EventTime
    where
        E: FnMut(&mut Step<'_>, Timed<K, Response<J::Out>>),
    {
        let Self { right, desk, .. } = self;
        let (subscribed, of_right) = times.split_first().unwrap_or((&EventTime::MIN, &[]));
        let right = right.advance(step, of_right, &mut |step, update| desk.change(step, update));
        right.min(*subscribed)
    }

    fn drain<E>(&mut self, step: &mut Step<'_>, emit: &mut E)
    where
        E: FnMut(&mut Step<'_>, Timed<K, Response<J::Out>>),
    {
        let Self { right, desk, .. } = self;
        right.drain(step, &mut |step, update| desk.change(step, update));
        desk.take_turns(step, emit);
        desk.left.drain(step);
        desk.right.drain(step);
        desk.turns.drain(step);
    }

    fn abandon(&mut self) {
        self.right.abandon();
        self.desk.abandon();
    }
}
