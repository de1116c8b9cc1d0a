//! Quantiles of a number of each event, with a stated relative error: DDSketch with fixed buckets.
//!
//! Numbers are counted in buckets whose width is a share of what is in them ([`super::log_scale`]); a quantile is
//! the number that stands for the bucket in which its rank lies (Masson, Rim, Lee, PVLDB 12(12), 2019). Only the
//! counts are kept. They add and subtract exactly, so that any order and grouping gives the same sketch and a
//! sliding window keeps one running value; the smallest and the largest number are told within the same error, since
//! no exact one could be taken out again (name [`super::min()`] and [`super::max()`] beside it where they must be exact).
//!
//! | error | buckets per doubling | a sketch of numbers from 1 ms to 10 s | the largest one possible |
//! |---|---|---|---|
//! | 0.5 % | 75 | 16 kB | 300 kB |
//! | 1 % (default) | 37.5 | 8 kB | 150 kB |
//! | 2 % | 18.75 | 4 kB | 75 kB |
//!
//! Only buckets that hold something take room: 16 bytes in memory, 1 to 3 stored. Their number is bounded by the
//! scale, which never collapses: magnitudes below 2^-64 (5e-20) count as 0, and those of 2^64 (1.8e19) and beyond
//! share a bucket that stands for 2^64; [`Quantiles::beyond_scale`] says how many they are. What is not finite is
//! counted apart and is in no quantile.
//!
//! The crate `sketches-ddsketch` is not used: its buckets collapse beyond a set number, which nothing can undo, its
//! keys come from the C library's logarithm, it adds up floats, and it cannot be written compactly.
//!
//! ```text
//! stored   nothing   the empty sketch
//!          ┌───┬─────────────────────┬────────────┬─────────────────────────────────────────┐
//!          │ 2 │ error in thousandths│ not finite │ (2 (key - previous) + many, count) …    │   varints (LEB128)
//!          └───┴─────────────────────┴────────────┴─────────────────────────────────────────┘
//! ```
//! The first key counts from the smallest possible. `many` is 0 where one number is in the bucket, as in most buckets of
//! short windows, and no count follows it. Form 1 is taken.
//!
//! Not here: which number is in which bucket. Invariant: keys ascend, no bucket is empty; so equal multisets of keys
//! have equal bytes.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::log_scale::LogScale;
use super::{Exactness, Fold, Mergeable, sketch_bytes};
use crate::varint::{push_varint, take_varint};

/// How many numbers came and about how large they were. `ERROR` is the relative error of each answer in thousandths,
/// from 1 to 100.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quantiles<const ERROR: u16 = 10> {
    /// Key and count, by key.
    buckets: Vec<(i32, u64)>,
    not_finite: u64,
}

const FORM: u64 = 2;

impl<const ERROR: u16> Quantiles<ERROR> {
    const SCALE: LogScale = {
        assert!(1 <= ERROR && ERROR <= 100, "the error of quantiles must be from 1 to 100 thousandths");
        LogScale::new(ERROR)
    };

    /// The bound of each answer's relative error: no quantile is further from the true one, but for numbers that the
    /// scale does not tell apart.
    pub const fn relative_error() -> f64 {
        ERROR as f64 / 1000.0
    }

    /// Counts one number.
    pub fn add(&mut self, value: f64) {
        match Self::SCALE.key(value) {
            Some(key) => match self.place(key) {
                Ok(place) => self.buckets[place].1 = self.buckets[place].1.wrapping_add(1),
                Err(place) => self.buckets.insert(place, (key, 1)),
            },
            None => self.not_finite = self.not_finite.wrapping_add(1),
        }
    }

