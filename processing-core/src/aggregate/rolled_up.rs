//! Closed windows as records of coarser ones: their values are merged.
//!
//! Not here: which windows fit into which ([`crate::dsl::Stream::roll_up`]). Invariant: adds nothing to what the
//! aggregate's own merge does.

use std::fmt;
use std::marker::PhantomData;

use super::{Fold, Mergeable};
use crate::windowed::Closed;

/// The recipe of [`rolled_up`].
pub struct RolledUp<A>(PhantomData<fn() -> A>);

/// Merges the values of closed windows, so that a coarser window holds what its finer ones held together. Each finer
/// window must lie within one coarser window; [`crate::dsl::Stream::roll_up`] checks that.
pub fn rolled_up<A>() -> RolledUp<A> {
    RolledUp(PhantomData)
}

impl<A> Clone for RolledUp<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for RolledUp<A> {}

impl<A> fmt::Debug for RolledUp<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RolledUp")
    }
}

impl<A: Mergeable> Fold<Closed<A>> for RolledUp<A> {
    type State = A;

    fn add(&self, state: &mut A, closed: &Closed<A>) {
        state.merge(&closed.value);
    }
}
