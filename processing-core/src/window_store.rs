//! Step 4 of 7: records are folded into panes.
//!
//! Not here: which windows there are ([`crate::window`]), when they come out ([`crate::closing`]) and
//! how a changelog record looks ([`crate::changelog`]). Invariant: at every commit the staged rows and
//! the rows in memory say the same.
//!
//! A record touches one row: (pane, first window that accepts it, key). Rows stay decoded while they
//! are hot and are encoded once per commit. A pane of which every row is in memory is *whole*: it is
//! folded into, closed and forgotten without a look-up; a pane that is opened, closed and expired
//! between two commits never reaches the store at all. Where memory is short, a pane remembers of the rows that
//! it lets go only that they are ([`pane`]).

mod pane;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use state::keys::pane::PaneKey;
use state::{ColumnId, OwnedRange, StateKey};

use crate::aggregate::Mergeable;
use crate::changelog;
use crate::error::CoreError;
use crate::step::Step;
use crate::window::Windows;
use pane::{PaneRows, Slot};

/// The value of a row: an aggregate, or whatever else an operator keeps under a time and a key. `Default` is what
/// stands where there is no row yet.
pub(crate) trait Row: Default + Clone + Serialize + DeserializeOwned + Send + 'static {
    /// About how many bytes it holds outside of itself.
    fn heap_bytes(&self) -> usize;
}

impl<A: Mergeable> Row for A {
    fn heap_bytes(&self) -> usize {
        Mergeable::heap_bytes(self)
    }
}

/// The panes of one store of one task, as far as they are in memory; `G` says how time is cut into them.
#[derive(Clone)]
pub(crate) struct WindowStore<K, A, G = Windows> {
    pub(crate) name: &'static str,
    pub(crate) column: ColumnId,
    pub(crate) windows: G,
    panes: BTreeMap<i64, PaneRows<K, A>>,
    /// About what the rows in memory take.
    bytes: usize,
    /// Panes that start earlier are closed: once they are staged they need not be in memory.
    cooled: i64,
}

impl<K: StateKey, A: Row, G> WindowStore<K, A, G> {
    pub(crate) fn new(name: &'static str, column: ColumnId, windows: G) -> Self {
        Self { name, column, windows, panes: BTreeMap::new(), bytes: 0, cooled: i64::MIN }
    }

    /// Folds into the row of `pane`, `first` and `key`.
    pub(crate) fn fold(&mut self, step: &mut Step<'_>, pane: i64, first: i64, key: K, fold: impl FnOnce(&mut A)) {
        if !self.panes.contains_key(&pane) {
            self.open(step, pane);
        }
        let column = self.column;
        let Some(rows) = self.panes.get_mut(&pane) else { return };
        let before = rows.bytes;
        step.held_bytes += rows.fold((first, key), |(first, key)| load(step, column, pane, *first, key), fold);
        self.bytes = self.bytes - before + rows.bytes;
    }

    /// Begins to keep a pane in memory: whole, if the store has no row of it.
    fn open(&mut self, step: &mut Step<'_>, pane: i64) {
        let whole = is_empty(step, self.column, pane);
        let rows = PaneRows::new(whole);
        self.bytes += rows.bytes;
        self.panes.insert(pane, rows);
    }

    /// Brings every row of a pane into memory.
    fn complete(&mut self, step: &mut Step<'_>, pane: i64) {
        if !self.panes.contains_key(&pane) {
            self.open(step, pane);
        }
        let Some(rows) = self.panes.get_mut(&pane) else { return };
        if rows.is_whole() {
            return;
        }
        let before = rows.bytes;
        scan_rows(step, self.column, self.name, &PaneKey::of_pane(pane), |first, key, value| {
            let opened = rows.rows.get_or_insert((first, key), |_| Slot::new(value));
            rows.bytes += opened.filter(|(_, is_new)| *is_new).map_or(0, |(slot, _)| PaneRows::<K, A>::bytes_of(slot));
            ControlFlow::Continue(())
        });
        rows.make_whole();
        self.bytes = self.bytes - before + rows.bytes;
    }

    /// Every row of a pane: first accepting window, key, value; in no order.
    pub(crate) fn rows_of(&mut self, step: &mut Step<'_>, pane: i64) -> impl Iterator<Item = (i64, &K, &A)> {
        self.complete(step, pane);
        let rows = self.panes.get(&pane).map(|pane| &pane.rows);
        rows.into_iter().flat_map(|rows| rows.iter()).map(|((first, key), slot)| (*first, key, &slot.value))
    }

