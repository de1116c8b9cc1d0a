//! The lists of one scope: the world or a country.
//!
//! Not here: judging cities ([`crate::score`]) and writing lists down ([`crate::results`]). Invariant: a
//! list holds the best of all cities of its scope and window, ties broken by name, whatever the order
//! in which they came.

use compact_str::CompactString;
use processing_core::aggregate::{Aggregate, Exactness, Mergeable, Min, TopK};
use processing_core::record::DurationMs;
use serde::{Deserialize, Serialize};

use crate::city::City;
use crate::score::Judgement;

/// The scope of everything.
pub const WORLD: &str = "world";

/// Scores and baselines are kept in millionths: whole numbers can be ordered and compared.
const MICRO: f64 = 1_000_000.0;

/// A city that may enter its scopes' lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// `world` or a country.
    pub scope: CompactString,
    /// Which city.
    pub city: City,
    /// How it stands.
    pub judgement: Judgement,
    /// Whether it can trend.
    pub trends: bool,
    /// How long the lists are.
    pub list_length: u32,
}

/// A line of a list. Its order is the order of ties: by name, then country.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Line {
    /// The city's name.
    pub city: CompactString,
    /// Its country.
    pub country: CompactString,
    /// n.
    pub volume: i64,
    /// Distinct users.
    pub users: u64,
    /// m in millionths.
    pub baseline_micros: i64,
    /// The score in millionths.
    pub score_micros: i64,
}

/// The two lists of a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lists {
    /// By score.
    pub trend: TopK<i64, Line>,
    /// By volume.
    pub volume: TopK<i64, Line>,
    /// How far back the baselines could look: the least of them.
    pub covered: Min<DurationMs>,
}

impl Aggregate<Candidate> for Lists {
    fn add(&mut self, candidate: &Candidate) {
        let judgement = &candidate.judgement;
        let micros = |value: f64| (value * MICRO).round() as i64;
        let line = Line {
            city: candidate.city.name.clone(),
            country: candidate.city.country.clone(),
            volume: judgement.volume,
            users: judgement.users,
            baseline_micros: micros(judgement.baseline),
            score_micros: micros(judgement.score),
        };
        self.covered.add(judgement.covered);
        if candidate.trends {
            self.trend.add(candidate.list_length, line.score_micros, line.clone());
        }
        self.volume.add(candidate.list_length, line.volume, line);
    }
}

impl Mergeable for Lists {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        self.trend.merge(&other.trend);
        self.volume.merge(&other.volume);
        self.covered.merge(&other.covered);
    }
}
