//! A store of rows by window and key, for as long as event time says.
//!
//! Not here: windows that the library cuts and closes itself ([`crate::windowed`]); these begin where the processor says.
//! Invariant: a row is there exactly as long as its window began no longer ago than the retention, by the stream time at
//! which the processor looks; when the range behind that is dropped shows in no answer.
//!
//! ```text
//! value of a row   ┌──────┬────────────────────────┐
//!                  │ 0x01 │ the row, state's codec │      0x00 alone: the row was deleted
//!                  └──────┴────────────────────────┘
//! ```
//! Under [`PaneKey`], whose first window is the row's own. Nothing hangs on a changelog's record that a row is no more,
//! which a compacted topic forgets: a deleted row goes with its time.

use std::any::Any;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::{ControlFlow, Range, RangeInclusive};

use state::keys::pane::PaneKey;
use state::{ColumnId, OwnedRange, StateKey};

use super::stores::{Access, Held, StoreHandle, Stores};
use crate::changelog;
use crate::error::CoreError;
use crate::record::{DurationMs, EventTime};
use crate::step::Step;
use crate::table::Kept;

const GONE: u8 = 0;
const LIVE: u8 = 1;

/// A store with one row for each start of a window and key, until the window began longer ago than its retention.
pub struct WindowedStore<K, V> {
    column: ColumnId,
    types: PhantomData<fn(K) -> V>,
}

impl<K, V> Clone for WindowedStore<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for WindowedStore<K, V> {}

impl<K: StateKey, V: Kept> WindowedStore<K, V> {
    pub(crate) fn declare(name: &'static str, column: ColumnId, retention: DurationMs, stores: &mut Stores) -> Self {
        stores.add(WindowedRows::<K, V>::new(name, column, retention));
        Self { column, types: PhantomData }
    }
}

impl<K: StateKey, V: Kept> StoreHandle for WindowedStore<K, V> {
    type View<'v, 's: 'v> = WindowedView<'v, 's, K, V>;

    fn view<'v, 's>(&self, access: Access<'v, 's>) -> WindowedView<'v, 's, K, V> {
        let now = access.now;
        WindowedView { reached: access.reach(self.column), now }
    }
}

/// The rows of a [`WindowedStore`], for one look or change.
pub struct WindowedView<'v, 's, K, V> {
    reached: Option<(&'v mut WindowedRows<K, V>, &'v mut Step<'s>)>,
    now: EventTime,
}

impl<K: StateKey, V: Kept> WindowedView<'_, '_, K, V> {
    /// The row of `key` in the window that begins at `start`.
    pub fn get(self, key: &K, start: EventTime) -> Option<V> {
        let (rows, step) = self.reached.filter(|(rows, _)| start >= rows.first(self.now))?;
        rows.get(step, start, key)
    }

    /// Puts a row in the window that begins at `start`; `false` if that began too long ago.
    pub fn put(self, key: &K, start: EventTime, row: &V) -> bool {
        self.set(key, start, Some(row))
    }

    /// Takes a row away.
    pub fn delete(self, key: &K, start: EventTime) {
        self.set(key, start, None);
    }

    /// The first rows whose windows begin within `starts`, in the order of (start, key), at most `at_most` of them. It
    /// writes the rows that have changed into the changelog now and, should they change again, once more.
    pub fn range(self, starts: Range<EventTime>, at_most: usize) -> Vec<((EventTime, K), V)> {
        let Some((rows, step)) = self.reached else { return Vec::new() };
        let first = starts.start.max(rows.first(self.now));
        rows.range(step, first..starts.end, at_most)
    }

    /// The first rows of the window that begins at `start` whose keys are within `keys`, in their order, at most `at_most` of
    /// them. It writes rows as [`Self::range`] does.
    pub fn range_of_keys(self, start: EventTime, keys: &RangeInclusive<K>, at_most: usize) -> Vec<(K, V)> {
        let reached = self.reached.filter(|(rows, _)| start >= rows.first(self.now));
        let Some((rows, step)) = reached else { return Vec::new() };
        let mut end = row_key(start, keys.end());
        // The least that is greater.
        end.push(0);
        let range = OwnedRange { start: row_key(start, keys.start()), end: Some(end) };
        rows.scan(step, &range, at_most).into_iter().map(|((_, key), row)| (key, row)).collect()
    }

    fn set(self, key: &K, start: EventTime, row: Option<&V>) -> bool {
        let Some((rows, step)) = self.reached.filter(|(rows, _)| start >= rows.first(self.now)) else { return false };
        rows.set(step, start, key, row);
        true
    }
}

/// The rows of one store of one task.
struct WindowedRows<K, V> {
    name: &'static str,
    column: ColumnId,
    retention: DurationMs,
    /// Rows that the open transaction has changed, as they will be stored.
    changed: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Rows that start earlier are gone; said once more after a restart, which changes nothing.
    expired: i64,
    types: PhantomData<fn(K) -> V>,
}

impl<K, V> WindowedRows<K, V> {
    fn new(name: &'static str, column: ColumnId, retention: DurationMs) -> Self {
        Self { name, column, retention, changed: BTreeMap::new(), expired: i64::MIN, types: PhantomData }
    }

