//! Operators that look at one record at a time: filter, map, flat map, key-by, peek.
//!
//! Not here: anything that remembers a record ([`crate::windowed`]). Invariant: what comes out has the
//! time of what went in, so no such operator can make a record late.

use crate::decode::Poison;
use crate::process::{Head, Pipe, Timed};
use crate::record::EventTime;
use crate::step::Step;

/// An operator without state: each record becomes any number of records with the same time.
///
/// `filter`, `map`, `flat_map`, `key_by`, `peek` and `try_map` are all this, with closures of their own.
#[derive(Clone)]
pub struct Stateless<P, O> {
    pub(crate) up: P,
    pub(crate) op: O,
}

/// What a stateless operator does with one record.
pub trait Operation<K, V>: Clone + Send + 'static {
    /// The key of what comes out.
    type Key: 'static;
    /// The value of what comes out.
    type Value: 'static;
    /// Hands what it makes of `record` to `emit`.
    fn apply<F>(&self, step: &mut Step<'_>, record: Timed<K, V>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<Self::Key, Self::Value>);
}

impl<P, O> Pipe for Stateless<P, O>
where
    P: Pipe,
    O: Operation<P::Key, P::Value>,
{
    type Head = P::Head;
    type Key = O::Key;
    type Value = O::Value;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: <Self::Head as Head>::In<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<Self::Key, Self::Value>),
    {
        let Self { up, op } = self;
        up.feed(step, input, &mut |step, record| op.apply(step, record, emit));
    }

    fn advance<F>(&mut self, step: &mut Step<'_>, time: <Self::Head as Head>::Time<'_>, emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<Self::Key, Self::Value>),
    {
        let Self { up, op } = self;
        up.advance(step, time, &mut |step, record| op.apply(step, record, emit))
    }

    fn drain<F>(&mut self, step: &mut Step<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<Self::Key, Self::Value>),
    {
        let Self { up, op } = self;
        up.drain(step, &mut |step, record| op.apply(step, record, emit));
    }

    fn abandon(&mut self) {
        self.up.abandon();
    }
}

macro_rules! operation {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name<C>(pub(crate) C);
    };
}

operation!(
    /// Keeps the records for which the closure says yes.
    Filter
);
/// Keeps the records for which the closure says yes, and counts the others.
#[derive(Clone)]
pub struct FilterCounted<C> {
    pub(crate) reason: &'static str,
    pub(crate) keep: C,
}

operation!(
    /// Puts another value in a record's place.
    Map
);
operation!(
    /// Puts another value in a record's place, or says why it cannot: such a record is dead-lettered.
    TryMap
);
operation!(
    /// Puts any number of values in a record's place.
    FlatMap
);
operation!(
    /// Groups records by what the closure finds in their value.
    KeyBy
);
/// Groups pairs by their first part, and keeps the second.
#[derive(Clone)]
pub struct KeyByFirst;

/// Groups records by two things that the closures find in their value.
#[derive(Clone)]
pub struct KeyByPair<C, D> {
    pub(crate) key: C,
    pub(crate) item: D,
}

operation!(
    /// Shows records to the closure and lets them pass.
    Peek
);
operation!(
    /// Makes a value of the key and the value together.
    MapKeyed
);

impl<K: 'static, V: 'static, C: Fn(&V) -> bool + Clone + Send + 'static> Operation<K, V> for Filter<C> {
    type Key = K;
    type Value = V;
    fn apply<F: FnMut(&mut Step<'_>, Timed<K, V>)>(&self, step: &mut Step<'_>, record: Timed<K, V>, emit: &mut F) {
        if (self.0)(&record.value) {
            emit(step, record);
        }
    }
}

impl<K: 'static, V: 'static, C: Fn(&V) -> bool + Clone + Send + 'static> Operation<K, V> for FilterCounted<C> {
    type Key = K;
    type Value = V;
    fn apply<F: FnMut(&mut Step<'_>, Timed<K, V>)>(&self, step: &mut Step<'_>, record: Timed<K, V>, emit: &mut F) {
        if (self.keep)(&record.value) {
            emit(step, record);
        } else {
            *step.counts.dropped.entry(self.reason).or_default() += 1;
        }
    }
}

