//! The consumer group protocol of KIP-848, which is a setting: brokers assign, and members answer by heartbeats.
//!
//! Not here: the classic protocol, which every other test runs. Invariant: what is asked for is the same.

use tests::kafka::cluster::{Cluster, Setup};

use crate::events::Events;
use crate::stage::Stage;

#[test]
fn two_processes_under_the_consumer_protocol_of_which_one_is_killed() {
    let mut setup = Setup::plain(1);
    // Under this protocol the broker has the members' timeouts.
    for (name, value) in [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "500")] {
        for kind in ["", "min."] {
            setup.properties.push((format!("group.consumer.{kind}{name}"), value.to_owned()));
        }
    }
    let cluster = Cluster::start(setup);
    let mut stage = Stage::new(&cluster, "protocol", 6);
    stage.setup.variables.retain(|(name, _)| !name.contains("TIMEOUT") && !name.contains("HEARTBEAT"));
    stage.setup = stage.setup.variable("KAFKA_GROUP_PROTOCOL", "consumer");
    let mut events = Events::new(121, 6);
    let group = stage.group();
    let (mut one, mut two) = (stage.setup.start("one"), stage.setup.start("two"));
    stage.feed(&events.take(600));
    stage.await_taken(&group, 600);
    // Somebody else has its partitions before it comes back.
    one.kill();
    stage.feed(&events.take(600));
    stage.await_taken(&group, 1_200);
    let mut one = stage.setup.start("one");
    stage.feed(&events.take(600));
    // It comes back before the broker has forgotten it.
    two.kill();
    let mut two = stage.setup.start("two");
    stage.feed(&events.take(300));
    stage.await_taken(&group, 2_100);
    // One that was stopped in good order is in nobody's way.
    two.terminate();
    let mut two = stage.setup.start("two");
    stage.feed(&events.last());
    stage.conclude(&mut [("one", &mut one), ("two", &mut two)]);
}
