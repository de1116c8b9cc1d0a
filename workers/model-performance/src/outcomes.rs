//! What became of the lists that a model has shown.
//!
//! Not here: which clicks belong to which list ([`crate::attribution`]). Invariant: sums of whole numbers. Lists without a
//! click are left out of NDCG, and count as 0 in hit rate and mean reciprocal rank.

use processing_core::aggregate::{Exactness, Mergeable};
use serde::{Deserialize, Serialize};

/// Of one list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Items that were shown.
    pub impressions: u64,
    /// Items that were clicked, by last touch.
    pub clicks: u64,
    /// Items that were clicked, by first touch.
    pub clicks_first: u64,
    /// `None` without a click.
    pub ndcg_micros: Option<u64>,
    /// 0 without a click.
    pub reciprocal_rank_micros: u64,
    /// Ratings of its items.
    pub ratings: u64,
    /// Their sum.
    pub rating_sum_micros: i64,
}

/// Of all lists of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Lists.
    pub lists: u64,
    /// Lists whose outcome was told before its time, because a user had too many.
    pub early: u64,
    /// (list, item).
    pub impressions: u64,
    /// Impressions that were clicked, by last touch.
    pub clicks: u64,
    /// By first touch.
    pub clicks_first: u64,
    /// Lists with a click.
    pub hits: u64,
    /// Over lists with a click.
    pub ndcg_sum_micros: u64,
    /// Over all lists.
    pub reciprocal_rank_sum_micros: u64,
    /// Ratings.
    pub ratings: u64,
    /// Their sum.
    pub rating_sum_micros: i64,
}

impl Outcomes {
    /// Takes in a list.
    pub fn add(&mut self, outcome: &Outcome) {
        self.lists += 1;
        self.impressions += outcome.impressions;
        self.clicks += outcome.clicks;
        self.clicks_first += outcome.clicks_first;
        self.hits += u64::from(outcome.clicks > 0);
        self.ndcg_sum_micros += outcome.ndcg_micros.unwrap_or(0);
        self.reciprocal_rank_sum_micros += outcome.reciprocal_rank_micros;
        self.ratings += outcome.ratings;
        self.rating_sum_micros += outcome.rating_sum_micros;
    }
}

impl Mergeable for Outcomes {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.lists += other.lists;
        self.early += other.early;
        self.impressions += other.impressions;
        self.clicks += other.clicks;
        self.clicks_first += other.clicks_first;
        self.hits += other.hits;
        self.ndcg_sum_micros += other.ndcg_sum_micros;
        self.reciprocal_rank_sum_micros += other.reciprocal_rank_sum_micros;
        self.ratings += other.ratings;
        self.rating_sum_micros += other.rating_sum_micros;
    }
}
