//! The binary as an operator meets it: flags, port, signals, exit codes.
//!
//! Not here: what it computes. Waiting is asking again until the answer is there: the process has no other
//! way to say that it has come so far.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test is the outside: it asks over TCP, and stops where its helper finds nothing"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;

use events::SignalContract;
use processing_core::batch::{Headers, RecordBatch, RecordRef};
use processing_core::clock::{Clock as _, SystemClock};
use processing_core::log::embedded::{EmbeddedLog, EmbeddedOptions};
use processing_core::log::{Cleanup, Log as _, TopicSettings};
use processing_core::record::{LogTime, Offset, TopicName, TopicPartition};
use serde_json::Value;

fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trending-cities"));
    // Settings of whoever runs the tests are none of the worker's.
    let settings = |name: &str| name.starts_with("STREAMFLEET_") || name.starts_with("KAFKA_") || name == "POD_NAME";
    for (name, _) in std::env::vars().filter(|(name, _)| settings(name)) {
        command.env_remove(name);
    }
    command.arg("--data").arg(data).args(["--http.listen", "127.0.0.1:0", "--log.format", "json"]);
    command
}

/// A process that serves.
struct Process {
    child: Child,
    lines: BufReader<ChildStdout>,
    address: String,
}

impl Process {
    fn start(data: &Path, flags: &[&str]) -> Self {
        let mut child = command(data).args(flags).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut process = Self { child, lines, address: String::new() };
        while process.address.is_empty() {
            let mut line = String::new();
            assert!(process.lines.read_line(&mut line).unwrap() > 0, "it ended: {:?}", process.child.wait());
            let line: Value = serde_json::from_str(&line).unwrap();
            process.address = line["address"].as_str().unwrap_or_default().to_owned();
        }
        process
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Asks until the answer is 200.
    fn until_there_is(&self, path: &str) -> Value {
        loop {
            let (status, body) = self.get(path);
            match status {
                200 => return serde_json::from_str(&body).unwrap_or(Value::Null),
                503 => {}
                other => panic!("{path}: {other} {body}"),
            }
        }
    }

    /// Asks until Portugal's list is that of the window that ends with this minute.
    fn until_list_of(&self, minute: i64) -> Value {
        loop {
            let list = self.until_there_is("/v1/trending?scope=PT&by=volume");
            if list["window_end_ms"] == START + minute * 60_000 {
                return list;
            }
        }
    }

    /// Asks until this is an obstacle; answers the reasons.
    fn until_not_ready_for(&self, obstacle: &str) -> String {
        loop {
            let (status, body) = self.get("/readyz");
            assert_eq!(status, 503, "{body}");
            if body.contains(&format!("{obstacle}: ")) {
                return body;
            }
        }
    }

    /// Asks it to stop; answers its last word and its exit code.
    fn stop(mut self) -> (String, Option<i32>) {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        let mut words = String::new();
        self.lines.read_to_string(&mut words).unwrap();
        (words, self.child.wait().unwrap().code())
    }
}

impl Drop for Process {
    /// A test that fails leaves nothing running.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn open(data: &Path) -> Arc<EmbeddedLog> {
    let clock = SystemClock::new();
    EmbeddedLog::open(&data.join("log"), EmbeddedOptions::new(Arc::new(move || LogTime(clock.now().0)))).unwrap()
}

fn make(log: &EmbeddedLog, contract: SignalContract) {
    let shape = TopicSettings { partitions: 1, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false };
    log.admin().unwrap().create_topic(&TopicName::new(contract.event_type()), shape).unwrap();
}

/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000;

/// Searches in Lisbon in these minutes, each by twenty users.
fn search(log: &EmbeddedLog, minutes: std::ops::Range<i64>) {
    let mut batch = RecordBatch::new();
    for minute in minutes {
        for user in 0..20 {
            let time = START + minute * 60_000 + user;
            let value = format!(
                "{{\"event_id\":\"{time}\",\"event_type\":\"search.executed\",\"timestamp\":{time},\"payload\":{{\
                 \"user_id\":\"u{user}\",\"query\":\"tiles\",\"city\":\"Lisboa\"}}}}"
            );
            batch.push(RecordRef {
                offset: Offset::ZERO,
                timestamp: LogTime(time),
                key: None,
                value: Some(value.as_bytes()),
                headers: Headers::NONE,
            });
        }
    }
    let place = TopicPartition::new(SignalContract::SearchExecuted.event_type(), 0);
    log.append(&place, &batch, processing_core::log::embedded::Durability::Disk).unwrap();
}

const ONLY_SEARCHES: [&str; 10] = [
    "--inputs.poi-favorited.enabled",
    "false",
    "--inputs.poi-unfavorited.enabled=false",
    "--inputs.itinerary-saved.enabled",
    "false",
    "--inputs.itinerary-updated.enabled",
    "false",
    "--inputs.chat-itinerary-saved.enabled",
    "false",
    "--trending.grace.ms=1m",
];

#[test]
fn a_missing_input_is_named_until_it_is_there_and_disabled_ones_are_not_missed() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(data.path(), &[]);
    assert_eq!(process.get("/livez").0, 200);
    let body = process.until_not_ready_for("topics");
    assert!(body.contains("search.executed") && body.contains("do not exist yet"), "{body}");
    assert!(process.get("/metrics").1.contains("stream_build_info"));
    assert_eq!(process.get("/v1/trending").0, 503);
    assert_eq!(process.stop().1, Some(0));

