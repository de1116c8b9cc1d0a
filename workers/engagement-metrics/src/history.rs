//! How far back the log of a scope goes.
//!
//! Not here: what happened on a day ([`crate::tally`]). Invariant: a scope is warming until 28 of its days lie up to and
//! with a day, whatever happened on them.

use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::calendar::{Calendar, Day};
use crate::scope::Scope;
use crate::tally::Tally;

/// The longest that a day's numbers look back.
const LOOKED_BACK: i32 = 28;

/// A scope's closed day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayOver {
    /// Its first moment.
    pub start: EventTime,
    /// The first moment behind it.
    pub end: EventTime,
    /// What was counted.
    pub tally: Tally,
}

impl From<Closed<Tally>> for DayOver {
    fn from(Closed { window, value }: Closed<Tally>) -> Self {
        Self { start: window.start, end: window.end, tally: value }
    }
}

/// Tells of each day whether the scope is warming.
#[derive(Clone)]
pub struct Histories {
    /// The zone's days.
    pub calendar: Calendar,
    /// The first day of each scope.
    pub since: KeyValueStore<Scope, Day>,
    /// What was told of each day, for as long as it can be asked for.
    pub told: WindowedStore<Scope, bool>,
}

impl Processor for Histories {
    type Key = Scope;
    type In = DayOver;
    type Out = (DayOver, bool);

    fn process(&self, ctx: &mut Context<Self>, scope: &Scope, over: DayOver) -> Result<(), Poison> {
        let day = self.calendar.date_at(over.start);
        let known = ctx.store(&self.since).get(scope).copied();
        if known.is_none() {
            ctx.store(&self.since).put(scope, day);
        }
        let warming = day.since(known.unwrap_or(day)) + 1 < LOOKED_BACK;
        ctx.store(&self.told).put(scope, over.start, &warming);
        ctx.forward(scope.clone(), (over, warming));
        Ok(())
    }
}
