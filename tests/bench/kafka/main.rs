//! The worker against Kafka Streams on one broker: cost of an event, memory, latency, restart; as a table and
//! in `tests/bench/results/kafka.json`.
//!
//! Not here: the embedded log's figures (`tests/bench/main.rs`). Invariant: both sides read the same topic of the
//! same broker in alternating rounds, and a figure counts only if both sides' results are those computed from the
//! events.
//!
//! `bench_kafka` runs all cases; `bench_kafka CASE...` some of those in `expected.rs` and of `floor latency restart`;
//! `scale`, only when it is named: the worker alone with more threads, partitions and keys, into `scale.json`;
//! `--events N`, `--rounds N`, `--system kafka-streams|streamfleet` (one side alone, for a profiler).
//!
//! ```text
//!   main ─▶ load ─▶ rounds: Kafka Streams, worker, floor ─▶ expected results ─▶ table, JSON
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on has nothing to tell")]
#![allow(clippy::disallowed_methods, reason = "a bench reads clocks")]

mod broker;
mod client;
mod expected;
mod feed;
mod floor;
#[path = "../input.rs"]
#[allow(dead_code, reason = "the embedded log's way in is the other bench's")]
mod input;
mod latency;
mod process;
mod restart;
mod rounds;
mod scale;
mod table;
#[path = "../wire.rs"]
#[allow(dead_code, reason = "the fields are read by the other bench")]
mod wire;

use process::System;
use rounds::Terms;
use table::Table;

fn main() {
    let mut terms = Terms::default();
    let mut names = Vec::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|n| n.parse().ok()).expect("a number follows");
        match word.as_str() {
            "--events" => terms.events = Some(number()),
            "--rounds" => terms.rounds = number(),
            "--seconds" => terms.latency_seconds = number(),
            "--state-mib" => terms.state_mib = number(),
            "--system" => terms.systems = vec![System::named(&words.next().expect("a system follows"))],
            "--floor" => {
                let mut next = || words.next().expect("brokers, a topic and a number of events follow");
                let (brokers, topic, events) = (next(), next(), next());
                return floor::run(&brokers, &topic, events.parse().expect("a number of events"));
            }
            case => names.push(case.to_owned()),
        }
    }
    let wanted = |case: &str| names.is_empty() || names.iter().any(|name| name == case);
    tell_of_others();
    let bench = rounds::Bench::start(terms);
    let mut table = Table::default();
    // The floor is taken in every round of the first case, so that all stand beside each other.
    for case in expected::CASES.into_iter().filter(|case| wanted(case.name)) {
        bench.cost(&case, wanted("floor"), &mut table);
    }
    if names.iter().any(|name| name == "floor") && names.len() == 1 {
        bench.floor(&mut table);
    }
    if wanted("latency") {
        latency::measure(&bench, &mut table);
    }
    if wanted("restart") {
        restart::measure(&bench, &mut table);
    }
    if names.iter().any(|name| name == "scale") {
        scale::measure(&bench);
    }
    if !table.is_empty() {
        table.print();
        table.write();
    }
}

/// CPU time bears company; latencies and restarts do not.
fn tell_of_others() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0);
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    if load > cores / 2.0 {
        eprintln!("this machine is busy otherwise (load {load}): latencies and restarts will say little of both sides");
    }
}
