//! How many distinct values the events have, by HyperLogLog.
//!
//! Up to [`FEW`] values are kept as they are, by their 64-bit hashes, and counted exactly. Beyond, the
//! sketch is that of the crate `datasketches`: a set of 32-bit fingerprints (four bytes a value,
//! practically exact: off by less than one in ten thousand), which becomes `2^LG_K` registers when it
//! would be larger than three eighths of them. Both steps depend only on how many distinct values there
//! are, never on their order.
//!
//! | `LG_K` | fingerprints up to | registers, also as stored | standard error beyond |
//! |---|---|---|---|
//! | 10 | 96 | 1 KiB | 3.3 % |
//! | 12 (default) | 384 | 4 KiB | 1.6 % |
//! | 14 | 1 536 | 16 KiB | 0.8 % |
//!
//! ```text
//! stored   nothing   the empty set
//!          ┌───┬────────────┐
//!          │ 0 │ u64 u64 …  │   up to FEW hashes, ascending, little-endian
//!          ├───┼────────────┤
//!          │ 2 │ u32 u32 …  │   the same where all of them have 32 bits
//!          ├───┼────────────┤
//!          │ 1 │ the sketch │   as the crate writes it
//!          └───┴────────────┘
//! ```
//!
//! Not here: the hash of composed values; give [`distinct_hash`] a good 64-bit one.
//! Invariant: only the composite estimate is read, which is a function of the registers alone; the
//! crate's default estimate depends on the order of updates, and so do its error bounds. Stored
//! bytes may differ between equal sketches, answers never.

use datasketches::hash::value::raw_bytes;
use datasketches::hll::{HllSketch, HllType, HllUnion};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use twox_hash::XxHash3_64;

use super::{Exactness, Fold, Mergeable, sketch_bytes};

/// A set of values of which only the number can be asked; `LG_K` from 4 to 21 sets size and error.
#[derive(Debug, Clone, Default)]
pub struct Distinct<const LG_K: u8 = 12> {
    values: Values,
}

/// How many values are kept as they are. A set of so many costs half of what the smallest set of the
/// sketch costs, and most sets of a windowed store are smaller still.
const FEW: usize = 32;

/// How a set is stored.
const WIDE: u8 = 0;
const SKETCH: u8 = 1;
const NARROW: u8 = 2;

#[derive(Debug, Clone)]
enum Values {
    /// At most [`FEW`] hashes in ascending order.
    Few(Vec<u64>),
    /// More. A union rather than a sketch, because only unions merge in place.
    Many(Box<HllUnion>),
}

impl Default for Values {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<const LG_K: u8> Distinct<LG_K> {
    const VALID: () = assert!(4 <= LG_K && LG_K <= 21, "LG_K of a distinct count must be within 4 and 21");

    /// The relative standard error once there are registers: 1.04 / sqrt(2^LG_K). Two answers in
    /// three are within it, 95 % within twice of it, 99.7 % within three times.
    pub fn relative_error() -> f64 {
        1.04 / f64::from(1u32 << LG_K).sqrt()
    }

    /// Takes in a value by its bytes.
    pub fn add_bytes(&mut self, value: &[u8]) {
        self.add_hash(XxHash3_64::oneshot(value));
    }

    /// Takes in a value by a number that stands for it: an id, or a 64-bit hash. The sketch hashes it again.
    ///
    /// Numbers below 2^32 take half the room in small sets. Where a hash of 32 bits stands for a value, of `n` values
    /// about `n^2 / 2^33` are taken for others: one in ten thousand of a million, far less than the sketch's own error.
    pub fn add_hash(&mut self, value: u64) {
        match &mut self.values {
            Values::Few(few) => {
                let Err(place) = few.binary_search(&value) else { return };
                if few.len() < FEW {
                    few.insert(place, value);
                } else {
                    let mut union = Self::union_of(few);
                    update(&mut union, value);
                    self.values = Values::Many(union);
                }
            }
            Values::Many(union) => update(union, value),
        }
    }

