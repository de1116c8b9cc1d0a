//! The world: every contract as it says, the same everywhere, resumable anywhere, and true to what it says of its test.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
#![allow(clippy::disallowed_types, reason = "a count by name is not told in order")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use events::identity::IdHash;
use events::world::{EXPERIMENT, VARIANTS, World, WorldOptions, WorldRecord, WorldRecordKind};
use events::{ContractName, Contracts, Event, Gazetteer, PoisonReason, SignalContract, TopicReader};
use processing_core::record::{DurationMs, EventTime};
use proptest::prelude::*;

/// 2025-10-09T10:00:00Z.
const START: EventTime = EventTime(1_760_004_000_000);

static CITIES: LazyLock<Arc<Gazetteer>> = LazyLock::new(|| Arc::new(Gazetteer::shipped()));

fn world(options: WorldOptions) -> World {
    World::new(options, CITIES.clone())
}

fn live_only(events_per_minute: u32) -> WorldOptions {
    WorldOptions { events_per_minute, history: DurationMs(0), ..WorldOptions::new(7, START) }
}

fn records(world: &mut World, count: usize) -> Vec<(WorldRecord, Vec<u8>, Vec<u8>)> {
    let mut bytes = Vec::new();
    (0..count)
        .map(|_| {
            let record = world.next_into(&mut bytes);
            let (value, key) = (bytes[record.value.clone()].to_vec(), bytes[record.key.clone()].to_vec());
            (record, value, key)
        })
        .collect()
}

fn readers() -> BTreeMap<String, TopicReader> {
    let topics = Contracts::shipped().topics(ContractName::ALL);
    topics.into_iter().map(|reader| (reader.topic().to_owned(), reader)).collect()
}

/// What the feed makes.
fn is_of_the_feed(contract: ContractName) -> bool {
    SignalContract::ALL.iter().any(|signal| signal.name() == contract) || contract == ContractName::PoiIngested
}

#[test]
fn every_record_is_what_it_claims_to_be() {
    let readers = readers();
    let validators: HashMap<ContractName, jsonschema::Validator> = ContractName::ALL
        .iter()
        .map(|name| (*name, jsonschema::draft202012::options().build(&events::schema::schema(*name)).unwrap()))
        .collect();
    let all = records(&mut world(live_only(100)), 60_000);
    let mut counts: BTreeMap<ContractName, usize> = BTreeMap::new();
    let mut reasons: HashMap<PoisonReason, usize> = HashMap::new();
    let (mut repeats, mut others) = (0, 0);
    let mut ids: HashSet<(ContractName, IdHash)> = HashSet::new();
    let mut topics: HashSet<&str> = HashSet::new();
    for (record, value, key) in &all {
        let decoded = readers[record.topic].decode(Some(value));
        topics.insert(record.topic);
        match record.kind {
            WorldRecordKind::Bad => match decoded {
                Ok(Event::Other(_)) => others += 1,
                Ok(event) => panic!("{:?} of a bad record", event.contract()),
                Err(poison) => *reasons.entry(poison.reason).or_default() += 1,
            },
            WorldRecordKind::RepeatOf(number) => {
                repeats += 1;
                let (earlier, earlier_value, earlier_key) = &all[number as usize];
                assert_eq!(earlier.kind, WorldRecordKind::Event);
                assert!(number < record.number);
                assert_eq!((earlier.topic, earlier_value, earlier_key), (record.topic, value, key));
            }
            WorldRecordKind::Event => {
                let text = std::str::from_utf8(value).unwrap();
                let event = decoded.unwrap_or_else(|poison| panic!("{poison}: {text}"));
                assert_eq!(event.contract(), Some(record.contract), "{text}");
                assert_eq!(event.head().time, record.event_time, "{text}");
                let json: serde_json::Value = serde_json::from_str(text).unwrap();
                let validator = &validators[&record.contract];
                assert!(validator.is_valid(&json), "{text}: {:?}", validator.validate(&json));
                assert!(ids.insert((record.contract, event.head().id)), "an id comes twice: {text}");
                assert!(!key.is_empty());
                *counts.entry(record.contract).or_default() += 1;
            }
        }
    }
    for contract in ContractName::ALL {
        let count = counts.get(contract).copied().unwrap_or(0);
        assert_eq!(count > 0, !is_of_the_feed(*contract), "{contract:?}: {count}");
    }
    let aliases = ["ai.process", "ai.process.request", "ai.result", "ai.process.result"];
    assert!(aliases.iter().all(|topic| topics.contains(topic)), "{topics:?}");
    assert!((200..420).contains(&repeats), "{repeats}");
    let bad = reasons.values().sum::<usize>() + others;
    assert!((110..260).contains(&bad), "{bad}");
    assert!(others > 0, "no event of another type");
    use PoisonReason::*;
    for reason in [Truncated, NotJson, Timestamp] {
        assert!(reasons.contains_key(&reason), "no {reason} among {reasons:?}");
    }
}

/// Guards against a change that nobody meant: results of demos and benches are compared over time.
#[test]
fn a_seed_makes_the_same_bytes_in_every_version() {
    let mut bits = 0;
    for (record, value, key) in records(&mut world(WorldOptions::new(7, START)), 10_000) {
        let digest = [&bits.to_string().into_bytes()[..], record.topic.as_bytes(), &value, &key].concat();
        bits = IdHash::of_bytes(&digest).get();
    }
    assert_eq!(bits, 0xea74_b37b_88f6_9b54, "{bits:#018x}; if the change is meant, write the new value here");
}

