//! What applications publish and what the fleet makes of it: the contracts of the events, the
//! gazetteer of cities that gives their places one name, and two seeded sources of them: a feed of searches and a world
//! of everything else.
//!
//! Not here: what a worker computes from the events. Nothing here reads a clock or a network.
//! Invariant: any bytes decode into a value of bounded size or into a [`Poison`], never into a panic.
//!
//! A contract ([`mod@contract`]) is declared in a file of [`contracts`]: its fields, their types, where they stand. How a
//! company's records hold them is a [`mapping`], compiled once; [`topics`] reads records by it, and what comes out is
//! an [`Event`] with its [`Head`]. To add a contract: its declaration, its line in [`mod@event`], its examples in `golden/`,
//! and its schema, which `UPDATE_SCHEMAS=1 cargo test -p events --test evolution` writes. [`suggest`] proposes mappings,
//! [`schema`] describes contracts to publishers, [`signal`] is what trending-cities makes of events.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test is the outside"))]

pub mod amount;
pub mod contract;
pub mod contracts;
pub mod event;
pub mod feed;
pub mod field;
pub mod gazetteer;
pub mod head;
pub mod identity;
pub mod mapping;
pub mod number;
pub mod path;
pub mod place;
pub mod poi_ingested;
pub mod poison;
pub mod query;
pub mod schema;
pub mod settings;
pub mod signal;
pub mod suggest;
pub mod text;
pub mod timestamp;
pub mod token;
pub mod tokens;
pub mod topics;
pub mod world;

pub use event::{ContractName, Event};
pub use gazetteer::{CityRef, Gazetteer};
pub use head::Head;
pub use poi_ingested::Place;
pub use poison::{Poison, PoisonReason};
pub use signal::{SearchSource, Signal, SignalContract, SignalKind};
pub use topics::{Contracts, TopicReader};
