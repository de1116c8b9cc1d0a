//! How engaged the users are: active users, sessions, funnels, pipelines, retention.
//!
//! Not here: the contracts of the events (`events`), and everything about windows, state and exactly-once
//! (`processing_core`). Invariant: results depend on the input log and the time log alone.
//!
//! [`topology()`] is the worker; read it first. Everything that is counted was in time for its minute, and a
//! person's minute holds each event once: so lateness and repeats are decided in one place, and whatever comes behind is
//! a function of what was accepted.

pub mod action;
pub mod attempts;
pub mod calendar;
pub mod definitions;
pub mod history;
pub mod http;
pub mod kind;
pub mod labels;
pub mod life;
pub mod minute;
pub mod packed;
pub mod person;
pub mod pipelines;
pub mod reading;
pub mod results;
pub mod scope;
pub mod session;
pub mod settings;
pub mod tally;
mod topology;
pub mod welch;

pub use settings::EngagementSettings;
pub use topology::{topology, topology_of};
