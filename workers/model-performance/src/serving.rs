//! Requests for recommendations and what became of them.
//!
//! A request is answered or timed out. It counts in the minute in which its answer came, and one without an answer in that
//! of the request itself; which is told when its time to be answered has run out.
//!
//! Not here: who belongs to whom (`processing_core::join`), and what users did with the answers ([`crate::attribution`]).
//! Invariant: each request is in exactly one of answered and timeouts; sums of whole numbers and sketches.

use std::collections::BTreeMap;

use processing_core::aggregate::{Exactness, Max, Mean, Mergeable, Quantiles};
use processing_core::join::Exchange;
use processing_core::record::EventTime;
use serde::{Deserialize, Serialize};

use crate::attribution::{Touch, TouchKind};
use crate::coverage::{self, ModelMinute};
use crate::event::{ItemList, ModelName};
use crate::packed;
use crate::performance::Fact;
use crate::subject::{Member, Subject};

/// A request on its way to its answer; keyed by the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// When.
    pub time: EventTime,
    /// Who asked.
    pub who: Option<u64>,
    /// The model that was asked.
    pub name: ModelName,
}

/// An answer on its way to its request; keyed by the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// When.
    pub time: EventTime,
    /// To whom.
    pub who: Option<u64>,
    /// The model that answers.
    pub name: ModelName,
    /// The items, best first.
    #[serde(with = "packed")]
    pub items: ItemList,
    /// Their scores in millionths.
    pub scores: Vec<i64>,
    /// How long it took by its own word, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Whether it went well.
    pub is_success: bool,
}

/// What became of a request or an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// Something about a model.
    Fact(Subject, Fact),
    /// A list that a user was shown.
    Shown(Member, Touch),
    /// Items that were shown, by the model.
    Items(ModelMinute, ItemList),
}

/// What follows from a request and its answer.
pub fn ended(request: &Member, exchange: Exchange<Asked, Given>) -> Vec<Ended> {
    let fact = |name: &ModelName, fact| Ended::Fact(name.within(&request.scope), fact);
    match exchange {
        Exchange::Answered { request: asked, answer } => {
            let name = answer.name.clone().or(&asked.name);
            let measured = answer.time.0.saturating_sub(asked.time.0).max(0).unsigned_abs();
            let latency_ms = answer.latency_ms.unwrap_or(measured);
            let time = answer.time.max(asked.time);
            let hour = hour_of(time);
            let mut all = vec![fact(&name, Fact::Answered { latency_ms, is_success: answer.is_success, hour })];
            let who = answer.who.or(asked.who);
            all.extend(given(request, answer, &name, who, time));
            all
        }
        Exchange::TimedOut(asked) => {
            vec![fact(&asked.name, Fact::TimedOut { hour: hour_of(asked.time) })]
        }
        Exchange::Unasked(answer) => {
            let (name, who, time) = (answer.name.clone(), answer.who, answer.time);
            let mut all = vec![fact(&name, Fact::Unasked)];
            all.extend(given(request, answer, &name, who, time));
            all
        }
        Exchange::RequestedAgain(asked) => vec![fact(&asked.name, Fact::Repeated)],
        Exchange::AnsweredAgain(answer) => vec![fact(&answer.name, Fact::Repeated)],
    }
}

/// What an answer brings whether or not anybody is known to have asked: scores, and a list for its user.
fn given(request: &Member, answer: Given, name: &ModelName, who: Option<u64>, time: EventTime) -> Vec<Ended> {
    let Given { items, scores, .. } = answer;
    let model = name.within(&request.scope);
    let mut all = Vec::new();
    if !scores.is_empty() {
        all.push(Ended::Fact(model.clone(), Fact::Scores(scores)));
    }
    if items.is_empty() {
        return all;
    }
    all.push(Ended::Items(coverage::minute(model.clone(), time), items.clone()));
    match who {
        Some(who) => {
            let kind = TouchKind::Shown { model: name.path(), request: request.id, items };
            all.push(Ended::Shown(request.scope.member(who), Touch::at(time, kind)));
        }
        None => all.push(Ended::Fact(model, Fact::ShownToNobody)),
    }
    all
}

/// The hour of the day, UTC.
fn hour_of(time: EventTime) -> u8 {
    (time.0.div_euclid(3_600_000).rem_euclid(24)) as u8
}

/// A model's requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Serving {
    /// Those that were answered.
    pub answered: u64,
    /// Answers that went well.
    pub succeeded: u64,
    /// Those that were not answered in time.
    pub timeouts: u64,
    /// Answers that nobody is known to have asked for.
    pub unasked: u64,
    /// Requests and answers that repeat others.
    pub repeated: u64,
    /// Lists that were shown to nobody known.
    pub shown_to_nobody: u64,
    /// Of answers, in milliseconds.
    pub response_time: Quantiles,
    /// The same, exactly.
    pub mean: Mean,
    /// The slowest.
    pub slowest: Max<u64>,
    /// Of lists.
    pub scores: Quantiles,
    /// Requests by the hour of the day, UTC.
    pub by_hour: BTreeMap<u8, u64>,
}

impl Serving {
    /// All requests.
    pub fn requests(&self) -> u64 {
        self.answered + self.timeouts
    }

    /// Takes a fact in, if it is about serving.
    pub fn add(&mut self, fact: &Fact) {
        match fact {
            Fact::Answered { latency_ms, is_success, hour } => {
                self.answered += 1;
                self.succeeded += u64::from(*is_success);
                self.response_time.add(*latency_ms as f64);
                self.mean.add(*latency_ms);
                self.slowest.add(*latency_ms);
                *self.by_hour.entry(*hour).or_default() += 1;
            }
            Fact::TimedOut { hour } => {
                self.timeouts += 1;
                *self.by_hour.entry(*hour).or_default() += 1;
            }
            Fact::Unasked => self.unasked += 1,
            Fact::Repeated => self.repeated += 1,
            Fact::ShownToNobody => self.shown_to_nobody += 1,
            Fact::Scores(scores) => scores.iter().for_each(|score| self.scores.add(*score as f64 / 1e6)),
            _ => {}
        }
    }
}

impl Mergeable for Serving {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.answered += other.answered;
        self.succeeded += other.succeeded;
        self.timeouts += other.timeouts;
        self.unasked += other.unasked;
        self.repeated += other.repeated;
        self.shown_to_nobody += other.shown_to_nobody;
        self.response_time.merge(&other.response_time);
        self.mean.merge(&other.mean);
        self.slowest.merge(&other.slowest);
        self.scores.merge(&other.scores);
        for (hour, requests) in &other.by_hour {
            *self.by_hour.entry(*hour).or_default() += requests;
        }
    }

    fn heap_bytes(&self) -> usize {
        self.response_time.heap_bytes() + self.scores.heap_bytes()
    }
}

/// The model of nobody: what is said of a whole tenant stands here.
pub fn tenant(scope: &Subject) -> Subject {
    ModelName::default().within(scope)
}
