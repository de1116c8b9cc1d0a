//! A failing seed, told as a script.
//!
//! Not here: finding it ([`super::seeds`]). Invariant: the script can be read by [`super::script`], holds the records
//! that failed in the order in which they came, and expects what the topology says of them when nothing disturbs it.

use std::fmt;

use super::feed::Feed;
use super::fleet::Disturbance;
use super::script;
use crate::plan::Plan;

/// A script of more records is not tried: it is run many times for each of its lines.
const TRIED_MAX: usize = 40;

/// A seed under which a topology broke a promise.
///
/// Printed, it names the seed, says what was wrong, and gives the records as a script: pasted into a test with
/// [`script::check`], it stays after the seed has lost its meaning, since another workload or another version of the
/// simulator makes other runs of the same seed. Records that the failure does not need are left out.
#[derive(Clone, PartialEq, Eq)]
pub struct Counterexample {
    /// `simulate(topology, workload, [seed])` fails again.
    pub seed: u64,
    /// What was wrong with all records that the seed gave.
    pub what: String,
    /// The script; empty if the workload does not fit the topology.
    pub script: String,
    /// How many records there are in the script, and how many there were.
    pub records: (usize, usize),
    /// What the script's own check says of the script.
    pub verdict: Verdict,
}

/// What becomes of a script of a failing seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It fails as the seed does: what breaks the promise is one worker that dies at some moment.
    Fails(script::Failure),
    /// It holds: what breaks the promise needs several workers, or partitions that are read in another order.
    Holds,
    /// Nobody has tried.
    Unknown,
}

impl Counterexample {
    pub(super) fn senseless(seed: u64, what: String) -> Self {
        Self { seed, what, script: String::new(), records: (0, 0), verdict: Verdict::Unknown }
    }

    pub(super) fn new(
        topology: &impl Fn() -> Plan,
        seed: u64,
        what: String,
        came: usize,
        feed: &Feed,
        disturbed: &[(usize, Disturbance)],
        runs: bool,
    ) -> Self {
        let inputs = inputs(feed, disturbed);
        let script = if runs { script::complete(topology, &inputs).unwrap_or(inputs) } else { inputs };
        let tried = runs && feed.arrivals.len() <= TRIED_MAX;
        let verdict = match tried.then(|| script::try_check(topology, &script)) {
            Some(Err(failure)) => Verdict::Fails(failure),
            Some(Ok(())) => Verdict::Holds,
            None => Verdict::Unknown,
        };
        Self { seed, what, script, records: (feed.arrivals.len(), came), verdict }
    }
}

/// The script's lines without what they bring about.
fn inputs(feed: &Feed, disturbed: &[(usize, Disturbance)]) -> String {
    let partitions = feed.inputs.iter().filter(|(_, partitions)| *partitions != 1);
    let mut lines: Vec<_> = partitions.map(|(topic, partitions)| format!("topic {topic} {partitions}")).collect();
    let mut disturbed = disturbed.iter().peekable();
    for (number, arrival) in feed.arrivals.iter().enumerate() {
        let partitions = feed.inputs.iter().find(|(topic, _)| *topic == arrival.place.topic);
        lines.extend(script::input(arrival, partitions.map_or(1, |(_, partitions)| *partitions)));
        // What befell the fleet again and again between two records befalls it once here.
        let mut word = None;
        while let Some((_, disturbance)) = disturbed.next_if(|(fed, _)| *fed <= number + 1) {
            word = word.max(Some(*disturbance));
        }
        lines.extend(word.map(|word| match word {
            Disturbance::Rebalance => "rebalance".to_owned(),
            Disturbance::Crash => "crash".to_owned(),
        }));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, what, script, records: (left, came), verdict } = self;
        writeln!(f, "seed {seed}: {what}")?;
        if script.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n{left} of its {came} records fail so too; as a script:\n")?;
        let hashes = hashes(script);
        writeln!(f, "    script::check(topology, r{hashes}\"")?;
        script.lines().try_for_each(|line| writeln!(f, "    {line}"))?;
        writeln!(f, "    \"{hashes});\n")?;
        match verdict {
            Verdict::Fails(failure) => writeln!(f, "The script fails as well: {failure}"),
            Verdict::Holds => writeln!(
                f,
                "The script holds: it takes several workers, or partitions that are read in another order. The seed \
                 fails again with `simulate(topology, workload, [{seed}])`."
            ),
            Verdict::Unknown => Ok(()),
        }
    }
}

/// As many as a raw string needs that holds this.
fn hashes(script: &str) -> String {
    let mut hashes = "#".to_owned();
    while script.contains(&format!("\"{hashes}")) {
        hashes.push('#');
    }
    hashes
}

impl fmt::Debug for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
