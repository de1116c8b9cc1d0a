//! Real processes: the commands beside a running demo, and the words they have for mistakes.
//!
//! Not here: what the worker computes. Invariant: nothing waits for a time; what a command has answered is
//! true when the next one asks.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use processing_core::log::embedded::{EmbeddedLog, EmbeddedOptions, EmbeddedReaderProcess};
use processing_core::record::{LogTime, TopicPartition};
use serde_json::{Value, json};
use tests::command::{Answer, Streamfleet};
use tests::demo_process::commits_in;

/// A feed so small that it is in the log at once.
const FEED: &[&str] = &[
    "--headless",
    "--every",
    "20ms",
    "--speed",
    "1x",
    "--seed",
    "5",
    "--history",
    "10m",
    "--start",
    "2026-11-01T08:00:00Z",
];

fn values(answer: &Answer) -> Vec<Value> {
    answer.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["value"].clone()).collect()
}

#[test]
fn a_running_demo_takes_records_and_shows_them() {
    let fleet = Streamfleet::new();
    let mut demo = fleet.demo(FEED);
    // Its first line comes after its door is open.
    demo.line().unwrap();

    let published = fleet.run(
        &["publish", "orders.v1", "--key", "user.id"],
        "{\"user\":{\"id\":7},\"n\":1}\n{\"user\":{\"id\":7},\"n\":2}\n",
    );
    assert_eq!(published.words(), "2 records published to orders.v1\n");
    let read = fleet.run(&["read", "orders.v1"], "");
    let numbers: Vec<Value> = values(&read).iter().map(|value| value["n"].clone()).collect();
    assert_eq!(numbers, [1, 2], "one key, so one partition, so one order");
    let first: Value = serde_json::from_str(read.out.lines().next().unwrap()).unwrap();
    assert_eq!((&first["key"], &first["offset"]), (&Value::from("7"), &Value::from(0)));
    let partition = first["partition"].to_string();

    let from_one = fleet.run(&["read", "orders.v1", "--partition", &partition, "--from", "1"], "");
    assert_eq!(values(&from_one).len(), 1);
    assert_eq!(fleet.run(&["read", "orders.v1", "--from", "end"], "").out, "");
    assert_eq!(values(&fleet.run(&["read", "orders.v1", "--from", "2000-01-01T00:00:00Z"], "")).len(), 2);
    assert_eq!(fleet.run(&["read", "orders.v1", "--from", "2200-01-01T00:00:00Z"], "").out, "");

    // What one copy prints, another takes, byte by byte.
    let copied = fleet.run(&["publish", "copy.v1", "--records"], &read.out);
    assert_eq!(copied.words(), "2 records published to copy.v1\n");
    assert_eq!(values(&fleet.run(&["read", "copy.v1"], "")), values(&read));

    let topics = fleet.run(&["topics"], "").out;
    let line = |name: &str| topics.lines().find(|line| line.split_whitespace().next() == Some(name));
    assert_eq!(line("orders.v1").unwrap().split_whitespace().nth(2), Some("2"));
    assert!(line("trending.cities.v1").is_some() && !topics.contains("-changelog"), "{topics}");
    assert!(fleet.run(&["topics", "--internal"], "").out.contains("trending-cities.v1-trending-changelog"));

    assert!(fleet.run(&["pause", "trending-cities"], "").ok);

    demo.interrupt();
    // Nobody holds the log now: the command holds it for as long as it takes.
    assert!(fleet.run(&["publish", "orders.v1"], "{\"n\":3}\n").ok);
    assert!(fleet.run(&["resume", "trending-cities"], "").ok);
    let control = fleet.run(&["read", "trending-cities.v1-control"], "");
    let said: Vec<Value> = values(&control).iter().map(|value| value["paused"].clone()).collect();
    assert_eq!(said, [true, false]);
    assert_eq!(values(&fleet.run(&["read", "orders.v1"], "")).len(), 3);
}

