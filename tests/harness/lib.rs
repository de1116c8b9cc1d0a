//! Harness of the tests.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the harness is the outside: it starts processes and threads and reads clocks"
)]
