//! One run: a scenario and a seed, from which everything else follows.
//!
//! Not here: what is done with many of them. Invariant: a run is the same wherever it is run from.

use std::fmt;

use processing_core::testing::{Failure, Report, SimOptions, simulate_seed};

use crate::events;
use crate::topologies::{self, Scenario, tables};

/// A scenario and a seed.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) scenario: &'static Scenario,
    pub(crate) seed: u64,
}

impl Run {
    /// Run number `n` of all: the scenarios in turn.
    pub(crate) fn numbered(n: u64) -> Self {
        Self { scenario: &topologies::ALL[n as usize % topologies::ALL.len()], seed: n }
    }

    /// Reads `scenario seed`; what follows is for people.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (name, seed) = (words.next()?, words.next()?.parse().ok()?);
        let scenario = topologies::ALL.iter().find(|scenario| scenario.name == name)?;
        Some(Self { scenario, seed })
    }

    /// What happens in it.
    pub(crate) fn options(&self) -> SimOptions {
        SimOptions::hostile(self.seed)
    }

    /// Runs it and compares its results with those of one worker, and with their definition.
    pub(crate) fn holds(&self, trace_lines: usize) -> Result<Report, Box<Failure>> {
        self.holds_under(&SimOptions { trace_lines, ..self.options() })
    }

    /// As [`Self::holds`], with other options.
    pub(crate) fn holds_under(&self, options: &SimOptions) -> Result<Report, Box<Failure>> {
        let Scenario { name, inputs, scale, alike, plan, expected } = self.scenario;
        let workload = events::workload(self.seed, inputs, *scale, *alike);
        let report = simulate_seed(plan, &workload, self.seed, options).map_err(|mut failure| {
            if let Some((outcome, story)) = &failure.said {
                let verdict = expected(story).difference(outcome);
                let verdict = verdict.unwrap_or_else(|| "the fleet is right and the one worker wrong".to_owned());
                failure.what.push_str(&format!("\nby definition: {verdict}"));
            }
            failure
        })?;
        let too_close = || {
            // A commit that has to be tried again is written later than it was made, and the next word follows it sooner.
            let limits = tables::LIMITS.iter().filter(|_| *name == "limited" && options.faults.retry == 0.0);
            let gaps = limits.filter_map(|(topic, least)| Some((topic, least, report.gaps.get(*topic)?)));
            let mut close = gaps.filter(|(_, least, gap)| gap < least);
            close.next().map(|(topic, _, gap)| format!("two words of a key of {topic} lie {gap} ms apart"))
        };
        match expected(&report.story).difference(&report.outcome).or_else(too_close) {
            None => Ok(report),
            Some(what) => {
                let what = format!("results are not what they are defined to be: {what}");
                Err(Box::new(Failure { seed: self.seed, what, trace: report.trace.lines, said: None }))
            }
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.scenario.name, self.seed)
    }
}

/// What many runs did.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) runs: u64,
    commits: u64,
    crashes: u64,
    rebuilds: u64,
    results: usize,
    raises: usize,
}

impl Totals {
    /// Adds a run that went well.
    pub(crate) fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.commits += report.tally.commits;
        self.crashes += report.tally.crashes;
        self.rebuilds += report.tally.rebuilds;
        self.results += report.outcome.results.values().flat_map(|keys| keys.values()).map(Vec::len).sum::<usize>();
        self.raises += report.story.raises.len();
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, commits, crashes, rebuilds, results, raises } = self;
        write!(
            f,
            "{runs} runs: {commits} commits, {crashes} crashes, {rebuilds} rebuilds, {raises} raises, {results} results"
        )
    }
}
