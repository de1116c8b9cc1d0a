//! One setting's declaration, and how its text becomes a value.
//!
//! Not here: which settings there are (the groups) and where texts come from (`sources`).
//! Invariant: a value exists only if it was parsed by its own declaration, so that whoever reads it
//! needs no check of its own.

use std::borrow::Cow;
use std::net::SocketAddr;

use crate::record::DurationMs;

/// What a setting may hold, with its unit and range.
#[derive(Debug, Clone, Copy)]
pub enum ValueKind {
    /// Any text; empty means unset.
    Text,
    /// A file or folder; empty means unset.
    Path,
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Integer {
        /// The smallest allowed.
        min: i64,
        /// The largest allowed.
        max: i64,
    },
    /// A span of time: milliseconds, or with `ms`, `s`, `m`, `h`, `d` behind the number.
    Millis {
        /// The shortest allowed.
        min: DurationMs,
        /// The longest allowed.
        max: DurationMs,
        /// Whether it can be `off`.
        off: bool,
    },
    /// A size: bytes, or with `KiB`, `MiB`, `GiB` behind the number.
    Bytes {
        /// The smallest allowed.
        min: u64,
        /// The largest allowed.
        max: u64,
    },
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// An address and port to listen on, or `off`.
    Listen,
    /// Text with a rule of its own.
    Checked {
        /// The rule in words.
        wants: &'static str,
        /// The rule.
        check: fn(&str) -> bool,
    },
}

/// A parsed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing was given, and the default is nothing.
    Unset,
    /// Text, a path, or one of several words.
    Text(String),
    /// A switch.
    Switch(bool),
    /// A whole number.
    Integer(i64),
    /// A span of time; `None` is `off`.
    Millis(Option<DurationMs>),
    /// A size in bytes.
    Bytes(u64),
    /// An address; `None` is `off`.
    Listen(Option<SocketAddr>),
}

/// A setting's declaration: the only place where it is written down.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The dotted name, Kafka Streams' own where it has one.
    pub name: Cow<'static, str>,
    /// What it may hold.
    pub kind: ValueKind,
    /// The default, as one would write it; empty is unset.
    pub default: Cow<'static, str>,
    /// One sentence for people, without a full stop.
    pub help: Cow<'static, str>,
    /// Whether its value must never be shown.
    pub secret: bool,
    /// Environment variables beside the one that its name gives; the first that is set counts.
    pub aliases: &'static [&'static str],
}

impl Spec {
    /// A setting that is not secret.
    pub const fn new(name: &'static str, kind: ValueKind, default: &'static str, help: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            kind,
            default: Cow::Borrowed(default),
            help: Cow::Borrowed(help),
            secret: false,
            aliases: &[],
        }
    }

    /// The same setting, never shown.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The same setting, also read from these variables.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Its environment variable: `commit.interval.ms` is `STREAMFLEET_COMMIT_INTERVAL_MS`.
    pub fn variable(&self) -> String {
        let name = self.name.replace(['.', '-'], "_").to_uppercase();
        format!("{}{name}", super::sources::PREFIX)
    }
}

impl ValueKind {
    /// Reads `text`; the error says what is wrong and what would be right, without the setting's name.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        match self {
            Self::Text | Self::Path if text.is_empty() => Ok(Value::Unset),
            Self::Text | Self::Path => Ok(Value::Text(text.to_owned())),
            Self::Switch => match text {
                "true" => Ok(Value::Switch(true)),
                "false" => Ok(Value::Switch(false)),
                _ => Err(self.wants(text)),
            },
            Self::Integer { min, max } => {
                let number = text.parse::<i64>().map_err(|_| self.wants(text))?;
                if number < *min || number > *max {
                    return Err(self.wants(text));
                }
                Ok(Value::Integer(number))
            }
            Self::Millis { off: true, .. } if text == "off" => Ok(Value::Millis(None)),
            Self::Millis { min, max, .. } => {
                let span = parse_scaled(text, MILLIS).and_then(|ms| i64::try_from(ms).ok()).map(DurationMs);
                match span {
                    Some(span) if span >= *min && span <= *max => Ok(Value::Millis(Some(span))),
                    _ => Err(self.wants(text)),
                }
            }
            Self::Bytes { min, max } => match parse_scaled(text, BYTES) {
                Some(bytes) if bytes >= *min && bytes <= *max => Ok(Value::Bytes(bytes)),
                _ => Err(self.wants(text)),
            },
            Self::OneOf(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            Self::OneOf(_) => Err(self.wants(text)),
            Self::Listen if text == "off" => Ok(Value::Listen(None)),
            Self::Listen => text.parse().map(|address| Value::Listen(Some(address))).map_err(|_| self.wants(text)),
            Self::Checked { check, .. } if check(text) => Ok(Value::Text(text.to_owned())),
            Self::Checked { .. } => Err(self.wants(text)),
        }
    }

    fn wants(&self, text: &str) -> String {
        format!("`{text}` does not fit; it takes {}", self.describe())
    }

    /// Unit and range in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Path => "a path".into(),
            Self::Switch => "true or false".into(),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Millis { min, max, off } => {
                let off = if *off { ", or off" } else { "" };
                format!("milliseconds from {} to {} (also as 500ms, 30s, 5m, 1h, 1d){off}", min.0, max.0)
            }
            Self::Bytes { min, max } => {
                format!("bytes from {min} to {max} (also as 64KiB, 16MiB, 1GiB)")
            }
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Listen => "an address and port such as 127.0.0.1:9464, or off".into(),
            Self::Checked { wants, .. } => (*wants).into(),
        }
    }
}

