//! The simulator over new seeds until it is stopped or a run fails, and single runs step by step.
//!
//! ```text
//! make soak                                  new seeds, from the clock on
//! make soak ARGS="--seeds 20000"             as many, then the end
//! make soak ARGS="--from 7 --seeds 1"        from this seed on
//! make soak ARGS="hopping 7 --trace 400"     one run, with the log's last steps
//! ```
//!
//! Not here: the runs themselves ([`run`]). Invariant: whatever is printed as failed is printed with the
//! words that show it again.

#![expect(clippy::expect_used, clippy::disallowed_methods, reason = "a tool for people, outside every pure step")]

mod events;
mod oracle;
mod run;
mod topologies;

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use run::{Run, Totals};

/// How often progress is printed.
const PROGRESS: Duration = Duration::from_secs(10);

struct Words {
    from: u64,
    seeds: Option<u64>,
    trace: usize,
    single: Option<Run>,
}

fn words() -> Option<Words> {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut words = Words { from: clock.as_secs() << 20, seeds: None, trace: 200, single: None };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--from" => words.from = args.next()?.parse().ok()?,
            "--seeds" => words.seeds = Some(args.next()?.parse().ok()?),
            "--trace" => words.trace = args.next()?.parse().ok()?,
            scenario => words.single = Some(Run::parse(&format!("{scenario} {}", args.next()?))?),
        }
    }
    Some(words)
}

fn main() -> ExitCode {
    let Some(words) = words() else {
        eprintln!("usage: soak [--from SEED] [--seeds COUNT] | soak SCENARIO SEED [--trace LINES]");
        eprintln!("scenarios: {}", topologies::ALL.iter().map(|it| it.name).collect::<Vec<_>>().join(", "));
        return ExitCode::from(2);
    };
    match &words.single {
        Some(run) => show(run, words.trace),
        None => soak(&words),
    }
}

/// One run in full.
fn show(run: &Run, trace_lines: usize) -> ExitCode {
    match run.holds(trace_lines) {
        Ok(report) => {
            report.trace.lines.iter().for_each(|line| println!("    {line}"));
            println!("{run} holds: {:?}, {} steps of the log", report.tally, report.trace.steps);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{:#?}\n{run}: {failure}", run.options());
            ExitCode::FAILURE
        }
    }
}

fn soak(words: &Words) -> ExitCode {
    let begin = Instant::now();
    let mut told = begin;
    let mut totals = Totals::default();
    for number in words.from..words.seeds.map_or(u64::MAX, |seeds| words.from.saturating_add(seeds)) {
        let run = Run::numbered(number);
        match run.holds(0) {
            Ok(report) => totals.add(&report),
            Err(failure) => {
                println!("{run}: {failure}");
                println!("shown step by step by: make soak ARGS=\"{run} --trace 1000\"");
                println!("once mended, keep it: echo '{run} WHAT WAS WRONG' >> tests/simulation/seeds.txt");
                return ExitCode::FAILURE;
            }
        }
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            println!("{totals} in {:.0} s, seed {number}", begin.elapsed().as_secs_f64());
        }
    }
    println!("{totals} in {:.0} s: all hold", begin.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}
