//! The feed: the same everywhere, resumable anywhere, and as lively as it says.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
#![allow(clippy::disallowed_types, reason = "a count by name is not told in order")]

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use events::feed::{Feed, FeedOptions, FeedRecord, FeedRecordKind};
use events::{Gazetteer, PoisonReason, SignalContract, SignalKind};
use processing_core::record::{DurationMs, EventTime, LogTime};
use proptest::prelude::*;

/// 2025-10-09T10:00:00Z.
const START: EventTime = EventTime(1_760_004_000_000);

static CITIES: LazyLock<Arc<Gazetteer>> = LazyLock::new(|| Arc::new(Gazetteer::shipped()));

fn feed(options: FeedOptions) -> Feed {
    Feed::new(options, CITIES.clone())
}

fn live_only(events_per_minute: u32) -> FeedOptions {
    FeedOptions { events_per_minute, history: DurationMs(0), ..FeedOptions::new(7, START) }
}

fn records(feed: &mut Feed, count: usize) -> Vec<(FeedRecord, Vec<u8>, Vec<u8>)> {
    let mut bytes = Vec::new();
    (0..count)
        .map(|_| {
            let record = feed.next_into(&mut bytes);
            let (value, key) = (&bytes[record.value.clone()], &bytes[record.key.clone()]);
            let (value, key) = (value.to_vec(), key.to_vec());
            (record, value, key)
        })
        .collect()
}

#[test]
fn every_record_is_what_it_claims_to_be() {
    let validators = SignalContract::ALL.map(|contract| {
        let schema = events::schema::schema(contract.name());
        jsonschema::draft202012::options().build(&schema).unwrap()
    });
    let all = records(&mut feed(live_only(3_000)), 30_000);
    let mut reasons: HashMap<PoisonReason, usize> = HashMap::new();
    let (mut repeats, mut others) = (0, 0);
    for (record, value, key) in &all {
        let decoded = record.contract.decode(Some(value), &CITIES);
        match record.kind {
            FeedRecordKind::Bad => match decoded {
                Ok(signal) => {
                    assert_eq!(signal.kind, SignalKind::Other);
                    others += 1;
                }
                Err(poison) => *reasons.entry(poison.reason).or_default() += 1,
            },
            FeedRecordKind::RepeatOf(number) => {
                repeats += 1;
                let (earlier, earlier_value, earlier_key) = &all[number as usize];
                assert_eq!(earlier.kind, FeedRecordKind::Event);
                assert!(number < record.number);
                assert_eq!((earlier.contract, earlier_value, earlier_key), (record.contract, value, key));
                assert_eq!(decoded.unwrap().time, record.event_time);
            }
            FeedRecordKind::Event => {
                let text = String::from_utf8(value.clone()).unwrap();
                let signal = decoded.unwrap_or_else(|poison| panic!("{poison}: {text}"));
                assert_eq!(signal.time, record.event_time, "{text}");
                let json = serde_json::from_str(&text).unwrap();
                let validator = &validators[record.contract.index()];
                assert!(validator.is_valid(&json), "{text}: {:?}", validator.validate(&json));
                assert!(text.contains(std::str::from_utf8(key).unwrap()), "the key is in {text}");
            }
        }
    }
    assert!((100..220).contains(&repeats), "{repeats}");
    let bad = reasons.values().sum::<usize>() + others;
    assert!((50..140).contains(&bad), "{bad}");
    assert!(others > 0, "no event of another type");
    use PoisonReason::*;
    for reason in [Truncated, NotJson, WrongValue, MissingField, Timestamp] {
        assert!(reasons.contains_key(&reason), "no {reason} among {reasons:?}");
    }
}

