//! The stores of a task: ordered rows, staged writes, changelog positions, key and value encodings.
//!
//! A task's rows lie in a [`Base`] (RocksDB or memory) and are changed through a
//! [`TaskStore`], which writes the base only with the receipt of a published
//! transaction. Beside it, [`OrderedStore`] is the durable sorted map that a
//! log can stand on.
//!
//! Not here: Kafka, topics, windows, aggregates. A column is a number, a position is a number.
//!
//! Invariant: after any crash a store shows the rows and the positions of one moment, together; what
//! came later is missing as a whole and is brought back by the changelog's tail.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test is the outside"))]

mod layer;
mod mask;
mod rocks;
mod run;
mod segments;
mod stack;

pub mod batch;
pub mod codec;
pub mod directory;
pub mod error;
pub mod format;
pub mod keys;
pub mod memory;
pub mod position;
pub mod snapshot;
pub mod staged;
pub mod store;

pub use rocks::base::{RocksBase, RocksOptions};
pub use rocks::budget::MemoryBudget;
pub use rocks::ordered;
pub use rocks::ordered::{OrderedOptions, OrderedStore, Sync, WriteSet};

pub use batch::{Batch, Change};
pub use codec::CodecError;
pub use directory::{StateDirectory, TaskDirectory, TaskName};
pub use error::{StoreError, StoreRemedy};
pub use format::{ColumnContents, Contents};
pub use keys::{KeyError, KeyFamily, StateKey};
pub use memory::MemoryBase;
pub use position::Position;
pub use staged::{Receipt, Room, TaskStore, TaskStoreLimits};
pub use store::{Base, ColumnId, KeyRange, OwnedRange, Row, Visit};
