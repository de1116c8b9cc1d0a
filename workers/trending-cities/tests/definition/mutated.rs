//! Mutated events among whole ones, through the whole worker: what is no event is set aside as it came, and
//! changes nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use events::Gazetteer;
use events::SignalContract;
use processing_core::record::DurationMs;
use trending_cities::TrendingSettings;

use crate::harness::{self, Aside, FUTURE, NUMBER, Published, close_all};
use crate::mutation::{Mutated, mutated_events};
use crate::{Record, compare};

const PARTITIONS: u32 = 3;

/// Whole events strewn among the mutated ones. All are sent so early that none can move time beyond the last
/// whole one: a mutated time that lies later is too far in the future.
fn records(cities: &Gazetteer, all: &[Mutated]) -> Vec<Published> {
    let time = |of: &Mutated, value: &Vec<u8>| of.contract.decode(Some(value), cities).unwrap().time.0;
    let times: Vec<i64> = all.iter().flat_map(|of| of.whole.iter().map(|value| time(of, value))).collect();
    let (first, last) = (*times.iter().min().unwrap(), *times.iter().max().unwrap());
    let sent = last - FUTURE.0;
    let mut records = Vec::new();
    // Each partition begins at the first whole event, so that what lies long before comes late.
    close_all(&mut records, &SignalContract::ALL, PARTITIONS, first);
    // Two events of one id that differ are no event and its repetition: each gets an id of its own.
    let mut ids = BTreeSet::new();
    for number in 0..all[0].mutated.len() {
        for of in all {
            let whole = (number % 100 == 50).then(|| of.whole[number / 100].clone());
            for value in [Some(renamed(&of.mutated[number], number)), whole].into_iter().flatten() {
                let signal = of.contract.decode(Some(&value), cities);
                if signal.is_ok_and(|signal| !ids.insert(signal.event_id.get())) {
                    continue;
                }
                let key = format!("key {number}").into_bytes();
                records.push(Published::new(of.contract, PARTITIONS, sent, key, value));
            }
        }
    }
    close_all(&mut records, &SignalContract::ALL, PARTITIONS, last + DurationMs::hours(26).0);
    records
}

/// With another event's id, if it is text and has one.
fn renamed(value: &[u8], number: usize) -> Vec<u8> {
    match std::str::from_utf8(value) {
        Ok(text) => text.replacen("\"event_id\":\"", &format!("\"event_id\":\"{number} "), 1).into_bytes(),
        Err(_) => value.to_vec(),
    }
}

/// Its number among the records, having checked that it came through whole and says where it comes from.
fn origin(aside: &Aside, records: &[Published], offsets: &[usize]) -> usize {
    let header = |wanted: &str| {
        let mut found = aside.headers.iter().filter(|(name, _)| name == wanted);
        let (Some((_, value)), None) = (found.next(), found.next()) else { panic!("{wanted}: {:?}", aside.headers) };
        std::str::from_utf8(value).unwrap()
    };
    assert_eq!(aside.headers[0].0, NUMBER, "its own headers stand first");
    let number: usize = header(NUMBER).parse().unwrap();
    let record = &records[number];
    assert_eq!(aside.key.as_ref(), Some(&record.key), "{number}");
    assert!(aside.value.as_ref() == Some(&record.value), "{number}: the value is another one");
    assert_eq!(header("__streams.errors.topic"), record.contract.event_type());
    assert_eq!(header("__streams.errors.partition"), record.partition.to_string());
    assert_eq!(header("__streams.errors.offset"), offsets[number].to_string());
    assert!(!header("__streams.errors.message").is_empty() && !header("__streams.errors.exception").is_empty());
    number
}

#[test]
fn bad_events_are_set_aside_as_they_came_and_change_nothing_else() {
    let cities = Arc::new(Gazetteer::shipped());
    let records = records(&cities, &mutated_events(&cities));
    let settings = TrendingSettings {
        grace: DurationMs::minutes(10),
        users_min: 3,
        query_users_min: 2,
        ..TrendingSettings::default()
    };
    let expected = compare(&settings, &cities, PARTITIONS, &records);
    // `compare` held the worker's counts to these: every record is in exactly one of them.
    let accounted = expected.counted + expected.dead + expected.no_city + expected.other + expected.late_minutes;
    assert_eq!(accounted, records.len() as u64);
    assert!(expected.dead > 10_000 && expected.counted > 10_000 && expected.late_minutes > 100);
    assert!(expected.queries.len() > 3 && expected.lists.len() > 100);

    let mut next: BTreeMap<(SignalContract, u32), usize> = BTreeMap::new();
    let mut offset = |record: &Published| {
        let next = next.entry((record.contract, record.partition)).or_default();
        *next += 1;
        *next - 1
    };
    let offsets: Vec<usize> = records.iter().map(&mut offset).collect();
    let outputs = harness::run(&settings, &cities, PARTITIONS, &records);
    let (late, dead): (Vec<&Aside>, Vec<&Aside>) = outputs
        .aside
        .iter()
        .partition(|aside| aside.headers.contains(&("__streams.errors.exception".to_owned(), b"late".to_vec())));
    let numbers =
        |asides: &[&Aside]| -> Vec<usize> { asides.iter().map(|aside| origin(aside, &records, &offsets)).collect() };
    let (late, dead) = (numbers(&late), numbers(&dead));
    assert!(late.len() as u64 >= expected.late_minutes);
    let is_dead = |record: &Published| {
        let decoded = record.contract.decode(Some(&record.value), &cities);
        decoded.map_or(true, |signal| signal.time.0 > record.sent + FUTURE.0)
    };
    let once: BTreeSet<usize> = dead.iter().copied().collect();
    let expected_dead: BTreeSet<usize> = (0..records.len()).filter(|number| is_dead(&records[*number])).collect();
    assert_eq!(dead.len(), once.len(), "a dead letter is written once");
    assert!(once == expected_dead, "{} dead letters, not {}", once.len(), expected_dead.len());

    // Without the bad ones the results are the same.
    let good: Vec<Published> = records.iter().filter(|record| !is_dead(record)).cloned().collect();
    let alone = harness::run(&settings, &cities, PARTITIONS, &good);
    assert_eq!(alone.counts.dead_total(), 0);
    let sorted = |records: &BTreeMap<&'static str, Vec<Record>>| -> BTreeMap<&'static str, Vec<Record>> {
        let sorted = |records: &Vec<Record>| {
            let mut records = records.clone();
            records.sort();
            records
        };
        records.iter().map(|(topic, records)| (*topic, sorted(records))).collect()
    };
    assert!(sorted(&alone.records) == sorted(&outputs.records), "the bad events changed a result");
}
