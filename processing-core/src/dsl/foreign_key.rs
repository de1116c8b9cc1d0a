//! Tables that are joined with the rows that they name: Kafka Streams' foreign-key `KTable.join` and `leftJoin`.
//!
//! Not here: how the join works ([`crate::foreign_key`]). Invariant: the two tables may be split in any way, each by
//! its own key; what comes out is split by the left table's.

use std::any::type_name;
use std::rc::Rc;

use state::StateKey;

use super::stream::Stream;
use super::table::{FoldedTable, KeyedTable};
use super::table_pair::{AnyTable, JoinedTable, KeyOf, RowOf};
use crate::decode::Decoder;
use crate::folded::Folding;
use crate::foreign_key::{Respond, Results, Stores, Subscribe};
use crate::join::{Inner, Joiner, LeftOuter, Side};
use crate::plan::{StepKind, StoreKind};
use crate::process::{Pipe, Sources};
use crate::record::DurationMs;
use crate::repartition::records::SendRecords;
use crate::table::Kept;
use crate::table_source::{TablePipe, UpdateTime};

/// The table that a table makes with the rows that it names in another one.
pub type ForeignJoined<L, W> = JoinedTable<Results<KeyOf<L>, W>>;

macro_rules! joins_by_foreign_key {
    ($table:ident < $($parameter:ty),* > for $($name:ident: $bound:path),*; $($more:tt)*) => {
        impl<$($name: $bound),*> $table<$($parameter),*>
        where
            $($more)*
        {
            /// Joins each row with the row of `right` that it names: `foreign_key` finds the other table's key in a row
            /// of this one and its key. This is Kafka Streams' foreign-key join. The table that comes out has this
            /// table's keys: a key has a row while its row here names one that is there. `foreign_key` may answer a
            /// key, or an `Option` of one; a row that names none has no result.
            ///
            /// A key's result is the present word: each commit that changes it says it once, and a tombstone when it is
            /// gone. It comes a few commits after the update that changed it, for it has been to the other table.
            ///
            /// Rows travel through the topics `<app>-<store>-subscriptions-repartition`, by the foreign key, and
            /// `<app>-<store>-responses-repartition`, back by this table's key; so the two tables may have any number
            /// of partitions, each partitioned by its own key. `store` names the rows of this table by their foreign
            /// keys; beside it are `<store>-sent`, `<store>-right`, `<store>-turns`, `<store>-results` and
            /// `<store>-gone`.
            ///
            /// A right row that changes costs a result for each row that names it, a bounded number in each commit; the
            /// rest comes before anything else is read.
            ///
            /// ```
            /// # use processing_core::prelude::*;
            /// # #[derive(serde::Serialize, serde::Deserialize)] struct Order { product: u64, pieces: u32 }
            /// # #[derive(serde::Serialize, serde::Deserialize)] struct Product { name: String }
            /// # let app = Topology::named("orders");
            /// let orders = app.table::<String, _>(Topic::<Json<Order>>::json("orders"));
            /// let products = app.table::<u64, _>(Topic::<Json<Product>>::json("products"));
            /// orders
            ///     .join_by(products, "ordered", |_, order| order.product, |_, order, product| {
            ///         format!("{} x {}", order.pieces, product.name)
            ///     })
            ///     .on_update(|rows| rows.to_table(Topic::json("orders.named").compacted()));
            /// # app.build().unwrap();
            /// ```
            #[doc(alias = "foreign key")]
            #[doc(alias = "foreign_key_join")]
            pub fn join_by<R, I, X, W, C>(
                self,
                right: R,
                store: &'static str,
                foreign_key: X,
                join: C,
            ) -> ForeignJoined<Self, W>
            where
                R: AnyTable,
                I: Into<Option<KeyOf<R>>>,
                X: Fn(&KeyOf<Self>, &RowOf<Self>) -> I + Clone + Send + 'static,
                W: Kept,
                C: Fn(&KeyOf<Self>, &RowOf<Self>, &RowOf<R>) -> W + Clone + Send + 'static,
            {
                joined_by(self, right, store, foreign_key, Inner(join))
            }

            /// As `join_by`; and a row that names one which is not there, or names none, has a result as well.
            #[doc(alias = "foreign key")]
            pub fn left_join_by<R, I, X, W, C>(
                self,
                right: R,
                store: &'static str,
                foreign_key: X,
                join: C,
            ) -> ForeignJoined<Self, W>
            where
                R: AnyTable,
                I: Into<Option<KeyOf<R>>>,
                X: Fn(&KeyOf<Self>, &RowOf<Self>) -> I + Clone + Send + 'static,
                W: Kept,
                C: Fn(&KeyOf<Self>, &RowOf<Self>, Option<&RowOf<R>>) -> W + Clone + Send + 'static,
            {
                joined_by(self, right, store, foreign_key, LeftOuter(join))
            }
        }
    };
}

