//! Proof on a real broker: what a worker promises, tried on Apache Kafka.
//!
//! Not here: faults within a commit, which the simulator places exactly. Invariant: what has come out is read by a
//! client of the harness and compared with an oracle that is computed from the input topic and the time log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by a panic, starts processes and reads clocks"
)]

mod brokers;
mod chaos;
mod contract;
mod demo;
mod equality;
mod events;
mod faults;
mod fencing;
mod inputs;
mod instances;
mod java;
mod language;
mod magic;
mod medley;
mod network;
mod oracle;
mod plan;
mod protocol;
mod security;
mod stage;
mod standby;
mod twin;
mod upgrade;
mod witness;
