//! Processors of an application's own: Kafka Streams' Processor API.
//!
//! A processor handles the records of a keyed stream and timers in event time. It keeps what it has to know in stores
//! that it has declared, and forwards to the chain that follows and to named outputs. Whatever it does goes the way of the
//! built-in operators: staged, logged, committed with the input offsets, taken back by an abort, restored after a crash.
//!
//! ```text
//!   records ──▶ agenda ──▶ process ──▶ the chain that follows
//!                 ▲ │ ╲             ╲
//!          timers │ │  on_timer      named outputs
//!                 └─┴─────┴── stores
//! ```
//!
//! **In which order.** A record takes effect at the later of its event time and the stream time of its partition. Records
//! come in the order of these moments: of one topic that is the order of its log, also where event times go back; of
//! several, one that is ahead waits for the others. A timer that is set to *t* comes after all records of moments up to
//! *t* and before all later ones, timers of one moment in the order in which they were set. So what a processor says
//! hangs on the input log and the time log alone. Behind a repartition, records of several upstream tasks that have one
//! moment come in the order of their arrival, which a replay may do in another one: let nothing hang on it.
//!
//! **State is in stores only.** The methods take `&self`: a field that changed would not go back when a transaction is
//! aborted, and would be gone after a crash. In RocksDB or in memory is a choice for all stores of a process
//! ([`crate::run::StatePlace`]), not of each: rows that are in use stay decoded in memory, and committed ones reach the
//! disk together and later (the layers of `state`), so one store in memory would save the disk's space and cost a replay of
//! its whole changelog at every start.
//!
//! **The wall clock is an input.** Timers are set in event time, and what timers by the wall clock are used for, to go on
//! when nothing comes any more, event time does: a silent input follows the others after `idle.after.ms`, and when all are
//! silent, event time goes on with the clock, `idle.close.ms` behind it, in steps of a tenth of that (a second to a
//! minute). Each step is a raise in the time log, in the transaction that applies it, so a replay fires the same timers
//! between the same records, whatever its own clock says.
//!
//! Not here: how a processor is put into a topology ([`crate::dsl::Stream::process`]). Invariant: each record is
//! processed and each timer fires once, in the order above, whatever commits and crashes lie between.

mod agenda;
mod context;
mod outputs;
mod stores;
mod timers;
mod versioned;
mod windowed;

use state::{ColumnId, StateKey};

use crate::batch::{Headers, RecordRef};
use crate::decode::Poison;
use crate::process::{Head, Pipe, Raw, Sources, Timed};
use crate::record::{EventTime, LogTime, Offset, Partition, TopicName, TopicPartition};
use crate::repartition::records::Travelled;
use crate::sink::{plain, set_aside, set_aside_derived, set_aside_travelled};
use crate::step::Step;
use crate::table::Kept;
use crate::waiting::headers_of;

use agenda::{Agenda, Arrived, Bytes, Due, Next, Origin, RECORDS, TIMERS};
use context::Moment;
use state::keys::queue::QueueKey;
use timers::Timers;

pub use context::{Context, RecordPosition};
pub use outputs::Output;
pub(crate) use outputs::Outputs;
pub(crate) use stores::Stores;
pub use stores::{Access, KeyValueStore, KeyValueView, StoreHandle};
pub use timers::Timer;
pub use versioned::{VersionedStore, VersionedView};
pub use windowed::{WindowedStore, WindowedView};

