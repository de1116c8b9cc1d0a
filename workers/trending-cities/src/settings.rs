//! What an operator can set for trending-cities.
//!
//! Not here: reading files and environment (`processing_core::service::settings`). Invariant: the
//! defaults are the definition of the product; every test of a number uses them or says otherwise.

use events::SignalContract;
use processing_core::record::DurationMs;

/// Inputs, windows and weights.
#[derive(Debug, Clone, PartialEq)]
pub struct TrendingSettings {
    /// The application's id: the prefix of its group and its internal topics.
    pub application_id: String,
    /// The inputs that are read, each with its topic's name. One that is not named here counts in no
    /// minimum.
    pub inputs: Vec<(SignalContract, String)>,
    /// W: how much time a trend looks at.
    pub window: DurationMs,
    /// How often a list is made.
    pub advance: DurationMs,
    /// How late an event may come and still count.
    pub grace: DurationMs,
    /// How much a signal counts.
    pub weights: Weights,
    /// How long a list is.
    pub list_length: u32,
    /// k in the score: what a small city's noise is damped by.
    pub damping: f64,
    /// From how many distinct users in the window on a city can trend.
    pub users_min: u64,
    /// From how many distinct users on a query is shown.
    pub query_users_min: u64,
    /// Tells runs apart in the results; reprocessing gives a new one.
    pub run_id: String,
}

/// How much one distinct signal counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// A (user, minute) with a search.
    pub search: i64,
    /// `poi.favorited`.
    pub favourite: i64,
    /// `poi.unfavorited`.
    pub unfavourite: i64,
    /// `itinerary.saved`.
    pub itinerary_saved: i64,
    /// `itinerary.updated`.
    pub itinerary_updated: i64,
    /// `chat.itinerary.saved`.
    pub chat_itinerary_saved: i64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            search: 1,
            favourite: 2,
            unfavourite: -2,
            itinerary_saved: 3,
            itinerary_updated: 1,
            chat_itinerary_saved: 3,
        }
    }
}

impl Default for TrendingSettings {
    fn default() -> Self {
        Self {
            application_id: "trending-cities.v1".to_owned(),
            inputs: SignalContract::ALL.iter().map(|input| (*input, input.event_type().to_owned())).collect(),
            window: DurationMs::minutes(60),
            advance: DurationMs::minutes(1),
            grace: DurationMs::minutes(1),
            weights: Weights::default(),
            list_length: 20,
            damping: 10.0,
            users_min: 10,
            query_users_min: 5,
            run_id: "live".to_owned(),
        }
    }
}
