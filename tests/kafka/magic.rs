//! Records in an encoding that nobody here knows: somebody else's are set aside with their place, our own stop the
//! worker, because what they say would be missing in the results.
//!
//! Not here: which encodings there are. Invariant: nothing is compared with a text alone; every place is looked up where
//! it points to.

use tests::kafka::cluster::shared;
use tests::kafka::dump::committed;
use tests::kafka::feed::{Fed, Feed};

use crate::events::{Events, START};
use crate::faults::{refused, stopped};
use crate::plan::outputs;
use crate::stage::Stage;

#[test]
fn input_of_an_unknown_encoding_is_set_aside_with_its_place() {
    let stage = Stage::new(shared(), "magic", 2);
    let mut events = Events::new(101, 2);
    let mut worker = stage.setup.start("one");
    // A schema registry's client, an Avro file, gzip, and no magic at all.
    let foreign = [&b"\0\0\0\0\x07\xff"[..], b"Obj\x01\x04", b"\x1f\x8b\x08", b""];
    for (number, value) in (0..).zip(foreign) {
        stage.feed(&events.take(100));
        stage.feed(&[record(number % 2, Some(vec![7]), value)]);
    }
    stage.feed(&events.last());
    stage.settle(&mut [&mut worker]);
    worker.terminate();
    stage.assert_results();

    let input = committed(&stage.brokers, &stage.input);
    let dead = committed(&stage.brokers, "magic-dlq").concat();
    for letter in &dead {
        let number = |name| letter.header(name).unwrap().parse::<usize>().unwrap();
        assert_eq!(letter.header("__streams.errors.topic").unwrap(), stage.input);
        let (partition, offset) = (number("__streams.errors.partition"), number("__streams.errors.offset") as u64);
        let there = input[partition].iter().find(|record| record.offset == offset).expect("it points to a record");
        assert_eq!((&letter.key, &letter.value), (&there.key, &there.value), "another record is meant");
    }
    for value in foreign {
        assert!(dead.iter().any(|letter| letter.value.as_deref() == Some(value)), "{value:?} was not set aside");
    }
}

#[test]
fn a_repartition_record_of_an_unknown_version_stops_the_worker() {
    let (stage, _) = stopped("frames", 102);
    stops_at(&stage, "frames-counts-repartition", &record(1, None, &[99, 0, 0, 0, 0, 1, 2, 3]));
}

#[test]
fn a_changelog_record_of_an_unknown_version_stops_the_worker() {
    let (stage, _) = stopped("rows", 103);
    stops_at(&stage, "rows-counts-changelog", &record(1, Some(vec![0, 0, 0, 0, 99, 1]), b"x"));
}

/// With `fed` in `topic`, which is the worker's own, it ends and names the place; and results are as they were.
fn stops_at(stage: &Stage, topic: &str, fed: &Fed) {
    let said_so_far = || outputs(&stage.app).map(|output| committed(&stage.brokers, &output));
    let before = said_so_far();
    Feed::new(&stage.brokers).send_all(topic, std::slice::from_ref(fed));
    let records = committed(&stage.brokers, topic).swap_remove(fed.partition as usize);
    let place = records.iter().find(|record| record.value == fed.value).expect("it stands there").offset;
    for _ in 0..2 {
        let said = refused(stage);
        assert!(said.contains(&format!("topic {topic} partition {} offset {place}", fed.partition)), "{said}");
        assert!(said.contains("version"), "{said}");
    }
    assert!(said_so_far() == before, "something was said in spite of it");
}

fn record(partition: u32, key: Option<Vec<u8>>, value: &[u8]) -> Fed {
    Fed { partition, timestamp: START, key, value: Some(value.to_vec()), headers: Vec::new() }
}
