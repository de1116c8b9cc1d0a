//! A set of keys that may say yes by mistake and never no: what spares a look into the store for each key that is new.
//!
//! Not here: the keys themselves; they are rows. Invariant: whatever was put in is found, and memory stays within
//! [`KEY_FILTER_BYTES_MAX`].
//!
//! A Bloom filter in blocks of one cache line, one bit in each of a block's eight words (F. Putze, P. Sanders, J. Singler,
//! "Cache-, Hash- and Space-Efficient Bloom Filters", 2007). It grows by layers, each four times as large as the one
//! before: 16 bits a key keep the mistakes of all together at about one in a hundred.

use crate::limits::KEY_FILTER_BYTES_MAX;

/// Bits of a block.
const BLOCK_BITS: usize = 512;
const BITS_PER_KEY: usize = 16;
/// Blocks of the first layer, which is one for 64 keys.
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

/// A hash whose bits all hang on all bits of this one: the last step of MurmurHash3.
pub(crate) fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// The keys that were put in, approximately.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyFilter {
    layers: Vec<Layer>,
}

#[derive(Debug, Clone)]
struct Layer {
    blocks: Vec<[u64; 8]>,
    /// So many more keys keep its mistakes rare.
    room: usize,
}

impl KeyFilter {
    /// Whether the key of this hash may have been put in; `false` is certain.
    pub(crate) fn may_hold(&self, hash: u64) -> bool {
        self.layers.iter().any(|layer| layer.holds(hash))
    }

    /// Puts the key of this hash in. Answers `false` when there is no room for it: the filter is of no use from then on.
    #[must_use]
    pub(crate) fn put(&mut self, hash: u64) -> bool {
        if self.layers.last().is_none_or(|layer| layer.room == 0) {
            let blocks = self.layers.last().map_or(BLOCKS_FIRST, |layer| layer.blocks.len() * GROWTH);
            if self.bytes() + blocks * BLOCK_BITS / 8 > KEY_FILTER_BYTES_MAX {
                return false;
            }
            self.layers.push(Layer { blocks: vec![[0; 8]; blocks], room: blocks * BLOCK_BITS / BITS_PER_KEY });
        }
        if let Some(layer) = self.layers.last_mut() {
            layer.put(hash);
        }
        true
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
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
    use super::*;

    fn hash(key: u64) -> u64 {
        mixed(key)
    }

    #[test]
    fn what_was_put_in_is_found_and_mistakes_are_rare() {
        let mut filter = KeyFilter::default();
        for key in 0..200_000_u64 {
            assert!(filter.put(hash(key)));
        }
        assert!((0..200_000).all(|key| filter.may_hold(hash(key))));
        let mistakes = (200_000..400_000).filter(|key| filter.may_hold(hash(*key))).count();
        assert!(mistakes < 2_000, "{mistakes} of 200 000");
        assert!(filter.bytes() < 1 << 20, "{} bytes", filter.bytes());
    }

    #[test]
    fn a_few_keys_take_little() {
        let mut filter = KeyFilter::default();
        assert!(!filter.may_hold(hash(1)));
        assert!(filter.put(hash(1)) && filter.may_hold(hash(1)));
        assert_eq!(filter.bytes(), 128);
    }

    #[test]
    fn it_stays_within_its_bound_and_says_so() {
        let mut filter = KeyFilter::default();
        let taken = (0..u64::MAX).take_while(|key| filter.put(hash(*key))).count();
        assert!(taken > 1_000_000, "{taken} keys");
        assert!(filter.bytes() <= KEY_FILTER_BYTES_MAX);
    }
}
