//! A worker as a process of its own, told by settings as an operator tells it.
//!
//! Not here: what it computes. Invariant: it gets no variable of `KAFKA_*` or `STREAMFLEET_*` but those of the test.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use super::cluster::free_port;
use crate::guarded::Guarded;

const PATIENCE: Duration = Duration::from_secs(120);

/// How a worker is started.
#[derive(Debug, Clone)]
pub struct WorkerSetup {
    /// The binary.
    pub program: PathBuf,
    /// `application.id`.
    pub app: String,
    /// Its input topic.
    pub input: String,
    /// `KAFKA_BROKERS`; `None` is the embedded log.
    pub brokers: Option<String>,
    /// The folder below which each instance has one of its own.
    pub data: PathBuf,
    /// More variables.
    pub variables: Vec<(String, String)>,
    /// More flags.
    pub flags: Vec<String>,
}

impl WorkerSetup {
    /// With one more variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// With one more setting, `--name value`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([format!("--{name}"), value.to_owned()]);
        self
    }

    /// The data folder of an instance.
    pub fn folder(&self, instance: &str) -> PathBuf {
        self.data.join(instance)
    }

    /// Starts an instance. Its log goes on in the same file after a restart.
    pub fn start(&self, instance: &str) -> WorkerProcess {
        let folder = self.folder(instance);
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let port = free_port();
        let mut command = Command::new(&self.program);
        let foreign = std::env::vars_os().map(|(name, _)| name);
        for name in foreign.filter(|name| {
            let name = name.to_string_lossy();
            name.starts_with("KAFKA_") || name.starts_with("STREAMFLEET_")
        }) {
            command.env_remove(name);
        }
        if let Some(brokers) = &self.brokers {
            command.env("KAFKA_BROKERS", brokers);
        }
        command
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .arg("--data")
            .arg(&folder)
            .args(["--application.id", &self.app, "--group.instance.id", instance])
            .args(["--inputs.in.topic", &self.input, "--log.format", "text"])
            .args(["--http.listen", &format!("127.0.0.1:{port}")])
            .args(&self.flags);
        let log = self.log_of(instance);
        WorkerProcess { process: Guarded::start(format!("worker {instance}"), command, &log), port }
    }

    fn log_of(&self, instance: &str) -> PathBuf {
        self.data.join(format!("{instance}.log"))
    }

    /// The last words of all instances that ever ran, for a message.
    pub fn last_words(&self) -> String {
        self.logs().iter().map(|log| tail(log)).collect()
    }

    /// Where everything stands that the instances have said.
    pub fn logs(&self) -> Vec<PathBuf> {
        let logs = std::fs::read_dir(&self.data).expect("the folder can be read").filter_map(Result::ok);
        let mut logs: Vec<PathBuf> =
            logs.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
        logs.sort();
        logs
    }
}

fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    format!("--- {}:\n{}\n", log.display(), lines[lines.len().saturating_sub(25)..].join("\n"))
}

/// A worker that runs, or has ended.
#[derive(Debug)]
pub struct WorkerProcess {
    process: Guarded,
    port: u16,
}

impl WorkerProcess {
    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGSTOP: it hears and says nothing more, and does not know.
    pub fn freeze(&self) {
        self.process.signal("STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.process.signal("CONT");
    }

    /// SIGTERM, and its end in good order.
    pub fn terminate(&mut self) {
        self.process.signal("TERM");
        let status = self.process.wait(PATIENCE);
        assert!(status.success(), "the worker ended with {status}\n{}", self.process.last_words());
    }

    /// SIGTERM, and its end in good order, or by its own force: one that is stopped while the broker keeps it waiting
    /// goes after ten seconds without what it had not committed; or by the signal itself: one that has just been started
    /// does not listen yet.
    pub fn terminate_somehow(&mut self) {
        const BY_FORCE: i32 = 143;
        const SIGTERM: i32 = 15;
        self.process.signal("TERM");
        let status = self.process.wait(PATIENCE);
        assert!(
            status.success() || status.code() == Some(BY_FORCE) || status.signal() == Some(SIGTERM),
            "the worker ended with {status}\n{}",
            self.process.last_words()
        );
    }

    /// Waits until it ends by itself; answers its exit code and everything that it has ever said.
    pub fn wait(&mut self) -> (Option<i32>, String) {
        let status: ExitStatus = self.process.wait(PATIENCE);
        (status.code(), self.process.log())
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Everything that it has said.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until `holds` of everything that it has said.
    pub fn await_log(&mut self, what: &str, holds: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(&self.process.log()) {
            let fit = self.runs() && Instant::now() < deadline;
            assert!(fit, "the worker does not say {what}\n{}", self.process.last_words());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Status and body of an answer of its port; `None` while it does not listen.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Waits until its port answers `path` with `status` and a body that `holds`; answers the body.
    pub fn await_answer(&mut self, path: &str, status: u16, holds: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path);
            if let Some((found, body)) = &answer
                && *found == status
                && holds(body)
            {
                return body.clone();
            }
            let fit = self.runs() && Instant::now() < deadline;
            assert!(fit, "{path} is {answer:?}, not {status}\n{}", self.process.last_words());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
