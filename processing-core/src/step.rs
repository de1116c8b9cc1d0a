//! What an operator may touch while a record, a closing window or a commit passes through it.
//!
//! Not here: any operator. Invariant: everything an operator changes outside itself goes through a
//! [`Step`], into the open transaction: staged rows, outgoing records, counts. A step has no clock of
//! its own and no way to the log.

use crate::batch::HeaderBuffer;
pub use crate::cache_share::Shares;
use crate::counts::Counts;
use crate::decode::Poison;
use crate::error::CoreError;
use crate::limits::Bounds;
use crate::record::{DurationMs, EventTime, LogTime, Offset, WallTime};
use crate::sink::Outbox;
use crate::state_view::Rows;

/// The hands of the operators for one call from the driver.
pub struct Step<'a> {
    /// The task's rows: staged over committed.
    pub(crate) rows: &'a mut dyn Rows,
    /// Records that leave with the open transaction.
    pub(crate) out: &'a mut Outbox,
    /// What was seen and what was not counted.
    pub(crate) counts: &'a mut Counts,
    /// The same for every step of a task.
    pub(crate) terms: Terms,
    /// The wall clock's word at the beginning of this call. Nothing but rate limits of updates may
    /// look at it: results must not depend on it.
    pub(crate) now: WallTime,
    /// How many windows' results this call may still emit before a commit must come between.
    pub(crate) closings_left: usize,
    /// Whether some window is due and was left for the next call.
    pub(crate) unfinished: bool,
    /// Whether updates wait for their interval, so that a commit must come even without input.
    pub(crate) waiting: bool,
    /// The stream time of the record's partition before the record; [`EventTime::MIN`] for records
    /// that the chain itself made, which are never late.
    pub(crate) stream_time: EventTime,
    /// Where the history begins that the task's upstreams have sent; [`EventTime::MAX`] where there are none.
    pub(crate) since: EventTime,
    /// The record's own event time, once it is known and accepted.
    pub(crate) seen: EventTime,
    /// The log's timestamp of the record.
    pub(crate) log_time: LogTime,
    /// The record's place in an input topic; `None` for every other record.
    pub(crate) offset: Option<Offset>,
    /// The headers of the record, for what is made of it and of nothing else; empty where a window closes.
    pub(crate) headers: HeaderBuffer,
    /// What was said against the record on its way.
    pub(crate) verdicts: Vec<Verdict>,
    /// Bytes that operators hold in memory for the open transaction.
    pub(crate) held_bytes: usize,
    /// What each store keeps in memory after it was drained and can let go of, in bytes.
    pub(crate) kept_bytes: Vec<usize>,
    /// The same of what has to last.
    pub(crate) lasting_bytes: Vec<usize>,
    /// The first failure of a store; the transaction is lost with it.
    pub(crate) failure: Option<CoreError>,
}

/// What a task's steps have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The state epoch, carried by every changelog key, repartition record and time record.
    pub epoch: u32,
    /// How far event time may be ahead of the record's log timestamp; `None` is any distance.
    pub future_bound: Option<DurationMs>,
    /// The task's own partition.
    pub partition: u32,
    /// How many tasks its sub-topology has.
    pub tasks: u32,
    /// When a commit must come early.
    pub bounds: Bounds,
    /// What each store may keep in memory between transactions.
    pub shares: Shares,
}

/// Something said against a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes to the dead letters.
    Dead(Poison),
    /// It came after the named store's windows had closed, all of them.
    Late(&'static str),
}

impl Step<'_> {
    /// Takes note of the event time that was read from the record. Answers `false`, and sends the
    /// record to the dead letters, if it lies too far ahead of the record's log timestamp: it would
    /// close everybody's windows.
    pub(crate) fn accept_event_time(&mut self, time: EventTime) -> bool {
        if let Some(bound) = self.terms.future_bound
            && time.0 > self.log_time.0.saturating_add(bound.0)
        {
            let ahead = time.0.saturating_sub(self.log_time.0);
            self.dead_letter(Poison::new(
                "future",
                format!("the event time is {ahead} ms ahead of the log's timestamp; the bound is {} ms", bound.0),
            ));
            return false;
        }
        self.seen = self.seen.max(time);
        true
    }

    /// The record cannot be used: it leaves for the dead-letter topic within this transaction.
    pub(crate) fn dead_letter(&mut self, poison: Poison) {
        self.verdicts.push(Verdict::Dead(poison));
    }

    /// The record came too late for every window of `store` that could have held it.
    pub(crate) fn late(&mut self, store: &'static str) {
        self.verdicts.push(Verdict::Late(store));
    }

    /// Keeps the first failure.
    pub(crate) fn fail(&mut self, error: impl Into<CoreError>) {
        if self.failure.is_none() {
            self.failure = Some(error.into());
        }
    }

    /// The value of a fallible call, or a kept failure.
    pub(crate) fn ok<T>(&mut self, result: Result<T, impl Into<CoreError>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    /// Whether a commit must come before the next record: the transaction has reached its bound, or is
    /// lost.
    pub(crate) fn is_full(&self) -> bool {
        let bounds = &self.terms.bounds;
        self.failure.is_some()
            || self.held_bytes >= bounds.held_bytes
            || self.out.bytes() >= bounds.outbox_bytes
            || self.rows.staged_bytes() >= bounds.staged_bytes
    }
}
