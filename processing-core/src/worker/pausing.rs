//! A worker that takes in no new input, and does everything else.
//!
//! Not here: who wishes it ([`crate::control`]). Invariant: what was taken in goes its whole way: it is committed,
//! and partial aggregates come out of the repartition topics; only inputs wait, and no input counts as idle
//! meanwhile. Membership, restores and queries know nothing of it.

use super::{Nursery, StateHome, Worker};
use crate::error::CoreError;

impl<H: StateHome, N: Nursery<H::Base>> Worker<H, N> {
    /// From the next step on, no new input is taken in, or it is again.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Tells the source of the inputs that it does not know yet.
    pub(super) fn hold_inputs(&mut self) -> Result<(), CoreError> {
        let Self { routes, layout, source, paused, .. } = self;
        for (place, route) in routes.iter_mut().filter(|(_, route)| route.asked && route.held != *paused) {
            let part = layout.parts.get(usize::from(route.task.sub_topology));
            if part.and_then(|part| part.sources.get(route.source)).is_none_or(|source| !source.input) {
                continue;
            }
            if *paused {
                source.pause(place)?;
            } else {
                source.resume(place)?;
            }
            route.held = *paused;
        }
        Ok(())
    }
}
