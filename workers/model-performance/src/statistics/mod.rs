//! Pure statistics: numbers in, numbers out.
//!
//! Not here: events, windows, state. Invariant: every function is a function of its arguments alone, and its
//! logarithms, roots and powers are those of `libm`, so that a replay on another machine says the same.

pub mod calibration;
pub mod kolmogorov_smirnov;
pub mod msprt;
pub mod psi;
pub mod ranking;
pub mod sample_ratio;
pub mod wilson;
