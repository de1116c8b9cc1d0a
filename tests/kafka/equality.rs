//! One worker on Kafka, from the first record to the last: its results are those of the definitions and, byte for byte,
//! those of the embedded log.

use tests::kafka::cluster::shared;
use tests::kafka::dump::{Dumped, committed};

use crate::events::Events;
use crate::plan::outputs;
use crate::stage::Stage;
use crate::twin::Twin;

#[test]
fn results_on_kafka_are_those_of_the_embedded_log_byte_for_byte() {
    let stage = Stage::new(shared(), "equality", 8);
    let mut events = Events::new(41, 8);
    stage.feed(&events.take(2_500));
    let mut worker = stage.setup.start("one");
    // The second half comes while the worker runs, and after a restart.
    stage.settle(&mut [&mut worker]);
    stage.feed(&events.take(1_000));
    worker.terminate();
    let mut worker = stage.setup.start("one");
    stage.feed(&events.take(1_500));
    stage.feed(&events.last());
    stage.conclude(&mut [("one", &mut worker)]);
    assert_equal_to_the_twin(&stage);
}

/// Final results in their order, what was set aside as a set.
pub(crate) fn assert_equal_to_the_twin(stage: &Stage) {
    let time = format!("{}-time", stage.app);
    let (input, log) = (committed(&stage.brokers, &stage.input), committed(&stage.brokers, &time));
    let twin = Twin::run(stage.plan(), &[(&stage.input, &input)], (&time, &log));
    let without_offsets = |topic: &str| {
        let mut partitions = committed(&stage.brokers, topic);
        partitions.iter_mut().flatten().for_each(|record| record.offset = 0);
        partitions
    };
    for topic in outputs(&stage.app) {
        let (found, expected) = (without_offsets(&topic), twin.topic(&topic));
        assert_eq!(found.len(), expected.len(), "{topic}: another number of partitions");
        for (found, expected) in found.iter().zip(&expected) {
            for (found, expected) in found.iter().zip(expected) {
                assert_eq!(found, expected, "{topic}: on Kafka, and on the embedded log");
            }
            assert_eq!(found.len(), expected.len(), "{topic}: another number of results");
        }
    }
    for side in ["late", "dlq"] {
        let topic = format!("{}-{side}", stage.app);
        let as_set = |partitions: Vec<Vec<Dumped>>| {
            let mut all = partitions.concat();
            all.sort();
            all
        };
        let (found, expected) = (as_set(without_offsets(&topic)), as_set(twin.topic(&topic)));
        assert!(!expected.is_empty(), "{topic} is empty: nothing is compared");
        assert_eq!(found.len(), expected.len(), "{topic}: another number of records");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{topic}: on Kafka, and on the embedded log");
        }
    }
}
