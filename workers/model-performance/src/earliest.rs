//! The earliest of what somebody did within a minute, and how much there was.
//!
//! Not here: what is done, and what follows from it. Invariant: of all that came the first [`MOST`] by their order are kept,
//! each once, whatever the order and grouping in which they came.

use processing_core::aggregate::{Aggregate, Exactness, Mergeable};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// So much of a minute is looked at; the rest is counted.
pub const MOST: usize = 64;

/// Something that is done at a moment, in the order in which it counts.
pub trait Act: Ord + Clone + Serialize + DeserializeOwned + Send + 'static {
    /// About how many bytes it holds outside of itself.
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// A minute of somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Earliest<T: Act> {
    /// In their order. Most minutes hold one or two: a tree's smallest node would have room for eleven.
    kept: Vec<T>,
    seen: u64,
}

impl<T: Act> Default for Earliest<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), seen: 0 }
    }
}

impl<T: Act> Earliest<T> {
    /// What is kept, in its order.
    pub fn kept(&self) -> &[T] {
        &self.kept
    }

    /// The same, for whoever takes it apart.
    pub fn into_kept(self) -> Vec<T> {
        self.kept
    }

    /// How much came that is not kept.
    pub fn cut(&self) -> u64 {
        self.seen.saturating_sub(self.kept.len() as u64)
    }

    /// Takes one in.
    pub fn take_in(&mut self, act: T) {
        self.seen += 1;
        self.keep(act);
    }

    fn keep(&mut self, act: T) {
        if let Err(place) = self.kept.binary_search(&act) {
            self.kept.insert(place, act);
            self.kept.truncate(MOST);
        }
    }
}

impl<T: Act> Aggregate<T> for Earliest<T> {
    fn add(&mut self, act: &T) {
        self.take_in(act.clone());
    }
}

impl<T: Act> Mergeable for Earliest<T> {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.absorb(other.clone());
    }

    fn absorb(&mut self, other: Self) {
        self.seen += other.seen;
        if self.kept.is_empty() {
            self.kept = other.kept;
            return;
        }
        other.kept.into_iter().for_each(|act| self.keep(act));
    }

    fn heap_bytes(&self) -> usize {
        self.kept.capacity() * size_of::<T>() + self.kept.iter().map(Act::heap_bytes).sum::<usize>()
    }
}
