//! The `engagement-metrics` binary.

fn main() {}