    /// The number of distinct values: exact up to [`FEW`], an estimate beyond, rounded.
    pub fn count(&self) -> u64 {
        self.estimate().round() as u64
    }

    /// The estimate before rounding: the composite one, the same in any order.
    pub fn estimate(&self) -> f64 {
        match &self.values {
            Values::Few(few) => few.len() as f64,
            Values::Many(union) => union.composite_estimate(),
        }
    }

    /// Whether no value was taken in.
    pub fn is_empty(&self) -> bool {
        matches!(&self.values, Values::Few(few) if few.is_empty())
    }

    #[expect(clippy::expect_used, reason = "the size was checked when this was compiled")]
    fn union_of(values: &[u64]) -> Box<HllUnion> {
        let () = Self::VALID;
        let mut union = Box::new(HllUnion::new(LG_K).expect("LG_K is within 4 and 21"));
        for value in values {
            update(&mut union, *value);
        }
        union
    }

    fn to_bytes(&self) -> Vec<u8> {
        match &self.values {
            Values::Few(few) if few.is_empty() => Vec::new(),
            Values::Few(few) => {
                // They ascend: none is larger than the last.
                let is_narrow = few.last().is_some_and(|last| u32::try_from(*last).is_ok());
                let mut bytes = Vec::with_capacity(1 + few.len() * 8);
                bytes.push(if is_narrow { NARROW } else { WIDE });
                for value in few {
                    bytes.extend_from_slice(&value.to_le_bytes()[..if is_narrow { 4 } else { 8 }]);
                }
                bytes
            }
            // Whole bytes a register: packing them into four bits halves what is stored, and costs 58 us
            // to write and 34 us to read where this costs 0.7 and 6.5 (2^12 registers).
            Values::Many(union) => {
                let mut bytes = vec![SKETCH];
                bytes.extend(union.to_sketch(HllType::Hll8).serialize());
                bytes
            }
        }
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        match bytes.split_first() {
            None => Ok(Self::default()),
            Some((form @ (&WIDE | &NARROW), values)) => {
                let few: Option<Vec<u64>> = if *form == WIDE {
                    let (values, rest) = values.as_chunks::<8>();
                    rest.is_empty().then(|| values.iter().map(|value| u64::from_le_bytes(*value)).collect())
                } else {
                    let (values, rest) = values.as_chunks::<4>();
                    rest.is_empty().then(|| values.iter().map(|value| u64::from(u32::from_le_bytes(*value))).collect())
                };
                let Some(few) = few else { return Err("a distinct count is damaged: a value is cut".to_owned()) };
                if few.is_empty() || few.len() > FEW || !few.is_sorted_by(|a, b| a < b) {
                    return Err("a distinct count is damaged: its values are out of order".to_owned());
                }
                Ok(Self { values: Values::Few(few) })
            }
            Some((&SKETCH, sketch)) => {
                let sketch =
                    HllSketch::deserialize(sketch).map_err(|error| format!("a distinct count is damaged: {error}"))?;
                if sketch.lg_config_k() != LG_K {
                    return Err(format!(
                        "a stored distinct count has LG_K {}, this topology wants {LG_K}: keep the old one or reprocess",
                        sketch.lg_config_k()
                    ));
                }
                let mut union = Self::union_of(&[]);
                union.update(&sketch);
                Ok(Self { values: Values::Many(union) })
            }
            Some((form, _)) => Err(format!("a distinct count is damaged: it has the unknown form {form}")),
        }
    }
}

fn update(union: &mut HllUnion, value: u64) {
    union.update_value(raw_bytes::from_slice(&value.to_le_bytes()));
}

/// Sketches are equal by their answers.
impl<const LG_K: u8> PartialEq for Distinct<LG_K> {
    fn eq(&self, other: &Self) -> bool {
        self.estimate().to_bits() == other.estimate().to_bits()
    }
}

impl<const LG_K: u8> Serialize for Distinct<LG_K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        sketch_bytes::serialize(&self.to_bytes(), serializer)
    }
}

