//! Which cities are trending: what users search for and save, over a sliding hour, against what was to
//! be expected.
//!
//! Not here: the contracts of the events and the names of cities (`events`), and everything about
//! windows, state and exactly-once (`processing_core`). Invariant: results depend on the input log and
//! the time log alone.
//!
//! [`topology()`] is the worker; read it first. [`http`] is what one may ask it.

pub mod activity;
pub mod city;
pub mod http;
pub mod lists;
pub mod queries;
pub mod results;
pub mod score;
pub mod settings;
mod topology;

pub use settings::TrendingSettings;
pub use topology::topology;
