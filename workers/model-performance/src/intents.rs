//! What models took messages for, and how sure they were.
//!
//! Not here: whether they were right ([`crate::leads`]). Invariant: counts, the same in any order.

use processing_core::aggregate::{Exactness, Mergeable};
use serde::{Deserialize, Serialize};

use crate::event::Understanding;
use crate::statistics::calibration::{BINS, bin_of};
use crate::tally::Tally;

/// Messages by what they were taken for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intents {
    /// By intent; empty where none was found.
    pub intents: Tally,
    /// By tier; empty where none is named.
    pub tiers: Tally,
    /// Suggested actions.
    pub actions: Tally,
    /// Messages by confidence, in 15 equal bins.
    pub confidences: [u64; BINS],
    /// Messages that failed, by the type of the error.
    pub errors: Tally,
}

impl Intents {
    /// Takes in a message.
    pub fn add(&mut self, understood: &Understanding) {
        self.intents.add(understood.intent.as_deref().unwrap_or_default());
        self.tiers.add(understood.tier.as_deref().unwrap_or_default());
        understood.actions.iter().for_each(|action| self.actions.add(action));
        if let Some(bin) = understood.confidence.and_then(|confidence| self.confidences.get_mut(bin_of(confidence))) {
            *bin += 1;
        }
    }
}

impl Mergeable for Intents {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.intents.merge(&other.intents);
        self.tiers.merge(&other.tiers);
        self.actions.merge(&other.actions);
        for (bin, more) in self.confidences.iter_mut().zip(other.confidences) {
            *bin += more;
        }
        self.errors.merge(&other.errors);
    }

    fn heap_bytes(&self) -> usize {
        self.intents.heap_bytes() + self.tiers.heap_bytes() + self.actions.heap_bytes() + self.errors.heap_bytes()
    }
}
