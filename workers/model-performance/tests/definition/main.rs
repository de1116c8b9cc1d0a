//! The worker against its definition, computed another way: random worlds with disorder, duplicates, lateness and crashes,
//! on fleets of several processes.
//!
//! Not here: single cases (`tests/scripts`). Each world is run by a fleet at the worst of times
//! (`processing_core::testing`), which must say what one worker says that never failed, and what the oracle makes of the
//! input log. `MODEL_PERFORMANCE_RUNS` says how many worlds; without it there are as many as a test run can wait for.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

mod compare;
mod coverage;
mod experiments;
mod lists;
mod models;
mod schemas;
mod world;

use model_performance::ModelSettings;
use processing_core::record::DurationMs;
use processing_core::testing::{SimOptions, simulate_seed};

use crate::compare::Said;

/// Worlds of a test run.
const RUNS: u64 = 300;

fn check(schemas: &schemas::Schemas, seed: u64) -> Said {
    let settings = world::settings();
    let feed = world::feed(seed, None);
    let options = SimOptions { idle_after: None, idle_close: None, ..SimOptions::hostile(seed) };
    let report = simulate_seed(|| world::topology(&settings), &feed, seed, &options);
    let report = report.unwrap_or_else(|failure| panic!("{failure}"));
    schemas.hold(&report.outcome);
    let events = world::Events::of(&report.story, &settings);
    let mut expected = models::expected(&settings, &events);
    expected.extend(experiments::expected(&settings, &events));
    expected.extend(coverage::expected(&settings, &events));
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

/// Where nothing is late, what is said does not depend on how the input is partitioned.
#[test]
fn the_number_of_partitions_changes_nothing_where_nothing_is_late() {
    // Nothing in these worlds comes four minutes after its time.
    let settings = ModelSettings { grace: DurationMs::minutes(4), ..world::settings() };
    let mut all = Said::default();
    for seed in 10_000..10_010 {
        let [one, three] = [1, 3].map(|partitions| {
            let feed = world::feed(seed, Some(partitions));
            let report = simulate_seed(|| world::topology(&settings), &feed, seed, &SimOptions::calm());
            let report = report.unwrap_or_else(|failure| panic!("{failure}"));
            let events = world::Events::of(&report.story, &settings);
            assert_eq!(events.late(), 0, "seed {seed} on {partitions} partitions");
            Said::of(&report.outcome, world::cutoff(&events))
        });
        one.must_be(seed, three.records());
        all.add(one);
    }
    for topic in compare::TOPICS {
        assert!(all.count(topic) > 0, "{topic}: nothing was compared");
    }
}
