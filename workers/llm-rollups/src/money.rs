//! Amounts of money: whole billionths of a currency, and decimal text.
//!
//! Not here: prices ([`crate::card`]) and what a call costs ([`crate::pricing`]). Invariant: no float comes near an amount.
//! What is finer than a billionth is rounded once, to the nearest, ties to the even neighbour, where an amount comes about;
//! sums are exact from there on, in any order. Amounts of two currencies are never added.

use std::fmt;

use compact_str::CompactString;
use processing_core::aggregate::{Exactness, Mergeable};
use serde::{Deserialize, Serialize};

/// Pico-units of a currency in one of its nano-units.
const PICOS: i128 = 1_000;
/// Digits behind the point that an amount keeps.
const DIGITS: usize = 9;
/// Digits that an amount or a price may have: more is no money.
const DIGITS_MAX: usize = 30;
/// Amounts of at most so many currencies stand side by side in one place; see [`Money`].
const CURRENCIES_MAX: usize = 8;

/// An amount in billionths of its currency's unit (nano-dollars).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Nanos(pub i128);

impl Nanos {
    /// An exact sum of pico-units, rounded half-even: the one rounding of an amount.
    pub fn of_picos(picos: i128) -> Self {
        Self(half_even(picos, PICOS))
    }

    /// An amount as somebody wrote it: `0.0123`, `-1.5e-3`. `None` for what is no decimal number or has more than 30 digits.
    pub fn of_text(text: &str) -> Option<Self> {
        let (digits, exponent) = decimal(text)?;
        // digits * 10^exponent units = digits * 10^(exponent + 9) billionths.
        let shift = exponent.checked_add(DIGITS as i32)?;
        match shift {
            0.. => digits.checked_mul(10_i128.checked_pow(shift.unsigned_abs())?).map(Self),
            _ => match 10_i128.checked_pow(shift.unsigned_abs()) {
                Some(divisor) => Some(Self(half_even(digits, divisor))),
                // Fewer than 39 digits over more than 10^38.
                None => Some(Self(0)),
            },
        }
    }
}

impl fmt::Display for Nanos {
    /// Exact, with nine digits behind the point.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0width$}", self.0.unsigned_abs(), width = DIGITS + 1);
        let (whole, fraction) = digits.split_at(digits.len() - DIGITS);
        write!(f, "{}{whole}.{fraction}", if self.0 < 0 { "-" } else { "" })
    }
}

/// `dividend / divisor` to the nearest whole number, ties to the even one; `divisor` is above 0.
pub(crate) fn half_even(dividend: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (dividend.div_euclid(divisor), dividend.rem_euclid(divisor));
    let goes_up = match rest.cmp(&(divisor - rest)) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => quotient % 2 != 0,
        std::cmp::Ordering::Greater => true,
    };
    quotient + i128::from(goes_up)
}

/// Reads a decimal number as whole digits and the power of ten that they are to be multiplied by. `None` for what is
/// none, has more than 30 digits, or an exponent beyond three digits.
pub fn decimal(text: &str) -> Option<(i128, i32)> {
    let text = text.trim();
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        None => (text, 0),
        Some((mantissa, exponent)) => {
            let plain = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            let is_short = (1..=3).contains(&plain.len()) && plain.bytes().all(|c| c.is_ascii_digit());
            (mantissa, exponent.parse::<i32>().ok().filter(|_| is_short)?)
        }
    };
    let (negative, plain) = match mantissa.strip_prefix('-') {
        Some(plain) => (true, plain),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let digits = whole.bytes().chain(fraction.bytes());
    let count = whole.len() + fraction.len();
    if count == 0 || count > DIGITS_MAX || !digits.clone().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let number = digits.fold(0_i128, |number, digit| number * 10 + i128::from(digit - b'0'));
    Some((if negative { -number } else { number }, exponent - fraction.len() as i32))
}

/// A currency: three letters of ISO 4217, in capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The currency of what names none.
    pub const USD: Self = Self(*b"USD");

    /// Three letters, in any case.
    pub fn of(text: &str) -> Option<Self> {
        let letters: [u8; 3] = text.trim().as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_alphabetic).then(|| Self(letters.map(|letter| letter.to_ascii_uppercase())))
    }

    /// The letters.
    pub fn text(self) -> CompactString {
        self.0.iter().map(|letter| char::from(*letter)).collect()
    }
}

/// Amounts in several currencies, each for itself.
///
/// Of more than eight currencies the first eight of the alphabet stand, and how many calls were paid in others is
/// counted. Which these are does not hang on the order in which they came: one that is among the first eight of all was
/// among the first eight of every part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// In the order of currencies: the sum and of how many. Nearly always one, for which a list takes a tenth of a map.
    amounts: Vec<(Currency, i128, u64)>,
    /// How many amounts are in none of these.
    elsewhere: u64,
}

impl Money {
    /// Adds an amount.
    pub fn add(&mut self, currency: Currency, amount: Nanos) {
        self.put(currency, amount.0, 1);
    }

    /// The sum in a currency; 0 where nothing was paid in it.
    pub fn get(&self, currency: Currency) -> Nanos {
        Nanos(self.place(currency).map_or(0, |place| self.amounts[place].1))
    }

