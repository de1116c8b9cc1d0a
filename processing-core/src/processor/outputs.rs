//! The named outputs of a processor: side chains that it forwards to.
//!
//! Not here: the chain that follows it, which is its main output ([`super`]). Invariant: what is forwarded to an output
//! comes out of it in the order of forwarding, within the same commit.

use std::any::Any;
use std::marker::PhantomData;

use state::{ColumnId, StateKey};

use crate::error::CoreError;
use crate::process::{Terminal, Timed};
use crate::record::EventTime;
use crate::step::Step;

/// A named output of a processor, which takes values of type `W`.
///
/// It belongs to the processor that it was declared for: used by another one, it stops the worker.
pub struct Output<W> {
    of: ColumnId,
    number: usize,
    values: PhantomData<fn(W)>,
}

impl<W> Clone for Output<W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for Output<W> {}

/// A side chain, its types forgotten.
trait Outlet<K>: Send {
    fn fresh(&self) -> Box<dyn Outlet<K>>;
    /// What waits to be sent, a vector of keys and values.
    fn waiting(&mut self) -> &mut dyn Any;
    fn flush(&mut self, step: &mut Step<'_>, time: EventTime);
    fn advance(&mut self, step: &mut Step<'_>, time: EventTime);
    fn drain(&mut self, step: &mut Step<'_>);
    fn abandon(&mut self);
}

struct Side<K, W, T> {
    waiting: Vec<(K, W)>,
    side: T,
}

impl<K: StateKey, W: Send + 'static, T: Terminal<K, W>> Outlet<K> for Side<K, W, T> {
    fn fresh(&self) -> Box<dyn Outlet<K>> {
        Box::new(Self { waiting: Vec::new(), side: self.side.clone() })
    }

    fn waiting(&mut self) -> &mut dyn Any {
        &mut self.waiting
    }

    fn flush(&mut self, step: &mut Step<'_>, time: EventTime) {
        let Self { waiting, side } = self;
        for (key, value) in waiting.drain(..) {
            side.accept(step, &Timed { key, value, time });
        }
    }

    fn advance(&mut self, step: &mut Step<'_>, time: EventTime) {
        self.side.advance(step, time);
    }

    fn drain(&mut self, step: &mut Step<'_>) {
        self.side.drain(step);
    }

    fn abandon(&mut self) {
        self.waiting.clear();
        self.side.abandon();
    }
}

/// All named outputs of a processor.
pub(crate) struct Outputs<K>(Vec<Box<dyn Outlet<K>>>);

impl<K> Default for Outputs<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K> Clone for Outputs<K> {
    fn clone(&self) -> Self {
        Self(self.0.iter().map(|outlet| outlet.fresh()).collect())
    }
}

impl<K: StateKey> Outputs<K> {
    /// Adds a side chain to the processor whose agenda is in column `of`.
    pub(crate) fn declare<W: Send + 'static>(&mut self, of: ColumnId, side: impl Terminal<K, W>) -> Output<W> {
        self.0.push(Box::new(Side { waiting: Vec::new(), side }));
        Output { of, number: self.0.len() - 1, values: PhantomData }
    }

    pub(super) fn forward<W: Send + 'static>(
        &mut self,
        step: &mut Step<'_>,
        of: ColumnId,
        output: &Output<W>,
        record: (K, W),
    ) {
        let outlet = self.0.get_mut(output.number).filter(|_| output.of == of);
        match outlet.and_then(|outlet| outlet.waiting().downcast_mut::<Vec<(K, W)>>()) {
            Some(waiting) => waiting.push(record),
            None => step.fail(CoreError::contradiction(
                "a processor forwards to an output that another one has declared".to_owned(),
            )),
        }
    }

    /// Sends what was forwarded, as records of `time`.
    pub(super) fn flush(&mut self, step: &mut Step<'_>, time: EventTime) {
        self.0.iter_mut().for_each(|outlet| outlet.flush(step, time));
    }

    pub(super) fn advance(&mut self, step: &mut Step<'_>, time: EventTime) {
        self.0.iter_mut().for_each(|outlet| outlet.advance(step, time));
    }

    pub(super) fn drain(&mut self, step: &mut Step<'_>) {
        self.0.iter_mut().for_each(|outlet| outlet.drain(step));
    }

    pub(super) fn abandon(&mut self) {
        self.0.iter_mut().for_each(|outlet| outlet.abandon());
    }
}
