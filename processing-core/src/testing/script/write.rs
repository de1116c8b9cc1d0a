//! Lines of a script for what was not written by a person.
//!
//! Not here: reading them ([`super::line`]). Invariant: a line that is written here is read there as the same
//! topic, key, value and time.

use chrono::{DateTime, SecondsFormat};

use super::line::DAY_MS;
use crate::record::LogTime;
use crate::testing::feed::Arrival;

/// A day: times this near to a record's own are worth a name.
const NEAR_MS: i64 = 86_400_000;
/// So many digits have the milliseconds since 1970 from 2001 to 2286.
const DIGITS: usize = 13;

/// The line that appends this record, of a topic in so many partitions; `None` where it has no time of its own.
pub(in crate::testing) fn input(arrival: &Arrival, partitions: u32) -> Option<String> {
    let Arrival { timestamp, place, key, value: bytes, .. } = arrival;
    let own = (*timestamp)?;
    let topic = &place.topic;
    let place = if partitions == 1 { topic.to_string() } else { format!("{topic}/{}", place.partition) };
    let value = value(bytes.as_deref(), own, Some(own));
    Some(format!("in {place} {} {} {}", time(own), self::key(key.as_deref()), value.unwrap_or_else(|| "~".to_owned())))
}

/// A key as a word.
pub(super) fn key(key: Option<&[u8]>) -> String {
    let Some(bytes) = key else { return "-".to_owned() };
    match std::str::from_utf8(bytes) {
        Ok(text) if is_word(text) => text.to_owned(),
        _ => hex(bytes),
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text != "-"
        && !text.starts_with('$')
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// An input's value as the rest of a line; times near `near` are named, the one of the line itself in short. `None` is
/// a tombstone.
fn value(bytes: Option<&[u8]>, near: LogTime, own: Option<LogTime>) -> Option<String> {
    let bytes = bytes?;
    let Ok(text) = std::str::from_utf8(bytes) else { return Some(hex(bytes)) };
    let plain = !text.is_empty()
        && text.trim() == text
        && text != "~"
        && !text.contains(char::is_control)
        && !["$ms", "$time", "$hex"].iter().any(|word| text.contains(word));
    Some(if plain { with_names(text, near, own) } else { hex(bytes) })
}

/// A result's value as the rest of a line.
pub(super) fn expected(bytes: Option<&[u8]>, near: LogTime) -> String {
    let json = bytes.is_some_and(|bytes| serde_json::from_slice::<serde_json::Value>(bytes).is_ok());
    match bytes {
        None => "null".to_owned(),
        Some(bytes) if !json => hex(bytes),
        some => value(some, near, None).unwrap_or_default(),
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("$hex({})", digits.concat())
}

/// A time of 2026-01-01 without its date, any other with it.
fn time(time: LogTime) -> String {
    let of_day = time.0.saturating_sub(DAY_MS);
    match DateTime::from_timestamp_millis(time.0) {
        Some(date) if (0..NEAR_MS).contains(&of_day) => {
            date.format(if of_day % 1_000 == 0 { "%H:%M:%S" } else { "%H:%M:%S%.3f" }).to_string()
        }
        // The four digits of a year are all that the calendar's text has room for.
        Some(date) if (0..=9_999).contains(&chrono::Datelike::year(&date)) => {
            date.to_rfc3339_opts(SecondsFormat::AutoSi, true)
        }
        _ => time.0.to_string(),
    }
}

/// Puts `$ms` and `$ms(10:05:00)` in the place of milliseconds near a time.
fn with_names(text: &str, near: LogTime, own: Option<LogTime>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (digits, after) = from.split_at(end);
        out.push_str(before);
        rest = after;
        let alone = !before.ends_with(['-', '.', '$', '_', 'e', 'E']) && !out.ends_with(char::is_alphanumeric);
        let alone = alone && !after.starts_with(|c: char| c.is_alphanumeric() || "._(".contains(c));
        match digits.parse().map(LogTime) {
            Ok(found) if alone && digits.len() == DIGITS && Some(found) == own => out.push_str("$ms"),
            Ok(found) if alone && digits.len() == DIGITS && found.0.abs_diff(near.0) < NEAR_MS.unsigned_abs() => {
                out.push_str(&format!("$ms({})", time(found)));
            }
            _ => out.push_str(digits),
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::line::{self, Word};
    use super::*;
    use crate::record::{Partition, TopicName, TopicPartition};

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..12),
            "[ -~]{0,24}".prop_map(String::into_bytes),
            "[$]?(hex|ms|time)?[(]?[0-9a-f]{0,4}[)]?".prop_map(String::into_bytes),
            (-90_000_000..90_000_000_i64, "[-_.a:\" ]?")
                .prop_map(|(after, before)| { format!("{{\"a\":{before}{}}}", DAY_MS + after).into_bytes() }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_line_that_is_written_is_read_as_the_same_record(
            time in prop_oneof![DAY_MS..DAY_MS + NEAR_MS, -1_000_000_000_000_000..1_000_000_000_000_000_i64],
            key in proptest::option::of(bytes()),
            value in proptest::option::of(bytes()),
            partition in 0..3_u32,
        ) {
            let place = TopicPartition { topic: TopicName::new("t"), partition: Partition(partition) };
            let (timestamp, partitions) = (Some(LogTime(time)), if partition == 0 { 1 } else { 3 });
            let arrival = Arrival { at_ms: 0, timestamp, place, key: key.clone(), value: value.clone() };
            let text = input(&arrival, partitions).unwrap();
            let lines = line::read(&text).map_err(|failure| TestCaseError::fail(failure.to_string()))?;
            let [line] = lines.as_slice() else { return Err(TestCaseError::fail("one line")) };
            let Word::In { partition: in_partition, time: at, key: in_key, value: in_value, .. } = &line.word else {
                return Err(TestCaseError::fail("an input"));
            };
            prop_assert_eq!(in_partition.unwrap_or(0), partition);
            prop_assert_eq!(at.0, time, "{}", text);
            prop_assert_eq!(in_key, &key, "{}", text);
            prop_assert_eq!(in_value, &value, "{}", text);
        }
    }

    #[test]
    fn times_near_a_records_own_are_named() {
        let near = LogTime(DAY_MS + 36_000_000);
        let text = |text: &str, own| value(Some(text.as_bytes()), near, own).unwrap();
        assert_eq!(text("{\"at\":1767261600000,\"n\":7}", Some(near)), "{\"at\":$ms,\"n\":7}");
        assert_eq!(text("[1767261600000,1767261660250]", None), "[$ms(10:00:00),$ms(10:01:00.250)]");
        assert_eq!(text("1767348000000", None), "1767348000000", "a day is far");
        assert_eq!(text("-1767261600000 1767261600000.5", None), "-1767261600000 1767261600000.5");
        assert_eq!(expected(Some(b"1 2"), near), "$hex(312032)");
        assert_eq!(expected(None, near), "null");
    }
}
