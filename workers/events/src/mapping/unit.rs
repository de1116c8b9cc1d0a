//! In what a company writes durations, amounts and times, where that is not what the contract has.
//!
//! Not here: reading the numbers ([`crate::number`], [`crate::amount`], [`crate::timestamp`]). Invariant: whole numbers
//! and amounts are converted exactly; what cannot be converted is a value of the wrong kind, never another value.

use chrono::{DateTime, NaiveDateTime};

use crate::field::Kind;
use crate::token::Token;

/// What is done to a value before its field sees it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) enum Unit {
    /// Nothing.
    #[default]
    AsItIs,
    /// A duration times so many, through so many.
    Scaled(u32, u32),
    /// An amount's point moves so many places to the left.
    Shifted(u8),
    /// A time as a number of these since 1970, each so many nanoseconds.
    Epoch(u64),
    /// A time as text of this pattern of chrono's `strftime`; one without an offset is UTC.
    Pattern(Box<str>),
}

impl Unit {
    /// Of a duration.
    pub(crate) const SECONDS: Self = Self::Scaled(1_000, 1);

    /// The unit called `name`, of a field of this kind.
    ///
    /// # Errors
    /// What such a field takes, in words.
    pub(crate) fn named(name: &str, kind: Kind) -> Result<Self, String> {
        let wrong = |takes: &str| Err(format!("`{name}` is no unit of {}; there are {takes}", kind.wants()));
        match (kind, name) {
            (Kind::Millis, "ms") => Ok(Self::AsItIs),
            (Kind::Millis, "s") => Ok(Self::SECONDS),
            (Kind::Millis, "min") => Ok(Self::Scaled(60_000, 1)),
            (Kind::Millis, "us") => Ok(Self::Scaled(1, 1_000)),
            (Kind::Millis, "ns") => Ok(Self::Scaled(1, 1_000_000)),
            (Kind::Millis, _) => wrong("ns, us, ms, s, min"),
            (Kind::Amount, "cents") => Ok(Self::Shifted(2)),
            (Kind::Amount, "micros") => Ok(Self::Shifted(6)),
            // Whole units of whatever currency the event or the mapping names.
            (Kind::Amount, name) if name.len() == 3 && name.bytes().all(|c| c.is_ascii_uppercase()) => Ok(Self::AsItIs),
            (Kind::Amount, _) => wrong("cents, micros, or a currency such as USD for whole units"),
            _ => Err(format!("a unit says nothing about {}", kind.wants())),
        }
    }

    /// The format of a time called `name`.
    ///
    /// # Errors
    /// Which formats there are, in words.
    pub(crate) fn format(name: &str, kind: Kind) -> Result<Self, String> {
        if kind != Kind::Time {
            return Err(format!("a format says nothing about {}", kind.wants()));
        }
        match name {
            "auto" | "rfc3339" => Ok(Self::AsItIs),
            "s" => Ok(Self::Epoch(1_000_000_000)),
            "ms" => Ok(Self::Epoch(1_000_000)),
            "us" => Ok(Self::Epoch(1_000)),
            "ns" => Ok(Self::Epoch(1)),
            pattern if pattern.contains('%') => {
                let items = chrono::format::StrftimeItems::new(pattern);
                if items.into_iter().any(|item| matches!(item, chrono::format::Item::Error)) {
                    return Err(format!("`{pattern}` is no pattern of strftime"));
                }
                Ok(Self::Pattern(pattern.into()))
            }
            _ => Err(format!(
                "`{name}` is no format of a time; there are auto, rfc3339, s, ms, us, ns and patterns of strftime such as %Y-%m-%d %H:%M:%S"
            )),
        }
    }

    /// The value in the contract's own unit.
    pub(crate) fn apply<'a>(&self, value: Token<'a>) -> Token<'a> {
        match self {
            Self::AsItIs => value,
            _ if matches!(value, Token::Absent | Token::Wrong(_)) => value,
            Self::Scaled(times, through) => scaled(value, *times, *through),
            Self::Shifted(places) => shifted(value, *places),
            Self::Epoch(nanos) => epoch(value, *nanos),
            Self::Pattern(pattern) => dated(&value, pattern),
        }
    }
}