    /// How many numbers there are, without those that are not finite.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, (_, count)| sum.wrapping_add(*count))
    }

    /// The number below which the share `q` of all numbers lies, from 0 (the smallest) to 1 (the largest): the one
    /// of rank `floor(q (count - 1))`, counted from 0 in ascending order. `None` of nothing, and for a `q` outside.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let last = self.count().checked_sub(1)?;
        if !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = ((q * last as f64) as u64).min(last);
        let mut upto = 0_u64;
        let (key, _) = self.buckets.iter().find(|(_, count)| {
            upto = upto.wrapping_add(*count);
            upto > rank
        })?;
        Some(Self::SCALE.value(*key))
    }

    /// The median.
    pub fn p50(&self) -> Option<f64> {
        self.quantile(0.5)
    }

    /// The number that one in twenty exceeds.
    pub fn p95(&self) -> Option<f64> {
        self.quantile(0.95)
    }

    /// The number that one in a hundred exceeds.
    pub fn p99(&self) -> Option<f64> {
        self.quantile(0.99)
    }

    /// The smallest number, within the error.
    pub fn min(&self) -> Option<f64> {
        self.buckets.first().map(|(key, _)| Self::SCALE.value(*key))
    }

    /// The largest number, within the error.
    pub fn max(&self) -> Option<f64> {
        self.buckets.last().map(|(key, _)| Self::SCALE.value(*key))
    }

    /// What is in the sketch: ascending numbers that stand for a bucket each, and how many are in it. Sketches of one
    /// error have the same buckets, so that two of them can be compared bucket by bucket.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.buckets.iter().map(|(key, count)| (Self::SCALE.value(*key), *count))
    }

    /// How many numbers were NaN or infinite. They are in no other answer.
    pub fn not_finite(&self) -> u64 {
        self.not_finite
    }

    /// How many numbers had a magnitude of 2^64 or more, all of which are told as 2^64.
    pub fn beyond_scale(&self) -> u64 {
        let beyond = |(key, _): &&(i32, u64)| key.abs() == Self::SCALE.beyond();
        self.buckets.iter().filter(beyond).map(|(_, count)| count).sum()
    }

    /// Where the bucket of a key is, or would be. Keys ascend by one at least, so a bucket is no further from the first one,
    /// and from the last one, than its key: where buckets stand close together there is little to search.
    fn place(&self, key: i32) -> Result<usize, usize> {
        let (Some((first, _)), Some((last, _))) = (self.buckets.first(), self.buckets.last()) else { return Err(0) };
        if key < *first {
            return Err(0);
        }
        if key > *last {
            return Err(self.buckets.len());
        }
        let most = key.abs_diff(*first) as usize;
        let least = (self.buckets.len() - 1).saturating_sub(last.abs_diff(key) as usize);
        let within = &self.buckets[least..self.buckets.len().min(most + 1)];
        let place = within.binary_search_by_key(&key, |(key, _)| *key);
        place.map(|place| least + place).map_err(|place| least + place)
    }

    fn to_bytes(&self) -> Vec<u8> {
        if *self == Self::default() {
            return Vec::new();
        }
        let mut bytes = Vec::with_capacity(8 + 2 * self.buckets.len());
        for header in [FORM, u64::from(ERROR), self.not_finite] {
            push_varint(&mut bytes, header);
        }
        let mut previous = -Self::SCALE.beyond();
        for (key, count) in &self.buckets {
            let is_many = *count > 1;
            push_varint(&mut bytes, u64::from(key.abs_diff(previous)) << 1 | u64::from(is_many));
            if is_many {
                push_varint(&mut bytes, *count);
            }
            previous = *key;
        }
        bytes
    }

    fn from_bytes(mut bytes: &[u8]) -> Result<Self, String> {
        let mut sketch = Self::default();
        if bytes.is_empty() {
            return Ok(sketch);
        }
        let form = number(&mut bytes)?;
        if form != FORM {
            return Err(format!("quantiles are damaged: they have the unknown form {form}"));
        }
        let error = number(&mut bytes)?;
        if error != u64::from(ERROR) {
            return Err(format!(
                "stored quantiles have an error of {error} thousandths, this topology wants {ERROR}: keep the old one or reprocess"
            ));
        }
        sketch.not_finite = number(&mut bytes)?;
        let mut key = i64::from(-Self::SCALE.beyond());
        while !bytes.is_empty() {
            let step = number(&mut bytes)?;
            let is_many = step & 1 == 1;
            let (step, count) = (step >> 1, if is_many { number(&mut bytes)? } else { 1 });
            key = i64::try_from(step).ok().and_then(|step| key.checked_add(step)).unwrap_or(i64::MAX);
            let is_above = step > 0 || sketch.buckets.is_empty();
            if !is_above || is_many && count < 2 || key > i64::from(Self::SCALE.beyond()) {
                return Err("quantiles are damaged: their buckets are out of order".to_owned());
            }
            sketch.buckets.push((key as i32, count));
        }
        Ok(sketch)
    }
}

fn number(bytes: &mut &[u8]) -> Result<u64, &'static str> {
    take_varint(bytes).ok_or("quantiles are damaged: a number is cut")
}

impl<const ERROR: u16> Serialize for Quantiles<ERROR> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        sketch_bytes::serialize(&self.to_bytes(), serializer)
    }
}

impl<'de, const ERROR: u16> Deserialize<'de> for Quantiles<ERROR> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        sketch_bytes::deserialize(deserializer, Self::from_bytes)
    }
}

impl<const ERROR: u16> Mergeable for Quantiles<ERROR> {
    const EXACTNESS: Exactness = Exactness::Exact;
    const REMOVE: Option<fn(&mut Self, &Self)> = Some(|sketch, gone| {
        for (key, count) in &gone.buckets {
            if let Ok(place) = sketch.place(*key) {
                sketch.buckets[place].1 = sketch.buckets[place].1.wrapping_sub(*count);
            }
        }
        sketch.buckets.retain(|(_, count)| *count > 0);
        sketch.not_finite = sketch.not_finite.wrapping_sub(gone.not_finite);
    });

    fn merge(&mut self, other: &Self) {
        let mut new = Vec::new();
        for (key, count) in &other.buckets {
            match self.place(*key) {
                Ok(place) => self.buckets[place].1 = self.buckets[place].1.wrapping_add(*count),
                Err(_) => new.push((*key, *count)),
            }
        }
        if !new.is_empty() {
            // Two ascending runs, which a stable sort merges in one go.
            self.buckets.append(&mut new);
            self.buckets.sort_by_key(|(key, _)| *key);
        }
        self.not_finite = self.not_finite.wrapping_add(other.not_finite);
    }

    fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<(i32, u64)>()
    }
}

/// The recipe of [`quantiles`].
#[derive(Debug, Clone, Copy)]
pub struct QuantilesFold<F, const ERROR: u16 = 10>(F);

/// Quantiles of what `of` takes from each event, each within 1 % of the true one: `quantiles(|e| f64::from(e.ms))`.
pub fn quantiles<E, F: Fn(&E) -> f64>(of: F) -> QuantilesFold<F> {
    QuantilesFold(of)
}

impl<F, const ERROR: u16> QuantilesFold<F, ERROR> {
    /// The same within `N` thousandths, from 1 to 100: `quantiles(..).error_per_mille::<5>()` is within 0.5 %.
    pub fn error_per_mille<const N: u16>(self) -> QuantilesFold<F, N> {
        QuantilesFold(self.0)
    }
}

impl<E, F, const ERROR: u16> Fold<E> for QuantilesFold<F, ERROR>
where
    F: Fn(&E) -> f64 + Clone + Send + 'static,
{
    type State = Quantiles<ERROR>;

    fn add(&self, state: &mut Quantiles<ERROR>, event: &E) {
        state.add((self.0)(event));
    }
}

#[cfg(test)]
mod tests;
