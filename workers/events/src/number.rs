//! Numbers of an event: wholes, measures, durations, and true or false.
//!
//! Not here: money ([`crate::amount`]), counts of results ([`crate::text::Count`]), times ([`crate::timestamp`]).
//! Invariant: a number out of its type's range is a value of the wrong kind, never another number.

use crate::field::{Field, Kind, Listed, Scalar};

/// The longest text of a number; no number of these types needs more.
const TEXT_MAX: usize = 40;

/// The first whole number that [`Whole`] cannot hold, exactly.
const WHOLE_END: f64 = 9_223_372_036_854_775_808.0;

/// The longest duration: ten years, in milliseconds. A longer one is a time, or in another unit.
const MILLIS_MAX: i64 = 3_653 * 86_400_000;

const NOT_WHOLE: &str = "a number that is not whole or not from 0 to 9223372036854775807";
const NOT_WHOLE_TEXT: &str = "a string that is not a whole number";
const NOT_A_NUMBER: &str = "a string that is not a number";
const NO_DURATION: &str = "a duration below 0 or above ten years";

/// A whole number from 0 to 2^63 - 1, such as a number of tokens or bytes; `3.0` is one too, and so is `"3"`: JSON of
/// Protocol Buffers writes 64-bit integers as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Whole(pub u64);

impl<'de> Scalar<'de> for Whole {
    const KIND: Kind = Kind::Whole;

    fn from_text(text: &str) -> Field<Self> {
        if text.is_empty() || text.len() > TEXT_MAX || !text.bytes().all(|c| c.is_ascii_digit()) {
            return Field::Wrong(NOT_WHOLE_TEXT);
        }
        text.parse().map_or(Field::Wrong(NOT_WHOLE), Self::from_unsigned)
    }
    fn from_unsigned(number: u64) -> Field<Self> {
        if i64::try_from(number).is_ok() { Field::Given(Self(number)) } else { Field::Wrong(NOT_WHOLE) }
    }
    fn from_signed(number: i64) -> Field<Self> {
        u64::try_from(number).map_or(Field::Wrong(NOT_WHOLE), Self::from_unsigned)
    }
    fn from_float(number: f64) -> Field<Self> {
        if number.fract() == 0.0 && (0.0..WHOLE_END).contains(&number) {
            Field::Given(Self(number as u64))
        } else {
            Field::Wrong(NOT_WHOLE)
        }
    }
    fn from_decimal(digits: &str) -> Field<Self> {
        match digits.parse() {
            Ok(number) => Self::from_unsigned(number),
            Err(_) => float(digits).map_or(Field::Wrong(NOT_WHOLE), Self::from_float),
        }
    }
}

/// A finite number, such as a score; text of one counts too.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Default)]
pub struct Number(pub f64);

impl<'de> Scalar<'de> for Number {
    const KIND: Kind = Kind::Number;

    fn from_text(text: &str) -> Field<Self> {
        float(text).map_or(Field::Wrong(NOT_A_NUMBER), |number| Field::Given(Self(number)))
    }
    fn from_unsigned(number: u64) -> Field<Self> {
        Field::Given(Self(number as f64))
    }
    fn from_signed(number: i64) -> Field<Self> {
        Field::Given(Self(number as f64))
    }
    fn from_float(number: f64) -> Field<Self> {
        if number.is_finite() { Field::Given(Self(number)) } else { Field::Wrong("a number that is not finite") }
    }
    fn from_decimal(digits: &str) -> Field<Self> {
        Self::from_text(digits)
    }
}

impl<'de> Listed<'de> for Number {
    const LIST: Kind = Kind::Numbers;
}

/// A duration in milliseconds, from 0 to ten years, rounded to whole ones: half of one up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub i64);

impl<'de> Scalar<'de> for Millis {
    const KIND: Kind = Kind::Millis;

    fn from_text(text: &str) -> Field<Self> {
        float(text).map_or(Field::Wrong(NOT_A_NUMBER), Self::from_float)
    }
    fn from_unsigned(number: u64) -> Field<Self> {
        i64::try_from(number).map_or(Field::Wrong(NO_DURATION), Self::from_signed)
    }
    fn from_signed(number: i64) -> Field<Self> {
        if (0..=MILLIS_MAX).contains(&number) { Field::Given(Self(number)) } else { Field::Wrong(NO_DURATION) }
    }
    fn from_float(number: f64) -> Field<Self> {
        // Before rounding, which makes zero of a little less than it.
        if (0.0..=MILLIS_MAX as f64).contains(&number) {
            Field::Given(Self(number.round() as i64))
        } else {
            Field::Wrong(NO_DURATION)
        }
    }
    fn from_decimal(digits: &str) -> Field<Self> {
        Self::from_text(digits)
    }
}

/// True or false; also as the text of either in any case, and as 1 or 0, which some databases have in their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Flag(pub bool);

impl<'de> Scalar<'de> for Flag {
    const KIND: Kind = Kind::Flag;

    fn from_text(text: &str) -> Field<Self> {
        if text.eq_ignore_ascii_case("true") {
            Field::Given(Self(true))
        } else if text.eq_ignore_ascii_case("false") {
            Field::Given(Self(false))
        } else {
            Field::Wrong("a string that is neither true nor false")
        }
    }
    fn from_unsigned(number: u64) -> Field<Self> {
        match number {
            0 => Field::Given(Self(false)),
            1 => Field::Given(Self(true)),
            _ => Field::Wrong("a number that is neither 0 nor 1"),
        }
    }
    fn from_flag(flag: bool) -> Field<Self> {
        Field::Given(Self(flag))
    }
}

