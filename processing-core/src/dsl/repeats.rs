//! Repeated ids: dropped within a horizon, or counted once and exactly.
//!
//! Not here: how what passed is remembered ([`crate::repeats`]), and counting with an error in little memory
//! ([`crate::aggregate::distinct()`]). Invariant: a step adds its operators to the chain's type and their names to the plan.

#![allow(clippy::type_complexity, reason = "a chain's type spells its operators, as iterator adapters do")]

use std::marker::PhantomData;

use state::StateKey;

use super::stream::{Conclude, Ended, Grouped, Stream};
use super::window::{Table, Windowed, checked, declare};
use crate::aggregate::{Count, CountFold, count};
use crate::plan::StoreKind;
use crate::process::{Head, KeyByPair, Pipe, Stateless};
use crate::record::DurationMs;
use crate::repartition::pre_aggregate::PreAggregate;
use crate::repeats::{DistinctBy, Passed};
use crate::window::{SideBySide, Tumbling};
use crate::windowed::{Closed, Shuffled};
use crate::word::Settled;

/// Exact numbers of distinct items by key and window: what [`Stream::count_distinct`] answers.
pub type DistinctTable<P, K, T, C, D, O, W> = Table<
    Shuffled<K, Count>,
    Ended<Stateless<P, KeyByPair<C, D>>, PreAggregate<(K, T), CountFold, <P as Pipe>::Value>, O>,
    W,
>;

impl<P: Pipe, O> Stream<P, O> {
    /// Lets the first record of each `id` pass at once, in the order of the log, and drops those that repeat it within
    /// `horizon` of event time, before it or after; they are counted (`stream_records_dropped_total`, reason
    /// `duplicate`). The horizon counts from the record that passed, not from the last that was dropped, so an id that
    /// never rests passes once in each horizon.
    ///
    /// A record that comes when its partition's time has reached its own time + horizon is late: whether it repeats
    /// another is not known any more. It goes to the late records, counted under `store`; so nothing passes twice.
    ///
    /// Records with one id must come in one partition of one topic, by their key or by their producer. Where they come
    /// in several, no log says which is the first, and a replay would let another one pass: fold
    /// [`crate::aggregate::first()`] by event time over a window then, keyed by the id.
    ///
    /// `store` holds each id that passed within the last three horizons, those of a commit together; memory holds in which
    /// row each is, up to the store's share of the caches. Beyond that each id has a row of its own.
    pub fn distinct_by<J, C>(self, store: &'static str, id: C, horizon: DurationMs) -> Stream<DistinctBy<P, J, C>, O>
    where
        J: StateKey,
        C: Fn(&P::Value) -> J + Clone + Send + 'static,
        <P::Head as Head>::Word: Settled,
    {
        let panes = checked(&self.draft, &Tumbling::new(horizon));
        let kind = StoreKind::Passed(panes);
        let (column, at) = declare::<J, Passed>(&self.draft, (self.sub, self.at), store, kind, DurationMs(0));
        let pipe = DistinctBy::new(self.pipe, store, column, panes, id);
        Stream { draft: self.draft, sub: self.sub, at, pipe, owed: self.owed }
    }

    /// Counts the distinct items of each key and window, exactly, however many there are: first one row per (key,
    /// item) and window, grouped over a repartition topic so that equal pairs meet; then, when the window has closed, one
    /// count per key, grouped over another. So the counts of a key's parts add up, which those of sketches do not.
    ///
    /// ```
    /// # use processing_core::prelude::*;
    /// # #[derive(serde::Deserialize)] struct Search { at: i64, city: String, user: String }
    /// # let app = Topology::named("visitors");
    /// app.stream(Topic::<Json<Search>>::json("searches"))
    ///     .event_time(|search| EventTime(search.at))
    ///     .count_distinct(
    ///         ["city-users", "users-per-city"],
    ///         Tumbling::hours(1).grace(DurationMs::minutes(5)),
    ///         |search| search.city.clone(),
    ///         |search| search.user.clone(),
    ///     )
    ///     .on_close()
    ///     .map(|closed| closed.value.get())
    ///     .to(Topic::json("users.1h"));
    /// # app.build().unwrap();
    /// ```
    ///
    /// `stores` names the store of pairs and that of counts. State and repartition records are in proportion to the
    /// pairs of a window. Late is who is late for the first store; the second one waits for no grace.
    ///
    /// It stands for `key_by(pair)`, `window`, `fold(count())`, `on_close`, `key_by(key)`, `window`, `fold(count())`; write
    /// these where something else is to be counted.
    pub fn count_distinct<K, T, W, C, D>(
        self,
        stores: [&'static str; 2],
        windows: W,
        key: C,
        item: D,
    ) -> DistinctTable<P, K, T, C, D, O, W>
    where
        K: StateKey,
        T: StateKey,
        W: SideBySide,
        C: Fn(&P::Value) -> K + Clone + Send + 'static,
        D: Fn(&P::Value) -> T + Clone + Send + 'static,
        P::Head: Conclude,
        <P::Head as Head>::Word: Settled,
    {
        let [pairs, counts] = stores;
        let draft = std::rc::Rc::clone(&self.draft);
        let windows = checked(&draft, &windows);
        let by_pair = self.step("key-by", |up| Stateless { up, op: KeyByPair { key, item } });
        let first: Windowed<_, W> =
            Windowed { stream: Grouped(by_pair), windows, keep: DurationMs(0), kind: PhantomData };
        let by_key = first
            .fold(pairs, count())
            .on_close()
            .map_keyed((|pair: &(K, T), _: Closed<Count>| pair.0.clone()) as fn(&(K, T), Closed<Count>) -> K)
            .key_by(K::clone as fn(&K) -> K);
        // What comes out of a window is never late.
        let windows = windows.without_grace();
        Windowed { stream: by_key, windows, keep: DurationMs(0), kind: PhantomData }.fold(counts, count())
    }
}
