//! One run with faults, one without, and the comparison of the two.
//!
//! Not here: single steps ([`super::fleet`]), and many seeds ([`super::seeds`]). Invariant: the run without
//! faults sees the same inputs at the same offsets and the same time log, and nothing else of the run with faults.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::{Outcome, stores_equal_changelogs};
use super::feed::Feed;
use super::fleet::{Disturbed, Fleet, Tally};
use super::mutant::{Mutation, forget_nothing};
use super::options::SimOptions;
use crate::error::CoreError;
use crate::layout::Layout;
use crate::log::Log;
use crate::log::memory::{MemoryLog, MemoryOptions, OwnedRecord, Trace};
use crate::plan::Plan;
use crate::record::{EventTime, Offset, TopicName, TopicPartition};
use crate::time_log::Entry;

/// What a run that went well tells.
#[derive(Debug, Clone)]
pub struct Report {
    /// What happened on the way.
    pub tally: Tally,
    /// What the application said.
    pub outcome: Outcome,
    /// What it was to say this of.
    pub story: Story,
    /// Of each output topic in which some key has two records, the shortest time between two of one key, in milliseconds.
    pub gaps: BTreeMap<String, i64>,
    /// The log's steps.
    pub trace: Trace,
}

/// Everything that final results may depend on: the input log and the time log.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// The records of each input partition in the order of their offsets, also of those that have none.
    pub inputs: BTreeMap<TopicPartition, Vec<OwnedRecord>>,
    /// The raises of the time log, in its order: before the record at this offset, the partition's stream
    /// time was lifted to this.
    pub raises: Vec<(TopicPartition, Offset, EventTime)>,
}

impl Story {
    fn of(feed: &Feed, layout: &Layout, log: &MemoryLog) -> Self {
        let mut story = Self::default();
        for (topic, _) in &feed.inputs {
            for (partition, records) in (0..).zip(log.committed_records(topic)) {
                story.inputs.insert(TopicPartition::new(topic.clone(), partition), records);
            }
        }
        for record in log.committed_records(&layout.time_topic).into_iter().flatten() {
            let entry = crate::time_log::read(1, record.key.as_deref(), record.value.as_deref());
            if let Some((place, Entry::Raise(raise))) = entry {
                story.raises.push((place, raise.offset, raise.time));
            }
        }
        story
    }
}

/// A run that broke a promise.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Run it again with this.
    pub seed: u64,
    /// What is wrong.
    pub what: String,
    /// The log's last steps.
    pub trace: Vec<String>,
    /// What was said, and of what, if only the words were wrong: another judge may know whose.
    pub said: Option<(Outcome, Story)>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        self.trace.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

/// Runs a topology under the options' faults, then once more without any, and compares.
///
/// # Errors
/// The first promise that was broken.
pub fn simulate_seed(
    topology: impl Fn() -> Plan,
    feed: &Feed,
    seed: u64,
    options: &SimOptions,
) -> Result<Report, Box<Failure>> {
    disturb(&topology, feed, seed, options).0
}

/// As [`simulate_seed`], and what happened before which record.
pub(super) fn disturb(
    topology: &impl Fn() -> Plan,
    feed: &Feed,
    seed: u64,
    options: &SimOptions,
) -> (Result<Report, Box<Failure>>, Disturbed) {
    let mut fleet = None;
    let result = suffer(topology, feed, seed, options, &mut fleet);
    (result, fleet.map(|fleet| fleet.disturbed).unwrap_or_default())
}

