//! The cases: one topology each, run by one worker in this thread.
//!
//! Not here: the events. Invariant: a case ends when every record is committed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use compact_str::CompactString;
use cpu_time::ProcessTime;
use processing_core::clock::{Clock as _, SystemClock};
use processing_core::decode::{Decoder, Poison, json_poison};
use processing_core::error::CoreError;
use processing_core::layout::Layout;
use processing_core::limits::Bounds;
use processing_core::log::Log;
use processing_core::prelude::*;
use processing_core::task::TaskId;
use processing_core::worker::{InlineNursery, StateHome, Worker, WorkerTerms};
use serde::{Deserialize, Serialize};
use state::{ColumnContents, Contents, MemoryBase, MemoryBudget, RocksBase, RocksOptions};

use crate::fleet;
use crate::input;
use crate::measure::Figure;
use crate::weights;
use crate::wire::{self, Wire};

/// What the chain carries.
struct Search {
    time: EventTime,
    user: CompactString,
    city: CompactString,
    results: u32,
}

/// What a user counts for.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Weight {
    weight: i64,
}

/// Two days and what is needed to be done with them.
const ROLLUP_HOURS: u64 = 50;

#[derive(Clone)]
struct Searches;

impl Decoder for Searches {
    type Event = Search;

    fn decode(&self, value: Option<&[u8]>) -> Result<Search, Poison> {
        let bytes = value.ok_or_else(|| Poison::new("tombstone", "the record has no value"))?;
        let wire: Wire<'_> = serde_json::from_slice(bytes).map_err(|error| json_poison(&error))?;
        std::hint::black_box(wire.event_id);
        Ok(Search {
            time: EventTime(wire.timestamp),
            user: wire.payload.user_id.into(),
            city: wire.payload.city.into(),
            results: wire.payload.result_count,
        })
    }
}

/// Writes what a case reads beside the searches.
pub(crate) fn feed(case: &str, folder: &Path, events: u64) {
    match case {
        "join" => input::feed_clicks(folder, events),
        "table_join" => input::feed_profiles(folder),
        "rollup" | "rollup_quantiles" => input::feed_hours(folder, events, ROLLUP_HOURS),
        other => fleet::feed(other, folder, events),
    }
}

/// What a case may keep in memory.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) budget: MemoryBudget,
    pub(crate) bounds: Bounds,
}

pub(crate) fn run(case: &str, folder: &Path, events: u64) -> Figure {
    let is_worker = fleet::CASES.contains(&case);
    // As in a worker's process, one budget for the log and the stores.
    let Memory { budget, bounds } = if is_worker { fleet::memory(case) } else { Memory::default() };
    let on_disk = || OnDisk { folder: folder.join("state").join(case), budget: budget.clone() };
    let drive_all =
        |plan: Plan, events: u64| drive((case, bounds), input::open(folder, &budget), events, plan, on_disk());
    let drive_on = |plan: Plan| drive_all(plan, events);
    match case {
        "floor" => floor(events),
        "tumbling_memory" => drive((case, bounds), input::open(folder, &budget), events, tumbling(case), InMemory),
        "tumbling" | "tumbling_10x_events" => drive_on(tumbling(case)),
        "hopping" => drive_on(hopping(case)),
        "per_user" | "per_user_10x_keys" => drive_on(per_user(case)),
        "session" => drive_on(session(case)),
        "top20" => drive_on(top20(case)),
        "worker" => drive_on(worker(case)),
        "quantiles" => drive_on(percentiles(case)),
        "rollup" => drive_on(rollup(case)),
        "rollup_quantiles" => drive_on(rollup_percentiles(case)),
        // An event is a record of either side.
        "join" => drive_all(join(case), events + events / input::CLICK_EVERY),
        "table_join" => drive_all(table_join(case), events + input::PROFILES),
        other if is_worker => drive_on(fleet::plan(other)),
        other => panic!("no case is called {other}"),
    }
}

/// Parses the same fields and does nothing else.
fn floor(events: u64) -> Figure {
    let (mut key, mut value) = (String::new(), String::new());
    let mut chunk = Vec::new();
    let mut cpu = std::time::Duration::ZERO;
    for first in (0..events).step_by(10_000) {
        chunk.clear();
        let mut ends = Vec::new();
        for number in first..(first + 10_000).min(events) {
            input::write(number, events, 100_000, &mut key, &mut value);
            chunk.extend_from_slice(value.as_bytes());
            ends.push(chunk.len());
        }
        let begin = ProcessTime::now();
        let mut start = 0;
        for end in ends {
            wire::parse(&chunk[start..end]);
            start = end;
        }
        cpu += begin.elapsed();
    }
    Figure::new("floor", events, cpu)
}

