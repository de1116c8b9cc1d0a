//! The rules of exactly-once broken one by one: each must be found within a number of seeds.
//!
//! Not here: what breaks them (`processing_core::testing::Mutation`). Invariant: a mutant is found by the
//! same checks, on the same seeds, as the ones that the fleet itself passes.

use processing_core::testing::{Mutation, SimOptions};

use crate::run::Run;
use crate::topologies;

/// The seeds among which each mutant must be found: so many of each scenario, since some are found by one alone.
const SEEDS: u64 = 400 * topologies::ALL.len() as u64;

/// The first run that finds the mutant, and what it says.
fn found(mutation: Mutation) -> Option<(Run, String)> {
    (0..SEEDS).find_map(|number| {
        let run = Run::numbered(number);
        let options = SimOptions { mutation: Some(mutation), ..run.options() };
        let failure = run.holds_under(&options).err()?;
        Some((run, failure.what))
    })
}

#[test]
fn every_broken_rule_is_found() {
    let mut missed = Vec::new();
    for mutation in Mutation::ALL {
        match found(mutation) {
            Some((run, what)) => {
                let line = what.lines().next().unwrap_or_default();
                println!("{mutation:?}: {run}: {}", line.chars().take(160).collect::<String>());
            }
            None => missed.push(mutation),
        }
    }
    assert!(missed.is_empty(), "broken rules that no seed below {SEEDS} has found: {missed:?}");
}
