//! What can no longer match comes out of a join's store, and goes.
//!
//! Not here: matching ([`super`]). Invariant: a record that has found no partner, of a side whose unmatched records
//! are wanted, is told exactly once, whatever the jump in time and however many commits it takes; in the order of
//! (due, side, key, arrival), which hangs on no commit.
//!
//! The cursor is a row of the task's meta column, so it moves with the commit that emits. The next records that are
//! due stand in memory in their order, a bounded number of them: a pane is looked through when the first of its
//! records is due, and again for each bound's worth of them. What comes later and falls among them is added.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use state::StateKey;
use state::keys::meta::MetaKey;

use super::store::{Arrival, JoinStore};
use super::window::Side;
use crate::changelog::{self, META};
use crate::error::CoreError;
use crate::limits::JOIN_DUE_SLICES;
use crate::record::EventTime;
use crate::step::Step;

/// When a record is due, and which; without a record, all that were due before that.
type Place<K> = (i64, Option<(Side, K, Arrival)>);

/// A record that can no longer match.
pub(super) struct Alone<'a, K> {
    pub(super) side: Side,
    pub(super) time: i64,
    pub(super) key: &'a K,
    pub(super) value: &'a [u8],
}

/// See the head of this file.
#[derive(Clone)]
pub(super) struct Due<K> {
    /// `None` until it has been read from the store.
    cursor: Option<Cursor<K>>,
    /// The unmatched records after the cursor and before `through`: some may have found a partner since.
    next: BTreeSet<Place<K>>,
    through: Place<K>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cursor<K> {
    /// Up to this one, everything that was due has been told.
    told: Place<K>,
    /// Panes that start earlier are gone.
    expired: i64,
}

/// A cursor in the store: due; side (1 is right), key, number of the row, place in it; and what is gone.
#[derive(Serialize, Deserialize)]
struct StoredCursor {
    due: i64,
    record: Option<(u8, Vec<u8>, u32, u32)>,
    expired: i64,
}

impl<K: StateKey> Due<K> {
    pub(super) fn new() -> Self {
        Self { cursor: None, next: BTreeSet::new(), through: (i64::MIN, None) }
    }

    /// A record has come that has no partner yet.
    pub(super) fn add(&mut self, step: &Step<'_>, due: i64, side: Side, key: &K, arrival: Arrival) {
        if due <= self.through.0 {
            self.insert(most(step), (due, Some((side, key.clone(), arrival))));
        }
    }

    /// Of those that fall before `through`, keeps the first ones: as many as the bound allows.
    fn insert(&mut self, most: usize, place: Place<K>) {
        if place < self.through {
            self.next.insert(place);
            if self.next.len() > most
                && let Some(last) = self.next.pop_last()
            {
                self.through = last;
            }
        }
    }

    /// Tells what can no longer match at `upto`, and answers the time that the output has reached.
    pub(super) fn close(
        &mut self,
        store: &mut JoinStore<K>,
        step: &mut Step<'_>,
        upto: EventTime,
        tell: &mut impl FnMut(&mut Step<'_>, Alone<'_, K>),
    ) -> EventTime {
        let Some(mut cursor) = self.cursor(store, step) else { return EventTime::MIN };
        let before = cursor.clone();
        // Strictly beyond due + grace: all that is due before this.
        let end = upto.minus(store.window.grace_ms()).0;
        let mut reached = end;
        if store.kind.keeps(Side::Left) || store.kind.keeps(Side::Right) {
            while step.failure.is_none() && self.bring(store, step, &cursor, end) {
                if step.closings_left == 0 {
                    step.unfinished = true;
                    break;
                }
                let Some(place) = self.next.pop_first() else { break };
                if let (due, Some((side, key, arrival))) = &place
                    && let Some(value) = store.unmatched(step, *side, *due, key, *arrival)
                {
                    step.closings_left -= 1;
                    step.counts.closed += 1;
                    tell(step, Alone { side: *side, time: due - store.window.bound(*side), key, value: &value });
                    cursor.told = place;
                }
            }
            if step.unfinished
                && let Some((due, _)) = self.next.first()
            {
                reached = end.min(*due);
            }
        }
        self.expire(store, step, &mut cursor, reached);
        if cursor != before {
            save(step, store, &cursor);
        }
        self.cursor = Some(cursor);
        // A pair has the time of the later of two records, of which one is still to come; a record alone has its own.
        let kept = [Side::Left, Side::Right].into_iter().filter(|side| store.kind.keeps(*side));
        let back = kept.map(|side| store.window.bound(side)).max().unwrap_or(0);
        EventTime(reached.saturating_sub(back))
    }

