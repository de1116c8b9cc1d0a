//! Inputs that are not read for a while: all of them where a worker pauses, and those that are far ahead of others.
//!
//! Reading history, one topic would run hours of event time ahead of another, and every window between the two would stay
//! open. So whoever is ahead waits, as in Kafka Streams, which takes the earliest record that a task has.
//!
//! Not here: who wishes a pause ([`crate::control`]). Invariant: what was taken in goes its whole way: it is committed,
//! and partial aggregates come out of the repartition topics; only inputs wait, and no input counts as idle
//! meanwhile. Membership, restores and queries know nothing of it.

use super::{Nursery, StateHome, Worker};
use crate::error::CoreError;
use crate::idleness::is_read_out;
use crate::limits::{INPUT_AHEAD_MAX, INPUT_HEARD_WITHIN};
use crate::record::{EventTime, TopicPartition, WallTime};

impl<H: StateHome, N: Nursery<H::Base>> Worker<H, N> {
    /// From the next step on, no new input is taken in, or it is again.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Tells the source which inputs wait, as far as it does not know yet.
    pub(super) fn hold_inputs(&mut self, now: WallTime) -> Result<(), CoreError> {
        if !self.paused && self.are_level() {
            return Ok(());
        }
        let inputs: Vec<(TopicPartition, EventTime)> =
            self.inputs().map(|(place, _, reached)| (place.clone(), reached)).collect();
        let bound = match self.paused {
            true => None,
            false => self.slowest(&inputs, now)?.map(|slowest| slowest.plus(INPUT_AHEAD_MAX)),
        };
        for (place, reached) in inputs {
            let holds = self.paused || bound.is_some_and(|bound| reached > bound);
            let Some(route) = self.routes.get_mut(&place).filter(|route| route.held != holds) else { continue };
            if holds {
                self.source.pause(&place)?;
            } else {
                self.source.resume(&place)?;
            }
            route.held = holds;
        }
        Ok(())
    }

    /// The inputs that are being read, whether each is held, and how far event time has come in it.
    fn inputs(&self) -> impl Iterator<Item = (&TopicPartition, bool, EventTime)> {
        self.routes.iter().filter(|(_, route)| route.asked).filter_map(|(place, route)| {
            let part = self.layout.parts.get(usize::from(route.task.sub_topology))?;
            let source = self.tasks.get(&route.task)?.sources.get(route.source)?;
            part.sources.get(route.source)?.input.then(|| (place, route.held, source.reached()))
        })
    }

    /// Whether no input is held, and none is far enough ahead to be.
    fn are_level(&self) -> bool {
        let (mut first, mut last) = (EventTime::MAX, EventTime::MIN);
        for (_, is_held, reached) in self.inputs() {
            if is_held {
                return false;
            }
            (first, last) = (first.min(reached), last.max(reached));
        }
        last <= first.plus(INPUT_AHEAD_MAX)
    }

    /// How far the slowest of the inputs is that have more to be read and from which something has come of late. Whoever
    /// is at its end, or cannot be reached, holds nobody up.
    fn slowest(
        &mut self,
        inputs: &[(TopicPartition, EventTime)],
        now: WallTime,
    ) -> Result<Option<EventTime>, CoreError> {
        let Self { routes, tasks, source, idleness, .. } = self;
        let mut slowest = None;
        for (place, reached) in inputs {
            let since = idleness.last_heard(place).map(|heard| now.0.saturating_sub(heard.0));
            let input = routes.get(place).and_then(|route| tasks.get(&route.task)?.sources.get(route.source));
            if since.is_some_and(|since| since <= INPUT_HEARD_WITHIN.0)
                && slowest.is_none_or(|slowest| *reached < slowest)
                && let Some(input) = input
                && !is_read_out(input, &mut **source)?
            {
                slowest = Some(*reached);
            }
        }
        Ok(slowest)
    }
}
