//! The lines of a script.
//!
//! Not here: running them. Invariant: a line that is not understood is named with its number; nothing is
//! skipped but blank lines and comments.

use chrono::{DateTime, SecondsFormat};
use serde_json::Value;

use super::expect::Expected;
use super::{Failure, Run};
use crate::record::{DurationMs, LogTime, TopicName};

/// 2026-01-01, the day of a time without a date.
pub(super) const DAY_MS: i64 = 1_767_225_600_000;

/// A line that says something.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: usize,
    pub(super) text: String,
    pub(super) word: Word,
}

impl Line {
    /// Whether it says what has to come out.
    pub(super) fn expects(&self) -> bool {
        matches!(self.word, Word::Out { .. } | Word::Last { .. } | Word::Late(_) | Word::Dead(_))
    }

    /// Whether it makes the worker do something.
    pub(super) fn acts(&self) -> bool {
        matches!(self.word, Word::In { .. } | Word::Advance(_) | Word::Crash | Word::Rebalance | Word::Pause(_))
    }
}

#[derive(Debug, Clone)]
pub(super) enum Word {
    Set(Setting),
    Topic { topic: TopicName, partitions: u32 },
    In { topic: TopicName, partition: Option<u32>, time: LogTime, key: Option<Vec<u8>>, value: Option<Vec<u8>> },
    Out { topic: TopicName, key: Option<String>, value: Expected, fields: Fields },
    Last { topic: TopicName, key: String, value: Option<Expected> },
    Late(Option<Expected>),
    Dead(Option<String>),
    Crash,
    Rebalance,
    Pause(bool),
    Advance(DurationMs),
}

/// Which fields of a record an expectation speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fields {
    All,
    Named,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Setting {
    Idle(DurationMs),
    Close(DurationMs),
    Future(DurationMs),
    Commit(DurationMs),
}

/// Reads a script.
pub(super) fn read(text: &str) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    for (number, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') || text.starts_with("//") {
            continue;
        }
        let word = read_word(text).map_err(|why| Failure {
            line: number,
            run: Run::AsWritten,
            message: format!("{text}\ncannot be read: {why}"),
        })?;
        lines.push(Line { number, text: text.to_owned(), word });
    }
    Ok(lines)
}

fn read_word(text: &str) -> Result<Word, String> {
    let mut rest = Rest(text);
    Ok(match rest.token("a word")? {
        "set" => {
            let name = rest.token("a setting")?;
            let span = duration(rest.token("a duration")?)?;
            Word::Set(match name {
                "idle" => Setting::Idle(span),
                "close" => Setting::Close(span),
                "future" => Setting::Future(span),
                "commit" => Setting::Commit(span),
                other => return Err(format!("no setting {other:?}: there are idle, close, future and commit")),
            })
        }
        "topic" => {
            let topic = TopicName::new(rest.token("a topic")?);
            let partitions = rest.token("a number of partitions")?;
            let partitions = partitions.parse().map_err(|_| format!("{partitions:?} is no number of partitions"))?;
            Word::Topic { topic, partitions }
        }
        "in" => {
            let place = rest.token("a topic")?;
            let (topic, partition) = match place.split_once('/') {
                Some((topic, partition)) => {
                    let number = partition.parse().map_err(|_| format!("{partition:?} is no partition"))?;
                    (topic, Some(number))
                }
                None => (place, None),
            };
            let time = instant(rest.token("a time")?)?;
            let key = rest.token("a key, or - for none")?;
            let value = match rest.all() {
                "" => return Err("a value is missing; ~ is a tombstone".to_owned()),
                "~" => None,
                value => Some(match hex(value) {
                    Some(bytes) => bytes,
                    None => with_times(value, Some(time))?.into_bytes(),
                }),
            };
            let key = (key != "-").then(|| hex(key).unwrap_or_else(|| key.as_bytes().to_vec()));
            Word::In { topic: TopicName::new(topic), partition, time, key, value }
        }
        "out" => out(&mut rest, Fields::All)?,
        "has" => out(&mut rest, Fields::Named)?,
        "last" => {
            let topic = TopicName::new(rest.token("a topic")?);
            let key = rest.token("a key")?.to_owned();
            let value = match rest.all() {
                "-" => None,
                value => Some(expected(value)?),
            };
            Word::Last { topic, key, value }
        }
        "late" => match rest.all() {
            "" => Word::Late(None),
            value => Word::Late(Some(expected(value)?)),
        },
        "dead" => match rest.all() {
            "" => Word::Dead(None),
            reason => Word::Dead(Some(reason.to_owned())),
        },
        "crash" => Word::Crash,
        "rebalance" => Word::Rebalance,
        "pause" => Word::Pause(true),
        "resume" => Word::Pause(false),
        "advance" => Word::Advance(duration(rest.token("a duration")?)?),
        other => {
            return Err(format!(
                "no line begins with {other:?}: there are set, topic, in, out, has, last, late, dead, crash, \
                 rebalance, pause, resume and advance"
            ));
        }
    })
}

