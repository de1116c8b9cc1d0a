//! Event-time windows and top-K over local state, exactly once by log transactions.

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "tests are the outside: they start threads and read clocks"
    )
)]

pub mod aggregate;
pub mod batch;
pub mod clock;
mod closing;
mod commit_record;
pub mod counts;
pub mod error;
mod idleness;
pub mod layout;
pub mod limits;
pub mod log;
pub mod metrics;
mod placement;
pub mod plan;
pub mod record;
pub mod repartition;
pub mod restore;
pub mod service;
pub mod sliding;
mod state_view;
pub mod step;
pub mod task;
mod time_log;
pub mod updates;
pub mod window;
pub mod windowed;
pub mod worker;
