//! Step 1 of 7: bytes arrive from one partition, and its stream time stands here.
//!
//! Not here: fetching them ([`crate::worker`]) and decoding them ([`crate::decode`]). Invariant: a
//! partition's stream time depends on its records and on the raises written in the time log, in
//! offset order, and on nothing else; it never goes back.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::batch::RecordRef;
use crate::commit_record::{SourceMark, TimeMark};
use crate::decode::Poison;
use crate::error::CoreError;
use crate::record::{EventTime, Offset, TopicId, TopicPartition};
use crate::repartition::records::Travelled;
use crate::repartition::{Bundle, Frame, Upstreams};
use crate::sink::{set_aside, set_aside_travelled};
use crate::step::Step;

/// One partition that a task reads.
#[derive(Debug, Clone)]
pub(crate) struct SourcePartition {
    /// The number of its topic among the chain's sources.
    pub(crate) source: usize,
    /// Where it is.
    pub(crate) place: TopicPartition,
    /// Whether it holds the rows of a table, which follow the streams beside them when it is silent.
    pub(crate) is_table: bool,
    /// Which incarnation of the topic.
    pub(crate) topic_id: TopicId,
    /// Where reading began when there was no commit to begin at.
    pub(crate) begin: Offset,
    /// Where reading goes on.
    pub(crate) next: Offset,
    /// What its time is made of.
    pub(crate) time: SourceTime,
}

/// How a source knows event time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceTime {
    /// An input: the greatest event time seen, and raises while it was idle.
    Input { stream_time: EventTime, raises: Raises },
    /// One of our repartition topics: what its upstream tasks say.
    Repartition(Upstreams),
}

/// While a partition was idle, its time was raised just before the record at `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Raise {
    pub(crate) offset: Offset,
    pub(crate) time: EventTime,
}

/// The raises that the time log holds for a partition, from its last commit on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Raises {
    ahead: VecDeque<Raise>,
    /// How many of them the open transaction has passed; an abort takes them back.
    passed: usize,
}

impl Raises {
    /// Raises in the order of their offsets.
    pub(crate) fn new(ahead: impl IntoIterator<Item = Raise>) -> Self {
        Self { ahead: ahead.into_iter().collect(), passed: 0 }
    }

    /// The time to which the raises at or before `offset` lift `time`.
    fn lift(&mut self, time: EventTime, offset: Offset) -> EventTime {
        let mut lifted = time;
        while let Some(raise) = self.ahead.get(self.passed).filter(|raise| raise.offset <= offset) {
            lifted = raise.time.max(lifted);
            self.passed += 1;
        }
        lifted
    }

    /// Whether the log has decided further than the partition has been read.
    pub(crate) fn are_ahead(&self) -> bool {
        self.passed < self.ahead.len()
    }
}

