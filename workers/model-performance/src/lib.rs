//! How well the models do: recommendations, drift, intents and A/B tests.
//!
//! Not here: the contracts of the events (`events`), and everything about windows, state and exactly-once
//! (`processing_core`). Invariant: results depend on the input log and the time log alone.
//!
//! [`topology()`] is the worker; read it first. [`http`] is what one may ask it.

pub mod arms;
pub mod attribution;
pub mod coverage;
pub mod drift;
pub mod earliest;
pub mod event;
pub mod experiments;
pub mod followed;
pub mod http;
pub mod intents;
pub mod judging;
pub mod leads;
pub mod lists;
pub mod outcomes;
pub mod packed;
pub mod performance;
pub mod popular;
pub mod reading;
pub mod results;
pub mod routing;
pub mod series;
pub mod serving;
pub mod settings;
pub mod signals;
pub mod span;
pub mod statistics;
pub mod subject;
pub mod tally;
mod topology;
pub mod trials;
pub mod verdict;

pub use settings::ModelSettings;
pub use topology::{topology, topology_of};
