//! What tests drive workers with: a home in memory, virtual processes, a simulator and its checks.
//!
//! Not here: any topology or workload; those are the tests' own. Invariant: everything is one thread and
//! follows from a seed, so that a failing run can be had again.

mod check;
mod fleet;
mod home;
mod mutant;
mod options;
pub mod script;
mod simulate;
mod workload;

pub use check::Outcome;
pub use fleet::Tally;
pub use home::{Disk, MemoryHome};
pub use mutant::Mutation;
pub use options::SimOptions;
pub use simulate::{Failure, Report, Story, simulate};
pub use workload::{Event, Workload};
