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
use super::stream::Stream;
use super::topic::Topic;
use super::topology::Topology;
use crate::decode::Decoder;
use crate::plan::{Input, InputKind, Source, StepKind, StoreKind};
use crate::process::{Pipe, Sources};
use crate::record::{DurationMs, EventTime};
use crate::table::Kept;
use crate::table_join::{ByLog, ByRow, Inner, Joiner, Left, TableJoin, TableSide, UpdateTime};

/// A table of keyed rows, as the records of a topic make it: each puts a row in the place of the one before it
/// under its key, and a tombstone takes it away.
///
/// `K` is the key that a record of the topic has, as the stream that is joined with the table has it.
#[must_use = "a table does nothing until a stream is joined with it"]
pub struct KeyedTable<K, D, T> {
    draft: Rc<RefCell<Draft>>,
    sub: usize,
    at: usize,
    decoder: D,
    time: T,
    grace: DurationMs,
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
}

impl<P> Stream<P, ()>
where
    P: Pipe<Head = Sources, Key: StateKey, Value: Kept>,
{
    /// Joins each record with the row that its key had in the table at the record's time; a record whose key had
    /// none is left out. `store` names what the join keeps: the table's rows, and in `<store>-waiting` what one side
    /// is ahead of the other.
    ///
    /// A record waits until the table's partition has come to a later time; a table that is silent follows the
    /// stream (see `idle.after.ms`). Results come in the order of their times. A record that is later than the table's
    /// [`KeyedTable::grace`] goes to the late records. Both topics need the same number of partitions, and the
    /// stream must be partitioned by its key as the table is by its own.
    pub fn join_table<D, T, W, C>(
        self,
        table: KeyedTable<P::Key, D, T>,
        store: &'static str,
        join: C,
    ) -> Stream<TableJoin<P, D, T, Inner<C, W>>, ()>
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
    ) -> Stream<TableJoin<P, D, T, Left<C, W>>, ()>
    where
        D: Decoder<Event: Kept>,
        T: UpdateTime<D::Event>,
        W: 'static,
        C: Fn(&P::Key, P::Value, Option<&D::Event>) -> W + Clone + Send + 'static,
    {
        self.beside(table, store, Left::new(join))
    }

    fn beside<D, T, J>(
        self,
        table: KeyedTable<P::Key, D, T>,
        store: &'static str,
        join: J,
    ) -> Stream<TableJoin<P, D, T, J>, ()>
    where
        D: Decoder<Event: Kept>,
        J: Joiner<P::Key, P::Value, D::Event>,
    {
        let KeyedTable { sub: table_sub, at: table_at, decoder, time, grace, .. } = table;
        let key = std::any::type_name::<P::Key>();
        let row = std::any::type_name::<D::Event>();
        let mut draft = self.draft.borrow_mut();
        let streams = draft.subs[self.sub].sources.iter().filter(|source| !source.is_table());
        let is_of_several = streams.count() > 1;
        let stream_sources = draft.take_over(self.sub, table_sub);
        let rows = draft.store(self.sub, store, StoreKind::Rows, DurationMs(0), format!("{row} by {key}"));
        // A plan lives as long as its process.
        let name: &'static str = format!("{store}-waiting").leak();
        let holds = format!("{} beside {row} by {key}", std::any::type_name::<P::Value>());
        let column = draft.store(self.sub, name, StoreKind::Queue(grace), DurationMs(0), holds);
        let at = draft.step(self.sub, StepKind::TableJoin(store), &[self.at, table_at]);
        drop(draft);
        let side = TableSide { is_of_several, decoder, time, grace, store, rows, waiting: (name, column) };
        let pipe = TableJoin::new(self.pipe, stream_sources, side, join);
        Stream { draft: self.draft, sub: self.sub, at, pipe, owed: () }
    }
}
