//! A sequence in memory that grows without moving what is in it.
//!
//! What one transaction brings together is thousands of large values. In one allocation they would be copied again each time
//! it has to grow, into memory that is new each time.
//!
//! Not here: what is in it. Invariant: no chunk is empty; all but the first and the last are full, and so is the first as
//! long as nothing was taken off.

use std::collections::VecDeque;

/// A chunk takes about so much.
const CHUNK_BYTES: usize = 64 << 10;

/// A queue of chunks.
#[derive(Clone)]
pub(crate) struct Chunked<T> {
    chunks: VecDeque<VecDeque<T>>,
    /// A chunk that was emptied, for the next one.
    spare: VecDeque<T>,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), spare: VecDeque::new() }
    }
}

impl<T> Chunked<T> {
    /// How many values are in a full chunk.
    const CHUNK: usize = if size_of::<T>() < CHUNK_BYTES { CHUNK_BYTES / size_of::<T>() } else { 1 };

    /// How many values there are, if nothing was taken off.
    pub(crate) fn len(&self) -> usize {
        self.chunks.back().map_or(0, |last| (self.chunks.len() - 1) * Self::CHUNK + last.len())
    }

    /// Adds a value behind all others.
    pub(crate) fn push(&mut self, value: T) -> Option<&mut T> {
        if self.chunks.back().is_none_or(|last| last.len() == Self::CHUNK) {
            let mut chunk = std::mem::take(&mut self.spare);
            // The first one grows as it needs: there are many of them, and most hold little.
            if !self.chunks.is_empty() {
                chunk.reserve_exact(Self::CHUNK);
            }
            self.chunks.push_back(chunk);
        }
        let last = self.chunks.back_mut()?;
        last.push_back(value);
        last.back_mut()
    }

    /// The value at this place, if nothing was taken off.
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / Self::CHUNK)?.get(at % Self::CHUNK)
    }

    /// The value at this place, if nothing was taken off.
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.chunks.get_mut(at / Self::CHUNK)?.get_mut(at % Self::CHUNK)
    }

    pub(crate) fn first(&self) -> Option<&T> {
        self.chunks.front()?.front()
    }

    pub(crate) fn last(&self) -> Option<&T> {
        self.chunks.back()?.back()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten()
    }

    /// Takes the first value off.
    pub(crate) fn take_first(&mut self) -> Option<T> {
        let chunk = self.chunks.front_mut()?;
        let value = chunk.pop_front();
        if chunk.is_empty() {
            self.spare = self.chunks.pop_front()?;
        }
        value
    }

    /// Takes all values off and gives their room back but for that of one chunk.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.take_first())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A few of them fill a chunk.
    type Large = [u64; 1_000];

    proptest! {
        #[test]
        fn it_says_what_a_plain_queue_does(steps in prop::collection::vec(prop::option::weighted(0.6, any::<u8>()), 0..150)) {
            let (mut chunked, mut plain) = (Chunked::<Large>::default(), VecDeque::new());
            for step in steps {
                match step {
                    Some(value) => {
                        chunked.push([u64::from(value); 1_000]).unwrap()[7] += 1;
                        plain.push_back(u64::from(value) + 1);
                    }
                    None => prop_assert_eq!(chunked.take_first().map(|it| it[7]), plain.pop_front()),
                }
                let at_the_ends = [chunked.first(), chunked.last()].map(|it| it.map(|it| it[7]));
                prop_assert_eq!(at_the_ends, [plain.front(), plain.back()].map(Option::<&u64>::copied));
                prop_assert!(chunked.chunks.iter().all(|chunk| !chunk.is_empty()));
            }
            prop_assert!(chunked.iter_mut().map(|it| it[7]).eq(plain.iter().copied()));
            let left: VecDeque<u64> = chunked.drain().map(|it| it[7]).collect();
            prop_assert_eq!(left, plain);
            for number in 0..50 {
                prop_assert_eq!(chunked.len(), number);
                chunked.push([number as u64; 1_000]);
            }
            prop_assert!((0..50).all(|at| chunked.get(at).unwrap()[0] == at as u64));
            prop_assert!((0..50).all(|at| chunked.get_mut(at).unwrap()[0] == at as u64));
            prop_assert!(chunked.iter().map(|it| it[0]).eq(0..50));
            prop_assert!(chunked.get_mut(50).is_none());
        }
    }
}
