//! Amounts of money, exactly as they are written.
//!
//! Not here: in which currency. Invariant: no float has part in it: the digits become a whole number of 10^-12 units,
//! pico-dollars where the currency is the dollar, by whole numbers alone.
//!
//! An amount may be below zero: refunds and credits are. What is finer than 10^-12 is refused in text, where somebody
//! chose the digits. A JSON number is a binary float at most senders (RFC 8259, section 6), and the last digits of
//! `0.30000000000000004` come from adding 0.1 and 0.2: a number is rounded to 10^-12, half to even.

use std::borrow::Cow;

use crate::field::{Field, Kind, Scalar};

/// How many places behind the point are kept.
const PLACES: i64 = 12;

/// The longest amount, in bytes as it is written.
const TEXT_MAX: usize = 64;

const NO_AMOUNT: &str = "a string that is not a decimal number";
const TOO_LONG: &str = "an amount of more than 64 characters";
const TOO_LARGE: &str = "an amount of more than 38 digits in units of 10^-12";
const TOO_FINE: &str = "an amount with more than 12 decimal places";

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount<'a> {
    digits: Cow<'a, str>,
    pico: i128,
}

impl Amount<'_> {
    /// As it is written, but for a JSON number of more than 64 characters: a decimal number, which may have a sign, a
    /// point and an exponent.
    pub fn as_str(&self) -> &str {
        &self.digits
    }

    /// In units of 10^-12 of the currency's unit.
    pub fn pico(&self) -> i128 {
        self.pico
    }
}

impl<'de> Scalar<'de> for Amount<'de> {
    const KIND: Kind = Kind::Amount;

    fn from_borrowed(text: &'de str) -> Field<Self> {
        amount(Cow::Borrowed(text), Finer::Refused)
    }
    fn from_text(text: &str) -> Field<Self> {
        amount(Cow::Owned(text.to_owned()), Finer::Refused)
    }
    fn from_unsigned(number: u64) -> Field<Self> {
        amount(Cow::Owned(number.to_string()), Finer::Refused)
    }
    fn from_signed(number: i64) -> Field<Self> {
        amount(Cow::Owned(number.to_string()), Finer::Refused)
    }
    /// By the shortest digits that are this float and no other, which are those that the sender's float was written by.
    fn from_float(number: f64) -> Field<Self> {
        amount(Cow::Owned(format!("{number:?}")), Finer::Rounded)
    }
    fn from_decimal(digits: &'de str) -> Field<Self> {
        if digits.len() > TEXT_MAX {
            // A number may have as many digits as it likes; its value has not.
            let written = |pico| Amount { digits: Cow::Owned(format!("{pico}e-{PLACES}")), pico };
            return pico(digits, Finer::Rounded).map_or_else(Field::Wrong, |pico| Field::Given(written(pico)));
        }
        amount(Cow::Borrowed(digits), Finer::Rounded)
    }
}

/// What becomes of digits behind the last place that is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finer {
    Refused,
    Rounded,
}

fn amount(digits: Cow<'_, str>, finer: Finer) -> Field<Amount<'_>> {
    if digits.len() > TEXT_MAX {
        return Field::Wrong(TOO_LONG);
    }
    match pico(&digits, finer) {
        Ok(pico) => Field::Given(Amount { digits, pico }),
        Err(wrong) => Field::Wrong(wrong),
    }
}

/// The value of a decimal number in units of 10^-12.
fn pico(text: &str, finer: Finer) -> Result<i128, &'static str> {
    let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |unsigned| (true, unsigned));
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        None => (unsigned, 0),
        Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
    };
    let (before, behind) = match mantissa.split_once('.') {
        None => (mantissa, ""),
        Some((_, "")) => return Err(NO_AMOUNT),
        Some(parts) => parts,
    };
    if before.is_empty() || !before.bytes().chain(behind.bytes()).all(|c| c.is_ascii_digit()) {
        return Err(NO_AMOUNT);
    }

    // So many of the digits, read in a row, are wholes of 10^-12.
    let kept = i64::try_from(before.len()).map_err(|_| TOO_LONG)? + exponent + PLACES;
    let mut value = 0_i128;
    let mut rest = Rest::default();
    let mut at = 0;
    for digit in before.bytes().chain(behind.bytes()).map(|c| c - b'0') {
        if at < kept {
            value = value.checked_mul(10).and_then(|v| v.checked_add(i128::from(digit))).ok_or(TOO_LARGE)?;
        } else {
            rest.add(digit, at == kept);
        }
        at += 1;
    }
    while at < kept && value != 0 {
        value = value.checked_mul(10).ok_or(TOO_LARGE)?;
        at += 1;
    }
    if rest != Rest::default() && finer == Finer::Refused {
        return Err(TOO_FINE);
    }
    if rest.rounds_up(value) {
        value = value.checked_add(1).ok_or(TOO_LARGE)?;
    }
    Ok(if negative { -value } else { value })
}

