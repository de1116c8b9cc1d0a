//! From a number to its bucket and back: buckets whose width grows with what is in them.
//!
//! The logarithmic buckets of DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with
//! relative-error guarantees", PVLDB 12(12), 2019), with the base-2 logarithm interpolated by a parabola between the
//! powers of two, as the `QuadraticallyInterpolatedMapping` of Datadog's sketches does it. It needs a twelfth more
//! buckets than a true logarithm and nothing but operations that IEEE 754 rounds in one way, so that a number is in
//! the same bucket on every machine; `ln` is another function in each C library.
//!
//! ```text
//!   magnitude v = 2^e (1 + f), 0 <= f < 1      log(v) = e + f (4 - f) / 3
//!   bucket      floor(m log(v))                m = 375 / error in thousandths
//!
//!   key   … -2    -1    0    1    2   …          ascending as the numbers are
//!       … [    )[    ) ~0 [    )[    ) …
//! ```
//!
//! The slope of `log` over the natural logarithm is 4/3 at least, so the edges of a bucket are apart by a factor of
//! `exp(3 / 4m) = exp(2 error)` at most, and the harmonic mean of the edges is within `tanh(error) < error` of
//! whatever lies between them.
//!
//! Not here: what is counted in a bucket ([`super::quantiles()`]). Invariant: a larger number never has a smaller key.

/// How many doublings from 1 in each direction are told apart: 2^64 nanoseconds are 585 years.
const DOUBLINGS: i32 = 64;

/// The buckets for one relative error, in thousandths.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogScale {
    per_doubling: f64,
    /// The bucket that begins at 2^-64, before those are numbered by keys.
    first: i32,
    /// The key of the last bucket that ends at 2^64 or before.
    last: i32,
}

impl LogScale {
    pub(super) const fn new(error_per_mille: u16) -> Self {
        let error = error_per_mille as i32;
        let buckets = (DOUBLINGS * 375).div_euclid(error) + ((DOUBLINGS * 375).rem_euclid(error) != 0) as i32;
        Self { per_doubling: 375.0 / error as f64, first: -buckets, last: 2 * buckets }
    }

    /// The largest key: the bucket of all numbers of 2^64 and beyond. The smallest is its negative.
    pub(super) const fn beyond(self) -> i32 {
        self.last + 1
    }

    /// The key of a number; `None` for one that is not finite.
    pub(super) fn key(self, value: f64) -> Option<i32> {
        if !value.is_finite() {
            return None;
        }
        let magnitude = value.abs();
        let key = if magnitude < power_of_two(-DOUBLINGS) {
            0
        } else if magnitude >= power_of_two(DOUBLINGS) {
            self.beyond()
        } else {
            let bits = magnitude.to_bits();
            let exponent = (bits >> 52) as i32 - 1023;
            let fraction = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52) - 1.0;
            let log = f64::from(exponent) + fraction * (4.0 - fraction) / 3.0;
            ((log * self.per_doubling).floor() as i32 - self.first + 1).min(self.last)
        };
        Some(if value < 0.0 { -key } else { key })
    }

    /// The number that stands for all of a bucket.
    pub(super) fn value(self, key: i32) -> f64 {
        let magnitude = match key.abs() {
            0 => 0.0,
            beyond if beyond > self.last => power_of_two(DOUBLINGS),
            key => {
                let bucket = key - 1 + self.first;
                let (from, to) = (self.edge(bucket), self.edge(bucket + 1));
                2.0 * from * to / (from + to)
            }
        };
        if key < 0 { -magnitude } else { magnitude }
    }

    /// Where a bucket begins: the parabola solved for the number.
    fn edge(self, bucket: i32) -> f64 {
        let log = f64::from(bucket) / self.per_doubling;
        let exponent = log.floor();
        power_of_two(exponent as i32) * (3.0 - (4.0 - 3.0 * (log - exponent)).sqrt())
    }
}

/// 2 to this power, which must be that of a normal number.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_least_and_the_largest_have_keys_of_their_own() {
        for error in [1, 7, 10, 33, 100] {
            let scale = LogScale::new(error);
            let (low, high) = (power_of_two(-DOUBLINGS), power_of_two(DOUBLINGS));
            let below = |value: f64| f64::from_bits(value.to_bits() - 1);
            for (value, key) in [
                (0.0, 0),
                (-0.0, 0),
                (f64::MIN_POSITIVE, 0),
                (below(low), 0),
                (high, scale.beyond()),
                (f64::MAX, scale.beyond()),
                (-f64::MAX, -scale.beyond()),
            ] {
                assert_eq!(scale.key(value), Some(key), "{value}");
            }
            assert!(scale.key(low) >= Some(1));
            assert!(scale.key(below(high)) <= Some(scale.last));
            assert_eq!((scale.value(0), scale.value(scale.beyond())), (0.0, high));
            for no_number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                assert_eq!(scale.key(no_number), None);
            }
        }
    }

    #[test]
    fn the_buckets_never_change() {
        // What is stored are keys: these stand for ever.
        let scale = LogScale::new(10);
        let keys = [1e-9, 0.001, 0.5, 1.0, 1.5, 42.0, 1e3, 1e9].map(|value| scale.key(value).unwrap());
        assert_eq!(keys, [1279, 2027, 2363, 2401, 2422, 2602, 2774, 3522]);
        assert_eq!(scale.beyond(), 4801);
    }

    proptest! {
        #[test]
        fn a_bucket_stands_for_its_numbers_within_the_error(
            exponent in -64.0..64.0f64, up in 1.0..1.5f64, error in 1u16..=100,
        ) {
            let scale = LogScale::new(error);
            let value = exponent.exp2();
            let (key, above) = (scale.key(value).unwrap(), scale.key(value * up).unwrap());
            let off = (scale.value(key) - value).abs() / value;
            prop_assert!(off <= f64::from(error) / 1000.0, "{value} is told as {}, off by {off}", scale.value(key));
            prop_assert!(key <= above);
            prop_assert_eq!(scale.key(-value), Some(-key));
            prop_assert_eq!(scale.value(-key), -scale.value(key));
        }
    }
}
