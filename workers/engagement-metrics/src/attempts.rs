//! Attempts at funnels: how far one user came within the limit from the first step.
//!
//! The definition is ClickHouse's `windowFunnel` in its default mode: a chain of events, by time, that begins with the first
//! step and goes on with the next ones in their order, other events between them allowed, all of them within the window
//! from the first step on, both ends included. One attempt of a user runs at a time: the first event that fits the first
//! step begins it, and it runs until the last step or until its limit has passed. A chain that begins with a later event
//! could come no further within the same span: everything that may follow it may follow the first one. Every event does
//! one step; events of one time are ordered by their ids.
//!
//! Not here: what is made of many attempts ([`hours`]). Invariant: an attempt that has begun is told once, whether it
//! came to the last step or not.

pub mod hours;

use compact_str::CompactString;
use events::identity::IdHash;
use processing_core::prelude::EventTime;
use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use crate::calendar::minute_last;
use crate::definitions::Funnel;
use crate::kind::Kind;

/// When steps were done. Few attempts come further than two.
pub type Times = SmallVec<[EventTime; 2]>;

/// An attempt that may still come further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The bits of the funnel's name.
    pub funnel: IdHash,
    /// When the steps that were done were done, the first one first. Never empty.
    pub steps: Times,
    /// The last moment at which a step counts.
    pub until: EventTime,
}

/// The attempts of a person that run, at most one for each funnel, and one as a rule.
pub type Attempts = SmallVec<[Running; 1]>;

/// An attempt at a funnel that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which funnel.
    pub funnel: CompactString,
    /// When the steps that were done were done, the first one first. Never empty.
    pub steps: Times,
    /// The last moment at which a step counts.
    pub until: EventTime,
}

impl Attempt {
    /// When the first step was done.
    pub fn began(&self) -> EventTime {
        self.steps.first().copied().unwrap_or(self.until)
    }
}

impl Running {
    /// When it is over at the latest: everything up to its limit is known.
    pub fn due(&self) -> EventTime {
        minute_last(self.until.0)
    }

    fn end(self, funnel: &Funnel) -> Attempt {
        Attempt { funnel: funnel.name.clone(), steps: self.steps, until: self.until }
    }
}

/// Takes an event in and answers the attempts that are over with it: one of `running` whose limit it lies beyond, and
/// one that it completes.
pub fn advance<'d>(
    funnels: impl Iterator<Item = &'d Funnel>,
    running: &mut Attempts,
    time: EventTime,
    kind: Kind,
) -> Vec<Attempt> {
    let mut over = Vec::new();
    for funnel in funnels {
        let mut place = running.iter().position(|attempt| attempt.funnel == funnel.id);
        if let Some(at) = place.filter(|at| time > running[*at].until) {
            over.push(running.swap_remove(at).end(funnel));
            place = None;
        }
        match place {
            Some(at) => {
                let attempt = &mut running[at];
                let next = funnel.steps.get(attempt.steps.len());
                if next.is_some_and(|step| step.kinds.contains(kind)) {
                    attempt.steps.push(time);
                }
                if attempt.steps.len() >= funnel.steps.len() {
                    over.push(running.swap_remove(at).end(funnel));
                }
            }
            None if funnel.steps.first().is_some_and(|step| step.kinds.contains(kind)) => {
                let until = time.plus(funnel.within);
                running.push(Running { funnel: funnel.id, steps: smallvec![time], until });
            }
            None => {}
        }
    }
    over
}

/// Takes out the attempts whose limit has passed at `now`. Of a funnel that is no more nothing is told.
pub fn expire(funnels: &[Funnel], running: &mut Attempts, now: EventTime) -> Vec<Attempt> {
    let mut over = Vec::new();
    while let Some(place) = running.iter().position(|attempt| attempt.due() <= now) {
        let attempt = running.remove(place);
        let funnel = funnels.iter().find(|funnel| funnel.id == attempt.funnel);
        over.extend(funnel.map(|funnel| attempt.end(funnel)));
    }
    over
}
