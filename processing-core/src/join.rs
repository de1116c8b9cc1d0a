//! Two keyed streams become one of what belongs together: the join in a window of event time.
//!
//! ```
//! use processing_core::prelude::*;
//!
//! #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! struct Call {
//!     at: i64,
//!     id: String,
//!     text: String,
//! }
//!
//! fn topology() -> Result<Plan, TopologyError> {
//!     let app = Topology::named("calls");
//!     let calls = |topic| app.stream(Topic::<Json<Call>>::json(topic)).event_time(|call| EventTime(call.at));
//!     let answers = calls("answers").key_by(|answer| answer.id.clone());
//!     let within = JoinWindow::within(DurationMs(0), DurationMs::seconds(30)).grace(DurationMs::seconds(5));
//!     calls("requests")
//!         .key_by(|request| request.id.clone())
//!         .answered_by(answers, within, "waiting")
//!         .map(|exchange| match exchange {
//!             Exchange::Answered { request, answer } => format!("{} {}", request.text, answer.text),
//!             Exchange::TimedOut(request) => format!("{} timed out", request.text),
//!             other => format!("{:?}", std::mem::discriminant(&other)),
//!         })
//!         .to(Topic::json("calls.ended"));
//!     app.build()
//! }
//!
//! processing_core::testing::script::check(
//!     || topology().unwrap(),
//!     r#"
//!     in   requests     10:00:00  -  {"at": $ms, "id": "a", "text": "how far"}
//!     in   requests     10:00:01  -  {"at": $ms, "id": "b", "text": "how long"}
//!     in   answers      10:00:09  -  {"at": $ms, "id": "a", "text": "not far"}
//!     out  calls.ended  a  "how far not far"
//!     in   requests     10:01:00  -  {"at": $ms, "id": "c", "text": "how much"}
//!     in   answers      10:01:01  -  {"at": $ms, "id": "c", "text": "not much"}
//!     out  calls.ended  c  "how much not much"
//!     out  calls.ended  b  "how long timed out"
//!     "#,
//! );
//! ```
//!
//! A left record `l` and a right record `r` of one key match if `l.time - before <= r.time <= l.time + after`. A
//! pair is emitted when the second of the two arrives, at the later of their times. A record is late if its time and
//! the grace lie before its source partition's stream time; it is set aside and matches nothing.
//!
//! A row is *due* at its time + `after` (left) or + `before` (right): the time of the last partner that it may have.
//! It goes when the time of all inputs of both sides, `T`, is strictly beyond due + grace, and if the join keeps
//! unmatched records of its side and it had no partner, it is emitted then, with its own time.
//!
//! **No accepted record misses a partner that has gone.** Let `r` arrive, accepted by the stream time `s` of its
//! source partition: `r.time + grace >= s`. The task has dropped rows up to the `T` of an earlier commit. `T` is at
//! most what `r`'s source partition had reached when that was told: for an input of the task, before `r` was read;
//! for a repartition, by a time record that came before `r`, since in a transaction data come first. Stream times
//! never go back, so `T <= s <= r.time + grace`. A partner `l` has `r.time <= l.time + after`, so
//! `T <= l.time + after + grace`: it has not gone. What a chain before this one made of closed windows has no stream
//! time to be judged by; there `T <= r.time`, for an operator's output time never exceeds the smallest timestamp
//! that it may still emit. The other side is the same with `before`.
//!
//! **On replay** the pairs of each key, and who had no partner, are a function of the input log and the time log
//! alone. The order in which the pairs of one key come is that of the second records' arrival, which for two topics
//! hangs on who was read first. Records without a partner come in the order of (due, side, key, arrival).
//!
//! Where this is not what Kafka Streams does, [`crate::compared`] says why.
//!
//! Costs: see [`store`]. A record that matches many emits them all within one transaction.
//!
//! Not here: the words of the language (`dsl::join`). Invariant: the output's time never exceeds the smallest
//! timestamp that may still be emitted: a pair is no older than `T - grace`, a record without a partner no older
//! than `T - grace` - its bound.

