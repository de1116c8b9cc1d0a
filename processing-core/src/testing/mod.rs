//! What tests of workers stand on.
//!
//! Not here: anything that a worker runs. Invariant: what is tested is the worker's own topology on the
//! core's own record path; only the log, the base stores and the clock are others.

pub mod script;
