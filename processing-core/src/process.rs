//! Step 3 of 7: a typed record walks the operator chain.
//!
//! Not here: where records come from ([`crate::source`]) and what windows keep
//! ([`crate::window_store`]). Invariant: an operator sees records in the order of their source, and
//! nothing it does is true before the commit.
//!
//! Operators fuse like iterator adapters: each [`Pipe`] owns the one before it and hands what it makes
//! to a closure, so that a whole chain compiles to one function without a dynamic call or an
//! allocation per record. A chain is driven from outside by three verbs: `feed` (a record has come),
//! `advance` (time has moved), `drain` (a commit is due).

mod split;
mod stateless;

use std::marker::PhantomData;

use crate::batch::RecordBatch;
use crate::decode::Decoder;
use crate::record::EventTime;
use crate::repartition::records::Travelled;
use crate::source::{Arrival, SourcePartition};
use crate::step::Step;
use crate::word::{LastWord, Word};

pub use split::{Arm, Arms, NoArm, Split};
pub use stateless::{
    Filter, FilterCounted, FlatMap, KeyBy, KeyByFirst, KeyByPair, Map, MapKeyed, Operation, Peek, Stateless, TryMap,
};

/// A record in the middle of its way: a key, a value and the time they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed<K, V> {
    /// What it is grouped by; [`Unkeyed`] before any `key_by`.
    pub key: K,
    /// The event, or what operators made of it.
    pub value: V,
    /// When it happened.
    pub time: EventTime,
}

/// The key of a stream that has none yet. It is no [`state::StateKey`], so such a stream cannot be windowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unkeyed;

/// Where a chain begins, and so what it is fed with.
pub trait Head: 'static {
    /// Whether it is fed with last words or with updates.
    type Word: Word;
    /// One input.
    type In<'a>: Copy;
    /// How far time has come at the beginning.
    type Time<'a>: Copy;
}

/// The chain begins at the topics of a sub-topology.
#[derive(Debug, Clone, Copy)]
pub struct Sources;

/// A raw record and the number of its topic among the chain's sources.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// Counted from 0 in the order in which the topology names them.
    pub source: usize,
    /// The record's value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The event time that it brings along from before a repartition; [`EventTime::MIN`] for every other.
    pub time: EventTime,
}

impl Head for Sources {
    type Word = LastWord;
    type In<'a> = Raw<'a>;
    /// The time of each source, in their order.
    type Time<'a> = &'a [EventTime];
}

/// The chain begins in the middle of another one, at a `tee` or at `on_update`.
#[derive(Debug)]
pub struct Fork<K, V, W>(PhantomData<fn(K, V, W)>);

impl<K: 'static, V: 'static, W: Word> Head for Fork<K, V, W> {
    type Word = W;
    type In<'a> = &'a Timed<K, V>;
    type Time<'a> = EventTime;
}

/// One operator and everything before it.
///
/// Failures of the store do not travel through the closures: they stay in the [`Step`], which the
/// driver looks at after each batch; the transaction is then aborted, so what was made of them is
/// never seen.
pub trait Pipe: Clone + Send + 'static {
    /// Where the chain begins.
    type Head: Head;
    /// The key of what comes out.
    type Key: 'static;
    /// The value of what comes out.
    type Value: 'static;

    /// One input has arrived.
    fn feed<F>(&mut self, step: &mut Step<'_>, input: <Self::Head as Head>::In<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<Self::Key, Self::Value>);

    /// Time has moved at the beginning: windows that are due close. Answers the time that the *output*
    /// of this operator has reached: nothing that comes out later belongs to an earlier time, and
    /// windows downstream may close up to it.
    fn advance<F>(&mut self, step: &mut Step<'_>, time: <Self::Head as Head>::Time<'_>, emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<Self::Key, Self::Value>);

    /// A commit is due: what is held back in memory is staged and emitted.
    fn drain<F>(&mut self, step: &mut Step<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<Self::Key, Self::Value>);

    /// The transaction was aborted: everything held in memory that the store does not back is
    /// forgotten.
    fn abandon(&mut self);
}

