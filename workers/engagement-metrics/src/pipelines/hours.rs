//! All that happened in a pipeline within one hour, and what was open at its end.
//!
//! Not here: single runs ([`super`]). Invariant: what is open is what has begun less what has ended, of the same facts
//! that are counted; while anything is open, every hour is told. In a pipeline without an end nothing ever is.

use std::collections::BTreeMap;
use std::sync::Arc;

use compact_str::CompactString;
use processing_core::aggregate::{Aggregate, Exactness, Mergeable, Quantiles};
use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

use super::Fact;
use crate::calendar::HOUR_MS;
use crate::definitions::{Definitions, Pipeline};
use crate::scope::Scope;

/// A scope and a pipeline.
pub type PipelineKey = (Scope, CompactString);
/// A scope, a pipeline and what happened in it.
pub type PipelineFact = (Scope, (CompactString, Fact));

/// What happened in an hour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineHour {
    /// Runs that began.
    pub started: u64,
    /// Runs that came to their end.
    pub completed: u64,
    /// Runs that broke off.
    pub failed: u64,
    /// Runs that did not end in time.
    pub timed_out: u64,
    /// Events that came again.
    pub repeated: u64,
    /// Events without a run.
    pub unmatched: u64,
    /// From the start to the end of those that came to it.
    pub times: Times,
    /// What was reached, and from the stage before it how fast. A pipeline has few stages and states.
    pub stages: BTreeMap<CompactString, Times>,
}

/// How long things took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// How many things.
    pub count: u64,
    /// In milliseconds.
    pub millis: Quantiles,
    /// Their sum.
    pub sum: i128,
}

impl Times {
    fn add(&mut self, millis: i64) {
        self.count += 1;
        self.millis.add(millis as f64);
        self.sum += i128::from(millis);
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.millis.merge(&other.millis);
        self.sum += other.sum;
    }

    /// The mean in milliseconds, rounded to the nearest whole number.
    pub fn mean(&self) -> Option<i64> {
        let count = i128::from(self.count);
        (count > 0).then(|| i64::try_from((self.sum + count / 2).div_euclid(count)).unwrap_or(i64::MAX))
    }
}

impl PipelineHour {
    /// What has been added to what is open.
    fn change(&self) -> i64 {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        signed(self.started) - signed(self.completed) - signed(self.failed) - signed(self.timed_out)
    }
}

impl Aggregate<PipelineFact> for PipelineHour {
    fn add(&mut self, (_, (_, fact)): &PipelineFact) {
        match fact {
            Fact::Started => self.started += 1,
            Fact::Repeated => self.repeated += 1,
            Fact::Unmatched => self.unmatched += 1,
            Fact::Reached { stage, millis } => self.stages.entry(stage.clone()).or_default().add(*millis),
            Fact::Completed { millis } => {
                self.completed += 1;
                self.times.add(*millis);
            }
            Fact::Failed { .. } => self.failed += 1,
            Fact::TimedOut => self.timed_out += 1,
        }
    }
}

impl Mergeable for PipelineHour {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.started += other.started;
        self.completed += other.completed;
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.repeated += other.repeated;
        self.unmatched += other.unmatched;
        self.times.merge(&other.times);
        for (stage, times) in &other.stages {
            self.stages.entry(stage.clone()).or_default().merge(times);
        }
    }

    fn heap_bytes(&self) -> usize {
        self.stages.len() * 1_024 + 1_024
    }
}

/// An hour and what was open when it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The hour's first moment.
    pub start: EventTime,
    /// What happened in it.
    pub hour: PipelineHour,
    /// Runs that had begun and not ended.
    pub backlog: i64,
}

/// A closed hour on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hour(pub PipelineHour);

/// Keeps account of what is open.
#[derive(Clone)]
pub struct Backlogs {
    /// The pipelines.
    pub definitions: Arc<Definitions>,
    /// What was open at the end of the last hour that was told.
    pub open: KeyValueStore<PipelineKey, i64>,
    /// Hours, for as long as they can be asked for.
    pub told: WindowedStore<PipelineKey, Told>,
    /// The end of the next hour.
    pub hour: Timer,
}

impl Backlogs {
    /// Tells of the hour whose last moment this is.
    fn tell(&self, ctx: &mut Context<Self>, key: &PipelineKey, hour: PipelineHour) {
        let end = ctx.event_time().plus(DurationMs(1));
        let has_end = |pipeline: &Pipeline| pipeline.name == key.1 && pipeline.timeout.is_some();
        let backlog = match self.definitions.pipelines.iter().any(has_end) {
            true => ctx.store(&self.open).get(key).copied().unwrap_or(0) + hour.change(),
            false => 0,
        };
        if backlog == 0 {
            ctx.store(&self.open).delete(key);
            ctx.cancel_timer(self.hour);
        } else {
            ctx.store(&self.open).put(key, backlog);
            ctx.set_timer(self.hour, end.plus(DurationMs(HOUR_MS - 1)));
        }
        let start = end.minus(DurationMs(HOUR_MS));
        let told = Told { start, hour, backlog };
        ctx.store(&self.told).put(key, start, &told);
        ctx.forward(key.clone(), told);
    }
}

impl Processor for Backlogs {
    type Key = PipelineKey;
    type In = Hour;
    type Out = Told;

    fn process(&self, ctx: &mut Context<Self>, key: &PipelineKey, hour: Hour) -> Result<(), Poison> {
        self.tell(ctx, key, hour.0);
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<Self>, key: &PipelineKey, _: Timer) -> Result<(), Poison> {
        self.tell(ctx, key, PipelineHour::default());
        Ok(())
    }
}
