//! All attempts at a funnel that began in one hour.
//!
//! Not here: single attempts ([`super`]). Invariant: an hour is told once, when the last attempt that could have begun
//! in it is over.

use compact_str::CompactString;
use processing_core::aggregate::Quantiles;
use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

use super::Attempt;
use crate::calendar::{HOUR_MS, minute_last, utc_hour};
use crate::scope::Scope;

/// A scope and a funnel.
pub type FunnelKey = (Scope, CompactString);
/// A scope, a funnel and the first moment of an hour.
pub type HourKey = (Scope, CompactString, i64);

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
    fn due(&self, start: i64) -> EventTime {
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
    /// Hours that are not over.
    pub hours: KeyValueStore<HourKey, FunnelHour>,
    /// When the first of them is.
    pub over: Timer,
}

/// An hour that is over, and when it began.
pub type HourOver = (EventTime, FunnelHour);

impl Processor for FunnelHours {
    type Key = FunnelKey;
    type In = Attempt;
    type Out = HourOver;

    fn process(&self, ctx: &mut Context<Self>, key: &FunnelKey, attempt: Attempt) -> Result<(), Poison> {
        let start = utc_hour(attempt.began().0);
        let within = DurationMs(attempt.until.0.saturating_sub(attempt.began().0));
        let row = (key.0.clone(), key.1.clone(), start);
        let mut due = EventTime::MAX;
        ctx.store(&self.hours).change(&row, |hour| {
            let hour = hour.get_or_insert_with(|| FunnelHour::new(within));
            hour.add(&attempt);
            due = hour.due(start);
        });
        if ctx.timer(self.over).is_none_or(|set| due < set) {
            ctx.set_timer(self.over, due);
        }
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<Self>, key: &FunnelKey, _: Timer) -> Result<(), Poison> {
        let row = |start| (key.0.clone(), key.1.clone(), start);
        // One hour at a time, in their order: whoever shortens a funnel's limit waits for the hours before.
        let mut hours = ctx.store(&self.hours).range(row(i64::MIN)..=row(i64::MAX), 2).into_iter();
        let Some((first, hour)) = hours.next() else { return Ok(()) };
        let due = hour.due(first.2);
        if due > ctx.event_time() {
            ctx.set_timer(self.over, due);
            return Ok(());
        }
        ctx.store(&self.hours).delete(&first);
        ctx.forward(key.clone(), (EventTime(first.2), hour));
        if let Some((next, hour)) = hours.next() {
            ctx.set_timer(self.over, hour.due(next.2));
        }
        Ok(())
    }
}
