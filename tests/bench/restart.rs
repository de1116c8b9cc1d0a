//! How long a worker with a large state needs after `kill -9` to its next commit.
//!
//! Not here: what an event costs. Invariant: the process is killed while it works at full speed, so what it
//! had not flushed is as much as it ever is.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use processing_core::aggregate::{Aggregate, Exactness, Mergeable};
use processing_core::batch::{Headers, RecordBatch, RecordRef};
use processing_core::clock::{Clock as _, SystemClock};
use processing_core::limits::Bounds;
use processing_core::log::embedded::Durability;
use processing_core::log::{Cleanup, Log, TopicSettings};
use processing_core::prelude::*;
use processing_core::record::{LogTime, Offset, TopicName, TopicPartition};
use serde::{Deserialize, Serialize};
use state::MemoryBudget;

use crate::cases::{self, OnDisk};
use crate::input;

const TOPIC: &str = "profiles";
/// A row's value does not compress.
const ROW_BYTES: u64 = 1_000;
/// Events that come while the process is killed and started again.
const BACKLOG: u64 = 200_000;

/// What was found; written as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Restart {
    state_mib: u64,
    state_rows: u64,
    /// Changelog records that the new process read.
    restored_records: u64,
    /// From the start of the process to its first commit.
    first_commit_ms: u64,
    peak_rss_mib: f64,
}

#[derive(Deserialize)]
struct Profile {
    id: u64,
}

/// A row of its full size.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Filler(Vec<u64>);

impl Mergeable for Filler {
    const EXACTNESS: Exactness = Exactness::Exact;
    fn merge(&mut self, other: &Self) {
        self.0.clone_from(&other.0);
    }
    fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<u64>()
    }
}

impl Aggregate<Profile> for Filler {
    fn add(&mut self, profile: &Profile) {
        let numbers = (1..=ROW_BYTES / 9).map(|n| ((profile.id << 20) + n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        self.0 = numbers.collect();
    }
}

fn plan() -> Plan {
    let app = Topology::named("restart");
    app.stream(Topic::json(TOPIC))
        .event_time(|profile: &Profile| EventTime((profile.id / 1_000) as i64))
        .already_keyed_by(|profile| profile.id)
        .window(Tumbling::new(DurationMs::hours(24)))
        .aggregate::<Filler>("profiles")
        .on_close()
        .map(|closed| closed.value.0.len())
        .to(Topic::json("profiles-out"));
    app.build().expect("a topology")
}

/// Fills a state of about `mib`, kills its process and starts another.
pub(crate) fn measure(folder: &Path, mib: u64) -> Restart {
    let rows = (mib << 20) / ROW_BYTES;
    feed(folder, rows + 2 * BACKLOG);
    let mut first = Running::start(folder);
    while first.next().records < rows {}
    first.child.kill().expect("it can be killed");
    first.child.wait().expect("it ends");
    let begin = Instant::now();
    let mut second = Running::start(folder);
    let word = second.next();
    let first_commit_ms = begin.elapsed().as_millis() as u64;
    second.child.kill().expect("it can be killed");
    second.child.wait().expect("it ends");
    let state_mib = bytes_in(&folder.join("state")) >> 20;
    Restart {
        state_mib,
        state_rows: rows,
        restored_records: word.restored,
        first_commit_ms,
        peak_rss_mib: word.peak_rss_mib,
    }
}

fn feed(folder: &Path, events: u64) {
    let log = input::open(folder, &MemoryBudget::default());
    let topic = TopicName::new(TOPIC);
    let settings =
        TopicSettings { partitions: 1, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false };
    log.admin().expect("admin").create_topic(&topic, settings).expect("the topic");
    let mut batch = RecordBatch::new();
    for id in 0..events {
        let value = format!("{{\"id\":{id}}}");
        let record = RecordRef {
            offset: Offset::ZERO,
            timestamp: LogTime(0),
            key: None,
            value: Some(value.as_bytes()),
            headers: Headers::NONE,
        };
        batch.push(record);
        if batch.len() == 1_000 || id + 1 == events {
            log.append(&TopicPartition::new(TOPIC, 0), &batch, Durability::Os).expect("appended");
            batch.clear();
        }
    }
}

/// What a process says after each commit.
#[derive(Serialize, Deserialize)]
struct Word {
    /// Taken in by this process.
    records: u64,
    restored: u64,
    peak_rss_mib: f64,
}

struct Running {
    child: Child,
    words: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--restart-child", folder.to_str().expect("a path in UTF-8")])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let words = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, words }
    }

    fn next(&mut self) -> Word {
        let mut line = String::new();
        self.words.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).expect("a word")
    }
}

/// The process: works until it is killed and says a word after each commit.
pub(crate) fn work(folder: &Path) {
    let budget = MemoryBudget::default();
    let log: Arc<dyn Log> = input::open(folder, &budget);
    let clock = SystemClock::new();
    let mut worker = cases::start(log, plan(), OnDisk { folder: folder.join("state"), budget }, Bounds::default());
    let mut told = 0;
    loop {
        worker.step(clock.now()).expect("the worker goes on");
        let status = worker.status();
        if status.commits > told && status.counts.records > 0 {
            told = status.commits;
            let peak_rss_mib = crate::measure::peak_rss_mib();
            let word = Word { records: status.counts.records, restored: status.restored, peak_rss_mib };
            println!("{}", serde_json::to_string(&word).expect("a word is JSON"));
            std::io::stdout().flush().expect("somebody listens");
        }
    }
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let size = |entry: std::fs::DirEntry| match entry.metadata().expect("its size") {
        meta if meta.is_dir() => bytes_in(&entry.path()),
        meta => meta.len(),
    };
    entries.map(size).sum()
}
