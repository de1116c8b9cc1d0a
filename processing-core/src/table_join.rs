//! A stream beside a table: each record meets the row that its key had at the record's own time.
//!
//! Not here: the table's rows ([`crate::table`]) and the order of what waits ([`crate::waiting`]). Invariant: a
//! record is joined when nothing can come any more that would change its row, and with the newest row that took
//! effect at its time or before; so what comes out hangs on the input log and the time log alone.
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

use std::marker::PhantomData;

use state::{ColumnId, StateKey};

use crate::batch::Headers;
use crate::decode::{Decoder, Poison};
use crate::process::{Pipe, Raw, Sources, Timed};
use crate::record::{DurationMs, EventTime, LogTime};
use crate::step::Step;
use crate::table::{Kept, TableRows};
use crate::waiting::{Waiter, Waiting, headers_of};

/// Joins the records of `P` with the table that `D` reads.
pub struct TableJoin<P: Pipe, D: Decoder, T, J> {
    stream: P,
    /// How many sources the stream has: the table's is counted on from there.
    stream_sources: usize,
    /// Whether the stream is of several topics, whose records of one time have no order of arrival.
    is_of_several: bool,
    decoder: D,
    time: T,
    grace: DurationMs,
    store: &'static str,
    waiting: Waiting<P::Key, P::Value, D::Event>,
    rows: TableRows<P::Key, D::Event>,
    join: J,
}

/// When an update of a table takes effect, if its partition's time has not passed that already.
pub trait UpdateTime<R>: Clone + Send + 'static {
    /// The time of an update: its row, `None` for a deletion, and the log's timestamp.
    fn of(&self, row: Option<&R>, logged: LogTime) -> EventTime;
}

/// By the log's timestamp.
#[derive(Debug, Clone, Copy)]
pub struct ByLog;

impl<R> UpdateTime<R> for ByLog {
    fn of(&self, _: Option<&R>, logged: LogTime) -> EventTime {
        EventTime(logged.0)
    }
}

/// By the row itself; a deletion has none, and goes by the log's timestamp.
#[derive(Debug, Clone, Copy)]
pub struct ByRow<C>(pub(crate) C);

impl<R, C> UpdateTime<R> for ByRow<C>
where
    C: Fn(&R) -> EventTime + Clone + Send + 'static,
{
    fn of(&self, row: Option<&R>, logged: LogTime) -> EventTime {
        row.map_or(EventTime(logged.0), &self.0)
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
pub(crate) struct TableSide<D, T> {
    pub(crate) is_of_several: bool,
    pub(crate) decoder: D,
    pub(crate) time: T,
    pub(crate) grace: DurationMs,
    pub(crate) store: &'static str,
    pub(crate) rows: ColumnId,
    pub(crate) waiting: (&'static str, ColumnId),
}

/// By hand: a derived one would ask what waits to be `Clone`.
impl<P: Pipe, D: Decoder, T: Clone, J: Clone> Clone for TableJoin<P, D, T, J> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            decoder: self.decoder.clone(),
            time: self.time.clone(),
            waiting: self.waiting.clone(),
            rows: self.rows.clone(),
            join: self.join.clone(),
            ..*self
        }
    }
}

impl<P: Pipe, D: Decoder, T, J> TableJoin<P, D, T, J> {
    pub(crate) fn new(stream: P, stream_sources: usize, table: TableSide<D, T>, join: J) -> Self {
        let TableSide { is_of_several, decoder, time, grace, store, rows, waiting: (name, column) } = table;
        let (waiting, rows) = (Waiting::new(name, column), TableRows::new(store, rows));
        Self { stream, stream_sources, is_of_several, decoder, time, grace, store, waiting, rows, join }
    }
}

impl<P, D, T, J> TableJoin<P, D, T, J>
where
    P: Pipe<Head = Sources, Key: StateKey, Value: Kept>,
    D: Decoder<Event: Kept>,
    T: UpdateTime<D::Event>,
{
    /// An update of the table has come.
    fn take_update(&mut self, step: &mut Step<'_>, input: Raw<'_>) {
        let key = input.key.ok_or_else(|| "a record of a table needs a key".to_owned());
        let key = match key.and_then(|key| P::Key::decode(key).map_err(|error| error.to_string())) {
            Ok(key) => key,
            Err(error) => return step.dead_letter(Poison::new("table_key", error)),
        };
        let row = match input.value.map(|value| self.decoder.decode(Some(value))).transpose() {
            Ok(row) => row,
            Err(poison) => return step.dead_letter(poison),
        };
        let time = self.time.of(row.as_ref(), step.log_time);
        if step.accept_event_time(time) {
            let effective = time.max(step.stream_time);
            let bytes = bytes_of(input);
            self.waiting.push(step, effective.0, 0, Waiter::Update { key, row }, bytes);
        }
    }
}

/// About what a record's key and value hold outside of themselves.
fn bytes_of(input: Raw<'_>) -> usize {
    input.key.map_or(0, <[u8]>::len) + input.value.map_or(0, <[u8]>::len)
}

impl<P, D, T, J> Pipe for TableJoin<P, D, T, J>
where
    P: Pipe<Head = Sources, Key: StateKey, Value: Kept>,
    D: Decoder<Event: Kept>,
    T: UpdateTime<D::Event>,
    J: Joiner<P::Key, P::Value, D::Event>,
{
    type Head = Sources;
    type Key = P::Key;
    type Value = J::Out;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: Raw<'_>, _: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, J::Out>),
    {
        if input.source >= self.stream_sources {
            return self.take_update(step, input);
        }
        let Self { stream, waiting, grace, store, .. } = self;
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
        let Self { stream, stream_sources, is_of_several, waiting, rows, join, grace, .. } = self;
        let (of_stream, of_table) = times.split_at((*stream_sources).min(times.len()));
        let mut came = |step: &mut Step<'_>, record: Timed<P::Key, P::Value>| {
            let Timed { key, value, time } = record;
            waiting.push(step, time.0, 0, Waiter::Record { key, value, headers: Vec::new() }, 0);
        };
        // What a chain makes of time (closed windows before this one) was judged already.
        step.stream_time = EventTime::MIN;
        let stream_time = stream.advance(step, of_stream, &mut came);
        let table_time = of_table.iter().copied().min().unwrap_or(EventTime::MIN);
        // Nothing that comes later is of an earlier time than this.
        let settled = stream_time.0.saturating_sub(grace.0);
        // Of one topic, what comes later at the same time is behind; of several, it may belong before.
        let in_order = if *is_of_several { settled.saturating_sub(1) } else { settled };
        let through = in_order.min(table_time.0.saturating_sub(1));
        let left = waiting.release(step, through, |step, time, waiter| match waiter {
            Waiter::Update { key, row } => rows.set(step, &key, row),
            Waiter::Record { key, value, headers } => {
                let out = join.join(&key, value, rows.get(step, &key));
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
mod tests;