fn tumbling(app: &str) -> Plan {
    let app = Topology::named(app);
    app.stream(Topic::with(input::TOPIC, Searches))
        .event_time(|search| search.time)
        .key_by(|search| search.city.clone())
        .window(Tumbling::seconds(60))
        .fold("count", count())
        .on_close()
        .map(|closed| closed.value.get())
        .to(Topic::json(format!("{}-out", "tumbling")));
    app.build().expect("a topology")
}

fn hopping(app: &str) -> Plan {
    let app = Topology::named(app);
    app.stream(Topic::with(input::TOPIC, Searches))
        .event_time(|search| search.time)
        .key_by(|search| search.city.clone())
        .window(Hopping::new(DurationMs::minutes(60), DurationMs::minutes(1)))
        .fold("count", count())
        .on_close()
        .map(|closed| closed.value.get())
        .to(Topic::json("hopping-out"));
    app.build().expect("a topology")
}

fn per_user(app: &str) -> Plan {
    let app = Topology::named(app);
    app.stream(Topic::with(input::TOPIC, Searches))
        .event_time(|search| search.time)
        .already_keyed_by(|search| search.user.clone())
        .window(Tumbling::seconds(60))
        .fold("count", count())
        .on_close()
        .map(|closed| closed.value.get())
        .to(Topic::json("per-user-out"));
    app.build().expect("a topology")
}

fn session(app: &str) -> Plan {
    let app = Topology::named(app);
    app.stream(Topic::with(input::TOPIC, Searches))
        .event_time(|search| search.time)
        .already_keyed_by(|search| search.user.clone())
        .sessions(Sessions::gap(DurationMs::minutes(30)))
        .fold("sessions", count())
        .on_close()
        .map(|closed| closed.value.get())
        .to(Topic::json("session-out"));
    app.build().expect("a topology")
}

fn top20(app: &str) -> Plan {
    let app = Topology::named(app);
    app.stream(Topic::with(input::TOPIC, Searches))
        .event_time(|search| search.time)
        .key_by(|search| search.city.clone())
        .window(Tumbling::seconds(60))
        .fold("count", count())
        .on_close()
        .map_keyed(|city, closed| (city.clone(), closed.value.get()))
        .key_by(|_| 0_u8)
        .window(Tumbling::seconds(60))
        .fold("top", top_k(20, |(city, n): &(CompactString, u64)| (*n, city.clone())))
        .on_close()
        .map(|closed| closed.value.entries().len())
        .to(Topic::json("top20-out"));
    app.build().expect("a topology")
}

/// Searches and the clicks that follow them within five minutes, of 100 000 users.
fn join(app: &str) -> Plan {
    let app = Topology::named(app);
    let stream = |topic| {
        let stream = app.stream(Topic::with(topic, Searches)).event_time(|search| search.time);
        stream.already_keyed_by(|search| search.user.clone()).map(|search| search.city)
    };
    stream(input::TOPIC)
        .join(
            stream(input::CLICKS),
            JoinWindow::within(DurationMs(0), DurationMs::minutes(5)),
            "clicked",
            |_, city, _| city.clone(),
        )
        .to(Topic::json("join-out"));
    app.build().expect("a topology")
}

/// As `per_user`, and each search meets the profile of its user.
fn table_join(app: &str) -> Plan {
    let app = Topology::named(app);
    app.stream(Topic::with(input::TOPIC, Searches))
        .event_time(|search| search.time)
        .already_keyed_by(|search| search.user.clone())
        .map(|_| ())
        .join_table(app.table(Topic::<Json<Weight>>::json(input::PROFILED)), "profiles", |_, (), row| row.weight)
        .window(Tumbling::seconds(60))
        .fold("weight", sum(|weight: &i64| *weight))
        .on_close()
        .map(|closed| closed.value.get() as i64)
        .to(Topic::json("table-join-out"));
    app.build().expect("a topology")
}

fn percentiles(app: &str) -> Plan {
    let app = Topology::named(app);
    app.stream(Topic::with(input::TOPIC, Searches))
        .event_time(|search| search.time)
        .key_by(|search| search.city.clone())
        .window(Tumbling::seconds(60))
        .fold("results", quantiles(|search: &Search| f64::from(search.results)))
        .on_close()
        .map(|closed| [0.5, 0.95, 0.99].map(|q| closed.value.quantile(q)))
        .to(Topic::json("quantiles-out"));
    app.build().expect("a topology")
}

fn rollup(app: &str) -> Plan {
    let app = Topology::named(app);
    app.stream(Topic::with(input::LONG, Searches))
        .event_time(|search| search.time)
        .key_by(|search| search.city.clone())
        .window(Tumbling::seconds(60))
        .fold("minutes", count())
        .on_close()
        .roll_up(Tumbling::hours(1), "hours")
        .on_close()
        .tee(|hours| hours.map(|closed| closed.value.get()).to(Topic::json("hours-out")))
        .roll_up(Tumbling::hours(24), "days")
        .on_close()
        .map(|closed| closed.value.get())
        .to(Topic::json("days-out"));
    app.build().expect("a topology")
}

