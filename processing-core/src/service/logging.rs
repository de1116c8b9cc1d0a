//! Log lines: one JSON object each, or text for people.
//!
//! Not here: what is logged. Payloads and keys are never to be handed to a log; should it happen by a
//! field's name, the value is hidden here.
//! Invariant: a line is one line, its fields are bounded, and its time is UTC.
//!
//! ```json
//! {"ts":"2026-11-21T10:15:00.120Z","level":"WARN","msg":"a topic is missing","target":"…","topic":"a"}
//! ```

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value};
use thiserror::Error;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::settings::{LogFormat, LoggingSettings};
use crate::clock::Clock;
use crate::error::CoreError;
use crate::limits::LOG_FIELD_BYTES_MAX;

/// Fields whose values may be somebody's data.
const HIDDEN: &[&str] = &["payload", "value", "key", "body", "headers", "record", "password", "secret", "token"];

/// The log cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoggingError {
    /// The filter in `log.level` is not understood.
    #[error("`log.level`: {0}")]
    Level(String),
    /// Something in this process has set up a log before.
    #[error("the log is set up already")]
    Twice,
}

impl From<LoggingError> for CoreError {
    fn from(error: LoggingError) -> Self {
        Self::config(error.to_string())
    }
}

/// Sends all log lines of the process to the standard output, or to the standard error where the
/// output belongs to somebody else (a table, piped records).
pub fn start(settings: &LoggingSettings, to_stderr: bool, clock: Arc<dyn Clock>) -> Result<(), LoggingError> {
    let terminal = if to_stderr { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
    let set = if to_stderr {
        tracing::subscriber::set_global_default(subscriber(settings, terminal, clock, std::io::stderr)?)
    } else {
        tracing::subscriber::set_global_default(subscriber(settings, terminal, clock, std::io::stdout)?)
    };
    set.map_err(|_| LoggingError::Twice)
}

/// The same for any writer; `terminal` decides where the format is `auto`.
pub fn subscriber<W>(
    settings: &LoggingSettings,
    terminal: bool,
    clock: Arc<dyn Clock>,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + 'static, LoggingError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(&settings.level).map_err(|e| LoggingError::Level(e.to_string()))?;
    let json = match settings.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    Ok(tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .fmt_fields(JsonFields::new())
        .event_format(Line { json, clock })
        .finish())
}

/// Writes one event.
struct Line {
    json: bool,
    clock: Arc<dyn Clock>,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> tracing_subscriber::fmt::FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        // From the root to the leaf, so that what is nearer to the event wins.
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let Some(text) = extensions.get::<FormattedFields<N>>() else {
                continue;
            };
            if let Ok(Value::Object(of_span)) = serde_json::from_str(&text.fields) {
                for (name, value) in of_span {
                    fields.put(&name, value);
                }
            }
        }
        event.record(&mut fields);
        let time = DateTime::from_timestamp_millis(self.clock.now().0).unwrap_or_default();
        let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let (level, target) = (event.metadata().level(), event.metadata().target());
        let message = fields.message;
        if self.json {
            let own = [("ts", time.as_str()), ("level", level.as_str()), ("msg", &message), ("target", target)];
            for (at, (name, text)) in own.iter().enumerate() {
                let before = if at == 0 { '{' } else { ',' };
                write!(writer, "{before}\"{name}\":{}", Value::from(*text))?;
            }
            for (name, value) in fields.others {
                // A field that is called as one of the line's own must not take its place.
                let taken = own.iter().any(|(own, _)| *own == name);
                let name = Value::from(if taken { format!("field.{name}") } else { name });
                write!(writer, ",{name}:{value}")?;
            }
            return writeln!(writer, "}}");
        }
        write!(writer, "{time} {level:>5} {}", one_line(&message))?;
        for (name, value) in &fields.others {
            match value {
                Value::String(text) => write!(writer, " {name}={}", one_line(text))?,
                value => write!(writer, " {name}={value}")?,
            }
        }
        writeln!(writer, " ({target})")
    }
}

/// Text in which no line ends.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, name: &str, value: Value) {
        let value = match value {
            _ if HIDDEN.contains(&name) => Value::from("(hidden)"),
            Value::String(text) => Value::String(bounded(text)),
            value => value,
        };
        match value {
            Value::String(text) if name == "message" => self.message = text,
            value => {
                self.others.insert(name.to_owned(), value);
            }
        }
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > LOG_FIELD_BYTES_MAX {
        let mut cut = LOG_FIELD_BYTES_MAX;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        text.truncate(cut);
        text.push('…');
    }
    text
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use super::*;
    use crate::clock::ManualClock;
    use crate::record::WallTime;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str, log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let settings = LoggingSettings { format, level: level.into() };
        let clock = Arc::new(ManualClock::at(WallTime(1_795_256_100_120)));
        let writer = kept.clone();
        let subscriber = subscriber(&settings, true, clock, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_json_line_has_time_level_message_target_and_fields() {
        let text = logged(LogFormat::Json, "info", || {
            let span = tracing::info_span!("task", task = "0_3", topic = "outer");
            let _in = span.enter();
            tracing::warn!(topic = "a", offset = 7_u64, ok = false, level = "mine", "gone {}", 1);
            tracing::debug!("not shown");
        });
        assert!(
            text.starts_with(r#"{"ts":"2026-11-21T10:15:00.120Z","level":"WARN","msg":"gone 1","target":"#),
            "{text}"
        );
        let line: Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(
            line,
            serde_json::json!({
                "ts": "2026-11-21T10:15:00.120Z", "level": "WARN", "msg": "gone 1",
                "target": "processing_core::service::logging::tests",
                "task": "0_3", "topic": "a", "offset": 7, "ok": false, "field.level": "mine",
            })
        );
    }

    #[test]
    fn payloads_are_hidden_and_long_fields_cut() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let text = logged(format, "info", || {
                tracing::info!(payload = "Lisboa", key = ?b"Lisboa", why = "é".repeat(10_000), "x\ny");
            });
            assert!(!text.contains("Lisboa") && text.contains("(hidden)"), "{text}");
            assert!(text.len() < LOG_FIELD_BYTES_MAX + 300, "{}", text.len());
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }

    #[test]
    fn text_is_for_people_and_levels_are_by_module() {
        let text = logged(LogFormat::Auto, "off,processing_core=debug", || {
            tracing::debug!(partition = 3, "restored");
            tracing::error!(target: "elsewhere", "not shown");
        });
        assert_eq!(
            text,
            "2026-11-21T10:15:00.120Z DEBUG restored partition=3 (processing_core::service::logging::tests)\n"
        );
    }
}