joins_by_foreign_key!(KeyedTable<K, D, T> for K: StateKey, D: Decoder, T: UpdateTime<D::Event>; D::Event: Kept,);
joins_by_foreign_key!(FoldedTable<P, (), S> for P: Pipe, S: Folding<P::Value>;
    P: Pipe<Head = Sources, Key: StateKey, Value: Clone>,);
joins_by_foreign_key!(JoinedTable<P> for P: TablePipe;);

fn joined_by<L, R, I, X, J>(left: L, right: R, store: &'static str, foreign_key: X, join: J) -> ForeignJoined<L, J::Out>
where
    L: AnyTable,
    R: AnyTable,
    I: Into<Option<KeyOf<R>>>,
    X: Fn(&KeyOf<L>, &RowOf<L>) -> I + Clone + Send + 'static,
    J: Joiner<KeyOf<L>, RowOf<L>, RowOf<R>, Out: Kept>,
{
    let (left, right) = (left.updates(), right.updates());
    let shared = Rc::clone(&left.draft);
    let mut draft = shared.borrow_mut();
    let [sent, others, results, subscriptions, responses] =
        ["sent", "right", "results", "subscriptions", "responses"].map(|suffix| draft.name_beside(store, suffix));
    let (key, row) = (type_name::<KeyOf<L>>(), type_name::<RowOf<L>>());
    let (foreign, other) = (type_name::<KeyOf<R>>(), type_name::<RowOf<R>>());
    let kind = J::KIND.name();
    let composed = |draft: &mut super::draft::Draft, sub, name, holds| {
        (name, draft.store(sub, name, StoreKind::Composed, DurationMs(0), holds))
    };

    let sent = composed(&mut draft, left.sub, sent, format!("{kind}: what {foreign} is named by {key}"));
    let at = draft.step(left.sub, StepKind::Subscribe(sent.0), &[left.at]);
    let ((sub, subscribed), subscribing) = draft.through((left.sub, at), subscriptions);

    let sources = draft.take_over(sub, right.sub);
    debug_assert_eq!(sources, 1, "the subscriptions come first");
    let stores = Stores {
        left: composed(&mut draft, sub, store, format!("{kind}: {row} by {key} under {foreign}")),
        right: composed(&mut draft, sub, others, format!("{other} by {foreign}")),
        turns: draft.queue(sub, (store, "turns"), DurationMs(0), format!("turns of {foreign}")),
    };
    let at = draft.step(sub, StepKind::ForeignKeyJoin(store), &[subscribed, right.at]);
    let ((end, responded), responding) = draft.through((sub, at), responses);

    let out = type_name::<J::Out>();
    let standing = composed(&mut draft, end, results, format!("{kind}: whether there is {out} by {key}"));
    let gone = draft.queue(end, (store, "gone"), DurationMs(0), format!("{key} that is gone"));
    let at = draft.step(end, StepKind::Results(standing.0), &[responded]);
    drop(draft);

    let subscribe = Subscribe::new(sent, (subscribing, left.sub as u16), J::KIND.keeps(Side::Left), foreign_key);
    Stream { draft: Rc::clone(&shared), sub: left.sub, at: left.at, pipe: left.pipe, owed: () }.conclude(subscribe);
    let respond = Respond::new(right.pipe, stores, join);
    let send = SendRecords::new(responding, sub as u16, None);
    Stream { draft: Rc::clone(&shared), sub, at, pipe: respond, owed: () }.conclude(send);
    JoinedTable { draft: shared, sub: end, at, pipe: Results::new(standing, gone) }
}
