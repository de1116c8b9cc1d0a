//! The worker's aggregates against the laws that make a result the same in any order and grouping: the
//! repartition, the slices of windows and every restore lean on them.

use compact_str::CompactString;
use events::gazetteer::Country;
use events::identity::IdHash;
use events::{CityRef, SearchSource, Signal, SignalKind};
use processing_core::aggregate::{fold_of, laws};
use processing_core::record::{DurationMs, EventTime};
use proptest::prelude::*;
use trending_cities::activity::CityMinute;
use trending_cities::city::City;
use trending_cities::lists::{Candidate, Lists};
use trending_cities::queries::{Asked, Askers, QueryHour, TopQueries};
use trending_cities::score::{CityWindow, Judgement, MinuteVolume};

fn id(number: u16) -> IdHash {
    IdHash::of(&number.to_string())
}

/// Somebody, or nobody known.
fn user(users: u16) -> impl Strategy<Value = Option<IdHash>> {
    prop::option::weighted(0.8, (0..users).prop_map(id))
}

/// Searches and signals of a few users; events come again, and sometimes another comes under the same id.
fn signal() -> impl Strategy<Value = Signal> {
    let search =
        (0..3usize, prop::option::of(0..2u32), prop::option::of(0..4u8)).prop_map(|(source, results, query)| {
            let source = [SearchSource::Chat, SearchSource::Manual, SearchSource::Other][source];
            let query = query.map(|query| CompactString::from(format!("query {query}")));
            SignalKind::Search { source, results, query }
        });
    let kind = prop_oneof![
        3 => search,
        1 => Just(SignalKind::Favourite),
        1 => Just(SignalKind::Unfavourite),
        1 => Just(SignalKind::ItinerarySaved),
    ];
    (0..90u16, user(6), kind, prop::option::of((0..4u16).prop_map(id))).prop_map(|(event, user, kind, item)| Signal {
        time: EventTime(0),
        event_id: id(event),
        user,
        kind,
        item,
        city: Some(CityRef { name: "Lisbon".into(), country: Country::UNKNOWN }),
        poi: None,
    })
}

prop_compose! {
    fn minute()(volume in -9..9i64, users in prop::collection::vec(0..900u16, 0..60)) -> MinuteVolume {
        MinuteVolume { volume, users: users.into_iter().map(id).collect() }
    }
}

prop_compose! {
    fn asked()(user in user(500), event in 0..500u64, without_result: bool) -> Asked {
        Asked { scope: "world".into(), query: "port".into(), user, event, without_result }
    }
}

prop_compose! {
    /// Few values, so that many stand equal.
    fn candidate()(
        name in 0..20u8, volume in 1..5i64, users in 0..4u64, quarters in -4..4i8, trends: bool, hours in 0..30i64,
    ) -> Candidate {
        let covered = DurationMs::hours(hours);
        let score = f64::from(quarters) / 4.0;
        Candidate {
            scope: "PT".into(),
            city: City { country: "PT".into(), name: format!("city {name}").into() },
            judgement: Judgement { volume, users, baseline: 1.0, score, covered },
            trends,
            list_length: 4,
        }
    }
}

prop_compose! {
    fn hour()(query in 0..20u8, users in 1..5u64, searches in 1..5u64, users_without_result in 0..4u64) -> QueryHour {
        QueryHour {
            scope: "PT".into(),
            query: format!("query {query}").into(),
            users,
            searches,
            users_without_result,
            users_min: 2,
            list_length: 4,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_citys_minute(signals in prop::collection::vec(signal(), 0..160), seed: u64) {
        laws::exact(&fold_of::<CityMinute>(), &signals, seed, CityMinute::clone);
    }

    /// More users than are kept as they are, and than a list of fingerprints holds.
    #[test]
    fn a_citys_window(minutes in prop::collection::vec(minute(), 0..40), seed: u64) {
        let answer = |window: &CityWindow| (window.volume.get(), window.users.count());
        laws::exact(&fold_of::<CityWindow>(), &minutes, seed, answer);
    }

    #[test]
    fn the_lists_of_a_scope(candidates in prop::collection::vec(candidate(), 0..60), seed: u64) {
        laws::exact(&fold_of::<Lists>(), &candidates, seed, Lists::clone);
    }

    #[test]
    fn who_asked_a_query(searches in prop::collection::vec(asked(), 0..200), seed: u64) {
        let answer = |of: &Askers| (of.users.count(), of.searches.count(), of.users_without_result.count());
        laws::exact(&fold_of::<Askers>(), &searches, seed, answer);
    }

    #[test]
    fn the_top_queries_of_a_scope(hours in prop::collection::vec(hour(), 0..60), seed: u64) {
        laws::exact(&fold_of::<TopQueries>(), &hours, seed, TopQueries::clone);
    }
}
