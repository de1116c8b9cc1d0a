//! Records are folded per key before they cross a repartition topic.
//!
//! Not here: how partial aggregates and time travel ([`super`]), the windows at the other end ([`crate::window_store`]).
//! Invariant: what a transaction sends says the same whether records were folded in it or not.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::{FxBuildHasher, FxHashMap};
use state::StateKey;

use super::{BUNDLE, Bundles, put_place, send_time};
use crate::aggregate::{Fold, Mergeable};
use crate::error::CoreError;
use crate::process::{Terminal, Timed};
use crate::record::{DurationMs, EventTime};
use crate::sink::Lane;
use crate::step::Step;
use crate::window::Windows;
use crate::windowed::Grid;

/// The aggregates of one pane and first accepting window.
type Pane<K, A> = ((i64, i64), HashTable<(K, A)>);

/// Aggregates by pane, first accepting window and key, found in two steps: records come roughly in the
/// order of time, so the pane is nearly always the last one, and only the key has to be looked up.
#[derive(Clone)]
struct Partials<K, A> {
    panes: Vec<Pane<K, A>>,
    /// Where each stands among them: with sliding windows they can be as many as records.
    places: FxHashMap<(i64, i64), usize>,
    last: usize,
}

impl<K: StateKey, A: Mergeable> Partials<K, A> {
    fn new() -> Self {
        Self { panes: Vec::new(), places: FxHashMap::default(), last: 0 }
    }

    /// The aggregate of a key, and whether it is new.
    fn slot(&mut self, pane: i64, first: i64, key: &K) -> (&mut A, bool) {
        let row = (pane, first);
        if self.panes.get(self.last).is_none_or(|(at, _)| *at != row) {
            self.last = *self.places.entry(row).or_insert_with(|| {
                self.panes.push((row, HashTable::new()));
                self.panes.len() - 1
            });
        }
        let keys = &mut self.panes[self.last].1;
        let hash = |key: &K| FxBuildHasher.hash_one(key);
        // Most keys are there already: they are found without a clone of theirs.
        match keys.entry(hash(key), |(known, _)| known == key, |(known, _)| hash(known)) {
            Entry::Occupied(slot) => (&mut slot.into_mut().1, false),
            Entry::Vacant(slot) => (&mut slot.insert((key.clone(), A::default())).into_mut().1, true),
        }
    }

    fn clear(&mut self) {
        self.panes.clear();
        self.places.clear();
    }

    /// Everything, in the order of pane, first window and key. Aggregates can be large: what is sorted refers to them.
    /// They are to be cleared after this.
    fn sorted(&mut self) -> impl Iterator<Item = ((i64, i64), &K, &A)> {
        self.panes.sort_unstable_by_key(|(at, _)| *at);
        self.panes.iter().flat_map(|(at, keys)| {
            let mut rows: Vec<&(K, A)> = keys.iter().collect();
            rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            rows.into_iter().map(|(key, aggregate)| (*at, key, aggregate))
        })
    }
}

/// For so many transactions records go out as they come, each a partial aggregate of its own, once nearly all of a
/// transaction's had a key and pane of their own; then it is seen again whether that is still so.
const APART: u32 = 15;

/// The end of the upstream chain: folds records per key, pane and first accepting window for as long as
/// the transaction lasts, and sends one partial aggregate for each. So a hot key costs one record per
/// commit and not one per event. Where hardly any two records meet, looking for those that do would cost more than it
/// saves ([`APART`]).
pub struct PreAggregate<K, S: Fold<E>, E, G = Windows> {
    sending: Sending,
    windows: G,
    fold: S,
    /// Whose time the time records tell.
    sub_topology: u16,
    partials: Partials<K, S::State>,
    /// In how many more transactions records go out as they come.
    apart: u32,
    /// Records of this transaction that were folded.
    folded: usize,
    /// The last time that was sent downstream.
    sent: EventTime,
    /// The earliest pane of this task since it began to run, and the one that was sent downstream: each
    /// transaction that goes further back says so itself, so nothing hangs on those that were undone.
    since: EventTime,
    since_sent: EventTime,
    reached: EventTime,
    /// By how much the store's windows close later than `windows`; negative where they close earlier.
    store_closes_later: DurationMs,
}

/// Partial aggregates on their way out.
struct Sending {
    /// What they are for.
    store: &'static str,
    output: usize,
    bundles: Bundles,
    key: Vec<u8>,
}

impl Sending {
    fn new(store: &'static str, output: usize) -> Self {
        Self { store, output, bundles: Bundles::of(BUNDLE), key: Vec::new() }
    }

