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
pub mod log;
pub mod record;
