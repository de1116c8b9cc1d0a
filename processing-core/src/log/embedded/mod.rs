//! The durable log of one machine: partitions, transactions and groups in one process, on an ordered
//! store.
//!
//! Not here: a log between machines (that is Kafka), and a file format (that is the ordered store's).
//! Invariant: a transaction is one atomic write, so that what is in the log is committed, and every
//! read is read-committed.
//!
//! ```text
//!   producer ── rows, positions ──▶ writer ──one write──▶ ordered store ◀── scan ── member, reader
//!                                     │ group: who holds what
//! ```

mod catalog;
mod compaction;
mod group;
mod keys;
mod lock;
mod member;
mod options;
mod producer;
mod reader;
mod row;
mod scan;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "several threads use a log at once")]
mod tests;
mod upkeep;
#[expect(clippy::disallowed_methods, reason = "a log and its topics get their random ids where they are made")]
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::member::EmbeddedMember;
pub use self::options::{Durability, EmbeddedOptions, LogClock};
use self::producer::{EmbeddedTransaction, Gathered};
pub use self::reader::EmbeddedReaderProcess;
use self::reader::{EmbeddedAdmin, EmbeddedReader, View};
pub use self::upkeep::Maintained;
use self::writer::{Claim, Refusal, Writer};
use super::{Admin, FreeReader, GroupSource, Log, LogError, Membership, Transaction, TransactionalId};
use crate::batch::RecordBatch;
use crate::record::{LogTime, Offset, TopicPartition};

/// A log in a folder of this machine, held by this process.
///
/// The folder is given back when the last side opened from the log is dropped.
pub struct EmbeddedLog {
    writer: Arc<Writer>,
}

impl EmbeddedLog {
    /// Opens the log in `folder`, and makes one if there is none.
    ///
    /// # Errors
    /// `Fatal` if another process holds the folder (the message names it), if its format is another
    /// one, or if it is damaged; `Full` if there is no room.
    pub fn open(folder: &Path, options: EmbeddedOptions) -> Result<Arc<Self>, LogError> {
        let writer = Writer::open(folder, options)?;
        Ok(Arc::new(Self { writer: Arc::new(writer) }))
    }

    /// What tells this log from any other that ever stood in the same folder.
    pub fn incarnation(&self) -> u128 {
        self.writer.incarnation()
    }

    /// Appends records outside of every transaction, all of them or none; answers one past the last.
    ///
    /// # Errors
    /// `Unknown`, `Full`, or `Fatal` when the log cannot be written.
    pub fn append(
        &self,
        to: &TopicPartition,
        records: &RecordBatch,
        durability: Durability,
    ) -> Result<Offset, LogError> {
        let standing = self.writer.standing(to)?;
        let mut gathered = Gathered::new(self.writer.options.row);
        gathered.add(to, standing.key.topic, records);
        let claim = Claim { producer: None, positions: &[], group: None, durability };
        let ends = self.writer.commit(&mut gathered.take(), claim).map_err(|refusal| match refusal {
            Refusal::Fenced(why) => LogError::Fenced(why),
            Refusal::Impossible(error) | Refusal::Failed(error) => error,
        })?;
        Ok(ends.get(to).copied().flatten().unwrap_or(standing.ends.next))
    }

    /// Waits until everything that was appended is in files which nobody is about to rewrite. For whoever measures what
    /// comes afterwards, or copies the folder.
    ///
    /// # Errors
    /// `Full`, or `Fatal` when the log cannot be written.
    pub fn settle(&self) -> Result<(), LogError> {
        let store = &self.writer.store;
        store.flush().and_then(|()| store.settle()).map_err(catalog::store_error)
    }

    /// One bounded step of deleting by age, deleting what was purged, and compaction. To be called
    /// now and then, and again at once while [`Maintained::more`]; commits wait for it.
    ///
    /// # Errors
    /// As the store's; nothing that should stay is lost by a step that fails.
    pub fn maintain(&self, now: LogTime) -> Result<Maintained, LogError> {
        upkeep::step(&self.writer, now)
    }
}

impl Log for EmbeddedLog {
    fn group_source(&self, membership: Membership) -> Result<Box<dyn GroupSource>, LogError> {
        Ok(Box::new(EmbeddedMember::join(Arc::clone(&self.writer), membership)?))
    }

    fn transaction(&self, id: &TransactionalId) -> Result<Box<dyn Transaction>, LogError> {
        let epoch = self.writer.new_producer(id)?;
        Ok(Box::new(EmbeddedTransaction::new(Arc::clone(&self.writer), epoch)))
    }

    fn reader(&self) -> Result<Box<dyn FreeReader>, LogError> {
        Ok(Box::new(EmbeddedReader { view: Arc::clone(&self.writer) as Arc<dyn View> }))
    }

    fn admin(&self) -> Result<Box<dyn Admin>, LogError> {
        let view = Arc::clone(&self.writer) as Arc<dyn View>;
        Ok(Box::new(EmbeddedAdmin { view, writer: Some(Arc::clone(&self.writer)) }))
    }
}

fn store_folder(folder: &Path) -> PathBuf {
    folder.join("rows")
}
