//! Event-time windows and top-K over local state, exactly once by log transactions.
//!
//! The way of a record is seven files; read them in the order in which they stand here. A topology is
//! written in the language of [`dsl`], frozen into a [`plan`], laid out on a [`log`] and driven by
//! [`worker`]s. A worker's file begins with the [`prelude`], and its tests are scripts ([`testing`]):
//!
//! ```
//! use processing_core::prelude::*;
//!
//! #[derive(serde::Deserialize)]
//! struct Search {
//!     at_ms: i64,
//!     city: String,
//! }
//!
//! fn topology() -> Result<Plan, TopologyError> {
//!     let app = Topology::named("trending");
//!     app.stream(Topic::<Json<Search>>::json("searches"))
//!         .event_time(|search| EventTime(search.at_ms))
//!         .key_by(|search| search.city.clone())
//!         .window(Tumbling::minutes(1).grace(DurationMs::seconds(10)))
//!         .fold("per-minute", count())
//!         .on_close()
//!         .map(|closed| closed.value.get())
//!         .to(Topic::json("searches.1m"));
//!     app.build()
//! }
//!
//! processing_core::testing::script::check(
//!     || topology().unwrap(),
//!     r#"
//!     in   searches  10:00:05  u1  {"at_ms": $ms, "city": "porto"}
//!     in   searches  10:00:59  u2  {"at_ms": $ms, "city": "porto"}
//!     in   searches  10:01:10  u1  {"at_ms": $ms, "city": "faro"}
//!     out  searches.1m  porto  2
//!     "#,
//! );
//! ```
//!
//! `examples/trips_per_city.rs` is a whole worker in one file.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test is the outside"))]

pub mod dsl;

// 1: bytes arrive.
pub mod source;
// 2: bytes become a typed event, or a poison verdict.
pub mod decode;
// 3: the operator chain.
pub mod process;
// 4: records are folded into panes.
pub mod window_store;
// 5: a staged row becomes a changelog record.
pub mod changelog;
// 6: results become output records.
pub mod sink;
// 7: everything above becomes true at once.
pub mod commit;

// What stands beside the way.
pub mod aggregate;
pub mod batch;
mod bulletin;
mod cache_share;
mod chunked;
mod chunked_map;
pub mod clock;
mod closing;
mod commit_record;
pub mod compared;
mod contents;
pub mod control;
pub mod counts;
mod describe;
pub mod error;
pub mod folded;
pub mod foreign_key;
pub mod hindsight;
pub mod home;
mod idleness;
pub mod instances;
pub mod join;
pub mod keeper;
mod key_filter;
pub mod latest;
pub mod layout;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod migration;
mod nursery;
mod pace;
mod placement;
pub mod plan;
pub mod prelude;
pub mod previous;
pub mod processor;
pub mod query;
pub mod rate_limit;
pub mod record;
pub mod repartition;
pub mod repeats;
pub mod restore;
mod rewrite;
pub mod rights;
pub mod run;
pub mod service;
pub mod session;
pub mod sliding;
pub mod sliding_windows;
pub mod snapshot;
mod standby;
mod state_view;
pub mod step;
pub mod table;
pub mod table_join;
pub mod table_pair;
pub mod table_source;
mod tail;
pub mod task;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod threads;
mod time_log;
pub mod updates;
mod upgrade;
mod varint;
mod waiting;
pub mod window;
pub mod windowed;
pub mod word;
pub mod worker;