    let log = open(data.path());
    make(&log, SignalContract::SearchExecuted);
    drop(log);
    let process = Process::start(data.path(), &["--inputs.poi-unfavorited.enabled", "false"]);
    let body = process.until_not_ready_for("topics");
    assert!(body.contains("poi.favorited"), "the first enabled one that is missing: {body}");
    assert_eq!(process.stop().1, Some(0));

    let process = Process::start(data.path(), &ONLY_SEARCHES);
    process.until_there_is("/readyz");
    assert_eq!(process.stop().1, Some(0));
}

#[test]
fn a_process_that_is_stopped_goes_on_where_it_was() {
    let data = tempfile::tempdir().unwrap();
    let log = open(data.path());
    make(&log, SignalContract::SearchExecuted);
    search(&log, 0..30);
    drop(log);
    let process = Process::start(data.path(), &ONLY_SEARCHES);
    let list = process.until_list_of(28);
    assert_eq!(list["is_final"], true);
    assert_eq!((&list["cities"][0]["city"], &list["cities"][0]["volume"]), (&"Lisbon".into(), &(28 * 20).into()));
    let (words, code) = process.stop();
    assert_eq!(code, Some(0), "{words}");

    let log = open(data.path());
    search(&log, 30..90);
    drop(log);
    let process = Process::start(data.path(), &ONLY_SEARCHES);
    let list = process.until_list_of(88);
    assert_eq!(list["cities"][0]["volume"], 60 * 20);
    assert_eq!(process.get("/v1/cities/lisboa/activity?minutes=10").0, 200);
    assert_eq!(process.stop().1, Some(0));
}

#[test]
fn what_goes_wrong_has_its_exit_code_and_says_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let ended = |flags: &[&str]| {
        let Output { status, stdout, stderr } = command(data.path()).args(flags).output().unwrap();
        let words = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
        (status.code(), words)
    };
    for (flags, code, part) in [
        (&["--trending.windw.ms", "1h"][..], 2, "did you mean `trending.window.ms`"),
        (&["--trending.window.ms", "90s"], 1, "flag --trending.window.ms: `trending.window.ms` (90000) must be whole"),
        (&["--trending.window.ms", "30s"], 1, "`30s` does not fit"),
        (&["--trending.window.ms", "5m", "--trending.advance.ms", "6m"], 1, "must be at most `trending.window.ms`"),
        (
            &["--trending.advance.ms", "7m"],
            1,
            "flag --trending.advance.ms: `trending.advance.ms` (420000) must divide a day",
        ),
        (&["--cities.file", "/nowhere.csv"], 1, "cannot read the cities in /nowhere.csv"),
        (&["--outputs.trending.topic", "a b"], 1, "1 to 249 of the letters"),
        (&["--kafka.bootstrap.servers", "kafka:9092", "--kafka.acks", "0"], 1, "kafka.acks"),
    ] {
        let (status, words) = ended(flags);
        assert_eq!(status, Some(code), "{flags:?}: {words}");
        assert!(words.contains(part), "{flags:?}: {words}");
    }
    // Somebody else holds the log.
    let log = open(data.path());
    let (status, words) = ended(&[]);
    assert_eq!(status, Some(3), "{words}");
    drop(log);

    let log = open(data.path());
    make(&log, SignalContract::SearchExecuted);
    search(&log, 0..3);
    drop(log);
    let process = Process::start(data.path(), &ONLY_SEARCHES);
    process.until_there_is("/v1/trending");
    assert_eq!(process.stop().1, Some(0));
    // An input more changes when windows close: that is a migration, and not a matter of a restart.
    let log = open(data.path());
    make(&log, SignalContract::PoiFavorited);
    drop(log);
    let more: Vec<&str> = ONLY_SEARCHES[2..].to_vec();
    let (status, words) = ended(&more);
    assert_eq!(status, Some(4), "{words}");
    assert!(words.contains("poi.favorited-0: the state was made without this topic"), "{words}");
    // Windows of another size are another topology's state.
    let other: Vec<&str> = ONLY_SEARCHES.into_iter().chain(["--trending.window.ms", "30m"]).collect();
    let (status, words) = ended(&other);
    assert_eq!(status, Some(4), "{words}");
}

#[test]
fn explain_names_each_value_and_where_it_comes_from() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("worker.toml");
    std::fs::write(&file, "[weights]\npoi-favorited = 5\n\n[trending]\nlist.length = 7\n").unwrap();
    let output = command(data.path())
        .arg("--config")
        .arg(&file)
        .args(["--explain", "--trending.damping", "20"])
        .env("STREAMFLEET_QUERIES_USERS_MIN", "9")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let file = file.display();
    for line in [
        "trending.window.ms = 3600000  # default".to_owned(),
        "trending.advance.ms = 60000  # default".to_owned(),
        "trending.users.min = 10  # default".to_owned(),
        "trending.damping = 20  # flag --trending.damping".to_owned(),
        "queries.users.min = 9  # variable STREAMFLEET_QUERIES_USERS_MIN".to_owned(),
        format!("weights.poi-favorited = 5  # {file}:2"),
        format!("trending.list.length = 7  # {file}:5"),
        "inputs.itinerary-saved.topic = \"itinerary.saved\"  # default".to_owned(),
        "outputs.trending.topic = \"trending.cities.v1\"  # default".to_owned(),
        format!("state.dir = \"{}\"  # flag --data", data.path().join("state").display()),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}
