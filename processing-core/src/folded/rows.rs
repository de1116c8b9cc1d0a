//! A folded table whose rows another operator of the same chain takes.
//!
//! Not here: the folding ([`super::TableFold`]). Invariant: what has changed comes with the commit, once for each key.

use std::marker::PhantomData;

use state::StateKey;

use super::{Folding, TableFold};
use crate::process::{Pipe, Raw, Sources, Terminal, Timed};
use crate::record::EventTime;
use crate::step::Step;
use crate::table_source::TablePipe;

/// A fold that keeps what it says.
type Collecting<K, V, S> = TableFold<K, V, S, Collected<K, <S as Folding<V>>::Row>>;

/// Folds the records of `P` and hands their rows on as updates.
pub struct FoldedRows<P: Pipe, S: Folding<P::Value>> {
    up: P,
    fold: Collecting<P::Key, P::Value, S>,
}

/// By hand: a derived one would ask rows to be `Clone` that are not held.
impl<P: Pipe, S: Folding<P::Value>> Clone for FoldedRows<P, S> {
    fn clone(&self) -> Self {
        Self { up: self.up.clone(), fold: self.fold.clone() }
    }
}

impl<P: Pipe, S: Folding<P::Value>> FoldedRows<P, S> {
    pub(crate) fn new(up: P, fold: TableFold<P::Key, P::Value, S, ()>) -> Self {
        Self { up, fold: fold.shown_to(Collected(Vec::new(), PhantomData)) }
    }
}

/// What has come out and is to be handed on within the same call.
struct Collected<K, R>(Vec<Timed<K, Option<R>>>, PhantomData<fn(K, R)>);

/// A clone has seen nothing.
impl<K, R> Clone for Collected<K, R> {
    fn clone(&self) -> Self {
        Self(Vec::new(), PhantomData)
    }
}

impl<K, R> Terminal<K, Option<R>> for Collected<K, R>
where
    K: StateKey,
    R: Clone + Send + 'static,
{
    fn accept(&mut self, _: &mut Step<'_>, record: &Timed<K, Option<R>>) {
        self.0.push(record.clone());
    }

    fn advance(&mut self, _: &mut Step<'_>, _: EventTime) {}

    fn drain(&mut self, _: &mut Step<'_>) {}

    fn abandon(&mut self) {
        self.0.clear();
    }
}

impl<P, S> Pipe for FoldedRows<P, S>
where
    P: Pipe<Head = Sources, Key: StateKey, Value: Clone>,
    S: Folding<P::Value>,
{
    type Head = Sources;
    type Key = P::Key;
    type Value = Option<S::Row>;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: Raw<'_>, _: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, Option<S::Row>>),
    {
        let Self { up, fold } = self;
        up.feed(step, input, &mut |step, record| fold.accept(step, &record));
    }

    fn advance<F>(&mut self, step: &mut Step<'_>, times: &[EventTime], _: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, Option<S::Row>>),
    {
        let Self { up, fold } = self;
        let reached = up.advance(step, times, &mut |step, record| fold.accept(step, &record));
        fold.advance(step, reached);
        reached
    }

    fn drain<F>(&mut self, step: &mut Step<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, Option<S::Row>>),
    {
        let Self { up, fold } = self;
        up.drain(step, &mut |step, record| fold.accept(step, &record));
        fold.drain(step);
        for update in std::mem::take(&mut fold.side.0) {
            emit(step, update);
        }
    }

    fn abandon(&mut self) {
        self.up.abandon();
        self.fold.abandon();
    }
}

impl<P, S> TablePipe for FoldedRows<P, S>
where
    P: Pipe<Head = Sources, Key: StateKey, Value: Clone>,
    S: Folding<P::Value>,
{
    type Row = S::Row;
}
