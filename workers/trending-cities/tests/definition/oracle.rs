//! trending-cities computed from a flat list, straight from its definition.
//!
//! Not here: panes, partial aggregates, sketches, running values, incremental anything. Invariant: shares
//! with the worker the events' decoding and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use events::{CityRef, Gazetteer, SearchSource, Signal, SignalKind, poi_ingested};
use serde_json::{Value, json};
use trending_cities::TrendingSettings;

use crate::Record;
use crate::harness::{FUTURE, PlaceRow, Published};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A city: country, then name.
type City = (String, String);

/// Everything that the worker should have published, in the order of (window end, key).
#[derive(Default)]
pub(crate) struct Expected {
    pub(crate) lists: Vec<Record>,
    pub(crate) activity: Vec<Record>,
    pub(crate) queries: Vec<Record>,
    /// Events that count in their minute.
    pub(crate) counted: u64,
    /// Records that cannot be decoded, or lie too far in the future.
    pub(crate) dead: u64,
    /// Events without a city.
    pub(crate) no_city: u64,
    /// Of another type than their topic's.
    pub(crate) other: u64,
    /// Events too late for their minute.
    pub(crate) late_minutes: u64,
    /// Searches too late for their hour, once for each scope.
    pub(crate) late_hours: u64,
    /// Events that would have looked up their city, and came too late for it.
    pub(crate) late_sought: u64,
    /// Events that found their city by their place.
    pub(crate) found: u64,
    /// Records of the table that cannot be decoded.
    pub(crate) dead_places: u64,
}

/// One event that counts in its minute.
struct Event {
    time: i64,
    city: City,
    signal: Signal,
}

/// A city's minute.
#[derive(Default)]
struct Minute {
    volume: i64,
    users: BTreeSet<u64>,
}

/// A city in a window.
#[derive(Clone)]
struct Standing {
    city: City,
    volume: i64,
    users: u64,
    baseline: i64,
    score: i64,
    eligible: bool,
}

/// What is true of a place from a time on; `None` once it is taken away.
struct Version {
    effective: i64,
    poi: Vec<u8>,
    city: Option<CityRef>,
}

/// Each partition's rows in the order of the log: one takes effect at its time, or at its partition's if that is later.
fn versions(cities: &Gazetteer, rows: &[PlaceRow], expected: &mut Expected) -> Vec<Version> {
    let mut stream_times: BTreeMap<u32, i64> = BTreeMap::new();
    let mut versions = Vec::new();
    for row in rows {
        let read = row.value.as_deref().map(|value| poi_ingested::decode(Some(value), cities));
        let (time, city) = match read {
            Some(Err(_)) => {
                expected.dead_places += 1;
                continue;
            }
            Some(Ok(place)) => (place.time.0, place.city),
            None => (row.sent, None),
        };
        let stream_time = stream_times.entry(row.partition).or_insert(i64::MIN);
        *stream_time = time.max(*stream_time);
        versions.push(Version { effective: *stream_time, poi: row.key.clone(), city });
    }
    versions
}

