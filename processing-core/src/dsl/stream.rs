//! The steps that need no memory: time, filter, map, key, merge, tee, split, and the way out.
//!
//! Not here: windows ([`super::window`]). Invariant: a step adds its operator to the chain's type and
//! its name to the plan, and nothing else.

use std::cell::RefCell;
use std::rc::Rc;

use state::StateKey;

use super::draft::Draft;
use super::topic::Topic;
use crate::decode::{Decoder, Encoder, Poison};
use crate::plan::{Output, OutputKind, StepKind};
use crate::process::{
    Arm, Arms, Branch, Chain, Decoded, Filter, FilterCounted, FlatMap, Fork, Head, Inlet, KeyBy, KeyByFirst, Map,
    MapKeyed, Merge, NoArm, Peek, Pipe, Sources, Split, Stateless, Tee, Terminal, TryMap,
};
use crate::record::{EventTime, TopicName};
use crate::sink::{Discard, ToTable, ToTopic};
use crate::word::Word;

/// Records whose event time is not known yet.
#[must_use = "a stream that is not sent anywhere does nothing"]
pub struct Untimed<D> {
    pub(crate) draft: Rc<RefCell<Draft>>,
    pub(crate) sub: usize,
    pub(crate) at: usize,
    pub(crate) decoders: Vec<D>,
}

impl<D: Decoder> Untimed<D> {
    /// Says when an event happened. It decides which windows hold it, and the greatest event time seen in
    /// a partition is that partition's stream time.
    pub fn event_time<T>(self, time: T) -> Stream<Decoded<D, T>, ()>
    where
        T: Fn(&D::Event) -> EventTime + Clone + Send + 'static,
    {
        let pipe = Decoded { decoders: self.decoders, time };
        Stream { draft: self.draft, sub: self.sub, at: self.at, pipe, owed: () }
    }
}

/// A stream of records with a time; `P` is the chain of operators that makes it.
///
/// `O` is what a side chain still owes the `tee` it began at; users never name it.
#[must_use = "a stream that is not sent anywhere does nothing"]
pub struct Stream<P, O> {
    pub(crate) draft: Rc<RefCell<Draft>>,
    pub(crate) sub: usize,
    /// The number of the step before this place.
    pub(crate) at: usize,
    pub(crate) pipe: P,
    pub(crate) owed: O,
}

/// A stream that is grouped by a key which its partitions do not keep together: it goes through a
/// repartition topic before it is aggregated.
#[must_use = "a grouped stream does nothing until it is windowed"]
pub struct Grouped<P, O>(pub(crate) Stream<P, O>);

/// What a side chain begins with: clones of what passes.
pub type SideStream<P> = Stream<Inlet<<P as Pipe>::Key, <P as Pipe>::Value, <<P as Pipe>::Head as Head>::Word>, ()>;

impl<P, O> Grouped<P, O>
where
    P: Pipe<Key: StateKey>,
{
    /// Sends the stream to a topic with the new key as the record's. Nothing is aggregated on the way, so no
    /// repartition topic is needed.
    pub fn to<E>(self, topic: Topic<E>) -> Ended<P, ToTopic<E>, O>
    where
        E: Encoder<P::Value>,
        P::Head: Conclude,
    {
        self.0.to(topic)
    }
}

impl<P: Pipe, O> Stream<P, O> {
    pub(super) fn step<Q>(self, name: &'static str, pipe: impl FnOnce(P) -> Q) -> Stream<Q, O> {
        let at = self.draft.borrow_mut().step(self.sub, StepKind::Operator(name), &[self.at]);
        Stream { draft: self.draft, sub: self.sub, at, pipe: pipe(self.pipe), owed: self.owed }
    }

    /// Keeps the records for which `keep` says yes.
    pub fn filter<C>(self, keep: C) -> Stream<Stateless<P, Filter<C>>, O>
    where
        C: Fn(&P::Value) -> bool + Clone + Send + 'static,
    {
        self.step("filter", |up| Stateless { up, op: Filter(keep) })
    }

