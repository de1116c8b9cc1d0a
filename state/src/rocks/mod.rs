//! The one place that names RocksDB: the task base, the ordered store and their shared memory.
//!
//! Not here: what rows mean, and when a base may be written.
//! Invariant: no type of the rocksdb crate appears in a public signature.

pub(crate) mod base;
pub(crate) mod budget;
mod failure;
pub mod ordered;
mod tuning;
mod walk;

type Db = rocksdb::DBWithThreadMode<rocksdb::SingleThreaded>;
