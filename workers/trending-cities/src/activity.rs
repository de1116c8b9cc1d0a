//! What happens in one city within one minute.
//!
//! Not here: hours, scores, lists. Invariant: an event counts once however often it is delivered, so
//! folding and merging are unions of sets and exact in any order.
//!
//! An event without user and session is nobody's: it counts as an event, each for itself, and never as a
//! user. Otherwise one visitor who is not logged in would pass every minimum of users.

mod packed;
mod searches;

use std::collections::BTreeMap;

use compact_str::CompactString;
use events::identity::IdHash;
use events::{SearchSource, Signal, SignalKind};
use processing_core::aggregate::{Aggregate, Exactness, Mergeable};
use serde::{Deserialize, Serialize};

use self::searches::Searches;
use crate::settings::Weights;

/// A city's minute, by the identities of what happened in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CityMinute {
    /// Searches by event.
    searches: Searches,
    /// Weighted signals.
    signals: BTreeMap<SignalKey, ()>,
}

/// What makes weighted signals one: user, type and item. One of nobody known has its event in the item's
/// place.
type SignalKey = (Option<IdHash>, Kind, u64);

/// One search.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Search {
    /// `None` where nobody is known.
    user: Option<IdHash>,
    source: Source,
    without_result: bool,
    query: Option<CompactString>,
}

/// Where a search came from; a type of its own, because its encoding is state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Chat = 0,
    Manual = 1,
    Other = 2,
}

/// What a weighted signal was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Kind {
    Favourite,
    Unfavourite,
    ItinerarySaved,
    ItineraryUpdated,
    ChatItinerarySaved,
}

impl Aggregate<Signal> for CityMinute {
    fn add(&mut self, signal: &Signal) {
        let event = signal.event_id.get();
        let user = signal.user;
        let kind = match &signal.kind {
            SignalKind::Search { source, results, query } => {
                let source = match source {
                    SearchSource::Chat => Source::Chat,
                    SearchSource::Manual => Source::Manual,
                    SearchSource::Other => Source::Other,
                };
                let search = Search { user, source, without_result: *results == Some(0), query: query.clone() };
                self.searches.put(event, search);
                return;
            }
            SignalKind::Favourite => Kind::Favourite,
            SignalKind::Unfavourite => Kind::Unfavourite,
            SignalKind::ItinerarySaved => Kind::ItinerarySaved,
            SignalKind::ItineraryUpdated => Kind::ItineraryUpdated,
            SignalKind::ChatItinerarySaved => Kind::ChatItinerarySaved,
            SignalKind::Other => return,
        };
        let item = user.and(signal.item).map_or(event, |item| item.get());
        self.signals.insert((user, kind, item), ());
    }
}

impl Mergeable for CityMinute {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.absorb(other.clone());
    }

    fn absorb(&mut self, other: Self) {
        let Self { searches, mut signals } = other;
        self.searches.absorb(searches);
        self.signals.append(&mut signals);
    }

    fn heap_bytes(&self) -> usize {
        self.searches.heap_bytes() + self.signals.len() * size_of::<SignalKey>()
    }
}

/// A query and who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueryCount {
    /// The query, normalised.
    pub query: CompactString,
    /// Distinct users.
    #[serde(rename = "distinct_users")]
    pub users: u64,
    /// Searches.
    pub searches: u64,
}

/// How many searches came from where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BySource {
    /// From the chat.
    pub chat: u64,
    /// By hand.
    pub manual: u64,
    /// From elsewhere.
    pub other: u64,
}

impl CityMinute {
    /// Distinct (user, minute) searches, each search of nobody known, and weighted signals; below 0 where more
    /// is taken back than done.
    pub fn volume(&self, weights: &Weights) -> i64 {
        let searches = self.searches.in_order();
        let searchers = distinct(searches.iter().filter_map(|(_, search)| search.user)).len();
        let nobodys = searches.iter().filter(|(_, search)| search.user.is_none()).count();
        let weight = |kind: &Kind| match kind {
            Kind::Favourite => weights.favourite,
            Kind::Unfavourite => weights.unfavourite,
            Kind::ItinerarySaved => weights.itinerary_saved,
            Kind::ItineraryUpdated => weights.itinerary_updated,
            Kind::ChatItinerarySaved => weights.chat_itinerary_saved,
        };
        let signals: i64 = self.signals.keys().map(|(_, kind, _)| weight(kind)).sum();
        weights.search * (searchers + nobodys) as i64 + signals
    }

    /// Everyone who is known to have done anything, each once, in order.
    pub fn users(&self) -> Vec<IdHash> {
        let searches = self.searches.in_order();
        let searchers = searches.iter().filter_map(|(_, search)| search.user);
        distinct(searchers.chain(self.signals.keys().filter_map(|(user, ..)| *user)))
    }

    /// Searches.
    pub fn searches(&self) -> u64 {
        self.searches.in_order().len() as u64
    }

    /// Searches that found nothing.
    pub fn without_result(&self) -> u64 {
        self.searches.in_order().iter().filter(|(_, search)| search.without_result).count() as u64
    }

    /// Weighted signals.
    pub fn signals(&self) -> u64 {
        self.signals.len() as u64
    }

    /// Searches by source.
    pub fn by_source(&self) -> BySource {
        let mut by = BySource::default();
        for (_, search) in self.searches.in_order().iter() {
            match search.source {
                Source::Chat => by.chat += 1,
                Source::Manual => by.manual += 1,
                Source::Other => by.other += 1,
            }
        }
        by
    }

    /// The `k` queries that most users asked, of those that at least `users_min` users asked; ties by
    /// the query.
    pub fn top_queries(&self, k: usize, users_min: u64) -> Vec<QueryCount> {
        let searches = self.searches.in_order();
        let mut asked: Vec<(&CompactString, Option<IdHash>)> =
            searches.iter().filter_map(|(_, search)| Some((search.query.as_ref()?, search.user))).collect();
        asked.sort_unstable();
        let mut queries: Vec<QueryCount> = Vec::new();
        // Of each query those of nobody known come first.
        let mut last_user = None;
        for (query, user) in asked {
            match queries.last_mut().filter(|last| last.query == *query) {
                Some(last) => {
                    last.searches += 1;
                    last.users += u64::from(user != last_user);
                }
                None => {
                    let users = u64::from(user.is_some());
                    queries.push(QueryCount { query: query.clone(), users, searches: 1 });
                }
            }
            last_user = user;
        }
        queries.retain(|query| query.users >= users_min);
        queries.sort_by(|a, b| b.users.cmp(&a.users).then_with(|| a.query.cmp(&b.query)));
        queries.truncate(k);
        queries
    }
}

fn distinct(users: impl Iterator<Item = IdHash>) -> Vec<IdHash> {
    let mut users: Vec<IdHash> = users.collect();
    users.sort_unstable();
    users.dedup();
    users
}
