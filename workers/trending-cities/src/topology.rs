//! trending-cities, written down.
//!
//! Not here: what a minute, a window and a list hold. Invariant: this page says what the worker does,
//! in the order in which a record meets it.

use std::sync::Arc;

use compact_str::CompactString;
use events::{Gazetteer, Place, Signal, SignalKind, TopicReader, poi_ingested};
use processing_core::decode::{Decoder, Json, Poison};
use processing_core::dsl::{Grouped, Stream, Windowed};
use processing_core::prelude::*;
use processing_core::process::{Pipe, Sources};

use crate::activity::CityMinute;
use crate::city::City;
use crate::lists::{Candidate, Lists, WORLD};
use crate::queries::{Asked, Askers, QueryHour, TopQueries};
use crate::results::{CityActivity, QUERY_WINDOW, SearchesTop, Trending};
use crate::score::{CityWindow, Judgement, MinuteVolume, frames};
use crate::settings::TrendingSettings;

/// For how long a city's closed minutes can be asked for.
pub(crate) const ACTIVITY_KEPT: DurationMs = DurationMs::hours(1);

/// The windows of the lists: one advance each, the one in which the lists' own window ends.
pub(crate) fn lists_windows(settings: &TrendingSettings) -> Tumbling {
    let offset = settings.window.0.rem_euclid(settings.advance.0.max(1));
    Tumbling::new(settings.advance).offset(DurationMs(offset))
}

/// The whole worker.
pub fn topology(settings: &TrendingSettings, cities: &Arc<Gazetteer>) -> Result<Plan, TopologyError> {
    let app = Topology::named(settings.application_id.clone());
    let with = || Arc::new(settings.clone());
    let signals = app
        .streams(settings.inputs.iter().map(|(contract, topic)| {
            let reader = settings.contracts.alone(contract.name(), topic);
            Topic::with(topic, SignalDecoder { reader, cities: Arc::clone(cities) })
        }))
        .event_time(|signal: &Signal| signal.time)
        .filter_counted("other", |signal| signal.kind != SignalKind::Other);
    let minutes = match &settings.places {
        None => in_minutes(counting(signals, settings), settings).aggregate::<CityMinute>("city-minute"),
        Some(topic) => {
            let places = app
                .table(Topic::with(topic, PlaceDecoder { cities: Arc::clone(cities) }))
                .event_time(|place: &Place| place.time)
                .grace(settings.grace);
            let (signals, sought) = signals.split().branch_off(
                |signal| signal.poi.is_some(),
                |signals| signals.key_by(|signal| signal.poi.clone().unwrap_or_default()).repartition("poi"),
            );
            let direct = in_minutes(counting(signals.rest(), settings), settings);
            let found = sought
                .left_join_table(places, "poi-city", |_, signal, place| Signal {
                    city: place.and_then(|place| place.city.clone()),
                    ..signal
                })
                .filter_counted("no_city", |signal| signal.city.is_some())
                .key_by(city_of);
            // The join has waited for those that come late; the windows need not wait for them again.
            direct.merge(found.window(Tumbling::minutes(1))).aggregate::<CityMinute>("city-minute")
        }
    };
    minutes
        .on_close()
        .tee(|minutes| {
            let names = with();
            minutes
                .map_keyed(move |city, minute| CityActivity::of(&names, city, &minute))
                .to(Topic::with(&settings.outputs.activity, Json::<CityActivity>::new()))
        })
        .map({
            let weights = settings.weights;
            move |minute| MinuteVolume::of(&minute.value, &weights)
        })
        .window(Hopping::new(settings.window, settings.advance))
        .aggregate::<CityWindow>("city-window")
        .on_close_with("city-history", &frames(settings), |window| window.volume)
        .map_keyed({
            let rules = with();
            move |city, closed| {
                let (window, earlier) = closed.value;
                let judgement = Judgement::of(&window, &earlier, &rules);
                let trends = judgement.trends(&rules);
                Candidate { scope: WORLD.into(), city: city.clone(), judgement, trends, list_length: rules.list_length }
            }
        })
        // A city of which everything was taken back stands nowhere; so a scope of such cities is empty.
        .filter(|candidate| candidate.judgement.volume > 0)
        .flat_map(|candidate| {
            let country = Candidate { scope: candidate.city.country.clone(), ..candidate.clone() };
            [candidate, country]
        })
        .key_by(|candidate| candidate.scope.clone())
        .window(lists_windows(settings))
        .aggregate::<Lists>("lists")
        .on_close()
        .with_previous("trending", DurationMs(0))
        .on_latest(DurationMs::seconds(1), |latest| {
            let names = with();
            latest.map_keyed(move |scope, lists| Trending::of(&names, scope, &lists)).to(Topic::with(
                &settings.outputs.current,
                Json::<Trending>::new(),
            )
            .compacted())
        })
        .map_keyed({
            let names = with();
            move |scope, lists| Trending::of(&names, scope, &lists)
        })
        .to(Topic::with(&settings.outputs.trending, Json::<Trending>::new()));

    app.build()
}

