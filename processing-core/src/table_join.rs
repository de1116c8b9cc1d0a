//! A stream beside a table: each record meets the row that its key had at the record's own time.
//!
//! Not here: the table's rows ([`crate::table`]) and the order of what waits ([`crate::waiting`]). Invariant: a
//! record is joined when nothing can come any more that would change its row, and with the newest row that took
//! effect at its time or before; so what comes out hangs on the input log and the time log alone. In which order, as
//! well, but for records of one time that came through a repartition or out of a join of streams: in their one topic
//! nothing tells those of several tasks apart, and they leave in the order of their arrival
//! ([`crate::plan::Plan::follows_arrival`]).
//!
//! ```text
//!            updates, from the later of their time and their partition's stream time on
//!   table  ──┬────────┬─────────────┬──────────────────▶ T
//!            │        │             │        ┊
//!   stream ─────●──────────●────────────●────┊──▲───────▶ S
//!               └──────────┴─ joined ───┘    ┊  └ waits for the table
//! ```
//!
//! Both sides are brought into one order, as a merge join does it: what has come is taken up to the time that
//! both have passed, updates before records of the same time. So one row for each key is enough, and as much
//! history is kept as one side is ahead of the other.

use std::borrow::Cow;
use std::marker::PhantomData;

use state::{ColumnId, StateKey};

use crate::batch::Headers;
use crate::process::{Pipe, Raw, Sources, Timed};
use crate::record::{DurationMs, EventTime};
use crate::step::Step;
use crate::table::{Kept, TableRows};
use crate::table_source::ReadUpdates;
use crate::waiting::{QueuedKey, Waiter, Waiting, headers_of};

/// Joins the records of `P` with the table whose updates `Q` reads, each with the row that `X` finds for it.
pub struct TableJoin<P: Pipe, Q: ReadUpdates, X, J> {
    stream: P,
    /// How many sources the stream has: the table's is counted on from there.
    stream_sources: usize,
    /// Whether the stream is of several topics, whose records of one time have no order of arrival.
    is_of_several: bool,
    table: Q,
    find: X,
    grace: DurationMs,
    store: &'static str,
    waiting: Waiting<P::Key, P::Value, Q::Row, Q::Key>,
    rows: TableRows<Q::Key, Q::Row>,
    join: J,
}

/// Under which key of the table a record's row stands.
pub trait Find<K, V>: Clone + Send + 'static {
    /// The table's key.
    type Key: StateKey;
    /// The key of the row of this record; `None` where it names none.
    fn find<'r>(&self, key: &'r K, value: &'r V) -> Option<Cow<'r, Self::Key>>;
}

/// Under the record's own key.
#[derive(Debug, Clone, Copy)]
pub struct ByOwnKey;

impl<K: StateKey, V> Find<K, V> for ByOwnKey {
    type Key = K;
    fn find<'r>(&self, key: &'r K, _: &'r V) -> Option<Cow<'r, K>> {
        Some(Cow::Borrowed(key))
    }
}

/// Under a key that the closure finds in the record's value.
pub struct BySelected<C, T>(pub(crate) C, pub(crate) PhantomData<fn() -> T>);

impl<C: Clone, T> Clone for BySelected<C, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<K, V, T, I, C> Find<K, V> for BySelected<C, T>
where
    T: StateKey,
    I: Into<Option<T>>,
    C: Fn(&V) -> I + Clone + Send + 'static,
{
    type Key = T;
    fn find<'r>(&self, _: &'r K, value: &'r V) -> Option<Cow<'r, T>> {
        (self.0)(value).into().map(Cow::Owned)
    }
}

/// What becomes of a record and the row of its key.
pub trait Joiner<K, V, R>: Clone + Send + 'static {
    /// What comes out.
    type Out: 'static;
    /// Joins them; `None` where nothing comes out.
    fn join(&self, key: &K, value: V, row: Option<&R>) -> Option<Self::Out>;
}

/// Only records whose key has a row come out.
pub struct Inner<C, W>(C, PhantomData<fn() -> W>);

/// Every record comes out.
pub struct Left<C, W>(C, PhantomData<fn() -> W>);

macro_rules! joiner {
    ($name:ident) => {
        impl<C, W> $name<C, W> {
            pub(crate) fn new(join: C) -> Self {
                Self(join, PhantomData)
            }
        }

        impl<C: Clone, W> Clone for $name<C, W> {
            fn clone(&self) -> Self {
                Self::new(self.0.clone())
            }
        }
    };
}

joiner!(Inner);
joiner!(Left);

impl<K, V, R, W, C> Joiner<K, V, R> for Inner<C, W>
where
    W: 'static,
    C: Fn(&K, V, &R) -> W + Clone + Send + 'static,
{
    type Out = W;
    fn join(&self, key: &K, value: V, row: Option<&R>) -> Option<W> {
        row.map(|row| (self.0)(key, value, row))
    }
}

impl<K, V, R, W, C> Joiner<K, V, R> for Left<C, W>
where
    W: 'static,
    C: Fn(&K, V, Option<&R>) -> W + Clone + Send + 'static,
{
    type Out = W;
    fn join(&self, key: &K, value: V, row: Option<&R>) -> Option<W> {
        Some((self.0)(key, value, row))
    }
}

