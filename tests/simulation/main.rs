//! Thousands of seeded runs of whole fleets on a log at its worst, each compared with one worker that never
//! failed, and with a naive definition of its results.
//!
//! A failing run is named by its scenario and seed; `make soak ARGS="SCENARIO SEED"` shows it step by step.
//!
//! Not here: the simulator (`processing_core::testing`). Invariant: a run that has failed once is in
//! `seeds.txt` and is run every time, before any other.

#![expect(clippy::expect_used, clippy::disallowed_methods, reason = "a test is the outside, and may measure itself")]

mod events;
mod mutants;
mod oracle;
mod properties;
mod run;
mod topologies;

use std::time::Instant;

use run::{Run, Totals};

/// Seeds of `make test`, over all scenarios in turn.
const SEEDS: u64 = 4_000;

/// The runs of `seeds.txt`: scenario, seed, and why it is there.
fn kept() -> Vec<Run> {
    let lines = include_str!("seeds.txt").lines();
    let lines = lines.filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|line| Run::parse(line).unwrap_or_else(|| panic!("seeds.txt: no scenario and seed in {line:?}")))
        .collect()
}

/// Runs the seeds of `numbers`; a few failures are enough to be told.
fn all_hold(numbers: impl Iterator<Item = u64>) {
    let begin = Instant::now();
    let mut totals = Totals::default();
    let mut failures = Vec::new();
    for number in numbers {
        let run = Run::numbered(number);
        match run.holds(0) {
            Ok(report) => totals.add(&report),
            Err(failure) => {
                println!("{run}: {failure}");
                failures.push(run.to_string());
                if failures.len() == 5 {
                    break;
                }
            }
        }
    }
    println!("{totals} in {:.1} s", begin.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "failing runs: {failures:?}; `make soak ARGS=\"SCENARIO SEED\"` shows one in full");
}

#[test]
fn runs_that_failed_once_hold() {
    for run in kept() {
        if let Err(failure) = run.holds(0) {
            panic!("{run}: {failure}");
        }
    }
}

#[test]
fn fleets_say_what_one_worker_that_never_failed_says_even_seeds() {
    all_hold((0..SEEDS).step_by(2));
}

#[test]
fn fleets_say_what_one_worker_that_never_failed_says_odd_seeds() {
    all_hold((1..SEEDS).step_by(2));
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for number in SEEDS..SEEDS + 60 {
        let run = Run::numbered(number);
        let (Ok(first), Ok(second)) = (run.holds(0), run.holds(0)) else { panic!("{run} fails") };
        assert_eq!(first.trace, second.trace, "{run}");
        assert_eq!(first.tally, second.tally, "{run}");
        assert_eq!(first.outcome, second.outcome, "{run}");
    }
}
