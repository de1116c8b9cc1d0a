//! The worker that is measured: the bench's cases as topologies, run as any worker is.
//!
//! Not here: load, measuring, comparing (`main.rs`). Invariant: every result is, byte for byte, what the Kafka
//! Streams program writes for the same input.

use std::process::ExitCode;

use compact_str::CompactString;
use processing_core::aggregate::{Aggregate, Exactness, Mergeable};
use processing_core::decode::{Decoder, Poison, json_poison};
use processing_core::error::CoreError;
use processing_core::prelude::*;
use processing_core::service::Program;
use processing_core::service::settings::{Declarations, Settings, Spec, ValueKind};
use serde::{Deserialize, Serialize};

const CASES: &[&str] = &[
    "tumbling",
    "per_user",
    "session",
    "hopping",
    "top20",
    "updates",
    "join",
    "table_join",
    "quantiles",
    "rollup",
    "large_state",
];
const MINUTE: DurationMs = DurationMs::minutes(1);
const GRACE: DurationMs = DurationMs::minutes(5);
/// As the input has, so that both sides have as many tasks.
const PARTITIONS: u32 = 4;

fn main() -> ExitCode {
    let case = Spec::new("bench.case", ValueKind::OneOf(CASES), "tumbling", "Which case runs");
    let program = Program {
        name: "bench_worker",
        version: env!("CARGO_PKG_VERSION"),
        declared: Declarations::library("bench")
            .with([case])
            .input("events", "search.executed", true)
            .input("beside", "beside", false),
        metrics: &[],
        log_to_stderr: false,
    };
    processing_core::run::run(program, |settings| Ok((plan(settings)?, |_| axum::Router::new())))
}

fn plan(settings: &Settings) -> Result<Plan, CoreError> {
    let id = &settings.application.id;
    let app = Topology::named(id);
    let topic = |name: &str| settings.inputs.get(name).map(|input| input.topic.to_string()).unwrap_or_default();
    let (input, beside, out) = (topic("events"), topic("beside"), format!("{id}-out"));
    match settings.get::<String>("bench.case")?.as_str() {
        "tumbling" => by_city(&app, input, Tumbling::new(MINUTE).grace(GRACE), out),
        "hopping" => {
            by_city(&app, input, Hopping::new(DurationMs::hours(1), MINUTE).grace(DurationMs::minutes(20)), out)
        }
        "per_user" => per_user(&app, input, out),
        "session" => session(&app, input, out),
        "updates" => updates(&app, input, out),
        "top20" => top20(&app, input, out),
        "join" => join(&app, input, beside, out),
        "table_join" => table_join(&app, input, beside, out),
        "quantiles" => percentiles(&app, input, out),
        "rollup" => rollup(&app, input, out, format!("{id}-hours-out")),
        _ => large_state(&app, input, out),
    }
    app.build().map_err(|error| CoreError::config(error.to_string()))
}

/// An event as far as a case asks for it: `K` is the field that it groups by.
#[derive(Deserialize)]
struct Wire<K> {
    timestamp: i64,
    payload: K,
}

#[derive(Deserialize)]
struct City<'a> {
    city: &'a str,
}

#[derive(Deserialize)]
struct User<'a> {
    user_id: &'a str,
}

/// What the chain carries.
struct Search {
    time: EventTime,
    key: CompactString,
}

/// Searches, to be grouped by city.
#[derive(Clone)]
struct ByCity;

impl Decoder for ByCity {
    type Event = Search;

    fn decode(&self, value: Option<&[u8]>) -> Result<Search, Poison> {
        let wire: Wire<City<'_>> = parse(value)?;
        Ok(Search { time: EventTime(wire.timestamp), key: wire.payload.city.into() })
    }
}

/// Searches, to be grouped by user.
#[derive(Clone)]
struct ByUser;

impl Decoder for ByUser {
    type Event = Search;

    fn decode(&self, value: Option<&[u8]>) -> Result<Search, Poison> {
        let wire: Wire<User<'_>> = parse(value)?;
        Ok(Search { time: EventTime(wire.timestamp), key: wire.payload.user_id.into() })
    }
}

fn parse<'a, T: Deserialize<'a>>(value: Option<&'a [u8]>) -> Result<T, Poison> {
    let bytes = value.ok_or_else(|| Poison::new("tombstone", "the record has no value"))?;
    serde_json::from_slice(bytes).map_err(|error| json_poison(&error))
}

