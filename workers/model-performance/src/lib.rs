//! How well the models do: recommendations, drift, intents and A/B tests.
//!
//! Not here: the contracts of the events (`events`), and everything about windows, state and exactly-once
//! (`processing_core`). Invariant: results depend on the input log and the time log alone.
//!
//! [`topology()`] is the worker; read it first.

pub mod arms;
pub mod event;
pub mod experiments;
pub mod judging;
pub mod results;
pub mod settings;
pub mod span;
pub mod statistics;
pub mod subject;
mod topology;
pub mod trials;
pub mod verdict;

pub use settings::ModelSettings;
pub use topology::topology;
