//! The left table's end of a foreign-key join: what has changed goes to the foreign keys that rows name.
//!
//! Not here: who answers ([`super::respond`]). Invariant: a foreign key that a row has named last, and no other one,
//! has been sent the row and not that it left; each word has a greater version than all earlier ones of its task.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use state::keys::meta::MetaKey;
use state::{ColumnId, StateKey};

use super::{Subscription, Version, Word};
use crate::changelog;
use crate::error::CoreError;
use crate::process::{Terminal, Timed};
use crate::record::EventTime;
use crate::repartition::records::SendRecords;
use crate::step::Step;
use crate::table::{Kept, TableRows};

/// Where the last word of a key was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Address {
    /// To this foreign key.
    Foreign(Vec<u8>),
    /// Nowhere in particular: the row names none.
    None,
}

/// What the open transaction has made of a key.
struct Change {
    time: EventTime,
    /// The row and where it belongs; `None` where there is nothing to be joined.
    now: Option<(Address, Vec<u8>)>,
}

impl Change {
    fn row_bytes(&self) -> usize {
        self.now.as_ref().map_or(0, |(_, row)| row.len())
    }
}

/// Sends the updates of a table to the foreign keys that `X` finds in its rows.
pub(crate) struct Subscribe<K, L, F, X> {
    rows: TableRows<K, Address>,
    store: &'static str,
    foreign_key: X,
    /// Whether a row that names no foreign key has a result.
    keeps_alone: bool,
    changed: BTreeMap<K, Change>,
    /// The last that was given; `None` until it has been read from the store.
    version: Option<Version>,
    reached: EventTime,
    send: SendRecords<Vec<u8>, Subscription>,
    types: PhantomData<fn(L, F)>,
}

impl<K, L, F, X> Subscribe<K, L, F, X> {
    /// `output` is the subscriptions' topic, and `sub_topology` whose time goes along.
    pub(crate) fn new(
        (store, column): (&'static str, ColumnId),
        (output, sub_topology): (usize, u16),
        keeps_alone: bool,
        foreign_key: X,
    ) -> Self {
        Self {
            rows: TableRows::new(store, column),
            store,
            foreign_key,
            keeps_alone,
            changed: BTreeMap::new(),
            version: None,
            reached: EventTime::MIN,
            send: SendRecords::new(output, sub_topology, None),
            types: PhantomData,
        }
    }
}

/// A clone has seen nothing.
impl<K, L, F, X: Clone> Clone for Subscribe<K, L, F, X> {
    fn clone(&self) -> Self {
        Self {
            rows: self.rows.clone(),
            store: self.store,
            foreign_key: self.foreign_key.clone(),
            keeps_alone: self.keeps_alone,
            changed: BTreeMap::new(),
            version: None,
            reached: EventTime::MIN,
            send: self.send.clone(),
            types: PhantomData,
        }
    }
}

impl<K: StateKey, L, F, X> Subscribe<K, L, F, X> {
    fn version_key(&self) -> MetaKey {
        MetaKey::LastVersion(self.rows.column())
    }

    fn last_version(&mut self, step: &mut Step<'_>) -> Option<Version> {
        if self.version.is_none() {
            let version =
                changelog::own(step, self.version_key(), || format!("store {}: its last version", self.store))?;
            self.version = Some(version.unwrap_or_default());
        }
        self.version
    }

    /// Sends what has become of a key to whom it concerns.
    fn tell(&mut self, step: &mut Step<'_>, key: &K, change: Change, version: Version) {
        let Change { time, now } = change;
        let before = self.rows.get(step, key).cloned();
        let after = now.as_ref().map(|(address, _)| address);
        let mut own = Vec::new();
        key.encode(&mut own);
        let mut send = |step: &mut Step<'_>, to: &[u8], word: Word| {
            let value = Subscription { key: own.clone(), version, word };
            self.send.accept(step, &Timed { key: to.to_vec(), value, time });
        };
        let moves = before.as_ref() != after;
        if let Some(Address::Foreign(foreign)) = before.as_ref().filter(|_| moves) {
            send(step, foreign, Word::Left);
        }
        let after = after.cloned();
        match now {
            Some((Address::Foreign(foreign), row)) => send(step, &foreign, Word::Row(row)),
            Some((Address::None, row)) => send(step, &own, Word::Alone(row)),
            None if before.is_some() => send(step, &own, Word::Gone(self.reached)),
            None => {}
        }
        if moves {
            self.rows.set(step, key, after);
        }
    }
}

impl<K, L, F, I, X> Terminal<K, Option<L>> for Subscribe<K, L, F, X>
where
    K: StateKey,
    L: Kept,
    F: StateKey,
    I: Into<Option<F>>,
    X: Fn(&K, &L) -> I + Clone + Send + 'static,
{
    fn accept(&mut self, step: &mut Step<'_>, update: &Timed<K, Option<L>>) {
        let address = |row: &L| match (self.foreign_key)(&update.key, row).into() {
            Some(foreign) => {
                let mut bytes = Vec::new();
                foreign.encode(&mut bytes);
                Some(Address::Foreign(bytes))
            }
            None => self.keeps_alone.then_some(Address::None),
        };
        let now = update.value.as_ref().and_then(|row| {
            let mut bytes = Vec::new();
            let address = address(row)?;
            let encoded = state::codec::encode_into(&mut bytes, row);
            step.ok(encoded.map_err(|error| CoreError::store_refused(format!("store {}: {error}", self.store))))?;
            Some((address, bytes))
        });
        let change = Change { time: update.time, now };
        step.held_bytes += change.row_bytes();
        match self.changed.get_mut(&update.key) {
            Some(earlier) => {
                step.held_bytes = step.held_bytes.saturating_sub(earlier.row_bytes());
                *earlier = change;
            }
            None => {
                step.held_bytes += size_of::<(K, Change)>();
                self.changed.insert(update.key.clone(), change);
            }
        }
    }

    fn advance(&mut self, step: &mut Step<'_>, time: EventTime) {
        self.reached = time.max(self.reached);
        self.send.advance(step, time);
    }

    fn drain(&mut self, step: &mut Step<'_>) {
        if !self.changed.is_empty()
            && let Some(mut version) = self.last_version(step)
        {
            for (key, change) in std::mem::take(&mut self.changed) {
                version.0 += 1;
                self.tell(step, &key, change, version);
            }
            self.version = Some(version);
            changelog::put_own(step, self.version_key(), &version);
        }
        self.rows.drain(step);
        self.send.drain(step);
    }

    fn abandon(&mut self) {
        *self = self.clone();
    }
}