const MILLIS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const BYTES: &[(&str, u64)] = &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

/// `5m` in units of the scale; a bare number counts in the smallest.
fn parse_scaled(text: &str, scale: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number: u64 = digits.parse().ok()?;
    let factor = match unit.trim_start() {
        "" => 1,
        unit => scale.iter().find(|(name, _)| *name == unit)?.1,
    };
    number.checked_mul(factor)
}

impl std::fmt::Display for Value {
    /// As one would write it in a settings file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unset => f.write_str("\"\""),
            Self::Text(text) => write!(f, "{}", toml::Value::String(text.clone())),
            Self::Switch(on) => on.fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Millis(Some(span)) => span.0.fmt(f),
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Listen(Some(address)) => write!(f, "\"{address}\""),
            Self::Millis(None) | Self::Listen(None) => f.write_str("\"off\""),
        }
    }
}

/// A value that a setting can be read as; see [`super::Settings::get`].
pub trait FromValue: Sized {
    /// `None` if the setting holds another kind of value.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($( $type:ty : $pattern:pat => $result:expr ),* $(,)?) => {
        $( impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value { $pattern => $result, _ => None }
            }
        } )*
    };
}

from_value! {
    String: Value::Text(text) => Some(text.clone()),
    std::path::PathBuf: Value::Text(text) => Some(text.into()),
    bool: Value::Switch(on) => Some(*on),
    i64: Value::Integer(number) => Some(*number),
    u32: Value::Integer(number) => u32::try_from(*number).ok(),
    usize: Value::Integer(number) => usize::try_from(*number).ok(),
    u64: Value::Bytes(bytes) => Some(*bytes),
    DurationMs: Value::Millis(Some(span)) => Some(*span),
    Option<DurationMs>: Value::Millis(span) => Some(*span),
    Option<SocketAddr>: Value::Listen(address) => Some(*address),
}

impl FromValue for Option<String> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Unset => Some(None),
            value => String::from_value(value).map(Some),
        }
    }
}

impl FromValue for Option<std::path::PathBuf> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Unset => Some(None),
            value => std::path::PathBuf::from_value(value).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: ValueKind = ValueKind::Millis { min: DurationMs(1), max: DurationMs::hours(48), off: true };
    const SIZE: ValueKind = ValueKind::Bytes { min: 1, max: 1 << 40 };

    #[test]
    fn spans_and_sizes_are_read_with_and_without_a_unit() {
        for (text, ms) in
            [("100", 100), ("100ms", 100), ("30s", 30_000), ("5 m", 300_000), ("1h", 3_600_000), ("2d", 172_800_000)]
        {
            assert_eq!(SPAN.parse(text), Ok(Value::Millis(Some(DurationMs(ms)))), "{text}");
        }
        assert_eq!(SPAN.parse("off"), Ok(Value::Millis(None)));
        for (text, bytes) in [("7", 7), ("7B", 7), ("64KiB", 65_536), ("16 MiB", 16 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(SIZE.parse(text), Ok(Value::Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_what_would() {
        for (kind, text, part) in [
            (SPAN, "0", "from 1 to"),
            (SPAN, "3d", "from 1 to"),
            (SPAN, "5 minutes", "500ms"),
            (SPAN, "-1", "milliseconds"),
            (SPAN, "99999999999999999999", "milliseconds"),
            (SPAN, "99999999999999999d", "milliseconds"),
            (SIZE, "1kb", "64KiB"),
            (SIZE, "0", "bytes"),
            (ValueKind::Millis { min: DurationMs(1), max: DurationMs(9), off: false }, "off", "milliseconds"),
            (ValueKind::Switch, "yes", "true or false"),
            (ValueKind::Integer { min: 1, max: 64 }, "65", "from 1 to 64"),
            (ValueKind::Integer { min: 1, max: 64 }, "1.5", "from 1 to 64"),
            (ValueKind::OneOf(&["json", "text"]), "xml", "json, text"),
            (ValueKind::Listen, "9464", "127.0.0.1:9464"),
        ] {
            let problem = kind.parse(text).unwrap_err();
            assert!(problem.contains(part) && problem.contains(text), "{problem}");
        }
    }

    #[test]
    fn the_variable_follows_from_the_name() {
        let spec = Spec::new("inputs.chat-saved.topic", ValueKind::Text, "", "");
        assert_eq!(spec.variable(), "STREAMFLEET_INPUTS_CHAT_SAVED_TOPIC");
    }
}
