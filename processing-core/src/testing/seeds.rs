//! One topology under many seeds, and what is left of the first that fails.
//!
//! Not here: one run ([`super::simulate()`]). Invariant: a failure names a seed that fails again, and a script that
//! says what it is about.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::counterexample::Counterexample;
use super::feed::{Arrival, Feed};
use super::fleet::Disturbed;
use super::options::SimOptions;
use super::shrink::shrink;
use super::simulate::{Failure, Report, disturb};
use super::workload::Workload;
use crate::log::memory::FaultPlan;
use crate::plan::Plan;

/// Runs that are spent on making a failure smaller.
const ATTEMPTS_MAX: usize = 400;
/// Fates that a smaller feed is tried under: what befell the fleet after a record that is gone befalls it elsewhere.
const FATES: u64 = 4;

/// What many seeds did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Simulated {
    /// Seeds.
    pub runs: u64,
    /// Results in all output topics. A test in which there are none proves nothing.
    pub results: usize,
    /// Late records and dead letters.
    pub set_aside: usize,
    /// Transactions.
    pub commits: u64,
    /// Processes that died.
    pub crashes: u64,
    /// How often the time of a silent partition was raised.
    pub raises: usize,
}

impl fmt::Display for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, results, set_aside, commits, crashes, raises } = self;
        write!(
            f,
            "{runs} runs: {results} results, {set_aside} set aside, {commits} commits, {crashes} crashes, {raises} raises"
        )
    }
}

/// Runs a topology once for each seed: a fleet of up to four processes on a log at its worst, which crash, stand still,
/// are replaced, lose their disks and share the work anew, all of it decided by the seed. What has been committed in
/// the end must be what one worker says that never failed; the same holds of every store and its changelog.
///
/// # Panics
/// With the first seed that fails, shrunk to a script: see [`Counterexample`].
#[track_caller]
pub fn simulate(topology: impl Fn() -> Plan, workload: &Workload, seeds: impl IntoIterator<Item = u64>) -> Simulated {
    match try_simulate(topology, workload, seeds) {
        Ok(simulated) => simulated,
        Err(counterexample) => panic!("{counterexample}"),
    }
}

/// As [`simulate`], for who wants to see the failure.
///
/// # Errors
/// The first seed that fails.
pub fn try_simulate(
    topology: impl Fn() -> Plan,
    workload: &Workload,
    seeds: impl IntoIterator<Item = u64>,
) -> Result<Simulated, Box<Counterexample>> {
    let mut simulated = Simulated::default();
    for seed in seeds {
        let feed = workload.feed(&topology(), seed).map_err(|what| Box::new(Counterexample::senseless(seed, what)))?;
        let report = run(&topology, &feed, seed, &SimOptions::hostile(seed));
        let report = report.map_err(|fall| Box::new(smallest(&topology, feed, seed, fall)))?;
        let Report { tally, outcome, story, .. } = *report;
        simulated.runs += 1;
        simulated.results += outcome.results.values().flat_map(|keys| keys.values()).map(Vec::len).sum::<usize>();
        simulated.set_aside += outcome.set_aside.len();
        simulated.commits += tally.commits;
        simulated.crashes += tally.crashes;
        simulated.raises += story.raises.len();
    }
    Ok(simulated)
}

/// How a run failed.
#[derive(Debug)]
struct Fall {
    what: String,
    kind: Kind,
    disturbed: Disturbed,
}

/// A smaller run has to fail in the same way: otherwise it shows something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It said something else than the worker that never failed.
    Differs,
    /// It stopped, never came to rest, or keeps what its changelog does not say.
    Breaks,
    /// The topology's own code panicked.
    Panics,
}

fn run(topology: &impl Fn() -> Plan, feed: &Feed, seed: u64, options: &SimOptions) -> Result<Box<Report>, Fall> {
    match catch_unwind(AssertUnwindSafe(|| disturb(topology, feed, seed, options))) {
        Ok((Ok(report), _)) => Ok(Box::new(report)),
        Ok((Err(failure), disturbed)) => {
            let Failure { what, said, .. } = *failure;
            let kind = if said.is_some() { Kind::Differs } else { Kind::Breaks };
            Err(Fall { what, kind, disturbed })
        }
        Err(panic) => {
            let what = format!("the topology panicked: {}", words(panic.as_ref()));
            Err(Fall { what, kind: Kind::Panics, disturbed: Vec::new() })
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

/// Makes a failure smaller, first by what happens, then by what comes in.
fn smallest(topology: &impl Fn() -> Plan, feed: Feed, seed: u64, fall: Fall) -> Counterexample {
    let (first, kind, came) = (fall.what.clone(), fall.kind, feed.arrivals.len());
    let mut options = SimOptions::hostile(seed);
    let (mut feed, mut least) = (feed, fall);
    // Every attempt that panics says so on standard error.
    if kind != Kind::Panics {
        let mut attempts = ATTEMPTS_MAX;
        for simpler in SIMPLER {
            let mut changed = options.clone();
            simpler(&mut changed);
            if changed != options
                && let Some(fall) = falls(topology, &feed, seed, &changed, kind, &mut attempts)
            {
                (options, least) = (changed, fall);
            }
        }
        let inputs = feed.inputs.clone();
        feed.arrivals = shrink(&feed.arrivals, ATTEMPTS_MAX, |arrivals: &[Arrival]| {
            let fewer = Feed { inputs: inputs.clone(), arrivals: arrivals.to_vec() };
            match falls(topology, &fewer, seed, &options, kind, &mut attempts) {
                Some(fall) => least = fall,
                None => return false,
            }
            true
        });
    }
    Counterexample::new(topology, seed, first, came, &feed, &least.disturbed, kind != Kind::Panics)
}

/// What is taken away from a run, most welcome first: time that others raise is not in a script at all. What is left in
/// the end happens more often, so that it still does while fewer records come.
const SIMPLER: [fn(&mut SimOptions); 10] = [
    |options| (options.idle_after, options.idle_close) = (None, None),
    |options| (options.processes, options.threads) = (1, 1),
    |options| options.faults = FaultPlan::NONE,
    |options| (options.twin, options.pause, options.leave) = (0.0, 0.0, 0.0),
    |options| (options.compact, options.purge, options.disk) = (0.0, 0.0, 0.0),
    |options| options.wipe = 0.0,
    |options| options.rebalance = 0.0,
    |options| options.stage_crash = 0.0,
    |options| options.crash = 0.0,
    |options| {
        for (rate, often) in
            [(&mut options.crash, 0.05), (&mut options.stage_crash, 0.2), (&mut options.rebalance, 0.05)]
        {
            *rate = if *rate > 0.0 { often } else { 0.0 };
        }
    },
];

/// Whether a run fails in the same way under this seed or one of a few others.
fn falls(
    topology: &impl Fn() -> Plan,
    feed: &Feed,
    seed: u64,
    options: &SimOptions,
    kind: Kind,
    attempts: &mut usize,
) -> Option<Fall> {
    for fate in 0..FATES {
        *attempts = attempts.checked_sub(1)?;
        let fall = run(topology, feed, seed.wrapping_add(fate), options).err();
        if fall.as_ref().is_some_and(|fall| fall.kind == kind) {
            return fall;
        }
    }
    None
}

#[cfg(test)]
mod tests;
