//! Which of a tenant's models are asked most within an hour.
//!
//! Not here: when an hour is over. Invariant: the list holds the models with most requests, ties by the model's key.

use processing_core::aggregate::{Aggregate, Exactness, Mergeable, TopK};
use serde::{Deserialize, Serialize};

use crate::subject::Subject;

/// How long the list is.
const LENGTH: u32 = 20;

/// A model's requests in an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asks {
    /// The model, its version and variant.
    pub model: Subject,
    /// How often it was asked.
    pub requests: u64,
}

/// A tenant's hour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Popular {
    /// The models that were asked most.
    pub models: TopK<u64, Subject>,
    /// Requests of all models.
    pub requests: u64,
}

impl Aggregate<Asks> for Popular {
    fn add(&mut self, asks: &Asks) {
        self.models.add_ref(LENGTH, asks.requests, &asks.model);
        self.requests += asks.requests;
    }
}

impl Mergeable for Popular {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.models.merge(&other.models);
        self.requests += other.requests;
    }
}

#[cfg(test)]
mod tests {
    use processing_core::aggregate::{fold_of, laws};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_list_is_the_same_in_any_order(requests in prop::collection::vec(1_u64..9, 0..60), seed: u64) {
            let asks = |(number, requests): (usize, u64)| Asks { model: Subject::of([format!("m{number}").as_str()]), requests };
            let asked: Vec<Asks> = requests.into_iter().enumerate().map(asks).collect();
            laws::exact(&fold_of::<Popular>(), &asked, seed, Popular::clone);
        }
    }
}
