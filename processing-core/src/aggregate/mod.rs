//! Aggregates: commutative folds that can be merged, and the ready-made ones.
//!
//! Not here: windows, stores, time. Each ready-made aggregate has a file of its own.
//! Invariant: for every aggregate marked [`Exactness::Exact`], any order and any grouping of `add`
//! and `merge` gives the same answer; a property test holds each of them to it.

use serde::{Serialize, de::DeserializeOwned};

/// Whether an aggregate's answer depends on the order in which it saw its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exactness {
    /// The arithmetic is associative and commutative to the last bit of the answer.
    Exact,
    /// Answers agree only within the aggregate's stated bound.
    Approximate,
}

/// A value that stands for a multiset of inputs and can be joined with another such value.
/// `Default` is the value of the empty multiset.
pub trait Mergeable: Default + Clone + Serialize + DeserializeOwned + Send + 'static {
    /// Whether answers are equal in any order.
    const EXACTNESS: Exactness;

    /// Takes a merged value out again, where the arithmetic is exactly invertible (integers, fixed
    /// point); `None` elsewhere. With it, a sliding window keeps one running value per key; without
    /// it, two stacks.
    const REMOVE: Option<fn(&mut Self, &Self)> = None;

    /// Joins `other` into this value.
    fn merge(&mut self, other: &Self);
}

/// A value that events are folded into; what a user writes for aggregates of their own.
pub trait Aggregate<E>: Mergeable {
    /// Folds one event in.
    fn add(&mut self, event: &E);
}

/// A recipe that folds events into a state: the ready-made aggregates, which take closures
/// (`sum(|e| e.fare_cents)`), and tuples of them. The closure lives in the recipe, the state is plain data.
pub trait Fold<E>: Clone + Send + 'static {
    /// What is stored.
    type State: Mergeable;
    /// Folds one event in.
    fn add(&self, state: &mut Self::State, event: &E);
}
