//! A process of a test: its output in a file, signalled by its id, and gone when the test is gone.
//!
//! Not here: what it is. Invariant: it does not outlive whoever started it, not even if that one is killed: a
//! watching shell waits for the end of a pipe that only the starter holds.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A process that runs, or has ended and was not yet dropped.
#[derive(Debug)]
pub struct Guarded {
    name: String,
    child: Child,
    watch: Child,
    log: PathBuf,
}

impl Guarded {
    /// Starts `command`; everything that it says is appended to the file `log`.
    pub fn start(name: impl Into<String>, command: Command, log: &Path) -> Self {
        Self::start_in(name, command, log, Path::new(""))
    }

    /// As [`Self::start`], with a folder that is removed if nobody is left to do it: a `static` of a test is never
    /// dropped.
    pub fn start_in(name: impl Into<String>, mut command: Command, log: &Path, folder: &Path) -> Self {
        let name = name.into();
        let file = OpenOptions::new().create(true).append(true).open(log).expect("a log file can be made");
        let second = file.try_clone().expect("a file can be opened twice");
        let child = command.stdin(Stdio::null()).stdout(file).stderr(second).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let watch = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$0\"; [ -z \"$1\" ] || rm -rf \"$1\"", &child.id().to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell can be started");
        Self { name, child, watch, log: log.to_owned() }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal: `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill can be started").success(), "{}: no {signal} can be sent", self.name);
    }

    /// `kill -9`, and its end. No error if it has ended already.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed process ends");
    }

    /// Whether and how it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked after")
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, at_most: Duration) -> ExitStatus {
        let deadline = Instant::now() + at_most;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "{} does not end; its last words:\n{}", self.name, self.last_words());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The file with everything that it has said.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The end of [`Self::log`], for a message.
    pub fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(30);
        format!("--- {} ({}):\n{}\n", self.name, self.log.display(), lines[from..].join("\n"))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // The watch first: it must not signal an id that has been given to somebody else.
        for child in [&mut self.watch, &mut self.child] {
            if child.kill().and_then(|()| child.wait()).is_err() {
                eprintln!("{} cannot be ended", self.name);
            }
        }
    }
}
