//! Tables that are joined with tables: Kafka Streams' `KTable.join`, `leftJoin` and `outerJoin`.
//!
//! Not here: how a pair is kept ([`crate::table_pair`]). Invariant: both tables are split by the key that they are
//! joined by, which is checked at the start; a table does not repartition itself.

use std::cell::RefCell;
use std::rc::Rc;

use super::draft::Draft;
use super::stream::{Ended, Stream};
use super::table::{FoldedTable, KeyedTable, RowStream, on_update};
use crate::decode::Decoder;
use crate::folded::{FoldedRows, Folding};
use crate::join::{FullOuter, Inner, Joiner, LeftOuter};
use crate::plan::{StepKind, StoreKind};
use crate::process::{Pipe, Sources, Terminal};
use crate::record::DurationMs;
use crate::table::Kept;
use crate::table_pair::TablePair;
use crate::table_source::{TablePipe, TableSource, UpdateTime};
use state::StateKey;

/// What can stand on one side of a join of tables: a table from a topic, one that is folded from a stream, and one that
/// was joined already.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no table that can be joined",
    label = "a table that begins at a `tee`, or a stream",
    note = "`topology.table(..)`, `stream.fold_table(..)`, `stream.reduce_table(..)` and joined tables can be joined"
)]
pub trait AnyTable: Sized {
    /// Its chain, from the topics of the joining task on.
    type Pipe: TablePipe;
    #[doc(hidden)]
    fn updates(self) -> JoinedTable<Self::Pipe>;
}

pub(super) type KeyOf<T> = <<T as AnyTable>::Pipe as Pipe>::Key;
pub(super) type RowOf<T> = <<T as AnyTable>::Pipe as TablePipe>::Row;

/// A table joined of two: say how its rows come out, or join it again.
#[must_use = "a joined table emits nothing until it is told when"]
pub struct JoinedTable<P> {
    pub(super) draft: Rc<RefCell<Draft>>,
    pub(super) sub: usize,
    pub(super) at: usize,
    pub(super) pipe: P,
}

/// The table that two tables make.
pub type Paired<L, R, J> = JoinedTable<TablePair<<L as AnyTable>::Pipe, <R as AnyTable>::Pipe, J>>;

impl<K, D, T> AnyTable for KeyedTable<K, D, T>
where
    K: StateKey,
    D: Decoder<Event: Kept>,
    T: UpdateTime<D::Event>,
{
    type Pipe = TableSource<K, D, T>;

    fn updates(self) -> JoinedTable<Self::Pipe> {
        let (draft, sub, at) = (Rc::clone(&self.draft), self.sub, self.at);
        JoinedTable { draft, sub, at, pipe: self.source() }
    }
}

impl<P, S> AnyTable for FoldedTable<P, (), S>
where
    P: Pipe<Head = Sources, Key: StateKey, Value: Clone>,
    S: Folding<P::Value>,
{
    type Pipe = FoldedRows<P, S>;

    fn updates(self) -> JoinedTable<Self::Pipe> {
        let (Stream { draft, sub, at, pipe, .. }, fold) = self.fold();
        JoinedTable { draft, sub, at, pipe: FoldedRows::new(pipe, fold) }
    }
}

impl<P: TablePipe> AnyTable for JoinedTable<P> {
    type Pipe = P;

    fn updates(self) -> Self {
        self
    }
}

