//! A record goes to the first of several side chains that takes it, or on.
//!
//! Not here: side chains that see everything ([`super::Tee`]). Invariant: each record is accepted once: by one arm, or by
//! the chain behind.

use crate::process::{Head, Pipe, Terminal, Timed};
use crate::record::EventTime;
use crate::step::Step;

/// Hands each record to the first arm that takes it, and lets those pass that none takes.
#[derive(Clone)]
pub struct Split<P, A> {
    pub(crate) up: P,
    pub(crate) arms: A,
}

/// Side chains in their order, each with a condition.
pub trait Arms<K, V>: Clone + Send + 'static {
    /// Hands the record to the first arm that takes it; `false` if none does.
    fn offer(&mut self, step: &mut Step<'_>, record: &Timed<K, V>) -> bool;
    /// See [`Terminal::advance`].
    fn advance(&mut self, step: &mut Step<'_>, time: EventTime);
    /// See [`Terminal::drain`].
    fn drain(&mut self, step: &mut Step<'_>);
    /// See [`Terminal::abandon`].
    fn abandon(&mut self);
}

/// No side chain yet.
#[derive(Debug, Clone, Copy)]
pub struct NoArm;

/// A side chain behind others.
#[derive(Clone)]
pub struct Arm<B, C, S> {
    pub(crate) before: B,
    pub(crate) takes: C,
    pub(crate) side: S,
}

impl<K, V> Arms<K, V> for NoArm {
    fn offer(&mut self, _: &mut Step<'_>, _: &Timed<K, V>) -> bool {
        false
    }
    fn advance(&mut self, _: &mut Step<'_>, _: EventTime) {}
    fn drain(&mut self, _: &mut Step<'_>) {}
    fn abandon(&mut self) {}
}

impl<K, V, B, C, S> Arms<K, V> for Arm<B, C, S>
where
    B: Arms<K, V>,
    C: Fn(&V) -> bool + Clone + Send + 'static,
    S: Terminal<K, V>,
{
    fn offer(&mut self, step: &mut Step<'_>, record: &Timed<K, V>) -> bool {
        if self.before.offer(step, record) {
            return true;
        }
        let takes = (self.takes)(&record.value);
        if takes {
            self.side.accept(step, record);
        }
        takes
    }

    fn advance(&mut self, step: &mut Step<'_>, time: EventTime) {
        self.before.advance(step, time);
        self.side.advance(step, time);
    }

    fn drain(&mut self, step: &mut Step<'_>) {
        self.before.drain(step);
        self.side.drain(step);
    }

    fn abandon(&mut self) {
        self.before.abandon();
        self.side.abandon();
    }
}

impl<P, A> Pipe for Split<P, A>
where
    P: Pipe,
    A: Arms<P::Key, P::Value>,
{
    type Head = P::Head;
    type Key = P::Key;
    type Value = P::Value;

    fn feed<F>(&mut self, step: &mut Step<'_>, input: <Self::Head as Head>::In<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, P::Value>),
    {
        let Self { up, arms } = self;
        up.feed(step, input, &mut |step, record| {
            if !arms.offer(step, &record) {
                emit(step, record);
            }
        });
    }

    fn advance<F>(&mut self, step: &mut Step<'_>, time: <Self::Head as Head>::Time<'_>, emit: &mut F) -> EventTime
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, P::Value>),
    {
        let Self { up, arms } = self;
        let reached = up.advance(step, time, &mut |step, record| {
            if !arms.offer(step, &record) {
                emit(step, record);
            }
        });
        arms.advance(step, reached);
        reached
    }

    fn drain<F>(&mut self, step: &mut Step<'_>, emit: &mut F)
    where
        F: FnMut(&mut Step<'_>, Timed<P::Key, P::Value>),
    {
        let Self { up, arms } = self;
        up.drain(step, &mut |step, record| {
            if !arms.offer(step, &record) {
                emit(step, record);
            }
        });
        arms.drain(step);
    }

    fn abandon(&mut self) {
        self.up.abandon();
        self.arms.abandon();
    }
}