    /// Shows every row of a pane with its first accepting window, in no order, and keeps none of them in memory.
    pub(crate) fn visit(&self, step: &mut Step<'_>, pane: i64, mut each: impl FnMut(i64, &K, &A)) {
        let held = self.panes.get(&pane);
        let rows = held.map(|held| &held.rows);
        if held.is_none_or(|held| !held.is_whole()) {
            scan_rows(step, self.column, self.name, &PaneKey::of_pane(pane), |first, key, value| {
                let row = (first, key);
                if rows.is_none_or(|rows| rows.get(&row).is_none()) {
                    each(row.0, &row.1, &value);
                }
                ControlFlow::Continue(())
            });
        }
        let held = rows.into_iter().flat_map(|rows| rows.iter());
        held.for_each(|((first, key), slot)| each(*first, key, &slot.value));
    }

    /// The rows of a pane that begins with its first window (one of windows side by side, or of sessions) and that
    /// this window accepts, after the key `after`, in the order of keys: all that are left, or as many as `most`
    /// from the store, and whether there are more. Nothing of it stays in memory.
    pub(crate) fn slice_of(&self, step: &mut Step<'_>, pane: i64, after: Option<&K>, most: usize) -> Slice<K, A> {
        let mut range = PaneKey::of_pane_and_window(pane, pane);
        if let Some(after) = after {
            range.start = first_behind(pane, pane, after);
        }
        let wanted = |first: i64, key: &K| first == pane && after.is_none_or(|after| key > after);
        self.slice(step, pane, &range, most, wanted, |_, key| key)
    }

    /// The rows of a pane behind `from` and before the first accepting window `until`, in the order of (first accepting
    /// window, key). `from` is a first accepting window, and the last of its keys that is not wanted. All that are left,
    /// or as many as `most` from the store, and whether there are more; nothing of it stays in memory.
    pub(crate) fn slice_between(
        &self,
        step: &mut Step<'_>,
        pane: i64,
        (from, after): (i64, Option<&K>),
        until: i64,
        most: usize,
    ) -> Slice<(i64, K), A> {
        let mut range = OwnedRange {
            start: PaneKey::of_pane_and_window(pane, from).start,
            end: Some(PaneKey::of_pane_and_window(pane, until).start),
        };
        if let Some(after) = after {
            range.start = first_behind(pane, from, after);
        }
        let wanted = |first: i64, key: &K| {
            first < until && (first > from || first == from && after.is_none_or(|after| key > after))
        };
        self.slice(step, pane, &range, most, wanted, |first, key| (first, key))
    }

    /// The rows of a pane that are `wanted`, which are those of `range` in the store, in the order of what they are
    /// `named`: all of them, or as many as `most` from the store, and whether there are more.
    fn slice<R: Ord>(
        &self,
        step: &mut Step<'_>,
        pane: i64,
        range: &OwnedRange,
        most: usize,
        wanted: impl Fn(i64, &K) -> bool,
        named: impl Fn(i64, K) -> R,
    ) -> Slice<R, A> {
        let held = self.panes.get(&pane);
        let in_memory =
            held.into_iter().flat_map(|rows| rows.rows.iter()).filter(|((first, key), _)| wanted(*first, key));
        let named_again = |(first, key): &(i64, K)| named(*first, key.clone());
        if held.is_some_and(PaneRows::is_whole) {
            let mut rows: Vec<_> = in_memory.map(|(row, slot)| (named_again(row), slot.value.clone())).collect();
            rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            return (rows, false);
        }
        let (mut stored, mut more) = (Vec::new(), false);
        scan_rows(step, self.column, self.name, range, |first, key: K, value: A| {
            more = stored.len() >= most;
            if more {
                return ControlFlow::Break(());
            }
            stored.push((named(first, key), value));
            ControlFlow::Continue(())
        });
        // What the open transaction has changed is not staged yet.
        let changed = in_memory.filter(|(_, slot)| slot.dirty);
        let mut changed: Vec<_> = changed.map(|(row, slot)| (named_again(row), &slot.value)).collect();
        changed.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        if let Some((last, _)) = stored.last().filter(|_| more) {
            let end = changed.partition_point(|(row, _)| row <= last);
            changed.truncate(end);
        }
        (overlaid(stored, changed), more)
    }

    /// The value of a row of a pane that begins with its first window, as it is now.
    pub(crate) fn value(&mut self, step: &mut Step<'_>, pane: i64, key: &K) -> Option<A> {
        self.peek(step, pane, &(pane, key.clone())).map(Cow::into_owned)
    }

    /// Shows the row of `pane`, first accepting window and key, if there is one. It stays in memory for the fold that
    /// follows.
    pub(crate) fn look<R>(
        &mut self,
        step: &mut Step<'_>,
        pane: i64,
        row: &(i64, K),
        look: impl FnOnce(&A) -> R,
    ) -> Option<R> {
        if !self.panes.contains_key(&pane) {
            self.open(step, pane);
        }
        let rows = self.panes.get_mut(&pane)?;
        if let Some(slot) = rows.rows.get_mut(row) {
            slot.used = true;
            return Some(look(&slot.value));
        }
        if !rows.may_be_elsewhere(row) {
            return None;
        }
        let slot = Slot::new(load(step, self.column, pane, row.0, &row.1)?);
        let shown = look(&slot.value);
        let size = PaneRows::<K, A>::bytes_of(&slot);
        rows.bytes += size;
        self.bytes += size;
        rows.rows.get_or_insert(row.clone(), |_| slot);
        Some(shown)
    }