#[test]
fn records_never_go_into_the_log_of_another_folder() {
    let fleet = Streamfleet::new();
    let other = Streamfleet::new();
    let mut killed = fleet.demo(FEED);
    killed.line().unwrap();
    killed.kill();
    let mut alive = other.demo(FEED);
    alive.line().unwrap();
    // The port that the killed demo had is the other one's now.
    let note = |fleet: &Streamfleet| fleet.log().join("address");
    let (left, living) = (fs::read_to_string(note(&fleet)).unwrap(), fs::read_to_string(note(&other)).unwrap());
    let (_, incarnation) = left.split_once(' ').unwrap();
    let (address, _) = living.split_once(' ').unwrap();
    fs::write(note(&fleet), format!("{address} {incarnation}")).unwrap();

    let holder = EmbeddedLog::open(&fleet.log(), EmbeddedOptions::new(Arc::new(|| LogTime(0)))).unwrap();
    let told = fleet.run(&["publish", "stray.v1"], "{}\n").failed();
    assert!(told.contains("is held by process") && told.contains("belongs to another log"), "{told}");
    assert!(told.contains("0 records published"), "{told}");
    drop(holder);
    assert!(other.run(&["read", "stray.v1"], "").failed().contains("there is no topic stray.v1"));

    assert_eq!(fleet.run(&["publish", "stray.v1"], "{}\n").words(), "1 record published to stray.v1\n");
    assert!(!note(&fleet).exists(), "whoever takes the lock removes what a dead holder left");
    assert_eq!(values(&fleet.run(&["read", "stray.v1"], "")).len(), 1);
    alive.kill();
}

/// One past the last record of `topic` that the worker has committed, by partition.
fn committed_by_worker(fleet: &Streamfleet, topic: &str) -> BTreeMap<u64, u64> {
    let log = EmbeddedReaderProcess::open(&fleet.log()).unwrap();
    let mut admin = log.admin();
    let partitions = admin.topic(&topic.into()).unwrap().unwrap().settings.partitions;
    let places: Vec<_> = (0..partitions).map(|n| TopicPartition::new(topic, n)).collect();
    let offsets = admin.group_offsets("trending-cities.v1", &places).unwrap();
    offsets.into_iter().map(|(place, next)| (u64::from(place.partition.0), next.0)).collect()
}

#[test]
fn an_event_that_is_published_in_the_feeds_present_counts() {
    let fleet = Streamfleet::new();
    // The feed's clock is decades ahead of the machine's, as one at sixty times the speed gets to be.
    let mut demo = fleet.demo(&[
        "--headless",
        "--every",
        "20ms",
        "--speed",
        "1x",
        "--history",
        "10m",
        "--start",
        "2090-11-01T08:00:00Z",
    ]);
    while !demo.line().unwrap().contains("live") {}
    let fed = fleet.run(&["read", "search.executed"], "").out;
    let fed = fed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let present = fed.filter_map(|line| line["timestamp"].as_i64()).max();
    let event = json!({
        "event_id": "mine", "event_type": "search.executed", "timestamp": present,
        "payload": {"city": "Porto", "user_id": "me"},
    });
    assert!(fleet.run(&["publish", "search.executed"], &format!("{event}\n")).ok);
    let records = |topic: &str| -> Vec<Value> {
        let read = fleet.run(&["read", topic], "").out;
        let lines = read.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["value"]["event_id"] == "mine").collect()
    };
    let mine = records("search.executed");
    let (partition, offset) = (mine[0]["partition"].as_u64().unwrap(), mine[0]["offset"].as_u64().unwrap());
    while committed_by_worker(&fleet, "search.executed").get(&partition).is_none_or(|next| *next <= offset) {
        demo.line().unwrap();
    }
    for aside in ["trending-cities.v1-dlq", "trending-cities.v1-late"] {
        assert_eq!(records(aside), Vec::<Value>::new(), "in {aside}");
    }
    demo.kill();
}

