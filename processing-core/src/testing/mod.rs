//! What topologies and workers are tested with.
//!
//! | what | proves |
//! |---|---|
//! | [`script`] | single cases, in words: what comes in, what comes out, and that no crash, rebalance or pause at any line changes it |
//! | [`simulate()`] | that a fleet whose processes crash and replace each other, on a log at its worst, says what one worker says that never failed; a seed that fails is printed as a script |
//! | [`strategy`] | properties of one's own, over events that come out of order, in bursts, after silences and twice |
//! | [`laws`](crate::aggregate::laws) | that an aggregate of one's own gives one answer in any order and grouping |
//!
//! All of them run the topology that production runs, on a log in memory, in one thread and without waiting. They come
//! with the feature `testing`, which belongs to the dev-dependencies of a worker:
//!
//! ```toml
//! [dev-dependencies]
//! processing-core = { workspace = true, features = ["testing"] }
//! ```
//!
//! ```
//! use processing_core::prelude::*;
//! use processing_core::testing::{Event, Workload, simulate};
//!
//! #[derive(serde::Deserialize)]
//! struct Search {
//!     at_ms: i64,
//!     city: String,
//! }
//!
//! fn topology() -> Plan {
//!     let app = Topology::named("trending");
//!     app.stream(Topic::<Json<Search>>::json("searches"))
//!         .event_time(|search| EventTime(search.at_ms))
//!         .key_by(|search| search.city.clone())
//!         .window(Tumbling::minutes(1).grace(DurationMs::seconds(10)))
//!         .fold("per-minute", count())
//!         .on_close()
//!         .map(|closed| closed.value.get())
//!         .to(Topic::json("searches.1m"));
//!     app.build().unwrap()
//! }
//!
//! let searches = Workload::new().topic("searches", 2).every(DurationMs::seconds(10)).events(60, |dice, now| {
//!     let city = dice.pick(["porto", "faro"]);
//!     let at_ms = dice.disordered(now, DurationMs::seconds(30)).0;
//!     Event::new("searches").key(city).json(&serde_json::json!({ "at_ms": at_ms, "city": city }))
//! });
//! let simulated = simulate(topology, &searches, 0..5);
//! assert!(simulated.results > 0);
//! ```
//!
//! `examples/testing_a_topology.rs` is a guide through all of it.
//!
//! Not here: any topology or workload; those are the tests' own. Invariant: everything is one thread and
//! follows from a seed, so that a failing run can be had again.

mod check;
mod counterexample;
mod dice;
mod feed;
mod fleet;
mod home;
mod mutant;
mod options;
pub mod script;
mod seeds;
mod shrink;
mod simulate;
pub mod strategy;
mod workload;

pub use check::Outcome;
pub use counterexample::{Counterexample, Verdict};
pub use dice::Dice;
pub use feed::{Arrival, Feed};
pub use fleet::Tally;
pub use home::{Disk, MemoryHome};
pub use mutant::Mutation;
pub use options::SimOptions;
pub use seeds::{Simulated, simulate, try_simulate};
pub use simulate::{Failure, Report, Story, simulate_seed};
pub use workload::{Event, Workload};
