//! Brokers that are away, die and come back: the worker waits, says so, goes on by itself, and says the same.
//!
//! Not here: the way between ([`crate::network`]). Invariant: a broker dies by `kill -9` and comes back under its own
//! ports with what it had on its disk.

use tests::kafka::cluster::{Cluster, Setup};
use tests::kafka::feed::Feed;
use tests::kafka::worker::WorkerProcess;

use crate::events::Events;
use crate::stage::Stage;

#[test]
fn a_broker_that_is_away_at_the_start_and_dies_later_is_waited_for() {
    // Before it was dead for this long, the node does not take itself back; and a transaction that times out while it
    // has no leader loses its markers and stays open for ever, which is Kafka's own.
    let properties = vec![("broker.session.timeout.ms".to_owned(), "2000".to_owned())];
    let mut cluster = Cluster::start(Setup { properties, ..Setup::plain(1) });
    let stage = Stage::new(&cluster, "away", 4);
    let mut events = Events::new(61, 4);
    stage.feed(&events.take(500));
    cluster.kill(1);
    let mut worker = stage.setup.start("one");
    worker.await_answer("/livez", 200, |_| true);
    let told = worker.await_answer("/readyz", 503, |_| true);
    println!("not ready: {told}");
    cluster.spawn(1);
    cluster.await_ready();
    worker.await_answer("/readyz", 200, |_| true);
    let group = stage.group();
    for _ in 0..3 {
        let before = stage.taken(&group);
        stage.feed(&events.take(500));
        stage.await_taken(&group, before + 100);
        die_between_transactions(&mut cluster, &stage, &worker);
        worker.await_answer("/readyz", 503, |_| true);
        worker.await_answer("/livez", 200, |_| true);
        cluster.spawn(1);
        cluster.await_ready();
    }
    stage.feed(&events.last());
    stage.conclude(&mut [("one", &mut worker)]);
}

/// Kills the only node when nothing of the worker is under way.
///
/// A coordinator of Kafka 4.3.1 that comes back while other partitions have no leader yet takes them for deleted
/// ("likely deleted already and hence can be skipped"), and the transaction that it had decided never ends there: one
/// part of it is committed, and the next transaction of the producer decides over the rest. A worker sees that state
/// and offsets say different things, and stops; with a second replica there is always a leader.
fn die_between_transactions(cluster: &mut Cluster, stage: &Stage, worker: &WorkerProcess) {
    let own = |topic: &str| topic.starts_with(&stage.app) || topic == "__consumer_offsets";
    loop {
        while stage.admin.has_open_transactions(own) {}
        worker.freeze();
        if !stage.admin.has_open_transactions(own) {
            break;
        }
        worker.thaw();
    }
    cluster.kill(1);
    worker.thaw();
}

#[test]
fn leaders_and_coordinators_that_die_one_after_the_other_change_nothing() {
    // `make soak-kafka` asks for more of them.
    let deaths = std::env::var("STREAMFLEET_LEADER_DEATHS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let mut cluster = Cluster::start(Setup::plain(3));
    let stage = Stage::new(&cluster, "leaders", 4);
    let mut events = Events::new(62, 4);
    let (mut one, mut two) = (stage.setup.start("one"), stage.setup.start("two"));
    let (group, feed) = (stage.group(), Feed::new(&stage.brokers));
    for death in 0..deaths {
        let before = stage.taken(&group);
        feed.send_all(&stage.input, &events.take(400));
        stage.await_taken(&group, before + 100);
        // In turn: who leads an input, and who coordinates the transactions that are being committed just now.
        let victim = match death % 2 {
            0 => stage.admin.leader(&stage.input, death % 4),
            _ => stage.admin.coordinator_of(&format!("{}-one-0", stage.app)),
        };
        let victim = victim.expect("somebody leads");
        println!("leaders: {death}: node {victim} dies");
        cluster.kill(victim);
        feed.send_all(&stage.input, &events.take(200));
        cluster.spawn(victim);
        cluster.await_ready();
        stage.await_taken(&group, before + 450);
    }
    feed.send_all(&stage.input, &events.last());
    stage.conclude(&mut [("one", &mut one), ("two", &mut two)]);
}