/// What the definition makes of `records`, and of the rows of the table of places where the settings name one.
pub(crate) fn expected(
    settings: &TrendingSettings,
    cities: &Gazetteer,
    records: &[Published],
    places: &[PlaceRow],
) -> Expected {
    let mut expected = Expected::default();
    let versions = versions(cities, places, &mut expected);
    let (mut minutes, mut hours) = (Vec::new(), Vec::new());
    let mut stream_times: BTreeMap<_, i64> = BTreeMap::new();
    for record in records {
        let stream_time = stream_times.entry((record.contract, record.partition)).or_insert(i64::MIN);
        let before = *stream_time;
        let decoded = record.contract.decode(Some(&record.value), cities);
        let Some(mut signal) = decoded.ok().filter(|signal| signal.time.0 <= record.sent + FUTURE.0) else {
            expected.dead += 1;
            continue;
        };
        let time = signal.time.0;
        *stream_time = time.max(before);
        if signal.kind == SignalKind::Other {
            expected.other += 1;
            continue;
        }
        let poi = signal.poi.clone().filter(|_| settings.places.is_some());
        if let Some(poi) = &poi {
            if time + settings.grace.0 < before {
                expected.late_sought += 1;
                continue;
            }
            let mut past = versions.iter().filter(|row| row.poi == poi.as_bytes() && row.effective <= time);
            signal.city = past.next_back().and_then(|row| row.city.clone());
            expected.found += u64::from(signal.city.is_some());
        }
        let Some(city) = &signal.city else {
            expected.no_city += 1;
            continue;
        };
        // What was looked up was judged there.
        let late = |size: i64| poi.is_none() && start(time, size) + size + settings.grace.0 <= before;
        let city = (city.country.as_str().to_owned(), city.name.to_string());
        if matches!(signal.kind, SignalKind::Search { query: Some(_), .. }) {
            if late(HOUR) {
                expected.late_hours += 2;
            } else {
                hours.push(Event { time, city: city.clone(), signal: signal.clone() });
            }
        }
        if late(MINUTE) {
            expected.late_minutes += 1;
        } else {
            minutes.push(Event { time, city, signal });
        }
    }
    let reached = stream_times.values().copied().min().unwrap_or(i64::MIN) - settings.grace.0;
    expected.counted = minutes.len() as u64;
    minutes.sort_by_key(|event| event.time);
    hours.sort_by_key(|event| event.time);
    expected.activity = activity(settings, &minutes, reached);
    expected.queries = queries(settings, &hours, reached);
    expected.lists = lists(settings, &minutes, reached);
    expected
}

fn start(time: i64, size: i64) -> i64 {
    time - time.rem_euclid(size)
}

/// Who did one of `events`: only these are users. What nobody is known to have done makes no user.
fn users<'e>(events: impl IntoIterator<Item = &'e Event>) -> BTreeSet<u64> {
    events.into_iter().filter_map(|event| Some(event.signal.user?.get())).collect()
}

/// What tells things done apart, beside their type: the user and what it was done to, or else the event.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Users(u64, Option<u64>),
    UsersAlone(u64, u64),
    Nobodys(u64),
}

fn deed(signal: &Signal) -> Deed {
    let event = signal.event_id.get();
    match (signal.user, signal.item, &signal.kind) {
        (None, ..) => Deed::Nobodys(event),
        // All of a user's searches in a minute count once.
        (Some(user), _, SignalKind::Search { .. }) => Deed::Users(user.get(), None),
        (Some(user), Some(item), _) => Deed::Users(user.get(), Some(item.get())),
        (Some(user), None, _) => Deed::UsersAlone(user.get(), event),
    }
}

fn weight(settings: &TrendingSettings, kind: &SignalKind) -> i64 {
    match kind {
        SignalKind::Search { .. } => settings.weights.search,
        SignalKind::Favourite => settings.weights.favourite,
        SignalKind::Unfavourite => settings.weights.unfavourite,
        SignalKind::ItinerarySaved => settings.weights.itinerary_saved,
        SignalKind::ItineraryUpdated => settings.weights.itinerary_updated,
        SignalKind::ChatItinerarySaved => settings.weights.chat_itinerary_saved,
        SignalKind::Other => 0,
    }
}

/// n of a city's minute: distinct searchers, and signals distinct by user, type and item.
fn volume(settings: &TrendingSettings, events: &[&Event]) -> i64 {
    let mut counted = BTreeSet::new();
    let mut volume = 0;
    for event in events {
        let kind = match event.signal.kind {
            SignalKind::Search { .. } => "search".to_owned(),
            ref kind => format!("{kind:?}"),
        };
        if counted.insert((deed(&event.signal), kind)) {
            volume += weight(settings, &event.signal.kind);
        }
    }
    volume
}

/// Events by (start of their `size`, group).
fn grouped<G: Ord>(events: &[Event], size: i64, group: impl Fn(&Event) -> G) -> BTreeMap<(i64, G), Vec<&Event>> {
    let mut groups: BTreeMap<_, Vec<&Event>> = BTreeMap::new();
    for event in events {
        groups.entry((start(event.time, size), group(event))).or_default().push(event);
    }
    groups
}

/// The first of each event's deliveries.
fn distinct<'e>(events: &[&'e Event]) -> Vec<&'e Event> {
    let mut seen = BTreeSet::new();
    events.iter().copied().filter(|event| seen.insert(event.signal.event_id.get())).collect()
}

