//! Numbers that look like chance and follow from a seed.
//!
//! Not here: what they decide. Invariant: the same seed gives the same numbers, on every machine and in every
//! version.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::record::{DurationMs, EventTime};

/// A seeded generator. Whoever wants the distributions of the crate `rand` finds its `RngCore` here.
#[derive(Debug, Clone)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number below `n`; 0 where `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n < 2 { 0 } else { self.0.next_u64() % n }
    }

    /// From 0 to below 1.
    pub fn fraction(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / (f64::from(u32::MAX) + 1.0)
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// One of these.
    pub fn pick<T, const N: usize>(&mut self, from: [T; N]) -> T {
        const { assert!(N > 0, "there is nothing to pick from") }
        let number = self.below(N as u64) as usize;
        let mut from = from.into_iter();
        match from.nth(number) {
            Some(picked) => picked,
            None => unreachable!("a number below {N} is below {N}"),
        }
    }

    /// A time at most so much before this one; every second time it is this one.
    pub fn disordered(&mut self, time: EventTime, at_most: DurationMs) -> EventTime {
        if self.chance(0.5) {
            return time;
        }
        let back = self.below(at_most.0.max(0).unsigned_abs().saturating_add(1));
        EventTime(time.0.saturating_sub_unsigned(back))
    }
}

impl RngCore for Dice {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, into: &mut [u8]) {
        self.0.fill_bytes(into);
    }
}