#[derive(Serialize)]
struct Counted {
    key: CompactString,
    start: i64,
    count: u64,
}

fn out<T>(name: String) -> Topic<processing_core::decode::Json<T>> {
    Topic::json(name).partitions(PARTITIONS)
}

fn by_city(app: &Topology, input: String, windows: impl Windowing, name: String) {
    app.stream(Topic::with(input, ByCity))
        .event_time(|search| search.time)
        .key_by(|search| search.key.clone())
        .window(windows)
        .fold("count", count())
        .on_close()
        .map_keyed(|key, closed| Counted { key: key.clone(), start: closed.window.start.0, count: closed.value.get() })
        .to(out(name));
}

fn per_user(app: &Topology, input: String, name: String) {
    app.stream(Topic::with(input, ByUser))
        .event_time(|search| search.time)
        .already_keyed_by(|search| search.key.clone())
        .window(Tumbling::new(MINUTE).grace(GRACE))
        .fold("count", count())
        .on_close()
        .map_keyed(|key, closed| Counted { key: key.clone(), start: closed.window.start.0, count: closed.value.get() })
        .to(out(name));
}

#[derive(Serialize)]
struct Visit {
    key: CompactString,
    start: i64,
    /// When the last event was, as Kafka Streams says where a session ends.
    end: i64,
    count: u64,
}

fn session(app: &Topology, input: String, name: String) {
    app.stream(Topic::with(input, ByUser))
        .event_time(|search| search.time)
        .already_keyed_by(|search| search.key.clone())
        .sessions(Sessions::gap(DurationMs::minutes(30)).grace(GRACE))
        .fold("sessions", count())
        .on_close()
        .map_keyed(|key, closed| Visit {
            key: key.clone(),
            start: closed.window.start.0,
            end: closed.window.end.0 - 1,
            count: closed.value.get(),
        })
        .to(out(name));
}

/// The present word at every commit, for latency.
fn updates(app: &Topology, input: String, name: String) {
    app.stream(Topic::with(input, ByCity))
        .event_time(|search| search.time)
        .key_by(|search| search.key.clone())
        .window(Tumbling::new(MINUTE).grace(GRACE))
        .fold("count", count())
        .on_update(DurationMs(0), |side| {
            side.map_keyed(|key, updated| Counted {
                key: key.clone(),
                start: updated.window.start.0,
                count: updated.value.get(),
            })
            .to(out(name))
        })
        .end();
}

#[derive(Serialize)]
struct Best {
    start: i64,
    top: Vec<(CompactString, u64)>,
}

fn top20(app: &Topology, input: String, name: String) {
    app.stream(Topic::with(input, ByCity))
        .event_time(|search| search.time)
        .key_by(|search| search.key.clone())
        .window(Tumbling::new(MINUTE).grace(GRACE))
        .fold("count", count())
        .on_close()
        .map_keyed(|city, closed| (city.clone(), closed.value.get()))
        .key_by(|_| 0_u8)
        .window(Tumbling::new(MINUTE))
        .fold("top", top_k(20, |(city, count): &(CompactString, u64)| (*count, city.clone())))
        .on_close()
        .map(|closed| Best {
            start: closed.window.start.0,
            top: closed.value.entries().iter().map(|city| (city.item.clone(), city.score)).collect(),
        })
        .to(out(name));
}

/// A search and a click that followed it.
#[derive(Serialize)]
struct Clicked {
    key: CompactString,
    start: i64,
    end: i64,
}

fn join(app: &Topology, input: String, clicks: String, name: String) {
    let times = |topic| {
        let stream = app.stream(Topic::with(topic, ByUser)).event_time(|search| search.time);
        stream.already_keyed_by(|search| search.key.clone()).map(|search| search.time.0)
    };
    let window = JoinWindow::within(DurationMs(0), DurationMs::minutes(5)).grace(GRACE);
    times(input)
        .join(times(clicks), window, "clicked", |key, search, click| Clicked {
            key: key.clone(),
            start: *search,
            end: *click,
        })
        .to(out(name));
}

/// What a user counts for.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Weight {
    weight: i64,
}