fn activity(settings: &TrendingSettings, events: &[Event], reached: i64) -> Vec<Record> {
    let minutes = grouped(events, MINUTE, |event| event.city.clone());
    let closed = minutes.into_iter().filter(|((minute, _), _)| minute + MINUTE <= reached);
    let record = |((minute, (country, name)), events): ((i64, City), Vec<&Event>)| {
        let key = format!("{country}/{name}");
        let is_search = |event: &&Event| matches!(event.signal.kind, SignalKind::Search { .. });
        let searches = distinct(&events.iter().copied().filter(is_search).collect::<Vec<_>>());
        let from = |wanted| {
            searches
                .iter()
                .filter(|event| matches!(event.signal.kind, SignalKind::Search { source, .. } if source == wanted))
                .count()
        };
        let without = searches.iter().filter(|event| found_nothing(event)).count();
        let signals: BTreeSet<_> = events
            .iter()
            .filter(|event| !is_search(event))
            .map(|event| (deed(&event.signal), format!("{:?}", event.signal.kind)))
            .collect();
        let users = users(events.iter().copied());
        let top: Vec<Value> = asked(&searches, settings.query_users_min)
            .into_iter()
            .take(5)
            .map(|(query, users, searches)| json!({ "query": query, "distinct_users": users, "searches": searches }))
            .collect();
        let value = json!({
            "run_id": settings.run_id, "revision": 0, "key": format!("{key}@{}", minute + MINUTE),
            "window_start_ms": minute, "window_end_ms": minute + MINUTE,
            "city": name, "country": country, "volume": volume(settings, &events),
            "searches": searches.len(), "distinct_users": users.len(),
            "by_source": {
                "chat": from(SearchSource::Chat), "manual": from(SearchSource::Manual),
                "other": from(SearchSource::Other),
            },
            "searches_without_result": without, "signals": signals.len(), "top_queries": top,
        });
        (key, value.to_string())
    };
    closed.map(record).collect()
}

fn found_nothing(event: &Event) -> bool {
    matches!(event.signal.kind, SignalKind::Search { results: Some(0), .. })
}

/// Queries with their users and searches: those of at least `min` users, most users first, then by query.
fn asked(searches: &[&Event], min: u64) -> Vec<(String, u64, u64)> {
    let mut queries: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
    for event in searches {
        let SignalKind::Search { query: Some(query), .. } = &event.signal.kind else { continue };
        queries.entry(query.to_string()).or_default().push(event);
    }
    let mut asked: Vec<_> = queries
        .into_iter()
        .map(|(query, searches)| (query, users(searches.iter().copied()).len() as u64, searches.len() as u64))
        .collect();
    asked.retain(|(_, users, _)| *users >= min);
    asked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    asked
}

fn queries(settings: &TrendingSettings, events: &[Event], reached: i64) -> Vec<Record> {
    let mut scopes = grouped(events, HOUR, |_| "world".to_owned());
    scopes.extend(grouped(events, HOUR, |event| event.city.0.clone()));
    let mut records = Vec::new();
    for ((hour, scope), events) in scopes {
        let searches = distinct(&events);
        let all = asked(&searches, settings.query_users_min);
        if hour + HOUR > reached || all.is_empty() {
            continue;
        }
        let of_all: BTreeMap<_, _> = asked(&searches, 0).into_iter().map(|(query, _, n)| (query, n)).collect();
        let nothing: Vec<&Event> = searches.iter().copied().filter(|event| found_nothing(event)).collect();
        let ranked = |queries: Vec<(String, u64, u64)>| -> Vec<Value> {
            let best = queries.into_iter().take(settings.list_length as usize).zip(1..);
            best.map(|((query, users, _), rank)| {
                json!({ "rank": rank, "distinct_users": users, "searches": of_all[&query], "query": query })
            })
            .collect()
        };
        let value = json!({
            "run_id": settings.run_id, "revision": 0, "key": format!("{scope}@{}", hour + HOUR),
            "window_start_ms": hour, "window_end_ms": hour + HOUR, "scope": scope,
            "queries": ranked(all), "without_result": ranked(asked(&nothing, settings.query_users_min)),
        });
        records.push((scope, value.to_string()));
    }
    records
}

