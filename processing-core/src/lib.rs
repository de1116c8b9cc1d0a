//! Event-time windows and top-K over local state, exactly once by log transactions.

pub mod aggregate;
pub mod batch;
pub mod log;
pub mod record;
pub mod sliding;
pub mod window;