    /// The first start that is not too long ago.
    fn first(&self, now: EventTime) -> EventTime {
        now.minus(self.retention)
    }

    fn damaged(&self, error: &str) -> CoreError {
        CoreError::store_rebuild(format!("store {}: {error}", self.name))
    }
}

impl<K: StateKey, V: Kept> WindowedRows<K, V> {
    fn get(&self, step: &mut Step<'_>, start: EventTime, key: &K) -> Option<V> {
        let row = row_key(start, key);
        let value = match self.changed.get(&row) {
            Some(value) => Some(value.clone()),
            None => {
                let stored = step.rows.get(self.column, &row);
                step.ok(stored)?
            }
        };
        step.ok(read(&value?).map_err(|error| self.damaged(&error))).flatten()
    }

    fn set(&mut self, step: &mut Step<'_>, start: EventTime, key: &K, row: Option<&V>) {
        let mut value = vec![GONE];
        if let Some(row) = row {
            value = vec![LIVE];
            let encoded = state::codec::encode_into(&mut value, row);
            step.ok(encoded.map_err(|error| CoreError::store_refused(format!("store {}: {error}", self.name))));
        }
        let key = row_key(start, key);
        step.held_bytes += key.len() + value.len();
        self.changed.insert(key, value);
    }

    fn range(&mut self, step: &mut Step<'_>, starts: Range<EventTime>, at_most: usize) -> Vec<((EventTime, K), V)> {
        self.scan(step, &PaneKey::between(starts.start.0, starts.end.0), at_most)
    }

    fn scan(&mut self, step: &mut Step<'_>, range: &OwnedRange, at_most: usize) -> Vec<((EventTime, K), V)> {
        self.stage(step);
        let (mut found, mut broken) = (Vec::new(), None);
        if range.as_range().is_empty() {
            return found;
        }
        let scanned = step.rows.scan(self.column, range.as_range(), &mut |key, value| {
            if found.len() >= at_most {
                return ControlFlow::Break(());
            }
            match read_row(key, value) {
                Ok(row) => found.extend(row),
                Err(error) => broken = Some(error),
            }
            if broken.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        step.ok(scanned);
        if let Some(error) = broken {
            step.fail(self.damaged(&error));
        }
        found
    }

    fn stage(&mut self, step: &mut Step<'_>) {
        for (key, value) in std::mem::take(&mut self.changed) {
            changelog::put(step, self.column, &key, &value);
        }
    }
}

impl<K: StateKey, V: Kept> Held for WindowedRows<K, V> {
    fn column(&self) -> ColumnId {
        self.column
    }

    fn fresh(&self) -> Box<dyn Held> {
        Box::new(Self::new(self.name, self.column, self.retention))
    }

    fn advance(&mut self, step: &mut Step<'_>, reached: EventTime) {
        let before = self.first(reached).0;
        // A marker for every millisecond would be most of the changelog; rows may stay a little longer than they show.
        let step_ms = (self.retention.0 / 8).max(1);
        if reached == EventTime::MIN || before < self.expired.saturating_add(step_ms) {
            return;
        }
        if let Some(end) = PaneKey::before(before).end {
            self.changed = self.changed.split_off(&end);
            changelog::expire(step, self.column, &end);
        }
        self.expired = before;
    }

    fn drain(&mut self, step: &mut Step<'_>) {
        self.stage(step);
    }

    fn abandon(&mut self) {
        *self = Self::new(self.name, self.column, self.retention);
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

fn row_key<K: StateKey>(start: EventTime, key: &K) -> Vec<u8> {
    let mut row = Vec::new();
    PaneKey::begin(&mut row, start.0, start.0);
    key.encode(&mut row);
    row
}

fn read<V: Kept>(value: &[u8]) -> Result<Option<V>, String> {
    match value.split_first() {
        Some((&GONE, [])) => Ok(None),
        Some((&LIVE, row)) => state::codec::decode(row).map(Some).map_err(|error| error.to_string()),
        _ => Err("a row is in no known form".to_owned()),
    }
}

/// A row with its key; `None` where it was deleted.
#[allow(clippy::type_complexity, reason = "a row and what it stands under")]
fn read_row<K: StateKey, V: Kept>(key: &[u8], value: &[u8]) -> Result<Option<((EventTime, K), V)>, String> {
    let PaneKey { pane, key, .. } = PaneKey::decode(key).map_err(|error| error.to_string())?;
    let Some(row) = read(value)? else { return Ok(None) };
    let key = K::decode(key).map_err(|error| error.to_string())?;
    Ok(Some(((EventTime(pane), key), row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_never_changes_and_damage_is_told() {
        let mut key = [0x80, 0, 0, 0, 0, 0, 0, 5].repeat(2);
        key.extend([1, 2]);
        assert_eq!(row_key(EventTime(5), &258_u16), key);
        let mut row = vec![1];
        state::codec::encode_into(&mut row, &7_u64).unwrap();
        assert_eq!(read_row(&key, &row), Ok(Some(((EventTime(5), 258_u16), 7_u64))));
        assert_eq!(read_row::<u16, u64>(&key, &[0]), Ok(None));
        for damaged in [&[][..], &[0, 0], &[2], &[1]] {
            assert!(read_row::<u16, u64>(&key, damaged).is_err());
        }
    }
}
