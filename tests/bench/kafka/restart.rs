//! From `kill -9` to the next committed result, with a large state.
//!
//! Not here: the embedded log's restart (`tests/bench/restart.rs`). Invariant: the process is killed while it works
//! at full speed, the state folder is kept, and the result that ends the clock was written by the new process.
//!
//! The state is rows of about a kilobyte in minutes that stay open for three hours of event time. Kafka Streams says
//! each row at once, the worker says it when its minute closes, which it does all the time.

use std::time::{Duration, Instant};

use crate::client;
use crate::input::{PARTITIONS, START_MS};
use crate::process::System;
use crate::rounds::{Bench, COMMIT_INTERVAL_MS, Work};
use crate::table::{Table, Taken};

const TOPIC: &str = "profiles";
const ROW_BYTES: u64 = 888;
/// Of the windows on both sides.
const GRACE_MS: u64 = 3 * 3_600_000;
/// How many rows come while the process is killed and started again, in hundredths of the state.
const BACKLOG: u64 = 60;

pub(crate) fn measure(bench: &Bench, table: &mut Table) {
    let rows = (bench.terms.state_mib << 20) / ROW_BYTES;
    let loaded = rows * (100 + BACKLOG) / 100;
    eprintln!("loading {loaded} profiles…");
    bench.client.create(TOPIC, PARTITIONS);
    bench.client.load(TOPIC, 0..loaded, |id, key, value| {
        let time = START_MS + (id * GRACE_MS / rows) as i64;
        *key = format!("p{id:09}");
        *value = format!("{{\"id\":{id},\"timestamp\":{time}}}");
        time
    });
    for round in 1..=bench.terms.rounds {
        for system in bench.terms.systems.iter().copied() {
            let taken = run(bench, system, rows, round);
            eprintln!("restart {} round {round}: {taken:?}", system.name());
            table.add("large_state", system, rows, taken);
        }
    }
}

fn run(bench: &Bench, system: System, rows: u64, round: u64) -> Taken {
    const CASE: &str = "large_state";
    let app = format!("{}-large-{round}", system.name());
    let out = format!("{app}-out");
    let broker = bench.broker_cpu_ms();
    let work =
        Work { case: CASE, app: &app, input: TOPIC, beside: None, commit_interval_ms: COMMIT_INTERVAL_MS, threads: 1 };
    let mut running = bench.begin(system, &work);
    let group = bench.client.group(&app, TOPIC);
    // Some minutes have closed when three hours and a little more have passed.
    let wanted = rows * 103 / 100;
    let mut done = 0;
    client::wait_until(&app, Duration::from_secs(3_600), || {
        running.must_live();
        done = group.committed().iter().sum::<i64>() as u64;
        done >= wanted
    });
    let used = running.usage();
    let broker = bench.broker_cpu_ms() - broker;
    let killed = Instant::now();
    running.kill();
    if system == System::KafkaStreams {
        // Under exactly-once it throws what a killed process has left away and restores all of it. 4.3.1 does not come so
        // far: its start opens the segments of a window store twice and fails on its own lock.
        std::fs::remove_dir_all(bench.folder().join(&app)).expect("its state is there");
    }
    let mut second = bench.begin_again(system, &work);
    // A process that starts needs longer than this look.
    let end = bench.client.end(&out).expect("the results have ends");
    let reader = bench.client.reader_from(&out, &end);
    while reader.next(Duration::from_millis(5), |_| ()).is_none() {
        second.must_live();
    }
    let restart = killed.elapsed();
    let left: i64 = bench.client.end(TOPIC).expect("ends").iter().sum::<i64>() - group.committed().iter().sum::<i64>();
    assert!(left > 0, "the input was read to its end: a larger BACKLOG is needed");
    let peak = second.usage().peak_rss_mib.max(used.peak_rss_mib);
    second.stop();
    bench.clear(&app);
    Taken {
        cpu_us_per_event: Some(used.cpu_ms * 1e3 / done as f64),
        broker_cpu_us_per_event: Some(broker * 1e3 / done as f64),
        peak_rss_mib: Some(peak),
        restart_ms: Some(restart.as_secs_f64() * 1e3),
        disk_bytes_per_event: Some(used.written_bytes / done as f64),
        ..Taken::default()
    }
}