#[test]
fn a_follower_sees_what_comes_while_it_reads() {
    let fleet = Streamfleet::new();
    let mut demo = fleet.demo(FEED);
    demo.line().unwrap();
    assert!(fleet.run(&["publish", "t"], "{\"n\":1}\n").ok);
    let mut follower = fleet.start(&["read", "t", "--follow", "--limit", "3"]);
    assert!(follower.line().unwrap().contains("\"n\":1"));
    assert!(fleet.run(&["publish", "t"], "{\"n\":2}\n{\"n\":3}\n").ok);
    let more = [follower.line().unwrap(), follower.line().unwrap()].concat();
    assert!(more.contains("\"n\":2") && more.contains("\"n\":3"), "{more}");
    follower.finish();

    let mut follower = fleet.start(&["read", "t", "--follow"]);
    follower.line().unwrap();
    let scratch = std::env::temp_dir().join(format!("streamfleet-read-{}-0", follower.id()));
    assert!(scratch.is_dir());
    follower.interrupt();
    assert!(!scratch.exists(), "{} is left behind", scratch.display());
    demo.kill();
}

#[test]
fn a_demo_shows_its_stores_and_goes_on_after_a_kill() {
    let fleet = Streamfleet::new();
    let arguments = &["--headless", "--every", "20ms", "--speed", "max", "--history", "1h", "--events", "40000"];
    let arguments = [arguments, &["--start", "2026-11-01T08:00:00Z", "--idle-after", "off"][..]].concat();
    let mut demo = fleet.demo(&arguments);
    while demo.line().is_some_and(|line| commits_in(&line) == 0) {}
    demo.kill();
    let report = fleet.folder().join("report.json");
    let again = [&arguments[..], &["--report", report.to_str().unwrap()]].concat();
    let told = fleet.demo(&again).finish_with_words();
    assert!(told.contains("going on after "), "{told}");
    let summary: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    assert_eq!((&summary["feed_position"], &summary["complete"]), (&Value::from(40_000), &Value::from(true)));
    assert!(summary["resumed_at"].as_u64().unwrap() > 0);

    let rows = fleet.run(&["state", "trending", "--key", "world"], "").out;
    assert!(!rows.is_empty());
    for row in rows.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        assert!(row["key"].as_str().unwrap().contains("world"), "{row}");
        assert!(row["pane_start_ms"].is_i64(), "{row}");
    }

    let file = |name: &str| fleet.folder().join(name).to_str().unwrap().to_owned();
    let (first, second) = (file("first"), file("second"));
    let told = fleet.run(&["state", "export", "trending-cities", "0_0", &first], "").words();
    assert!(told.contains("task 0_0, at commit ") && told.contains("of state epoch 0"), "{told}");
    let import = ["state", "import", "trending-cities", "0_0", &first];
    let told = fleet.run(&import, "").failed();
    assert!(told.contains("has a store already"), "{told}");
    fs::remove_dir_all(fleet.folder().join("data/state")).unwrap();
    let told = fleet.run(&[&import[..], &["--epoch", "5"]].concat(), "").failed();
    assert!(told.contains("state epoch 0, and the application works in epoch 5"), "{told}");
    let told = fleet.run(&["state", "import", "trending-cities", "0_1", &first], "").failed();
    assert!(told.contains("a snapshot of task 0_0, not of 0_1"), "{told}");
    fleet.run(&import, "").words();
    fleet.run(&["state", "export", "trending-cities", "0_0", &second], "").words();
    assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap());
    let told = fleet.run(&["state", "export", "trending-cities", "zero", &first], "").failed();
    assert!(told.contains("`zero` is no task"), "{told}");
}