    /// The row of `pane` and (first window, key) as it is now, without a copy where it is in memory.
    pub(crate) fn peek(&mut self, step: &mut Step<'_>, pane: i64, row: &(i64, K)) -> Option<Cow<'_, A>> {
        if !self.panes.contains_key(&pane) {
            self.open(step, pane);
        }
        let rows = self.panes.get(&pane)?;
        match rows.rows.get(row) {
            Some(slot) => Some(Cow::Borrowed(&slot.value)),
            None if !rows.may_be_elsewhere(row) => None,
            None => load(step, self.column, pane, row.0, &row.1).map(Cow::Owned),
        }
    }

    /// The first pane from `from` on that holds a row, in memory or in the store.
    pub(crate) fn first_pane_from(&self, step: &mut Step<'_>, from: i64) -> Option<i64> {
        let held = self.panes.range(from..).find(|(_, rows)| !rows.rows.is_empty()).map(|(pane, _)| *pane);
        let range = match held {
            Some(held) => PaneKey::between(from, held),
            None => PaneKey::since(from),
        };
        let mut stored = None;
        let scanned = step.rows.scan(self.column, range.as_range(), &mut |key, _| {
            stored = PaneKey::decode(key).ok().map(|key| key.pane);
            ControlFlow::Break(())
        });
        step.ok(scanned);
        stored.or(held)
    }

    /// Stages and logs every row that has changed, in key order.
    pub(crate) fn drain(&mut self, step: &mut Step<'_>) {
        let mut staging = Staging::new(self.name, self.column);
        for (pane, rows) in self.panes.iter_mut().filter(|(_, rows)| rows.dirty > 0) {
            let mut dirty: Vec<_> = rows.rows.iter_mut().filter(|(_, slot)| slot.dirty).collect();
            dirty.sort_unstable_by(|((a_first, a), _), ((b_first, b), _)| (a_first, a).cmp(&(b_first, b)));
            for ((first, group), slot) in dirty {
                staging.put(step, *pane, *first, group, &slot.value);
                slot.dirty = false;
                let (before, now) = slot.weigh();
                rows.bytes = rows.bytes - before + now;
                self.bytes = self.bytes - before + now;
            }
            rows.dirty = 0;
        }
        self.evict(step.terms.shares.cached);
        step.kept_bytes.push(self.bytes);
    }

    /// No window to come will ask for panes that start before `before`, except for what came late.
    pub(crate) fn cool(&mut self, before: i64) {
        self.cooled = before;
    }

    /// Keeps memory within its bound: closed panes go, then rows that nobody has asked for since this was last needed,
    /// then those of the oldest panes, then what is known of the oldest panes; all are staged now.
    fn evict(&mut self, bytes_max: usize) {
        self.forget(self.cooled);
        if self.bytes > bytes_max {
            self.panes.values_mut().for_each(PaneRows::let_idle_go);
            self.bytes = self.panes.values().map(|rows| rows.bytes).sum();
        }
        let Self { panes, bytes, .. } = self;
        panes.retain(|_, rows| {
            if *bytes <= bytes_max {
                return true;
            }
            *bytes -= rows.bytes;
            let stays = rows.let_all_go();
            *bytes += if stays { rows.bytes } else { 0 };
            stays
        });
        while self.bytes > bytes_max
            && let Some((_, rows)) = self.panes.pop_first()
        {
            self.bytes -= rows.bytes;
        }
    }

    /// Drops every pane that starts before `before`, here and in the store. `expired` is before what they are gone already.
    pub(crate) fn expire(&mut self, step: &mut Step<'_>, expired: &mut i64, before: i64) {
        if expire(step, self.column, expired, before) {
            self.forget(before);
        }
    }

    /// Lets go of every pane that starts before `before`, and of nothing in the store.
    fn forget(&mut self, before: i64) {
        let kept = self.panes.split_off(&before);
        let gone = std::mem::replace(&mut self.panes, kept);
        self.bytes -= gone.values().map(|rows| rows.bytes).sum::<usize>();
    }

    /// Forgets everything in memory.
    pub(crate) fn abandon(&mut self) {
        self.panes.clear();
        self.bytes = 0;
        self.cooled = i64::MIN;
    }
}

/// Visits the stored rows of `range` in key order: first accepting window, key, value. One that cannot be read ends
/// it and fails the step.
fn scan_rows<K: StateKey, A: Row>(
    step: &mut Step<'_>,
    column: ColumnId,
    name: &str,
    range: &OwnedRange,
    mut visit: impl FnMut(i64, K, A) -> ControlFlow<()>,
) {
    let mut broken = None;
    let scanned = step.rows.scan(column, range.as_range(), &mut |key, value| match read_row(key, value) {
        Ok((first, key, value)) => visit(first, key, value),
        Err(error) => {
            broken = Some(CoreError::store_rebuild(format!("store {name}: a row cannot be read: {error}")));
            ControlFlow::Break(())
        }
    });
    step.ok(scanned);
    if let Some(error) = broken {
        step.fail(error);
    }
}

/// Rows in their order, those that have changed as they are now.
fn overlaid<R: Ord, A: Clone>(stored: Vec<(R, A)>, changed: Vec<(R, &A)>) -> Vec<(R, A)> {
    if changed.is_empty() {
        return stored;
    }
    let mut all = Vec::with_capacity(stored.len() + changed.len());
    let mut changed = changed.into_iter().peekable();
    for (row, value) in stored {
        while let Some((row, value)) = changed.next_if(|(newer, _)| *newer < row) {
            all.push((row, value.clone()));
        }
        let newer = changed.next_if(|(newer, _)| *newer == row);
        let value = newer.map_or(value, |(_, value)| value.clone());
        all.push((row, value));
    }
    all.extend(changed.map(|(row, value)| (row, value.clone())));
    all
}

/// Rows in their order, and whether there are more.
type Slice<R, A> = (Vec<(R, A)>, bool);

/// The bytes of the first row that can stand behind that of `key`.
fn first_behind<K: StateKey>(pane: i64, first: i64, key: &K) -> Vec<u8> {
    let mut bytes = Vec::new();
    PaneKey::begin(&mut bytes, pane, first);
    key.encode(&mut bytes);
    bytes.push(0);
    bytes
}

fn read_row<K: StateKey, A: Row>(key: &[u8], value: &[u8]) -> Result<(i64, K, A), String> {
    let key = PaneKey::decode(key).map_err(|error| error.to_string())?;
    let group = K::decode(key.key).map_err(|error| error.to_string())?;
    let value = state::codec::decode(value).map_err(|error| error.to_string())?;
    Ok((key.first_window, group, value))
}

/// Whether the store holds no row of a pane.
pub(crate) fn is_empty(step: &mut Step<'_>, column: ColumnId, pane: i64) -> bool {
    let mut any = false;
    let range = PaneKey::of_pane(pane);
    let scanned = step.rows.scan(column, range.as_range(), &mut |_, _| {
        any = true;
        ControlFlow::Break(())
    });
    step.ok(scanned);
    !any
}

/// Drops every pane of the store that starts before `before`. Answers whether there was any reason to: `expired` is before
/// what they are gone already.
pub(crate) fn expire(step: &mut Step<'_>, column: ColumnId, expired: &mut i64, before: i64) -> bool {
    if before <= *expired {
        return false;
    }
    *expired = before;
    if let Some(end) = PaneKey::before(before).end {
        changelog::expire(step, column, &end);
    }
    true
}

/// Rows of one store on their way into the transaction; their bytes are gathered in the same place.
pub(crate) struct Staging {
    name: &'static str,
    column: ColumnId,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Staging {
    pub(crate) fn new(name: &'static str, column: ColumnId) -> Self {
        Self { name, column, key: Vec::new(), value: Vec::new() }
    }

    /// Stages and logs a row.
    pub(crate) fn put<K: StateKey, A: Row>(&mut self, step: &mut Step<'_>, pane: i64, first: i64, key: &K, row: &A) {
        let Self { name, column, key: key_bytes, value } = self;
        key_bytes.clear();
        PaneKey::begin(key_bytes, pane, first);
        key.encode(key_bytes);
        value.clear();
        let encoded = state::codec::encode_into(value, row);
        step.ok(encoded.map_err(|error| CoreError::store_refused(format!("store {name}: {error}"))));
        changelog::put(step, *column, key_bytes, value);
    }
}

/// The stored row of a pane, first accepting window and key.
pub(crate) fn load<K: StateKey, A: Row>(
    step: &mut Step<'_>,
    column: ColumnId,
    pane: i64,
    first: i64,
    key: &K,
) -> Option<A> {
    let mut bytes = Vec::new();
    PaneKey::begin(&mut bytes, pane, first);
    key.encode(&mut bytes);
    let stored = step.rows.get(column, &bytes);
    let value = step.ok(stored)??;
    let decoded = state::codec::decode(&value);
    step.ok(decoded.map_err(|error| CoreError::store_rebuild(format!("a row of pane {pane} cannot be read: {error}"))))
}
