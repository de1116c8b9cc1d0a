//! Event-time windows and top-K over local state, exactly once by log transactions.

pub mod aggregate;
pub mod batch;
pub mod clock;
pub mod error;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod record;
pub mod service;