/// Beside some of them stands a row of the table of places, which changes none of them.
#[test]
fn places_stand_beside_the_feed_and_name_what_its_events_do() {
    use events::poi_ingested;
    // So few cities that many a place is written before it is asked for.
    let mut feed = feed(FeedOptions { cities: 40, ..live_only(3_000) });
    let (mut bytes, mut places) = (Vec::new(), HashMap::new());
    let (mut sought, mut found) = (0, 0);
    for (record, value, _) in records(&mut feed, 60_000) {
        if let Some(place) = feed.place_beside(record.number, &mut bytes) {
            assert_eq!(place.sent, record.sent);
            let row = poi_ingested::decode(Some(&bytes[place.value]), &CITIES).unwrap();
            assert_eq!(row.time.0, place.sent.0);
            places.insert(String::from_utf8(bytes[place.key].to_vec()).unwrap(), row.city.unwrap());
        }
        let Ok(signal) = record.contract.decode(Some(&value), &CITIES) else { continue };
        if let Some(poi) = signal.poi {
            sought += 1;
            found += u32::from(places.contains_key(poi.as_str()));
        }
    }
    assert!(places.len() > 1_000, "{}", places.len());
    assert!(sought > 40 && found > sought / 2 && found < sought, "{found} of {sought}");
}

/// Guards against a change that nobody meant: results of demos and benches are compared over time.
#[test]
fn a_seed_makes_the_same_bytes_in_every_version() {
    let mut digest = String::new();
    for (_, value, key) in records(&mut feed(FeedOptions::new(7, START)), 2_000) {
        digest.push_str(&String::from_utf8_lossy(&value));
        digest.push_str(&String::from_utf8_lossy(&key));
    }
    let bits = events::identity::IdHash::of(&digest).get();
    assert_eq!(bits, 0xe698_afd3_fba2_f397, "{bits:#018x}; if the change is meant, write the new value here");
}

#[test]
fn another_seed_makes_another_feed() {
    let other = FeedOptions { seed: 8, ..live_only(200) };
    assert_ne!(records(&mut feed(live_only(200)), 50), records(&mut feed(other), 50));
}

#[test]
fn history_comes_first_and_the_present_at_its_own_rate() {
    let options = FeedOptions { history_events_per_minute: 5, ..FeedOptions::new(7, START) };
    let feed = feed(options);
    // Two whole days at 5 a minute.
    assert_eq!(feed.history_records(), 2 * 1_440 * 5);
    let sent = |number| {
        Feed::at(FeedOptions { history_events_per_minute: 5, ..FeedOptions::new(7, START) }, CITIES.clone(), number)
            .next_sent()
    };
    assert_eq!(sent(0), LogTime(START.minus(DurationMs::hours(48)).0));
    assert!(sent(feed.history_records() - 1).0 < START.0);
    assert_eq!(sent(feed.history_records()), LogTime(START.0));
    let day = sent(feed.history_records() + 1_440 * 200);
    assert_eq!(day, LogTime(START.plus(DurationMs::hours(24)).0));
}

#[test]
fn mostly_in_order_with_a_tail_of_minutes() {
    let all = records(&mut feed(live_only(3_000)), 20_000);
    assert!(all.windows(2).all(|pair| pair[0].0.sent <= pair[1].0.sent));
    let delays: Vec<i64> = all
        .iter()
        .filter(|(record, ..)| record.kind == FeedRecordKind::Event)
        .map(|(record, ..)| record.sent.0 - record.event_time.0)
        .collect();
    let share = |from: i64, to: i64| {
        delays.iter().filter(|delay| (from..to).contains(delay)).count() as f64 / delays.len() as f64
    };
    assert!(share(0, 10_000) > 0.93 && share(0, 10_000) < 0.97);
    assert!(share(60_000, 1_200_000) > 0.005 && share(60_000, 1_200_000) < 0.02);
    assert!(share(i64::MIN, 0) == 0.0 && share(1_200_000, i64::MAX) == 0.0);
}

#[test]
fn about_250_bytes_an_event_in_realistic_proportions() {
    let all = records(&mut feed(live_only(3_000)), 20_000);
    let bytes: usize = all.iter().map(|(_, value, _)| value.len()).sum();
    assert!((235..265).contains(&(bytes / all.len())), "{}", bytes / all.len());
    let mut counts = [0; 6];
    all.iter().for_each(|(record, ..)| counts[record.contract.index()] += 1);
    for (count, percent) in counts.into_iter().zip([76, 10, 2, 5, 4, 3]) {
        let expected = all.len() * percent / 100;
        assert!(count > expected * 4 / 5 && count < expected * 6 / 5, "{counts:?}");
    }
}

