//! What applications publish and what the fleet makes of it: the contracts of the events, the
//! gazetteer of cities that gives their places one name, and two seeded sources of them: a feed of searches and a world
//! of everything else.
//!
//! Not here: what a worker computes from the events. Nothing here reads a clock or a network.
//! Invariant: any bytes decode into a value of bounded size or into a [`Poison`], never into a panic.
//!
//! One file per contract ([`search_executed`] and its sisters): its wire fields with their
//! spellings, and what they become. [`envelope`] is read in one place for all of them, by the
//! object reader of [`mod@wire`]. To add a contract: its file, its schema in `schemas/`, its examples
//! in `golden/`, and its line in the enum of what it decodes into ([`signal::SignalContract`]);
//! [`poi_ingested`] is no signal, but the table in which signals find their city.

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
