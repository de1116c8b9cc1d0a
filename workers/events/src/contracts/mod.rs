//! The contracts of the events: one folder for each system, one file for each topic.
//!
//! Not here: how events are read ([`crate::mapping`]) and the list of all contracts ([`crate::event`]). Invariant:
//! a file declares what its topic holds by [`contract!`](crate::contract!) and nothing else, so that whoever
//! publishes its events can read it.
//!
//! Each system describes its events on a page; where that leaves a field open, the file says whose names it has.
//! Paths are under the payload and in snake_case; the same names in camelCase are found too. A duration is taken
//! only where its name or the settings say in what unit it is. Identifiers and versions may be whole numbers.

pub mod biznavigate;
pub mod jobquest;
pub mod lens;
pub mod llm_call;
pub mod loci;
pub mod paka;
