//! Where the updates of a table come from: the records of a topic, each of which stands until the next under its key.
//!
//! Not here: the rows that updates make ([`crate::table`]), and who waits for them ([`crate::table_join`]). Invariant:
//! an update takes effect at the later of its own time and its partition's stream time, so a late one never changes
//! what was true before it, and the updates of a partition take effect in the order of the log.

use std::marker::PhantomData;

use state::StateKey;

use crate::decode::{Decoder, Poison};
use crate::process::{Pipe, Raw, Sources, Timed};
use crate::record::{EventTime, LogTime};
use crate::repartition::records::Repartitioned;
use crate::step::Step;
use crate::table::Kept;

/// A chain of a table's updates: each is a key's row from its time on, `None` where it has none any more.
pub trait TablePipe: Pipe<Head = Sources, Key: StateKey, Value = Option<<Self as TablePipe>::Row>> {
    /// A row.
    type Row: Kept;
}

/// Updates that come when they are read, at the time at which they take effect; others come with a commit.
pub trait ReadUpdates: TablePipe {}

impl<K: StateKey, R: Kept> TablePipe for Repartitioned<K, Option<R>> {
    type Row = R;
}

impl<K: StateKey, R: Kept> ReadUpdates for Repartitioned<K, Option<R>> {}

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

/// The updates of one topic.
pub struct TableSource<K, D, T> {
    decoder: D,
    time: T,
    key: PhantomData<fn() -> K>,
}

impl<K, D, T> TableSource<K, D, T> {
    pub(crate) fn new(decoder: D, time: T) -> Self {
        Self { decoder, time, key: PhantomData }
    }
}

/// By hand: a derived one would ask the key's type to be `Clone`, and none is held.
impl<K, D: Clone, T: Clone> Clone for TableSource<K, D, T> {
    fn clone(&self) -> Self {
        Self::new(self.decoder.clone(), self.time.clone())
    }
}

impl<K, D, T> TablePipe for TableSource<K, D, T>
where
    K: StateKey,
    D: Decoder<Event: Kept>,
    T: UpdateTime<D::Event>,
{
    type Row = D::Event;
}

impl<K, D, T> ReadUpdates for TableSource<K, D, T>
where
    K: StateKey,
    D: Decoder<Event: Kept>,
    T: UpdateTime<D::Event>,
{
}

impl<K, D, T> Pipe for TableSource<K, D, T>
where
    K: StateKey,
    D: Decoder<Event: Kept>,
    T: UpdateTime<D::Event>,
{
    type Head = Sources;
    type Key = K;
    type Value = Option<D::Event>;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: Raw<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<K, Option<D::Event>>),
    {
        let key = input.key.ok_or_else(|| "a record of a table needs a key".to_owned());
        let key = match key.and_then(|key| K::decode(key).map_err(|error| error.to_string())) {
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
            emit(step, Timed { key, value: row, time: effective });
        }
    }

    fn advance<F>(&mut self, _: &mut Step<'_>, times: &[EventTime], _: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<K, Option<D::Event>>),
    {
        times.iter().copied().min().unwrap_or(EventTime::MIN)
    }

    fn drain<F>(&mut self, _: &mut Step<'_>, _: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<K, Option<D::Event>>),
    {
    }

    fn abandon(&mut self) {}
}
