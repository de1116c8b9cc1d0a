//! How many of all items a model shows: items served / items seen in 28 days.
//!
//! Seen is an item that any model has shown or any user has touched, within one tenant. Distinct items are counted
//! exactly up to some hundreds a day, then by `processing_core`'s sketch within 1.6 %.
//!
//! Items are gathered by the hour: what comes when its hour has closed is late here. The minutes of an hour stand apart
//! until then, because each commit writes the row anew that it adds to, and a minute's items are few where an hour's are a
//! sketch of four kilobytes.
//!
//! Not here: when a day is over. Invariant: a model's coverage is told beside the items that were seen in the same 28 days.

use std::collections::BTreeMap;

use processing_core::aggregate::{Aggregate, Distinct, Exactness, Mergeable};
use processing_core::record::{DurationMs, EventTime};
use serde::{Deserialize, Serialize};

use crate::event::{Item, ItemList};
use crate::packed;
use crate::span::MINUTE;
use crate::subject::Subject;

/// Items count for so long.
pub const WINDOW: DurationMs = DurationMs::hours(28 * 24);

/// So many models of a tenant are told of, the first by their names.
const MODELS_MAX: usize = 2_000;

/// So many items are kept as they are: a quarter of what the sketch would take.
const FEW: usize = 256;

/// A model, and the minute of an hour; what users have touched stands under the model without a name.
pub type ModelMinute = (Subject, u8);

/// The minute that holds this moment.
pub fn minute(model: Subject, time: EventTime) -> ModelMinute {
    (model, (time.0.div_euclid(MINUTE).rem_euclid(60)) as u8)
}

/// Distinct items. Which of the two it is depends on how many they are alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Items {
    /// In order, up to [`FEW`].
    Few(#[serde(with = "packed")] Vec<Item>),
    /// More.
    Many(Distinct),
}

impl Default for Items {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Items {
    /// How many.
    pub fn count(&self) -> u64 {
        match self {
            Self::Few(few) => few.len() as u64,
            Self::Many(many) => many.count(),
        }
    }
}

impl Items {
    fn extend(&mut self, more: &[Item]) {
        let many = match self {
            Self::Many(many) => many,
            Self::Few(few) => {
                for item in more {
                    if let Err(place) = few.binary_search(item) {
                        few.insert(place, *item);
                    }
                }
                if few.len() > FEW {
                    let mut many = Distinct::default();
                    few.iter().for_each(|Item(item)| many.add_hash(u64::from(*item)));
                    *self = Self::Many(many);
                }
                return;
            }
        };
        more.iter().for_each(|Item(item)| many.add_hash(u64::from(*item)));
    }
}

impl Aggregate<ItemList> for Items {
    fn add(&mut self, more: &ItemList) {
        self.extend(more);
    }
}

impl Aggregate<Self> for Items {
    fn add(&mut self, more: &Self) {
        self.merge(more);
    }
}

impl Mergeable for Items {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (_, Self::Few(few)) => self.extend(few),
            (Self::Few(few), Self::Many(many)) => {
                let mut many = many.clone();
                few.iter().for_each(|Item(item)| many.add_hash(u64::from(*item)));
                *self = Self::Many(many);
            }
            (Self::Many(many), Self::Many(other)) => many.merge(other),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Few(few) => few.capacity() * size_of::<Item>(),
            Self::Many(many) => many.heap_bytes(),
        }
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
