//! What a join makes of records that match, of those that find nobody, and of those that are one too many.
//!
//! Not here: who matches whom ([`super`]). Invariant: which records come out alone hangs on the type of the join
//! alone, so a stream's type says whether a partner may be missing.

use serde::{Deserialize, Serialize};

use crate::plan::JoinKind;

/// A kind of join, with the closure that makes its results.
pub trait Joiner<K, L, R>: Clone + Send + 'static {
    /// What comes out.
    type Out: 'static;
    /// Which records come out alone.
    const KIND: JoinKind;
    /// Of two records that match.
    fn pair(&self, key: &K, left: &L, right: &R) -> Self::Out;
    /// Of a left record that can no longer match.
    fn left_alone(&self, _: &K, _: &L) -> Option<Self::Out> {
        None
    }
    /// Of a right record that can no longer match.
    fn right_alone(&self, _: &K, _: &R) -> Option<Self::Out> {
        None
    }
    /// Of a left record that is one too many.
    fn left_again(&self, _: &K, _: &L) -> Option<Self::Out> {
        None
    }
    /// Of a right record that is one too many.
    fn right_again(&self, _: &K, _: &R) -> Option<Self::Out> {
        None
    }
}

/// Pairs only.
#[derive(Debug, Clone)]
pub struct Inner<C>(pub(crate) C);

/// Pairs, and left records that found no right one.
#[derive(Debug, Clone)]
pub struct LeftOuter<C>(pub(crate) C);

/// Pairs, and records of either side that found nobody.
#[derive(Debug, Clone)]
pub struct FullOuter<C>(pub(crate) C);

/// Requests (left) and their answers (right), of each key one.
#[derive(Debug, Clone, Copy)]
pub struct Requests;

/// What has become of a request or an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Exchange<Q, A> {
    /// The request and its answer.
    Answered {
        /// The request.
        request: Q,
        /// Its answer.
        answer: A,
    },
    /// A request whose answer has not come and can no longer count.
    TimedOut(Q),
    /// An answer to which there was no request, and can be none any more.
    Unasked(A),
    /// A second request of the same key, too near the first one for an answer to tell them apart.
    RequestedAgain(Q),
    /// A second answer of the same key, too near the first one for a request to tell them apart.
    AnsweredAgain(A),
}

impl<K, L, R, O: 'static, C> Joiner<K, L, R> for Inner<C>
where
    C: Fn(&K, &L, &R) -> O + Clone + Send + 'static,
{
    type Out = O;
    const KIND: JoinKind = JoinKind::Inner;

    fn pair(&self, key: &K, left: &L, right: &R) -> O {
        (self.0)(key, left, right)
    }
}

impl<K, L, R, O: 'static, C> Joiner<K, L, R> for LeftOuter<C>
where
    C: Fn(&K, &L, Option<&R>) -> O + Clone + Send + 'static,
{
    type Out = O;
    const KIND: JoinKind = JoinKind::Left;

    fn pair(&self, key: &K, left: &L, right: &R) -> O {
        (self.0)(key, left, Some(right))
    }

    fn left_alone(&self, key: &K, left: &L) -> Option<O> {
        Some((self.0)(key, left, None))
    }
}

impl<K, L, R, O: 'static, C> Joiner<K, L, R> for FullOuter<C>
where
    C: Fn(&K, Option<&L>, Option<&R>) -> O + Clone + Send + 'static,
{
    type Out = O;
    const KIND: JoinKind = JoinKind::Outer;

    fn pair(&self, key: &K, left: &L, right: &R) -> O {
        (self.0)(key, Some(left), Some(right))
    }

    fn left_alone(&self, key: &K, left: &L) -> Option<O> {
        Some((self.0)(key, Some(left), None))
    }

    fn right_alone(&self, key: &K, right: &R) -> Option<O> {
        Some((self.0)(key, None, Some(right)))
    }
}

impl<K, Q: Clone + 'static, A: Clone + 'static> Joiner<K, Q, A> for Requests {
    type Out = Exchange<Q, A>;
    const KIND: JoinKind = JoinKind::Requests;

    fn pair(&self, _: &K, request: &Q, answer: &A) -> Exchange<Q, A> {
        Exchange::Answered { request: request.clone(), answer: answer.clone() }
    }

    fn left_alone(&self, _: &K, request: &Q) -> Option<Exchange<Q, A>> {
        Some(Exchange::TimedOut(request.clone()))
    }

    fn right_alone(&self, _: &K, answer: &A) -> Option<Exchange<Q, A>> {
        Some(Exchange::Unasked(answer.clone()))
    }

    fn left_again(&self, _: &K, request: &Q) -> Option<Exchange<Q, A>> {
        Some(Exchange::RequestedAgain(request.clone()))
    }

    fn right_again(&self, _: &K, answer: &A) -> Option<Exchange<Q, A>> {
        Some(Exchange::AnsweredAgain(answer.clone()))
    }
}
