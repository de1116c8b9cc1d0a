//! What one person did within one minute.
//!
//! Not here: sessions, funnels, days ([`crate::person`]). Invariant: a deed counts once however often it is delivered,
//! and of too many the same ones are kept in whatever order they came; so folding and merging are exact.
//!
//! This is also how repeats are dropped. A record that is delivered again has its event's id and time, and so belongs to
//! the same minute of the same person; once that minute has closed, it is late. The horizon within which repeats are seen
//! is therefore a minute and the grace, and what is remembered is bounded by what a minute may hold.

use events::identity::IdHash;
use processing_core::aggregate::{Aggregate, Exactness, Mergeable};
use processing_core::prelude::EventTime;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::action::{Action, Deed};

/// How many deeds of one person and minute are kept; what lies beyond is no person's doing.
pub const DEEDS_MAX: usize = 4_096;

/// A deed and when it was done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub time: EventTime,
    /// What.
    pub deed: Deed,
}

/// Something that is done by one event.
pub trait OfEvent: Ord + Clone + Serialize + DeserializeOwned + Send + 'static {
    /// Which event.
    fn event(&self) -> IdHash;
    /// When.
    fn time(&self) -> EventTime;
}

impl OfEvent for Step {
    fn event(&self) -> IdHash {
        self.deed.event
    }

    fn time(&self) -> EventTime {
        self.time
    }
}

/// What happened within a minute, each event once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Once<S: OfEvent> {
    /// By event; of an event that comes in two forms the smaller one.
    steps: Vec<S>,
    /// Whether there were more than [`DEEDS_MAX`].
    is_cut: bool,
}

/// A person's minute.
pub type PersonMinute = Once<Step>;

impl<S: OfEvent> Default for Once<S> {
    fn default() -> Self {
        Self { steps: Vec::new(), is_cut: false }
    }
}

impl<S: OfEvent> Once<S> {
    /// What happened, by time, then event.
    pub fn into_steps(self) -> Vec<S> {
        let mut steps = self.steps;
        steps.sort_unstable_by_key(|step| (step.time(), step.event()));
        steps
    }

    /// Whether there was more than is kept.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn put(&mut self, step: S) {
        match self.steps.binary_search_by_key(&step.event(), S::event) {
            Ok(place) if step < self.steps[place] => self.steps[place] = step,
            Ok(_) => {}
            Err(place) => {
                self.steps.insert(place, step);
                self.is_cut |= self.steps.len() > DEEDS_MAX;
                self.steps.truncate(DEEDS_MAX);
            }
        }
    }
}

impl Aggregate<Action> for Once<Step> {
    fn add(&mut self, action: &Action) {
        self.put(Step { time: action.time, deed: action.deed.clone() });
    }
}

impl<S: OfEvent> Aggregate<S> for Once<S> {
    fn add(&mut self, step: &S) {
        self.put(step.clone());
    }
}

impl<S: OfEvent> Mergeable for Once<S> {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.absorb(other.clone());
    }

    fn absorb(&mut self, other: Self) {
        let Self { steps, is_cut } = other;
        self.is_cut |= is_cut;
        if self.steps.is_empty() {
            self.steps = steps;
            return;
        }
        steps.into_iter().for_each(|step| self.put(step));
    }

    fn heap_bytes(&self) -> usize {
        self.steps.capacity() * size_of::<S>()
    }
}