/// What stands at the end of a chain.
#[diagnostic::on_unimplemented(
    message = "a side chain must be ended",
    label = "this closure hands back a chain without an end",
    note = "end the side chain with `to` or `end`, and let that be the closure's value"
)]
pub trait Terminal<K, V>: Clone + Send + 'static {
    /// One record has come through.
    fn accept(&mut self, step: &mut Step<'_>, record: &Timed<K, V>);
    /// Time has moved; `time` is what the chain before has reached.
    fn advance(&mut self, step: &mut Step<'_>, time: EventTime);
    /// A commit is due.
    fn drain(&mut self, step: &mut Step<'_>);
    /// The transaction was aborted.
    fn abandon(&mut self);
}

/// A chain from its head to its end.
#[derive(Clone)]
pub struct Branch<P, T> {
    /// All operators.
    pub(crate) pipe: P,
    /// Where their output goes.
    pub(crate) end: T,
}

/// A whole chain that begins at topics, its types forgotten: one dynamic call per batch.
pub(crate) trait Chain: Send {
    /// Runs the records of `batch` from index `from` on. Answers the index at which it stopped: the end,
    /// or earlier where the step is full and a commit must come first.
    fn run(&mut self, step: &mut Step<'_>, place: &mut SourcePartition, batch: &RecordBatch, from: usize) -> usize;
    /// See [`Pipe::advance`].
    fn advance(&mut self, step: &mut Step<'_>, times: &[EventTime]);
    /// See [`Pipe::drain`].
    fn drain(&mut self, step: &mut Step<'_>);
    /// See [`Pipe::abandon`].
    fn abandon(&mut self);
    /// A chain of the same make that has seen nothing.
    fn fresh(&self) -> Box<dyn Chain>;
}

impl<P, T> Chain for Branch<P, T>
where
    P: Pipe<Head = Sources>,
    T: Terminal<P::Key, P::Value>,
{
    fn run(&mut self, step: &mut Step<'_>, place: &mut SourcePartition, batch: &RecordBatch, from: usize) -> usize {
        let Self { pipe, end } = self;
        let source = place.source;
        for index in from..batch.len() {
            if step.is_full() {
                return index;
            }
            let Some(record) = batch.get(index) else { return index };
            let mut feed = |step: &mut Step<'_>, key, value, time| {
                let input = Raw { source, value, key, time };
                pipe.feed(step, input, &mut |step, record| end.accept(step, &record));
            };
            let read = match place.arrive(step, record) {
                Arrival::Event(value) => {
                    feed(step, record.key, value, EventTime::MIN);
                    place.depart(step, record);
                    Ok(())
                }
                Arrival::Bundle(mut bundle) => loop {
                    match bundle.next() {
                        Ok(Some((key, partial))) => feed(step, Some(key), Some(partial), EventTime::MIN),
                        Ok(None) => break Ok(()),
                        Err(poison) => break Err(poison),
                    }
                },
                Arrival::Records(mut bundle) => loop {
                    match Travelled::next(&mut bundle) {
                        Ok(Some(travelled)) => {
                            place.receive(step, &travelled);
                            feed(step, Some(travelled.key), Some(travelled.value), travelled.time);
                            place.dismiss(step, &travelled);
                        }
                        Ok(None) => break Ok(()),
                        Err(poison) => break Err(poison),
                    }
                },
                Arrival::Passed => Ok(()),
            };
            if let Err(poison) = read {
                place.fail(step, record.offset, &poison);
            }
        }
        batch.len()
    }

    fn advance(&mut self, step: &mut Step<'_>, times: &[EventTime]) {
        let Self { pipe, end } = self;
        let reached = pipe.advance(step, times, &mut |step, record| end.accept(step, &record));
        end.advance(step, reached);
    }

    fn drain(&mut self, step: &mut Step<'_>) {
        let Self { pipe, end } = self;
        pipe.drain(step, &mut |step, record| end.accept(step, &record));
        end.drain(step);
    }

    fn abandon(&mut self) {
        self.pipe.abandon();
        self.end.abandon();
    }

    fn fresh(&self) -> Box<dyn Chain> {
        Box::new(self.clone())
    }
}

impl<K, V, W, P, T> Terminal<K, V> for Branch<P, T>
where
    K: 'static,
    V: 'static,
    W: Word,
    P: Pipe<Head = Fork<K, V, W>>,
    T: Terminal<P::Key, P::Value>,
{
    fn accept(&mut self, step: &mut Step<'_>, record: &Timed<K, V>) {
        let Self { pipe, end } = self;
        pipe.feed(step, record, &mut |step, record| end.accept(step, &record));
    }

    fn advance(&mut self, step: &mut Step<'_>, time: EventTime) {
        let Self { pipe, end } = self;
        let reached = pipe.advance(step, time, &mut |step, record| end.accept(step, &record));
        end.advance(step, reached);
    }

    fn drain(&mut self, step: &mut Step<'_>) {
        let Self { pipe, end } = self;
        pipe.drain(step, &mut |step, record| end.accept(step, &record));
        end.drain(step);
    }

    fn abandon(&mut self) {
        self.pipe.abandon();
        self.end.abandon();
    }
}

/// Steps 2 and 3 joined: decodes the records of its sources and asks each for its event time.
#[derive(Clone)]
pub struct Decoded<D, T> {
    /// One for each source, in their order.
    pub(crate) decoders: Vec<D>,
    pub(crate) time: T,
}

impl<D, T> Pipe for Decoded<D, T>
where
    D: Decoder,
    T: Fn(&D::Event) -> EventTime + Clone + Send + 'static,
{
    type Head = Sources;
    type Key = Unkeyed;
    type Value = D::Event;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: Raw<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<Unkeyed, D::Event>),
    {
        let Some(decoder) = self.decoders.get(input.source) else { return };
        match decoder.decode(input.value) {
            Ok(event) => {
                let time = (self.time)(&event);
                if step.accept_event_time(time) {
                    emit(step, Timed { key: Unkeyed, value: event, time });
                }
            }
            Err(poison) => step.dead_letter(poison),
        }
    }

    fn advance<F>(&mut self, _: &mut Step<'_>, times: &[EventTime], _: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<Unkeyed, D::Event>),
    {
        times.iter().copied().min().unwrap_or(EventTime::MIN)
    }

    fn drain<F>(&mut self, _: &mut Step<'_>, _: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<Unkeyed, D::Event>),
    {
    }

    fn abandon(&mut self) {}
}

/// Where a side chain begins: it is handed clones of what passes the `tee`.
pub struct Inlet<K, V, W>(PhantomData<fn(K, V, W)>);

impl<K, V, W> Inlet<K, V, W> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<K, V, W> Clone for Inlet<K, V, W> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<K: Clone + 'static, V: Clone + 'static, W: Word> Pipe for Inlet<K, V, W> {
    type Head = Fork<K, V, W>;
    type Key = K;
    type Value = V;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: &Timed<K, V>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<K, V>),
    {
        emit(step, input.clone());
    }

    fn advance<F>(&mut self, _: &mut Step<'_>, time: EventTime, _: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<K, V>),
    {
        time
    }

    fn drain<F>(&mut self, _: &mut Step<'_>, _: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<K, V>),
    {
    }

    fn abandon(&mut self) {}
}

/// Two streams of one kind become one; its time is the slower one's.
#[derive(Clone)]
pub struct Merge<A, B> {
    pub(crate) left: A,
    pub(crate) right: B,
    /// How many sources the left side has: the right side's are counted on from there.
    pub(crate) left_sources: usize,
}

impl<A, B> Pipe for Merge<A, B>
where
    A: Pipe<Head = Sources>,
    B: Pipe<Head = Sources, Key = A::Key, Value = A::Value>,
{
    type Head = Sources;
    type Key = A::Key;
    type Value = A::Value;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: Raw<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<A::Key, A::Value>),
    {
        match input.source.checked_sub(self.left_sources) {
            None => self.left.feed(step, input, emit),
            Some(source) => self.right.feed(step, Raw { source, ..input }, emit),
        }
    }

    fn advance<F>(&mut self, step: &mut Step<'_>, times: &[EventTime], emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<A::Key, A::Value>),
    {
        let (left, right) = times.split_at(self.left_sources.min(times.len()));
        let left = self.left.advance(step, left, emit);
        left.min(self.right.advance(step, right, emit))
    }

    fn drain<F>(&mut self, step: &mut Step<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<A::Key, A::Value>),
    {
        self.left.drain(step, emit);
        self.right.drain(step, emit);
    }

    fn abandon(&mut self) {
        self.left.abandon();
        self.right.abandon();
    }
}

/// Lets everything pass and shows it to a side chain on the way.
#[derive(Clone)]
pub struct Tee<P, S> {
    pub(crate) up: P,
    pub(crate) side: S,
}

impl<P, S> Pipe for Tee<P, S>
where
    P: Pipe,
    S: Terminal<P::Key, P::Value>,
{
    type Head = P::Head;
    type Key = P::Key;
    type Value = P::Value;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: <Self::Head as Head>::In<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, P::Value>),
    {
        let Self { up, side } = self;
        up.feed(step, input, &mut |step, record| {
            side.accept(step, &record);
            emit(step, record);
        });
    }

    fn advance<F>(&mut self, step: &mut Step<'_>, time: <Self::Head as Head>::Time<'_>, emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, P::Value>),
    {
        let Self { up, side } = self;
        let reached = up.advance(step, time, &mut |step, record| {
            side.accept(step, &record);
            emit(step, record);
        });
        side.advance(step, reached);
        reached
    }

    fn drain<F>(&mut self, step: &mut Step<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, P::Value>),
    {
        let Self { up, side } = self;
        up.drain(step, &mut |step, record| {
            side.accept(step, &record);
            emit(step, record);
        });
        side.drain(step);
    }

    fn abandon(&mut self) {
        self.up.abandon();
        self.side.abandon();
    }
}