fn read_exponent(text: &str) -> Result<i64, &'static str> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned.is_empty() || !unsigned.bytes().all(|c| c.is_ascii_digit()) {
        return Err(NO_AMOUNT);
    }
    // One of more digits than that moves every digit out of range all the same.
    let size = unsigned.parse::<i64>().unwrap_or(i64::MAX).min(1_000_000);
    Ok(if text.starts_with('-') { -size } else { size })
}

/// What stands behind the last digit that is kept.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Rest {
    /// The first digit of it.
    first: u8,
    /// Whether another is not zero.
    more: bool,
}

impl Rest {
    fn add(&mut self, digit: u8, first: bool) {
        if first {
            self.first = digit;
        } else {
            self.more |= digit != 0;
        }
    }

    /// Half goes to the even neighbour.
    fn rounds_up(self, value: i128) -> bool {
        self.first > 5 || (self.first == 5 && (self.more || value % 2 != 0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::token::Token;

    fn number(digits: &str) -> Result<i128, &'static str> {
        told(Field::of(Token::Decimal(digits)))
    }

    fn text(digits: &str) -> Result<i128, &'static str> {
        told(Field::of(Token::Borrowed(digits)))
    }

    fn told(field: Field<Amount<'_>>) -> Result<i128, &'static str> {
        match field {
            Field::Given(amount) => Ok(amount.pico()),
            Field::Wrong(wrong) => Err(wrong),
            Field::Absent | Field::WrongItem { .. } => Err("absent"),
        }
    }

    #[test]
    fn amounts_are_what_is_written() {
        for (digits, pico) in [
            ("0", 0),
            ("-0", 0),
            ("1", 1_000_000_000_000),
            ("0.0021", 2_100_000_000),
            ("-0.0021", -2_100_000_000),
            ("0.000000000001", 1),
            ("0.0000000000010000", 1),
            ("1.5e-6", 1_500_000),
            ("1.5E-06", 1_500_000),
            ("15e-7", 1_500_000),
            ("1.5e+3", 1_500_000_000_000_000),
            ("0e-8", 0),
            ("0e999999999999999999999", 0),
            ("0.0e-999999999999999999999", 0),
            ("1000e-15", 1),
            ("007.50", 7_500_000_000_000),
            ("170141183460469231731687303.715884105727", i128::MAX),
            ("-170141183460469231731687303.715884105727", -i128::MAX),
        ] {
            assert_eq!(text(digits), Ok(pico), "{digits}");
            assert_eq!(number(digits), Ok(pico), "{digits}");
        }
        assert_eq!(told(Field::of(Token::Unsigned(3))), Ok(3_000_000_000_000));
        assert_eq!(told(Field::of(Token::Signed(-3))), Ok(-3_000_000_000_000));
        assert_eq!(told(Field::of(Token::Copied("0.1".to_owned()))), Ok(100_000_000_000));
        assert_eq!(told(Field::of(Token::Float(0.1))), Ok(100_000_000_000));
    }

    #[test]
    fn what_is_written_is_kept() {
        for token in [Token::Decimal("1.50E-6"), Token::Borrowed("1.50E-6")] {
            let Field::Given(amount) = Field::<Amount<'_>>::of(token) else { panic!("no amount") };
            assert_eq!(amount.as_str(), "1.50E-6");
            assert!(matches!(amount.digits, Cow::Borrowed(_)), "copied where it could be borrowed");
        }
    }

    #[test]
    fn text_is_exact_or_refused_and_numbers_are_rounded_half_to_even() {
        for (digits, pico) in [
            ("0.30000000000000004", 300_000_000_000),
            ("0.00012179999999999999", 121_800_000),
            ("0.0000000000005", 0),
            ("0.0000000000015", 2),
            ("0.0000000000025", 2),
            ("0.00000000000250000000001", 3),
            ("-0.0000000000015", -2),
            ("5e-13", 0),
            ("6e-13", 1),
            ("1e-14", 0),
            ("1e-999999999999999999999", 0),
        ] {
            assert_eq!(text(digits), Err(TOO_FINE), "{digits}");
            assert_eq!(number(digits), Ok(pico), "{digits}");
        }
        assert_eq!(told(Field::of(Token::Float(0.1 + 0.2))), Ok(300_000_000_000));
    }

    #[test]
    fn what_is_no_amount_says_why() {
        for (digits, wrong) in [
            ("", NO_AMOUNT),
            ("-", NO_AMOUNT),
            ("+1", NO_AMOUNT),
            (".5", NO_AMOUNT),
            ("5.", NO_AMOUNT),
            ("1.2.3", NO_AMOUNT),
            ("1e", NO_AMOUNT),
            ("1e-", NO_AMOUNT),
            ("1e1.5", NO_AMOUNT),
            ("1e5e5", NO_AMOUNT),
            ("--1", NO_AMOUNT),
            ("1_000", NO_AMOUNT),
            ("1,50", NO_AMOUNT),
            ("$1.50", NO_AMOUNT),
            ("1.50 USD", NO_AMOUNT),
            ("nan", NO_AMOUNT),
            ("170141183460469231731687303.715884105728", TOO_LARGE),
            ("1e27", TOO_LARGE),
            ("1e999999999999999999999", TOO_LARGE),
        ] {
            assert_eq!(text(digits), Err(wrong), "{digits}");
        }
        let long = format!("0.{}", "3".repeat(70));
        assert_eq!(text(&long), Err(TOO_LONG));
        assert_eq!(number(&long), Ok(333_333_333_333));
        for token in [Token::Flag(true), Token::Array, Token::Object, Token::Float(f64::INFINITY)] {
            assert!(matches!(Field::<Amount<'_>>::of(token), Field::Wrong(_)));
        }
    }

    proptest! {
        /// However the point and the exponent share the work.
        #[test]
        fn an_amount_is_the_same_in_every_form(pico in -10_i128.pow(18)..10_i128.pow(18), zeros in 0_usize..20) {
            let sign = if pico < 0 { "-" } else { "" };
            let size = pico.unsigned_abs();
            let point = format!("{sign}{}.{:012}", size / 1_000_000_000_000, size % 1_000_000_000_000);
            prop_assert_eq!(text(&point), Ok(pico));
            prop_assert_eq!(number(&point), Ok(pico));
            prop_assert_eq!(text(&format!("{pico}e-12")), Ok(pico));
            let shifted = format!("{sign}0.{size:019}e{}", 19 - 12);
            prop_assert_eq!(text(&shifted), Ok(pico));
            // Trailing zeros and the exponent undo each other.
            prop_assert_eq!(text(&format!("{pico}{}e-{}", "0".repeat(zeros), 12 + zeros)), Ok(pico));
        }

        #[test]
        fn a_number_is_rounded_to_the_nearest(wide in 0_u64.., places in 13_u32..19) {
            let value = number(&format!("{wide}e-{places}")).unwrap();
            let unit = 10_i128.pow(places - 12);
            let off = (value * unit - i128::from(wide)).abs();
            prop_assert!(off * 2 <= unit);
            prop_assert!(off * 2 != unit || value % 2 == 0);
        }

        #[test]
        fn what_is_exact_as_text_is_the_same_as_a_number(digits in "[-+0-9.eE]{0,70}") {
            let as_number = number(&digits);
            if let Ok(pico) = text(&digits) {
                prop_assert_eq!(as_number, Ok(pico));
            }
        }
    }
}
