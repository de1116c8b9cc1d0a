//! The rows of a join, by the time at which they are due.
//!
//! A row of the left side is due at its time + after, one of the right at its time + before: from then on nothing
//! that happens can match it. Panes cut the time of dues, so that a pane goes as a whole when it is over, and a
//! record at `t` finds its partners in the panes from `t` to `t` + before + after, whichever side it is of: a
//! partner that was due before `t` cannot match it any more, and one due later than that not yet.
//!
//! A row stands at (pane, number and side, key) of a pane store, where windows have their first accepting window.
//! An arriving record costs a look into five or six panes at most, and writes one row of up to [`JOIN_ROW_BYTES`],
//! or of its own size; where a join keeps unmatched records, also each row with a partner that was not matched before.
//!
//! Requests and their answers have one partner at most. Both stand where what is due after the longer bound stands, in one
//! row: what comes together is written once, and whoever looks for a partner looks for its like in the same place, in three
//! panes at most, each as long as before + after. So one side is due earlier than it stands, by [`JoinStore::lead`].
//!
//! Not here: when rows go ([`super::due`]). Invariant: a record stands in exactly one row, for as long as the row's
//! pane does.
//!
//! [`JOIN_ROW_BYTES`]: crate::limits::JOIN_ROW_BYTES

use state::{ColumnId, StateKey};

use super::row::{Entries, Entry};
use super::window::{JoinWindow, Side};
use crate::plan::JoinKind;
use crate::step::Step;
use crate::window::Windows;
use crate::window_store::WindowStore;

/// See the head of this file.
#[derive(Clone)]
pub(crate) struct JoinStore<K> {
    pub(super) rows: WindowStore<K, Entries>,
    pub(super) window: JoinWindow,
    pub(super) kind: JoinKind,
    pane_ms: i64,
}

/// Where a record stands in its pane: the number of its row, and its place there. Later ones came later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arrival {
    pub(super) row: u32,
    pub(super) at: u32,
}

impl<K: StateKey> JoinStore<K> {
    pub(crate) fn new(name: &'static str, column: ColumnId, window: JoinWindow, kind: JoinKind) -> Self {
        // Of the pane store's windows nothing is used here but that they are as long as its panes.
        let rows = WindowStore::new(name, column, Windows::EVERY_MILLISECOND);
        Self { rows, window, kind, pane_ms: window.pane_ms(kind) }
    }

    /// By how much later than it is due a record of `side` stands, so that both sides of a key can share a row.
    pub(super) fn lead(&self, side: Side) -> i64 {
        if self.kind.is_once() { self.window.longest() - self.window.bound(side) } else { 0 }
    }

    /// How long after its own time a record of `side` stands.
    fn place(&self, side: Side) -> i64 {
        self.window.bound(side) + self.lead(side)
    }

    /// The numbers of the rows of `side` within their pane and key, by which of them it is.
    fn number(&self, side: Side) -> impl Fn(u32) -> i64 + use<K> {
        let side = i64::from(side == Side::Right && !self.kind.is_once());
        move |row| (i64::from(row) << 1) | side
    }

    /// Where the pane begins that holds what is due at `due`.
    pub(super) fn pane_of(&self, due: i64) -> i64 {
        due.saturating_sub(due.rem_euclid(self.pane_ms))
    }

    /// Where the pane ends that begins at `pane`.
    pub(super) fn end_of(&self, pane: i64) -> i64 {
        pane.saturating_add(self.pane_ms)
    }

    /// Shows every partner of a record of `side` at `time`, and takes note that they have one. Answers whether there
    /// is any.
    pub(super) fn match_with(
        &mut self,
        step: &mut Step<'_>,
        side: Side,
        time: i64,
        key: &K,
        mut each: impl FnMut(&mut Step<'_>, Entry<'_>),
    ) -> bool {
        let side = side.other();
        let from = time - self.window.bound(side);
        let to = from + self.window.span();
        let (marks, once) = (self.kind.keeps(side), self.kind.is_once());
        let mut any = false;
        self.in_reach(step, side, (from, to), key, |store, step, pane, row| {
            let mut fresh = false;
            let Some(entries) = store.peek(step, pane, row) else { return };
            for entry in entries.iter().filter(|entry| entry.side == side && (from..=to).contains(&entry.time)) {
                any = true;
                fresh |= !entry.matched;
                each(step, entry);
            }
            drop(entries);
            if marks && fresh {
                store.fold(step, pane, row.0, row.1.clone(), |entries| entries.mark(side, (from, to), once));
            }
        });
        any
    }

