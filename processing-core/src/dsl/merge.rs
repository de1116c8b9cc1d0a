//! A stream that goes two ways and comes together again in the same windows.
//!
//! Not here: merging streams that nothing has grouped ([`Stream::merge`]). Invariant: each side's records are judged by
//! the grace of that side's own windows, and a window closes when both sides have passed its end and their grace.

#![allow(clippy::type_complexity, reason = "a chain's type spells its operators, as iterator adapters do")]

use std::rc::Rc;

use state::StateKey;

use super::stream::{Conclude, Grouped, SideStream, Splitting, Stream};
use super::topology::TopologyError;
use super::window::{ShuffledTable, Table, Windowed, declare, shuffle};
use crate::aggregate::{Aggregate, Fold, OfAggregate, fold_of};
use crate::plan::{StepKind, StoreKind};
use crate::process::{Arm, Inlet, Pipe, Sources, Terminal};
use crate::record::DurationMs;
use crate::repartition::pre_aggregate::PreAggregate;
use crate::window::{Windowing, Windows};
use crate::windowed::{Panes, Shuffled};

impl<P: Pipe, A, O> Splitting<P, A, O> {
    /// As [`Splitting::branch`], and what the side chain makes behind a repartition topic comes back as a stream of its
    /// own, beside the splitting: to be looked up, joined, and merged with the others again.
    ///
    /// ```
    /// # use processing_core::prelude::*;
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// # struct Sale { at: i64, shop: u32, city: Option<String> }
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)] struct Shop { city: String }
    /// # let app = Topology::named("sales");
    /// let minutes = Tumbling::minutes(1);
    /// let grace = DurationMs::seconds(30);
    /// let shops = app.table(Topic::<Json<Shop>>::json("shops")).grace(grace);
    /// // Sales that name no city take it from their shop.
    /// let (sales, sought) = app
    ///     .stream(Topic::<Json<Sale>>::json("sales"))
    ///     .event_time(|sale| EventTime(sale.at))
    ///     .split()
    ///     .branch_off(|sale| sale.city.is_none(), |sales| sales.key_by(|sale| sale.shop).repartition("sought"));
    /// let found = sought.join_table(shops, "shop", |_, _, shop| shop.city.clone());
    /// sales
    ///     .rest()
    ///     .map(|sale| sale.city.unwrap_or_default())
    ///     .key_by(|city| city.clone())
    ///     .window(minutes.grace(grace))
    ///     .merge(found.key_by(|city| city.clone()).window(minutes))
    ///     .fold("sales-per-minute", count())
    ///     .on_close()
    ///     .map(|closed| closed.value.get())
    ///     .to(Topic::json("sales.1m"));
    /// # app.build().unwrap();
    /// ```
    pub fn branch_off<C, Q, S>(
        self,
        takes: C,
        side: impl FnOnce(SideStream<P>) -> Stream<Q, S>,
    ) -> (Splitting<P, Arm<A, C, S>, O>, Stream<Q, ()>)
    where
        P::Key: Clone,
        P::Value: Clone,
        C: Fn(&P::Value) -> bool + Clone + Send + 'static,
        Q: Pipe<Head = Sources>,
        S: Terminal<P::Key, P::Value>,
    {
        let Self { stream, arms } = self;
        let (draft, sub) = (Rc::clone(&stream.draft), stream.sub);
        let at = draft.borrow_mut().step(sub, StepKind::Operator("branch"), &[stream.at]);
        let Stream { draft, sub, at, pipe, owed } = side(Stream { draft, sub, at, pipe: Inlet::new(), owed: () });
        let splitting = Splitting { stream, arms: Arm { before: arms, takes, side: owed } };
        (splitting, Stream { draft, sub, at, pipe, owed: () })
    }
}

/// Two grouped streams of one kind, on their way into the same windows.
#[must_use = "merged streams do nothing until they are aggregated"]
pub struct Merging<P, O, Q> {
    left: Grouped<P, O>,
    right: Grouped<Q, ()>,
    /// The right side's windows, which differ in their grace at most.
    windows: Windows,
}

impl<P, O, W> Windowed<Grouped<P, O>, W>
where
    P: Pipe<Key: StateKey>,
    W: Windowing,
{
    /// Takes the records of another grouped stream into the same windows. Each side goes through a repartition topic
    /// of its own, folded beforehand (`<app>-<store>-repartition` and `<app>-<store>-merged-repartition`).
    ///
    /// Each side keeps the grace of its own windows: by it its records are judged late, and a window closes when both
    /// sides have passed its end and their grace. So a side whose records come in the order of their times (from a join
    /// with a table, say, which has waited for those that come late) needs none, and holds up no window by it.
    /// Windows that differ in more than their grace are refused by [`super::Topology::build`].
    pub fn merge<Q>(self, other: Windowed<Grouped<Q, ()>, W>) -> Windowed<Merging<P, O, Q>, W>
    where
        Q: Pipe<Head = Sources, Key = P::Key, Value = P::Value>,
    {
        let Self { stream: left, windows, keep, kind } = self;
        if windows.without_grace() != other.windows.without_grace() {
            left.0.draft.borrow_mut().errors.push(TopologyError::MergedWindows);
        }
        let stream = Merging { left, right: other.stream, windows: other.windows };
        Windowed { stream, windows, keep: keep.max(other.keep), kind }
    }
}

impl<P, O, Q, W> Windowed<Merging<P, O, Q>, W>
where
    P: Pipe<Key: StateKey>,
    P::Head: Conclude,
    Q: Pipe<Head = Sources, Key = P::Key, Value = P::Value>,
{
    /// Folds by an aggregate of one's own; `store` names its state and its topics.
    pub fn aggregate<A: Aggregate<P::Value>>(self, store: &'static str) -> ShuffledTable<P, OfAggregate<A>, O, W> {
        self.fold(store, fold_of())
    }

    /// Folds by a recipe: `count()`, `(count(), sum(|e| e.fare))`.
    pub fn fold<S: Fold<P::Value>>(self, store: &'static str, fold: S) -> ShuffledTable<P, S, O, W> {
        let Self { stream, windows, keep, .. } = self;
        let Merging { left: Grouped(left), right: Grouped(right), windows: right_windows } = stream;
        let draft = Rc::clone(&left.draft);
        let (left_upstream, right_upstream) = (left.sub as u16, right.sub as u16);
        let ((sub, left_at), left_output) = shuffle(&draft, (left.sub, left.at), store);
        let (right_output, at) = {
            let mut draft = draft.borrow_mut();
            let before = draft.step(right.sub, StepKind::PreAggregate(store), &[right.at]);
            let name = draft.name_beside(store, "merged");
            let ((right_sub, right_at), output) = draft.through((right.sub, before), name);
            draft.take_over(sub, right_sub);
            (output, draft.step(sub, StepKind::Operator("merge"), &[left_at, right_at]))
        };
        let kind = StoreKind::Panes(windows);
        let (column, at) = declare::<P::Key, S::State>(&draft, (sub, at), store, kind, keep);
        let later = DurationMs(windows.grace().0 - right_windows.grace().0);
        let right_end = PreAggregate::new(store, right_output, right_windows, fold.clone(), right_upstream);
        right.conclude(right_end.into_windows_that_close_later(later));
        let owed = left.conclude(PreAggregate::new(store, left_output, windows, fold, left_upstream));
        let panes = Panes::new(store, column, windows, keep.0);
        Table { draft, sub, at, intake: Shuffled::new(), panes, owed, kind: std::marker::PhantomData }
    }
}