    /// Keeps the records for which `keep` says yes, and counts the others under `reason`
    /// (`stream_records_dropped_total`): for events that say too little to be counted anywhere.
    pub fn filter_counted<C>(self, reason: &'static str, keep: C) -> Stream<Stateless<P, FilterCounted<C>>, O>
    where
        C: Fn(&P::Value) -> bool + Clone + Send + 'static,
    {
        self.step("filter", |up| Stateless { up, op: FilterCounted { reason, keep } })
    }

    /// Puts another value in each record's place.
    pub fn map<W: 'static, C>(self, map: C) -> Stream<Stateless<P, Map<C>>, O>
    where
        C: Fn(P::Value) -> W + Clone + Send + 'static,
    {
        self.step("map", |up| Stateless { up, op: Map(map) })
    }

    /// Puts another value, made of key and value, in each record's place.
    pub fn map_keyed<W: 'static, C>(self, map: C) -> Stream<Stateless<P, MapKeyed<C>>, O>
    where
        C: Fn(&P::Key, P::Value) -> W + Clone + Send + 'static,
    {
        self.step("map", |up| Stateless { up, op: MapKeyed(map) })
    }

    /// Puts another value in each record's place, or sends the record to the dead letters with the reason
    /// that `map` gives.
    pub fn try_map<W: 'static, C>(self, map: C) -> Stream<Stateless<P, TryMap<C>>, O>
    where
        C: Fn(P::Value) -> Result<W, Poison> + Clone + Send + 'static,
    {
        self.step("map", |up| Stateless { up, op: TryMap(map) })
    }

    /// Puts any number of values in each record's place.
    pub fn flat_map<W: 'static, I, C>(self, map: C) -> Stream<Stateless<P, FlatMap<C>>, O>
    where
        P::Key: Clone,
        I: IntoIterator<Item = W>,
        C: Fn(P::Value) -> I + Clone + Send + 'static,
    {
        self.step("flat-map", |up| Stateless { up, op: FlatMap(map) })
    }

    /// Shows every record to `look` on its way, for logs and metrics of one's own. What it sees may yet be undone and come
    /// again after an abort, and comes again in every replay: nothing that is to be counted once may be counted here.
    pub fn peek<C>(self, look: C) -> Stream<Stateless<P, Peek<C>>, O>
    where
        C: Fn(&P::Key, &P::Value) + Clone + Send + 'static,
    {
        self.step("peek", |up| Stateless { up, op: Peek(look) })
    }

    /// Begins to split the stream: each record goes to the first [`Splitting::branch`] that takes it, and to the
    /// [`Splitting::rest`] if none does.
    ///
    /// ```
    /// # use processing_core::prelude::*;
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)] struct Order { at: i64, id: u64, cents: i64 }
    /// # let app = Topology::named("orders");
    /// app.stream(Topic::<Json<Order>>::json("orders"))
    ///     .event_time(|order| EventTime(order.at))
    ///     .already_keyed_by(|order| order.id)
    ///     .split()
    ///     .branch(|order| order.cents < 0, |refunds| refunds.to(Topic::json("refunds")))
    ///     .branch(|order| order.cents > 100_000, |large| large.to(Topic::json("large-orders")))
    ///     .rest()
    ///     .to(Topic::json("small-orders"));
    /// # app.build().unwrap();
    /// ```
    pub fn split(self) -> Splitting<P, NoArm, O> {
        Splitting { stream: self.step("split", |up| up), arms: NoArm }
    }

    /// Groups by a key. Records of one key may be in any partition, so what is aggregated by it travels
    /// through a repartition topic, folded beforehand as far as one commit reaches.
    pub fn key_by<J: StateKey, C>(self, key: C) -> Grouped<Stateless<P, KeyBy<C>>, O>
    where
        C: Fn(&P::Value) -> J + Clone + Send + 'static,
    {
        Grouped(self.step("key-by", |up| Stateless { up, op: KeyBy(key) }))
    }

    /// Groups pairs by their first part; the second goes on alone. Where the key is made together with the value, it need
    /// neither be copied out of it nor travel within it.
    pub fn key_by_first<J: StateKey, V: 'static>(self) -> Grouped<Stateless<P, KeyByFirst>, O>
    where
        P: Pipe<Value = (J, V)>,
    {
        Grouped(self.step("key-by", |up| Stateless { up, op: KeyByFirst }))
    }

    /// Groups by a key by which the topic is already partitioned: whoever writes it uses this key as
    /// the record's key. No repartition topic is needed. If the promise is broken, a key's records are
    /// aggregated apart.
    pub fn already_keyed_by<J: StateKey, C>(self, key: C) -> Stream<Stateless<P, KeyBy<C>>, O>
    where
        C: Fn(&P::Value) -> J + Clone + Send + 'static,
    {
        self.step("already-keyed-by", |up| Stateless { up, op: KeyBy(key) })
    }

    /// Shows every record to a side chain, which must end in `to` or in a window of its own.
    pub fn tee<S>(self, side: impl FnOnce(SideStream<P>) -> S) -> Stream<Tee<P, S>, O>
    where
        P::Key: Clone,
        P::Value: Clone,
        S: Terminal<P::Key, P::Value>,
    {
        let Self { draft, sub, at, pipe, owed } = self;
        let side = side(Stream { draft: Rc::clone(&draft), sub, at, pipe: Inlet::new(), owed: () });
        Stream { draft, sub, at, pipe: Tee { up: pipe, side }, owed }
    }

    /// Sends the stream to a topic, with the stream's key as the record's.
    pub fn to<E>(self, topic: Topic<E>) -> Ended<P, ToTopic<E>, O>
    where
        P::Key: StateKey,
        E: Encoder<P::Value>,
        P::Head: Conclude,
    {
        let output = self.output(&topic);
        self.conclude(ToTopic::new(output, topic.codec))
    }

    /// Sends rows to a topic, with the stream's key as the record's; where a key has no row, a tombstone. The topic
    /// should be compacted.
    pub fn to_table<V, E>(self, topic: Topic<E>) -> Ended<P, ToTable<E>, O>
    where
        P: Pipe<Value = Option<V>>,
        P::Key: StateKey,
        E: Encoder<V>,
        P::Head: Conclude,
    {
        let output = self.output(&topic);
        self.conclude(ToTable::new(output, topic.codec))
    }

    fn output<E>(&self, topic: &Topic<E>) -> usize {
        let kind = OutputKind::Topic(topic.settings());
        let finality = <<P::Head as Head>::Word as Word>::FINALITY;
        let output = Output { topic: topic.name.clone(), kind, finality };
        self.draft.borrow_mut().output(self.sub, output, self.at)
    }

    /// Ends a stream whose stores are all that is wanted.
    pub fn end(self) -> Ended<P, Discard<P::Value>, O>
    where
        P::Head: Conclude,
    {
        self.conclude(Discard::new())
    }

    pub(crate) fn conclude<T>(self, end: T) -> Ended<P, T, O>
    where
        P::Head: Conclude,
        T: Terminal<P::Key, P::Value>,
    {
        <P::Head as Conclude>::conclude(&self.draft, self.sub, Branch { pipe: self.pipe, end }, self.owed)
    }
}

