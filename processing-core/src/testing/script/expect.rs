//! What has come out, and what a script expects of it.
//!
//! Not here: making it come out. Invariant: only committed records are looked at.

use std::collections::BTreeMap;

use serde_json::Value;

use super::line::{Fields, hex};
use crate::batch::Headers;
use crate::log::memory::{MemoryLog, OwnedRecord};
use crate::record::TopicName;
use crate::word::Finality;

/// What a line expects of a record's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expected {
    /// This JSON, however it is written.
    Json(Value),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// How far each output has been read by expectations.
#[derive(Default)]
pub(super) struct Reader {
    read: BTreeMap<TopicName, Vec<usize>>,
}

impl Reader {
    /// The records of a topic that no line has expected yet, the first of each partition first.
    fn heads(&mut self, log: &MemoryLog, topic: &TopicName) -> Vec<(usize, OwnedRecord)> {
        let partitions = log.committed_records(topic);
        let read = self.read.entry(topic.clone()).or_default();
        read.resize(partitions.len().max(read.len()), 0);
        let heads = partitions.into_iter().zip(read.iter()).enumerate();
        heads.filter_map(|(number, (records, at))| Some((number, records.into_iter().nth(*at)?))).collect()
    }

    /// Takes the next record of some partition for which `fits` answers nothing; otherwise what was wrong.
    pub(super) fn take(
        &mut self,
        log: &MemoryLog,
        topic: &TopicName,
        fits: impl Fn(&OwnedRecord) -> bool,
    ) -> Result<(), String> {
        let heads = self.heads(log, topic);
        match heads.iter().find(|(_, record)| fits(record)) {
            Some((partition, _)) => {
                if let Some(read) = self.read.get_mut(topic).and_then(|read| read.get_mut(*partition)) {
                    *read += 1;
                }
                Ok(())
            }
            None if heads.is_empty() => Err(format!("found in {topic}: nothing")),
            None => {
                let shown: Vec<_> = heads.iter().map(|(partition, record)| show(topic, *partition, record)).collect();
                Err(shown.join("\n"))
            }
        }
    }

    /// Takes all that no line has expected, partition by partition.
    pub(super) fn rest(&mut self, log: &MemoryLog, topic: &TopicName) -> Vec<OwnedRecord> {
        let partitions = log.committed_records(topic);
        let read = self.read.entry(topic.clone()).or_default();
        read.resize(partitions.len().max(read.len()), 0);
        let mut rest = Vec::new();
        for (records, read) in partitions.into_iter().zip(read) {
            let from = std::mem::replace(read, records.len());
            rest.extend(records.into_iter().skip(from));
        }
        rest
    }

    /// What lies in a topic that no line has expected.
    pub(super) fn unexpected(&mut self, log: &MemoryLog, topic: &TopicName) -> Option<String> {
        let heads = self.heads(log, topic);
        let (partition, record) = heads.first()?;
        Some(show(topic, *partition, record))
    }
}

/// Whether a record's value is the expected one.
pub(super) fn value_fits(record: &OwnedRecord, expected: &Expected, fields: Fields) -> bool {
    let expected = match expected {
        Expected::Json(value) => value,
        Expected::Bytes(bytes) => return record.value.as_ref() == Some(bytes),
    };
    let Some(bytes) = &record.value else { return expected.is_null() };
    let Ok(found) = serde_json::from_slice::<Value>(bytes) else { return false };
    match fields {
        Fields::All => found == *expected,
        Fields::Named => holds(&found, expected),
    }
}

fn holds(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| found.get(name).is_some_and(|found| holds(found, value)))
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(found, value)| holds(found, value))
        }
        _ => found == expected,
    }
}

/// Whether a record's key is the expected one: as text, or as a whole number of any width.
pub(super) fn key_fits(record: &OwnedRecord, expected: &str) -> bool {
    let Some(key) = &record.key else { return expected == "-" };
    if key == expected.as_bytes() || hex(expected).is_some_and(|bytes| bytes == *key) {
        return true;
    }
    let Ok(number) = expected.parse::<i128>() else { return false };
    let width = key.len();
    if width > 16 || width == 0 {
        return false;
    }
    let tail = |bytes: [u8; 16]| bytes[16 - width..].to_vec();
    let signed = number ^ (1_i128 << (width * 8 - 1));
    tail(number.to_be_bytes()) == *key || tail(signed.to_be_bytes()) == *key
}

/// The reason of a dead letter.
pub(super) fn reason(record: &OwnedRecord) -> Option<String> {
    let reason = Headers(&record.headers).last("__streams.errors.exception")?;
    Some(String::from_utf8_lossy(reason).into_owned())
}

fn show(topic: &TopicName, partition: usize, record: &OwnedRecord) -> String {
    let (key, value) = (show_key(record.key.as_deref()), show_value(record.value.as_deref()));
    let reason = reason(record).map_or_else(String::new, |reason| format!(" ({reason})"));
    format!("found in {topic}/{partition}: {key} {value}{reason}")
}

pub(super) fn show_value(value: Option<&[u8]>) -> String {
    value.map_or_else(|| "~".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn show_key(key: Option<&[u8]>) -> String {
    match key.map(std::str::from_utf8) {
        None => "-".to_owned(),
        Some(Ok(text)) if !text.contains(|c: char| c.is_control()) => text.to_owned(),
        _ => {
            let hex: Vec<_> = key.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
            format!("0x{}", hex.concat())
        }
    }
}

/// Everything that one run has put out.
pub(super) struct Outputs(Vec<(TopicName, Finality, ByKey)>);

/// Per partition and key the values in order.
type ByKey = BTreeMap<(usize, Option<Vec<u8>>), Vec<Option<Vec<u8>>>>;

impl Outputs {
    pub(super) fn of(log: &MemoryLog, topics: impl IntoIterator<Item = (TopicName, Finality)>) -> Self {
        let topics = topics.into_iter().map(|(topic, finality)| {
            let mut by_key = ByKey::new();
            for (partition, records) in log.committed_records(&topic).into_iter().enumerate() {
                for record in records {
                    let values = by_key.entry((partition, record.key)).or_default();
                    if finality == Finality::Update {
                        values.clear();
                    }
                    values.push(record.value);
                }
            }
            (topic, finality, by_key)
        });
        Self(topics.collect())
    }

    /// Where another run's outputs are not these.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        for ((topic, _, here), (_, _, there)) in self.0.iter().zip(&other.0) {
            for place in here.keys().chain(there.keys()) {
                let (a, b) = (here.get(place), there.get(place));
                if a != b {
                    let (partition, key) = place;
                    return Some(format!(
                        "outputs differ in {topic}/{partition} under key {}:\n  as written: {}\n  this run:   {}",
                        show_key(key.as_deref()),
                        show_values(a),
                        show_values(b)
                    ));
                }
            }
        }
        None
    }
}

fn show_values(values: Option<&Vec<Option<Vec<u8>>>>) -> String {
    let Some(values) = values else { return "nothing".to_owned() };
    let shown: Vec<_> = values.iter().map(|value| show_value(value.as_deref())).collect();
    shown.join(", ")
}