/// Signals that name a city, and on their way the queries of those that are searches.
fn counting<P>(
    signals: Stream<P, ()>,
    settings: &TrendingSettings,
) -> Stream<impl Pipe<Head = Sources, Key = P::Key, Value = Signal>, ()>
where
    P: Pipe<Head = Sources, Key: Clone, Value = Signal>,
{
    let with = || Arc::new(settings.clone());
    signals.filter_counted("no_city", |signal| signal.city.is_some()).tee(|signals| {
        let (limits, names) = (with(), with());
        signals
            .flat_map(asked)
            .key_by(|asked| (asked.scope.clone(), asked.query.clone()))
            .window(Tumbling::new(QUERY_WINDOW).grace(settings.grace))
            .aggregate::<Askers>("query-hour")
            .on_close()
            .map_keyed(move |key, hour| query_hour(&limits, key, &hour))
            .filter(|hour| hour.users >= hour.users_min)
            .key_by(|hour| hour.scope.clone())
            .window(Tumbling::new(QUERY_WINDOW))
            .aggregate::<TopQueries>("top-queries")
            .on_close()
            .map_keyed(move |scope, hour| SearchesTop::of(&names, scope, &hour))
            .to(Topic::with(&settings.outputs.searches, Json::<SearchesTop>::new()))
    })
}

/// Signals by city, in the minutes that everything else is made of.
fn in_minutes<P>(
    signals: Stream<P, ()>,
    settings: &TrendingSettings,
) -> Windowed<Grouped<impl Pipe<Head = Sources, Key = City, Value = Signal>, ()>, Tumbling>
where
    P: Pipe<Head = Sources, Value = Signal>,
{
    signals.key_by(city_of).window(Tumbling::minutes(1).grace(settings.grace)).keep(ACTIVITY_KEPT)
}

fn city_of(signal: &Signal) -> City {
    signal.city.as_ref().map_or_else(City::unknown, City::from)
}

/// A search with a query, in the world and in its country.
fn asked(signal: Signal) -> impl Iterator<Item = Asked> {
    let event = signal.event_id.get();
    let user = signal.user;
    let country = signal.city.map(|city| CompactString::from(city.country.as_str()));
    let world = match signal.kind {
        SignalKind::Search { query: Some(query), results, .. } => {
            Some(Asked { scope: WORLD.into(), query, user, event, without_result: results == Some(0) })
        }
        _ => None,
    };
    let country = world.clone().zip(country).map(|(asked, scope)| Asked { scope, ..asked });
    [world, country].into_iter().flatten()
}

fn query_hour(
    settings: &TrendingSettings,
    (scope, query): &(CompactString, CompactString),
    hour: &processing_core::windowed::Closed<Askers>,
) -> QueryHour {
    QueryHour {
        scope: scope.clone(),
        query: query.clone(),
        users: hour.value.users.count(),
        searches: hour.value.searches.count(),
        users_without_result: hour.value.users_without_result.count(),
        users_min: settings.query_users_min,
        list_length: settings.list_length,
    }
}

/// Reads one contract's events.
#[derive(Clone)]
struct SignalDecoder {
    reader: TopicReader,
    cities: Arc<Gazetteer>,
}

impl Decoder for SignalDecoder {
    type Event = Signal;

    fn decode(&self, value: Option<&[u8]>) -> Result<Signal, Poison> {
        let read = self.reader.decode(value).map(|event| Signal::of(event, &self.cities));
        read.map_err(|poison| Poison::new(poison.reason.as_str(), poison.detail))
    }
}

/// Reads the table of places.
#[derive(Clone)]
struct PlaceDecoder {
    cities: Arc<Gazetteer>,
}

impl Decoder for PlaceDecoder {
    type Event = Place;

    fn decode(&self, value: Option<&[u8]>) -> Result<Place, Poison> {
        let read = poi_ingested::decode(value, &self.cities);
        read.map_err(|poison| Poison::new(poison.reason.as_str(), poison.detail))
    }
}
