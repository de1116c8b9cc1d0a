//! Who asked, who answered, and who was never answered.
//!
//! A request is answered by the first answer of its kind and id that is not earlier and not later than the timeout. Of a
//! processing or an embedding that is asked for twice, the earlier request counts until it is answered; each of a lead's
//! events that start work waits for itself, and the next result for the lead answers all of them. An answer that nobody
//! asked for is normal.
//!
//! Not here: where requests and answers come from ([`crate::reading`]). Invariant: of each request, one thing is said, once:
//! how long it waited, or that it timed out; whatever commits and crashes lie between, and in whichever order records of
//! one moment come: nothing is decided before the timer behind that moment.

use compact_str::{CompactString, format_compact};
use processing_core::dsl::Setup;
use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::event::Exchange;
use crate::series::{Series, UNKNOWN};

/// So many requests of one id wait at once, and so many answers are remembered.
const WAITING_MAX: usize = 64;

/// How long each kind of request waits, and how much later than others its answer may come to this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// By [`Exchange`].
    pub timeouts: [DurationMs; Exchange::ALL.len()],
    /// How far records may be behind.
    pub grace: DurationMs,
}

/// A request or an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Of what.
    pub exchange: Exchange,
    /// Whose.
    pub tenant: CompactString,
    /// Which one.
    pub id: CompactString,
    /// When.
    pub time: EventTime,
    /// Where an answer is counted; `None` for a request.
    pub answer: Option<Series>,
}

impl Turn {
    /// By what requests and answers find each other.
    pub fn key(&self) -> CompactString {
        format_compact!("{}|{}|{}", self.exchange.as_str(), self.tenant, self.id)
    }
}

/// What has become of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Answered {
        /// Of what it is.
        exchange: Exchange,
        /// Where its answer is counted.
        series: Series,
        /// After how long, in milliseconds.
        ms: u64,
    },
    /// Nobody answered in time.
    TimedOut(Unanswered),
}

/// A request that nobody answered in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// Of what it is.
    pub exchange: Exchange,
    /// Whose.
    pub tenant: CompactString,
    /// Which one.
    pub id: CompactString,
    /// When it was made.
    pub requested: EventTime,
    /// Until when it waited.
    pub until: EventTime,
}

impl Unanswered {
    /// Where it is counted.
    pub fn series(&self) -> Series {
        Series::new(&self.tenant, UNKNOWN, UNKNOWN, self.exchange.operation())
    }
}

/// What waits under one key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    /// When requests were made that have no answer, in order.
    requests: Vec<i64>,
    /// When answers came, in order.
    answers: Vec<(i64, Series)>,
    /// Whose, and which; the key holds it too, in one text.
    of: Option<(Exchange, CompactString, CompactString)>,
}

/// Brings requests and answers together.
#[derive(Clone)]
pub struct Exchanges {
    patience: Patience,
    waiting: KeyValueStore<CompactString, Waiting>,
    due: Timer,
}

impl Exchanges {
    /// Declares what it keeps.
    pub fn declare(setup: &mut Setup<CompactString>, patience: Patience) -> Self {
        Self { patience, waiting: setup.key_value_store("exchanges-waiting-rows"), due: setup.timer("due") }
    }

    fn timeout(&self, exchange: Exchange) -> i64 {
        self.patience.timeouts[exchange as usize].0
    }
}

impl Waiting {
    /// Takes a turn in; `false` where too many wait.
    fn take_in(&mut self, turn: &Turn) -> bool {
        let time = turn.time.0;
        self.of = Some((turn.exchange, turn.tenant.clone(), turn.id.clone()));
        match &turn.answer {
            Some(series) => {
                let place = self.answers.partition_point(|known| *known <= (time, series.clone()));
                self.answers.insert(place, (time, series.clone()));
                // The oldest one goes: what it could answer has come and gone, or is later than usual.
                if self.answers.len() > WAITING_MAX {
                    self.answers.remove(0);
                }
                true
            }
            None if turn.exchange != Exchange::Lead => {
                self.requests = vec![self.requests.first().map_or(time, |first| time.min(*first))];
                true
            }
            None => {
                let place = self.requests.partition_point(|known| *known <= time);
                self.requests.insert(place, time);
                self.requests.len() <= WAITING_MAX || self.requests.pop().is_none()
            }
        }
    }