impl<'de, const LG_K: u8> Deserialize<'de> for Distinct<LG_K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        sketch_bytes::deserialize(deserializer, Self::from_bytes)
    }
}

impl<const LG_K: u8> Mergeable for Distinct<LG_K> {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        match (&mut self.values, &other.values) {
            (_, Values::Few(few)) => {
                for value in few {
                    self.add_hash(*value);
                }
            }
            (Values::Few(few), Values::Many(many)) => {
                let mut union = many.clone();
                for value in few {
                    update(&mut union, *value);
                }
                self.values = Values::Many(union);
            }
            (Values::Many(union), Values::Many(other)) => union.update(&other.to_sketch(HllType::Hll8)),
        }
    }

    fn heap_bytes(&self) -> usize {
        match &self.values {
            Values::Few(few) => few.capacity() * size_of::<u64>(),
            Values::Many(union) => size_of::<HllUnion>() + union.estimated_size(),
        }
    }
}

/// The recipe of [`distinct`].
#[derive(Debug, Clone, Copy)]
pub struct DistinctFold<F, const LG_K: u8 = 12>(F);

/// Counts the distinct values that `of` lends from each event, by their bytes: text (`|e| e.user.as_str()`)
/// or a slice.
pub fn distinct<E, Q, F>(of: F) -> DistinctFold<F>
where
    Q: AsRef<[u8]> + ?Sized,
    F: Fn(&E) -> &Q,
{
    DistinctFold(of)
}

impl<F, const LG_K: u8> DistinctFold<F, LG_K> {
    /// The same with `2^N` registers.
    pub fn lg_k<const N: u8>(self) -> DistinctFold<F, N> {
        DistinctFold(self.0)
    }
}

impl<E, Q, F, const LG_K: u8> Fold<E> for DistinctFold<F, LG_K>
where
    Q: AsRef<[u8]> + ?Sized,
    F: Fn(&E) -> &Q + Clone + Send + 'static,
{
    type State = Distinct<LG_K>;

    fn add(&self, state: &mut Distinct<LG_K>, event: &E) {
        state.add_bytes((self.0)(event).as_ref());
    }
}

/// The recipe of [`distinct_hash`].
#[derive(Debug, Clone, Copy)]
pub struct DistinctHashFold<F, const LG_K: u8 = 12>(F);

/// Counts the distinct numbers that `of` takes from each event: ids, or 64-bit hashes of whatever is
/// to be told apart. The hash must be the same in every process and version.
pub fn distinct_hash<E, F: Fn(&E) -> u64>(of: F) -> DistinctHashFold<F> {
    DistinctHashFold(of)
}

impl<F, const LG_K: u8> DistinctHashFold<F, LG_K> {
    /// The same with `2^N` registers.
    pub fn lg_k<const N: u8>(self) -> DistinctHashFold<F, N> {
        DistinctHashFold(self.0)
    }
}

