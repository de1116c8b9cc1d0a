//! The stores of a processor: what they have in common, and the plain one of rows by key.
//!
//! Not here: rows by window ([`super::windowed`]) and by time ([`super::versioned`]). Invariant: a store is reached only
//! with the handle that its declaration gave, by the processor that it was declared for; every change of it is staged
//! and logged with the commit that it was made in.

use std::any::Any;
use std::marker::PhantomData;
use std::ops::RangeBounds;

use state::{ColumnId, StateKey};

use crate::error::CoreError;
use crate::record::EventTime;
use crate::step::Step;
use crate::table::{Kept, TableRows};

/// Something that holds rows of a task for a processor.
pub(crate) trait Held: Any + Send {
    fn column(&self) -> ColumnId;
    /// One of the same make that has seen nothing.
    fn fresh(&self) -> Box<dyn Held>;
    /// Whatever the processor does from here on, it does at this time or later.
    fn advance(&mut self, _: &mut Step<'_>, _: EventTime) {}
    fn drain(&mut self, step: &mut Step<'_>);
    fn abandon(&mut self);
    fn as_any(&mut self) -> &mut dyn Any;
}

/// All stores of a processor in one task.
#[derive(Default)]
pub(crate) struct Stores(Vec<Box<dyn Held>>);

impl Clone for Stores {
    fn clone(&self) -> Self {
        Self(self.0.iter().map(|store| store.fresh()).collect())
    }
}

impl Stores {
    pub(crate) fn add(&mut self, store: impl Held) {
        self.0.push(Box::new(store));
    }

    pub(super) fn advance(&mut self, step: &mut Step<'_>, reached: EventTime) {
        self.0.iter_mut().for_each(|store| store.advance(step, reached));
    }

    pub(super) fn drain(&mut self, step: &mut Step<'_>) {
        self.0.iter_mut().for_each(|store| store.drain(step));
    }

    pub(super) fn abandon(&mut self) {
        self.0.iter_mut().for_each(|store| store.abandon());
    }
}

/// What a handle needs to show its store; made by a [`super::Context`].
pub struct Access<'v, 's> {
    pub(super) step: &'v mut Step<'s>,
    pub(super) stores: &'v mut Stores,
    /// The moment in event time at which the processor looks.
    pub(super) now: EventTime,
}

impl<'v, 's> Access<'v, 's> {
    /// The store in `column`, and the hands to change it. `None` where the handle is another processor's.
    pub(super) fn reach<T: Held>(self, column: ColumnId) -> Option<(&'v mut T, &'v mut Step<'s>)> {
        let Self { step, stores, .. } = self;
        let store = stores.0.iter_mut().find(|store| store.column() == column);
        match store.and_then(|store| store.as_any().downcast_mut()) {
            Some(store) => Some((store, step)),
            None => {
                step.fail(CoreError::contradiction(
                    "a processor uses the handle of a store that another one has declared".to_owned(),
                ));
                None
            }
        }
    }
}

/// What stands for a store of a processor.
pub trait StoreHandle {
    /// What can be done with the store.
    type View<'v, 's: 'v>;
    /// The store itself.
    fn view<'v, 's>(&self, access: Access<'v, 's>) -> Self::View<'v, 's>;
}

/// A store with one row for each key.
pub struct KeyValueStore<K, V> {
    column: ColumnId,
    types: PhantomData<fn(K) -> V>,
}

impl<K, V> Clone for KeyValueStore<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for KeyValueStore<K, V> {}

impl<K: StateKey, V: Kept> KeyValueStore<K, V> {
    pub(crate) fn declare(name: &'static str, column: ColumnId, stores: &mut Stores) -> Self {
        stores.add(TableRows::<K, V>::new(name, column));
        Self { column, types: PhantomData }
    }
}

impl<K: StateKey, V: Kept> Held for TableRows<K, V> {
    fn column(&self) -> ColumnId {
        TableRows::column(self)
    }

    fn fresh(&self) -> Box<dyn Held> {
        Box::new(self.clone())
    }

    fn drain(&mut self, step: &mut Step<'_>) {
        TableRows::drain(self, step);
    }

    fn abandon(&mut self) {
        TableRows::abandon(self);
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

impl<K: StateKey, V: Kept> StoreHandle for KeyValueStore<K, V> {
    type View<'v, 's: 'v> = KeyValueView<'v, 's, K, V>;

    fn view<'v, 's>(&self, access: Access<'v, 's>) -> KeyValueView<'v, 's, K, V> {
        KeyValueView(access.reach(self.column))
    }
}

/// The rows of a [`KeyValueStore`], for one look or change.
pub struct KeyValueView<'v, 's, K, V>(Option<(&'v mut TableRows<K, V>, &'v mut Step<'s>)>);

impl<'v, K: StateKey, V: Kept> KeyValueView<'v, '_, K, V> {
    /// The row of `key`.
    pub fn get(self, key: &K) -> Option<&'v V> {
        let (rows, step) = self.0?;
        rows.get(step, key)
    }

    /// Puts a row in the place of the one that `key` has.
    pub fn put(self, key: &K, row: V) {
        if let Some((rows, step)) = self.0 {
            rows.set(step, key, Some(row));
        }
    }

    /// Takes the row of `key` away.
    pub fn delete(self, key: &K) {
        if let Some((rows, step)) = self.0 {
            rows.set(step, key, None);
        }
    }

    /// Lets `change` look at the row of `key` and put another one in its place, or take it away: one look-up instead of
    /// two.
    pub fn change(self, key: &K, change: impl FnOnce(&mut Option<V>)) {
        if let Some((rows, step)) = self.0 {
            rows.change(step, key, change);
        }
    }

    /// The first rows of a range of keys in their order, at most `at_most` of them. It reads the store past the rows in
    /// memory, and writes those that have changed into the changelog now and, should they change again, once more.
    pub fn range(self, keys: impl RangeBounds<K>, at_most: usize) -> Vec<(K, V)> {
        self.0.map_or_else(Vec::new, |(rows, step)| rows.range(step, &keys, at_most))
    }
}
