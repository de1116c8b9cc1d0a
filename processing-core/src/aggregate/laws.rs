//! The laws of aggregates, as checks that each aggregate's property tests call: this crate's own, and with the
//! feature `testing` those of whoever writes an aggregate.
//!
//! Not here: what an aggregate answers, which its own tests compare with a naive computation.
//! Invariant: every check goes through the public traits alone and names the law that was broken.

use std::fmt::Debug;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::{Exactness, Fold, Mergeable};

/// All events in order into one state.
pub(crate) fn fold<E, F: Fold<E>>(recipe: &F, events: &[E]) -> F::State {
    let mut state = F::State::default();
    for event in events {
        recipe.add(&mut state, event);
    }
    state
}

/// The state written and read again, as stores and changelogs do with it.
pub(crate) fn through_bytes<S: Mergeable>(state: &S) -> S {
    state::codec::decode(&encode(state)).unwrap_or_else(|error| panic!("what was written cannot be read: {error}"))
}

fn encode<S: Mergeable>(state: &S) -> Vec<u8> {
    let mut bytes = Vec::new();
    state::codec::encode_into(&mut bytes, state).unwrap_or_else(|error| panic!("the state cannot be written: {error}"));
    bytes
}

/// A number from 0 to before `bound`; that small ones are a little likelier does not matter here.
fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    (rng.next_u64() % bound.max(1) as u64) as usize
}

/// The events in random order, in random groups (singletons among them), each group sometimes
/// written and read, merged along a random tree with empty states strewn in.
pub(crate) fn regrouped<E: Clone, F: Fold<E>>(recipe: &F, events: &[E], rng: &mut ChaCha8Rng) -> F::State {
    let mut events = events.to_vec();
    for last in (1..events.len()).rev() {
        events.swap(last, below(rng, last + 1));
    }
    let mut groups = vec![F::State::default()];
    let singleton_every = 1 + below(rng, 5);
    for event in &events {
        if below(rng, singleton_every) == 0 {
            groups.push(F::State::default());
        }
        let group = below(rng, groups.len());
        recipe.add(&mut groups[group], event);
    }
    while groups.len() > 1 {
        let taken = groups.swap_remove(below(rng, groups.len()));
        let taken = if below(rng, 10) < 3 { through_bytes(&taken) } else { taken };
        let into = below(rng, groups.len());
        groups[into].merge(&taken);
    }
    groups.swap_remove(0)
}

/// Holds an exact aggregate to all laws over these events: neutral default, commutative and associative merge,
/// absorbing like merging, any order and grouping, round trip through the bytes of stores, and exact removal
/// where there is any. `answer` is what a state is asked for; `seed` chooses orders and groups.
///
/// # Panics
/// With the name of the law that is broken.
pub fn exact<E, F, A>(recipe: &F, events: &[E], seed: u64, answer: impl Fn(&F::State) -> A)
where
    E: Clone,
    F: Fold<E>,
    A: PartialEq + Debug,
{
    assert_eq!(F::State::EXACTNESS, Exactness::Exact);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let whole = fold(recipe, events);
    let expected = answer(&whole);
    let merged = |left: &F::State, right: &F::State| {
        let mut left = left.clone();
        left.merge(right);
        left
    };
    let absorbed = |left: &F::State, right: &F::State| {
        let mut left = left.clone();
        left.absorb(right.clone());
        left
    };

    assert_eq!(answer(&merged(&whole, &F::State::default())), expected, "the default is neutral on the right");
    assert_eq!(answer(&merged(&F::State::default(), &whole)), expected, "the default is neutral on the left");
    assert_eq!(answer(&through_bytes(&whole)), expected, "encoding keeps the answer");

    let (first, rest) = events.split_at(below(&mut rng, events.len() + 1));
    let (second, third) = rest.split_at(below(&mut rng, rest.len() + 1));
    let [a, b, c] = [first, second, third].map(|part| fold(recipe, part));
    assert_eq!(answer(&merged(&a, &b)), answer(&merged(&b, &a)), "merge commutes");
    assert_eq!(answer(&absorbed(&a, &b)), answer(&merged(&a, &b)), "absorbing is merging");
    assert_eq!(answer(&absorbed(&F::State::default(), &b)), answer(&b), "the default absorbs as it merges");
    assert_eq!(answer(&merged(&merged(&a, &b), &c)), expected, "merge to the left is the fold");
    assert_eq!(answer(&merged(&a, &merged(&b, &c))), expected, "merge to the right is the fold");
    for _ in 0..4 {
        assert_eq!(answer(&regrouped(recipe, events, &mut rng)), expected, "order and grouping do not matter");
    }

    if let Some(remove) = F::State::REMOVE {
        let mut left = merged(&a, &b);
        remove(&mut left, &b);
        assert_eq!(answer(&left), answer(&a), "remove undoes merge");
        assert_eq!(encode(&left), encode(&a), "remove undoes merge, byte by byte");
        let mut nothing = whole;
        for part in [&b, &a, &c] {
            remove(&mut nothing, part);
        }
        assert_eq!(encode(&nothing), encode(&F::State::default()), "removing all leaves the default");
    }
}
