//! The language of topologies from outside: what compiles, what does not, and how a plan reads.
//!
//! Not here: what a plan does when it runs, but for the steps that are proven one by one ([`steps`]). Invariant: nothing is used but what every worker can use.

mod compile_fail;
mod describe;
mod steps;
