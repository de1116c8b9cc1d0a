//! Decimal numbers as scaled integers: how fractions enter sums and how means leave them.
//!
//! Not here: the sums themselves. Invariant: every rounding is to the nearest, ties to the even
//! neighbour, so that rounding has no drift in either direction.

use std::fmt;

/// The most decimals a [`Decimal`] or [`scaled`] takes: more than any 64-bit float holds.
pub(super) const DECIMALS_MAX: u8 = 18;

/// The number `units / 10^decimals`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    /// The number times `10^decimals`.
    pub units: i128,
    /// How many digits stand behind the point.
    pub decimals: u8,
}

impl Decimal {
    /// `dividend / divisor`, rounded half-even to `decimals` digits (18 at most); `None` where the
    /// divisor is 0 or the way to the units leaves 128 bits.
    pub(super) fn quotient(dividend: i128, divisor: i128, decimals: u8) -> Option<Self> {
        let decimals = decimals.min(DECIMALS_MAX);
        let (dividend, divisor) =
            if divisor < 0 { (dividend.checked_neg()?, divisor.checked_neg()?) } else { (dividend, divisor) };
        let mut units = dividend.checked_div_euclid(divisor)?;
        let mut rest = dividend.checked_rem_euclid(divisor)?;
        for _ in 0..decimals {
            rest = rest.checked_mul(10)?;
            units = units.checked_mul(10)?.checked_add(rest / divisor)?;
            rest %= divisor;
        }
        // The rest is not negative, so rounding only ever goes up, towards plus infinity.
        let up = match rest.cmp(&(divisor - rest)) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => units % 2 != 0,
            std::cmp::Ordering::Greater => true,
        };
        Some(Self { units: units.checked_add(i128::from(up))?, decimals })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = usize::from(self.decimals);
        let digits = format!("{:0width$}", self.units.unsigned_abs(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        let text = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
        f.pad_integral(self.units >= 0, "", &text)
    }
}

/// A float of the outside world as an integer in units of `10^-decimals` (18 at most), rounded
/// half-even; `None` for what is not finite or does not fit in 64 bits. Sums of the result are exact,
/// sums of floats are not.
pub fn scaled(value: f64, decimals: u8) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2^63, the first value beyond i64
    let units = (value * 10f64.powi(i32::from(decimals.min(DECIMALS_MAX)))).round_ties_even();
    (-LIMIT..LIMIT).contains(&units).then_some(units as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rounds_half_to_even() {
        let cases = [
            (5, 2, 0, "2"),
            (7, 2, 0, "4"),
            (-5, 2, 0, "-2"),
            (-7, 2, 0, "-4"),
            (1, 3, 4, "0.3333"),
            (-1, 3, 4, "-0.3333"),
            (2, 3, 2, "0.67"),
            (25, 1000, 2, "0.02"),
            (35, 1000, 2, "0.04"),
            (-1, 1000, 2, "0.00"),
            (1, -4, 1, "-0.2"),
            (-3, -4, 1, "0.8"),
        ];
        for (dividend, divisor, decimals, text) in cases {
            let quotient = Decimal::quotient(dividend, divisor, decimals).unwrap();
            assert_eq!(quotient.to_string(), text, "{dividend}/{divisor}");
        }
        assert_eq!(Decimal::quotient(1, 0, 2), None);
        assert_eq!(Decimal::quotient(i128::MAX, 1, 2), None);
        assert_eq!(Decimal::quotient(i128::MIN, i128::from(u64::MAX), 0).map(|d| d.units), Some(-(1 << 63) - 1));
    }

    #[test]
    fn floats_are_scaled_or_refused() {
        assert_eq!(scaled(0.1 + 0.2, 6), Some(300_000));
        assert_eq!(scaled(0.125, 2), Some(12));
        assert_eq!(scaled(-1.0, 0), Some(-1));
        for outside in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e19, -1e19] {
            assert_eq!(scaled(outside, 0), None);
        }
    }

    proptest! {
        #[test]
        fn is_the_nearest(dividend in -1_000_000i64..1_000_000, divisor in 1u64..5_000, decimals in 0u8..6) {
            let units = Decimal::quotient(i128::from(dividend), i128::from(divisor), decimals).unwrap().units;
            // |units / 10^d - dividend / divisor| <= 1 / (2 * 10^d), multiplied out.
            let exact = i128::from(dividend) * 10i128.pow(u32::from(decimals));
            let off = 2 * (units * i128::from(divisor) - exact).abs();
            prop_assert!(off <= i128::from(divisor));
            prop_assert!(off < i128::from(divisor) || units % 2 == 0);
        }
    }
}