fn lists(settings: &TrendingSettings, events: &[Event], reached: i64) -> Vec<Record> {
    let mut cities: BTreeMap<City, BTreeMap<i64, Minute>> = BTreeMap::new();
    for ((minute, city), events) in grouped(events, MINUTE, |event| event.city.clone()) {
        let users = users(events.iter().copied());
        cities.entry(city).or_default().insert(minute, Minute { volume: volume(settings, &events), users });
    }
    let Some(since) = events.first().map(|event| start(event.time, MINUTE)) else { return Vec::new() };
    let (size, advance) = (settings.window.0, settings.advance.0);

    let mut records = Vec::new();
    let mut before: BTreeMap<String, [Vec<Standing>; 2]> = BTreeMap::new();
    // Windows start at whole advances.
    let mut end = start(since - size, advance) + advance + size;
    while end <= reached {
        let window = end - size;
        let covered = (window - since).clamp(0, DAY);
        let mut scopes: BTreeMap<String, Vec<Standing>> = BTreeMap::new();
        for (city, minutes) in &cities {
            let total =
                |from: i64, to: i64| minutes.range(from..to).map(|(_, minute)| minute.volume).sum::<i64>().max(0);
            let volume = total(window, end);
            if volume == 0 {
                continue;
            }
            let mean =
                if covered > 0 { total(window - DAY, window) as f64 * size as f64 / covered as f64 } else { 0.0 };
            let baseline = mean.max(total(window - DAY, end - DAY) as f64);
            let score = (volume as f64 - baseline) / (baseline + f64::from(settings.damping)).sqrt();
            let users: BTreeSet<u64> =
                minutes.range(window..end).flat_map(|(_, minute)| minute.users.clone()).collect();
            assert!(users.len() <= 384, "{} users in one window: more than a sketch counts exactly", users.len());
            let eligible = users.len() as u64 >= settings.users_min && volume as f64 > baseline;
            let micros = |value: f64| (value * 1e6).round() as i64;
            let standing = Standing {
                city: city.clone(),
                volume,
                users: users.len() as u64,
                baseline: micros(baseline),
                score: micros(score),
                eligible,
            };
            scopes.entry(city.0.clone()).or_default().push(standing.clone());
            scopes.entry("world".to_owned()).or_default().push(standing);
        }
        let now: BTreeMap<String, [Vec<Standing>; 2]> = scopes
            .into_iter()
            .map(|(scope, standings)| {
                let best = |mut of: Vec<Standing>, by: fn(&Standing) -> i64| {
                    let name = |of: &Standing| (of.city.1.clone(), of.city.0.clone());
                    of.sort_by(|a, b| by(b).cmp(&by(a)).then_with(|| name(a).cmp(&name(b))));
                    of.truncate(settings.list_length as usize);
                    of
                };
                let trends = best(standings.iter().filter(|of| of.eligible).cloned().collect(), |of| of.score);
                (scope, [trends, best(standings, |of| of.volume)])
            })
            .collect();
        let silent = before.keys().filter(|scope| !now.contains_key(*scope)).cloned();
        let scopes: BTreeSet<String> = now.keys().cloned().chain(silent).collect();
        let nobody = [Vec::new(), Vec::new()];
        for scope in scopes {
            let [trends, volumes] = now.get(&scope).unwrap_or(&nobody);
            let [trends_before, volumes_before] = before.get(&scope).unwrap_or(&nobody);
            let value = json!({
                "run_id": settings.run_id, "revision": 0, "key": format!("{scope}@{end}"),
                "window_start_ms": window, "window_end_ms": end, "scope": scope, "is_final": true,
                "warming": covered < DAY,
                "trending": ranked(trends, trends_before), "volume": ranked(volumes, volumes_before),
            });
            records.push((scope, value.to_string()));
        }
        before = now;
        end += advance;
    }
    records
}

fn ranked(list: &[Standing], before: &[Standing]) -> Vec<Value> {
    let line = |(rank, of): (usize, &Standing)| {
        let previous = before.iter().position(|earlier| earlier.city == of.city).map(|place| place + 1);
        json!({
            "rank": rank + 1, "previous_rank": previous, "city": of.city.1, "country": of.city.0,
            "volume": of.volume, "distinct_users": of.users,
            "baseline": of.baseline as f64 / 1e6, "score": of.score as f64 / 1e6,
        })
    };
    list.iter().enumerate().map(line).collect()
}
