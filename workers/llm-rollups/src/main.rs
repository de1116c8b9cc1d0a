//! The `llm-rollups` binary.

fn main() {}
