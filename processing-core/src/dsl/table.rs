//! Tables from topics, and streams that are joined with them.
//!
//! Not here: how a join works ([`crate::table_join`]); aggregates by window are [`super::Table`]. Invariant: a
//! stream is joined with a table only by the key that both are partitioned by.

#![allow(clippy::type_complexity, reason = "a chain's type spells its operators, as iterator adapters do")]

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use state::StateKey;

use super::draft::Draft;
use super::stream::{Conclude, Ended, Stream};
use super::topic::Topic;
use super::topology::{Topology, TopologyError};
use crate::aggregate::Fold;
use crate::decode::Decoder;
use crate::folded::{ByRecipe, ByReducer, Folding, TableFold};
use crate::plan::{Input, InputKind, Source, StepKind, StoreKind};
use crate::process::{Head, Inlet, Pipe, Sources, Terminal};
use crate::record::{DurationMs, EventTime};
use crate::table::Kept;
use crate::table_join::{ByOwnKey, Find, Inner, Joiner, Left, TableJoin, TableSide};
use crate::table_source::{ByLog, ByRow, ReadUpdates, TableSource, UpdateTime};
use crate::waiting::QueuedKey;
use crate::word::{PresentWord, Settled};

/// A table of keyed rows, as the records of a topic make it: each puts a row in the place of the one before it
/// under its key, and a tombstone takes it away.
///
/// `K` is the key that a record of the topic has, as the stream that is joined with the table has it.
#[must_use = "a table does nothing until a stream is joined with it"]
pub struct KeyedTable<K, D, T> {
    pub(super) draft: Rc<RefCell<Draft>>,
    pub(super) sub: usize,
    pub(super) at: usize,
    decoder: D,
    time: T,
    pub(super) grace: DurationMs,
    key: PhantomData<fn() -> K>,
}

impl Topology {
    /// The records of a topic as a table. An update takes effect at the log's timestamp of its record, or at the
    /// stream time of its partition where that has come further: a late update never changes what was true before.
    ///
    /// The topic should be compacted. A record without a key, or with one that is no `K`, is a dead letter, as one
    /// whose value cannot be read; the row that its key has stays.
    pub fn table<K: StateKey, D: Decoder<Event: Kept>>(&self, topic: Topic<D>) -> KeyedTable<K, D, ByLog> {
        let source = Source::Input(Input { topic: topic.name, kind: InputKind::Rows });
        let (sub, at) = self.draft.borrow_mut().begin(vec![source]);
        KeyedTable {
            draft: Rc::clone(&self.draft),
            sub,
            at,
            decoder: topic.codec,
            time: ByLog,
            grace: DurationMs(0),
            key: PhantomData,
        }
    }
}

impl<K, D: Decoder> KeyedTable<K, D, ByLog> {
    /// An update takes effect at the time that its row names, and a tombstone at its record's log timestamp; at the
    /// partition's stream time where that has come further.
    pub fn event_time<C>(self, time: C) -> KeyedTable<K, D, ByRow<C>>
    where
        C: Fn(&D::Event) -> EventTime + Clone + Send + 'static,
    {
        let Self { draft, sub, at, decoder, grace, key, .. } = self;
        KeyedTable { draft, sub, at, decoder, time: ByRow(time), grace, key }
    }
}

impl<K, D, T> KeyedTable<K, D, T> {
    /// How far a record of the stream may be behind its partition's stream time and still be joined. Records leave
    /// the join in the order of their times, so each waits until the stream has come so much further.
    pub fn grace(mut self, grace: DurationMs) -> Self {
        self.grace = DurationMs(grace.0.max(0));
        self
    }

    /// What reads its topic.
    pub(super) fn source(self) -> TableSource<K, D, T> {
        TableSource::new(self.decoder, self.time)
    }
}

/// A stream beside a table that is keyed as the stream is.
type Beside<P, D, T, J> = Stream<TableJoin<P, TableSource<<P as Pipe>::Key, D, T>, ByOwnKey, J>, ()>;