/// An operator of an application's own.
///
/// It is a prototype of which each task has a clone, and holds the handles of its stores, timers and outputs and what it
/// is set up with; see [`self`] for why nothing else. It must be a function of what it is called with and of what the
/// context shows: no clock, no randomness, no network.
///
/// A verdict sets the record aside as a dead letter, with its reason; what was put, set and forwarded before it stands.
///
/// ```
/// use processing_core::prelude::*;
///
/// #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// struct Click {
///     at: i64,
///     user: String,
/// }
///
/// /// Tells of each user who was silent for ten minutes how many clicks came before.
/// #[derive(Clone)]
/// struct Silence {
///     clicks: KeyValueStore<String, u64>,
///     silent: Timer,
///     firsts: Output<i64>,
/// }
///
/// impl Processor for Silence {
///     type Key = String;
///     type In = Click;
///     type Out = String;
///
///     fn process(&self, ctx: &mut Context<Self>, user: &String, _: Click) -> Result<(), Poison> {
///         let before = ctx.store(&self.clicks).get(user).copied();
///         ctx.store(&self.clicks).put(user, before.unwrap_or(0) + 1);
///         if before.is_none() {
///             ctx.forward_to(&self.firsts, user.clone(), ctx.event_time().0);
///         }
///         // A click that comes late must not set the timer back.
///         let silent = ctx.event_time().plus(DurationMs::minutes(10));
///         let known = ctx.timer(self.silent).unwrap_or(EventTime::MIN);
///         ctx.set_timer(self.silent, silent.max(known));
///         Ok(())
///     }
///
///     fn on_timer(&self, ctx: &mut Context<Self>, user: &String, _: Timer) -> Result<(), Poison> {
///         let clicks = ctx.store(&self.clicks).get(user).copied().unwrap_or(0);
///         ctx.store(&self.clicks).delete(user);
///         ctx.forward(user.clone(), format!("silent after {clicks} clicks"));
///         Ok(())
///     }
/// }
///
/// fn topology() -> Plan {
///     let app = Topology::named("silence");
///     app.stream(Topic::<Json<Click>>::json("clicks"))
///         .event_time(|click| EventTime(click.at))
///         .already_keyed_by(|click| click.user.clone())
///         .process("silence", |setup| Silence {
///             clicks: setup.key_value_store("clicks-so-far"),
///             silent: setup.timer("silent"),
///             firsts: setup.output(|firsts| firsts.to(Topic::json("firsts"))),
///         })
///         .to(Topic::json("alerts"));
///     app.build().unwrap()
/// }
///
/// processing_core::testing::script::check(
///     topology,
///     r#"
///     in   clicks  10:00:00  ann  {"at": $ms, "user": "ann"}
///     out  firsts  ann  $ms(10:00:00)
///     in   clicks  10:04:00  ann  {"at": $ms, "user": "ann"}
///     in   clicks  10:14:00  bob  {"at": $ms, "user": "bob"}
///     out  firsts  bob  $ms(10:14:00)
///     in   clicks  10:14:01  bob  {"at": $ms, "user": "bob"}
///     out  alerts  ann  "silent after 2 clicks"
///     "#,
/// );
/// ```
pub trait Processor: Clone + Send + 'static {
    /// The key of what it is handed and of what it forwards.
    type Key: StateKey;
    /// What it is handed.
    type In: Kept;
    /// What it forwards to the chain that follows.
    type Out: Send + 'static;

    /// A record has come.
    ///
    /// # Errors
    /// Why it cannot be used: it goes to the dead letters.
    fn process(&self, ctx: &mut Context<'_, '_, Self>, key: &Self::Key, value: Self::In) -> Result<(), Poison>;

    /// A timer of `key` has come.
    ///
    /// # Errors
    /// Why nothing can be made of it: a dead letter without a record says so.
    fn on_timer(&self, _: &mut Context<'_, '_, Self>, _key: &Self::Key, _: Timer) -> Result<(), Poison> {
        Ok(())
    }
}

/// Hands the records of `P` to the processor `R`.
pub struct Process<P, R: Processor> {
    up: P,
    processor: R,
    desk: Desk<R>,
}

/// The place in the agenda of what the chain before made of time: of one moment, before what came from any source.
const DERIVED: u16 = 0;

/// What a processor works with in one task.
struct Desk<R: Processor> {
    /// Of its sources, in their order.
    topics: Vec<TopicName>,
    /// Whether records of one moment come of several partitions, so that an earlier one may still be on its way.
    is_of_several: bool,
    agenda: Agenda<R::Key, R::In>,
    timers: Timers<R::Key>,
    stores: Stores,
    outputs: Outputs<R::Key>,
    /// For the chain that follows, until the call is over.
    forwards: Vec<(R::Key, R::Out)>,
}

