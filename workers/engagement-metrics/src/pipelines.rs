//! What happens to one thing from a start to an end: documents, reports, notifications, missions, applications.
//!
//! A thing's run begins with a start where none is open, and ends with its last stage, a failure or its timeout. A stage
//! counts once and only forwards: one may be left out, and what lies behind the furthest one says nothing more. A run is
//! over once; what comes afterwards, or without any start, is counted as unmatched.
//!
//! Not here: what is made of many runs ([`hours`]). Invariant: each run ends exactly once, and a timeout is told at the end
//! of the minute in which it passes, whatever comes behind it.

pub mod hours;

use std::sync::Arc;

use compact_str::CompactString;
use events::identity::IdHash;
use processing_core::aggregate::Aggregate;
use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::action::Traffic;
use crate::calendar::minute_last;
use crate::definitions::{Definitions, Flow, ItemKey, Pipeline};
use crate::minute::{PersonMinute, Step};
use crate::person::Minute;
use crate::scope::{Person, Scope, Who};

/// A scope, a pipeline and a thing.
pub type ThingKey = (Scope, CompactString, u64);

/// Something that a pipeline hears about a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Which thing.
    pub thing: ThingKey,
    /// What.
    pub step: Step,
}

impl Heard {
    /// What pipelines hear of a person's minute.
    pub fn of(definitions: &Definitions, person: &Person, minute: &Minute) -> Vec<Self> {
        let app = person.scope.app();
        let mut heard = Vec::new();
        for step in minute.steps.iter().filter(|step| step.deed.traffic == Traffic::People) {
            let Some(subject) = step.deed.subject else { continue };
            let ours = definitions.pipelines.iter().filter(|pipeline| pipeline.hears(step.deed.kind));
            for pipeline in ours.filter(|pipeline| pipeline.app.as_ref().is_none_or(|only| *only == app)) {
                let thing = (person.scope.clone(), pipeline.name.clone(), thing(pipeline.key, person.who, subject));
                heard.push(Self { thing, step: step.clone() });
            }
        }
        heard
    }
}

/// The bits of a thing: those of what the event is about, or of both it and the user.
fn thing(key: ItemKey, who: Who, subject: IdHash) -> u64 {
    match (key, who) {
        (ItemKey::UserSubject, Who::Known(user)) => IdHash::of(&format!("{}/{}", user.get(), subject.get())).get(),
        _ => subject.get(),
    }
}

impl Aggregate<Heard> for PersonMinute {
    fn add(&mut self, heard: &Heard) {
        Aggregate::<Step>::add(self, &heard.step);
    }
}

/// The run of a thing that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    began: EventTime,
    /// The last moment at which something counts.
    until: EventTime,
    /// How many stages lie behind it.
    stage: u32,
    /// The state that it is in; empty in a pipeline of stages.
    state: CompactString,
    /// Since when.
    since: EventTime,
}

/// Something that happened in a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// A run began.
    Started,
    /// A start, a stage or a state came again.
    Repeated,
    /// Something came without a run.
    Unmatched,
    /// A stage was reached, or another state.
    Reached {
        /// The stage, or both states.
        stage: CompactString,
        /// Since the stage before it.
        millis: i64,
    },
    /// A run came to its end.
    Completed {
        /// Since it began.
        millis: i64,
    },
    /// A run broke off.
    Failed {
        /// Since it began.
        millis: i64,
    },
    /// A run did not end in time.
    TimedOut,
}

/// Follows each thing through its pipeline.
#[derive(Clone)]
pub struct Things {
    /// The pipelines.
    pub definitions: Arc<Definitions>,
    /// Runs that are not over.
    pub runs: KeyValueStore<ThingKey, Run>,
    /// When a run has waited too long.
    pub timeout: Timer,
}

impl Processor for Things {
    type Key = ThingKey;
    type In = Minute;
    type Out = Fact;

