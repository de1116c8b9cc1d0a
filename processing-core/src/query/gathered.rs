//! Rows that come from several threads and instances, on their way to one answer.
//!
//! Invariant: all together never hold more than one answer may.

use state::Row;

use super::{Answer, QueryError};
use crate::limits::{QUERY_BYTES_MAX, QUERY_ROWS_MAX};
use crate::record::EventTime;

/// See the file's head.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    rows: Vec<Row>,
    time: Option<EventTime>,
    room: Room,
}

impl Gathered {
    /// Takes in the rows of some tasks and the time that all of these have committed, if there are any.
    pub(crate) fn take(&mut self, rows: Vec<Row>, time: Option<EventTime>) -> Result<(), QueryError> {
        for row in rows {
            self.room.take(row.0.len() + row.1.len())?;
            self.rows.push(row);
        }
        self.time = self.time.into_iter().chain(time).min();
        Ok(())
    }

    /// All rows in the order of their keys, and the time that all tasks have committed.
    pub(crate) fn into_parts(self) -> (Vec<Row>, Option<EventTime>) {
        let Self { mut rows, time, .. } = self;
        if !rows.is_sorted_by(|a, b| a.0 <= b.0) {
            rows.sort_by(|a, b| a.0.cmp(&b.0));
        }
        (rows, time)
    }

    /// The answer for rows of `store`.
    pub(crate) fn answer(self, store: &str) -> Result<Answer, QueryError> {
        let (rows, time) = self.into_parts();
        match time {
            Some(time) => Ok(Answer { rows, time: Some(time).filter(|time| *time > EventTime::MIN) }),
            None => Err(QueryError::Elsewhere(store.to_owned())),
        }
    }
}

/// What an answer may still hold.
#[derive(Debug)]
pub(super) struct Room {
    rows: usize,
    bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { rows: QUERY_ROWS_MAX, bytes: QUERY_BYTES_MAX }
    }
}

impl Room {
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), QueryError> {
        match (self.rows.checked_sub(1), self.bytes.checked_sub(bytes)) {
            (Some(rows), Some(bytes)) => {
                *self = Self { rows, bytes };
                Ok(())
            }
            _ => Err(QueryError::TooLarge),
        }
    }
}