impl<E, F, const LG_K: u8> Fold<E> for DistinctHashFold<F, LG_K>
where
    F: Fn(&E) -> u64 + Clone + Send + 'static,
{
    type State = Distinct<LG_K>;

    fn add(&self, state: &mut Distinct<LG_K>, event: &E) {
        state.add_hash((self.0)(event));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::aggregate::laws;

    fn of(values: impl IntoIterator<Item = u64>) -> Distinct {
        let mut distinct = Distinct::default();
        values.into_iter().for_each(|value| distinct.add_hash(value));
        distinct
    }

    #[test]
    fn any_order_and_grouping_gives_the_same_answer_across_every_change_of_form() {
        // 32 values end the exact count, 384 the set; the large ones are where the default estimate differs.
        for n in [0u64, 1, 7, 25, 31, 32, 33, 383, 384, 385, 1_000, 12_288, 50_000] {
            let forwards = of(0..n);
            assert_eq!(forwards, of((0..n).rev()), "{n} values backwards");
            assert_eq!(forwards, laws::through_bytes(&forwards), "{n} values through bytes");
            for parts in [2, 3, 17] {
                let mut merged = Distinct::default();
                for part in 0..parts {
                    let part = of((0..n).filter(|v| v % parts == part));
                    merged.merge(&laws::through_bytes(&part));
                    merged.merge(&part);
                }
                assert_eq!(forwards, merged, "{n} values in {parts} parts");
            }
            if n <= 384 {
                assert_eq!(forwards.count(), n, "small sets are exact");
            }
        }
    }

    #[test]
    fn answers_are_within_the_stated_error() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for n in [200u32, 500, 2_000, 8_000, 30_000] {
            let mut squares = 0.0;
            let runs = 40;
            for _ in 0..runs {
                let off = of((0..n).map(|_| rng.random())).estimate() / f64::from(n) - 1.0;
                assert!(off.abs() < 4.0 * Distinct::<12>::relative_error(), "{n} values are off by {off}");
                squares += off * off;
            }
            let spread = (squares / f64::from(runs)).sqrt();
            assert!(spread < 1.3 * Distinct::<12>::relative_error(), "{n} values spread by {spread}");
        }
    }

    #[test]
    fn small_sets_are_small() {
        let stored = |d: &Distinct| bincode::serde::encode_to_vec(d, bincode::config::standard()).unwrap().len();
        assert_eq!(stored(&of([])), 1);
        assert_eq!(stored(&of(0..5)), 22);
        assert_eq!(stored(&of([0, u64::from(u32::MAX)])), 10);
        assert_eq!(stored(&of([0, u64::from(u32::MAX) + 1])), 18);
        assert!(stored(&of(0..100)) <= 420);
        assert!(stored(&of(0..1_000_000)) <= 4_200);
        assert!(of(0..1_000_000).heap_bytes() <= 4_400);
    }

    #[test]
    fn damaged_or_foreign_bytes_are_refused() {
        for bytes in [of(0..5), of((0..5).map(|value| value << 32))].map(|distinct| distinct.to_bytes()) {
            assert!(Distinct::<12>::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        }
        let bytes = of(0..1_000).to_bytes();
        for cut in [1, 8, 9, 40, bytes.len() - 1] {
            assert!(Distinct::<12>::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let refusal = Distinct::<11>::from_bytes(&bytes).unwrap_err();
        assert!(refusal.contains("LG_K 12"), "{refusal}");
    }

    #[test]
    fn json_can_hold_it_too() {
        for distinct in [of(0..20), of((0..20).map(|value| value << 32 | 7))] {
            let json = serde_json::to_string(&distinct).unwrap();
            let read: Distinct = serde_json::from_str(&json).unwrap();
            assert!(matches!((&read.values, &distinct.values), (Values::Few(a), Values::Few(b)) if a == b));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn obeys_the_laws(events in prop::collection::vec(0u64..600, 0..900), seed: u64) {
            laws::exact(&distinct_hash(|v: &u64| *v), &events, seed, |d| d.estimate().to_bits());
            laws::exact(&distinct_hash(|v: &u64| *v).lg_k::<5>(), &events, seed, |d| d.estimate().to_bits());
        }

        #[test]
        fn text_is_told_apart_by_its_bytes(events in prop::collection::vec("[a-c]{0,3}", 0..60), seed: u64) {
            let recipe = distinct(|e: &String| e.as_str());
            laws::exact(&recipe, &events, seed, Distinct::count);
            let expected = events.iter().collect::<std::collections::BTreeSet<_>>().len();
            prop_assert_eq!(laws::fold(&recipe, &events).count(), expected as u64);
        }
    }
}
