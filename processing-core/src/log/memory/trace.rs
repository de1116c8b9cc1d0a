//! What happened in the log, in order: a running hash, and on request the last lines.
//!
//! Not here: any decision; nothing reads the trace but tests.
//! Invariant: two runs with the same hash took the same steps at the same virtual times.

use std::collections::VecDeque;
use std::fmt::Display;
use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

/// The steps of a run: equal for equal seeds under equal calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Over all steps since the log was made.
    pub hash: u64,
    /// How many steps there were.
    pub steps: u64,
    /// The last steps, as many as [`super::MemoryOptions::trace_lines`] asked to keep.
    pub lines: Vec<String>,
}

pub(super) struct Recorder {
    hasher: FxHasher,
    steps: u64,
    keep: usize,
    lines: VecDeque<String>,
}

impl Recorder {
    pub(super) fn new(keep: usize) -> Self {
        Self { hasher: FxHasher::default(), steps: 0, keep, lines: VecDeque::new() }
    }

    /// Adds one step: what happened to whom, with two numbers that `what` explains.
    pub(super) fn note(&mut self, now: i64, what: &'static str, whom: &(impl Hash + Display), a: u64, b: u64) {
        self.steps += 1;
        (now, what, a, b).hash(&mut self.hasher);
        whom.hash(&mut self.hasher);
        if self.keep > 0 {
            if self.lines.len() == self.keep {
                self.lines.pop_front();
            }
            self.lines.push_back(format!("{now} {what} {whom} {a} {b}"));
        }
    }

    pub(super) fn trace(&self) -> Trace {
        Trace { hash: self.hasher.finish(), steps: self.steps, lines: self.lines.iter().cloned().collect() }
    }
}