    /// Whether a record of the same side and key stands so near that one partner could match both.
    pub(super) fn has_twin(&mut self, step: &mut Step<'_>, side: Side, time: i64, key: &K) -> bool {
        let (from, to) = (time - self.window.span(), time + self.window.span());
        let mut any = false;
        self.in_reach(step, side, (from, to), key, |store, step, pane, row| {
            let entries = store.peek(step, pane, row);
            let is_twin = |entry: Entry<'_>| entry.side == side && (from..=to).contains(&entry.time);
            any |= entries.is_some_and(|entries| entries.iter().any(is_twin));
        });
        any
    }

    /// Visits the rows in which records of `side` from `from` to `to` stand.
    fn in_reach(
        &mut self,
        step: &mut Step<'_>,
        side: Side,
        (from, to): (i64, i64),
        key: &K,
        mut visit: impl FnMut(&mut WindowStore<K, Entries>, &mut Step<'_>, i64, &(i64, K)),
    ) {
        let (place, number) = (self.place(side), self.number(side));
        let mut row = (0, key.clone());
        let mut pane = self.pane_of(from + place);
        while pane <= to + place {
            row.0 = number(0);
            if let Some(last) = self.rows.peek(step, pane, &row).map(|first| first.last) {
                for at in 0..=last {
                    row.0 = number(at);
                    visit(&mut self.rows, step, pane, &row);
                }
            }
            pane = self.end_of(pane);
        }
    }

    /// Keeps a record. Answers where it stands.
    pub(super) fn insert(
        &mut self,
        step: &mut Step<'_>,
        side: Side,
        time: i64,
        key: &K,
        matched: bool,
        value: &[u8],
    ) -> Arrival {
        let pane = self.pane_of(time + self.place(side));
        let number = self.number(side);
        let mut place = (number(0), key.clone());
        let mut arrival = Arrival { row: 0, at: 0 };
        if let Some(first) = self.rows.peek(step, pane, &place) {
            arrival.row = first.last;
            (arrival.at, place.0) = (first.next_at(), number(first.last));
            let mut full = first.is_full_for(value.len());
            drop(first);
            if arrival.row > 0
                && let Some(last) = self.rows.peek(step, pane, &place)
            {
                (arrival.at, full) = (last.next_at(), last.is_full_for(value.len()));
            }
            if full {
                let row = arrival.row + 1;
                arrival = Arrival { row, at: 0 };
                place.0 = number(row);
                self.rows.fold(step, pane, number(0), key.clone(), |first| first.last = row);
            }
        }
        self.rows.fold(step, pane, place.0, place.1, |entries| entries.push(side, matched, time, value));
        arrival
    }

    /// The record that stands at a place, if it has found no partner: its value.
    pub(super) fn unmatched(
        &mut self,
        step: &mut Step<'_>,
        side: Side,
        due: i64,
        key: &K,
        arrival: Arrival,
    ) -> Option<Vec<u8>> {
        let pane = self.pane_of(due + self.lead(side));
        let row = (self.number(side)(arrival.row), key.clone());
        let entries = self.rows.peek(step, pane, &row)?;
        entries.at(arrival.at).filter(|entry| !entry.matched).map(|entry| entry.value.to_vec())
    }

    /// Shows every record of a pane that has found no partner: when it is due, its side, key and place; in no order.
    pub(super) fn visit_unmatched(&self, step: &mut Step<'_>, pane: i64, mut each: impl FnMut(i64, Side, &K, Arrival)) {
        self.rows.visit(step, pane, |number, key, entries| {
            let row = (number >> 1) as u32;
            for entry in entries.iter().filter(|entry| !entry.matched) {
                each(entry.time + self.window.bound(entry.side), entry.side, key, Arrival { row, at: entry.at });
            }
        });
    }
}