/// A stream on its way into several side chains.
#[must_use = "a split stream does nothing until its `rest` is sent anywhere"]
pub struct Splitting<P, A, O> {
    pub(super) stream: Stream<P, O>,
    pub(super) arms: A,
}

impl<P: Pipe, A, O> Splitting<P, A, O> {
    /// Sends what no branch before took, and for which `takes` says yes, to a side chain, which must end in `to`, in `end` or
    /// in a window of its own.
    pub fn branch<C, S>(self, takes: C, side: impl FnOnce(SideStream<P>) -> S) -> Splitting<P, Arm<A, C, S>, O>
    where
        P::Key: Clone,
        P::Value: Clone,
        C: Fn(&P::Value) -> bool + Clone + Send + 'static,
        S: Terminal<P::Key, P::Value>,
    {
        let Self { stream, arms } = self;
        let (draft, sub) = (Rc::clone(&stream.draft), stream.sub);
        let at = draft.borrow_mut().step(sub, StepKind::Operator("branch"), &[stream.at]);
        let side = side(Stream { draft, sub, at, pipe: Inlet::new(), owed: () });
        Splitting { stream, arms: Arm { before: arms, takes, side } }
    }

    /// What no branch took goes on here; end it with `end` where it is not wanted.
    pub fn rest(self) -> Stream<Split<P, A>, O>
    where
        A: Arms<P::Key, P::Value>,
    {
        let Stream { draft, sub, at, pipe, owed } = self.stream;
        Stream { draft, sub, at, pipe: Split { up: pipe, arms: self.arms }, owed }
    }
}

