//! A run: a key's events of which no two that follow each other lie more than the gap apart.
//!
//! Not here: which runs belong together ([`super::closing`] knows the gap). Invariant: merged runs are one run from
//! the first event of both to the last, so only runs that belong together may be merged: those of one pane
//! and key, and one with the run that continues it.

use serde::{Deserialize, Serialize};

use crate::aggregate::{Exactness, Fold, Mergeable};
use crate::process::{Operation, Timed};
use crate::record::{DurationMs, EventTime};
use crate::step::Step;
use crate::window::{Window, clamped};

/// A part of a session: its first and last event so far, and what they fold to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run<A> {
    first: EventTime,
    last: EventTime,
    value: A,
}

impl<A> Run<A> {
    /// The time of the first event; after all time if there is none.
    pub fn first(&self) -> EventTime {
        self.first
    }

    /// The time of the last event; before all time if there is none.
    pub fn last(&self) -> EventTime {
        self.last
    }

    /// From the first event to just after the last one.
    pub fn window(&self) -> Window {
        Window { start: self.first, end: self.last.plus(DurationMs(1)) }
    }

    pub(crate) fn into_value(self) -> A {
        self.value
    }

    fn cover(&mut self, first: EventTime, last: EventTime) {
        self.first = self.first.min(first);
        self.last = self.last.max(last);
    }
}

/// The run without an event, which any other swallows.
impl<A: Default> Default for Run<A> {
    fn default() -> Self {
        Self { first: EventTime::MAX, last: EventTime::MIN, value: A::default() }
    }
}

impl<A: Mergeable> Mergeable for Run<A> {
    const EXACTNESS: Exactness = A::EXACTNESS;

    fn merge(&mut self, other: &Self) {
        self.cover(other.first, other.last);
        self.value.merge(&other.value);
    }

    fn absorb(&mut self, other: Self) {
        self.cover(other.first, other.last);
        self.value.absorb(other.value);
    }

    fn heap_bytes(&self) -> usize {
        self.value.heap_bytes()
    }
}

/// A value with its event time, for the fold that has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped<V> {
    time: EventTime,
    value: V,
}

impl<V> Stamped<V> {
    /// What happened, and when.
    pub fn new(time: EventTime, value: V) -> Self {
        Self { time, value }
    }
}

/// Puts a record's time beside its value.
#[derive(Debug, Clone, Copy)]
pub struct Stamp;

impl<K: 'static, V: 'static> Operation<K, V> for Stamp {
    type Key = K;
    type Value = Stamped<V>;

    fn apply<F>(&self, step: &mut Step<'_>, record: Timed<K, V>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<K, Stamped<V>>),
    {
        let Timed { key, value, time } = record;
        emit(step, Timed { key, value: Stamped { time, value }, time });
    }
}

/// Folds events into runs by another recipe.
#[derive(Debug, Clone)]
pub struct RunFold<S>(pub S);

impl<V, S: Fold<V>> Fold<Stamped<V>> for RunFold<S> {
    type State = Run<S::State>;

    fn add(&self, run: &mut Run<S::State>, event: &Stamped<V>) {
        let time = EventTime(clamped(event.time));
        run.cover(time, time);
        self.0.add(&mut run.value, &event.value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::{laws, max};

    proptest! {
        #[test]
        fn obeys_the_laws(events in prop::collection::vec((any::<i64>(), 0..9_u8), 0..60), seed: u64) {
            let stamped: Vec<_> = events.iter().map(|(time, value)| Stamped::new(EventTime(*time), *value)).collect();
            let recipe = RunFold((crate::aggregate::count(), max(|value: &u8| *value)));
            laws::exact(&recipe, &stamped, seed, Clone::clone);
            let run = laws::fold(&recipe, &stamped);
            let times = || events.iter().map(|(time, _)| EventTime(clamped(EventTime(*time))));
            prop_assert_eq!(times().min().unwrap_or(EventTime::MAX), run.first());
            prop_assert_eq!(times().max().unwrap_or(EventTime::MIN), run.last());
            prop_assert_eq!(run.into_value().0.get(), events.len() as u64);
        }
    }
}
