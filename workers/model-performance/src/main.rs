//! The `model-performance` binary.

fn main() {}
