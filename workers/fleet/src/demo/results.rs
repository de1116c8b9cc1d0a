//! The worker's results as they come out of its topic: the newest list of the world.
//!
//! Invariant: only what is committed is seen, as any other reader of the topic would.

use std::sync::Arc;

use processing_core::error::CoreError;
use processing_core::log::Log;
use trending_cities::results::Trending;

use super::tail::Tail;

/// The topic of final lists.
const LISTS: &str = "trending.cities.v1";

/// A reader of the lists.
pub(crate) struct Results {
    log: Arc<dyn Log>,
    tail: Tail,
    /// The newest list of the world.
    pub(crate) newest: Option<Trending>,
}

impl Results {
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        Self { log, tail: Tail::of(LISTS), newest: None }
    }

    /// Takes in what has come since the last look, as far as the log answers now.
    pub(crate) fn look(&mut self) -> Result<(), CoreError> {
        let newest = &mut self.newest;
        self.tail.look(&*self.log, |value| {
            let of_world = value.windows(WORLD.len()).any(|part| part == WORLD);
            let Some(list) = of_world.then(|| serde_json::from_slice::<Trending>(value).ok()).flatten() else { return };
            let newer = |newest: &Trending| newest.stamp.window_end_ms <= list.stamp.window_end_ms;
            if newest.as_ref().is_none_or(newer) {
                *newest = Some(list);
            }
        })?;
        Ok(())
    }
}

/// So that the lists of all the countries need not be parsed.
const WORLD: &[u8] = br#""scope":"world""#;