    fn lane(&self) -> Lane {
        Lane::Output(self.output)
    }

    /// Adds one. Answers by how many bytes what is held here has grown.
    fn add<K: StateKey, A: Mergeable>(
        &mut self,
        step: &mut Step<'_>,
        place: (i64, i64),
        key: &K,
        aggregate: &A,
    ) -> isize {
        let (lane, store) = (self.lane(), self.store);
        self.key.clear();
        key.encode(&mut self.key);
        self.bundles.add(step, lane, &self.key, |into| {
            put_place(into, place);
            let encoded = state::codec::encode_into(into, aggregate);
            encoded.map_err(|error| CoreError::store_refused(format!("store {store}: {error}")))
        })
    }
}

/// A clone has seen nothing: what a transaction holds belongs to one task.
impl<K: StateKey, E, S: Fold<E>, G: Grid> Clone for PreAggregate<K, S, E, G> {
    fn clone(&self) -> Self {
        let Sending { store, output, .. } = self.sending;
        Self {
            store_closes_later: self.store_closes_later,
            ..Self::new(store, output, self.windows, self.fold.clone(), self.sub_topology)
        }
    }
}

impl<K: StateKey, E, S: Fold<E>, G: Grid> PreAggregate<K, S, E, G> {
    pub(crate) fn new(store: &'static str, output: usize, windows: G, fold: S, sub_topology: u16) -> Self {
        Self {
            sending: Sending::new(store, output),
            windows,
            fold,
            sub_topology,
            partials: Partials::new(),
            apart: 0,
            folded: 0,
            sent: EventTime::MIN,
            since: EventTime::MAX,
            since_sent: EventTime::MAX,
            reached: EventTime::MIN,
            store_closes_later: DurationMs(0),
        }
    }

    /// The store's windows are the same but for their grace, and close so much later than these here.
    pub(crate) fn into_windows_that_close_later(mut self, by: DurationMs) -> Self {
        self.store_closes_later = by;
        self
    }

    /// Sends what was folded, in an order that depends on nothing but the content, and what is open of the others.
    fn send_partials(&mut self, step: &mut Step<'_>) {
        let Self { partials, sending, .. } = self;
        let (mut sent, folded) = (0, std::mem::take(&mut self.folded));
        for (place, key, aggregate) in partials.sorted() {
            sending.add(step, place, key, aggregate);
            sent += 1;
        }
        partials.clear();
        sending.bundles.finish(step, sending.lane());
        if self.apart > 0 {
            self.apart -= 1;
        } else if folded > 0 && folded - sent <= folded / 8 {
            self.apart = APART;
        }
    }
}

impl<K, E, S, G> Terminal<K, E> for PreAggregate<K, S, E, G>
where
    K: StateKey,
    E: 'static,
    S: Fold<E>,
    G: Grid,
{
    fn accept(&mut self, step: &mut Step<'_>, record: &Timed<K, E>) {
        let Some(entry) = self.windows.place(record.time, step.stream_time) else {
            step.late(self.sending.store);
            return;
        };
        step.counts.partly_late += u64::from(entry.partly_late);
        self.since = self.since.min(EventTime(entry.pane));
        if self.apart > 0 {
            let mut partial = S::State::default();
            self.fold.add(&mut partial, &record.value);
            let grown = self.sending.add(step, (entry.pane, entry.first), &record.key, &partial);
            step.held_bytes = step.held_bytes.saturating_add_signed(grown);
            return;
        }
        self.folded += 1;
        let (partial, is_new) = self.partials.slot(entry.pane, entry.first, &record.key);
        self.fold.add(partial, &record.value);
        if is_new {
            step.held_bytes += size_of::<(K, S::State)>() + partial.heap_bytes();
        }
    }

    fn advance(&mut self, _: &mut Step<'_>, time: EventTime) {
        self.reached = time.max(self.reached);
    }

    fn drain(&mut self, step: &mut Step<'_>) {
        self.send_partials(step);
        // A time record is worth sending only if a window downstream could close by it.
        // It tells when that window closes and no more: how far time had come by some commit would make
        // what closes behind the next window depend on where commits fall.
        let closes = match self.windows.last_close(self.reached) {
            EventTime::MIN => EventTime::MIN,
            closes => closes.plus(self.store_closes_later),
        };
        if closes > self.sent || self.since < self.since_sent {
            send_time(step, self.sending.lane(), self.sub_topology, closes, self.since);
            (self.sent, self.since_sent) = (closes, self.since);
        }
    }

    fn abandon(&mut self) {
        *self = self.clone();
    }
}
