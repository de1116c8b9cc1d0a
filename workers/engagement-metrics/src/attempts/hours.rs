//! All attempts at a funnel that began in one hour.
//!
//! Not here: single attempts ([`super`]). Invariant: an hour is told once, when the last attempt that could have begun
//! in it is over.

use compact_str::CompactString;
use processing_core::aggregate::Quantiles;
use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

use super::Attempt;
use crate::calendar::{HOUR_MS, minute_last};
use crate::scope::Scope;

/// A scope, a funnel and the first moment of an hour.
pub type FunnelHourKey = (Scope, CompactString, i64);

/// How far the attempts of an hour came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunnelHour {
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

/// Gathers the attempts of each hour.
#[derive(Clone)]
pub struct FunnelHours {
    /// Hours that are not over.
    pub hours: KeyValueStore<FunnelHourKey, FunnelHour>,
    /// When one is.
    pub over: Timer,
}

impl Processor for FunnelHours {
    type Key = FunnelHourKey;
    type In = Attempt;
    type Out = FunnelHour;

    fn process(&self, ctx: &mut Context<Self>, key: &FunnelHourKey, attempt: Attempt) -> Result<(), Poison> {
        let within = attempt.until.0.saturating_sub(attempt.began().0);
        let last = key.2.saturating_add(HOUR_MS - 1).saturating_add(within);
        ctx.store(&self.hours).change(key, |hour| hour.get_or_insert_default().add(&attempt));
        if ctx.timer(self.over).is_none() {
            ctx.set_timer(self.over, minute_last(last));
        }
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<Self>, key: &FunnelHourKey, _: Timer) -> Result<(), Poison> {
        if let Some(hour) = ctx.store(&self.hours).get(key).cloned() {
            ctx.store(&self.hours).delete(key);
            ctx.forward(key.clone(), hour);
        }
        Ok(())
    }
}