macro_rules! joins {
    ($table:ident < $($parameter:ty),* > for $($name:ident),*) => {
        impl<$($name),*> $table<$($parameter),*>
        where
            Self: AnyTable,
        {
            /// A table with a row for each key that has one in this table and in `right`, made of both. `store` names
            /// what the join keeps: the rows of both sides.
            ///
            /// A key's result is the present word: each commit that changes it says it once, and a tombstone when it is
            /// gone. Updates are taken in the order of their topic, whatever their times.
            ///
            /// Both topics need the same number of partitions, and each must be partitioned by its key.
            ///
            /// ```
            /// # use processing_core::prelude::*;
            /// # #[derive(serde::Serialize, serde::Deserialize)] struct Poi { name: String }
            /// # let app = Topology::named("pois");
            /// let names = app.table::<u64, _>(Topic::<Json<Poi>>::json("poi.names"));
            /// let ratings = app.table::<u64, _>(Topic::<Json<u8>>::json("poi.ratings"));
            /// names
            ///     .join(ratings, "rated", |_, poi, rating| format!("{}: {rating}", poi.name))
            ///     .on_update(|rows| rows.to_table(Topic::json("poi.rated").compacted()));
            /// # app.build().unwrap();
            /// ```
            pub fn join<R, W, C>(self, right: R, store: &'static str, join: C) -> Paired<Self, R, Inner<C>>
            where
                R: AnyTable,
                R::Pipe: TablePipe<Key = KeyOf<Self>>,
                C: Fn(&KeyOf<Self>, &RowOf<Self>, &RowOf<R>) -> W + Clone + Send + 'static,
                W: 'static,
            {
                paired(self, right, store, Inner(join))
            }

            /// As `join`; and a key of this table that has no row in `right` has a result as well.
            pub fn left_join<R, W, C>(self, right: R, store: &'static str, join: C) -> Paired<Self, R, LeftOuter<C>>
            where
                R: AnyTable,
                R::Pipe: TablePipe<Key = KeyOf<Self>>,
                C: Fn(&KeyOf<Self>, &RowOf<Self>, Option<&RowOf<R>>) -> W + Clone + Send + 'static,
                W: 'static,
            {
                paired(self, right, store, LeftOuter(join))
            }

            /// As `join`; and a key that has a row in one of the tables only has a result as well. `join` is never
            /// handed two `None`s.
            pub fn outer_join<R, W, C>(self, right: R, store: &'static str, join: C) -> Paired<Self, R, FullOuter<C>>
            where
                R: AnyTable,
                R::Pipe: TablePipe<Key = KeyOf<Self>>,
                C: Fn(&KeyOf<Self>, Option<&RowOf<Self>>, Option<&RowOf<R>>) -> W + Clone + Send + 'static,
                W: 'static,
            {
                paired(self, right, store, FullOuter(join))
            }
        }
    };
}

joins!(KeyedTable<K, D, T> for K, D, T);
joins!(FoldedTable<P, (), S> for P, S);
joins!(JoinedTable<P> for P);

fn paired<L, R, J>(left: L, right: R, store: &'static str, join: J) -> Paired<L, R, J>
where
    L: AnyTable,
    R: AnyTable,
    R::Pipe: TablePipe<Key = KeyOf<L>>,
    J: Joiner<KeyOf<L>, RowOf<L>, RowOf<R>>,
{
    let (left, right) = (left.updates(), right.updates());
    let (draft, sub) = (left.draft, left.sub);
    let rows = (std::any::type_name::<RowOf<L>>(), std::any::type_name::<RowOf<R>>());
    let (column, left_sources, at) = {
        let mut draft = draft.borrow_mut();
        let left_sources = draft.take_over(sub, right.sub);
        let key = std::any::type_name::<KeyOf<L>>();
        let holds = format!("{} of {} and {} by {key}", J::KIND.name(), rows.0, rows.1);
        let column = draft.store(sub, store, StoreKind::Composed, DurationMs(0), holds);
        let at = draft.step(sub, StepKind::TableJoin(store), &[left.at, right.at]);
        (column, left_sources, at)
    };
    let pipe = TablePair::new(left.pipe, right.pipe, left_sources, (store, column), join);
    JoinedTable { draft, sub, at, pipe }
}

impl<P, W> JoinedTable<P>
where
    P: Pipe<Head = Sources, Key: StateKey, Value = Option<W>>,
    W: 'static,
{
    /// Shows each row that has changed to a side chain, once in each commit; `None` for a key that has none any more.
    pub fn on_update<T>(self, side: impl FnOnce(RowStream<P::Key, W>) -> T) -> Ended<P, T, ()>
    where
        T: Terminal<P::Key, Option<W>>,
    {
        let Self { draft, sub, at, pipe } = self;
        let stream = Stream { draft, sub, at, pipe, owed: () };
        let side = on_update(&stream, side);
        stream.conclude(side)
    }
}