#[test]
fn another_seed_makes_another_world() {
    let other = WorldOptions { seed: 8, ..live_only(200) };
    assert_ne!(records(&mut world(live_only(200)), 50), records(&mut world(other), 50));
}

/// A thin history, then the present, each at its rate; more by day than by night.
#[test]
fn history_comes_first_and_the_present_at_its_own_rate() {
    let mut world = world(WorldOptions::new(7, START));
    let (mut bytes, mut before, mut hours) = (Vec::new(), 0_u64, [0_u64; 24]);
    let mut last = i64::MIN;
    while world.next_sent().0 < START.plus(DurationMs::hours(24)).0 {
        let record = world.next_into(&mut bytes);
        assert!(record.sent.0 >= last && record.sent.0 >= record.event_time.0);
        last = record.sent.0;
        if record.sent.0 < START.0 {
            before += 1;
        } else {
            hours[((record.sent.0 - START.0) / 3_600_000) as usize] += 1;
        }
    }
    let (thin, thick) = (35 * 1_440 * 10, 1_440 * 100);
    let present: u64 = hours.iter().sum();
    let near = |count: u64, wanted: u64| count > wanted * 9 / 10 && count < wanted * 11 / 10;
    assert!(near(before, thin), "{before} records of history, not about {thin}");
    assert!(near(present, thick), "{present} records of a day, not about {thick}");
    let (most, least) = (*hours.iter().max().unwrap(), *hours.iter().min().unwrap());
    assert!(most * 10 > least * 13, "no rhythm: {hours:?}");
}

/// Whoever looks at the events finds what is true, within four standard errors, and a user has one variant everywhere.
#[test]
fn the_test_has_the_effect_that_it_says() {
    const USERS: usize = 30_000;
    let options = WorldOptions { repeats_per_10_000: 0, bad_per_10_000: 0, ..live_only(300) };
    let readers = readers();
    let mut world = world(options);
    let (mut bytes, mut of) = (Vec::new(), HashMap::<String, String>::new());
    let mut converted: HashMap<String, String> = HashMap::new();
    let (mut end, mut served) = (i64::MAX, 0);
    while world.next_sent().0 < end {
        let record = world.next_into(&mut bytes);
        if !matches!(record.contract, ContractName::AbTestEvent | ContractName::RecommendationRequest) {
            continue;
        }
        let event = readers[record.topic].decode(Some(&bytes[record.value])).unwrap();
        let user = event.head().user.as_ref().unwrap().as_str().to_owned();
        match event {
            Event::AbTestEvent(_, event) => {
                assert_eq!(event.experiment.as_str(), EXPERIMENT);
                let variant = event.variant.unwrap().as_str().to_owned();
                match event.kind.as_str() {
                    "assigned" if of.len() < USERS => {
                        assert!(of.insert(user.clone(), variant).is_none(), "{user} is assigned twice");
                        if of.len() == USERS {
                            // Whoever converts does so by then.
                            end = record.sent.0 + 49 * 3_600_000;
                        }
                    }
                    "converted" => {
                        assert!(converted.insert(user.clone(), variant).is_none(), "{user} converts twice");
                    }
                    _ => {}
                }
            }
            Event::RecommendationRequest(_, request) => {
                if let (Some(variant), Some(known)) = (request.variant, of.get(&user)) {
                    assert_eq!(variant.as_str(), known);
                    served += 1;
                }
            }
            _ => {}
        }
    }
    assert!(served > USERS, "{served}");
    for variant in VARIANTS {
        let users: Vec<&String> = of.iter().filter(|(_, name)| *name == variant.name).map(|(user, _)| user).collect();
        let (count, truth) = (users.len() as f64, variant.conversions_per_10_000 as f64 / 10_000.0);
        assert!((count - 15_000.0).abs() < 4.0 * (USERS as f64 / 4.0).sqrt(), "{}: {count}", variant.name);
        let those = users.iter().filter(|user| converted.get(**user).is_some_and(|name| name == variant.name));
        let rate = those.count() as f64 / count;
        let error = (truth * (1.0 - truth) / count).sqrt();
        assert!((rate - truth).abs() < 4.0 * error, "{}: {rate}", variant.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_world_goes_on_anywhere_as_if_it_had_never_stopped(position in 0usize..3_000, minutes in 1u32..5_000) {
        let options = WorldOptions { repeats_per_10_000: 2_000, bad_per_10_000: 1_000, ..live_only(minutes) };
        let whole = records(&mut world(options.clone()), position + 20);
        let mut resumed = World::at(options, CITIES.clone(), position as u64);
        prop_assert_eq!(resumed.position(), position as u64);
        prop_assert_eq!(&whole[position..], &records(&mut resumed, 20)[..]);
    }

    #[test]
    fn odd_options_make_a_world_too(
        seed: u64, start in 0i64..253_000_000_000_000, rate: u32, users: u32, history in -1i64..100_000_000_000,
        position in 0u64..500,
    ) {
        let options = WorldOptions {
            events_per_minute: rate, users, history: DurationMs(history), ..WorldOptions::new(seed, EventTime(start))
        };
        records(&mut World::at(options, CITIES.clone(), position), 5);
    }
}
