//! What an operator can set for trending-cities.
//!
//! Not here: reading files and environment (`processing_core::service::settings`). Invariant: the
//! defaults are the definition of the product, and stand in [`TrendingSettings::default`] alone; every test
//! of a number uses them or says otherwise.

use std::path::PathBuf;
use std::sync::Arc;

use events::{Contracts, Gazetteer, SignalContract, poi_ingested};
use processing_core::error::CoreError;
use processing_core::record::DurationMs;
use processing_core::service::settings::{Declarations, Settings, SettingsError, Spec, ValueKind};

use crate::score::DAY;

/// Inputs, windows and weights.
#[derive(Debug, Clone, PartialEq)]
pub struct TrendingSettings {
    /// The application's id: the prefix of its group and its internal topics.
    pub application_id: String,
    /// The inputs that are read, each with its topic's name. One that is not named here counts in no
    /// minimum.
    pub inputs: Vec<(SignalContract, String)>,
    /// How the records of these topics become events.
    pub contracts: Contracts,
    /// The topic of places, by which an event that names a place and no city finds its city; `None` where there is none.
    pub places: Option<String>,
    /// Where results go.
    pub outputs: Outputs,
    /// W: how much time a trend looks at; whole minutes, at most a day.
    pub window: DurationMs,
    /// How often a list is made; whole minutes that divide a day, at most the window. The window need not be a
    /// whole number of them.
    pub advance: DurationMs,
    /// How late an event may come and still count.
    pub grace: DurationMs,
    /// How much a signal counts.
    pub weights: Weights,
    /// How long a list is.
    pub list_length: u32,
    /// k in the score: what a small city's noise is damped by.
    pub damping: u32,
    /// From how many distinct users in the window on a city can trend; who is not known is none of them.
    pub users_min: u64,
    /// From how many distinct users on a query is shown; who is not known is none of them.
    pub query_users_min: u64,
    /// Tells runs apart in the results; reprocessing gives a new one.
    pub run_id: String,
}

/// The topics of the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// The last word on each scope's window.
    pub trending: String,
    /// The present word on each scope.
    pub current: String,
    /// Each city's minutes.
    pub activity: String,
    /// Each scope's queries by the hour.
    pub searches: String,
}

impl Default for Outputs {
    fn default() -> Self {
        Self {
            trending: "trending.cities.v1".to_owned(),
            current: "trending.cities.current.v1".to_owned(),
            activity: "city.activity.1m.v1".to_owned(),
            searches: "searches.top.v1".to_owned(),
        }
    }
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
            contracts: Contracts::shipped(),
            places: None,
            outputs: Outputs::default(),
            window: DurationMs::minutes(60),
            advance: DurationMs::minutes(1),
            grace: DurationMs::minutes(1),
            weights: Weights::default(),
            list_length: 20,
            damping: 10,
            users_min: 10,
            query_users_min: 5,
            run_id: "live".to_owned(),
        }
    }
}

/// Minutes and lists are cut at whole minutes.
pub(crate) const MINUTE: DurationMs = DurationMs::minutes(1);

const SPAN: ValueKind = ValueKind::Millis { min: MINUTE, max: DurationMs::hours(24), off: false };
const GRACE: ValueKind = ValueKind::Millis { min: DurationMs(0), max: DurationMs::hours(24), off: false };
const WEIGHT: ValueKind = ValueKind::Integer { min: -1_000, max: 1_000 };
const TOPIC: ValueKind = ValueKind::Checked {
    wants: "1 to 249 of the letters a-z A-Z 0-9 . _ -",
    check: |text| {
        let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        (1..=249).contains(&text.len()) && text.bytes().all(legal) && text != "." && text != ".."
    },
};

const RUN_ID: ValueKind =
    ValueKind::Checked { wants: "1 to 100 characters", check: |text| (1..=100).contains(&text.len()) };

/// The name of the input of places in the settings.
const PLACES: &str = "poi-ingested";

/// The input's name in the settings: `search.executed` is `search-executed`.
fn input_name(contract: SignalContract) -> String {
    contract.event_type().replace('.', "-")
}

impl TrendingSettings {
    /// The defaults, beside a table of places in the topic that its contract names.
    pub fn with_places() -> Self {
        Self { places: Some(poi_ingested::EVENT_TYPE.to_owned()), ..Self::default() }
    }