    /// Forgets everything that the store does not back.
    pub(super) fn abandon(&mut self) {
        *self = Self::new();
    }

    /// Whether something is due before `end`; then it stands first in `next`.
    fn bring(&mut self, store: &JoinStore<K>, step: &mut Step<'_>, cursor: &Cursor<K>, end: i64) -> bool {
        loop {
            if let Some((due, _)) = self.next.first() {
                return *due < end;
            }
            if self.through.0 >= end || step.failure.is_some() {
                return false;
            }
            let from = if self.through.0 == i64::MIN { i64::MIN } else { store.pane_of(self.through.0) };
            let ahead = ahead(store);
            let Some(pane) = store.rows.first_pane_from(step, from).filter(|pane| *pane - ahead < end) else {
                // Nothing stands before `end`, nor will: what is still to come is due later.
                self.through = (end, None);
                return false;
            };
            self.look_through(store, step, cursor, pane);
        }
    }

    /// Takes in what is due before a pane's end, as far as the bound allows: it stands in this pane or, where one side is
    /// due before it stands, in the next.
    fn look_through(&mut self, store: &JoinStore<K>, step: &mut Step<'_>, cursor: &Cursor<K>, mut pane: i64) {
        let end = store.end_of(pane);
        self.through = (end, None);
        let most = most(step);
        while pane < end + ahead(store) {
            store.visit_unmatched(step, pane, |due, side, key, arrival| {
                let place = (due, Some((side, key.clone(), arrival)));
                if place > cursor.told {
                    self.insert(most, place);
                }
            });
            pane = store.end_of(pane);
        }
    }

    /// Drops the panes that no record to come needs.
    fn expire(&self, store: &mut JoinStore<K>, step: &mut Step<'_>, cursor: &mut Cursor<K>, end: i64) {
        // Whoever asks for twins looks further back than for partners: a record that comes at `end` may lie a span behind.
        let further = if store.kind.is_once() { store.window.span() - store.window.longest() } else { 0 };
        let before = store.pane_of(end.saturating_sub(further));
        store.rows.expire(step, &mut cursor.expired, before);
    }

    /// The cursor, read from the store the first time.
    fn cursor(&mut self, store: &JoinStore<K>, step: &mut Step<'_>) -> Option<Cursor<K>> {
        if let Some(cursor) = &self.cursor {
            return Some(cursor.clone());
        }
        let row = step.rows.get(META, &MetaKey::ClosingCursor(store.rows.column).to_bytes());
        let cursor = match step.ok(row)? {
            None => Cursor { told: (i64::MIN, None), expired: i64::MIN },
            Some(bytes) => step.ok(read(&bytes).map_err(|error| {
                CoreError::store_rebuild(format!("store {}: its cursor cannot be read: {error}", store.rows.name))
            }))?,
        };
        self.cursor = Some(cursor.clone());
        Some(cursor)
    }
}

/// By how much a record may be due before the place where it stands.
fn ahead<K: StateKey>(store: &JoinStore<K>) -> i64 {
    store.lead(Side::Left).max(store.lead(Side::Right))
}

/// How many records stand in memory at most.
fn most(step: &Step<'_>) -> usize {
    JOIN_DUE_SLICES.saturating_mul(step.terms.bounds.close_slice_records)
}

fn read<K: StateKey>(bytes: &[u8]) -> Result<Cursor<K>, String> {
    let StoredCursor { due, record, expired } = state::codec::decode(bytes).map_err(|error| error.to_string())?;
    let record = record.map(|(side, key, row, at)| {
        let side = if side == 1 { Side::Right } else { Side::Left };
        let key = K::decode(&key).map_err(|error| error.to_string())?;
        Ok::<_, String>((side, key, Arrival { row, at }))
    });
    Ok(Cursor { told: (due, record.transpose()?), expired })
}

fn save<K: StateKey>(step: &mut Step<'_>, store: &JoinStore<K>, cursor: &Cursor<K>) {
    let record = cursor.told.1.as_ref().map(|(side, key, arrival)| {
        let mut bytes = Vec::new();
        key.encode(&mut bytes);
        (u8::from(*side == Side::Right), bytes, arrival.row, arrival.at)
    });
    let stored = StoredCursor { due: cursor.told.0, record, expired: cursor.expired };
    changelog::put_own(step, MetaKey::ClosingCursor(store.rows.column), &stored);
}
