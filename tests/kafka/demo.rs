//! The demo on Kafka: killed, with a disk that fills up, and started again, it says what one on the embedded log says;
//! and its broker ends with it.
//!
//! Not here: what `streamfleet demo` shows. Invariant: both demos have one feed, which depends on its seed alone.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use processing_core::error::ExitCode;
use tests::compare::{assert_same_rows, assert_same_topics, kept, plan};
use tests::demo_process::{self, DemoProcess, STEADY_FEED, Seen, commits_in, streamfleet};
use tests::kafka::cluster::shared;
use tests::kafka::dump::committed;
use tests::stores::{Stores, replay, stored};

#[test]
fn a_demo_on_kafka_that_is_killed_or_runs_out_of_disk_says_what_one_on_the_embedded_log_says() {
    let program = streamfleet();
    let folder = tempfile::tempdir().unwrap();
    let (on_kafka, embedded) = (folder.path().join("kafka"), folder.path().join("embedded"));
    let (brokers, admin) = (shared().brokers(), shared().admin());
    let report = folder.path().join("report.json");
    let feed = [STEADY_FEED, &["--every", "10ms", "--seed", "13", "--events", "60000"]].concat();
    let there = [&feed[..], &["--brokers", &brokers, "--report", report.to_str().unwrap()]].concat();

    // Somebody else's events are left alone.
    admin.create_topic("search.executed", 2, &[]);
    let (code, told) = DemoProcess::start(&program, &on_kafka, &there).fail_with_words();
    assert!(code == ExitCode::Usage as i32 && told.contains("search.executed that no demo has made"), "{told}");
    admin.delete_topic("search.executed");

    let mut demo = DemoProcess::start(&program, &on_kafka, &there);
    while commits_in(&demo.line().expect("the demo goes on")) < 3 {}
    demo.kill();
    // Its stores can be opened, and cannot grow.
    let (code, told) = DemoProcess::start_cramped(&program, &on_kafka, &there, 100).fail_with_words();
    assert_eq!(code, ExitCode::DiskFull as i32, "{told}");
    assert!(!told.contains("panicked"), "{told}");
    let last = told.trim_end().lines().last().unwrap_or_default();
    assert!(last.contains("no space left for the store at") && last.contains("kafka/state"), "what and where: {last}");
    assert!(last.contains("free space") && last.contains("start again"), "what to do: {last}");
    let told = DemoProcess::start(&program, &on_kafka, &there).finish_with_words();
    assert!(told.contains("going on after "), "{told}");
    DemoProcess::start(&program, &embedded, &feed).finish();

    assert_same_topics(|topic| on_cluster(&brokers, topic), |topic| in_folder(&embedded, topic));
    assert_same_rows(&kept_on_cluster(&brokers, &admin.topics(), &on_kafka), &kept(&embedded));
    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(summary["complete"], true);
    for (topic, records) in summary["outputs"].as_object().unwrap() {
        let found: usize = committed(&brokers, topic).iter().map(Vec::len).sum();
        assert_eq!(records.as_u64(), Some(found as u64), "{topic} is told to hold another number of records");
    }
}

/// Transactions take offsets on Kafka: a record that was set aside came from another one there.
const OFFSET: &str = "__streams.errors.offset";

fn on_cluster(brokers: &str, topic: &str) -> Vec<Vec<Seen>> {
    let partitions = committed(brokers, topic).into_iter();
    let seen = partitions.map(|records| {
        records.into_iter().map(|record| {
            let headers = record.headers.into_iter().filter(|(name, _)| name != OFFSET).collect();
            Seen { key: record.key, value: record.value, headers }
        })
    });
    seen.map(Iterator::collect).collect()
}

fn in_folder(folder: &Path, topic: &str) -> Vec<Vec<Seen>> {
    let mut partitions = demo_process::committed(folder, topic);
    partitions.iter_mut().flatten().for_each(|record| record.headers.retain(|(name, _)| name != OFFSET));
    partitions
}

/// The rows of the demo's stores in `folder`, which are those that its changelogs on the cluster say.
fn kept_on_cluster(brokers: &str, topics: &[String], folder: &Path) -> Stores {
    let plan = plan();
    let own = format!("{}-", plan.name());
    let mut rows = Stores::new();
    for changelog in topics.iter().filter(|topic| topic.starts_with(&own) && topic.ends_with("-changelog")) {
        for (partition, records) in (0..).zip(committed(brokers, changelog)) {
            let records = records.iter().map(|record| (record.key.as_deref(), record.value.as_deref()));
            rows.insert((changelog.clone(), partition), replay(changelog, records));
        }
    }
    assert!(rows == stored(&plan, folder), "a store of the demo on Kafka is not what its changelog says");
    rows
}

#[test]
fn the_broker_of_a_demo_ends_with_it_even_if_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("broker");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/broker");
    let mut addresses = Vec::new();
    for _ in 0..2 {
        // A command that tells the broker's address and stays.
        let mut command = Command::new(&script);
        command.arg(&folder).args(["sh", "-c", "echo \"$0\"; read -r _"]);
        let mut command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(command.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(runs(&folder), "the broker is there before the command");
        command.kill().unwrap();
        command.wait().unwrap();
        addresses.push(address);
    }
    // The second has waited for the first one's broker; nobody waits for its own.
    let deadline = Instant::now() + Duration::from_secs(60);
    while runs(&folder) {
        assert!(Instant::now() < deadline, "the broker outlives its command");
    }
    assert!(addresses.iter().all(|address| address.starts_with("127.0.0.1:")), "{addresses:?}");
}

/// Whether the broker in `folder` runs.
fn runs(folder: &Path) -> bool {
    let id = std::fs::read_to_string(folder.join("pid")).unwrap();
    let found = Command::new("ps").args(["-ww", "-o", "stat=,args=", "-p", id.trim()]).output().unwrap();
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    // One that has ended and was not waited for is still listed, with no arguments.
    found.contains("server.properties")
}
