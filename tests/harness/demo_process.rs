//! `streamfleet demo` as a process of its own: built, started, killed, and its log read afterwards.
//!
//! Not here: what is expected of it. Invariant: nothing waits for a time; a process is watched by the
//! lines that it prints.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use processing_core::batch::RecordBatch;
use processing_core::log::Read;
use processing_core::log::embedded::EmbeddedReaderProcess;
use processing_core::record::TopicPartition;

/// The command: the one that `make test` has built, or else built now, where cargo puts it beside this test.
pub fn streamfleet() -> PathBuf {
    if let Some(built) = std::env::var_os("STREAMFLEET_BIN") {
        return built.into();
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--package", "fleet", "--bin", "streamfleet"])
        .status()
        .expect("cargo can be started");
    assert!(built.success(), "streamfleet cannot be built");
    let mut folder = std::env::current_exe().expect("a test has a file");
    // target/debug/deps/this-test
    folder.pop();
    folder.pop();
    folder.join("streamfleet")
}

/// A feed that depends on its seed alone, as fast as it can be read. Partitions are never idle, because idleness is a
/// matter of clocks.
pub const STEADY_FEED: &[&str] = &[
    "--headless",
    "--speed",
    "max",
    "--start",
    "2026-11-01T08:00:00Z",
    "--history",
    "1h",
    "--rate",
    "1000",
    "--idle-after",
    "off",
];

/// A demo that runs.
pub struct DemoProcess {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl DemoProcess {
    /// Starts `program demo` in `folder` with more `arguments`.
    pub fn start(program: &Path, folder: &Path, arguments: &[&str]) -> Self {
        Self::of(Command::new(program), folder, arguments)
    }

    /// As [`Self::start`], on a machine on which no file can grow beyond `kib`: what a full disk looks like
    /// to a process that may not have a disk of its own.
    pub fn start_cramped(program: &Path, folder: &Path, arguments: &[&str], kib: u32) -> Self {
        let mut shell = Command::new("bash");
        // An ignored signal stays ignored in the program, so that a write answers with an error.
        shell.args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"", &kib.to_string()]).arg(program);
        Self::of(shell, folder, arguments)
    }

    fn of(mut command: Command, folder: &Path, arguments: &[&str]) -> Self {
        let mut child = command
            .arg("demo")
            .arg("--data")
            .arg(folder)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the demo can be started");
        let lines = BufReader::new(child.stdout.take().expect("its output was asked for"));
        Self { child, lines }
    }

    /// Its next line; `None` at its end.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).expect("the demo prints text");
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("a process that was started can be killed");
        self.child.wait().expect("a killed process ends");
    }

    /// Asks it to stop, as Ctrl-C does, and waits for its end in good order.
    pub fn interrupt(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill can be started").success());
        self.expect_good_end();
    }

    /// Waits for its end by itself.
    pub fn finish(mut self) {
        self.expect_good_end();
    }

    /// Waits for its end by itself; answers what it has said on its standard error.
    pub fn finish_with_words(mut self) -> String {
        self.expect_good_end();
        self.last_words()
    }

    /// Waits for its end by itself, which must be an error; answers its exit code and what it has said on its
    /// standard error.
    pub fn fail_with_words(mut self) -> (i32, String) {
        while self.line().is_some() {}
        let ended = self.child.wait().expect("a process ends");
        let code = ended.code().filter(|code| *code != 0);
        (code.unwrap_or_else(|| panic!("the demo ended with {ended}")), self.last_words())
    }

    /// What it has said on its standard error; for a process that has ended.
    pub fn last_words(&mut self) -> String {
        let mut words = String::new();
        let mut stderr = self.child.stderr.take().expect("its errors were asked for");
        std::io::Read::read_to_string(&mut stderr, &mut words).expect("the demo writes text");
        words
    }

    fn expect_good_end(&mut self) {
        while self.line().is_some() {}
        let ended = self.child.wait().expect("a process ends");
        if !ended.success() {
            panic!("the demo ended with {ended}: {}", self.last_words());
        }
    }
}

/// The commits that a progress line tells of.
pub fn commits_in(line: &str) -> u64 {
    let mut words = line.split_whitespace().skip_while(|word| *word != "commits");
    words.nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A record without what differs from run to run: its offset in the partition and its log timestamp.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Every committed record of a topic, by partition and in order.
pub fn committed(folder: &Path, topic: &str) -> Vec<Vec<Seen>> {
    let log = EmbeddedReaderProcess::open(&folder.join("log")).expect("the log can be read");
    let info = log.admin().topic(&topic.into()).expect("topics can be read").expect("the topic is there");
    let mut reader = log.reader();
    let mut batch = RecordBatch::new();
    (0..info.settings.partitions)
        .map(|partition| {
            let place = TopicPartition::new(topic, partition);
            let mut seen = Vec::new();
            let mut next = reader.watermarks(&place).expect("ends can be read").start;
            while let Read::Records(after) = reader.read(&place, next, &mut batch).expect("records can be read") {
                next = after;
                seen.extend(batch.iter().map(|record| Seen {
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    headers: record.headers.iter().map(|(k, v)| (k.to_owned(), v.map(<[u8]>::to_vec))).collect(),
                }));
            }
            seen
        })
        .collect()
}

/// The records of each key in their order: what final results are compared by.
pub fn by_key(partitions: Vec<Vec<Seen>>) -> BTreeMap<Vec<u8>, Vec<Seen>> {
    let mut keys: BTreeMap<Vec<u8>, Vec<Seen>> = BTreeMap::new();
    for record in partitions.into_iter().flatten() {
        keys.entry(record.key.clone().unwrap_or_default()).or_default().push(record);
    }
    keys
}

/// The last record of each key: what updates are compared by.
pub fn last_by_key(partitions: Vec<Vec<Seen>>) -> BTreeMap<Vec<u8>, Seen> {
    by_key(partitions).into_iter().filter_map(|(key, mut records)| Some((key, records.pop()?))).collect()
}

/// All records, counted: what dead letters are compared by.
pub fn as_set(partitions: Vec<Vec<Seen>>) -> (BTreeSet<Seen>, usize) {
    let count = partitions.iter().map(Vec::len).sum();
    (partitions.into_iter().flatten().collect(), count)
}
