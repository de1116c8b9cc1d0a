//! Tables that every task holds, and streams that are joined with them: Kafka Streams' `GlobalKTable`.
//!
//! Not here: how the table comes to every task ([`crate::repartition::broadcast`]) and how the join works
//! ([`crate::table_join`]). Invariant: such a stream may be split in any way, and so may the table.

use std::marker::PhantomData;
use std::rc::Rc;

use state::StateKey;

use super::stream::Stream;
use super::table::{KeyedTable, beside};
use crate::decode::Decoder;
use crate::plan::{InputKind, StepKind};
use crate::process::{Pipe, Sources};
use crate::repartition::broadcast::Broadcast;
use crate::repartition::records::Repartitioned;
use crate::table::Kept;
use crate::table_join::{BySelected, Inner, Joiner, Left, TableJoin};
use crate::table_source::UpdateTime;
use crate::waiting::QueuedKey;

/// A stream beside a table that every task holds.
pub type Broadcasted<P, K, R, X, J> = Stream<TableJoin<P, Repartitioned<K, Option<R>>, BySelected<X, K>, J>, ()>;

impl<P> Stream<P, ()>
where
    P: Pipe<Head = Sources, Key: QueuedKey, Value: Kept>,
{
    /// Joins each record with the row that `select` names in the table, as that row was at the record's time. A record
    /// for which `select` answers `None`, or whose row there is none of, is left out. The stream may have any key, or
    /// none yet, and keeps it; both topics may have any number of partitions.
    ///
    /// This is Kafka Streams' join with a `GlobalKTable`, but for one thing: there a record meets the row that its
    /// instance happens to hold when it is taken in, here the one of the record's own time, in every replay. So a record
    /// waits until all partitions of the table have come to a later time. A partition of the table that is silent is
    /// taken to the head of the furthest partition of the streams that wait for it (see `idle.after.ms`); an update
    /// that comes after that takes effect there.
    ///
    /// The table is for small ones: its updates go through the topic `<app>-<store>-broadcast-repartition` once for each
    /// of its partitions, which are as many as the stream's, and every task keeps all rows in the store `store`, with
    /// a changelog of its own. What waits for its time is in `<store>-waiting`. Rows of a key must stand in one
    /// partition of the table's topic: of two there is no telling which came first.
    ///
    /// ```
    /// # use processing_core::prelude::*;
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)] struct Call { at: i64, model: String, tokens: i64 }
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Price { micros_per_token: i64 }
    /// # let app = Topology::named("costs");
    /// let prices = app.table(Topic::<Json<Price>>::json("model.prices"));
    /// app.stream(Topic::<Json<Call>>::json("llm.calls"))
    ///     .event_time(|call| EventTime(call.at))
    ///     .join_broadcast(prices, "prices", |call| call.model.clone(), |_, call, price| {
    ///         (call.model, call.tokens * price.micros_per_token)
    ///     })
    ///     .key_by(|(model, _)| model.clone())
    ///     .to(Topic::json("llm.costs"));
    /// # app.build().unwrap();
    /// ```
    pub fn join_broadcast<K, D, T, I, X, W, C>(
        self,
        table: KeyedTable<K, D, T>,
        store: &'static str,
        select: X,
        join: C,
    ) -> Broadcasted<P, K, D::Event, X, Inner<C, W>>
    where
        K: StateKey,
        D: Decoder<Event: Kept>,
        T: UpdateTime<D::Event>,
        I: Into<Option<K>>,
        X: Fn(&P::Value) -> I + Clone + Send + 'static,
        W: 'static,
        C: Fn(&P::Key, P::Value, &D::Event) -> W + Clone + Send + 'static,
    {
        self.beside_all_of(table, store, select, Inner::new(join))
    }

    /// As [`Self::join_broadcast`], and a record that finds no row comes out as well.
    pub fn left_join_broadcast<K, D, T, I, X, W, C>(
        self,
        table: KeyedTable<K, D, T>,
        store: &'static str,
        select: X,
        join: C,
    ) -> Broadcasted<P, K, D::Event, X, Left<C, W>>
    where
        K: StateKey,
        D: Decoder<Event: Kept>,
        T: UpdateTime<D::Event>,
        I: Into<Option<K>>,
        X: Fn(&P::Value) -> I + Clone + Send + 'static,
        W: 'static,
        C: Fn(&P::Key, P::Value, Option<&D::Event>) -> W + Clone + Send + 'static,
    {
        self.beside_all_of(table, store, select, Left::new(join))
    }

    fn beside_all_of<K, D, T, I, X, J>(
        self,
        table: KeyedTable<K, D, T>,
        store: &'static str,
        select: X,
        join: J,
    ) -> Broadcasted<P, K, D::Event, X, J>
    where
        K: StateKey,
        D: Decoder<Event: Kept>,
        T: UpdateTime<D::Event>,
        I: Into<Option<K>>,
        X: Fn(&P::Value) -> I + Clone + Send + 'static,
        J: Joiner<P::Key, P::Value, D::Event>,
    {
        let (draft, upstream, grace) = (Rc::clone(&table.draft), table.sub, table.grace);
        let (place, output) = {
            let mut draft = draft.borrow_mut();
            let at = draft.step(upstream, StepKind::Operator("broadcast"), &[table.at]);
            let name = draft.name_beside(store, "broadcast");
            draft.through_as(InputKind::Rows, (upstream, at), name)
        };
        let end = Broadcast::new(output, upstream as u16);
        Stream { draft, sub: upstream, at: table.at, pipe: table.source(), owed: () }.conclude(end);
        let find = BySelected(select, PhantomData);
        beside(self, (Repartitioned::new(), place), (StepKind::BroadcastJoin, store), grace, find, join)
    }
}
