//! Lists of a crowd's minute whose outcomes are still to be told.
//!
//! Most lists are left as they are, so they are told together: a number of lists of a model. One that a user clicked or rated
//! something of stands for itself.
//!
//! Not here: when they are told ([`crate::attribution`]). Invariant: each list that was shown is counted by its model or
//! stands for itself, until it is taken.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::outcomes::{Outcome, Outcomes};
use crate::statistics::ranking;
use crate::subject::Subject;

/// Places in a list, in order. A list is rarely clicked more than once.
type Places = SmallVec<[u16; 4]>;

/// The lists that users of a crowd were shown within a minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    /// Who was shown one: what their rows say of this minute is no longer of use once it is told.
    users: Vec<u64>,
    /// By the model within the tenant.
    left_alone: BTreeMap<Subject, LeftAlone>,
    followed: BTreeMap<ListId, Followed>,
}

/// Which of a crowd's minute: the user, and the list's place among the minute's lists of that user.
pub type ListId = (u64, u16);

/// Lists of a model that were left as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct LeftAlone {
    lists: u64,
    impressions: u64,
}

/// What users did with a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    model: Subject,
    impressions: u16,
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
    /// Nothing yet.
    fn new(model: Subject, impressions: u16) -> Self {
        let (clicked, clicked_first) = (Places::new(), Places::new());
        Self { model, impressions, clicked, clicked_first, ratings: 0, rating_sum: 0 }
    }

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

    fn outcome(&self) -> Outcome {
        let clicked: Vec<bool> = (0..self.impressions).map(|place| self.clicked.contains(&place)).collect();
        Outcome {
            impressions: self.impressions.into(),
            clicks: self.clicked.len() as u64,
            clicks_first: self.clicked_first.len() as u64,
            ndcg_micros: ranking::ndcg(&clicked),
            reciprocal_rank_micros: ranking::reciprocal_rank(&clicked),
            ratings: self.ratings,
            rating_sum_micros: self.rating_sum,
        }
    }
}

impl Untold {
    /// A user was shown a list of so many items.
    pub fn add(&mut self, user: u64, model: &Subject, impressions: u16) {
        if self.users.last() != Some(&user) {
            self.users.push(user);
        }
        // Most models are there already: they are found without a copy of the name.
        if !self.left_alone.contains_key(model) {
            self.left_alone.insert(model.clone(), LeftAlone::default());
        }
        if let Some(left) = self.left_alone.get_mut(model) {
            left.lists += 1;
            left.impressions += u64::from(impressions);
        }
    }

    /// A list that was added, which from now on stands for itself.
    pub fn follow(&mut self, id: ListId, model: &Subject, impressions: u16) -> &mut Followed {
        if !self.followed.contains_key(&id) {
            self.take_left_alone(model, impressions);
        }
        self.followed.entry(id).or_insert_with(|| Followed::new(model.clone(), impressions))
    }

    /// Takes a list out that was added.
    pub fn take(&mut self, id: ListId, model: &Subject, impressions: u16) -> Outcome {
        if let Some(followed) = self.followed.remove(&id) {
            return followed.outcome();
        }
        self.take_left_alone(model, impressions);
        Outcome { impressions: impressions.into(), ..Outcome::default() }
    }

    fn take_left_alone(&mut self, model: &Subject, impressions: u16) {
        let Some(left) = self.left_alone.get_mut(model) else { return };
        left.lists = left.lists.saturating_sub(1);
        left.impressions = left.impressions.saturating_sub(impressions.into());
        if left.lists == 0 {
            self.left_alone.remove(model);
        }
    }

    /// Who was shown a list.
    pub fn users(&self) -> &[u64] {
        &self.users
    }

    /// What became of the lists, by the model within the tenant.
    pub fn outcomes(&self) -> BTreeMap<&Subject, Outcomes> {
        let left_alone = self.left_alone.iter().map(|(model, LeftAlone { lists, impressions })| {
            (model, Outcomes { lists: *lists, impressions: *impressions, ..Outcomes::default() })
        });
        let mut all: BTreeMap<&Subject, Outcomes> = left_alone.collect();
        for followed in self.followed.values() {
            all.entry(&followed.model).or_default().add(&followed.outcome());
        }
        all
    }
}
