//! Aggregates: commutative folds that can be merged, and the ready-made ones.
//!
//! Not here: windows, stores, time. Each ready-made aggregate has a file of its own, in two halves:
//! the *state* ([`Count`], [`Sum`], [`Distinct`] and so on), plain data that is stored, merged and
//! answers questions, and the *recipe* (what [`count()`], [`sum()`], [`distinct()`] return), which holds
//! the user's closure. A user's own [`Aggregate`] may hold such states as fields.
//!
//! ```
//! use processing_core::aggregate::{Fold, count, mean, sum};
//!
//! struct Trip { fare_cents: i64, seconds: u32 }
//! let recipe = (count(), sum(|t: &Trip| t.fare_cents), mean(|t: &Trip| t.seconds));
//!
//! let mut state = Default::default();
//! recipe.add(&mut state, &Trip { fare_cents: 900, seconds: 61 });
//! recipe.add(&mut state, &Trip { fare_cents: 400, seconds: 60 });
//! let (trips, fares, seconds) = state;
//! assert_eq!((trips.get(), fares.get()), (2, 1300));
//! assert_eq!(seconds.rounded(1).unwrap().to_string(), "60.5");
//! ```
//!
//! A closure names its event's type, as above. Where the event borrows (`Search<'a>`) and a recipe must
//! fit every lifetime, give a named function, since a closure is inferred for one lifetime only:
//!
//! ```
//! use processing_core::aggregate::{Fold, distinct};
//!
//! struct Search<'a> { user: &'a str }
//! fn user<'e>(search: &'e Search<'_>) -> &'e str { search.user }
//! fn any_lifetime(_: impl for<'a> Fold<Search<'a>>) {}
//! any_lifetime(distinct(user));
//! ```
//!
//! Invariant: for every aggregate marked [`Exactness::Exact`], any order and any grouping of `add`
//! and `merge` gives the same answer; a property test holds each of them to it.

use serde::{Serialize, de::DeserializeOwned};

mod collect;
mod count;
mod distinct;
mod first;
mod fixed_point;
mod frequent_items;
mod histogram;
mod last;
#[cfg(any(test, feature = "testing"))]
pub mod laws;
mod log_scale;
mod max;
mod mean;
mod min;
mod of_aggregate;
mod quantiles;
mod ratio;
mod rolled_up;
mod sketch_bytes;
mod sum;
mod top_k;
mod tuple;

pub use collect::{Collect, CollectFold, collect};
pub use count::{Count, CountFold, count};
pub use distinct::{Distinct, DistinctFold, DistinctHashFold, distinct, distinct_hash};
pub use first::{First, FirstFold, first};
pub use fixed_point::{Decimal, scaled};
pub use frequent_items::{Frequency, FrequentItem, FrequentItems, FrequentItemsFold, frequent_items};
pub use histogram::{Histogram, HistogramFold, Upper, histogram};
pub use last::{Last, LastFold, last};
pub use max::{Max, MaxFold, max};
pub use mean::{Mean, MeanFold, mean};
pub use min::{Min, MinFold, min};
pub use of_aggregate::{OfAggregate, fold_of};
pub use quantiles::{Quantiles, QuantilesFold, quantiles};
pub use ratio::{Ratio, RatioFold, WeightedMeanFold, ratio, weighted_mean};
pub use rolled_up::{RolledUp, rolled_up};
pub use sum::{Sum, SumFold, sum};
pub use top_k::{Ranked, TopK, TopKFold, TopKRefFold, top_k, top_k_ref};

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

    /// Joins `other`, which nobody needs any more. Worth writing where [`Self::merge`] copies what could be moved.
    fn absorb(&mut self, other: Self) {
        self.merge(&other);
    }

    /// About how many bytes this value holds outside of itself, for the bound of the caches that
    /// keep decoded values; 0 for plain numbers.
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// A value that events are folded into; what a user writes for aggregates of their own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not aggregate events of type `{E}`",
    label = "an aggregate of something else",
    note = "implement `Aggregate<{E}>` for it, or `map` the stream to what it aggregates"
)]
pub trait Aggregate<E>: Mergeable {
    /// Folds one event in.
    fn add(&mut self, event: &E);
}

/// A recipe that folds events into a state: the ready-made aggregates, which take closures
/// (`sum(|e| e.fare_cents)`), and tuples of them. The closure lives in the recipe, the state is plain data.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no recipe that folds events of type `{E}`",
    label = "a recipe for something else",
    note = "recipes are `count()`, `sum(..)` and their kin over this event, tuples of two to eight of them, and `fold_of` \
            an `Aggregate`"
)]
pub trait Fold<E>: Clone + Send + 'static {
    /// What is stored.
    type State: Mergeable;
    /// Folds one event in.
    fn add(&self, state: &mut Self::State, event: &E);
}
