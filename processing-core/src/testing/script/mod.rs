//! Tests of a topology as scripts: what goes in, what comes out, what fails in between.
//!
//! ```text
//! # A trip that comes late and inside the grace counts.
//! in   trips   10:00:10  7  {"at": $ms, "city": "porto", "fare": 900}
//! in   trips   10:05:10  8  {"at": $ms, "city": "porto", "fare": 100}
//! in   trips   10:04:50  7  {"at": $ms, "city": "porto", "fare": 400}
//! in   trips   10:05:31  8  {"at": $ms, "city": "porto", "fare": 100}
//! out  cities  porto  {"start": $ms(10:00), "trips": 2, "fare": 1300}
//! ```
//!
//! | line | meaning |
//! |---|---|
//! | `set idle 30s` | a partition that is read to its end and silent so long is idle; `set close 1m`: when all are, time goes on with the clock, so far behind it; also `future`, `commit` |
//! | `topic TOPIC N` | an input topic has `N` partitions and not 1 |
//! | `in TOPIC TIME KEY VALUE` | a record is appended with this log timestamp; `TOPIC/2` names its partition, `-` is no key, `~` a tombstone |
//! | `out TOPIC [KEY] JSON` | the next record of an output, exactly |
//! | `has TOPIC [KEY] JSON` | the next record of an output has at least these fields |
//! | `last TOPIC KEY JSON` | the last record of this key has at least these fields: for outputs of updates; `-`: there is none |
//! | `late [JSON]` | the next record in the side output of late ones |
//! | `dead [REASON]` | the next dead letter, with its reason |
//! | `crash` | the process dies; what its stores had not flushed is lost |
//! | `rebalance` | a partition is taken away and comes back |
//! | `pause` | no new input is taken in, until `resume` |
//! | `advance 90s` | the clock moves on without a record |
//!
//! Blank lines and lines that begin with `#` or `//` say nothing. A TIME is `10:00`, `10:00:10` or
//! `10:00:10.250` of 2026-01-01, RFC 3339, or milliseconds since 1970. In a value, `$ms` and `$time` stand
//! for the line's own time as a number and as RFC 3339, and `$ms(10:05)` and `$time(10:05)` for any other.
//! The clock never stands before the latest TIME. A KEY or VALUE `$hex(00ff)` is these bytes.
//!
//! An `out` stands right after the line that causes it: an output that is named by some `out` or `has` of
//! the script, the late output and the dead letters may hold nothing that no line expects.
//!
//! [`complete()`] writes the expectations of a script that has only inputs, for a person to read and keep.
//!
//! Not here: chance, and more than one worker. Invariant: a script passes only if each of its
//! runs (as written; with a crash before each line; with a crash at each stage of the commit after each line;
//! with a rebalance before each line; with each line's input coming during a pause) gives the same committed output.

mod complete;
mod expect;
mod home;
mod line;
mod run;
mod write;

pub use complete::complete;
pub(super) use write::input;

use std::fmt;

use crate::commit::CommitStage;
use crate::plan::Plan;

/// A script that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The line, from 1; 0 where all lines held and the outputs of two runs differ.
    pub line: usize,
    /// In which run.
    pub run: Run,
    /// What was expected and what was found.
    pub message: String,
}

/// How a script is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// As it is written.
    AsWritten,
    /// The process dies before this line.
    CrashBefore(usize),
    /// The process dies in the first commit after this line, before this stage of it.
    CrashInCommit(usize, CommitStage),
    /// A partition is taken away and given back before this line.
    RebalanceBefore(usize),
    /// What this line brings comes while the worker takes in no new input.
    PausedDuring(usize),
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsWritten => f.write_str("as written"),
            Self::CrashBefore(line) => write!(f, "with a crash before line {line}"),
            Self::CrashInCommit(line, stage) => {
                write!(f, "with a crash before stage {stage:?} of the commit after line {line}")
            }
            Self::RebalanceBefore(line) => write!(f, "with a rebalance before line {line}"),
            Self::PausedDuring(line) => write!(f, "with a pause during line {line}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "script line {}, run {}:\n{}", self.line, self.run, self.message)
    }
}

impl std::error::Error for Failure {}

/// Runs a script in all its runs and panics with the first difference.
#[track_caller]
pub fn check(plan: impl Fn() -> Plan, text: &str) {
    if let Err(failure) = try_check(plan, text) {
        panic!("{failure}");
    }
}

/// As [`check`], for who wants to see the failure.
///
/// # Errors
///
/// The first [`Failure`]: a line that cannot be read, an expectation that does not hold, or two runs whose
/// outputs differ.
pub fn try_check(plan: impl Fn() -> Plan, text: &str) -> Result<(), Failure> {
    let script = line::read(text)?;
    let written = run::run(plan(), &script, Run::AsWritten)?;
    for line in &script {
        let at = line.number;
        let mut runs = vec![Run::CrashBefore(at), Run::RebalanceBefore(at)];
        if line.acts() {
            runs.push(Run::PausedDuring(at));
            runs.extend(CommitStage::ALL.map(|stage| Run::CrashInCommit(at, stage)));
        }
        for kind in runs {
            let other = run::run(plan(), &script, kind)?;
            if let Some(message) = written.difference(&other) {
                return Err(Failure { line: 0, run: kind, message });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
