//! How many of all items a model shows: items served / items seen in 28 days.
//!
//! Seen is an item that any model has shown or any user has touched, within one tenant. Distinct items are counted by
//! `processing_core`'s sketch: exactly up to some hundreds a day, then within 1.6 %.
//! Items are gathered by the minute: what comes when its minute has closed is late here too, as everywhere in this worker.
//!
//! Not here: when a day is over. Invariant: a model's coverage is told beside the items that were seen in the same 28 days.

use std::collections::BTreeMap;

use processing_core::aggregate::{Aggregate, Distinct, Exactness, Mergeable};
use processing_core::record::DurationMs;
use serde::{Deserialize, Serialize};

use crate::event::Item;
use crate::subject::Subject;

/// Items count for so long.
pub const WINDOW: DurationMs = DurationMs::hours(28 * 24);

/// So many models of a tenant are told of, the first by their names.
const MODELS_MAX: usize = 2_000;

/// Distinct items.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Items(Distinct);

impl Items {
    /// How many.
    pub fn count(&self) -> u64 {
        self.0.count()
    }
}

impl Aggregate<(Subject, Vec<Item>)> for Items {
    fn add(&mut self, (_, items): &(Subject, Vec<Item>)) {
        items.iter().for_each(|Item(item)| self.0.add_hash(u64::from(*item)));
    }
}

impl Mergeable for Items {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

/// The items of a model in the 28 days up to a day's end; those that users have touched, where the model has no name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// Whose.
    pub model: Subject,
    /// Which.
    pub items: Items,
}

/// All models of a tenant at a day's end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    seen: Items,
    models: BTreeMap<Subject, u64>,
}

impl Coverage {
    /// Each model with the items that it has shown.
    pub fn models(&self) -> impl Iterator<Item = (&Subject, u64)> {
        self.models.iter().map(|(model, items)| (model, *items))
    }

    /// The items that were seen.
    pub fn seen(&self) -> u64 {
        self.seen.count()
    }
}

impl Aggregate<Counted> for Coverage {
    fn add(&mut self, counted: &Counted) {
        self.seen.merge(&counted.items);
        if !(counted.model.part(2).is_empty() && counted.model.part(3).is_empty() && counted.model.part(4).is_empty()) {
            self.models.insert(counted.model.clone(), counted.items.count());
        }
        self.bound();
    }
}

impl Coverage {
    fn bound(&mut self) {
        while self.models.len() > MODELS_MAX {
            self.models.pop_last();
        }
    }
}

impl Mergeable for Coverage {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.seen.merge(&other.seen);
        for (model, items) in &other.models {
            self.models.insert(model.clone(), *items);
        }
        self.bound();
    }
}
