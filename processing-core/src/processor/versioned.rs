//! A store of rows that are looked up as of a time.
//!
//! Not here: streams that are joined with a table in event time ([`crate::table_join`]). Invariant: as of any time within
//! the history, the answer is the version with the latest beginning up to that time, in whatever order versions came; as
//! of an earlier time there is none.
//!
//! All versions of a key are one row of a table, written anew with each change: made for few versions a key and many
//! keys. What is older than the history goes when its key is written next; the newest version stays until it is deleted.

use std::any::Any;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use state::{ColumnId, StateKey};

use super::stores::{Access, Held, StoreHandle, Stores};
use crate::limits::VERSIONS_MAX;
use crate::record::{DurationMs, EventTime};
use crate::step::Step;
use crate::table::{Kept, TableRows};

/// A store with the versions of each key's row, each from a time on, as far back as its history goes.
pub struct VersionedStore<K, V> {
    column: ColumnId,
    types: PhantomData<fn(K) -> V>,
}

impl<K, V> Clone for VersionedStore<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for VersionedStore<K, V> {}

impl<K: StateKey, V: Kept> VersionedStore<K, V> {
    pub(crate) fn declare(name: &'static str, column: ColumnId, history: DurationMs, stores: &mut Stores) -> Self {
        stores.add(VersionedRows::<K, V> { rows: TableRows::new(name, column), history });
        Self { column, types: PhantomData }
    }
}

impl<K: StateKey, V: Kept> StoreHandle for VersionedStore<K, V> {
    type View<'v, 's: 'v> = VersionedView<'v, 's, K, V>;

    fn view<'v, 's>(&self, access: Access<'v, 's>) -> VersionedView<'v, 's, K, V> {
        let now = access.now;
        VersionedView { reached: access.reach(self.column), now }
    }
}

/// The rows of a [`VersionedStore`], for one look or change.
pub struct VersionedView<'v, 's, K, V> {
    reached: Option<(&'v mut VersionedRows<K, V>, &'v mut Step<'s>)>,
    now: EventTime,
}

impl<'v, K: StateKey, V: Kept> VersionedView<'v, '_, K, V> {
    /// The row that `key` had at a time; `None` if it had none, or if that is longer ago than the history.
    pub fn get(self, key: &K, at: EventTime) -> Option<&'v V> {
        let (store, step) = self.reached?;
        if at < self.now.minus(store.history) {
            return None;
        }
        store.rows.get(step, key)?.at(at.0)
    }

    /// The row that `key` has had last.
    pub fn latest(self, key: &K) -> Option<&'v V> {
        let (store, step) = self.reached?;
        store.rows.get(step, key)?.at(i64::MAX)
    }

    /// From a time on, until that of the next version, `key` has this row. `false`, and nothing is changed, if that is
    /// longer ago than the history.
    pub fn put(self, key: &K, row: V, from: EventTime) -> bool {
        self.set(key, Some(row), from)
    }

    /// From a time on, until that of the next version, `key` has no row. `false` as for [`Self::put`].
    pub fn delete(self, key: &K, from: EventTime) -> bool {
        self.set(key, None, from)
    }

    fn set(self, key: &K, row: Option<V>, from: EventTime) -> bool {
        let Some((store, step)) = self.reached else { return false };
        let horizon = self.now.minus(store.history);
        if from < horizon {
            return false;
        }
        store.rows.change(step, key, |versions| {
            let mut changed = versions.take().unwrap_or_else(|| Versions(Vec::new()));
            changed.set(from.0, row, horizon.0);
            *versions = Some(changed).filter(|versions| !versions.0.is_empty());
        });
        true
    }
}

/// The versions of a row, each with the time from which on it stands; in the order of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Versions<V>(Vec<(i64, Option<V>)>);

impl<V> Versions<V> {
    fn at(&self, time: i64) -> Option<&V> {
        let behind = self.0.partition_point(|(from, _)| *from <= time);
        self.0.get(behind.checked_sub(1)?)?.1.as_ref()
    }

    /// Puts a version in, and drops those that have had a successor at `horizon`.
    fn set(&mut self, from: i64, row: Option<V>, horizon: i64) {
        match self.0.binary_search_by_key(&from, |(from, _)| *from) {
            Ok(at) => self.0[at].1 = row,
            Err(at) => self.0.insert(at, (from, row)),
        }
        let known = self.0.partition_point(|(from, _)| *from <= horizon);
        let needless = known.saturating_sub(1).max(self.0.len().saturating_sub(VERSIONS_MAX));
        self.0.drain(..needless);
        // Before the first version there is nothing either, and none can come any more that begins before this.
        if self.0.first().is_some_and(|(from, row)| *from <= horizon && row.is_none()) {
            self.0.remove(0);
        }
    }
}

/// The rows of one store of one task.
struct VersionedRows<K, V> {
    rows: TableRows<K, Versions<V>>,
    history: DurationMs,
}

impl<K: StateKey, V: Kept> Held for VersionedRows<K, V> {
    fn column(&self) -> ColumnId {
        self.rows.column()
    }

    fn fresh(&self) -> Box<dyn Held> {
        Box::new(Self { rows: self.rows.clone(), history: self.history })
    }

    fn drain(&mut self, step: &mut Step<'_>) {
        self.rows.drain(step);
    }

    fn abandon(&mut self) {
        self.rows.abandon();
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is true as of `at`: the change with the latest beginning up to then, the last of equal ones.
    fn defined(changes: &[(i64, Option<u8>)], at: i64) -> Option<u8> {
        let known = changes.iter().filter(|(from, _)| *from <= at);
        known.max_by_key(|(from, _)| *from).and_then(|(_, row)| *row)
    }

    proptest! {
        #[test]
        fn within_the_history_every_version_is_found(
            changes in proptest::collection::vec((0..30i64, proptest::option::of(any::<u8>()), 0..4i64), 1..40),
            history in 0..15i64,
        ) {
            let (mut versions, mut made, mut now) = (Versions(Vec::new()), Vec::new(), 0);
            for (from, row, later) in changes {
                now += later;
                if from < now - history {
                    continue;
                }
                versions.set(from, row, now - history);
                made.push((from, row));
                for at in now - history..40 {
                    prop_assert_eq!(versions.at(at).copied(), defined(&made, at), "as of {}", at);
                }
                let old = versions.0.iter().filter(|(from, _)| *from <= now - history).count();
                prop_assert!(old <= 1, "{} versions are too old", old);
            }
        }
    }

    #[test]
    fn the_oldest_of_too_many_versions_go() {
        let mut versions = Versions(Vec::new());
        for from in 0..VERSIONS_MAX as i64 + 3 {
            versions.set(from, Some(from), -1);
        }
        assert_eq!((versions.0.len(), versions.at(2), versions.at(3)), (VERSIONS_MAX, None, Some(&3)));
    }
}
