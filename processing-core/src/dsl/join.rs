//! The steps that put two streams together record by record.
//!
//! Not here: who matches whom ([`crate::join`]). Invariant: both sides have one key's records in one task: what is
//! grouped by a new key goes through a repartition topic first, and what comes keyed is checked at the start.

use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use state::StateKey;

use super::repartition::ThroughTopic;
use super::stream::{Conclude, Ended, Grouped, Stream};
use super::topology::TopologyError;
use crate::join::{FullOuter, Inner, Join, JoinStore, JoinWindow, Joiner, LeftOuter, Requests, Table};
use crate::plan::{StepKind, StoreKind};
use crate::process::{Pipe, Sources};
use crate::record::DurationMs;
use crate::repartition::records::{Repartitioned, SendRecords};
use crate::word::Settled;

/// What can stand on one side of a join: a stream that its key groups (`key_by`), which goes through a repartition
/// topic on its own, or one whose partitions are those of its key already.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be joined",
    label = "a stream without a key, or one in a side chain whose records stay where they are",
    note = "group it by what both sides share: `key_by(..)`, or `already_keyed_by(..)` where its topic is partitioned by it"
)]
pub trait JoinSide: Sized {
    /// Its chain, from the topics of the joining task on.
    type Pipe: Pipe<Head = Sources, Key: StateKey, Value: Serialize + DeserializeOwned>;
    /// What it still owes a `tee`.
    type Owed;
    #[doc(hidden)]
    fn side(self, name: &str, judge: (&'static str, DurationMs)) -> Stream<Self::Pipe, Self::Owed>;
}

impl<P, O> JoinSide for Stream<P, O>
where
    P: Pipe<Head = Sources, Key: StateKey, Value: Serialize + DeserializeOwned>,
{
    type Pipe = P;
    type Owed = O;

    fn side(self, _: &str, _: (&'static str, DurationMs)) -> Self {
        self
    }
}

impl<P, O> JoinSide for Grouped<P, O>
where
    P: Pipe<Key: StateKey, Value: Serialize + DeserializeOwned>,
    P::Head: Conclude<Word: Settled>,
{
    type Pipe = Repartitioned<P::Key, P::Value>;
    type Owed = Ended<P, SendRecords<P::Key, P::Value>, O>;

    fn side(self, name: &str, judge: (&'static str, DurationMs)) -> ThroughTopic<P, O> {
        self.through(name, Some(judge))
    }
}

type KeyOf<S> = <<S as JoinSide>::Pipe as Pipe>::Key;
type ValueOf<S> = <<S as JoinSide>::Pipe as Pipe>::Value;

/// The stream of what was joined.
pub type Joined<L, R, J> = Stream<Join<<L as JoinSide>::Pipe, <R as JoinSide>::Pipe, J>, <L as JoinSide>::Owed>;

macro_rules! joins {
    ($side:ident) => {
        impl<P: Pipe, O> $side<P, O>
        where
            Self: JoinSide,
        {
            /// Makes one record of each pair of a record of this stream and one of `right` that have the same key and
            /// lie within `window` of one another. It is emitted when the second one arrives, with the later of their
            /// times. `store` names the state, and the repartition topics of sides that are only grouped:
            /// `<app>-<store>-left-repartition` and `-right-repartition`.
            pub fn join<R, T, C>(
                self,
                right: R,
                window: JoinWindow,
                store: &'static str,
                join: C,
            ) -> Joined<Self, R, Inner<C>>
            where
                R: JoinSide<Owed = ()>,
                R::Pipe: Pipe<Key = KeyOf<Self>>,
                C: Fn(&KeyOf<Self>, &ValueOf<Self>, &ValueOf<R>) -> T + Clone + Send + 'static,
                T: 'static,
            {
                joined(self, right, window, store, Inner(join))
            }

            /// As `join`; and a record of this stream that found no partner is emitted with `None`, once, when none
            /// can come any more, with its own time.
            pub fn left_join<R, T, C>(
                self,
                right: R,
                window: JoinWindow,
                store: &'static str,
                join: C,
            ) -> Joined<Self, R, LeftOuter<C>>
            where
                R: JoinSide<Owed = ()>,
                R::Pipe: Pipe<Key = KeyOf<Self>>,
                C: Fn(&KeyOf<Self>, &ValueOf<Self>, Option<&ValueOf<R>>) -> T + Clone + Send + 'static,
                T: 'static,
            {
                joined(self, right, window, store, LeftOuter(join))
            }

            /// As `join`; and a record of either stream that found no partner is emitted with `None` in the other's
            /// place, once, when none can come any more, with its own time.
            pub fn outer_join<R, T, C>(
                self,
                right: R,
                window: JoinWindow,
                store: &'static str,
                join: C,
            ) -> Joined<Self, R, FullOuter<C>>
            where
                R: JoinSide<Owed = ()>,
                R::Pipe: Pipe<Key = KeyOf<Self>>,
                C: Fn(&KeyOf<Self>, Option<&ValueOf<Self>>, Option<&ValueOf<R>>) -> T + Clone + Send + 'static,
                T: 'static,
            {
                joined(self, right, window, store, FullOuter(join))
            }

            /// Brings each request of this stream together with the one answer that it has: `within` says how long
            /// before (a clock may be wrong) and after the request an answer counts. Emits [`Answered`] at once,
            /// [`TimedOut`] and [`Unasked`] when nothing can come any more. Of requests of one key that lie no further
            /// apart than the whole window, so that one answer could be meant for both, the one that came first counts
            /// and every other is told as [`RequestedAgain`]; of answers, as [`AnsweredAgain`]. Which of several came
            /// first follows the order of their partition, where a key has one.
            ///
            /// [`Answered`]: crate::join::Exchange::Answered
            /// [`TimedOut`]: crate::join::Exchange::TimedOut
            /// [`Unasked`]: crate::join::Exchange::Unasked
            /// [`RequestedAgain`]: crate::join::Exchange::RequestedAgain
            /// [`AnsweredAgain`]: crate::join::Exchange::AnsweredAgain
            pub fn answered_by<R>(
                self,
                answers: R,
                within: JoinWindow,
                store: &'static str,
            ) -> Joined<Self, R, Requests>
            where
                R: JoinSide<Owed = ()>,
                R::Pipe: Pipe<Key = KeyOf<Self>, Value: Clone>,
                ValueOf<Self>: Clone,
            {
                joined(self, answers, within, store, Requests)
            }
        }
    };
}

joins!(Stream);
joins!(Grouped);

fn joined<L, R, J>(left: L, right: R, window: JoinWindow, store: &'static str, joiner: J) -> Joined<L, R, J>
where
    L: JoinSide,
    R: JoinSide<Owed = ()>,
    R::Pipe: Pipe<Key = KeyOf<L>>,
    J: Joiner<KeyOf<L>, ValueOf<L>, ValueOf<R>>,
{
    let checked = window.check();
    let window = checked.unwrap_or(JoinWindow::around(DurationMs(0)));
    let judge = (store, window.grace_ms());
    let Stream { draft, sub, at: left_at, pipe: left, owed } = left.side(&format!("{store}-left"), judge);
    let right = right.side(&format!("{store}-right"), judge);
    let (column, left_sources, at) = {
        let mut draft = draft.borrow_mut();
        if let Err(error) = checked {
            draft.errors.push(TopologyError::JoinWindow(error));
        }
        let left_sources = draft.take_over(sub, right.sub);
        let (key, values) = (std::any::type_name::<KeyOf<L>>(), [type_of::<L>(), type_of::<R>()]);
        let holds = format!("{} and {} by {key}", values[0], values[1]);
        let column = draft.store(sub, store, StoreKind::Join(window, J::KIND), DurationMs(0), holds);
        let at = draft.step(sub, StepKind::Join(store), &[left_at, right.at]);
        (column, left_sources, at)
    };
    let table = Table::new(JoinStore::new(store, column, window, J::KIND), joiner);
    let pipe = Join { left, right: right.pipe, left_sources, table };
    Stream { draft: Rc::clone(&draft), sub, at, pipe, owed }
}

/// The name of what a side's records are.
fn type_of<S: JoinSide>() -> &'static str {
    std::any::type_name::<ValueOf<S>>()
}