/// What a record turned out to be.
pub(crate) enum Arrival<'a> {
    /// An event for the operators.
    Event(Option<&'a [u8]>),
    /// Partial aggregates for them.
    Bundle(Bundle<'a>),
    /// Whole records for them.
    Records(Bundle<'a>),
    /// A time record, or one of another epoch.
    Passed,
}

impl SourcePartition {
    /// A record has come: its offset is taken, raises before it are applied, and the step is set to it.
    pub(crate) fn arrive<'r>(&mut self, step: &mut Step<'_>, record: RecordRef<'r>) -> Arrival<'r> {
        step.counts.records += 1;
        step.counts.bytes += record.value.map_or(0, <[u8]>::len) as u64;
        self.next = record.offset.next();
        step.log_time = record.timestamp;
        step.headers.set(record.headers);
        step.seen = EventTime::MIN;
        step.offset = None;
        match &mut self.time {
            SourceTime::Input { stream_time, raises } => {
                step.offset = Some(record.offset);
                step.counts.events += 1;
                *stream_time = raises.lift(*stream_time, record.offset);
                step.stream_time = *stream_time;
                Arrival::Event(record.value)
            }
            SourceTime::Repartition(upstreams) => {
                step.stream_time = EventTime::MIN;
                match Frame::read(step.terms.epoch, record.value) {
                    Ok(Some(Frame::Bundle(bundle))) => Arrival::Bundle(bundle),
                    Ok(Some(Frame::Records(bundle))) => Arrival::Records(bundle),
                    Ok(Some(Frame::Time(time))) => {
                        if let Err(error) = upstreams.observe(&self.place, time) {
                            step.fail(error);
                        }
                        Arrival::Passed
                    }
                    Ok(None) => {
                        step.counts.other_epoch += 1;
                        Arrival::Passed
                    }
                    // A record of our own that cannot be read is no poison to set aside: counts would be wrong.
                    Err(poison) => {
                        self.fail(step, record.offset, &poison);
                        Arrival::Passed
                    }
                }
            }
        }
    }

    /// A record that came through a repartition topic is next: the step is set to it as it was at its source.
    pub(crate) fn receive(&self, step: &mut Step<'_>, record: &Travelled<'_>) {
        step.stream_time = record.stream_time;
        step.headers.set(record.headers);
    }

    /// It has been through the chain: what was said against it is carried out.
    pub(crate) fn dismiss(&self, step: &mut Step<'_>, record: &Travelled<'_>) {
        if !step.verdicts.is_empty() {
            set_aside_travelled(step, &self.place, record);
        }
    }

    /// The record cannot be read, though it is one of ours.
    pub(crate) fn fail(&self, step: &mut Step<'_>, offset: Offset, poison: &Poison) {
        step.fail(CoreError::record(
            self.place.clone(),
            offset,
            format!(
                "{}: finish the repartition topic with the version that wrote it, or run `streamfleet reprocess`",
                poison.message
            ),
        ));
    }

    /// The record has been through the chain: its event time counts from here on, and what was said
    /// against it is carried out.
    pub(crate) fn depart(&mut self, step: &mut Step<'_>, record: RecordRef<'_>) {
        if let SourceTime::Input { stream_time, .. } = &mut self.time {
            *stream_time = step.seen.max(*stream_time);
        }
        if !step.verdicts.is_empty() {
            set_aside(step, &self.place, record);
        }
    }

    /// Reading goes on at `next`, which may lie past markers and aborted records.
    pub(crate) fn pass_to(&mut self, next: Offset) {
        self.next = next.max(self.next);
    }

    /// Applies the logged raises that lie at the reading place itself: while it was idle there, no record
    /// brought them along. Answers whether time has moved.
    pub(crate) fn lift(&mut self) -> bool {
        let SourceTime::Input { stream_time, raises } = &mut self.time else { return false };
        let lifted = raises.lift(*stream_time, self.next);
        std::mem::replace(stream_time, lifted) != lifted
    }

    /// Raises an idle input's time; the caller writes it into the time log within the same transaction.
    pub(crate) fn raise(&mut self, time: EventTime) {
        if let SourceTime::Input { stream_time, .. } = &mut self.time {
            *stream_time = time.max(*stream_time);
        }
    }

    /// A commit has come: raises that were passed are part of the committed time now.
    pub(crate) fn settle(&mut self) {
        if let SourceTime::Input { raises, .. } = &mut self.time {
            raises.ahead.drain(..raises.passed);
            raises.passed = 0;
        }
    }

    /// Goes back to the last commit, or to the beginning where there was none.
    pub(crate) fn rewind(&mut self, mark: Option<&SourceMark>) {
        self.next = mark.map_or(self.begin, |mark| mark.next);
        match (&mut self.time, mark.map(|mark| &mark.time)) {
            (SourceTime::Input { stream_time, raises }, mark) => {
                *stream_time = match mark {
                    Some(TimeMark::Input(time)) => *time,
                    _ => EventTime::MIN,
                };
                raises.passed = 0;
            }
            (SourceTime::Repartition(upstreams), Some(TimeMark::Repartition(marked))) => *upstreams = marked.clone(),
            (SourceTime::Repartition(upstreams), _) => *upstreams = Upstreams::default(),
        }
    }

    /// Where the history begins that came this way, where somebody upstream says so.
    pub(crate) fn since(&self) -> EventTime {
        match &self.time {
            SourceTime::Input { .. } => EventTime::MAX,
            SourceTime::Repartition(upstreams) => upstreams.since(),
        }
    }

    /// Event time that has been reached here.
    pub(crate) fn reached(&self) -> EventTime {
        match &self.time {
            SourceTime::Input { stream_time, .. } => *stream_time,
            SourceTime::Repartition(upstreams) => upstreams.reached(),
        }
    }
}
