//! What users did with a list.
//!
//! Not here: which list a click belongs to ([`crate::attribution`]). Invariant: an item of a list counts at most one click.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::outcomes::Outcome;
use crate::statistics::ranking;

/// Places in a list, in order. A list is rarely clicked more than once.
type Places = SmallVec<[u16; 4]>;

/// Clicks on a list's items and their ratings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// The places of items that were clicked.
    clicked: Places,
    /// Clicked, and no earlier list held the item.
    clicked_first: Places,
    ratings: u64,
    rating_sum: i64,
}

/// Takes note of a click on the item at a place.
fn mark(clicked: &mut Places, place: u16) {
    if let Err(at) = clicked.binary_search(&place) {
        clicked.insert(at, place);
    }
}

impl Followed {
    /// The item at this place was clicked, and this is the latest list with it.
    pub fn click(&mut self, place: u16) {
        mark(&mut self.clicked, place);
    }

    /// The item at this place was clicked, and this is the earliest list with it.
    pub fn click_first(&mut self, place: u16) {
        mark(&mut self.clicked_first, place);
    }

    /// An item of it was rated, in millionths.
    pub fn rate(&mut self, rating: i64) {
        self.ratings += 1;
        self.rating_sum += rating;
    }

    /// What became of the list, which has so many items.
    pub fn outcome(&self, impressions: u16) -> Outcome {
        let clicked: Vec<bool> = (0..impressions).map(|place| self.clicked.contains(&place)).collect();
        Outcome {
            impressions: impressions.into(),
            clicks: self.clicked.len() as u64,
            clicks_first: self.clicked_first.len() as u64,
            ndcg_micros: ranking::ndcg(&clicked),
            reciprocal_rank_micros: ranking::reciprocal_rank(&clicked),
            ratings: self.ratings,
            rating_sum_micros: self.rating_sum,
        }
    }
}