#[test]
fn a_demo_feeds_places_where_they_are_wanted_and_stays_with_them() {
    let fleet = Streamfleet::new();
    let feed =
        ["--headless", "--every", "20ms", "--speed", "max", "--history", "1h", "--start", "2026-11-01T08:00:00Z"];
    let with = |more: &[&'static str]| [&feed[..], more].concat();
    fleet.demo(&with(&["--events", "14000", "--places"])).finish_with_words();
    let places = values(&fleet.run(&["read", "poi.ingested"], ""));
    assert!(places.len() > 1_000 && places.iter().all(|place| place["payload"]["city"].is_string()));
    assert!(!fleet.run(&["state", "poi-city"], "").out.is_empty(), "the worker keeps them as a table");
    // The folder knows.
    let told = fleet.demo(&with(&["--events", "15000"])).finish_with_words();
    assert!(told.contains("going on after "), "{told}");
    assert!(values(&fleet.run(&["read", "poi.ingested"], "")).len() > places.len());
}

#[test]
fn mistakes_are_named_with_their_place_and_a_way_out() {
    let fleet = Streamfleet::new();
    for command in [&["topics"][..], &["read", "t"], &["state", "trending"]] {
        let told = fleet.run(command, "").failed();
        assert!(told.contains("there is no log in") && told.contains("streamfleet demo"), "{command:?}: {told}");
    }

    let mut demo = fleet.demo(FEED);
    demo.line().unwrap();
    let told = fleet.run(&["demo", "--headless", "--for", "1s"], "").failed();
    assert!(told.contains("is held by process") && told.contains("stop that process"), "{told}");
    let told = fleet.run(&["read", "nix"], "").failed();
    assert!(told.contains("there is no topic nix") && told.contains("streamfleet topics"), "{told}");
    let told = fleet.run(&["read", "search.executed", "--from", "yesterday"], "").failed();
    assert!(told.contains("2026-11-21T08:00:00Z"), "{told}");
    let told = fleet.run(&["read", "search.executed", "--partition", "9"], "").failed();
    assert!(told.contains("has no partition 9; its partitions are 0 to 1"), "{told}");
    let told = fleet.run(&["state", "nix"], "").failed();
    // Which ones stand by then, nobody knows: each worker makes its own.
    assert!(told.contains("there is no store nix; the log has "), "{told}");
    let told = fleet.run(&["publish", "two words"], "{}\n").failed();
    assert!(told.contains("`two words` cannot name a topic"), "{told}");
    let told = fleet.run(&["publish", "t", "none.json"], "").failed();
    assert!(told.contains("cannot open none.json"), "{told}");

    let lines = fleet.folder().join("lines.json");
    fs::write(&lines, "{\"id\":1}\n\n{\"id\":2}\n{\"id\":\n{\"id\":4}\n").unwrap();
    let told = fleet.run(&["publish", "t", lines.to_str().unwrap(), "--key", "id"], "").failed();
    assert!(told.contains("lines.json line 4: ") && told.contains("2 records published to t"), "{told}");
    assert_eq!(values(&fleet.run(&["read", "t"], "")).len(), 2, "the lines before the bad one, and none after it");
    let told = fleet.run(&["publish", "t", "--records"], "[1]\n").failed();
    assert!(told.contains("standard input line 1: not a record"), "{told}");
    demo.kill();

    let foreign = fleet.folder().join("foreign");
    fs::create_dir_all(foreign.join("log")).unwrap();
    fs::write(foreign.join("log/letter.txt"), "dear").unwrap();
    let told = fleet.run_in(&foreign, &["demo", "--headless", "--for", "1s"], "").failed();
    assert!(told.contains("holds files and no log"), "{told}");
    let told = fleet.run_in(&foreign, &["publish", "t"], "{}\n").failed();
    assert!(told.contains("holds files and no log"), "{told}");
}

fn replay(fleet: &Streamfleet, file: &Path, more: &[&str]) -> Answer {
    fleet.run(&[&["replay", file.to_str().unwrap(), "--topic", "flights"], more].concat(), "")
}

#[test]
fn a_table_is_replayed_with_its_own_time_and_a_bad_row_is_named() {
    let fleet = Streamfleet::new();
    let table = fleet.folder().join("flights.csv");
    fs::write(&table, "dest,at,tail\nLIS,2013-01-01T05:00:00Z,N1\n\"New, York\",2013-01-01T06:00:00Z,\n").unwrap();
    let map = [
        "--map",
        "payload.city=dest",
        "--map",
        "timestamp=at",
        "--map",
        "payload.user_id=tail",
        "--set",
        "event_type=x",
    ];
    assert_eq!(replay(&fleet, &table, &map).words(), "2 records published to flights\n");
    let read = fleet.run(&["read", "flights"], "");
    let mut records: Vec<Value> = read.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    records.sort_by_key(|record| record["timestamp"].as_i64());
    assert_eq!(records[0]["timestamp"], 1_357_016_400_000_i64, "log time is the row's own");
    assert_eq!(records[0]["value"]["payload"], serde_json::json!({"city": "LIS", "user_id": "N1"}));
    assert_eq!(records[1]["value"]["payload"], serde_json::json!({"city": "New, York"}), "an empty cell is no field");

    fs::write(&table, "dest,at\nLIS,2013-01-01T05:00:00Z\n").unwrap();
    let told = replay(&fleet, &table, &map).failed();
    let wanted = "flights.csv has no column tail, which --map payload.user_id=tail names; it has dest, at";
    assert!(told.contains(wanted) && told.contains("0 records published"), "{told}");
    fs::write(&table, "dest,at,tail\nLIS,2013-01-01T05:00:00Z,\nOPO\nFAO,2013-01-01T05:00:00Z,\n").unwrap();
    let told = replay(&fleet, &table, &map).failed();
    assert!(told.contains("flights.csv") && told.contains("line: 3") && told.contains("1 record published"), "{told}");

    let lines = fleet.folder().join("flights.jsonl");
    fs::write(&lines, "{\"dest\":\"LIS\"}\n{\"dest\":\"OPO\"}\n\n{dest}\n").unwrap();
    let told = replay(&fleet, &lines, &["--map", "city=dest"]).failed();
    assert!(told.contains("flights.jsonl line 4: ") && told.contains("2 records published"), "{told}");
    fs::write(&lines, [0x7b, 0xff, 0x7d]).unwrap();
    let told = replay(&fleet, &lines, &[]).failed();
    assert!(told.contains("flights.jsonl line 1: ") && told.contains("UTF-8"), "{told}");
    let told = replay(&fleet, &lines, &["--map", "city"]).failed();
    assert!(told.contains("FIELD=PATH"), "{told}");
}

#[test]
fn a_companys_events_are_judged_and_a_mapping_is_proposed_that_reads_them() {
    let fleet = Streamfleet::new();
    let listed = fleet.run_without_folder(&["contracts"], "");
    assert_eq!(listed.out.lines().filter(|line| line.starts_with("  ")).count(), 50, "{}", listed.out);
    let schema: Value =
        serde_json::from_str(&fleet.run_without_folder(&["contracts", "schema", "lens.model-metrics"], "").out)
            .unwrap();
    assert_eq!(schema["title"], "lens.model-metrics");

    let shipped = "{\"userId\":1,\"interactionType\":\"click\",\"timestamp\":1}\n{\"timestamp\":1}\n";
    let judged = fleet.run_without_folder(&["contracts", "check", "user-interactions", "-"], shipped);
    assert!(!judged.ok);
    assert!(
        judged.out.contains("standard input line 2: missing_field: `interaction_type` is missing"),
        "{}",
        judged.out
    );
    assert!(judged.out.contains("1  lens.user-interactions"), "{}", judged.out);

    let own = "{\"uid\":1,\"verb\":\"click\",\"ts\":1761388200,\"film\":7,\"score\":4.5}\n";
    let unknown = fleet.run_without_folder(&["contracts", "check", "clicks", "-"], own);
    assert!(unknown.failed().contains("--config names a file that maps others"));
    let proposed = fleet.run_without_folder(
        &["contracts", "suggest", "-", "--topic", "clicks", "--contract", "lens.user-interactions"],
        own,
    );
    // What nothing in the events tells, a person adds.
    let mapping = proposed.out.replace("# kind = \"/...\"", "kind = \"/verb\"");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("own.toml");
    fs::write(&config, &mapping).unwrap();
    let judged =
        fleet.run_without_folder(&["contracts", "check", "clicks", "-", "--config", config.to_str().unwrap()], own);
    let said = format!("{mapping}\n{}", judged.out);
    assert!(judged.ok && judged.out.contains("1  lens.user-interactions"), "{said}");
}
