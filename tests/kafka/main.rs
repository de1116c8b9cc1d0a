//! Proof on a real broker: what a worker promises, tried on Apache Kafka.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by a panic, starts processes and reads clocks"
)]

mod contract;
mod instances;
mod plan;
mod witness;