fn scaled(value: Token<'_>, times: u32, through: u32) -> Token<'_> {
    match number(&value) {
        Some(Number::Whole(whole)) if through == 1 => match u64::try_from(whole * i128::from(times)) {
            Ok(number) => Token::Unsigned(number),
            Err(_) => Token::Float(whole as f64 * f64::from(times)),
        },
        Some(number) => Token::Float(number.float() * f64::from(times) / f64::from(through)),
        None => value,
    }
}

/// By the exponent: no digit changes.
fn shifted(value: Token<'_>, places: u8) -> Token<'_> {
    let digits = match &value {
        Token::Decimal(digits) => (*digits).to_owned(),
        Token::Unsigned(number) => number.to_string(),
        Token::Signed(number) => number.to_string(),
        value => match value.text() {
            Some(text) => text.trim().to_owned(),
            None => return value.clone(),
        },
    };
    let (digits, exponent) = match digits.split_once(['e', 'E']) {
        None => (digits.as_str(), 0),
        Some((digits, exponent)) => match exponent.parse::<i32>() {
            Ok(exponent) => (digits, exponent),
            Err(_) => return value,
        },
    };
    Token::Copied(format!("{digits}e{}", exponent.saturating_sub(i32::from(places))))
}

fn epoch(value: Token<'_>, nanos: u64) -> Token<'_> {
    const OUTSIDE: Token<'_> = Token::Wrong("a time outside the years 1970 to 9999");
    match number(&value) {
        // To the nearest millisecond, as the timestamp's own reader does it.
        Some(Number::Whole(whole)) => {
            let ms = (whole * i128::from(nanos) + 500_000).div_euclid(1_000_000);
            i64::try_from(ms).map_or(OUTSIDE, Token::Moment)
        }
        Some(Number::Float(number)) => {
            let ms = (number * nanos as f64 / 1e6).round();
            if ms.is_finite() && ms.abs() < 1e15 { Token::Moment(ms as i64) } else { OUTSIDE }
        }
        None => Token::Wrong("no number, as its mapping says it is"),
    }
}

fn dated<'a>(value: &Token<'a>, pattern: &str) -> Token<'a> {
    let read = value.text().and_then(|text| {
        let with_offset = DateTime::parse_from_str(text, pattern).map(|time| time.timestamp_millis());
        let date = || chrono::NaiveDate::parse_from_str(text, pattern).ok()?.and_hms_opt(0, 0, 0);
        let without = || NaiveDateTime::parse_from_str(text, pattern).ok().or_else(date);
        with_offset.ok().or_else(|| Some(without()?.and_utc().timestamp_millis()))
    });
    read.map_or(Token::Wrong("a value that is not written in the pattern that its mapping names"), Token::Moment)
}

enum Number {
    Whole(i128),
    Float(f64),
}

impl Number {
    fn float(&self) -> f64 {
        match self {
            Self::Whole(whole) => *whole as f64,
            Self::Float(float) => *float,
        }
    }
}

fn number(value: &Token<'_>) -> Option<Number> {
    match value {
        Token::Unsigned(number) => Some(Number::Whole(i128::from(*number))),
        Token::Signed(number) => Some(Number::Whole(i128::from(*number))),
        Token::Float(number) => Some(Number::Float(*number)),
        value => {
            let text = value.text()?;
            // The float reader also knows `inf` and `nan`.
            if !text.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'.' | b'-' | b'+' | b'e' | b'E')) {
                return None;
            }
            let whole = text.parse::<i64>().map(|whole| Number::Whole(i128::from(whole)));
            whole.or_else(|_| text.parse().map(Number::Float)).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_converted_as_they_are_written() {
        let unit = |name, kind| Unit::named(name, kind).unwrap();
        let format = |name| Unit::format(name, Kind::Time).unwrap();
        for (unit, given, wanted) in [
            (unit("s", Kind::Millis), Token::Unsigned(3), Token::Unsigned(3_000)),
            (unit("s", Kind::Millis), Token::Float(0.25), Token::Float(250.0)),
            (unit("us", Kind::Millis), Token::Borrowed("1500"), Token::Float(1.5)),
            (unit("s", Kind::Millis), Token::Borrowed("soon"), Token::Borrowed("soon")),
            (unit("cents", Kind::Amount), Token::Decimal("199"), Token::Copied("199e-2".into())),
            (unit("cents", Kind::Amount), Token::Decimal("1.5e3"), Token::Copied("1.5e1".into())),
            (unit("USD", Kind::Amount), Token::Decimal("1.99"), Token::Decimal("1.99")),
            (format("us"), Token::Unsigned(1_761_388_200_123_600), Token::Moment(1_761_388_200_124)),
            (format("s"), Token::Float(1_761_388_200.5), Token::Moment(1_761_388_200_500)),
            (format("ms"), Token::Borrowed("17"), Token::Moment(17)),
            (format("%d.%m.%Y %H:%M"), Token::Borrowed("25.10.2025 10:30"), Token::Moment(1_761_388_200_000)),
            (format("%Y%m%dT%H%M%S%z"), Token::Borrowed("20251025T123000+0200"), Token::Moment(1_761_388_200_000)),
            (format("%Y-%m-%d"), Token::Borrowed("2025-10-25"), Token::Moment(1_761_350_400_000)),
            (format("ns"), Token::Absent, Token::Absent),
        ] {
            assert_eq!(unit.apply(given.clone()), wanted, "{unit:?} of {given:?}");
        }
        assert!(matches!(format("%Y").apply(Token::Borrowed("soon")), Token::Wrong(_)));
        assert!(matches!(format("s").apply(Token::Borrowed("soon")), Token::Wrong(_)));
    }

    #[test]
    fn a_unit_goes_with_its_kind() {
        assert!(Unit::named("cents", Kind::Millis).unwrap_err().contains("ns, us, ms, s, min"));
        assert!(Unit::named("s", Kind::Text).unwrap_err().contains("says nothing about text"));
        assert!(Unit::format("yesterday", Kind::Time).unwrap_err().contains("rfc3339"));
        assert!(Unit::format("%Q", Kind::Time).unwrap_err().contains("strftime"));
    }
}
