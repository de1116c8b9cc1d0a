//! When an event happened, in whichever of three forms it was written.
//!
//! | Form | Example | As JSON |
//! |---|---|---|
//! | RFC 3339, with an offset | `2025-10-25T10:30:00.123Z` | string |
//! | epoch seconds, also fractional | `1761388200`, `1761388200.123` | number, or string of one |
//! | epoch milliseconds | `1761388200123` | number, or string of one |
//!
//! A number is in seconds wherever it can be: from 0 up to, not including, 253 402 300 800, which is
//! the year 10000 in seconds and 11 January 1978 in milliseconds. From there it is in milliseconds, up
//! to, not including, 253 402 300 800 000. So every second of the years 1970 to 9999 can be written, and
//! every millisecond from 1978 on; a time in microseconds or nanoseconds is refused, not misread.
//!
//! Invariant: an accepted time lies in the years 1970 to 9999 UTC. Fractions of a millisecond are
//! rounded to the nearest: 1761388200.123 has no exact float, and cutting would make it .122.

use processing_core::record::EventTime;

use crate::field::{Field, Kind, Scalar};

/// The first second that is not in the year 9999 any more, since 1970.
const YEAR_10000_S: u64 = 253_402_300_800;
const YEAR_10000_MS: i64 = 253_402_300_800_000;

const OUTSIDE: &str = "a time outside the years 1970 to 9999";
const NO_TIME: &str = "a string that is neither RFC 3339 nor an epoch number";

/// The timestamp of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp(pub EventTime);

fn within(ms: i64) -> Field<Timestamp> {
    if (0..YEAR_10000_MS).contains(&ms) { Field::Given(Timestamp(EventTime(ms))) } else { Field::Wrong(OUTSIDE) }
}

impl<'de> Scalar<'de> for Timestamp {
    const KIND: Kind = Kind::Time;

    fn from_moment(ms: i64) -> Field<Self> {
        within(ms)
    }

    fn from_text(text: &str) -> Field<Self> {
        let bytes = text.as_bytes();
        // RFC 3339 has a `-` after the four digits of the year; an epoch number never has one.
        if bytes.get(4) == Some(&b'-') {
            return match chrono::DateTime::parse_from_rfc3339(text) {
                Ok(time) => within(time.timestamp_millis()),
                Err(_) => Field::Wrong(NO_TIME),
            };
        }
        // The float reader also knows `inf` and `nan`, hence the first look; no number needs 40 bytes.
        if bytes.len() > 40 || !bytes.first().is_some_and(u8::is_ascii_digit) {
            return Field::Wrong(NO_TIME);
        }
        if let Ok(number) = text.parse::<u64>() {
            return Self::from_unsigned(number);
        }
        text.parse::<f64>().map_or(Field::Wrong(NO_TIME), Self::from_float)
    }

    fn from_unsigned(number: u64) -> Field<Self> {
        let ms = if number < YEAR_10000_S { number * 1_000 } else { number };
        i64::try_from(ms).map_or(Field::Wrong(OUTSIDE), within)
    }

    fn from_signed(number: i64) -> Field<Self> {
        u64::try_from(number).map_or(Field::Wrong(OUTSIDE), Self::from_unsigned)
    }

    fn from_float(number: f64) -> Field<Self> {
        // Before rounding, which makes zero of a little less than it; and no number is not a number.
        if !(0.0..YEAR_10000_MS as f64).contains(&number) {
            return Field::Wrong(OUTSIDE);
        }
        let ms = if number < YEAR_10000_S as f64 { number * 1_000.0 } else { number };
        within(ms.round() as i64)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, SecondsFormat};
    use proptest::prelude::*;

    use super::*;
    use crate::token::{ScalarVisitor, Token};

    fn read(json: &str) -> Option<i64> {
        let mut reader = serde_json::Deserializer::from_str(json);
        let token: Token<'_> = serde::Deserializer::deserialize_any(&mut reader, ScalarVisitor).unwrap();
        let field = Field::of(token);
        match field {
            Field::Given(Timestamp(EventTime(ms))) => Some(ms),
            _ => None,
        }
    }

    #[test]
    fn the_three_forms_and_their_bounds() {
        for (json, ms) in [
            (r#""2025-10-25T10:30:00Z""#, Some(1_761_388_200_000)),
            (r#""2025-10-25T10:30:00.123Z""#, Some(1_761_388_200_123)),
            (r#""2025-10-25T12:30:00.123456789+02:00""#, Some(1_761_388_200_123)),
            (r#""1970-01-01T00:00:00Z""#, Some(0)),
            (r#""9999-12-31T23:59:59.999Z""#, Some(253_402_300_799_999)),
            ("1761388200", Some(1_761_388_200_000)),
            ("1761388200.123", Some(1_761_388_200_123)),
            (r#""1761388200.1236""#, Some(1_761_388_200_124)),
            (r#""1761388200""#, Some(1_761_388_200_000)),
            ("1761388200123", Some(1_761_388_200_123)),
            (r#""1761388200123""#, Some(1_761_388_200_123)),
            ("1.7613882e9", Some(1_761_388_200_000)),
            ("0", Some(0)),
            ("253402300799", Some(253_402_300_799_000)),
            ("253402300800", Some(253_402_300_800)),
            ("253402300799999", Some(253_402_300_799_999)),
            ("253402300800000", None),
            ("1761388200123456", None),
            ("18446744073709551615", None),
            ("-1", None),
            ("-0.4", None),
            ("1e300", None),
            (r#""1969-12-31T23:59:59.999Z""#, None),
            (r#""0000-01-01T00:00:00Z""#, None),
            (r#""10000-01-01T00:00:00Z""#, None),
            (r#""9999-12-31T23:59:59-01:00""#, None),
            (r#""2025-10-25T10:30:00""#, None),
            (r#""2025-13-25T10:30:00Z""#, None),
            (r#""nan""#, None),
            (r#""inf""#, None),
            (r#""""#, None),
            (r#""yesterday""#, None),
            ("true", None),
            ("null", None),
            ("{}", None),
            ("[1761388200]", None),
        ] {
            assert_eq!(read(json), ms, "{json}");
        }
    }

    proptest! {
        #[test]
        fn every_form_of_a_time_is_that_time(ms in 253_402_300_800i64..253_402_300_800_000) {
            let time = DateTime::from_timestamp_millis(ms).unwrap();
            let text = time.to_rfc3339_opts(SecondsFormat::Millis, true);
            prop_assert_eq!(read(&format!("\"{text}\"")), Some(ms));
            prop_assert_eq!(read(&ms.to_string()), Some(ms));
            prop_assert_eq!(read(&format!("{}.{:03}", ms / 1_000, ms % 1_000)), Some(ms));
            prop_assert_eq!(read(&format!("\"{}.{:03}\"", ms / 1_000, ms % 1_000)), Some(ms));
        }
    }
}