impl<K: 'static, V, W: 'static, C: Fn(V) -> W + Clone + Send + 'static> Operation<K, V> for Map<C> {
    type Key = K;
    type Value = W;
    fn apply<F: FnMut(&mut Step<'_>, Timed<K, W>)>(&self, step: &mut Step<'_>, record: Timed<K, V>, emit: &mut F) {
        emit(step, Timed { key: record.key, value: (self.0)(record.value), time: record.time });
    }
}

impl<K: 'static, V, W: 'static, C> Operation<K, V> for TryMap<C>
where
    C: Fn(V) -> Result<W, Poison> + Clone + Send + 'static,
{
    type Key = K;
    type Value = W;
    fn apply<F: FnMut(&mut Step<'_>, Timed<K, W>)>(&self, step: &mut Step<'_>, record: Timed<K, V>, emit: &mut F) {
        match (self.0)(record.value) {
            Ok(value) => emit(step, Timed { key: record.key, value, time: record.time }),
            Err(poison) => step.dead_letter(poison),
        }
    }
}

impl<K: Clone + 'static, V, W: 'static, I, C> Operation<K, V> for FlatMap<C>
where
    I: IntoIterator<Item = W>,
    C: Fn(V) -> I + Clone + Send + 'static,
{
    type Key = K;
    type Value = W;
    fn apply<F: FnMut(&mut Step<'_>, Timed<K, W>)>(&self, step: &mut Step<'_>, record: Timed<K, V>, emit: &mut F) {
        for value in (self.0)(record.value) {
            emit(step, Timed { key: record.key.clone(), value, time: record.time });
        }
    }
}

impl<K, V: 'static, J: 'static, C: Fn(&V) -> J + Clone + Send + 'static> Operation<K, V> for KeyBy<C> {
    type Key = J;
    type Value = V;
    fn apply<F: FnMut(&mut Step<'_>, Timed<J, V>)>(&self, step: &mut Step<'_>, record: Timed<K, V>, emit: &mut F) {
        let key = (self.0)(&record.value);
        emit(step, Timed { key, value: record.value, time: record.time });
    }
}

impl<K, J: 'static, V: 'static> Operation<K, (J, V)> for KeyByFirst {
    type Key = J;
    type Value = V;
    fn apply<F: FnMut(&mut Step<'_>, Timed<J, V>)>(&self, step: &mut Step<'_>, record: Timed<K, (J, V)>, emit: &mut F) {
        let (key, value) = record.value;
        emit(step, Timed { key, value, time: record.time });
    }
}

impl<K, V, J, T, C, D> Operation<K, V> for KeyByPair<C, D>
where
    V: 'static,
    J: 'static,
    T: 'static,
    C: Fn(&V) -> J + Clone + Send + 'static,
    D: Fn(&V) -> T + Clone + Send + 'static,
{
    type Key = (J, T);
    type Value = V;
    fn apply<F: FnMut(&mut Step<'_>, Timed<(J, T), V>)>(&self, step: &mut Step<'_>, record: Timed<K, V>, emit: &mut F) {
        let key = ((self.key)(&record.value), (self.item)(&record.value));
        emit(step, Timed { key, value: record.value, time: record.time });
    }
}

impl<K: 'static, V: 'static, C: Fn(&K, &V) + Clone + Send + 'static> Operation<K, V> for Peek<C> {
    type Key = K;
    type Value = V;
    fn apply<F: FnMut(&mut Step<'_>, Timed<K, V>)>(&self, step: &mut Step<'_>, record: Timed<K, V>, emit: &mut F) {
        (self.0)(&record.key, &record.value);
        emit(step, record);
    }
}

impl<K: 'static, V, W: 'static, C: Fn(&K, V) -> W + Clone + Send + 'static> Operation<K, V> for MapKeyed<C> {
    type Key = K;
    type Value = W;
    fn apply<F: FnMut(&mut Step<'_>, Timed<K, W>)>(&self, step: &mut Step<'_>, record: Timed<K, V>, emit: &mut F) {
        let value = (self.0)(&record.key, record.value);
        emit(step, Timed { key: record.key, value, time: record.time });
    }
}