mod due;
mod policy;
mod row;
mod store;
mod window;

use serde::Serialize;
use serde::de::DeserializeOwned;
use state::StateKey;

use crate::error::CoreError;
use crate::process::{Pipe, Raw, Sources, Timed};
use crate::record::EventTime;
use crate::step::Step;
use due::{Alone, Due};
pub(crate) use store::JoinStore;
pub(crate) use window::Side;

pub use policy::{Exchange, FullOuter, Inner, Joiner, LeftOuter, Requests};
pub use window::{JoinWindow, JoinWindowError};

/// Joins the streams of two chains. Both begin at topics of the same task.
#[derive(Clone)]
pub struct Join<L, R, J>
where
    L: Pipe,
{
    pub(crate) left: L,
    pub(crate) right: R,
    /// How many sources the left side has: the right side's are counted on from there.
    pub(crate) left_sources: usize,
    pub(crate) table: Table<L::Key, J>,
}

/// What both sides share.
#[derive(Clone)]
pub(crate) struct Table<K, J> {
    store: JoinStore<K>,
    due: Due<K>,
    joiner: J,
    /// Of the record that is arriving.
    value: Vec<u8>,
}

impl<K: StateKey, J> Table<K, J> {
    pub(crate) fn new(store: JoinStore<K>, joiner: J) -> Self {
        Self { store, due: Due::new(), joiner, value: Vec::new() }
    }