impl<P: Pipe<Head = Sources>> Stream<P, ()> {
    /// Joins another stream of the same kind. The result's time is the slower one's.
    pub fn merge<Q>(self, other: Stream<Q, ()>) -> Stream<Merge<P, Q>, ()>
    where
        Q: Pipe<Head = Sources, Key = P::Key, Value = P::Value>,
    {
        let (left_sources, at) = {
            let mut draft = self.draft.borrow_mut();
            let count = draft.take_over(self.sub, other.sub);
            (count, draft.step(self.sub, StepKind::Operator("merge"), &[self.at, other.at]))
        };
        let pipe = Merge { left: self.pipe, right: other.pipe, left_sources };
        Stream { draft: self.draft, sub: self.sub, at, pipe, owed: () }
    }
}

/// What ending a chain leaves in the hand: nothing, or the side chain that a `tee` waits for.
pub type Ended<P, T, O> = <<P as Pipe>::Head as Conclude>::Left<Branch<P, T>, O>;

/// How a chain is ended, which depends on where it began.
pub trait Conclude: Head + Sized {
    /// What is left in the hand.
    type Left<B, O>;
    #[doc(hidden)]
    #[allow(private_interfaces, reason = "called within the crate only")]
    fn conclude<P, T, O>(
        draft: &Rc<RefCell<Draft>>,
        sub: usize,
        branch: Branch<P, T>,
        owed: O,
    ) -> Self::Left<Branch<P, T>, O>
    where
        P: Pipe<Head = Self>,
        T: Terminal<P::Key, P::Value>;
}

impl Conclude for Sources {
    type Left<B, O> = O;
    #[allow(private_interfaces, reason = "called within the crate only")]
    fn conclude<P, T, O>(draft: &Rc<RefCell<Draft>>, sub: usize, branch: Branch<P, T>, owed: O) -> O
    where
        P: Pipe<Head = Self>,
        T: Terminal<P::Key, P::Value>,
    {
        let chain: Box<dyn Chain> = Box::new(branch);
        draft.borrow_mut().subs[sub].chain = Some(chain);
        owed
    }
}

impl<K: 'static, V: 'static, W: Word> Conclude for Fork<K, V, W> {
    type Left<B, O> = B;
    #[allow(private_interfaces, reason = "called within the crate only")]
    fn conclude<P, T, O>(_: &Rc<RefCell<Draft>>, _: usize, branch: Branch<P, T>, _: O) -> Branch<P, T>
    where
        P: Pipe<Head = Self>,
        T: Terminal<P::Key, P::Value>,
    {
        branch
    }
}

/// Used where topics are named in messages.
pub(crate) fn internal(app: &str, store: &str, kind: &str) -> TopicName {
    TopicName::new(format!("{app}-{store}-{kind}"))
}
