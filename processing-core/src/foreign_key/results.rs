//! The end of a foreign-key join: what was answered last of each left key, which is a table again.
//!
//! Not here: what is answered ([`super::respond`]). Invariant: an answer to an older version of a key's row than one
//! that was taken is not taken; a key that is gone keeps its version until no older answer can come, and no longer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use state::{ColumnId, StateKey};

use super::{Response, Version};
use crate::process::{Pipe, Raw, Sources, Timed};
use crate::record::EventTime;
use crate::repartition::records::Repartitioned;
use crate::step::Step;
use crate::table::{Kept, TableRows};
use crate::table_source::TablePipe;
use crate::waiting::{Waiter, Waiting};

/// What was answered last of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    version: Version,
    has_result: bool,
    /// It can be forgotten behind this time.
    gone: Option<EventTime>,
}

/// What the open transaction has heard of a key.
struct Change<W> {
    /// Whether the last commit had a result.
    had_result: bool,
    result: Option<W>,
    time: EventTime,
}

/// The table that a foreign-key join makes.
pub struct Results<K, W> {
    responses: Repartitioned<K, Response<W>>,
    desk: Desk<K, W>,
}

struct Desk<K, W> {
    rows: TableRows<K, Standing>,
    gone: Waiting<K, Version, ()>,
    changed: BTreeMap<K, Change<W>>,
}

impl<K, W> Results<K, W> {
    /// What was answered is kept in `standing`, and what can be forgotten one day waits in `gone`.
    pub(crate) fn new(standing: (&'static str, ColumnId), gone: (&'static str, ColumnId)) -> Self {
        let (rows, gone) = (TableRows::new(standing.0, standing.1), Waiting::new(gone.0, gone.1));
        Self { responses: Repartitioned::new(), desk: Desk { rows, gone, changed: BTreeMap::new() } }
    }
}

/// A clone has seen nothing.
impl<K, W> Clone for Results<K, W> {
    fn clone(&self) -> Self {
        let Desk { rows, gone, .. } = &self.desk;
        let desk = Desk { rows: rows.clone(), gone: gone.clone(), changed: BTreeMap::new() };
        Self { responses: self.responses.clone(), desk }
    }
}

impl<K: StateKey, W> Desk<K, W> {
    /// An answer of so many bytes has come.
    fn take(&mut self, step: &mut Step<'_>, response: Timed<K, Response<W>>, bytes: usize) {
        let Timed { key, value: Response { version, result, gone }, time } = response;
        let before = self.rows.get(step, &key).copied();
        if before.is_some_and(|before| version < before.version) {
            return;
        }
        let now = Standing { version, has_result: result.is_some(), gone };
        if before != Some(now) {
            self.rows.set(step, &key, Some(now));
            if let Some(EventTime(at)) = gone {
                let forgotten = Waiter::Record { key: key.clone(), value: version, headers: Vec::new() };
                self.gone.push(step, at, 0, forgotten, 0);
            }
        }
        step.held_bytes += bytes;
        if let Some(change) = self.changed.get_mut(&key) {
            (change.result, change.time) = (result, time);
        } else {
            step.held_bytes += size_of::<(K, Change<W>)>();
            let had_result = before.is_some_and(|before| before.has_result);
            self.changed.insert(key, Change { had_result, result, time });
        }
    }

    /// Forgets the keys of which no older answer can come when time has come so far.
    fn forget(&mut self, step: &mut Step<'_>, reached: EventTime) {
        if reached == EventTime::MIN {
            return;
        }
        let Self { rows, gone, .. } = self;
        gone.release(step, reached.0 - 1, |step, _, waiter| {
            let Waiter::Record { key, value: version, .. } = waiter else { return };
            // It may have come back since, and gone again.
            if rows.get(step, &key).is_some_and(|now| now.version == version) {
                rows.set(step, &key, None);
            }
        });
    }
}

impl<K: StateKey, W: Kept> Pipe for Results<K, W> {
    type Head = Sources;
    type Key = K;
    type Value = Option<W>;

    fn feed<E>(&mut self, step: &mut Step<'_>, input: Raw<'_>, _: &mut E)
    where
        E: FnMut(&mut Step<'_>, Timed<K, Option<W>>),
    {
        let Self { responses, desk } = self;
        let bytes = input.value.map_or(0, <[u8]>::len);
        responses.feed(step, input, &mut |step, response| desk.take(step, response, bytes));
    }

    fn advance<E>(&mut self, step: &mut Step<'_>, times: &[EventTime], _: &mut E) -> EventTime
    where
        E: FnMut(&mut Step<'_>, Timed<K, Option<W>>),
    {
        let reached = times.iter().copied().min().unwrap_or(EventTime::MIN);
        self.desk.forget(step, reached);
        reached
    }

    fn drain<E>(&mut self, step: &mut Step<'_>, emit: &mut E)
    where
        E: FnMut(&mut Step<'_>, Timed<K, Option<W>>),
    {
        for (key, Change { had_result, result, time }) in std::mem::take(&mut self.desk.changed) {
            if result.is_some() || had_result {
                emit(step, Timed { key, value: result, time });
            }
        }
        self.desk.rows.drain(step);
        self.desk.gone.drain(step);
    }

    fn abandon(&mut self) {
        *self = self.clone();
    }
}

impl<K: StateKey, W: Kept> TablePipe for Results<K, W> {
    type Row = W;
}
