//! Rows that would outlive their changelog are written into it again.
//!
//! A windowed changelog forgets by the time at which a record was appended. A row lives as long as event
//! time says, and event time may stand still: half of the retention after the last round, a new one goes
//! through the store, a bounded number of rows with each commit.
//!
//! Not here: how long a changelog is kept ([`crate::layout`]) and what a restore makes of the floor
//! ([`crate::restore`]). Invariant: every live row has a record in the changelog at or above the floor.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use state::keys::meta::MetaKey;
use state::{ColumnId, KeyRange, Position, Row};

use crate::changelog::{self, META};
use crate::error::CoreError;
use crate::limits::{REWRITE_BYTES_MAX, REWRITE_ROWS_MAX};
use crate::record::{DurationMs, WallTime};
use crate::state_view::Rows;
use crate::step::Step;

/// How far a column's rounds have come; a row of the meta column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rounds {
    /// Every live row has a record at or above this offset.
    pub(crate) floor: u64,
    /// When the last round began…
    began: WallTime,
    /// …and where the changelog stood then.
    stood: u64,
    /// Rows before this key have been written in this round; `None` between rounds.
    cursor: Option<Vec<u8>>,
}

/// The rounds of one column.
pub(crate) struct Rewrite {
    column: ColumnId,
    every: DurationMs,
    /// As of the last commit; `None` before the first.
    committed: Option<Rounds>,
    /// As the open transaction says.
    present: Option<Rounds>,
}

impl Rewrite {
    /// Goes on where `rounds` were.
    pub(crate) fn new(column: ColumnId, retention: DurationMs, rounds: Option<Rounds>) -> Self {
        Self { column, every: DurationMs(retention.0 / 2), committed: rounds.clone(), present: rounds }
    }

    pub(crate) fn column(&self) -> ColumnId {
        self.column
    }

    /// Whether [`Self::advance`] has something to do when there is a commit.
    pub(crate) fn has_part_in(&self, now: WallTime) -> bool {
        self.committed.is_none() || self.is_due(now)
    }

    /// Whether there must be a commit, be there input or not.
    pub(crate) fn is_due(&self, now: WallTime) -> bool {
        // A clock that was set back must not put the next round off.
        let far = |began: WallTime| now < began || now.0.saturating_sub(began.0) >= self.every.0;
        self.committed.as_ref().is_some_and(|rounds| rounds.cursor.is_some() || far(rounds.began))
    }

    /// Stages the next rows of a round, or notes when the first one will begin. `stands` is where the changelog stands. To be called
    /// when everything else of the commit is staged, so that what is written is what is true.
    pub(crate) fn advance(&mut self, step: &mut Step<'_>, stands: Option<Position>) {
        let stands = stands.map_or(0, |position| position.0);
        let rounds = match self.committed.clone() {
            None => Rounds { floor: 0, began: step.now, stood: stands, cursor: None },
            Some(Rounds { floor, cursor: None, .. }) => {
                let begun = Rounds { floor, began: step.now, stood: stands, cursor: Some(Vec::new()) };
                self.write_some(step, begun)
            }
            Some(under_way) => self.write_some(step, under_way),
        };
        changelog::put_own(step, MetaKey::RewriteCursor(self.column), &rounds);
        step.waiting |= rounds.cursor.is_some();
        self.present = Some(rounds);
    }

    /// One slice of a round.
    fn write_some(&self, step: &mut Step<'_>, rounds: Rounds) -> Rounds {
        let from = rounds.cursor.unwrap_or_default();
        let (rows, left_at) = slice(step, self.column, &from, REWRITE_ROWS_MAX);
        for (key, value) in rows {
            changelog::put(step, self.column, &key, &value);
        }
        // ORDER: the floor rises only with the commit that writes the last row of the round.
        let floor = if left_at.is_some() { rounds.floor } else { rounds.stood };
        Rounds { floor, cursor: left_at, ..rounds }
    }

    /// The transaction is true.
    pub(crate) fn settle(&mut self) {
        self.committed.clone_from(&self.present);
    }

    /// The transaction was aborted.
    pub(crate) fn rewind(&mut self) {
        self.present.clone_from(&self.committed);
    }
}

/// The rounds of a column, as its store holds them.
pub(crate) fn read(rows: &dyn Rows, column: ColumnId) -> Result<Option<Rounds>, CoreError> {
    let Some(bytes) = rows.get(META, &MetaKey::RewriteCursor(column).to_bytes())? else { return Ok(None) };
    rounds_of(&bytes, column).map(Some)
}

/// The same of the row's value.
pub(crate) fn rounds_of(bytes: &[u8], column: ColumnId) -> Result<Rounds, CoreError> {
    state::codec::decode(bytes)
        .map_err(|error| CoreError::store_refused(format!("the row of column {} cannot be read: {error}", column.0)))
}

/// The rows of a column from a key on that one commit may write again, at most `most`, and the key at which the rest
/// begins, if there is any.
pub(crate) fn slice(step: &mut Step<'_>, column: ColumnId, from: &[u8], most: usize) -> (Vec<Row>, Option<Vec<u8>>) {
    let (mut rows, mut bytes, mut left_at) = (Vec::<Row>::new(), 0, None);
    let scanned = step.rows.scan(column, KeyRange::from(from), &mut |key, value| {
        if rows.len() >= most || bytes >= REWRITE_BYTES_MAX {
            left_at = Some(key.to_vec());
            return ControlFlow::Break(());
        }
        bytes += key.len() + value.len();
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    step.ok(scanned);
    (rows, left_at)
}
