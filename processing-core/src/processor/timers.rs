//! The timers of a processor: one of each name for each key.
//!
//! Not here: the order in which they come with records ([`super::agenda`]). Invariant: a timer that is set fires once, at
//! the time that it was set to last, and one that was cancelled never.
//!
//! A timer that is set to a later time keeps its entry in the agenda, and goes on to the new time when that comes up: so a
//! timer that each record puts off costs one row a commit and not an entry a record.

use serde::{Deserialize, Serialize};
use state::{ColumnId, StateKey};

use super::agenda::{Agenda, Due};
use crate::error::CoreError;
use crate::record::EventTime;
use crate::step::Step;
use crate::table::{Kept, TableRows};

/// A kind of timer of a processor, by which it tells them apart. Each key has at most one of each kind.
///
/// It belongs to the processor that it was declared for: used by another one, it stops the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timer {
    /// The column of the processor's agenda.
    pub(super) of: ColumnId,
    pub(super) number: u16,
}

/// A timer that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Set {
    /// When it is to fire.
    due: i64,
    /// The entry in the agenda that counts; it is never later. Entries at other times are left over.
    entry: i64,
}

/// By key and number.
type Rows<K> = TableRows<(K, u16), Set>;

pub(super) struct Timers<K> {
    pub(super) names: Vec<&'static str>,
    /// `None` where there are no names.
    rows: Option<Rows<K>>,
}

/// A clone has seen nothing: what it is cloned from is a prototype.
impl<K> Clone for Timers<K> {
    fn clone(&self) -> Self {
        Self { names: self.names.clone(), rows: self.rows.clone() }
    }
}

impl<K: StateKey> Timers<K> {
    pub(super) fn new(names: Vec<&'static str>, store: Option<(&'static str, ColumnId)>) -> Self {
        Self { names, rows: store.map(|(name, column)| TableRows::new(name, column)) }
    }

    /// The rows, and the one that belongs to `timer`.
    fn rows<V: Kept>(
        &mut self,
        step: &mut Step<'_>,
        agenda: &Agenda<K, V>,
        key: &K,
        timer: Timer,
    ) -> Option<(&mut Rows<K>, (K, u16))> {
        let is_ours = timer.of == agenda.column() && usize::from(timer.number) < self.names.len();
        match &mut self.rows {
            Some(rows) if is_ours => Some((rows, (key.clone(), timer.number))),
            _ => {
                step.fail(CoreError::contradiction(
                    "a processor uses a timer that another one has declared".to_owned(),
                ));
                None
            }
        }
    }

    /// Sets a timer, or sets it anew.
    pub(super) fn set<V: Kept>(
        &mut self,
        step: &mut Step<'_>,
        agenda: &mut Agenda<K, V>,
        key: &K,
        timer: Timer,
        at: i64,
    ) {
        let Some((rows, row)) = self.rows(step, agenda, key, timer) else { return };
        let mut is_new = false;
        rows.change(step, &row, |set| {
            is_new = set.is_none_or(|set| at < set.entry);
            let entry = set.filter(|_| !is_new).map_or(at, |set| set.entry);
            *set = Some(Set { due: at, entry });
        });
        if is_new {
            agenda.put(step, at, 0, Due::Timer { key: row.0, number: timer.number }, 0);
        }
    }

    pub(super) fn cancel<V: Kept>(&mut self, step: &mut Step<'_>, agenda: &Agenda<K, V>, key: &K, timer: Timer) {
        if let Some((rows, row)) = self.rows(step, agenda, key, timer) {
            rows.set(step, &row, None);
        }
    }

    pub(super) fn due<V: Kept>(
        &mut self,
        step: &mut Step<'_>,
        agenda: &Agenda<K, V>,
        key: &K,
        timer: Timer,
    ) -> Option<EventTime> {
        let (rows, row) = self.rows(step, agenda, key, timer)?;
        rows.get(step, &row).map(|set| EventTime(set.due))
    }

    /// An entry has come up at `time`: whether the timer fires, which it does not know afterwards. Otherwise it was put
    /// off, or the entry is left over.
    pub(super) fn fires<V: Kept>(
        &mut self,
        step: &mut Step<'_>,
        agenda: &mut Agenda<K, V>,
        key: &K,
        number: u16,
        time: i64,
    ) -> bool {
        let Some(rows) = &mut self.rows else { return false };
        let row = (key.clone(), number);
        let Some(set) = rows.get(step, &row).copied().filter(|set| set.entry == time) else { return false };
        let fires = set.due <= time;
        rows.set(step, &row, (!fires).then_some(Set { entry: set.due, ..set }));
        if !fires {
            agenda.put(step, set.due, 0, Due::Timer { key: row.0, number }, 0);
        }
        fires
    }

    pub(super) fn drain(&mut self, step: &mut Step<'_>) {
        if let Some(rows) = &mut self.rows {
            rows.drain(step);
        }
    }

    pub(super) fn abandon(&mut self) {
        if let Some(rows) = &mut self.rows {
            rows.abandon();
        }
    }
}
