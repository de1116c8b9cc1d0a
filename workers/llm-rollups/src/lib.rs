//! What calls of language models cost and how long they take: rollups, budgets, objectives.
//!
//! Not here: the contracts of the events (`events`), and everything about windows, state and exactly-once
//! (`processing_core`). Invariant: results depend on the input log and the time log alone.
//!
//! [`topology()`] is the worker; read it first. [`http`] is what one may ask it.

pub mod alerts;
pub mod budget;
pub mod card;
pub mod event;
pub mod exchange;
pub mod http;
pub mod lateness;
pub mod ledger;
pub mod money;
pub mod parts;
pub mod pricing;
pub mod reading;
pub mod results;
pub mod rollup;
pub mod series;
pub mod settings;
pub mod slo;
mod sparse;
pub mod spending;
pub mod tokens;
mod topology;

pub use settings::LlmSettings;
pub use topology::topology;
