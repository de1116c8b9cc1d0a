//! The records that trending-cities publishes, as their readers see them.
//!
//! Not here: how they come about. Invariant: each has a JSON Schema in `schemas/` that a test holds it
//! to, a `run_id` and a `revision`, and a key that depends on what it is about and on nothing else, so
//! that a replay replaces instead of adding.

use compact_str::CompactString;
use processing_core::aggregate::TopK;
use processing_core::previous::Successive;
use processing_core::record::{DurationMs, EventTime};
use processing_core::windowed::Closed;
use serde::{Deserialize, Serialize};

use crate::activity::{BySource, CityMinute, QueryCount};
use crate::city::City;
use crate::lists::{Line, Lists};
use crate::queries::{QueryLine, TopQueries};
use crate::score::DAY;
use crate::settings::TrendingSettings;

/// The JSON Schema (draft 2020-12) of each result, by the topic that it goes to by default.
pub const SCHEMAS: [(&str, &str); 4] = [
    ("trending.cities.v1", include_str!("../schemas/trending.cities.v1.json")),
    ("trending.cities.current.v1", include_str!("../schemas/trending.cities.current.v1.json")),
    ("city.activity.1m.v1", include_str!("../schemas/city.activity.1m.v1.json")),
    ("searches.top.v1", include_str!("../schemas/searches.top.v1.json")),
];

/// What every result carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Which run made it.
    pub run_id: String,
    /// Rises when a run says something anew about the same window.
    pub revision: u32,
    /// What it is about: the same for every run.
    pub key: String,
    /// The first moment that is counted, in milliseconds since 1970 UTC.
    pub window_start_ms: i64,
    /// The first moment that is no longer counted.
    pub window_end_ms: i64,
}

impl Stamp {
    fn new(settings: &TrendingSettings, about: &str, start: EventTime, end: EventTime) -> Self {
        Self {
            run_id: settings.run_id.clone(),
            revision: 0,
            key: format!("{about}@{}", end.0),
            window_start_ms: start.0,
            window_end_ms: end.0,
        }
    }
}

/// A line of a published list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// From 1.
    pub rank: u32,
    /// One advance earlier; null outside that list.
    pub previous_rank: Option<u32>,
    /// The city.
    pub city: CompactString,
    /// Its country.
    pub country: CompactString,
    /// n.
    pub volume: i64,
    /// Distinct users.
    pub distinct_users: u64,
    /// m, to the millionth.
    pub baseline: f64,
    /// The score, to the millionth.
    pub score: f64,
}

/// `trending.cities.v1`: the last word on every window. `trending.cities.current.v1`: the last of them, at most
/// one per scope and second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trending {
    /// Whose window.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// `world` or a country.
    pub scope: CompactString,
    /// Whether no later record of this run says anything else about this window.
    pub is_final: bool,
    /// Less than a day of history stands behind some baseline, or would stand behind it in an empty list.
    pub warming: bool,
    /// By score.
    pub trending: Vec<Ranked>,
    /// By volume.
    pub volume: Vec<Ranked>,
}

impl Trending {
    /// The lists of a scope's window that has closed.
    pub fn of(settings: &TrendingSettings, scope: &CompactString, lists: &Successive<Lists>) -> Self {
        // A list is made in the advance in which its window ends.
        let Successive { window: made, value, previous } = lists;
        Self {
            stamp: Stamp::new(settings, scope, made.end.minus(settings.window), made.end),
            scope: scope.clone(),
            is_final: true,
            warming: warming(lists).unwrap_or(false),
            trending: ranked(&value.trend, previous.as_ref().map(|previous| &previous.trend)),
            volume: ranked(&value.volume, previous.as_ref().map(|previous| &previous.volume)),
        }
    }
}

/// Whether less than a day lies before a scope's window. An empty one is judged by the window before it, which
/// looked back one advance less; `None` where that was empty too, of which nothing is published.
pub(crate) fn warming(lists: &Successive<Lists>) -> Option<bool> {
    if let Some(covered) = lists.value.covered.get() {
        return Some(*covered < DAY);
    }
    let before = *lists.previous.as_ref()?.covered.get()?;
    let advance = lists.window.end.0 - lists.window.start.0;
    // Of a window that began before the log did it is not known by how much: that matters where an advance is
    // a day long.
    Some(before.0 == 0 || before.0 + advance < DAY.0)
}

