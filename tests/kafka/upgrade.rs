//! A rolling upgrade: two versions of a worker side by side, each process replaced while events arrive.
//!
//! Not here: a version that changes what results mean, which is reprocessing. Invariant: both versions have one state
//! layout, so that a task moves from one to the other with its store.

use tests::kafka::cluster::shared;

use crate::events::Events;
use crate::plan::{Version, plan};
use crate::stage::Stage;

#[test]
fn processes_are_replaced_by_another_version_and_back_while_events_arrive() {
    let stage = Stage::new(shared(), "upgrade", 6);
    let contents = |version| {
        let plan = plan(&stage.app, &stage.input, version).unwrap();
        plan.sub_topologies().iter().map(|part| part.contents()).collect::<Vec<_>>()
    };
    assert_eq!(contents(Version::First), contents(Version::Second), "the stores differ");
    let newer = stage.setup.clone().variable("WORKER_VERSION", "2");
    let mut events = Events::new(111, 6);
    let group = stage.group();
    let (mut one, mut two) = (stage.setup.start("one"), stage.setup.start("two"));
    group.await_members("both", |members| members.len() == 2);
    // The new version comes to one and to two; it is taken back on one.
    for (round, setup) in [(0, &newer), (1, &newer), (2, &stage.setup)] {
        let worker = if round == 1 { &mut two } else { &mut one };
        stage.feed(&events.take(300));
        stage.await_taken(&group, 300 + 900 * round);
        worker.terminate();
        // While it is away.
        stage.feed(&events.take(300));
        *worker = setup.start(if round == 1 { "two" } else { "one" });
        stage.feed(&events.take(300));
        stage.await_taken(&group, 900 + 900 * round);
    }
    stage.feed(&events.last());
    stage.conclude(&mut [("one", &mut one), ("two", &mut two)]);
}
