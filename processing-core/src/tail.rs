//! A small compacted topic of one partition, followed from its beginning.
//!
//! Not here: what its records mean. Invariant: a record is handed on once, in order, or the topic is read again
//! from the beginning: what a reader makes of it must not depend on which.

use crate::batch::RecordBatch;
use crate::limits::TAIL_BATCHES_MAX;
use crate::log::{FreeReader, Log, LogError, Read};
use crate::record::{Offset, TopicPartition};

/// How far a look has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Followed {
    /// The log has not answered yet.
    Waiting,
    /// There is more to read.
    Behind,
    /// To the end.
    End,
}

/// See the file's head.
pub(crate) struct Tail {
    place: TopicPartition,
    reader: Option<Box<dyn FreeReader>>,
    next: Offset,
    batch: RecordBatch,
}

impl Tail {
    pub(crate) fn new(place: TopicPartition) -> Self {
        Self { place, reader: None, next: Offset::ZERO, batch: RecordBatch::new() }
    }

    /// Hands on what has come. After an error the next call goes on with a new reader.
    pub(crate) fn follow(
        &mut self,
        log: &dyn Log,
        mut take: impl FnMut(Offset, &[u8], Option<&[u8]>),
    ) -> Result<Followed, LogError> {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => log.reader()?,
        };
        for _ in 0..TAIL_BATCHES_MAX {
            let read = match reader.read(&self.place, self.next, &mut self.batch) {
                Err(LogError::Retry(_)) => {
                    // Whoever has asked and waits for an answer is not to begin anew.
                    self.reader = Some(reader);
                    return Ok(Followed::Waiting);
                }
                read => read?,
            };
            for record in self.batch.iter() {
                take(record.offset, record.key.unwrap_or_default(), record.value);
            }
            match read {
                Read::Records(next) => self.next = next.max(self.next),
                Read::End(next) => {
                    self.next = next.max(self.next);
                    self.reader = Some(reader);
                    return Ok(Followed::End);
                }
                Read::OutOfRange(marks) => self.next = marks.start,
            }
        }
        self.reader = Some(reader);
        Ok(Followed::Behind)
    }
}