/// How often each city is named in the records sent from `from` up to `until`.
fn counts(options: &FeedOptions, from: EventTime, until: EventTime) -> HashMap<String, usize> {
    let options = FeedOptions { start: from, ..options.clone() };
    let mut feed = feed(options);
    let mut counts = HashMap::new();
    let mut bytes = Vec::new();
    while feed.next_sent().0 < until.0 {
        let record = feed.next_into(&mut bytes);
        if let Ok(signal) = record.contract.decode(Some(&bytes[record.value]), &CITIES)
            && let Some(city) = signal.city
        {
            *counts.entry(city.name.to_string()).or_default() += 1;
        }
    }
    counts
}

#[test]
fn cities_sleep_at_night() {
    let options = FeedOptions { burst_factor: 1, ..live_only(3_000) };
    let hour = |hours| counts(&options, START.plus(DurationMs::hours(hours)), START.plus(DurationMs::hours(hours + 1)));
    // 19 h and 3 h in Tokyo, from 10 h UTC.
    let (evening, night) = (hour(0), hour(8));
    let share = |counts: &HashMap<String, usize>| counts["Tokyo"] as f64 / counts.values().sum::<usize>() as f64;
    assert!(share(&evening) > 4.0 * share(&night), "{} {}", share(&evening), share(&night));
}

#[test]
fn a_burst_shows_where_the_schedule_says() {
    let options = FeedOptions { burst_factor: 5, ..live_only(20_000) };
    let feed = feed(options.clone());
    let bursts = feed.bursts(START, START.plus(DurationMs::hours(3)));
    assert!((5..=7).contains(&bursts.len()), "{bursts:?}");
    assert!(bursts.is_sorted_by_key(|burst| burst.from));
    let burst = &bursts[0];
    let mut during = 0;
    let mut before = 0;
    let calm = Feed::new(FeedOptions { burst_factor: 1, ..options }, CITIES.clone());
    for (mut feed, count) in [(feed, &mut during), (calm, &mut before)] {
        let mut bytes = Vec::new();
        while feed.next_sent().0 < burst.until.0 {
            let record = feed.next_into(&mut bytes);
            if record.sent.0 < burst.from.0 {
                continue;
            }
            if let Ok(signal) = record.contract.decode(Some(&bytes[record.value]), &CITIES)
                && signal.city.is_some_and(|city| city == burst.city)
            {
                *count += 1;
            }
        }
    }
    let factor = f64::from(during) / f64::from(before);
    assert!((3.5..6.5).contains(&factor), "{factor}: {during} and {before} of {burst:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_feed_goes_on_anywhere_as_if_it_had_never_stopped(position in 0usize..3_000, minutes in 1u32..5_000) {
        let options = FeedOptions { repeats_per_10_000: 2_000, bad_per_10_000: 1_000, ..live_only(minutes) };
        let whole = records(&mut feed(options.clone()), position + 20);
        let mut resumed = Feed::at(options, CITIES.clone(), position as u64);
        prop_assert_eq!(resumed.position(), position as u64);
        prop_assert_eq!(&whole[position..], &records(&mut resumed, 20)[..]);
    }

    #[test]
    fn odd_options_make_a_feed_too(
        seed: u64, start in 0i64..253_000_000_000_000, rate: u32, cities in 0usize..300, users: u32,
        every in -1i64..100_000, factor: u32, position: u64,
    ) {
        let options = FeedOptions {
            events_per_minute: rate, cities, users, burst_factor: factor % 1_000,
            burst_every: DurationMs(every), history: DurationMs(0), ..FeedOptions::new(seed, EventTime(start))
        };
        let mut feed = Feed::at(options, CITIES.clone(), position % 1_000_000);
        records(&mut feed, 5);
    }
}
