//! The one place that names RocksDB: the task base, the ordered store and their shared memory.
//!
//! Not here: what rows mean, and when a base may be written.
//! Invariant: no type of the rocksdb crate appears in a public signature.

pub(crate) mod base;
pub(crate) mod budget;
mod collection;
mod failure;
mod intake;
mod layout;
mod migration;
pub mod ordered;
mod stored;
mod tuning;
mod walk;
mod write_set;

type Db = rocksdb::DBWithThreadMode<rocksdb::SingleThreaded>;
