//! Functions that make rows of one kind out of rows of another.
//!
//! What a store holds is told by its fingerprint ([`crate::plan::StorePlan::fingerprint`]). Where a topology expects
//! another one than the rows have, whoever changed it says how to get from the one to the other, or the worker refuses.
//!
//! ```
//! use processing_core::aggregate::{Aggregate, Exactness, Mergeable};
//! use processing_core::migration::Migration;
//! use processing_core::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! struct Ride {
//!     at_ms: i64,
//!     city: String,
//! }
//!
//! /// As it was: `struct Rides { count: u64 }`.
//! #[derive(Deserialize)]
//! struct RidesOnce {
//!     count: u64,
//! }
//!
//! #[derive(Clone, Default, Serialize, Deserialize)]
//! struct Rides {
//!     count: u64,
//!     /// New: of those that came after the change.
//!     latest_ms: i64,
//! }
//!
//! impl Mergeable for Rides {
//!     const EXACTNESS: Exactness = Exactness::Exact;
//!     fn merge(&mut self, other: &Self) {
//!         self.count += other.count;
//!         self.latest_ms = self.latest_ms.max(other.latest_ms);
//!     }
//! }
//!
//! impl Aggregate<Ride> for Rides {
//!     fn add(&mut self, ride: &Ride) {
//!         self.count += 1;
//!         self.latest_ms = self.latest_ms.max(ride.at_ms);
//!     }
//! }
//!
//! let app = Topology::named("rides");
//! // The name in fingerprints; the type may be moved or renamed. A changed one gets another name.
//! app.stable_name::<Rides>("rides/2");
//! app.migrate(
//!     Migration::of("rides")
//!         .from("rides: tumbling 60000 ms, grace 0 ms of rides/1 by alloc::string::String")
//!         .to("rides: tumbling 60000 ms, grace 0 ms of rides/2 by alloc::string::String")
//!         .values(|old: RidesOnce| Rides { count: old.count, latest_ms: i64::MIN }),
//! );
//! app.stream(Topic::<Json<Ride>>::json("rides.done"))
//!     .event_time(|ride| EventTime(ride.at_ms))
//!     .already_keyed_by(|ride| ride.city.clone())
//!     .window(Tumbling::minutes(1))
//!     .aggregate::<Rides>("rides")
//!     .on_close()
//!     .map(|closed| closed.value.count)
//!     .to(Topic::json("rides.by-minute"));
//! app.build().unwrap();
//! ```
//!
//! # What of a topology may change
//!
//! | what | is known by | so |
//! |---|---|---|
//! | a store, its changelog, its repartition topic | its name | steps and stores before and behind it may come and go; a new one begins empty, one that is gone is dropped and its changelog named, a renamed one is refused |
//! | a type in a store | its path in Rust, or its [stable name](crate::dsl::Topology::stable_name) | with a name it may be moved and renamed |
//! | what a store's values are | the fingerprint | a function makes new ones of old ones, or the worker refuses |
//! | windows, grace, the kind of a store | the fingerprint | give the store another name, or compute the state anew by `streamfleet reprocess` |
//! | inputs and outputs | their topics | outputs may come and go; an input that comes to a sub-topology with state is refused, for its events belong to windows that have closed |
//! | a sub-topology: its tasks, folders, commit records | its number, in the order in which streams are drawn | draw new streams behind the old ones; where a number comes to stand for other topics the worker refuses |
//!
//! All processes of an application are to run one topology: change it while none of them runs, or one after the other
//! where nothing but outputs and operators without state changes.
//!
//! Not here: when rows are migrated ([`crate::upgrade`]) and partial aggregates that were on their way
//! ([`crate::repartition::in_flight`]). Invariant: a migration is a pure function of one value, so that rows and partial
//! aggregates become the same whoever migrates them and whenever.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use state::{CodecError, codec};

use crate::record::EventTime;

/// How the values of a store lie in its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Envelope {
    /// The value alone.
    Plain,
    /// Behind the times of a run's first and last event.
    Run,
    /// Before the times that a folded row has.
    Aged,
}

/// Makes the bytes of a value, in the state's codec, of those of an older one.
type Rewriter = dyn Fn(Envelope, &[u8], &mut Vec<u8>) -> Result<(), CodecError> + Send + Sync;

/// How the rows of a store with one fingerprint become rows with another.
#[derive(Clone)]
pub struct Migration {
    pub(crate) store: String,
    pub(crate) from: String,
    pub(crate) to: String,
    /// `None`: the rows stay as they are.
    values: Option<Arc<Rewriter>>,
}

/// A migration of which not everything is said yet.
#[must_use = "it does nothing until it says how values change and is handed to the topology"]
#[derive(Debug, Clone)]
pub struct Migrating {
    store: String,
    from: String,
    to: String,
}

impl Migration {
    /// Of the rows of this store. What fingerprints to write is what the worker says when it refuses the store.
    pub fn of(store: impl Into<String>) -> Migrating {
        Migrating { store: store.into(), from: String::new(), to: String::new() }
    }

    /// Whether rows stay as they are.
    pub(crate) fn is_by_name(&self) -> bool {
        self.values.is_none()
    }
}