    fn process(&self, ctx: &mut Context<Self>, thing: &ThingKey, minute: Minute) -> Result<(), Poison> {
        let Some(pipeline) = self.definitions.pipelines.iter().find(|pipeline| pipeline.name == thing.1) else {
            return Ok(());
        };
        let before = ctx.store(&self.runs).get(thing).cloned();
        let mut run = before.clone();
        let mut steps = minute.steps;
        steps.sort_by_key(|step| (step.time, rank(pipeline, step), step.deed.event));
        for step in &steps {
            for fact in hear(pipeline, &mut run, step) {
                ctx.forward(thing.clone(), fact);
            }
        }
        if run == before {
            return Ok(());
        }
        match run {
            Some(run) => {
                ctx.set_timer(self.timeout, minute_last(run.until.0));
                ctx.store(&self.runs).put(thing, run);
            }
            None => {
                ctx.cancel_timer(self.timeout);
                ctx.store(&self.runs).delete(thing);
            }
        }
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<Self>, thing: &ThingKey, _: Timer) -> Result<(), Poison> {
        if ctx.store(&self.runs).get(thing).is_some() {
            ctx.store(&self.runs).delete(thing);
            ctx.forward(thing.clone(), Fact::TimedOut);
        }
        Ok(())
    }
}

/// Where a step's kind stands in its pipeline: of one moment, the earlier stage comes first.
fn rank(pipeline: &Pipeline, step: &Step) -> usize {
    let kind = step.deed.kind;
    match &pipeline.flow {
        Flow::Stages { start, .. } if start.kinds.contains(kind) => 0,
        Flow::Stages { stages, .. } => {
            1 + stages.iter().position(|stage| stage.kinds.contains(kind)).unwrap_or(stages.len())
        }
        Flow::States { start, .. } => usize::from(!start.kinds.contains(kind)),
    }
}

/// Takes in one step of a thing.
pub fn hear(pipeline: &Pipeline, run: &mut Option<Run>, step: &Step) -> Vec<Fact> {
    let mut facts = Vec::new();
    let time = step.time;
    if run.take_if(|run| time > run.until).is_some() {
        facts.push(Fact::TimedOut);
    }
    let begin =
        |state: CompactString| Run { began: time, until: time.plus(pipeline.timeout), stage: 0, state, since: time };
    match &pipeline.flow {
        Flow::Stages { start, stages, failed } => {
            let kind = step.deed.kind;
            let Some(open) = run else {
                if start.kinds.contains(kind) {
                    *run = Some(begin(CompactString::default()));
                    facts.push(Fact::Started);
                } else {
                    facts.push(Fact::Unmatched);
                }
                return facts;
            };
            let ahead = stages.iter().enumerate().skip(open.stage as usize);
            match ahead.into_iter().find(|(_, stage)| stage.kinds.contains(kind)) {
                Some((place, stage)) => {
                    facts.push(Fact::Reached { stage: stage.name.clone(), millis: time.0 - open.since.0 });
                    (open.stage, open.since) = (place as u32 + 1, time);
                    if place + 1 == stages.len() {
                        facts.push(Fact::Completed { millis: time.0 - open.began.0 });
                        *run = None;
                    }
                }
                None if failed.contains(kind) => {
                    facts.push(Fact::Failed { millis: time.0 - open.began.0 });
                    *run = None;
                }
                None => facts.push(Fact::Repeated),
            }
        }
        Flow::States { start, initial, states, ends, .. } => {
            let named = step.deed.label.as_ref().map(|label| {
                let known = states.iter().find(|state| *state == label);
                known.cloned().unwrap_or_else(|| CompactString::const_new(OTHER))
            });
            let Some(open) = run else {
                if start.kinds.contains(step.deed.kind) {
                    *run = Some(begin(named.unwrap_or_else(|| initial.clone())));
                    facts.push(Fact::Started);
                } else {
                    facts.push(Fact::Unmatched);
                }
                return facts;
            };
            match named.filter(|state| *state != open.state && !start.kinds.contains(step.deed.kind)) {
                Some(state) => {
                    let stage = compact_str::format_compact!("{} > {state}", open.state);
                    facts.push(Fact::Reached { stage, millis: time.0 - open.since.0 });
                    if ends.contains(&state) {
                        facts.push(Fact::Completed { millis: time.0 - open.began.0 });
                        *run = None;
                    } else {
                        (open.state, open.since) = (state, time);
                    }
                }
                None => facts.push(Fact::Repeated),
            }
        }
    }
    facts
}

/// A state that the definition does not name.
const OTHER: &str = "other";
