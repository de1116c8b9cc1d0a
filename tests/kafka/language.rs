//! Sessions, a sketch, a join of streams and a table, under workers that are killed, stopped, frozen and joined.
//!
//! Not here: what the operators mean (the simulator holds each to its definition). Invariant: what comes out is what one
//! worker says on the embedded log that gets the same records at the same offsets and is never disturbed.

use std::collections::BTreeMap;

use processing_core::log::partition_for_key;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tests::kafka::cluster::shared;
use tests::kafka::dump::{Dumped, committed};
use tests::kafka::feed::Fed;
use tests::kafka::worker::WorkerProcess;

use crate::chaos::{ALL, Fleet, PARTITIONS, Source};
use crate::events::Events;
use crate::medley::{self, keyed_inputs, outputs};
use crate::stage::Stage;
use crate::twin::Twin;

#[test]
fn every_kind_of_store_outlives_what_happens_to_its_workers() {
    let stage = Stage::new(shared(), "language", PARTITIONS).running("medley", medley::plan);
    let inputs = keyed_inputs(&stage.app);
    inputs.iter().for_each(|topic| stage.admin.create_topic(topic, PARTITIONS, &[]));
    let source = Medley { events: Events::new(71, PARTITIONS), rng: ChaCha8Rng::seed_from_u64(71), keyed: inputs };
    let mut fleet = Fleet::start(&stage, 71, Box::new(source));
    for number in 1..=12 {
        fleet.feed();
        println!("language: {number}: {}", fleet.disturb());
    }
    let mut expected = Said::new();
    fleet.end(|workers| {
        expected = said_by_the_twin(&stage);
        settle(&stage, &expected, workers);
    });
    let found = said(&stage, |topic| committed(&stage.brokers, topic));
    for (topic, expected) in &expected {
        assert!(!expected.is_empty(), "{topic} is empty: nothing is compared");
        let (missing, foreign) = (without(expected, &found[topic]), without(&found[topic], expected));
        assert!(
            missing.is_empty() && foreign.is_empty(),
            "{topic}: of {} records, missing {missing:?}, should not be there {foreign:?}\n{}",
            expected.len(),
            stage.setup.last_words()
        );
        println!("{topic}: {} records are those of the twin", expected.len());
    }
    stage.assert_stores(&ALL);
}

/// Records of four topics. What is keyed stands in the partition of its key.
struct Medley {
    events: Events,
    rng: ChaCha8Rng,
    keyed: [String; 3],
}

impl Source for Medley {
    fn take(&mut self, stage: &Stage, count: usize) -> Vec<(String, Fed)> {
        let mut one = || {
            let fed = self.events.next();
            // Half of them to the first input, by which the group's progress is told.
            let Some(topic) = self.keyed.get(self.rng.random_range(0..6)) else { return (stage.input.clone(), fed) };
            let number = |value: &[u8]| std::str::from_utf8(value).ok()?.split(' ').next()?.parse::<u16>().ok();
            let key = fed.value.as_deref().and_then(number).unwrap_or_else(|| self.rng.random_range(0..40));
            (topic.clone(), keyed(key, fed))
        };
        (0..count).map(|_| one()).collect()
    }

    fn last(&mut self, stage: &Stage) -> Vec<(String, Fed)> {
        let mut all = Vec::new();
        for fed in self.events.last() {
            // Any key of the partition, and one time for all.
            let key = (0..u16::MAX).find(|key| keyed(*key, fed.clone()).partition == fed.partition).unwrap();
            let value = Some(format!("{key} {} 1", fed.timestamp).into_bytes());
            let own = keyed(key, Fed { value, ..fed.clone() });
            all.extend(self.keyed.iter().map(|topic| (topic.clone(), own.clone())));
            all.push((stage.input.clone(), fed));
        }
        all
    }
}

fn keyed(key: u16, fed: Fed) -> Fed {
    let bytes = key.to_be_bytes();
    Fed { partition: partition_for_key(&bytes, PARTITIONS).0, key: Some(bytes.to_vec()), ..fed }
}

/// Of each topic of results, and of what was set aside, the keys and values, sorted: what was joined comes in the order
/// in which several partitions were read.
type Said = BTreeMap<String, Vec<(Option<Vec<u8>>, Option<Vec<u8>>)>>;

fn said(stage: &Stage, dump: impl Fn(&str) -> Vec<Vec<Dumped>>) -> Said {
    let sides = ["late", "dlq"].map(|side| format!("{}-{side}", stage.app));
    let topics = outputs(&stage.app).into_iter().chain(sides);
    let sorted = |topic: String| {
        let records = dump(&topic).into_iter().flatten();
        let mut records: Vec<_> = records.map(|record| (record.key, record.value)).collect();
        records.sort();
        (topic, records)
    };
    topics.map(sorted).collect()
}

fn said_by_the_twin(stage: &Stage) -> Said {
    let time = format!("{}-time", stage.app);
    let mut topics = keyed_inputs(&stage.app).to_vec();
    topics.push(stage.input.clone());
    let inputs: Vec<_> = topics.iter().map(|topic| (topic.as_str(), committed(&stage.brokers, topic))).collect();
    let inputs: Vec<(&str, &[Vec<Dumped>])> = inputs.iter().map(|(topic, records)| (*topic, &records[..])).collect();
    let twin = Twin::run(stage.plan(), &inputs, (&time, &committed(&stage.brokers, &time)));
    said(stage, |topic| twin.topic(topic))
}

/// Waits until as much has come out as has to.
fn settle(stage: &Stage, expected: &Said, workers: &mut [&mut WorkerProcess]) {
    let counts = |said: &Said| said.values().map(Vec::len).collect::<Vec<_>>();
    let expected = counts(expected);
    stage.settle_until(workers, || {
        let found = counts(&said(stage, |topic| committed(&stage.brokers, topic)));
        let lacks = found.iter().zip(&expected).any(|(found, expected)| found < expected);
        lacks.then(|| {
            let expected = &expected;
            move || format!("of {expected:?} results {found:?} have come")
        })
    });
}

/// What stands in `these` more often than in `those`; the first three.
fn without<T: Ord + Clone>(these: &[T], those: &[T]) -> Vec<T> {
    let mut counts = BTreeMap::<&T, i64>::new();
    those.iter().for_each(|one| *counts.entry(one).or_default() += 1);
    let more = these.iter().filter(|one| {
        let left = counts.entry(one).or_default();
        *left -= 1;
        *left < 0
    });
    more.take(3).cloned().collect()
}