    /// A record of `side` has come. `pair` makes of it and a partner what is emitted, `again` of it alone where it is
    /// one too many.
    fn arrive<V, W, O>(
        &mut self,
        step: &mut Step<'_>,
        side: Side,
        record: &Timed<K, V>,
        pair: impl Fn(&J, &V, &W) -> O,
        again: impl FnOnce(&J, &V) -> Option<O>,
        mut emit: impl FnMut(&mut Step<'_>, Timed<K, O>),
    ) where
        V: Serialize,
        W: DeserializeOwned,
    {
        let Self { store, due, joiner, value } = self;
        let time = crate::window::clamped(record.time);
        let key = &record.key;
        if EventTime(time).plus(store.window.grace_ms()) < step.stream_time {
            step.late(store.rows.name);
            return;
        }
        // What is emitted is made of a record that was judged here; nobody behind this judges it by one of the two.
        let stream_time = std::mem::replace(&mut step.stream_time, EventTime::MIN);
        let name = store.rows.name;
        if store.kind.is_once() && store.has_twin(step, side, time, key) {
            if let Some(value) = again(joiner, &record.value) {
                emit(step, Timed { key: key.clone(), value, time: EventTime(time) });
            }
        } else {
            let found = store.match_with(step, side, time, key, |step, partner| {
                let decoded = state::codec::decode::<W>(partner.value);
                let decoded = decoded.map_err(|error| CoreError::store_rebuild(format!("store {name}: {error}")));
                if let Some(other) = step.ok(decoded) {
                    let time = EventTime(time.max(partner.time));
                    emit(step, Timed { key: key.clone(), value: pair(joiner, &record.value, &other), time });
                }
            });
            let matched = found || !store.kind.keeps(side);
            value.clear();
            // Of what belongs together once and has come together nothing is asked but when it was.
            if !(found && store.kind.is_once()) {
                let encoded = state::codec::encode_into(value, &record.value);
                step.ok(encoded.map_err(|error| CoreError::store_refused(format!("store {name}: {error}"))));
            }
            let arrival = store.insert(step, side, time, key, matched, value);
            if !matched {
                due.add(step, time + store.window.bound(side), side, key, arrival);
            }
        }
        step.stream_time = stream_time;
    }
}

impl<L, R, J> Join<L, R, J>
where
    L: Pipe<Head = Sources, Key: StateKey, Value: Serialize + DeserializeOwned>,
    R: Pipe<Head = Sources, Key = L::Key, Value: Serialize + DeserializeOwned>,
    J: Joiner<L::Key, L::Value, R::Value>,
{
    fn take_left(
        table: &mut Table<L::Key, J>,
        step: &mut Step<'_>,
        record: &Timed<L::Key, L::Value>,
        emit: &mut impl FnMut(&mut Step<'_>, Timed<L::Key, J::Out>),
    ) {
        let pair = |joiner: &J, left: &L::Value, right: &R::Value| joiner.pair(&record.key, left, right);
        table.arrive(step, Side::Left, record, pair, |joiner, left| joiner.left_again(&record.key, left), emit);
    }

    fn take_right(
        table: &mut Table<L::Key, J>,
        step: &mut Step<'_>,
        record: &Timed<L::Key, R::Value>,
        emit: &mut impl FnMut(&mut Step<'_>, Timed<L::Key, J::Out>),
    ) {
        let pair = |joiner: &J, right: &R::Value, left: &L::Value| joiner.pair(&record.key, left, right);
        table.arrive(step, Side::Right, record, pair, |joiner, right| joiner.right_again(&record.key, right), emit);
    }

    /// What is emitted of a record that can no longer match.
    fn alone(joiner: &J, name: &str, alone: &Alone<'_, L::Key>) -> Result<Option<J::Out>, CoreError> {
        let broken = |error| CoreError::store_rebuild(format!("store {name}: {error}"));
        Ok(match alone.side {
            Side::Left => joiner.left_alone(alone.key, &state::codec::decode(alone.value).map_err(broken)?),
            Side::Right => joiner.right_alone(alone.key, &state::codec::decode(alone.value).map_err(broken)?),
        })
    }
}

impl<L, R, J> Pipe for Join<L, R, J>
where
    L: Pipe<Head = Sources, Key: StateKey, Value: Serialize + DeserializeOwned>,
    R: Pipe<Head = Sources, Key = L::Key, Value: Serialize + DeserializeOwned>,
    J: Joiner<L::Key, L::Value, R::Value>,
{
    type Head = Sources;
    type Key = L::Key;
    type Value = J::Out;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: Raw<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<L::Key, J::Out>),
    {
        let Self { left, right, left_sources, table } = self;
        match input.source.checked_sub(*left_sources) {
            None => left.feed(step, input, &mut |step, record| Self::take_left(table, step, &record, emit)),
            Some(source) => {
                let input = Raw { source, ..input };
                right.feed(step, input, &mut |step, record| Self::take_right(table, step, &record, emit));
            }
        }
    }

    fn advance<F>(&mut self, step: &mut Step<'_>, times: &[EventTime], emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<L::Key, J::Out>),
    {
        let Self { left, right, left_sources, table } = self;
        let (left_times, right_times) = times.split_at((*left_sources).min(times.len()));
        // What a chain makes of time (closed windows before this one) was judged already.
        step.stream_time = EventTime::MIN;
        let upto = left.advance(step, left_times, &mut |step, record| Self::take_left(table, step, &record, emit));
        step.stream_time = EventTime::MIN;
        let other = right.advance(step, right_times, &mut |step, record| Self::take_right(table, step, &record, emit));
        step.stream_time = EventTime::MIN;
        let Table { store, due, joiner, .. } = table;
        let name = store.rows.name;
        due.close(store, step, upto.min(other), &mut |step, alone| {
            if let Some(Some(value)) = step.ok(Self::alone(joiner, name, &alone)) {
                emit(step, Timed { key: alone.key.clone(), value, time: EventTime(alone.time) });
            }
        })
    }

    fn drain<F>(&mut self, step: &mut Step<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<L::Key, J::Out>),
    {
        let Self { left, right, table, .. } = self;
        left.drain(step, &mut |step, record| Self::take_left(table, step, &record, emit));
        right.drain(step, &mut |step, record| Self::take_right(table, step, &record, emit));
        table.store.rows.drain(step);
    }

    fn abandon(&mut self) {
        self.left.abandon();
        self.right.abandon();
        self.table.store.rows.abandon();
        self.table.due.abandon();
    }
}

#[cfg(test)]
mod tests;
