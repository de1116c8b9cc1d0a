//! Harness of the tests.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    reason = "the harness is the outside: it starts processes and threads, reads clocks, and fails a test by a panic"
)]

pub mod command;
pub mod compare;
pub mod demo_process;
pub mod guarded;
pub mod kafka;
pub mod stores;