/// What has been declared for a processor.
pub(crate) struct Declared<K> {
    pub(crate) topics: Vec<TopicName>,
    pub(crate) is_of_several: bool,
    pub(crate) agenda: (&'static str, ColumnId),
    pub(crate) timers: Vec<&'static str>,
    /// Where timers are kept, if there are any.
    pub(crate) timer_rows: Option<(&'static str, ColumnId)>,
    pub(crate) stores: Stores,
    pub(crate) outputs: Outputs<K>,
}

impl Timer {
    pub(crate) fn declare(of: ColumnId, number: u16) -> Self {
        Self { of, number }
    }
}

/// By hand: a clone has seen nothing.
impl<P: Clone, R: Processor> Clone for Process<P, R> {
    fn clone(&self) -> Self {
        let Desk { topics, is_of_several, agenda, timers, stores, outputs, .. } = &self.desk;
        let desk = Desk {
            topics: topics.clone(),
            is_of_several: *is_of_several,
            agenda: agenda.clone(),
            timers: timers.clone(),
            stores: stores.clone(),
            outputs: outputs.clone(),
            forwards: Vec::new(),
        };
        Self { up: self.up.clone(), processor: self.processor.clone(), desk }
    }
}

impl<P, R: Processor> Process<P, R> {
    pub(crate) fn new(up: P, processor: R, declared: Declared<R::Key>) -> Self {
        let Declared { topics, is_of_several, agenda: (name, column), timers, timer_rows, stores, outputs } = declared;
        let desk = Desk {
            topics,
            is_of_several,
            agenda: Agenda::new(name, column),
            timers: Timers::new(timers, timer_rows),
            stores,
            outputs,
            forwards: Vec::new(),
        };
        Self { up, processor, desk }
    }
}

impl<R: Processor> Desk<R> {
    /// A record has come: as `raw`, or out of the chain before when time moved on.
    fn take_in(&mut self, step: &mut Step<'_>, record: Timed<R::Key, R::In>, raw: Option<Raw<'_>>) {
        let Timed { key, value, time } = record;
        let stream_time = step.stream_time.0;
        let moment = time.0.max(stream_time);
        let Some(raw) = raw else {
            let record =
                Arrived { value, time: time.0, stream_time, headers: headers_of(step), origin: Origin::Derived };
            return self.agenda.put(step, moment, DERIVED, Due::Record { key, record }, 0);
        };
        let source = u16::try_from(raw.source).unwrap_or(u16::MAX);
        let bytes = Bytes { key: raw.key.map(<[u8]>::to_vec), value: raw.value.map(<[u8]>::to_vec) };
        let headers = headers_of(step);
        // Decoded and as it came.
        let held = 2 * (raw.key.map_or(0, <[u8]>::len) + raw.value.map_or(0, <[u8]>::len)) + headers.len();
        let origin = match step.offset {
            Some(Offset(offset)) => Origin::Input { source, offset, logged: step.log_time.0, raw: bytes },
            None => Origin::Travelled { source, raw: bytes },
        };
        let record = Arrived { value, time: time.0, stream_time, headers, origin };
        let source = source.saturating_add(DERIVED + 1);
        self.agenda.put(step, moment, source, Due::Record { key, record }, held);
    }

    /// Does what is due when time has come to `reached`, as much as the step allows. Answers the time that the output has
    /// reached: whatever comes out later belongs to that moment or a later one.
    fn work_off<F>(&mut self, step: &mut Step<'_>, processor: &R, reached: EventTime, emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<R::Key, R::Out>),
    {
        let logged = step.log_time;
        // Of one topic, what comes later at this moment is behind; of several, it may belong before, unless the chain made
        // it of time: that comes first of its moment, in the order in which it was made. Timers of this moment wait in
        // either case.
        let (side, source) = if self.is_of_several { (RECORDS, DERIVED + 1) } else { (TIMERS, 0) };
        let end = QueueKey { time: reached.0, side, source, number: 0 };
        // A slice of its own: where the chain before has used up the step's, one timer that is due would make all that the
        // chain has handed on wait in the store.
        let mut slice = step.terms.bounds.close_slice_records;
        self.agenda.open(step, reached.0, slice);
        let (mut done, mut left) = (0_usize, None);
        while step.failure.is_none() {
            let (place, is_fresh) = match self.agenda.next() {
                Some(Next::At { place, is_fresh }) if place < end => (place, is_fresh),
                Some(Next::Unknown(_)) if self.agenda.open_next(step, reached.0, slice) => continue,
                Some(Next::Unknown(time)) => {
                    left = Some(time);
                    break;
                }
                _ => break,
            };
            // Records that have come since the last commit were bounded when they came.
            let costs = !is_fresh || place.side == TIMERS;
            if (costs && slice == 0) || (done > 0 && done.is_multiple_of(16) && is_heavy(step)) {
                left = Some(place.time);
                break;
            }
            slice -= usize::from(costs);
            done += 1;
            match self.agenda.take(is_fresh) {
                Some((_, Due::Record { key, record })) => self.process(step, processor, place.time, &key, record, emit),
                Some((_, Due::Timer { key, number })) => self.fire(step, processor, place.time, &key, number, emit),
                None => break,
            }
            step.log_time = logged;
        }
        step.headers.clear();
        step.offset = None;
        step.stream_time = EventTime::MIN;
        step.unfinished |= left.is_some();
        self.agenda.close(step, left.is_none().then(|| reached.0.saturating_sub(1)));
        EventTime(left.unwrap_or(i64::MAX).min(reached.0))
    }

    fn process<F>(
        &mut self,
        step: &mut Step<'_>,
        processor: &R,
        moment: i64,
        key: &R::Key,
        record: Arrived<R::In>,
        emit: &mut F,
    ) where
        F: FnMut(&mut Step<'_>, Timed<R::Key, R::Out>),
    {
        let Arrived { value, time, stream_time, headers, origin } = record;
        step.headers.set(Headers(&headers));
        // What is made of it is judged late as it would have been itself.
        step.stream_time = EventTime(stream_time);
        if let Origin::Input { logged, .. } = &origin {
            step.log_time = LogTime(*logged);
        }
        let topic = self.topic_of(&origin);
        let (event_time, stream_time) = (EventTime(time), EventTime(moment));
        let known = Moment { event_time, stream_time, first_timer: moment, origin: Some((&origin, &topic)) };
        let verdict = processor.process(&mut self.context(step, known, key), key, value);
        self.send(step, event_time, emit);
        if let Err(poison) = verdict {
            step.dead_letter(poison);
        }
        if step.verdicts.is_empty() {
            return;
        }
        let place = TopicPartition { topic: topic.clone(), partition: Partition(step.terms.partition) };
        let headers = Headers(&headers);
        match &origin {
            Origin::Input { offset, logged, raw: Bytes { key, value }, .. } => {
                let raw = plain(LogTime(*logged), key.as_deref(), value.as_deref());
                set_aside(step, &place, RecordRef { offset: Offset(*offset), headers, ..raw });
            }
            Origin::Travelled { raw: Bytes { key, value }, .. } => {
                let [key, value] = [key, value].map(|part| part.as_deref().unwrap_or_default());
                let stream_time = step.stream_time;
                set_aside_travelled(step, &place, &Travelled { key, value, time: event_time, stream_time, headers });
            }
            Origin::Derived => set_aside_derived(step, &place),
        }
    }

    fn fire<F>(&mut self, step: &mut Step<'_>, processor: &R, moment: i64, key: &R::Key, number: u16, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<R::Key, R::Out>),
    {
        if !self.timers.fires(step, &mut self.agenda, key, number, moment) {
            return;
        }
        step.headers.clear();
        step.stream_time = EventTime::MIN;
        let time = EventTime(moment);
        // Or a timer that sets itself would fire without end.
        let first_timer = moment.saturating_add(1);
        let known = Moment { event_time: time, stream_time: time, first_timer, origin: None };
        let timer = Timer::declare(self.agenda.column(), number);
        let verdict = processor.on_timer(&mut self.context(step, known, key), key, timer);
        self.send(step, time, emit);
        if let Err(Poison { reason, message }) = verdict {
            let name = self.timers.names.get(usize::from(number)).copied().unwrap_or_default();
            step.dead_letter(Poison::new(reason, format!("timer {name} of {moment}: {message}")));
        }
        if !step.verdicts.is_empty() {
            let topic = self.topic_of(&Origin::Derived);
            set_aside_derived(step, &TopicPartition { topic, partition: Partition(step.terms.partition) });
        }
    }

    fn context<'c, 's>(
        &'c mut self,
        step: &'c mut Step<'s>,
        moment: Moment<'c>,
        key: &'c R::Key,
    ) -> Context<'c, 's, R> {
        let Self { agenda, timers, stores, outputs, forwards, .. } = self;
        Context { step, moment, key, agenda, timers, stores, outputs, forwards }
    }

    /// What the call has forwarded leaves.
    fn send<F>(&mut self, step: &mut Step<'_>, time: EventTime, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<R::Key, R::Out>),
    {
        for (key, value) in self.forwards.drain(..) {
            emit(step, Timed { key, value, time });
        }
        self.outputs.flush(step, time);
    }

    /// The topic that a record came from; the first one for what came from none.
    fn topic_of(&self, origin: &Origin) -> TopicName {
        let number = match origin {
            Origin::Input { source, .. } | Origin::Travelled { source, .. } => usize::from(*source),
            Origin::Derived => 0,
        };
        self.topics.get(number).or(self.topics.first()).cloned().unwrap_or_else(|| TopicName::new(""))
    }
}

/// Whether what has been done is enough for one commit.
fn is_heavy(step: &Step<'_>) -> bool {
    let bounds = &step.terms.bounds;
    step.out.bytes() >= bounds.outbox_bytes
        || step.rows.staged_bytes() >= bounds.staged_bytes
        // The records themselves are held until they are worked off.
        || step.held_bytes >= bounds.held_bytes.saturating_mul(2)
}

impl<P, R> Pipe for Process<P, R>
where
    P: Pipe<Head = Sources, Key = R::Key, Value = R::In>,
    R: Processor,
{
    type Head = Sources;
    type Key = R::Key;
    type Value = R::Out;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: Raw<'_>, _: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<R::Key, R::Out>),
    {
        let Self { up, desk, .. } = self;
        up.feed(step, input, &mut |step, record| desk.take_in(step, record, Some(input)));
    }

    fn advance<F>(&mut self, step: &mut Step<'_>, times: <Sources as Head>::Time<'_>, emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<R::Key, R::Out>),
    {
        let Self { up, processor, desk } = self;
        // What a chain makes of time (closed windows before this) was judged already.
        step.stream_time = EventTime::MIN;
        let reached = up.advance(step, times, &mut |step, record| desk.take_in(step, record, None));
        let reached = desk.work_off(step, processor, reached, emit);
        desk.stores.advance(step, reached);
        desk.outputs.advance(step, reached);
        reached
    }

    fn drain<F>(&mut self, step: &mut Step<'_>, _: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<R::Key, R::Out>),
    {
        let Self { up, desk, .. } = self;
        up.drain(step, &mut |step, record| desk.take_in(step, record, None));
        desk.agenda.drain(step);
        desk.timers.drain(step);
        desk.stores.drain(step);
        desk.outputs.drain(step);
    }

    fn abandon(&mut self) {
        let Self { up, desk, .. } = self;
        up.abandon();
        desk.agenda.abandon();
        desk.timers.abandon();
        desk.stores.abandon();
        desk.outputs.abandon();
        desk.forwards.clear();
    }
}

#[cfg(test)]
mod documented;
#[cfg(test)]
mod tests;