    /// What is decided now that everything up to `now` has come; what is not stays.
    fn decide(&mut self, timeout: i64, grace: i64, now: i64) -> Vec<(i64, Option<(i64, Series)>)> {
        let mut decided = Vec::new();
        let answers = &self.answers;
        self.requests.retain(|request| {
            let first = answers.iter().find(|(time, _)| time >= request);
            let answer = first.filter(|(time, _)| *time <= request.saturating_add(timeout));
            let is_over = request.saturating_add(timeout).saturating_add(grace) <= now;
            if answer.is_some() || is_over {
                decided.push((*request, answer.cloned()));
            }
            answer.is_none() && !is_over
        });
        // An answer waits for requests that are behind it.
        self.answers.retain(|(time, _)| time.saturating_add(grace) > now);
        decided
    }

    /// When something is decided that is not decided yet; `None` where nothing waits.
    fn next(&self, timeout: i64, grace: i64) -> Option<i64> {
        let over = self.requests.first().map(|request| request.saturating_add(timeout).saturating_add(grace));
        let forgotten = self.answers.first().map(|(time, _)| time.saturating_add(grace));
        [over, forgotten].into_iter().flatten().min()
    }
}

impl Processor for Exchanges {
    type Key = CompactString;
    type In = Turn;
    type Out = Outcome;

    fn process(&self, ctx: &mut Context<'_, '_, Self>, key: &CompactString, turn: Turn) -> Result<(), Poison> {
        let mut waiting = ctx.store(&self.waiting).get(key).cloned().unwrap_or_default();
        let has_room = waiting.take_in(&turn);
        // Behind all records of this moment: two of them may come in either order.
        let is_met = !waiting.requests.is_empty() && !waiting.answers.is_empty();
        let next = if is_met {
            Some(ctx.stream_time().0)
        } else {
            waiting.next(self.timeout(turn.exchange), self.patience.grace.0)
        };
        ctx.store(&self.waiting).put(key, waiting);
        if let Some(next) = ctx.timer(self.due).map(|due| due.0).into_iter().chain(next).min() {
            ctx.set_timer(self.due, EventTime(next));
        }
        if has_room {
            return Ok(());
        }
        Err(Poison::new("too_many_waiting", format!("{WAITING_MAX} earlier requests of this lead wait for an answer")))
    }

    fn on_timer(&self, ctx: &mut Context<'_, '_, Self>, key: &CompactString, _: Timer) -> Result<(), Poison> {
        let Some(mut waiting) = ctx.store(&self.waiting).get(key).cloned() else { return Ok(()) };
        let Some((exchange, tenant, id)) = waiting.of.clone() else { return Ok(()) };
        let (timeout, grace) = (self.timeout(exchange), self.patience.grace.0);
        for (requested, answer) in waiting.decide(timeout, grace, ctx.stream_time().0) {
            let outcome = match answer {
                Some((time, series)) => Outcome::Answered { exchange, series, ms: time.abs_diff(requested) },
                None => Outcome::TimedOut(Unanswered {
                    exchange,
                    tenant: tenant.clone(),
                    id: id.clone(),
                    requested: EventTime(requested),
                    until: EventTime(requested.saturating_add(timeout)),
                }),
            };
            ctx.forward(key.clone(), outcome);
        }
        match waiting.next(timeout, grace) {
            Some(next) => {
                ctx.store(&self.waiting).put(key, waiting);
                ctx.set_timer(self.due, EventTime(next));
            }
            None => ctx.store(&self.waiting).delete(key),
        }
        Ok(())
    }
}
