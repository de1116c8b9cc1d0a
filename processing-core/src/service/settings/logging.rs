//! Log lines.
//!
//! Invariant: no setting makes the log show payloads or keys.

use std::str::FromStr as _;

use super::{SettingsError, Spec, ValueKind, Values};

const LEVEL: ValueKind = ValueKind::Checked {
    wants: "error, warn, info, debug, trace or off, also by module: info,processing_core::service=debug",
    check: is_level,
};

pub(super) const SPECS: &[Spec] = &[
    Spec::new(
        "log.format",
        ValueKind::OneOf(&["auto", "json", "text"]),
        "auto",
        "Form of the log's lines; auto: text on a terminal, JSON elsewhere",
    )
    .aliases(&["LOG_FORMAT"]),
    Spec::new("log.level", LEVEL, "info", "How much is logged").aliases(&["LOG_LEVEL"]),
];

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Log lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggingSettings {
    /// `log.format`.
    pub format: LogFormat,
    /// `log.level`, in the form that tracing's filter takes.
    pub level: String,
}

impl LoggingSettings {
    pub(super) fn read(values: &Values) -> Result<Self, SettingsError> {
        let format = match values.get::<String>("log.format")?.as_str() {
            "json" => LogFormat::Json,
            "text" => LogFormat::Text,
            _ => LogFormat::Auto,
        };
        Ok(Self { format, level: values.get("log.level")? })
    }
}

/// A bare word would be taken for a module's name by the filter: `inof` must not silence the log.
fn is_level(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let bare_words_fit = text.split(',').all(|part| part.contains('=') || LEVELS.contains(&part.trim()));
    bare_words_fit && tracing_subscriber::filter::Targets::from_str(text).is_ok()
}
