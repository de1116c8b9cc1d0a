//! The `streamfleet` command on a folder of its own: run to its end, or started and watched.
//!
//! Not here: what is expected of it. Invariant: nothing is left behind; the folder goes with its handle.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::demo_process::{DemoProcess, streamfleet};

/// The command, and a data folder.
pub struct Streamfleet {
    program: PathBuf,
    folder: tempfile::TempDir,
}

/// What a command has said.
#[derive(Debug)]
pub struct Answer {
    /// Whether it ended well.
    pub ok: bool,
    /// Its standard output.
    pub out: String,
    err: String,
}

impl Answer {
    /// Its standard error, of a command that must have ended well.
    pub fn words(self) -> String {
        assert!(self.ok, "{self:?}");
        self.err
    }

    /// Its standard error, of a command that must have failed, in words and not by a panic.
    pub fn failed(self) -> String {
        assert!(!self.ok && !self.err.is_empty() && !self.err.contains("panicked"), "{self:?}");
        self.err
    }
}

impl Default for Streamfleet {
    fn default() -> Self {
        Self::new()
    }
}

impl Streamfleet {
    /// A fresh folder.
    pub fn new() -> Self {
        Self { program: streamfleet(), folder: tempfile::tempdir().expect("a folder can be made") }
    }

    /// A folder for the test's own files; the data are in one below.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder of its log.
    pub fn log(&self) -> PathBuf {
        self.data().join("log")
    }

    /// Starts a demo on the folder.
    pub fn demo(&self, arguments: &[&str]) -> DemoProcess {
        DemoProcess::start(&self.program, &self.data(), arguments)
    }

    /// Runs a command on the folder to its end.
    pub fn run(&self, arguments: &[&str], input: &str) -> Answer {
        self.run_in(&self.data(), arguments, input)
    }

    /// Runs a command on another data folder.
    pub fn run_in(&self, data: &Path, arguments: &[&str], input: &str) -> Answer {
        Self::ended(self.child(&[arguments, &["--data", &data.to_string_lossy()]].concat(), Stdio::piped()), input)
    }

    /// Runs a command that knows no data folder.
    pub fn run_without_folder(&self, arguments: &[&str], input: &str) -> Answer {
        Self::ended(self.child(arguments, Stdio::piped()), input)
    }

    fn ended(mut child: Child, input: &str) -> Answer {
        let mut stdin = child.stdin.take().expect("its input was asked for");
        // A command that has refused its arguments reads nothing.
        drop(stdin.write_all(input.as_bytes()));
        drop(stdin);
        let output = child.wait_with_output().expect("a command ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Answer { ok: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Starts a command that prints as it goes.
    pub fn start(&self, arguments: &[&str]) -> Started {
        let data = self.data();
        let mut child = self.child(&[arguments, &["--data", &data.to_string_lossy()]].concat(), Stdio::null());
        let lines = BufReader::new(child.stdout.take().expect("its output was asked for"));
        Started { child, lines }
    }

    fn child(&self, arguments: &[&str], input: Stdio) -> Child {
        Command::new(&self.program)
            .args(arguments)
            .current_dir(self.folder())
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command can be started")
    }
}

/// A command under way.
pub struct Started {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Started {
    /// Its next line; `None` at its end.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).expect("the command prints text");
        (read > 0).then_some(line)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, as Ctrl-C does, and waits for its end in good order.
    pub fn interrupt(self) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill can be started").success());
        self.finish();
    }

    /// Waits for its end by itself.
    pub fn finish(mut self) {
        assert!(self.child.wait().expect("a command ends").success());
    }
}
