//! The cost of an event, case by case: CPU and memory, in one table and in `tests/bench/results/core.json`.
//!
//! Not here: latency, and anything against a wall clock: machines are noisy, so CPU time per event is
//! compared side by side in one run. Invariant: every case reads the same events from the same log, in
//! a process of its own, so that its CPU time and its peak memory are its own.
//!
//! `bench` runs all cases; `bench CASE...` some; `--events N` another number; `--large` also the cases with ten
//! times the events; `--restart MIB` how long a killed worker with so large a state is away.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on has nothing to tell")]
#![allow(clippy::disallowed_methods, reason = "a bench reads clocks")]

mod cases;
mod fleet;
mod input;
mod measure;
mod restart;
mod weights;
mod wire;

use std::path::Path;
use std::process::Command;

use measure::Figure;

/// The cases of every run, in the order of the table.
const CASES: [&str; 16] = [
    "floor",
    "tumbling_memory",
    "tumbling",
    "hopping",
    "per_user",
    "session",
    "top20",
    "worker",
    fleet::CASES[0],
    fleet::CASES[1],
    fleet::CASES[2],
    "join",
    "table_join",
    "quantiles",
    "rollup",
    "rollup_quantiles",
];
/// How costs grow; the first with ten times the events, the second with ten times the keys.
const LARGE: [&str; 2] = ["tumbling_10x_events", "per_user_10x_keys"];
const EVENTS: u64 = 3_000_000;

/// Cargo.toml says why.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let mut events = EVENTS;
    let (mut names, mut child, mut large) = (Vec::new(), None, false);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--events" => events = words.next().and_then(|n| n.parse().ok()).expect("--events N"),
            "--large" => large = true,
            "--child" => child = Some((words.next().expect("a case"), words.next().expect("a folder"))),
            // For a profiler: the input stays, and `--child CASE FOLDER` runs one case upon it.
            "--feed" => {
                let folder = words.next().expect("a folder");
                input::feed(Path::new(&folder), events, false);
                CASES.iter().for_each(|case| cases::feed(case, Path::new(&folder), events));
                return;
            }
            "--restart" => {
                let mib = words.next().and_then(|n| n.parse().ok()).expect("--restart MIB");
                let folder = tempfile::tempdir().expect("a folder");
                let found = restart::measure(folder.path(), mib);
                write("restart.json", &found);
                return;
            }
            "--restart-child" => return restart::work(Path::new(&words.next().expect("a folder"))),
            case => names.push(case.to_owned()),
        }
    }
    if let Some((case, folder)) = child {
        let figure = cases::run(&case, Path::new(&folder), events);
        println!("{}", serde_json::to_string(&figure).expect("a figure is JSON"));
        return;
    }
    let wanted = |case: &&str| names.is_empty() || names.iter().any(|name| name == case);
    let mut figures = run_all(CASES.iter().copied().filter(wanted), events);
    if large {
        figures.extend(run_all(LARGE[..1].iter().copied().filter(wanted), events * 10));
        figures.extend(run_all(LARGE[1..].iter().copied().filter(wanted), events));
    }
    measure::print(&figures);
    write("core.json", &figures);
}

fn write(name: &str, found: &impl serde::Serialize) {
    let folder = Path::new("tests/bench/results");
    std::fs::create_dir_all(folder).expect("the results' folder");
    let text = serde_json::to_string_pretty(found).expect("figures are JSON") + "\n";
    std::fs::write(folder.join(name), &text).expect("written");
    println!("{text}\nwritten to {}", folder.join(name).display());
}

/// Feeds one log and runs each case in a process of its own upon it.
fn run_all<'c>(cases: impl Iterator<Item = &'c str>, events: u64) -> Vec<Figure> {
    let cases: Vec<_> = cases.collect();
    if cases.is_empty() {
        return Vec::new();
    }
    let folder = tempfile::tempdir().expect("a folder");
    eprintln!("feeding {events} events…");
    input::feed(folder.path(), events, cases.contains(&"per_user_10x_keys"));
    for case in &cases {
        cases::feed(case, folder.path(), events);
    }
    let bench = std::env::current_exe().expect("this program");
    let mut figures = Vec::new();
    for case in cases {
        eprintln!("running {case}…");
        let output = Command::new(&bench)
            .args(["--child", case, folder.path().to_str().expect("a path in UTF-8"), "--events", &events.to_string()])
            .output()
            .expect("the case runs");
        assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
        figures.push(serde_json::from_slice(&output.stdout).expect("a figure"));
    }
    figures
}