/// As `rollup`, of percentiles.
fn rollup_percentiles(app: &str) -> Plan {
    let told = |sketch: &Quantiles| [0.5, 0.95, 0.99].map(|q| sketch.quantile(q));
    let app = Topology::named(app);
    app.stream(Topic::with(input::LONG, Searches))
        .event_time(|search| search.time)
        .key_by(|search| search.city.clone())
        .window(Tumbling::seconds(60))
        .fold("minutes", quantiles(|search: &Search| f64::from(search.results)))
        .on_close()
        .roll_up(Tumbling::hours(1), "hours")
        .on_close()
        .tee(move |hours| hours.map(move |closed| told(&closed.value)).to(Topic::json("hours-out")))
        .roll_up(Tumbling::hours(24), "days")
        .on_close()
        .map(move |closed| told(&closed.value))
        .to(Topic::json("days-out"));
    app.build().expect("a topology")
}

fn worker(app: &str) -> Plan {
    let settings = trending_cities::TrendingSettings {
        application_id: app.to_owned(),
        inputs: vec![(events::SignalContract::SearchExecuted, input::TOPIC.to_owned())],
        ..trending_cities::TrendingSettings::default()
    };
    trending_cities::topology(&settings, &Arc::new(events::Gazetteer::shipped())).expect("a topology")
}

/// A worker that has joined, as one thread of a process.
pub(crate) fn start<H: StateHome>(
    log: Arc<dyn Log>,
    plan: Plan,
    home: H,
    bounds: Bounds,
) -> Worker<H, InlineNursery<H::Base>> {
    let layout = Layout::new(Arc::new(plan), &mut *log.admin().expect("admin")).expect("a layout");
    let terms = WorkerTerms {
        instance: "bench-0".to_owned(),
        commit_interval: DurationMs(100),
        idle_after: None,
        idle_close: None,
        future_bound: Some(DurationMs::hours(1)),
        epoch: 0,
        bounds,
    };
    Worker::new(log, Arc::new(layout), terms, home, InlineNursery::default()).expect("a worker")
}

fn drive<H: StateHome>((case, bounds): (&str, Bounds), log: Arc<dyn Log>, events: u64, plan: Plan, home: H) -> Figure {
    let clock = SystemClock::new();
    let begin = ProcessTime::now();
    let mut worker = start(Arc::clone(&log), plan, home, bounds);
    let mut quiet = 0;
    // Several quiet turns in a row, with a commit possible in between: nothing is left anywhere.
    while quiet < 2_000 {
        let activity = worker.step(clock.now()).expect("the worker goes on");
        quiet = if activity.idle { quiet + 1 } else { 0 };
        if activity.idle {
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
    }
    let status = worker.status();
    assert!(status.counts.records >= events, "{} of {events} records were taken in", status.counts.records);
    worker.close(clock.now()).expect("the worker closes");
    if std::env::var_os("STREAMFLEET_BENCH_VERBOSE").is_some() {
        eprintln!("{case}: {status:?}");
    }
    let figure = Figure::new(case, events, begin.elapsed());
    if std::env::var_os("STREAMFLEET_BENCH_VERBOSE").is_some() {
        weights::print(&*log, events);
    }
    figure
}

/// Stores in plain memory.
struct InMemory;

impl StateHome for InMemory {
    type Base = MemoryBase;

    fn open(&mut self, _: TaskId, _: &[ColumnContents]) -> Result<MemoryBase, CoreError> {
        Ok(MemoryBase::new())
    }

    fn destroy(&mut self, _: TaskId) -> Result<(), CoreError> {
        Ok(())
    }
}

/// Stores in RocksDB, under one budget.
pub(crate) struct OnDisk {
    pub(crate) folder: PathBuf,
    pub(crate) budget: MemoryBudget,
}

impl StateHome for OnDisk {
    type Base = RocksBase;

    fn open(&mut self, task: TaskId, contents: &[ColumnContents]) -> Result<RocksBase, CoreError> {
        let contents = Contents::new(contents.iter().cloned()).ok_or_else(|| CoreError::config("two columns alike"))?;
        let path = self.folder.join(task.to_string());
        std::fs::create_dir_all(&path).map_err(|error| CoreError::store_refused(error.to_string()))?;
        let options = RocksOptions::new(contents, self.budget.clone());
        Ok(RocksBase::open(&path, &options)?)
    }

    fn destroy(&mut self, task: TaskId) -> Result<(), CoreError> {
        std::fs::remove_dir_all(self.folder.join(task.to_string()))
            .map_err(|error| CoreError::store_refused(error.to_string()))
    }
}
