//! A real Kafka under the tests: brokers, what goes in, what has come out.
//!
//! Not here: the log that is tested. Invariant: nothing here goes through it; the client library is the same, because
//! there is none other, and it is used in another way, record by record, so that it is an independent witness.

pub mod admin;
pub mod cluster;
pub mod dump;
pub mod feed;
pub mod jars;
pub mod proxy;
pub mod secure;
pub mod worker;
