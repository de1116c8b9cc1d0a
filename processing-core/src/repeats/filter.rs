//! A set of ids that may say yes by mistake and never no: what spares a look into the store for each id that is new.
//!
//! Not here: the ids themselves; they are rows. Invariant: whatever was put in is found, and memory stays within
//! [`ID_FILTER_BYTES_MAX`].
//!
//! A Bloom filter in blocks of one cache line, one bit in each of a block's eight words (F. Putze, P. Sanders, J. Singler,
//! "Cache-, Hash- and Space-Efficient Bloom Filters", 2007). It grows by layers, each four times as large as the one
//! before: 16 bits an id keep the mistakes of all together at about one in a hundred.

use crate::limits::ID_FILTER_BYTES_MAX;

/// Bits of a block.
const BLOCK_BITS: usize = 512;
const BITS_PER_ID: usize = 16;
/// Blocks of the first layer, which is one for 64 ids.
const BLOCKS_FIRST: usize = 2;
/// How much larger each layer is than the one before.
const GROWTH: usize = 4;
/// Odd numbers without a pattern, one for each word of a block.
const SALTS: [u64; 8] = [
    0x47b6_137b_9e37_79b1,
    0x4497_4d91_8cb9_2cc3,
    0x8824_ad5b_a2b7_2895,
    0x7054_95c7_9c7b_ad2b,
    0x2df1_424b_6b8b_4567,
    0x9efc_4947_5c69_8d55,
    0x5c6b_fb31_74b0_dc51,
    0x1b87_3593_cc9e_2d51,
];

/// The ids that have come, approximately.
#[derive(Debug, Clone, Default)]
pub(super) struct IdFilter {
    layers: Vec<Layer>,
}

#[derive(Debug, Clone)]
struct Layer {
    blocks: Vec<[u64; 8]>,
    /// So many more ids keep its mistakes rare.
    room: usize,
}

impl IdFilter {
    /// Whether the id of this hash may have been put in; `false` is certain.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        self.layers.iter().any(|layer| layer.holds(hash))
    }

    /// Puts the id of this hash in. Answers `false` when there is no room for it: the filter is of no use from then on.
    #[must_use]
    pub(super) fn put(&mut self, hash: u64) -> bool {
        if self.layers.last().is_none_or(|layer| layer.room == 0) {
            let blocks = self.layers.last().map_or(BLOCKS_FIRST, |layer| layer.blocks.len() * GROWTH);
            if self.bytes() + blocks * BLOCK_BITS / 8 > ID_FILTER_BYTES_MAX {
                return false;
            }
            self.layers.push(Layer { blocks: vec![[0; 8]; blocks], room: blocks * BLOCK_BITS / BITS_PER_ID });
        }
        if let Some(layer) = self.layers.last_mut() {
            layer.put(hash);
        }
        true
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.blocks.len() * BLOCK_BITS / 8).sum()
    }
}

impl Layer {
    fn place(&self, hash: u64) -> usize {
        // The upper half of the product: as even as a remainder, without a division.
        ((u128::from(hash) * self.blocks.len() as u128) >> 64) as usize
    }

    fn holds(&self, hash: u64) -> bool {
        let block = self.blocks.get(self.place(hash));
        block.is_some_and(|block| block.iter().zip(bits(hash)).all(|(word, bit)| word & bit != 0))
    }

    fn put(&mut self, hash: u64) {
        let place = self.place(hash);
        if let Some(block) = self.blocks.get_mut(place) {
            block.iter_mut().zip(bits(hash)).for_each(|(word, bit)| *word |= bit);
        }
        self.room = self.room.saturating_sub(1);
    }
}

/// One bit for each word.
fn bits(hash: u64) -> impl Iterator<Item = u64> {
    SALTS.into_iter().map(move |salt| 1 << (hash.wrapping_mul(salt) >> 58))
}

#[cfg(test)]
mod tests {
    use super::super::mixed;
    use super::*;

    fn hash(id: u64) -> u64 {
        mixed(&id.to_be_bytes())
    }

    #[test]
    fn what_was_put_in_is_found_and_mistakes_are_rare() {
        let mut filter = IdFilter::default();
        for id in 0..200_000_u64 {
            assert!(filter.put(hash(id)));
        }
        assert!((0..200_000).all(|id| filter.may_hold(hash(id))));
        let mistakes = (200_000..400_000).filter(|id| filter.may_hold(hash(*id))).count();
        assert!(mistakes < 2_000, "{mistakes} of 200 000");
        assert!(filter.bytes() < 1 << 20, "{} bytes", filter.bytes());
    }

    #[test]
    fn a_few_ids_take_little() {
        let mut filter = IdFilter::default();
        assert!(!filter.may_hold(hash(1)));
        assert!(filter.put(hash(1)) && filter.may_hold(hash(1)));
        assert_eq!(filter.bytes(), 128);
    }

    #[test]
    fn it_stays_within_its_bound_and_says_so() {
        let mut filter = IdFilter::default();
        let taken = (0..u64::MAX).take_while(|id| filter.put(hash(*id))).count();
        assert!(taken > 1_000_000, "{taken} ids");
        assert!(filter.bytes() <= ID_FILTER_BYTES_MAX);
    }
}