/// Leaves the fleet in `place`, also where something stopped it.
fn suffer(
    topology: &impl Fn() -> Plan,
    feed: &Feed,
    seed: u64,
    options: &SimOptions,
    place: &mut Option<Fleet>,
) -> Result<Report, Box<Failure>> {
    let log = MemoryLog::new(MemoryOptions {
        seed,
        transaction_timeout_ms: 10_000,
        session_timeout_ms: 6_000,
        rebalance_timeout_ms: 8_000,
        max_batch: options.batch_records,
        trace_lines: options.trace_lines,
        checks_generation: options.mutation != Some(Mutation::ZombiesNotFenced),
        ..MemoryOptions::default()
    });
    let failed = |what: String| Box::new(Failure { seed, what, trace: log.trace().lines, said: None });
    let run = |place: &mut Option<Fleet>| -> Result<_, CoreError> {
        feed.create_inputs(&log)?;
        let plan = Arc::new(topology());
        if options.mutation == Some(Mutation::CachesSurviveAbort) {
            forget_nothing(&plan);
        }
        let layout = Arc::new(Layout::new(plan, &mut *log.admin()?)?);
        let fleet = place.insert(Fleet::new(Arc::clone(&log), Arc::clone(&layout), options.clone(), seed));
        fleet.suffer(feed)?;
        let rests = fleet.settle()?;
        let wrong =
            if rests { stores_equal_changelogs(fleet)? } else { Some("the fleet never comes to rest".to_owned()) };
        fleet.count_all();
        Ok((layout, fleet.tally, wrong))
    };
    let (layout, tally, wrong) = run(place).map_err(|error| failed(format!("a worker stopped: {error}")))?;
    if let Some(wrong) = wrong {
        return Err(failed(wrong));
    }
    let outcome = Outcome::of(&layout.plan, &log);
    let (alone, standing) = replay_alone(topology, feed, &log).map_err(failed)?;
    let story = Story::of(feed, &layout, &log);
    if let Some(difference) = outcome.difference(&alone) {
        let mut failure = failed(difference);
        failure.said = Some((outcome, story));
        if options.trace_lines > 0 {
            failure.trace.extend(time_log(&layout, &log));
            failure.trace.extend(place.iter().flat_map(Fleet::standing).map(|line| format!("found    {line}")));
            failure.trace.extend(standing.iter().map(|line| format!("expected {line}")));
        }
        return Err(failure);
    }
    let outputs = outcome.results.keys();
    let gaps = outputs.filter_map(|topic| Some((topic.clone(), log.shortest_gap(&TopicName::new(topic))?))).collect();
    Ok(Report { tally, outcome, story, gaps, trace: log.trace() })
}

/// What one worker that never failed says of the same inputs and the same time log.
fn replay_alone(topology: &impl Fn() -> Plan, feed: &Feed, from: &MemoryLog) -> Result<(Outcome, Vec<String>), String> {
    let log = MemoryLog::new(MemoryOptions::default());
    let run = || -> Result<_, CoreError> {
        feed.create_inputs(&log)?;
        for (topic, _) in &feed.inputs {
            Feed::copy(&log, topic, &from.committed_records(topic))?;
        }
        let plan = Arc::new(topology());
        let time_log = TopicName::new(format!("{}-time", plan.name()));
        let layout = Arc::new(Layout::new(plan, &mut *log.admin()?)?);
        Feed::copy(&log, &time_log, &from.committed_records(&time_log))?;
        let mut fleet = Fleet::new(Arc::clone(&log), layout, SimOptions::calm(), 0);
        let rests = fleet.settle()?;
        Ok((fleet, rests))
    };
    match run() {
        Ok((fleet, true)) => Ok((Outcome::of(&fleet.layout.plan, &log), fleet.standing())),
        Ok((_, false)) => Err("the worker that never fails never comes to rest".to_owned()),
        Err(error) => Err(format!("the worker that never fails stopped: {error}")),
    }
}

/// The time log in words.
fn time_log(layout: &Layout, log: &MemoryLog) -> Vec<String> {
    let records = log.committed_records(&layout.time_topic).into_iter().flatten();
    let entry = |record: OwnedRecord| {
        let entry = crate::time_log::read(1, record.key.as_deref(), record.value.as_deref());
        format!("time log {}: {entry:?}", record.offset)
    };
    records.map(entry).collect()
}