/// What is left of a line.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn token(&mut self, what: &str) -> Result<&'a str, String> {
        let text = self.0.trim_start();
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (token, rest) = text.split_at(end);
        self.0 = rest;
        if token.is_empty() { Err(format!("{what} is missing")) } else { Ok(token) }
    }

    fn all(&self) -> &'a str {
        self.0.trim()
    }
}

fn out(rest: &mut Rest<'_>, fields: Fields) -> Result<Word, String> {
    let topic = TopicName::new(rest.token("a topic")?);
    // A key is there if what follows the topic is no JSON as a whole.
    if let Ok(value) = expected(rest.all()) {
        return Ok(Word::Out { topic, key: None, value, fields });
    }
    let key = rest.token("a key or a value")?.to_owned();
    Ok(Word::Out { topic, key: Some(key), value: expected(rest.all())?, fields })
}

fn expected(text: &str) -> Result<Expected, String> {
    if let Some(bytes) = hex(text) {
        return Ok(Expected::Bytes(bytes));
    }
    let text = with_times(text, None)?;
    let value: Value = serde_json::from_str(&text).map_err(|error| format!("{text:?} is no JSON: {error}"))?;
    Ok(Expected::Json(value))
}

/// Reads `$hex(00ff)`.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("$hex(")?.strip_suffix(')')?;
    if digits.len() % 2 != 0 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len() / 2).map(|n| u8::from_str_radix(digits.get(2 * n..2 * n + 2)?, 16).ok()).collect()
}

/// Puts times in the place of `$ms`, `$time`, `$ms(10:05)` and `$time(10:05)`.
fn with_times(text: &str, own: Option<LogTime>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (word, after) = if let Some(after) = from.strip_prefix("$ms") {
            ("ms", after)
        } else if let Some(after) = from.strip_prefix("$time") {
            ("time", after)
        } else {
            out.push('$');
            rest = from.get(1..).unwrap_or_default();
            continue;
        };
        let (time, after) = match after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            Some((inner, after)) => (instant(inner)?, after),
            None => (own.ok_or("only a line `in` has a time of its own: write $ms(10:05)")?, after),
        };
        match word {
            "ms" => out.push_str(&time.0.to_string()),
            _ => {
                let date = DateTime::from_timestamp_millis(time.0).ok_or("a time out of all calendars")?;
                out.push_str(&date.to_rfc3339_opts(SecondsFormat::AutoSi, true));
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn instant(text: &str) -> Result<LogTime, String> {
    let wrong = || format!("{text:?} is no time: write 10:00, 10:00:10.250, RFC 3339 or milliseconds since 1970");
    if let Ok(ms) = text.parse() {
        return Ok(LogTime(ms));
    }
    if text.contains('T') {
        let date = DateTime::parse_from_rfc3339(text).map_err(|_| wrong())?;
        return Ok(LogTime(date.timestamp_millis()));
    }
    let mut ms = 0;
    let mut parts = text.split(':');
    let units = [3_600_000.0, 60_000.0, 1_000.0];
    for (unit, part) in units.iter().zip(parts.by_ref()) {
        let number: f64 = part.parse().map_err(|_| wrong())?;
        if !(0.0..100.0).contains(&number) {
            return Err(wrong());
        }
        ms += (number * unit).round() as i64;
    }
    if !text.contains(':') || parts.next().is_some() {
        return Err(wrong());
    }
    Ok(LogTime(DAY_MS + ms))
}

fn duration(text: &str) -> Result<DurationMs, String> {
    let wrong = || format!("{text:?} is no duration: write 250ms, 90s, 5m, 2h or 1d");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).map(DurationMs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        for text in ["10:00:10.250", "2026-01-01T10:00:10.250Z", "2026-01-01T12:00:10.250+02:00", "1767261610250"] {
            assert_eq!(instant(text), Ok(LogTime(DAY_MS + 36_010_250)), "{text}");
        }
        for text in ["", "10:", "10:00:00:00", "-1:00", "noon", "2026-01-01T25:00:00Z"] {
            assert!(instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_can_name_times() {
        let own = Some(LogTime(DAY_MS + 1));
        assert_eq!(
            with_times("{\"a\": $ms, \"b\": \"$time(00:01)\", \"c\": \"$5\"}", own),
            Ok(format!("{{\"a\": {}, \"b\": \"2026-01-01T00:01:00Z\", \"c\": \"$5\"}}", DAY_MS + 1))
        );
        assert!(with_times("$ms", None).is_err());
    }

    #[test]
    fn a_key_may_stand_before_an_expected_value() {
        let Ok(Word::Out { key, value, .. }) = read_word("out cities 7 {\"n\": 1}") else { panic!() };
        assert_eq!((key.as_deref(), value), (Some("7"), Expected::Json(serde_json::json!({"n": 1}))));
        let Ok(Word::Out { key, value, .. }) = read_word("out cities {\"n\": 1}") else { panic!() };
        assert_eq!((key, value), (None, Expected::Json(serde_json::json!({"n": 1}))));
    }
}
