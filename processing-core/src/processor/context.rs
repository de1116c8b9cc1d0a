//! What a processor may touch while it handles a record or a timer.
//!
//! Not here: when it is called ([`super`]). Invariant: everything it does through a context goes into the open
//! transaction; everything it learns from one follows from the input log and the time log.

use super::Processor;
use super::agenda::{Agenda, Origin};
use super::outputs::{Output, Outputs};
use super::stores::{Access, StoreHandle, Stores};
use super::timers::{Timer, Timers};
use crate::batch::Headers;
use crate::record::{EventTime, LogTime, Offset, Partition, TopicName};
use crate::step::Step;

/// The hands and eyes of a processor for one call.
pub struct Context<'c, 's, R: Processor> {
    pub(super) step: &'c mut Step<'s>,
    pub(super) moment: Moment<'c>,
    pub(super) key: &'c R::Key,
    pub(super) agenda: &'c mut Agenda<R::Key, R::In>,
    pub(super) timers: &'c mut Timers<R::Key>,
    pub(super) stores: &'c mut Stores,
    pub(super) outputs: &'c mut Outputs<R::Key>,
    pub(super) forwards: &'c mut Vec<(R::Key, R::Out)>,
}

/// When and where it is called.
#[derive(Clone, Copy)]
pub(super) struct Moment<'c> {
    pub(super) event_time: EventTime,
    pub(super) stream_time: EventTime,
    /// A timer cannot be set to an earlier time.
    pub(super) first_timer: i64,
    /// Where the record came from, and the name of its topic; `None` for a timer.
    pub(super) origin: Option<(&'c Origin, &'c TopicName)>,
}

/// A record's place in its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPosition<'c> {
    /// Its topic.
    pub topic: &'c TopicName,
    /// Its partition.
    pub partition: Partition,
    /// Its place in the partition.
    pub offset: Offset,
}

impl<'s, R: Processor> Context<'_, 's, R> {
    /// The record's event time, or the timer's. What is forwarded has it too.
    pub fn event_time(&self) -> EventTime {
        self.moment.event_time
    }

    /// How far event time has come: at a record the later one of its own and the stream time of its partition before it,
    /// at a timer the timer's. It never goes back from one call to the next.
    pub fn stream_time(&self) -> EventTime {
        self.moment.stream_time
    }

    /// The log's timestamp of the record; `None` for timers, behind a repartition, and for what operators before have made
    /// when time moved on: windows, joins with tables, other processors.
    pub fn log_time(&self) -> Option<LogTime> {
        match self.moment.origin? {
            (Origin::Input { logged, .. }, _) => Some(LogTime(*logged)),
            _ => None,
        }
    }

    /// Where the record stands in its input; `None` where there is no [`Self::log_time`] either.
    pub fn position(&self) -> Option<RecordPosition<'_>> {
        match self.moment.origin? {
            (Origin::Input { offset, .. }, topic) => {
                let partition = Partition(self.step.terms.partition);
                Some(RecordPosition { topic, partition, offset: Offset(*offset) })
            }
            _ => None,
        }
    }

    /// The record's headers, which go along with what is forwarded. A timer has none.
    pub fn headers(&self) -> Headers<'_> {
        self.step.headers.as_headers()
    }

    /// A store, for one look or change.
    pub fn store<'v, S: StoreHandle>(&'v mut self, handle: &S) -> S::View<'v, 's>
    where
        's: 'v,
    {
        let Self { step, stores, moment, .. } = self;
        handle.view(Access { step, stores, now: moment.stream_time })
    }

    /// Sends a value on to the chain that follows the processor, under a key of this task: its own, or one that a store
    /// of it has been given. (For any other key, `key_by` behind the processor.)
    pub fn forward(&mut self, key: R::Key, value: R::Out) {
        self.forwards.push((key, value));
    }

    /// Sends a value to a named output, as [`Self::forward`] does.
    pub fn forward_to<W: Send + 'static>(&mut self, output: &Output<W>, key: R::Key, value: W) {
        self.outputs.forward(self.step, self.agenda.column(), output, (key, value));
    }

    /// Sets a timer of the present key: it fires when stream time has passed `at`, after all records that take it no
    /// further than `at` and before all others. A key has one timer of each kind: set again, it fires at the new time
    /// only. One that is set to a time that has passed fires as soon as time moves on.
    pub fn set_timer(&mut self, timer: Timer, at: EventTime) {
        let at = at.0.max(self.moment.first_timer);
        self.timers.set(self.step, self.agenda, self.key, timer, at);
    }

    /// Takes a timer of the present key back, if it is set.
    pub fn cancel_timer(&mut self, timer: Timer) {
        self.timers.cancel(self.step, self.agenda, self.key, timer);
    }

    /// The time that a timer of the present key is set to.
    pub fn timer(&mut self, timer: Timer) -> Option<EventTime> {
        self.timers.due(self.step, self.agenda, self.key, timer)
    }
}