    /// The sums by currency, and of how many amounts each is.
    pub fn amounts(&self) -> impl Iterator<Item = (Currency, Nanos, u64)> + '_ {
        self.amounts.iter().map(|(currency, sum, count)| (*currency, Nanos(*sum), *count))
    }

    /// How many amounts are in currencies beyond the eight that stand.
    pub fn elsewhere(&self) -> u64 {
        self.elsewhere
    }

    fn place(&self, currency: Currency) -> Result<usize, usize> {
        self.amounts.binary_search_by_key(&currency, |(known, ..)| *known)
    }

    fn put(&mut self, currency: Currency, sum: i128, count: u64) {
        match self.place(currency) {
            Ok(place) => {
                let (_, known, times) = &mut self.amounts[place];
                // Modulo 2^128, as the library's sums: no order of additions shows.
                (*known, *times) = (known.wrapping_add(sum), times.wrapping_add(count));
            }
            Err(place) => {
                if self.amounts.capacity() == 0 {
                    self.amounts.reserve_exact(1);
                }
                self.amounts.insert(place, (currency, sum, count));
            }
        }
        if self.amounts.len() > CURRENCIES_MAX
            && let Some((.., count)) = self.amounts.pop()
        {
            self.elsewhere = self.elsewhere.wrapping_add(count);
        }
    }
}

impl Mergeable for Money {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        for (currency, sum, count) in &other.amounts {
            self.put(*currency, *sum, *count);
        }
        self.elsewhere = self.elsewhere.wrapping_add(other.elsewhere);
    }

    fn heap_bytes(&self) -> usize {
        self.amounts.capacity() * size_of::<(Currency, i128, u64)>()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_exactly_and_rounded_once() {
        for (text, shown) in [
            ("0", "0.000000000"),
            ("1.5", "1.500000000"),
            (" 0.000000001 ", "0.000000001"),
            ("-1.25e-3", "-0.001250000"),
            ("+2E2", "200.000000000"),
            (".5", "0.500000000"),
            ("7.", "7.000000000"),
            // Ties go to the even neighbour, whichever side of 0.
            ("0.0000000005", "0.000000000"),
            ("0.0000000015", "0.000000002"),
            ("-0.0000000005", "0.000000000"),
            ("-0.0000000015", "-0.000000002"),
            ("0.00000000050000000001", "0.000000001"),
            ("1e-300", "0.000000000"),
        ] {
            assert_eq!(Nanos::of_text(text).unwrap().to_string(), shown, "{text}");
        }
        for none in ["", ".", "-", "1,5", "0x1", "1e", "1e+", "1e9999", "NaN", "1 2", "1e300", "--1", "1.2.3", "1e3.5"]
        {
            assert_eq!(Nanos::of_text(none), None, "{none}");
        }
        assert_eq!(Nanos::of_text(&"9".repeat(31)), None);
    }

    #[test]
    fn currencies_are_three_letters() {
        assert_eq!(Currency::of(" usd "), Some(Currency::USD));
        for none in ["", "US", "USDT", "U5D", "€€€"] {
            assert_eq!(Currency::of(none), None, "{none}");
        }
    }

    proptest! {
        /// The nearest billionth, by cross-multiplication and nothing else.
        #[test]
        fn text_is_rounded_to_the_nearest(digits in -999_999_999_999_i64..999_999_999_999, places in 0_u32..16) {
            let sign = if digits < 0 { "-" } else { "" };
            let plain = format!("{:0width$}", digits.unsigned_abs(), width = places as usize + 1);
            let (whole, fraction) = plain.split_at(plain.len() - places as usize);
            let Nanos(nanos) = Nanos::of_text(&format!("{sign}{whole}.{fraction}")).unwrap();
            // |nanos / 10^9 - digits / 10^places| <= 1/2 / 10^9
            let off = (nanos * 10_i128.pow(places) - i128::from(digits) * 10_i128.pow(9)).abs() * 2;
            let unit = 10_i128.pow(places);
            prop_assert!(off < unit || (off == unit && nanos % 2 == 0), "{nanos}");
        }

        /// However many currencies come and in whichever groups: the same ones stand, with the same sums.
        #[test]
        fn the_order_of_currencies_does_not_show(
            paid in prop::collection::vec((0_u8..14, any::<i32>()), 0..60), cuts in prop::collection::vec(0_usize..60, 0..5),
        ) {
            let currency = |n: u8| Currency([b'A' + n; 3]);
            let mut parts: Vec<Money> = vec![Money::default(); 6];
            for (place, (n, amount)) in paid.iter().enumerate() {
                let part = cuts.iter().filter(|cut| **cut <= place).count();
                parts[part].add(currency(*n), Nanos(i128::from(*amount)));
            }
            let mut merged = Money::default();
            parts.iter().rev().for_each(|part| merged.merge(part));
            let mut all: BTreeMap<u8, (i128, u64)> = BTreeMap::new();
            for (n, amount) in &paid {
                let entry = all.entry(*n).or_default();
                *entry = (entry.0 + i128::from(*amount), entry.1 + 1);
            }
            let first: Vec<_> = all.iter().take(8).map(|(n, (sum, count))| (currency(*n), Nanos(*sum), *count)).collect();
            prop_assert_eq!(merged.amounts().collect::<Vec<_>>(), first);
            prop_assert_eq!(merged.elsewhere(), all.values().skip(8).map(|(_, count)| count).sum::<u64>());
        }
    }
}
