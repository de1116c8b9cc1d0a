//! A record as a line of JSON: what `read` prints and `publish --records` takes.
//!
//! ```json
//! {"partition":1,"offset":7,"timestamp":1760000000000,"key":"u1","value":{"a":1},"headers":{"h":"x"}}
//! ```
//!
//! Values that are JSON stand as they are, other text as a string, other bytes as `{"$base16": "…"}`.
//! Invariant: what was printed and is published again has the same bytes, but for spaces within JSON.

use processing_core::batch::{HeaderBuffer, RecordBatch, RecordRef};
use processing_core::error::CoreError;
use processing_core::record::{LogTime, Offset, Partition};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Bytes in one of their three spellings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bytes(Vec<u8>);

impl Bytes {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A record to be published, or as it was read.
#[derive(Debug, Default)]
pub(crate) struct RecordLine {
    pub(crate) place: Option<(Partition, Offset)>,
    pub(crate) timestamp: Option<LogTime>,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: HeaderBuffer,
}

/// Strict, so that a plain value is not taken for a record without one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    partition: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    timestamp: Option<i64>,
    #[serde(default)]
    key: Value,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    headers: Map<String, Value>,
}

impl RecordLine {
    /// A record of the log.
    pub(crate) fn of(partition: Partition, record: RecordRef<'_>) -> Self {
        Self {
            place: Some((partition, record.offset)),
            timestamp: Some(record.timestamp),
            key: record.key.map(Bytes::new),
            value: record.value.map(Bytes::new),
            headers: HeaderBuffer::from_headers(record.headers),
        }
    }

    /// Reads a line that [`Self::write`] wrote, or that a person wrote alike.
    pub(crate) fn parse(line: &str) -> Result<Self, serde_json::Error> {
        if !line.trim_start().starts_with('{') {
            // A list would be read as the fields in their order.
            return Err(serde::de::Error::custom("expected an object"));
        }
        let wire: Wire<'_> = serde_json::from_str(line)?;
        let mut headers = HeaderBuffer::default();
        for (name, value) in &wire.headers {
            headers.push(name, read_bytes(value).as_ref().map(Bytes::bytes));
        }
        let value = match wire.value.map(RawValue::get) {
            None | Some("null") => None,
            // A string stands for its text, and an object may stand for bytes; anything else for itself.
            Some(raw) => match serde_json::from_str::<Value>(raw)? {
                value @ Value::String(_) => read_bytes(&value),
                Value::Object(fields) if fields.contains_key(BASE16) => read_bytes(&Value::Object(fields)),
                _ => Some(Bytes::new(raw)),
            },
        };
        Ok(Self { place: None, timestamp: wire.timestamp.map(LogTime), key: read_bytes(&wire.key), value, headers })
    }

    /// Appends the line with its end.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), CoreError> {
        let failed =
            |error: serde_json::Error| CoreError::config(format!("a record cannot be written as JSON: {error}"));
        let mut headers = Map::new();
        for (name, value) in self.headers.as_headers().iter() {
            headers.insert(name.to_owned(), show_bytes(value));
        }
        let raw;
        let value = match &self.value {
            None => None,
            Some(value) => {
                raw = raw_value(value.bytes()).map_err(failed)?;
                Some(&*raw)
            }
        };
        let wire = Wire {
            partition: self.place.map(|(partition, _)| partition.0),
            offset: self.place.map(|(_, offset)| offset.0),
            timestamp: self.timestamp.map(|time| time.0),
            key: show_bytes(self.key.as_ref().map(Bytes::bytes)),
            value,
            headers,
        };
        serde_json::to_writer(&mut *out, &wire).map_err(failed)?;
        out.push(b'\n');
        Ok(())
    }

    /// Appends the record to a batch.
    pub(crate) fn push(&self, now: LogTime, batch: &mut RecordBatch) {
        batch.push(RecordRef {
            offset: Offset::ZERO,
            timestamp: self.timestamp.unwrap_or(now),
            key: self.key.as_ref().map(Bytes::bytes),
            value: self.value.as_ref().map(Bytes::bytes),
            headers: self.headers.as_headers(),
        });
    }

    /// About its size, in bytes.
    pub(crate) fn size(&self) -> usize {
        let part = |part: &Option<Bytes>| part.as_ref().map_or(0, |bytes| bytes.bytes().len());
        part(&self.key) + part(&self.value) + self.headers.as_headers().0.len() + 64
    }
}

const BASE16: &str = "$base16";

fn show_bytes(bytes: Option<&[u8]>) -> Value {
    match bytes.map(std::str::from_utf8) {
        None => Value::Null,
        Some(Ok(text)) => Value::String(text.to_owned()),
        Some(Err(_)) => base16(bytes.unwrap_or_default()),
    }
}

pub(crate) fn base16(bytes: &[u8]) -> Value {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Value::Object(Map::from_iter([(BASE16.to_owned(), Value::String(digits))]))
}

fn read_bytes(value: &Value) -> Option<Bytes> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Bytes::new(text.as_bytes())),
        Value::Object(fields) => match fields.get(BASE16).and_then(Value::as_str).and_then(from_base16) {
            Some(bytes) => Some(Bytes(bytes)),
            None => Some(Bytes::new(value.to_string())),
        },
        other => Some(Bytes::new(other.to_string())),
    }
}

fn from_base16(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok().filter(|_| pair.len() == 2)).collect()
}

/// JSON on one line as it is; other text as a string; other bytes in base 16.
fn raw_value(bytes: &[u8]) -> Result<Box<RawValue>, serde_json::Error> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let ambiguous = |text: &str| matches!(text.as_bytes().first(), Some(b'"')) || text.contains(BASE16);
        if !text.contains(['\n', '\r'])
            && text != "null"
            && !ambiguous(text)
            && let Ok(raw) = RawValue::from_string(text.to_owned())
        {
            return Ok(raw);
        }
        return serde_json::value::to_raw_value(text);
    }
    serde_json::value::to_raw_value(&base16(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_reads_as_the_same_bytes() {
        for value in [
            &b"{\"a\":1}"[..],
            b"{\"a\":1.0000000000000000001}",
            b"plain text",
            b"two\nlines",
            b"\"quoted\"",
            b"null",
            b"",
            b"\xff\x00",
            b"{\"$base16\":\"00\"}",
            b"[1,2",
        ] {
            let line = RecordLine {
                value: Some(Bytes::new(value)),
                key: Some(Bytes::new(&b"\xfe"[..])),
                ..Default::default()
            };
            let mut out = Vec::new();
            line.write(&mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            let read = RecordLine::parse(&text).unwrap();
            assert_eq!(read.value, line.value, "{text}");
            assert_eq!(read.key, line.key);
        }
        for other in ["[1]", "1", "{\"user\":7}"] {
            assert!(RecordLine::parse(other).is_err(), "{other}");
        }
        let none = RecordLine::parse("{\"key\":null,\"value\":null}").unwrap();
        assert_eq!((none.key, none.value), (None, None));
    }
}