impl Migrating {
    /// The fingerprint of the rows as they are.
    pub fn from(mut self, fingerprint: impl Into<String>) -> Self {
        self.from = fingerprint.into();
        self
    }

    /// The fingerprint of the rows as they will be. Migrations are followed one after the other, up to the topology's.
    pub fn to(mut self, fingerprint: impl Into<String>) -> Self {
        self.to = fingerprint.into();
        self
    }

    /// Every value becomes what `migrate` makes of it: of a window or session its aggregate, of a table its row. `Old`
    /// must be encoded as the type was that wrote the rows: the same fields in the same order, whatever their names.
    /// `migrate` must be pure, and of an aggregate it must not matter whether values are merged before it or after.
    pub fn values<Old, New>(self, migrate: impl Fn(Old) -> New + Send + Sync + 'static) -> Migration
    where
        Old: DeserializeOwned,
        New: Serialize,
    {
        let rewrite = move |envelope, old: &[u8], new: &mut Vec<u8>| match envelope {
            Envelope::Plain => codec::encode_into(new, &migrate(codec::decode(old)?)),
            Envelope::Run => {
                let (first, last, value): (EventTime, EventTime, Old) = codec::decode(old)?;
                codec::encode_into(new, &(first, last, migrate(value)))
            }
            Envelope::Aged => {
                let (row, last, due): (Old, i64, i64) = codec::decode(old)?;
                codec::encode_into(new, &(migrate(row), last, due))
            }
        };
        let Self { store, from, to } = self;
        Migration { store, from, to, values: Some(Arc::new(rewrite)) }
    }

    /// The rows stay as they are: only a name has changed, such as that of a type that was moved.
    pub fn unchanged(self) -> Migration {
        let Self { store, from, to } = self;
        Migration { store, from, to, values: None }
    }
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { store, from, to, .. } = self;
        f.debug_struct("Migration").field("store", store).field("from", from).field("to", to).finish_non_exhaustive()
    }
}

/// One migration after the other.
#[derive(Clone, Debug)]
pub(crate) struct Path(Vec<Migration>);

impl Path {
    /// The shortest way of a store's rows among `migrations`.
    pub(crate) fn find(migrations: &[Migration], store: &str, from: &str, to: &str) -> Option<Self> {
        // What has been reached, each by way of the ones before it.
        let mut reached: Vec<(&str, Vec<&Migration>)> = vec![(from, Vec::new())];
        let mut next = 0;
        while let Some((at, way)) = reached.get(next).cloned() {
            if at == to {
                return Some(Self(way.into_iter().cloned().collect()));
            }
            for migration in migrations.iter().filter(|migration| migration.store == store && migration.from == at) {
                if reached.iter().all(|(known, _)| *known != migration.to) {
                    reached.push((&migration.to, way.iter().copied().chain([migration]).collect()));
                }
            }
            next += 1;
        }
        None
    }

    /// Whether rows stay as they are.
    pub(crate) fn is_by_name(&self) -> bool {
        self.0.iter().all(Migration::is_by_name)
    }

    /// The value that `old` becomes.
    pub(crate) fn value(&self, envelope: Envelope, old: &[u8]) -> Result<Vec<u8>, String> {
        let mut value = old.to_vec();
        for Migration { from, to, values, .. } in &self.0 {
            let Some(rewrite) = values else { continue };
            let mut new = Vec::with_capacity(value.len());
            let told = |error: CodecError| format!("the migration from `{from}` to `{to}` cannot take it: {error}");
            rewrite(envelope, &value, &mut new).map_err(told)?;
            value = new;
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adding(from: &str, to: &str, n: u32) -> Migration {
        Migration::of("s").from(from).to(to).values(move |old: u32| old + n)
    }

    fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        codec::encode_into(&mut bytes, value).unwrap();
        bytes
    }

    #[test]
    fn migrations_are_followed_one_after_the_other_by_the_shortest_way() {
        let all = [
            adding("a", "b", 1),
            adding("b", "c", 10),
            adding("c", "a", 100),
            adding("c", "d", 1000),
            Migration { store: "other".into(), ..adding("a", "d", 7) },
        ];
        let path = |from, to| Path::find(&all, "s", from, to);
        let value = path("a", "d").unwrap().value(Envelope::Plain, &bytes(&5_u32)).unwrap();
        assert_eq!(codec::decode::<u32>(&value), Ok(1016));
        assert!(path("a", "a").unwrap().is_by_name());
        assert!(path("d", "a").is_none());
        assert!(path("a", "x").is_none(), "circles end");
    }

    #[test]
    fn what_lies_around_a_value_stays() {
        let path = Path::find(&[adding("a", "b", 1)], "s", "a", "b").unwrap();
        let run = path.value(Envelope::Run, &bytes(&(EventTime(-3), EventTime(9), 5_u32))).unwrap();
        assert_eq!(run, bytes(&(EventTime(-3), EventTime(9), 6_u32)));
        let aged = path.value(Envelope::Aged, &bytes(&(5_u32, 7_i64, 8_i64))).unwrap();
        assert_eq!(aged, bytes(&(6_u32, 7_i64, 8_i64)));
        let told = path.value(Envelope::Plain, &bytes(&(5_u32, 5_u32))).unwrap_err();
        assert!(told.contains("from `a` to `b`"), "{told}");
    }
}