/// What a join is made of, beside the stream and what it makes.
pub(crate) struct TableSide<Q, X> {
    pub(crate) is_of_several: bool,
    pub(crate) table: Q,
    pub(crate) find: X,
    pub(crate) grace: DurationMs,
    pub(crate) store: &'static str,
    pub(crate) rows: ColumnId,
    pub(crate) waiting: (&'static str, ColumnId),
}

/// By hand: a derived one would ask what waits to be `Clone`.
impl<P: Pipe, Q: ReadUpdates, X: Clone, J: Clone> Clone for TableJoin<P, Q, X, J> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            table: self.table.clone(),
            find: self.find.clone(),
            waiting: self.waiting.clone(),
            rows: self.rows.clone(),
            join: self.join.clone(),
            ..*self
        }
    }
}

impl<P: Pipe, Q: ReadUpdates, X, J> TableJoin<P, Q, X, J> {
    pub(crate) fn new(stream: P, stream_sources: usize, side: TableSide<Q, X>, join: J) -> Self {
        let TableSide { is_of_several, table, find, grace, store, rows, waiting: (name, column) } = side;
        let (waiting, rows) = (Waiting::new(name, column), TableRows::new(store, rows));
        Self { stream, stream_sources, is_of_several, table, find, grace, store, waiting, rows, join }
    }
}

/// About what a record's key and value hold outside of themselves.
fn bytes_of(input: Raw<'_>) -> usize {
    input.key.map_or(0, <[u8]>::len) + input.value.map_or(0, <[u8]>::len)
}

impl<P, Q, X, J> Pipe for TableJoin<P, Q, X, J>
where
    P: Pipe<Head = Sources, Key: QueuedKey, Value: Kept>,
    Q: ReadUpdates,
    X: Find<P::Key, P::Value, Key = Q::Key>,
    J: Joiner<P::Key, P::Value, Q::Row>,
{
    type Head = Sources;
    type Key = P::Key;
    type Value = J::Out;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: Raw<'_>, _: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, J::Out>),
    {
        let Self { stream, table, waiting, grace, store, .. } = self;
        if let Some(source) = input.source.checked_sub(self.stream_sources) {
            let bytes = bytes_of(input);
            return table.feed(step, Raw { source, ..input }, &mut |step, Timed { key, value: row, time }| {
                waiting.push(step, time.0, 0, Waiter::Update { key, row }, bytes);
            });
        }
        let (source, bytes) = (u16::try_from(input.source).unwrap_or(u16::MAX), bytes_of(input));
        stream.feed(step, input, &mut |step, record| {
            if record.time.0.saturating_add(grace.0) < step.stream_time.0 {
                return step.late(store);
            }
            let headers = headers_of(step);
            let bytes = bytes + headers.len();
            let Timed { key, value, time } = record;
            waiting.push(step, time.0, source, Waiter::Record { key, value, headers }, bytes);
        });
    }

    fn advance<F>(&mut self, step: &mut Step<'_>, times: &[EventTime], emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, J::Out>),
    {
        let Self { stream, stream_sources, is_of_several, table, find, waiting, rows, join, grace, .. } = self;
        let (of_stream, of_table) = times.split_at((*stream_sources).min(times.len()));
        let mut came = |step: &mut Step<'_>, record: Timed<P::Key, P::Value>| {
            let Timed { key, value, time } = record;
            waiting.push(step, time.0, 0, Waiter::Record { key, value, headers: Vec::new() }, 0);
        };
        // What a chain makes of time (closed windows before this one) was judged already.
        step.stream_time = EventTime::MIN;
        let stream_time = stream.advance(step, of_stream, &mut came);
        let table_time = table.advance(step, of_table, &mut |_, _| {});
        // Nothing that comes later is of an earlier time than this.
        let settled = stream_time.0.saturating_sub(grace.0);
        // Of one topic, what comes later at the same time is behind; of several, it may belong before.
        let in_order = if *is_of_several { settled.saturating_sub(1) } else { settled };
        let through = in_order.min(table_time.0.saturating_sub(1));
        let left = waiting.release(step, through, |step, time, waiter| match waiter {
            Waiter::Update { key, row } => rows.set(step, &key, row),
            Waiter::Record { key, value, headers } => {
                let row = match find.find(&key, &value) {
                    Some(found) => rows.get(step, &found),
                    None => None,
                };
                let out = join.join(&key, value, row);
                if let Some(value) = out {
                    step.headers.set(Headers(&headers));
                    emit(step, Timed { key, value, time: EventTime(time) });
                }
            }
        });
        step.headers.clear();
        EventTime(left.unwrap_or(i64::MAX).min(settled).min(table_time.0))
    }

    fn drain<F>(&mut self, step: &mut Step<'_>, _: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, J::Out>),
    {
        let Self { stream, waiting, rows, .. } = self;
        stream.drain(step, &mut |step, Timed { key, value, time }| {
            waiting.push(step, time.0, 0, Waiter::Record { key, value, headers: Vec::new() }, 0);
        });
        waiting.drain(step);
        rows.drain(step);
    }

    fn abandon(&mut self) {
        self.stream.abandon();
        self.waiting.abandon();
        self.rows.abandon();
    }
}

#[cfg(test)]
mod broadcast_tests;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod tests;