impl<P> Stream<P, ()>
where
    P: Pipe<Head = Sources, Key: StateKey, Value: Kept>,
{
    /// Joins each record with the row that its key had in the table at the record's time; a record whose key had
    /// none is left out. `store` names what the join keeps: the table's rows, and in `<store>-waiting` what one side
    /// is ahead of the other.
    ///
    /// A record waits until the table's partition has come to a later time; a table that is silent follows the
    /// stream (see `idle.after.ms`). Results come in the order of their times; at one time, in that of their topics and
    /// partitions, but behind a [repartition](super::Grouped::repartition) as they arrive. A record that is later than the table's
    /// [`KeyedTable::grace`] goes to the late records. Both topics need the same number of partitions, and the
    /// stream must be partitioned by its key as the table is by its own.
    pub fn join_table<D, T, W, C>(
        self,
        table: KeyedTable<P::Key, D, T>,
        store: &'static str,
        join: C,
    ) -> Beside<P, D, T, Inner<C, W>>
    where
        D: Decoder<Event: Kept>,
        T: UpdateTime<D::Event>,
        W: 'static,
        C: Fn(&P::Key, P::Value, &D::Event) -> W + Clone + Send + 'static,
    {
        self.beside(table, store, Inner::new(join))
    }

    /// As [`Self::join_table`], and a record whose key had no row comes out as well.
    pub fn left_join_table<D, T, W, C>(
        self,
        table: KeyedTable<P::Key, D, T>,
        store: &'static str,
        join: C,
    ) -> Beside<P, D, T, Left<C, W>>
    where
        D: Decoder<Event: Kept>,
        T: UpdateTime<D::Event>,
        W: 'static,
        C: Fn(&P::Key, P::Value, Option<&D::Event>) -> W + Clone + Send + 'static,
    {
        self.beside(table, store, Left::new(join))
    }

    fn beside<D, T, J>(self, table: KeyedTable<P::Key, D, T>, store: &'static str, join: J) -> Beside<P, D, T, J>
    where
        D: Decoder<Event: Kept>,
        T: UpdateTime<D::Event>,
        J: Joiner<P::Key, P::Value, D::Event>,
    {
        let (place, grace) = ((table.sub, table.at), table.grace);
        beside(self, (table.source(), place), (StepKind::TableJoin, store), grace, ByOwnKey, join)
    }
}

/// Puts a stream beside the updates that are read at a place of the draft, by means of the store of this name.
pub(super) fn beside<P, Q, X, J>(
    stream: Stream<P, ()>,
    (table, (table_sub, table_at)): (Q, (usize, usize)),
    (step, store): (fn(&'static str) -> StepKind, &'static str),
    grace: DurationMs,
    find: X,
    join: J,
) -> Stream<TableJoin<P, Q, X, J>, ()>
where
    P: Pipe<Head = Sources, Key: QueuedKey, Value: Kept>,
    Q: ReadUpdates,
    X: Find<P::Key, P::Value, Key = Q::Key>,
    J: Joiner<P::Key, P::Value, Q::Row>,
{
    let (key, row) = (std::any::type_name::<Q::Key>(), std::any::type_name::<Q::Row>());
    let mut draft = stream.draft.borrow_mut();
    let streams = draft.subs[stream.sub].sources.iter().filter(|source| !source.is_table());
    let is_of_several = streams.count() > 1;
    let stream_sources = draft.take_over(stream.sub, table_sub);
    let rows = draft.store(stream.sub, store, StoreKind::Rows, DurationMs(0), format!("{row} by {key}"));
    let holds = format!("{} beside {row} by {}", std::any::type_name::<P::Value>(), std::any::type_name::<P::Key>());
    let waiting = draft.queue(stream.sub, (store, "waiting"), grace, holds);
    let at = draft.step(stream.sub, step(store), &[stream.at, table_at]);
    drop(draft);
    let side = TableSide { is_of_several, table, find, grace, store, rows, waiting };
    let pipe = TableJoin::new(stream.pipe, stream_sources, side, join);
    Stream { draft: stream.draft, sub: stream.sub, at, pipe, owed: () }
}

/// A table that is folded from a stream; say how its rows come out.
#[must_use = "a table emits nothing until it is told when"]
pub struct FoldedTable<P, O, S> {
    stream: Stream<P, O>,
    store: &'static str,
    fold: S,
    to_live: Option<DurationMs>,
}

/// A side chain of rows as they change, `None` for a key that has none any more: where it begins.
pub type RowStream<K, R> = Stream<Inlet<K, Option<R>, PresentWord>, ()>;

impl<P, O> Stream<P, O>
where
    P: Pipe<Key: StateKey, Value: Clone>,
    <P::Head as Head>::Word: Settled,
{
    /// Folds all records of a key into one row by a recipe: `count()`, `(count(), sum(|e| e.fare))`. `store` names the
    /// rows and their changelog.
    pub fn fold_table<S: Fold<P::Value>>(self, store: &'static str, fold: S) -> FoldedTable<P, O, ByRecipe<S>> {
        FoldedTable { stream: self, store, fold: ByRecipe(fold), to_live: None }
    }

    /// Makes one row of all records of a key, in the order of the log: `reduce` is handed the row and the next record,
    /// and answers the row after it, or `None` where the key shall have none. The stream must be of one input topic,
    /// in which the records of a key stand in one partition: others have no order that a replay would keep.
    pub fn reduce_table<C>(self, store: &'static str, reduce: C) -> FoldedTable<P, O, ByReducer<C>>
    where
        P::Value: Kept,
        C: Fn(Option<P::Value>, P::Value) -> Option<P::Value> + Clone + Send + 'static,
    {
        FoldedTable { stream: self, store, fold: ByReducer(reduce), to_live: None }
    }
}

impl<P, O, S> FoldedTable<P, O, S>
where
    P: Pipe<Key: StateKey, Value: Clone>,
    S: Folding<P::Value>,
{
    /// A row goes when its key's last record lies further back than this, by the stream time of its partition; a
    /// record that would be gone when it comes is late. The stream must be of one input topic, as for
    /// [`Stream::reduce_table`]. Deadlines wait in the store `<store>-deadlines`.
    pub fn time_to_live(mut self, to_live: DurationMs) -> Self {
        self.to_live = Some(DurationMs(to_live.0.max(0)));
        self
    }

    /// Shows each row that has changed to a side chain, once in each commit; `None` for a key that has none any more.
    pub fn on_update<T>(
        self,
        side: impl FnOnce(RowStream<P::Key, S::Row>) -> T,
    ) -> Ended<P, TableFold<P::Key, P::Value, S, T>, O>
    where
        T: Terminal<P::Key, Option<S::Row>>,
        P::Head: Conclude,
    {
        let (stream, fold) = self.fold();
        let side = on_update(&stream, side);
        stream.conclude(fold.shown_to(side))
    }

    /// Writes down what it keeps. Answers the stream and what folds it, which nobody is shown yet.
    pub(super) fn fold(self) -> (Stream<P, O>, TableFold<P::Key, P::Value, S, ()>) {
        let Self { mut stream, store, fold, to_live } = self;
        let (draft, sub) = (Rc::clone(&stream.draft), stream.sub);
        let mut draft = draft.borrow_mut();
        let is_of_one = matches!(draft.subs[sub].sources[..], [Source::Input(_)]);
        if (S::IN_ORDER || to_live.is_some()) && !is_of_one {
            draft.errors.push(TopologyError::Unordered(store.to_owned()));
        }
        let key = std::any::type_name::<P::Key>();
        let holds = format!("{} by {key}", std::any::type_name::<S::Row>());
        let column = draft.store(sub, store, StoreKind::Rows, DurationMs(0), holds);
        let deadlines = to_live
            .map(|to_live| (to_live, draft.queue(sub, (store, "deadlines"), to_live, format!("deadlines by {key}"))));
        stream.at = draft.step(sub, StepKind::TableFold(store), &[stream.at]);
        (stream, TableFold::new(store, column, fold, deadlines, ()))
    }
}

/// The side chain that is shown the rows which change behind a stream.
pub(super) fn on_update<P, O, K, R, T>(stream: &Stream<P, O>, side: impl FnOnce(RowStream<K, R>) -> T) -> T {
    let at = stream.draft.borrow_mut().step(stream.sub, StepKind::Operator("on-update"), &[stream.at]);
    side(Stream { draft: Rc::clone(&stream.draft), sub: stream.sub, at, pipe: Inlet::new(), owed: () })
}