fn table_join(app: &Topology, input: String, profiles: String, name: String) {
    app.stream(Topic::with(input, ByUser))
        .event_time(|search| search.time)
        .already_keyed_by(|search| search.key.clone())
        .map(|_| ())
        .join_table(app.table(Topic::<Json<Weight>>::json(profiles)), "profiles", |_, (), profile| profile.weight)
        .window(Tumbling::new(MINUTE).grace(GRACE))
        .fold("weight", sum(|weight: &i64| *weight))
        .on_close()
        .map_keyed(|key, closed| Counted {
            key: key.clone(),
            start: closed.window.start.0,
            count: u64::try_from(closed.value.get()).unwrap_or(0),
        })
        .to(out(name));
}

#[derive(Deserialize)]
struct Found<'a> {
    city: &'a str,
    result_count: u32,
}

/// How many results searches in a city had.
struct Results {
    time: EventTime,
    city: CompactString,
    count: u32,
}

#[derive(Clone)]
struct WithResults;

impl Decoder for WithResults {
    type Event = Results;

    fn decode(&self, value: Option<&[u8]>) -> Result<Results, Poison> {
        let Wire::<Found<'_>> { timestamp, payload } = parse(value)?;
        Ok(Results { time: EventTime(timestamp), city: payload.city.into(), count: payload.result_count })
    }
}

/// Whole numbers below 40, each within 1 % of the true one and rounded: those of any sketch with that error.
#[derive(Serialize)]
struct Percentiles {
    key: CompactString,
    start: i64,
    p50: u64,
    p95: u64,
    p99: u64,
}

fn percentiles(app: &Topology, input: String, name: String) {
    app.stream(Topic::with(input, WithResults))
        .event_time(|search| search.time)
        .key_by(|search| search.city.clone())
        .window(Tumbling::new(MINUTE).grace(GRACE))
        .fold("results", quantiles(|search: &Results| f64::from(search.count)))
        .on_close()
        .map_keyed(|city, closed| {
            let at = |q| closed.value.quantile(q).map_or(0, |number| number.round() as u64);
            Percentiles { key: city.clone(), start: closed.window.start.0, p50: at(0.5), p95: at(0.95), p99: at(0.99) }
        })
        .to(out(name));
}

#[derive(Serialize)]
struct Rolled {
    key: CompactString,
    start: i64,
    hours: u64,
    count: u64,
}

fn rolled(hours: u64) -> impl Fn(&CompactString, Closed<Count>) -> Rolled + Clone {
    move |key, closed| Rolled { key: key.clone(), start: closed.window.start.0, hours, count: closed.value.get() }
}

/// Minutes to hours to days, of which hours and days are told.
fn rollup(app: &Topology, input: String, name: String, hours_name: String) {
    app.stream(Topic::with(input, ByCity))
        .event_time(|search| search.time)
        .key_by(|search| search.key.clone())
        .window(Tumbling::new(MINUTE).grace(DurationMs::hours(6)))
        .fold("minutes", count())
        .on_close()
        .roll_up(Tumbling::hours(1), "hours")
        .on_close()
        .tee(|hours| hours.map_keyed(rolled(1)).to(out(hours_name)))
        .roll_up(Tumbling::hours(24), "days")
        .on_close()
        .map_keyed(rolled(24))
        .to(out(name));
}

#[derive(Deserialize)]
struct Profile {
    id: u64,
    timestamp: i64,
}

/// A row of its full size, which does not compress.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Filler(Vec<u8>);

impl Mergeable for Filler {
    const EXACTNESS: Exactness = Exactness::Exact;
    fn merge(&mut self, other: &Self) {
        self.0.clone_from(&other.0);
    }
    fn heap_bytes(&self) -> usize {
        self.0.capacity()
    }
}

impl Aggregate<Profile> for Filler {
    fn add(&mut self, profile: &Profile) {
        let number = |n: u64| ((profile.id << 20) + n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = (1..=111).flat_map(|n| number(n).to_be_bytes()).collect();
    }
}

fn large_state(app: &Topology, input: String, name: String) {
    app.stream(Topic::json(input))
        .event_time(|profile: &Profile| EventTime(profile.timestamp))
        .already_keyed_by(|profile| CompactString::from(format!("p{:09}", profile.id)))
        .window(Tumbling::new(MINUTE).grace(DurationMs::hours(3)))
        .aggregate::<Filler>("profiles")
        .on_close()
        .map(|closed| closed.value.0.len())
        .to(out(name));
}
