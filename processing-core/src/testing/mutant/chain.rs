//! A chain of operators that keeps in memory what an abort should take.
//!
//! Invariant: it differs from the chain it wraps in [`Chain::abandon`] alone.

use std::sync::PoisonError;

use crate::batch::RecordBatch;
use crate::plan::Plan;
use crate::process::Chain;
use crate::record::EventTime;
use crate::source::SourcePartition;
use crate::step::Step;

struct Unforgetting(Box<dyn Chain>);

/// Puts chains that never abandon anything in the place of a plan's own.
pub(in crate::testing) fn forget_nothing(plan: &Plan) {
    for sub in plan.sub_topologies() {
        let mut prototype = sub.prototype.lock().unwrap_or_else(PoisonError::into_inner);
        *prototype = Box::new(Unforgetting(prototype.fresh()));
    }
}

impl Chain for Unforgetting {
    fn run(&mut self, step: &mut Step<'_>, place: &mut SourcePartition, batch: &RecordBatch, from: usize) -> usize {
        self.0.run(step, place, batch, from)
    }

    fn advance(&mut self, step: &mut Step<'_>, times: &[EventTime]) {
        self.0.advance(step, times);
    }

    fn drain(&mut self, step: &mut Step<'_>) {
        self.0.drain(step);
    }

    fn abandon(&mut self) {}

    fn fresh(&self) -> Box<dyn Chain> {
        Box::new(Self(self.0.fresh()))
    }
}