    /// The library's settings and the worker's own.
    pub fn declared() -> Declarations {
        let default = Self::default();
        let spec = |name, kind, default: &dyn std::fmt::Display, help| Spec {
            default: default.to_string().into(),
            ..Spec::new(name, kind, "", help)
        };
        let count = |max| ValueKind::Integer { min: 1, max };
        let Weights { search, favourite, unfavourite, itinerary_saved, itinerary_updated, chat_itinerary_saved } =
            default.weights;
        let mut declared = Declarations::library(&default.application_id).with([
            spec("trending.window.ms", SPAN, &default.window.0, "How much time a trend looks at, in whole minutes"),
            spec(
                "trending.advance.ms",
                SPAN,
                &default.advance.0,
                "How often a list is made, in whole minutes that divide a day",
            ),
            spec("trending.grace.ms", GRACE, &default.grace.0, "How late an event may come and still count"),
            spec("trending.list.length", count(1_000), &default.list_length, "Cities on a list, queries on a list"),
            spec("trending.damping", count(1_000_000), &default.damping, "k in the score (n - m) / sqrt(m + k)"),
            spec("trending.users.min", count(300), &default.users_min, "Distinct users that a trend needs"),
            spec("queries.users.min", count(300), &default.query_users_min, "Distinct users before a query is shown"),
            spec("weights.search", WEIGHT, &search, "Weight of a user's minute with a search"),
            spec("weights.poi-favorited", WEIGHT, &favourite, "Weight of a favourite"),
            spec("weights.poi-unfavorited", WEIGHT, &unfavourite, "Weight of a favourite that is taken back"),
            spec("weights.itinerary-saved", WEIGHT, &itinerary_saved, "Weight of a saved itinerary"),
            spec("weights.itinerary-updated", WEIGHT, &itinerary_updated, "Weight of a changed itinerary"),
            spec("weights.chat-itinerary-saved", WEIGHT, &chat_itinerary_saved, "Weight of one saved from the chat"),
            spec("outputs.trending.topic", TOPIC, &default.outputs.trending, "Topic of closed windows' lists"),
            spec("outputs.current.topic", TOPIC, &default.outputs.current, "Topic of each scope's present lists"),
            spec("outputs.activity.topic", TOPIC, &default.outputs.activity, "Topic of cities' minutes"),
            spec("outputs.searches.topic", TOPIC, &default.outputs.searches, "Topic of the top queries"),
            spec(
                "cities.file",
                ValueKind::Path,
                &"",
                "CSV or TSV of cities and aliases that extends the shipped table",
            ),
            spec("run.id", RUN_ID, &default.run_id, "Tells runs apart in the results"),
        ]);
        declared = declared.with(events::settings::specs());
        for (contract, topic) in &default.inputs {
            declared = declared.input(&input_name(*contract), topic, true);
        }
        // Off by default: a topic that is read is waited for, and not everybody has this one.
        declared.input(PLACES, poi_ingested::EVENT_TYPE, false)
    }

    /// The settings in force, checked against each other, and the cities that they name.
    ///
    /// # Errors
    /// What does not go together, by name; a file of cities that cannot be used.
    pub fn read(settings: &Settings) -> Result<(Self, Arc<Gazetteer>), CoreError> {
        let mut read = Self::values(settings)?;
        read.contracts = Contracts::read(settings)?;
        for contract in SignalContract::ALL {
            let mapped = read.contracts.topics_of(contract.name()).filter(|topic| *topic != contract.event_type());
            read.inputs.extend(mapped.map(|topic| (contract, topic.to_owned())));
        }
        let odd = |name: &str, span: DurationMs| {
            CoreError::config(format!("{}: `{name}` ({}) must be whole minutes", settings.origin(name), span.0))
        };
        for (name, span) in [("trending.window.ms", read.window), ("trending.advance.ms", read.advance)] {
            if span.0 % MINUTE.0 != 0 {
                return Err(odd(name, span));
            }
        }
        if read.advance > read.window {
            return Err(CoreError::config(format!(
                "{}: `trending.advance.ms` ({}) must be at most `trending.window.ms` ({}, {}), or events between two \
                 windows would count in none",
                settings.origin("trending.advance.ms"),
                read.advance.0,
                read.window.0,
                settings.origin("trending.window.ms"),
            )));
        }
        if DAY.0 % read.advance.0 != 0 {
            return Err(CoreError::config(format!(
                "{}: `trending.advance.ms` ({}) must divide a day ({}), or the same window a day earlier would not be \
                 one of the windows, and no expectation would be right; 1, 2, 5, 10, 15, 30 and 60 minutes do",
                settings.origin("trending.advance.ms"),
                read.advance.0,
                DAY.0,
            )));
        }
        let cities = match settings.get::<Option<PathBuf>>("cities.file")? {
            None => Gazetteer::shipped(),
            Some(file) => Gazetteer::with_extension(&file).map_err(|error| {
                CoreError::config(format!("{}: `cities.file`: {error}", settings.origin("cities.file")))
            })?,
        };
        Ok((read, Arc::new(cities)))
    }

    fn values(settings: &Settings) -> Result<Self, SettingsError> {
        let inputs = SignalContract::ALL.into_iter().filter_map(|contract| {
            let input = settings.inputs.get(&input_name(contract)).filter(|input| input.enabled)?;
            Some((contract, input.topic.to_string()))
        });
        Ok(Self {
            application_id: settings.application.id.clone(),
            inputs: inputs.collect(),
            contracts: Contracts::shipped(),
            places: settings.inputs.get(PLACES).filter(|input| input.enabled).map(|input| input.topic.to_string()),
            outputs: Outputs {
                trending: settings.get("outputs.trending.topic")?,
                current: settings.get("outputs.current.topic")?,
                activity: settings.get("outputs.activity.topic")?,
                searches: settings.get("outputs.searches.topic")?,
            },
            window: settings.get("trending.window.ms")?,
            advance: settings.get("trending.advance.ms")?,
            grace: settings.get("trending.grace.ms")?,
            weights: Weights {
                search: settings.get("weights.search")?,
                favourite: settings.get("weights.poi-favorited")?,
                unfavourite: settings.get("weights.poi-unfavorited")?,
                itinerary_saved: settings.get("weights.itinerary-saved")?,
                itinerary_updated: settings.get("weights.itinerary-updated")?,
                chat_itinerary_saved: settings.get("weights.chat-itinerary-saved")?,
            },
            list_length: settings.get("trending.list.length")?,
            damping: settings.get("trending.damping")?,
            users_min: settings.get::<i64>("trending.users.min")?.unsigned_abs(),
            query_users_min: settings.get::<i64>("queries.users.min")?.unsigned_abs(),
            run_id: settings.get("run.id")?,
        })
    }
}
