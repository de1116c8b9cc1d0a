//! A way to the broker that is cut, stalled, delayed and narrow.
//!
//! Not here: brokers that die. Invariant: the worker knows no way but the one through the proxy.

use std::time::Duration;

use tests::kafka::cluster::{Cluster, Listener, Setup};
use tests::kafka::proxy::{Passage, Proxy};

use crate::events::Events;
use crate::stage::Stage;

#[test]
fn a_way_that_is_cut_stalled_delayed_and_narrow_changes_nothing() {
    let proxy = Proxy::new();
    let listeners = vec![Listener { name: "PROXIED", protocol: "PLAINTEXT", advertised: Some(proxy.port()) }];
    let cluster = Cluster::start(Setup { listeners, ..Setup::plain(1) });
    proxy.toward(cluster.listener("PROXIED"));
    let mut stage = Stage::new(&cluster, "network", 4);
    stage.setup.brokers = Some(proxy.address());
    let mut events = Events::new(71, 4);
    let group = stage.group();
    let mut worker = stage.setup.start("one");
    let passages = [
        Passage::Cut,
        Passage::Delayed(Duration::from_millis(30)),
        Passage::Stalled,
        Passage::Narrow(200_000),
        Passage::Cut,
    ];
    for passage in passages {
        let before = stage.taken(&group);
        stage.feed(&events.take(400));
        stage.await_taken(&group, before + 100);
        println!("network: {passage:?}");
        proxy.let_pass(passage);
        match passage {
            // It tries again and again, and goes on as soon as it gets through.
            Passage::Cut => proxy.await_connections(3),
            // For so long that the group gives it up.
            Passage::Stalled => group.await_empty(),
            // Slow is not broken: everything comes through.
            Passage::Delayed(_) | Passage::Narrow(_) | Passage::Open => stage.await_taken(&group, before + 400),
        }
        proxy.let_pass(Passage::Open);
    }
    stage.feed(&events.last());
    stage.conclude(&mut [("one", &mut worker)]);
}