/// The finite number that `text` is. The float reader alone also knows `inf`, `nan` and `.5`.
fn float(text: &str) -> Option<f64> {
    let digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    if text.len() > TEXT_MAX || !digit(usize::from(text.starts_with('-'))) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::token::{ScalarVisitor, Token};

    /// What a field makes of a JSON value.
    fn read<T: for<'de> Scalar<'de>>(json: &str) -> Field<T> {
        use serde::de::Deserializer as _;
        Field::of(serde_json::Deserializer::from_str(json).deserialize_any(ScalarVisitor).unwrap())
    }

    fn given<T: for<'de> Scalar<'de>>(json: &str) -> Option<T> {
        match read(json) {
            Field::Given(value) => Some(value),
            _ => None,
        }
    }

    #[test]
    fn wholes_and_their_bounds() {
        for (json, number) in [
            ("0", Some(0)),
            ("812", Some(812)),
            ("3.0", Some(3)),
            ("-0.0", Some(0)),
            ("1e3", Some(1_000)),
            (r#""811""#, Some(811)),
            (r#""9223372036854775807""#, Some(9_223_372_036_854_775_807)),
            ("9223372036854775807", Some(9_223_372_036_854_775_807)),
            ("9223372036854775808", None),
            (r#""9223372036854775808""#, None),
            ("9.3e18", None),
            ("-1", None),
            ("1.5", None),
            (r#""""#, None),
            (r#""+1""#, None),
            (r#""1.0""#, None),
            ("true", None),
            ("[1]", None),
            ("{}", None),
            ("null", None),
        ] {
            assert_eq!(given(json), number.map(Whole), "{json}");
        }
        assert_eq!(read::<Whole>("null"), Field::Absent);
    }

    #[test]
    fn numbers_are_finite() {
        for (json, number) in [
            ("4", Some(4.0)),
            ("-4", Some(-4.0)),
            ("0.95", Some(0.95)),
            (r#""0.95""#, Some(0.95)),
            (r#""-1.5e-6""#, Some(-1.5e-6)),
            (r#""1e999""#, None),
            (r#""inf""#, None),
            (r#""-inf""#, None),
            (r#""NaN""#, None),
            (r#"".5""#, None),
            (r#""+5""#, None),
            (r#""5 stars""#, None),
            (r#""""#, None),
            (r#""00000000000000000000000000000000000000001""#, None),
            ("false", None),
        ] {
            assert_eq!(given(json), number.map(Number), "{json}");
        }
        assert!(matches!(Field::<Number>::of(Token::Float(f64::INFINITY)), Field::Wrong(_)));
    }

    #[test]
    fn durations_are_rounded_to_the_nearest_half_up() {
        for (json, ms) in [
            ("150", Some(150)),
            ("0", Some(0)),
            ("0.49", Some(0)),
            ("0.5", Some(1)),
            ("1.5", Some(2)),
            ("2.5", Some(3)),
            (r#""150.4""#, Some(150)),
            ("315619200000", Some(MILLIS_MAX)),
            ("315619200001", None),
            ("315619200000.4", None),
            ("1761388200123", None),
            ("-1", None),
            ("-0.1", None),
            (r#""150 ms""#, None),
            ("true", None),
        ] {
            assert_eq!(given(json), ms.map(Millis), "{json}");
        }
    }

    #[test]
    fn flags_are_true_or_false_in_three_ways() {
        for (json, flag) in [
            ("true", Some(true)),
            ("false", Some(false)),
            (r#""True""#, Some(true)),
            (r#""false""#, Some(false)),
            ("1", Some(true)),
            ("0", Some(false)),
            ("2", None),
            ("-1", None),
            ("1.0", None),
            (r#""yes""#, None),
            (r#""""#, None),
        ] {
            assert_eq!(given(json), flag.map(Flag), "{json}");
        }
    }

    proptest! {
        #[test]
        fn a_whole_is_the_same_in_every_form(number in 0..=i64::MAX as u64) {
            prop_assert_eq!(given(&number.to_string()), Some(Whole(number)));
            prop_assert_eq!(given(&format!("\"{number}\"")), Some(Whole(number)));
            prop_assert_eq!(Field::of(Token::Decimal(&number.to_string())), Field::Given(Whole(number)));
        }

        #[test]
        fn a_duration_is_within_half_a_millisecond(micros in 0u64..=MILLIS_MAX as u64 * 1_000) {
            let text = format!("{}.{:03}", micros / 1_000, micros % 1_000);
            let wanted = Some(Millis(((micros + 500) / 1_000) as i64));
            prop_assert_eq!(given(&text), wanted);
            prop_assert_eq!(given(&format!("\"{text}\"")), wanted);
            prop_assert_eq!(Field::of(Token::Decimal(&text)), wanted.map_or(Field::Absent, Field::Given));
        }

        #[test]
        fn a_number_is_the_same_in_every_form(number in proptest::num::f64::NORMAL) {
            let text = format!("{number:?}");
            prop_assert_eq!(given(&text), Some(Number(number)));
            if text.len() <= TEXT_MAX {
                prop_assert_eq!(given(&format!("\"{text}\"")), Some(Number(number)));
            }
        }

        #[test]
        fn what_is_taken_is_what_the_text_says(text in "[-+0-9.eEinfaNx ]{0,8}") {
            if let Some(Number(number)) = given(&format!("\"{text}\"")) {
                prop_assert!(number.is_finite());
                prop_assert_eq!(text.parse::<f64>(), Ok(number));
            }
        }
    }
}
