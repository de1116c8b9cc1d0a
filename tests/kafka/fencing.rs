//! An old process that comes back writes nothing that readers see.
//!
//! Not here: processes that are killed. Invariant: the old one is frozen in the middle of its work, so that it wakes up
//! with records read and a transaction open.

use tests::kafka::cluster::shared;

use crate::events::Events;
use crate::stage::Stage;

#[test]
fn whoever_was_replaced_while_frozen_writes_nothing_that_readers_see() {
    let stage = Stage::new(shared(), "replaced", 4);
    let group = stage.group();
    let mut events = Events::new(51, 4);
    let (mut old, mut other) = (stage.setup.start("old"), stage.setup.start("other"));
    let own = |member: &String| member.contains("-old-");
    for round in 0..2 {
        group.await_members("both", |members| members.len() == 2);
        let before = stage.taken(&group);
        stage.feed(&events.take(400));
        stage.await_taken(&group, before + 50);
        old.freeze();
        group.await_members("without the frozen one", |members| !members.iter().any(own));
        // All of it is said by the other one, before the old one wakes up.
        stage.feed(&events.last());
        stage.settle(&mut [&mut other]);
        old.thaw();
        group.await_members(&format!("both after round {round}"), |members| members.len() == 2);
    }
    stage.feed(&events.take(200));
    stage.feed(&events.last());
    stage.conclude(&mut [("old", &mut old), ("other", &mut other)]);
}

#[test]
fn whoever_runs_under_the_identity_of_another_takes_over_and_the_other_stops() {
    let stage = Stage::new(shared(), "identity", 4);
    let group = stage.group();
    let mut events = Events::new(52, 4);
    let mut first = stage.setup.start("pod");
    stage.feed(&events.take(300));
    stage.await_taken(&group, 50);
    first.freeze();
    // The same pod on another machine: the same name, and nothing on its disk.
    let mut elsewhere = stage.setup.clone();
    elsewhere.data = stage.setup.data.join("elsewhere");
    let mut second = elsewhere.start("pod");
    stage.feed(&events.take(300));
    stage.feed(&events.last());
    stage.settle(&mut [&mut second]);
    first.thaw();
    let (code, said) = first.wait();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("another process has started as instance pod"), "{said}");
    // What it did before it learned of that is in nobody's results.
    stage.feed(&events.take(100));
    stage.feed(&events.last());
    stage.settle(&mut [&mut second]);
    second.terminate();
    stage.assert_results();
}
