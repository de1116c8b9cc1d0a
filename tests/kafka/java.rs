//! Keys land where Java puts them: a Java producer and the worker's repartition choose the same partition.
//!
//! Not here: the partitioner's own tests. Invariant: the Java side is Kafka's own producer with its default settings.

use std::collections::BTreeMap;

use tests::kafka::cluster::shared;
use tests::kafka::dump::committed;
use tests::kafka::jars::java;

use crate::events::{START, at};
use crate::plan::outputs;
use crate::stage::Stage;

#[test]
fn java_and_the_worker_choose_the_same_partitions() {
    let stage = Stage::new(shared(), "java", 6);
    let keys = 0..500_u16;
    let mut fed: Vec<_> = keys.clone().map(|key| at(u32::from(key) % 6, key, START, 1)).collect();
    fed.extend((0..6).map(|partition| at(partition, 1_000, START + 60_000, 1)));
    stage.feed(&fed);
    let mut worker = stage.setup.start("one");
    stage.settle(&mut [&mut worker]);
    worker.terminate();
    stage.assert_results();

    stage.admin.create_topic("java.keyed", 6, &[]);
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/kafka/Keyed.java");
    let status = java("-Xmx128m").args([program, &stage.brokers, "java.keyed", "500"]).status().unwrap();
    assert!(status.success(), "the Java producer failed");
    let homes = |topic: &str| {
        let dumped = committed(&stage.brokers, topic).concat();
        dumped.into_iter().map(|record| (record.key.unwrap(), record.partition)).collect::<BTreeMap<_, _>>()
    };
    let expected = homes("java.keyed");
    assert_eq!(expected.len(), keys.len());
    for output in outputs(&stage.app) {
        let mut found = homes(&output);
        found.remove(1_000_u16.to_be_bytes().as_slice());
        assert_eq!(found, expected, "{output}: partitions by key, as the worker chose and as Java did");
    }
}
