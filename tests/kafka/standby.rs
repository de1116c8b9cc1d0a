//! Warm copies on a broker: whoever gets a dead process' tasks has their state already.
//!
//! Not here: what a copy may take over (the library's own tests, on the log in memory). Invariant: copies are judged
//! as every store is, by their changelogs, and by how much a worker had to read beside them.

use std::collections::BTreeMap;

use serde_json::Value;
use tests::kafka::cluster::shared;
use tests::kafka::worker::WorkerProcess;

use crate::events::Events;
use crate::stage::Stage;

/// A metric without labels of its own.
fn metric(worker: &mut WorkerProcess, name: &str) -> u64 {
    let page = worker.await_answer("/metrics", 200, |page| page.lines().any(|line| line.starts_with(name)));
    let line = page.lines().find(|line| line.starts_with(name)).unwrap();
    line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
}

/// The tasks of a page, or the copies, by id.
fn listed(page: &str, what: &str) -> BTreeMap<String, Value> {
    let page: Value = serde_json::from_str(page).unwrap_or_default();
    page[what].as_object().map(|map| map.clone().into_iter().collect()).unwrap_or_default()
}

/// One past the last offset of all changelogs of each of these tasks together.
fn ends(stage: &Stage, tasks: impl IntoIterator<Item = String>) -> BTreeMap<String, u64> {
    let plan = stage.plan();
    let mut ends = BTreeMap::new();
    for task in tasks {
        let (sub, partition) = task.split_once('_').unwrap();
        let (sub, partition): (usize, i32) = (sub.parse().unwrap(), partition.parse().unwrap());
        let columns = plan.sub_topologies()[sub].contents();
        let end = columns.iter().map(|column| {
            let topic = match column.name.as_ref() {
                "meta" => format!("{}-{sub}-meta-changelog", stage.app),
                store => format!("{}-{store}-changelog", stage.app),
            };
            stage.admin.watermarks(&topic, partition).1.cast_unsigned()
        });
        ends.insert(task.clone(), end.sum());
    }
    ends
}

#[test]
fn a_killed_process_leaves_its_tasks_to_one_that_reads_their_tail_only() {
    let mut stage = Stage::new(shared(), "standby", 4);
    stage.setup = stage.setup.clone().setting("num.standby.replicas", "1");
    let mut events = Events::new(31, 4);
    let (mut a, mut b) = (stage.setup.start("a"), stage.setup.start("b"));
    // Each has tasks of its own, and copies of the other's.
    let share = |page: &str| !listed(page, "tasks").is_empty() && !listed(page, "standbys").is_empty();
    [&mut a, &mut b].into_iter().for_each(|worker| drop(worker.await_answer("/status", 200, share)));
    // Bit by bit: what opens and closes within one commit leaves nothing in the changelogs.
    let group = stage.group();
    for round in 1..=30 {
        stage.feed(&events.take(100));
        stage.await_taken(&group, 100 * round);
    }
    stage.settle(&mut [&mut a, &mut b]);
    let orphans = listed(&a.await_answer("/status", 200, share), "tasks");
    let ends = ends(&stage, orphans.keys().cloned());
    let total: u64 = ends.values().sum();
    assert!(total > 500, "the changelogs of {orphans:?} are short: {total} offsets");
    b.await_answer("/status", 200, |page| {
        let copies = listed(page, "standbys");
        ends.iter().all(|(task, end)| copies.get(task).is_some_and(|copy| copy["followed"].as_u64() >= Some(*end)))
    });
    let lag = |page: &str, task: &str| {
        let of_task =
            |line: &&str| line.starts_with("stream_standby_lag_records") && line.contains(&format!("task=\"{task}\""));
        page.lines().find(of_task).and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    b.await_answer("/metrics", 200, |page| orphans.keys().all(|task| lag(page, task) == Some(0.0)));
    let before = metric(&mut b, "stream_restored_records_total");
    a.kill();
    stage.feed(&events.take(800));
    stage.feed(&events.last());
    stage.settle(&mut [&mut b]);
    let tail = metric(&mut b, "stream_restored_records_total") - before;
    let has = listed(&b.await_answer("/status", 200, |page| !page.contains("\"restore\":")), "tasks");
    assert!(orphans.keys().all(|task| has.contains_key(task)), "{has:?} lacks some of {orphans:?}");
    // A copy that has become the task's store is none any more.
    b.await_answer("/metrics", 200, |page| orphans.keys().all(|task| lag(page, task).is_none()));
    assert!(tail <= total / 20, "{tail} records were restored beside copies of {total} offsets");
    b.terminate();

    // One that never saw them reads all of it, and says so.
    let mut c = stage.setup.start("c");
    c.await_log("how much there is to restore", |log| log.contains("restoring from its changelogs"));
    c.await_answer("/readyz", 200, |_| true);
    let whole = metric(&mut c, "stream_restored_records_total");
    assert!(whole > total / 4 && whole > 10 * tail, "{whole} records restored without copies, {tail} with");
    println!("{total} offsets: {tail} records restored beside a copy, {whole} without one by all tasks");
    c.terminate();
    stage.assert_results();
    stage.assert_stores(&["a", "b", "c"]);
}
