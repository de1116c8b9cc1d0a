//! What is searched for: the top queries of a scope and hour.
//!
//! Not here: a city's own queries ([`crate::activity`]). Invariant: a query is shown only when enough
//! distinct users asked it, so that nobody's own words are published. A search of nobody known is a search
//! and no user.

use compact_str::CompactString;
use events::identity::IdHash;
use processing_core::aggregate::{Aggregate, Distinct, Exactness, Mergeable, TopK};
use serde::{Deserialize, Serialize};

/// One search in one of its scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `world` or a country.
    pub scope: CompactString,
    /// The query, normalised.
    pub query: CompactString,
    /// Who asked; `None` where nobody is known.
    pub user: Option<IdHash>,
    /// The event.
    pub event: u64,
    /// Nothing was found.
    pub without_result: bool,
}

/// Who asked a query in an hour. Counts are exact up to some hundreds, then within 1.6 %.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Askers {
    /// Distinct users, of those who are known.
    pub users: Distinct,
    /// Distinct events.
    pub searches: Distinct,
    /// Distinct users who found nothing.
    pub users_without_result: Distinct,
}

impl Aggregate<Asked> for Askers {
    fn add(&mut self, asked: &Asked) {
        self.searches.add_hash(asked.event);
        let Some(user) = asked.user else { return };
        self.users.add_hash(user.get());
        if asked.without_result {
            self.users_without_result.add_hash(user.get());
        }
    }
}

impl Mergeable for Askers {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.users.merge(&other.users);
        self.searches.merge(&other.searches);
        self.users_without_result.merge(&other.users_without_result);
    }

    fn heap_bytes(&self) -> usize {
        self.users.heap_bytes() + self.searches.heap_bytes() + self.users_without_result.heap_bytes()
    }
}

/// A query's hour in one scope, asked by enough users to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryHour {
    /// `world` or a country.
    pub scope: CompactString,
    /// The query.
    pub query: CompactString,
    /// Distinct users.
    pub users: u64,
    /// Distinct searches.
    pub searches: u64,
    /// Distinct users who found nothing.
    pub users_without_result: u64,
    /// From how many users on it is shown.
    pub users_min: u64,
    /// How long the lists are.
    pub list_length: u32,
}

/// A line of a list; its order is that of ties.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct QueryLine {
    /// The query.
    pub query: CompactString,
    /// Distinct searches.
    pub searches: u64,
}

/// The top queries of a scope's hour, by distinct users.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopQueries {
    /// All queries.
    pub asked: TopK<u64, QueryLine>,
    /// Those that found nothing, by the users who found nothing; their searches are all of the query's, also
    /// those that found something.
    pub without_result: TopK<u64, QueryLine>,
}

impl Aggregate<QueryHour> for TopQueries {
    fn add(&mut self, hour: &QueryHour) {
        let line = QueryLine { query: hour.query.clone(), searches: hour.searches };
        if hour.users_without_result >= hour.users_min {
            self.without_result.add(hour.list_length, hour.users_without_result, line.clone());
        }
        self.asked.add(hour.list_length, hour.users, line);
    }
}

impl Mergeable for TopQueries {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.asked.merge(&other.asked);
        self.without_result.merge(&other.without_result);
    }
}
