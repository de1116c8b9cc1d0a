//! What happens to one thing from a start to an end: documents, reports, notifications, missions, applications.
//!
//! A thing's run begins with a start where none is open, and ends with its last stage, a failure or its timeout. A stage
//! counts once and only forwards: one may be left out, and what lies behind the furthest one says nothing more. A run is
//! over once; what comes afterwards, or without any start, is counted as unmatched. A pipeline without an end has no runs:
//! its starts are counted, and that is all.
//!
//! Not here: what is made of many runs ([`hours`]). Invariant: each run ends exactly once, and a timeout is told at the end
//! of the minute in which it passes, whatever comes behind it.

pub mod hours;

use std::sync::Arc;

use compact_str::CompactString;
use events::identity::IdHash;
use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::action::Traffic;
use crate::calendar::minute_last;
use crate::definitions::{Definitions, Flow, ItemKey, Pipeline};
use crate::minute::{OfEvent, Step, Steps};
use crate::person::Minute;
use crate::scope::{Person, Scope, Who};

/// A scope, a pipeline and a thing. Of a pipeline across tenants the scope is the whole application.
pub type ThingKey = (Scope, CompactString, u64);

/// Something that a pipeline hears about a thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Heard {
    /// What.
    pub step: Step,
    /// Whose event it is.
    pub scope: Scope,
    /// Which pipeline.
    pipeline: CompactString,
    /// Which thing.
    thing: u64,
    /// Whether the same thing of another tenant is the same.
    across_tenants: bool,
}

impl Heard {
    /// What pipelines hear of a person's minute.
    pub fn of(definitions: &Definitions, person: &Person, minute: &Minute) -> Vec<Self> {
        let mut heard = Vec::new();
        for step in minute.steps.iter().filter(|step| step.deed.traffic == Traffic::People) {
            let Some(subject) = step.deed.subject else { continue };
            let app = person.scope.app();
            let ours = definitions.pipelines.iter().filter(|pipeline| pipeline.hears(step.deed.kind));
            for pipeline in ours.filter(|pipeline| pipeline.app.as_ref().is_none_or(|only| *only == app)) {
                heard.push(Self {
                    step: step.clone(),
                    scope: person.scope.clone(),
                    pipeline: pipeline.name.clone(),
                    thing: thing(pipeline.key, person.who, subject),
                    across_tenants: pipeline.across_tenants,
                });
            }
        }
        heard
    }

    /// Whose way it is a part of.
    pub fn key(&self) -> ThingKey {
        let scope = if self.across_tenants { self.scope.whole_app() } else { self.scope.clone() };
        (scope, self.pipeline.clone(), self.thing)
    }
}

impl OfEvent for Heard {
    fn event(&self) -> IdHash {
        self.step.deed.event
    }

    fn time(&self) -> EventTime {
        self.step.time
    }
}

/// The bits of a thing: those of what the event is about, or of both it and the user.
fn thing(key: ItemKey, who: Who, subject: IdHash) -> u64 {
    match (key, who) {
        (ItemKey::UserSubject, Who::Known(user)) => IdHash::of(&format!("{}/{}", user.get(), subject.get())).get(),
        _ => subject.get(),
    }
}

/// The run of a thing that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Whose it is: whose event began it.
    scope: Scope,
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
    type In = Steps<Heard>;
    type Out = (Scope, Fact);

    fn process(&self, ctx: &mut Context<Self>, thing: &ThingKey, mut minute: Steps<Heard>) -> Result<(), Poison> {
        let Some(pipeline) = self.definitions.pipelines.iter().find(|pipeline| pipeline.name == thing.1) else {
            return Ok(());
        };
        let before = ctx.store(&self.runs).get(thing).cloned();
        let mut run = before.clone();
        minute.sort_by_key(|heard| (heard.step.time, rank(pipeline, &heard.step), heard.step.deed.event));
        for heard in &minute {
            for fact in hear(pipeline, &mut run, heard) {
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
        let mut run = None;
        ctx.store(&self.runs).change(thing, |row| run = row.take());
        if let Some(run) = run {
            ctx.forward(thing.clone(), (run.scope, Fact::TimedOut));
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

/// Takes in one step of a thing. What happened is told of whoever's run it is, and what belongs to no run of whoever's
/// event it is.
pub fn hear(pipeline: &Pipeline, run: &mut Option<Run>, heard: &Heard) -> Vec<(Scope, Fact)> {
    let (time, deed) = (heard.step.time, &heard.step.deed);
    let mut facts = Vec::new();
    if let Some(late) = run.take_if(|run| time > run.until) {
        facts.push((late.scope, Fact::TimedOut));
    }
    let Some(timeout) = pipeline.timeout else {
        // All that it hears is its start.
        facts.push((heard.scope.clone(), Fact::Started));
        return facts;
    };
    let Some(open) = run else {
        let state = match &pipeline.flow {
            Flow::Stages { start, .. } => start.kinds.contains(deed.kind).then(CompactString::default),
            Flow::States { start, initial, states, .. } => {
                let begun = || state_of(states, heard).unwrap_or_else(|| initial.clone());
                start.kinds.contains(deed.kind).then(begun)
            }
        };
        facts.push((heard.scope.clone(), if state.is_some() { Fact::Started } else { Fact::Unmatched }));
        *run = state.map(|state| Run {
            scope: heard.scope.clone(),
            began: time,
            until: time.plus(timeout),
            stage: 0,
            state,
            since: time,
        });
        return facts;
    };
    let (total, since) = (time.0 - open.began.0, time.0 - open.since.0);
    let happened = match &pipeline.flow {
        Flow::Stages { stages, failed, .. } => {
            let mut ahead = stages.iter().enumerate().skip(open.stage as usize);
            match ahead.find(|(_, stage)| stage.kinds.contains(deed.kind)) {
                Some((place, stage)) => {
                    (open.stage, open.since) = (place as u32 + 1, time);
                    let reached = Fact::Reached { stage: stage.name.clone(), millis: since };
                    let end = (place + 1 == stages.len()).then_some(Fact::Completed { millis: total });
                    [Some(reached), end]
                }
                None if failed.contains(deed.kind) => [None, Some(Fact::Failed { millis: total })],
                None => [Some(Fact::Repeated), None],
            }
        }
        Flow::States { start, states, ends, .. } => {
            let named = state_of(states, heard).filter(|_| !start.kinds.contains(deed.kind));
            match named.filter(|state| *state != open.state) {
                Some(state) => {
                    let stage = compact_str::format_compact!("{} > {state}", open.state);
                    let end = ends.contains(&state).then_some(Fact::Completed { millis: total });
                    (open.state, open.since) = (state, time);
                    [Some(Fact::Reached { stage, millis: since }), end]
                }
                None => [Some(Fact::Repeated), None],
            }
        }
    };
    let is_over = happened[1].is_some();
    facts.extend(happened.into_iter().flatten().map(|fact| (open.scope.clone(), fact)));
    if is_over {
        *run = None;
    }
    facts
}

/// The state that an event names.
fn state_of(states: &[CompactString], heard: &Heard) -> Option<CompactString> {
    let label = heard.step.deed.label.as_ref()?;
    let known = states.iter().find(|state| *state == label);
    Some(known.cloned().unwrap_or_else(|| CompactString::const_new(OTHER)))
}

/// A state that the definition does not name.
const OTHER: &str = "other";