fn ranked(list: &TopK<i64, Line>, previous: Option<&TopK<i64, Line>>) -> Vec<Ranked> {
    const MICRO: f64 = 1_000_000.0;
    let before = |line: &Line| {
        let same = |earlier: &&processing_core::aggregate::Ranked<i64, Line>| {
            earlier.item.city == line.city && earlier.item.country == line.country
        };
        previous?.entries().iter().zip(1..).find(|(earlier, _)| same(earlier)).map(|(_, rank)| rank)
    };
    let rank = |(entry, rank): (&processing_core::aggregate::Ranked<i64, Line>, u32)| Ranked {
        rank,
        previous_rank: before(&entry.item),
        city: entry.item.city.clone(),
        country: entry.item.country.clone(),
        volume: entry.item.volume,
        distinct_users: entry.item.users,
        baseline: entry.item.baseline_micros as f64 / MICRO,
        score: entry.item.score_micros as f64 / MICRO,
    };
    list.entries().iter().zip(1..).map(rank).collect()
}

/// `city.activity.1m.v1`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CityActivity {
    /// Whose minute.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// The city.
    pub city: CompactString,
    /// Its country.
    pub country: CompactString,
    /// Weighted, distinct; may be below 0.
    pub volume: i64,
    /// Searches.
    pub searches: u64,
    /// Users who did anything, of those who are known; 0 where none is.
    pub distinct_users: u64,
    /// Searches by source.
    pub by_source: BySource,
    /// Searches that found nothing.
    pub searches_without_result: u64,
    /// Favourites and itineraries.
    pub signals: u64,
    /// The queries of most users.
    pub top_queries: Vec<QueryCount>,
}

impl CityActivity {
    /// A closed minute.
    pub fn of(settings: &TrendingSettings, city: &City, minute: &Closed<CityMinute>) -> Self {
        let about = format!("{}/{}", city.country, city.name);
        let value = &minute.value;
        Self {
            stamp: Stamp::new(settings, &about, minute.window.start, minute.window.end),
            city: city.name.clone(),
            country: city.country.clone(),
            volume: value.volume(&settings.weights),
            searches: value.searches(),
            distinct_users: value.users().len() as u64,
            by_source: value.by_source(),
            searches_without_result: value.without_result(),
            signals: value.signals(),
            top_queries: value.top_queries(5, settings.query_users_min),
        }
    }
}

/// A line of a published list of queries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RankedQuery {
    /// From 1.
    pub rank: u32,
    /// The query, normalised.
    pub query: CompactString,
    /// Distinct users; among [`SearchesTop::without_result`] those who found nothing.
    pub distinct_users: u64,
    /// All distinct searches for the query, in either list.
    pub searches: u64,
}

/// `searches.top.v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SearchesTop {
    /// Whose hour.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// `world` or a country.
    pub scope: CompactString,
    /// The queries of most users.
    pub queries: Vec<RankedQuery>,
    /// Those of most users who found nothing.
    pub without_result: Vec<RankedQuery>,
}

impl SearchesTop {
    /// A closed hour.
    pub fn of(settings: &TrendingSettings, scope: &CompactString, hour: &Closed<TopQueries>) -> Self {
        Self {
            stamp: Stamp::new(settings, scope, hour.window.start, hour.window.end),
            scope: scope.clone(),
            queries: ranked_queries(&hour.value.asked),
            without_result: ranked_queries(&hour.value.without_result),
        }
    }
}

fn ranked_queries(list: &TopK<u64, QueryLine>) -> Vec<RankedQuery> {
    let rank = |(entry, rank): (&processing_core::aggregate::Ranked<u64, QueryLine>, u32)| RankedQuery {
        rank,
        query: entry.item.query.clone(),
        distinct_users: entry.score,
        searches: entry.item.searches,
    };
    list.entries().iter().zip(1..).map(rank).collect()
}

/// The hour in which queries are ranked.
pub const QUERY_WINDOW: DurationMs = DurationMs::hours(1);
