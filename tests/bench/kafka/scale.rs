//! How cost and memory grow with threads, partitions and keys: the worker alone, for `deploy/planning.md`.
//!
//! Not here: comparisons. Invariant: each point is a process of its own over a topic of its own that holds the same
//! number of events; a point's pace is taken between two of its commits, so that its start counts in no pace.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::client;
use crate::input::{self, USERS};
use crate::process::System;
use crate::rounds::{Bench, COMMIT_INTERVAL_MS, Work};

const PATIENCE: Duration = Duration::from_secs(600);

/// One way to run the worker.
#[derive(Serialize, Clone, Copy)]
struct Point {
    case: &'static str,
    threads: u32,
    partitions: u32,
    users: u64,
}

/// What it came to.
#[derive(Serialize)]
struct Found {
    #[serde(flatten)]
    point: Point,
    events: u64,
    cpu_us_per_event: f64,
    broker_cpu_us_per_event: f64,
    /// Of wall time, on a machine that the broker and the worker share.
    events_per_second: f64,
    peak_rss_mib: f64,
}

const fn tumbling(threads: u32, partitions: u32) -> Point {
    Point { case: "tumbling", threads, partitions, users: USERS }
}

const fn per_user(users: u64) -> Point {
    Point { case: "per_user", threads: 1, partitions: 4, users }
}

const POINTS: [Point; 9] = [
    tumbling(1, 1),
    tumbling(1, 4),
    tumbling(2, 4),
    tumbling(1, 16),
    tumbling(2, 16),
    tumbling(1, 64),
    per_user(USERS / 10),
    per_user(USERS),
    per_user(USERS * 10),
];

pub(crate) fn measure(bench: &Bench) {
    let events = bench.terms.events.unwrap_or(3_000_000);
    let found: Vec<Found> = (0..).zip(POINTS).map(|(number, point)| run(bench, number, point, events)).collect();
    let text = serde_json::to_string_pretty(&found).expect("figures are JSON") + "\n";
    let file = std::path::Path::new("tests/bench/results/scale.json");
    std::fs::write(file, &text).expect("written");
    println!("{text}\nwritten to {}", file.display());
}

fn run(bench: &Bench, number: usize, point: Point, events: u64) -> Found {
    let Point { case, threads, partitions, users } = point;
    let topic = format!("scale-input-{partitions}-{users}");
    if !bench.client.topics(&topic).contains(&topic) {
        eprintln!("loading {events} events into {topic}…");
        bench.client.create(&topic, partitions);
        bench.client.load(&topic, 0..events, |number, key, value| input::write(number, events, users, key, value));
    }
    let app = format!("scale-{number}");
    let broker = bench.broker_cpu_ms();
    let work = Work { case, app: &app, input: &topic, beside: None, commit_interval_ms: COMMIT_INTERVAL_MS, threads };
    let mut running = bench.begin(System::Streamfleet, &work);
    let group = bench.client.group(&app, &topic);
    let taken = || group.committed().iter().sum::<i64>() as u64;
    let mut first = None;
    client::wait_until(&app, PATIENCE, || {
        running.must_live();
        let now = taken();
        if now > 0 {
            first.get_or_insert((Instant::now(), now));
        }
        now == events
    });
    let (begun, at) = first.expect("it has committed");
    let pace = (events - at) as f64 / begun.elapsed().as_secs_f64();
    let (used, broker) = bench.settle(&app, &running, broker);
    running.stop();
    bench.clear(&app);
    let rounded = |figure: f64| (figure * 1000.0).round() / 1000.0;
    let found = Found {
        point,
        events,
        cpu_us_per_event: rounded(used.cpu_ms * 1e3 / events as f64),
        broker_cpu_us_per_event: rounded(broker * 1e3 / events as f64),
        events_per_second: pace.round(),
        peak_rss_mib: rounded(used.peak_rss_mib),
    };
    eprintln!("{}", serde_json::to_string(&found).expect("JSON"));
    found
}
