//! All attempts at a funnel that began in one hour.
//!
//! Not here: single attempts ([`super`]). Invariant: an hour is told once, when the last attempt that could have begun
//! in it is over.

use std::collections::BTreeSet;

use compact_str::CompactString;
use processing_core::aggregate::Quantiles;
use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

use super::Attempt;
use crate::calendar::{HOUR_MS, minute_last, utc_hour};
use crate::scope::Scope;

/// A scope and a funnel.
pub type FunnelKey = (Scope, CompactString);

/// How far the attempts of an hour came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunnelHour {
    /// How long an attempt of it may take.
    within: DurationMs,
    /// By step, the first one first.
    pub steps: Vec<FunnelStep>,
}

/// Attempts that came to a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunnelStep {
    /// How many.
    pub reached: u64,
    /// Milliseconds from the step before it; empty for the first one.
    pub times: Quantiles,
    /// Their sum.
    pub millis: i128,
}

impl FunnelHour {
    fn new(within: DurationMs) -> Self {
        Self { within, steps: Vec::new() }
    }

    /// When the last attempt that can have begun in the hour that begins at `start` is over.
    pub fn due(&self, start: i64) -> EventTime {
        minute_last(start.saturating_add(HOUR_MS - 1).saturating_add(self.within.0))
    }

    /// Takes in an attempt that is over.
    pub fn add(&mut self, attempt: &Attempt) {
        if self.steps.len() < attempt.steps.len() {
            self.steps.resize_with(attempt.steps.len(), FunnelStep::default);
        }
        let mut before = None;
        for (step, time) in self.steps.iter_mut().zip(&attempt.steps) {
            step.reached += 1;
            if let Some(before) = before.replace(*time) {
                let millis = time.0.saturating_sub(before.0);
                step.times.add(millis as f64);
                step.millis += i128::from(millis);
            }
        }
    }
}

/// Gathers the attempts of each hour, and tells of the hours of one funnel in their order.
#[derive(Clone)]
pub struct FunnelHours {
    /// Hours, for as long as they can be asked for.
    pub hours: WindowedStore<FunnelKey, FunnelHour>,
    /// When the hours began that are not told yet.
    pub waiting: KeyValueStore<FunnelKey, BTreeSet<EventTime>>,
    /// When the first of them is over.
    pub over: Timer,
}

/// An hour that is over, and when it began.
pub type HourOver = (EventTime, FunnelHour);

impl FunnelHours {
    /// Sets the timer for the first hour that waits.
    fn wait(&self, ctx: &mut Context<Self>, key: &FunnelKey) {
        let Some(start) = ctx.store(&self.waiting).get(key).and_then(|waiting| waiting.first().copied()) else {
            ctx.store(&self.waiting).delete(key);
            return;
        };
        if let Some(hour) = ctx.store(&self.hours).get(key, start) {
            ctx.set_timer(self.over, hour.due(start.0));
        }
    }
}

impl Processor for FunnelHours {
    type Key = FunnelKey;
    type In = Attempt;
    type Out = HourOver;

    fn process(&self, ctx: &mut Context<Self>, key: &FunnelKey, attempt: Attempt) -> Result<(), Poison> {
        let start = EventTime(utc_hour(attempt.began().0));
        let within = DurationMs(attempt.until.0.saturating_sub(attempt.began().0));
        let known = ctx.store(&self.hours).get(key, start);
        let is_new = known.is_none();
        let mut hour = known.unwrap_or_else(|| FunnelHour::new(within));
        hour.add(&attempt);
        ctx.store(&self.hours).put(key, start, &hour);
        if is_new {
            ctx.store(&self.waiting).change(key, |waiting| {
                waiting.get_or_insert_default().insert(start);
            });
            self.wait(ctx, key);
        }
        Ok(())
    }

    /// One hour at a time, in their order: whoever shortens a funnel's limit waits for the hours before.
    fn on_timer(&self, ctx: &mut Context<Self>, key: &FunnelKey, _: Timer) -> Result<(), Poison> {
        let mut first = None;
        ctx.store(&self.waiting).change(key, |waiting| first = waiting.as_mut().and_then(BTreeSet::pop_first));
        if let Some(start) = first
            && let Some(hour) = ctx.store(&self.hours).get(key, start)
        {
            ctx.forward(key.clone(), (start, hour));
        }
        self.wait(ctx, key);
        Ok(())
    }
}
