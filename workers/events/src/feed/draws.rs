//! Seeded randomness, addressed by record number.
//!
//! Every record has its own run of the ChaCha8 key stream (256 bytes from word `number` x 64), so that
//! what a record is depends on the seed and its number alone, and the feed resumes anywhere at once.
//!
//! Not here: what is drawn. Invariant: a record draws at most [`DRAWS_MAX`] times, else it would read
//! on in the next record's run; further draws are zero.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// How many draws a record has.
pub(crate) const DRAWS_MAX: usize = 32;
const WORDS_PER_RECORD: u128 = DRAWS_MAX as u128 * 2;

/// Which of the seed's key streams is read.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Records = 0,
    Bursts = 1,
    Places = 2,
    /// Stories of the [`world`](crate::world).
    Stories = 3,
    /// What its models report at each hour.
    Hours = 4,
}

pub(crate) struct Draws {
    stream: ChaCha8Rng,
    left: usize,
}

impl Draws {
    pub(crate) fn new(seed: u64, stream: Stream) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream as u64);
        Self { stream: rng, left: 0 }
    }

    /// Turns to the draws of the record `number`.
    pub(crate) fn turn_to(&mut self, number: u64) {
        self.turn_to_run(number, 1);
    }

    /// Turns to the draws of `records` records from `number` on, taken together.
    pub(crate) fn turn_to_run(&mut self, number: u64, records: usize) {
        self.stream.set_word_pos(u128::from(number) * WORDS_PER_RECORD);
        self.left = DRAWS_MAX * records;
    }

    /// Any 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                self.stream.next_u64()
            }
            None => 0,
        }
    }

    /// A number from 0 up to, not including, `bound`; 0 for the bound 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// As [`Self::below`], small numbers more often: the square of an even draw.
    pub(crate) fn skewed_below(&mut self, bound: u64) -> u64 {
        let even = self.bits() >> 32;
        ((u128::from(even * even) * u128::from(bound)) >> 64) as u64
    }

    /// True `n` times in 10 000.
    pub(crate) fn chance(&mut self, n: u64) -> bool {
        self.below(10_000) < n
    }
}
