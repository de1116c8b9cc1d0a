//! The worker against its definition, computed another way: random worlds with disorder, duplicates, lateness and crashes,
//! on fleets of several processes.
//!
//! Not here: coverage, which needs days (`tests/scripts`). Each world is run by a fleet at the worst of times
//! (`processing_core::testing`), which must say what one worker says that never failed, and what the oracle makes of the
//! input log. `MODEL_PERFORMANCE_RUNS` says how many worlds; without it there are as many as a test run can wait for.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

mod compare;
mod experiments;
mod lists;
mod models;
mod schemas;
mod world;

use processing_core::testing::{SimOptions, simulate_seed};

use crate::compare::Said;

/// Worlds of a test run.
const RUNS: u64 = 300;

fn check(schemas: &schemas::Schemas, seed: u64) -> Said {
    let settings = world::settings();
    let feed = world::feed(seed);
    let options = SimOptions { idle_after: None, idle_close: None, ..SimOptions::hostile(seed) };
    let report = simulate_seed(|| world::topology(&settings), &feed, seed, &options);
    let report = report.unwrap_or_else(|failure| panic!("{failure}"));
    schemas.hold(&report.outcome);
    let events = world::Events::of(&report.story, &settings);
    let mut expected = models::expected(&settings, &events);
    expected.extend(experiments::expected(&settings, &events));
    let said = Said::of(&report.outcome, world::cutoff(&events));
    said.must_be(seed, &expected);
    said
}

#[test]
fn any_world_gives_what_the_definition_says() {
    let runs = std::env::var("MODEL_PERFORMANCE_RUNS").ok().map_or(RUNS, |runs| runs.parse().unwrap());
    let (schemas, mut all) = (schemas::Schemas::new(), Said::default());
    for seed in 0..runs {
        all.add(check(&schemas, seed));
    }
    println!("{all}");
    // A test in which nothing happens proves nothing.
    for topic in compare::TOPICS {
        assert!(all.count(topic) > 0, "{topic}: nothing in {runs} worlds");
    }
    for decision in ["better", "worse", "stopped_guardrail", "invalid_srm", "no_decision"] {
        assert!(all.decisions(decision) > 0, "{decision}: never in {runs} worlds");
    }
}
