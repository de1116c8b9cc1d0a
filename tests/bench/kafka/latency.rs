//! How long an event takes until readers see it counted, at a steady 20 000 events a second.
//!
//! What it costs at that pace goes with it: less is gathered for each commit than where a worker catches up.
//!
//! Not here: the cost of catching up. Invariant: an event is visible when a committed result of its city and minute says a
//! count that reaches it; every event that was sent must become visible.
//!
//! Which event a count of n is about cannot be told where a city's events come from several partitions; they are
//! taken in the order in which they were sent, for both sides alike.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;

use crate::client::{self, Client, Reader};
use crate::input::{self, PARTITIONS, USERS};
use crate::process::{System, Usage};
use crate::rounds::{Bench, COMMIT_INTERVAL_MS, Work};
use crate::table::{Table, Taken};

const PER_SECOND: u64 = 20_000;
/// Java compiles what it runs often.
const WARM_UP: Duration = Duration::from_secs(15);
/// The cases' names in the table, and their commit intervals.
const INTERVALS: [(&str, u32); 2] = [("steady_100ms", 100), ("steady_20ms", 20)];

pub(crate) fn measure(bench: &Bench, table: &mut Table) {
    for (case, interval) in INTERVALS {
        for round in 1..=bench.terms.rounds {
            for system in bench.terms.systems.iter().copied() {
                let taken = run(bench, system, interval, round);
                eprintln!("latency {case} {} round {round}: {taken:?}", system.name());
                table.add(case, system, bench.terms.latency_seconds * PER_SECOND, taken);
                if interval == COMMIT_INTERVAL_MS {
                    let Taken { latency_p50_ms, latency_p99_ms, .. } = taken;
                    let seen = Taken { latency_p50_ms, latency_p99_ms, ..Taken::default() };
                    table.add("tumbling", system, bench.terms.latency_seconds * PER_SECOND, seen);
                }
            }
        }
    }
}

/// A city in a minute.
type Pane = (u64, i64);

/// When the events were sent that nobody has seen counted yet, oldest first.
#[derive(Default)]
struct Waiting {
    by_pane: BTreeMap<Pane, Sent>,
    left: u64,
}

#[derive(Default)]
struct Sent {
    seen: u64,
    times: VecDeque<Instant>,
}

#[derive(Deserialize)]
struct Update<'a> {
    key: &'a str,
    start: i64,
    count: u64,
}

fn run(bench: &Bench, system: System, interval: u32, round: u64) -> Taken {
    let app = format!("{}-updates-{interval}-{round}", system.name());
    let (topic, out) = (format!("{app}-in"), format!("{app}-out"));
    bench.client.create(&topic, PARTITIONS);
    let mut running = bench.begin(
        system,
        &Work { case: "updates", app: &app, input: &topic, beside: None, commit_interval_ms: interval, threads: 1 },
    );
    client::wait_until("the topic of results", Duration::from_secs(60), || {
        running.must_live();
        bench.client.topics(&app).contains(&out)
    });
    let reader = bench.client.reader(&out);
    let waiting = Mutex::new(Waiting::default());
    let begin = Instant::now();
    let measured_from = begin + WARM_UP;
    let end = measured_from + Duration::from_secs(bench.terms.latency_seconds);
    let (client, broker) = (&bench.client, bench.broker.id());
    let (mut latencies, used) = std::thread::scope(|scope| {
        scope.spawn(|| send(client, &topic, begin, end, &waiting));
        let used = scope.spawn(|| {
            let now = || (running.usage(), Usage::of(broker).cpu_ms);
            std::thread::sleep(measured_from - Instant::now());
            let before = now();
            std::thread::sleep(end - Instant::now());
            let after = now();
            (after.0.cpu_ms - before.0.cpu_ms, after.1 - before.1, after.0.peak_rss_mib)
        });
        (read(&reader, &waiting, measured_from, end), used.join().expect("it measures"))
    });
    running.must_live();
    running.stop();
    bench.clear(&app);
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let (cpu, broker, peak) = used;
    let per_event = |ms: f64| Some(ms * 1e3 / latencies.len() as f64);
    Taken {
        cpu_us_per_event: per_event(cpu),
        broker_cpu_us_per_event: per_event(broker),
        peak_rss_mib: Some(peak),
        latency_p50_ms: Some(at(0.5)),
        latency_p99_ms: Some(at(0.99)),
        ..Taken::default()
    }
}

fn send(client: &Client, topic: &str, begin: Instant, end: Instant, waiting: &Mutex<Waiting>) {
    // As long as librdkafka gathers by default.
    let sender = client.sender(5);
    let (mut key, mut value) = (String::new(), String::new());
    let mut number = 0;
    while Instant::now() < end {
        let due = (begin.elapsed().as_micros() as u64 * PER_SECOND) / 1_000_000;
        while number < due {
            let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() as i64;
            input::write_at(number, time, USERS, &mut key, &mut value);
            let pane = (input::city(number), time - time % 60_000);
            {
                let mut waiting = waiting.lock().expect("nobody panics with it");
                waiting.left += 1;
                waiting.by_pane.entry(pane).or_default().times.push_back(Instant::now());
            }
            sender.send(topic, &key, &value, time);
            number += 1;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    sender.finish();
}

/// Reads results until all events are seen; answers how long those took that were sent after `from`.
fn read(reader: &Reader, waiting: &Mutex<Waiting>, from: Instant, end: Instant) -> Vec<Duration> {
    let mut latencies = Vec::new();
    loop {
        reader.next(Duration::from_millis(50), |message| {
            let update: Update<'_> = serde_json::from_str(client::text(message)).expect("an update");
            let city = update.key.trim_start_matches("City ").parse().expect("a city's number");
            let now = Instant::now();
            let mut waiting = waiting.lock().expect("nobody panics with it");
            let Some(sent) = waiting.by_pane.get_mut(&(city, update.start)) else {
                panic!("{} at {}: nobody searched", update.key, update.start)
            };
            // Updates repeat themselves when a window closes.
            let fresh = update.count.saturating_sub(sent.seen);
            for _ in 0..fresh {
                let time = sent.times.pop_front().expect("no more is counted than was sent");
                if time >= from {
                    latencies.push(now - time);
                }
            }
            sent.seen += fresh;
            waiting.left -= fresh;
        });
        let now = Instant::now();
        if now > end && waiting.lock().expect("nobody panics with it").left == 0 {
            return latencies;
        }
        assert!(now < end + Duration::from_secs(60), "some events were never seen counted");
    }
}
