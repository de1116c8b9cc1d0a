//! `streamfleet replay`: a table of any size becomes records of a topic.
//!
//! Each row of a CSV file, or each line of a JSON lines file, is mapped to a JSON object. The log
//! timestamp follows the rows' own `timestamp` ([`crate::row_clock`]), so that a year that is replayed in a
//! minute is not from the future. Invariant: memory is bounded by a chunk; rows that cannot be read are named and end it.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::Args;
use events::field::{Field, Scalar as _};
use events::timestamp::Timestamp;
use indicatif::{ProgressBar, ProgressStyle};
use processing_core::error::CoreError;
use processing_core::record::LogTime;
use serde_json::{Map, Value};

use crate::door::{self, Door};
use crate::folder::{DataFolder, refused};
use crate::lines::{LINE_BYTES_MAX, lines, too_long};
use crate::publish::Sending;
use crate::record_line::{Bytes, RecordLine};
use crate::row_clock::RowClock;

/// Publish a CSV or JSON lines file as events of a topic
///
/// Without --map each row becomes an object as it is. With it, an object of the mapped fields only:
///
///   streamfleet replay searches.csv --topic search.executed --set event_type=search.executed
///     --map event_id=id --map timestamp=at --map payload.city=city --map payload.user_id=user
///
/// for a file with the columns id, at, city and user.
#[derive(Args)]
pub(crate) struct Replay {
    /// The file; `.csv` with a header line, anything else is JSON lines
    file: PathBuf,
    /// The topic; it is made if there is none
    #[arg(long, value_name = "TOPIC")]
    topic: String,
    /// A field of the event and the column or path of the row that it is taken from
    #[arg(long, value_name = "FIELD=PATH", value_parser = pair)]
    map: Vec<(String, String)>,
    /// A field of the event and its value in every event
    #[arg(long, value_name = "FIELD=TEXT", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Field of the event that is the record's key
    #[arg(long, value_name = "FIELD")]
    key: Option<String>,
    #[command(flatten)]
    data: DataFolder,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (field, path) = text.split_once('=').ok_or("takes FIELD=PATH")?;
    Ok((field.to_owned(), path.to_owned()))
}

impl Replay {
    pub(crate) fn run(self) -> Result<(), CoreError> {
        let topic = door::topic_name(&self.topic)?;
        let file = File::open(&self.file).map_err(|error| refused("open", &self.file, &error))?;
        let length = file.metadata().map_err(|error| refused("look at", &self.file, &error))?.len();
        let bar = ProgressBar::new(length);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:40} {percent:>3} %  {bytes} of {total_bytes}  {msg}  {eta} left")
        {
            bar.set_style(style);
        }
        let door = Door::find(&self.data.log()?)?;
        let file = BufReader::new(bar.wrap_read(file));
        let rows: Box<dyn Iterator<Item = Result<Value, CoreError>>> = if is_csv(&self.file) {
            Box::new(rows(file, &self.file, &self.map))
        } else {
            Box::new(objects(file, &self.file))
        };
        let mut clock = RowClock::default();
        let mut rows = rows.map(|row| Ok(self.record(row?))).peekable();
        let records = std::iter::from_fn(|| {
            let row = rows.next()?;
            let next = rows.peek().and_then(|next| next.as_ref().ok()).and_then(|next: &RecordLine| next.timestamp);
            Some(row.map(|row| RecordLine { timestamp: clock.stamp(row.timestamp, next), ..row }))
        });
        let sent = Sending::new(door, topic).all(records, |sent| bar.set_message(door::records(sent)));
        bar.finish_and_clear();
        if clock.disbelieved > 0 {
            eprintln!(
                "{} lie more than an hour ahead of the rows around them: their log time is that of the rows before, \
                 and a worker sets them aside as `future`",
                door::records(clock.disbelieved)
            );
        }
        sent
    }

    /// A row's record, with the row's own time.
    fn record(&self, row: Value) -> RecordLine {
        let mut event = if self.map.is_empty() { row } else { self.mapped(&row) };
        for (field, text) in &self.set {
            put(&mut event, field, Value::String(text.clone()));
        }
        let time = event.get("timestamp").and_then(timestamp).map(|Timestamp(time)| LogTime(time.0));
        let key = self.key.as_deref().and_then(|field| at(&event, field)).map(|key| match key {
            Value::String(text) => Bytes::new(text.as_bytes()),
            other => Bytes::new(other.to_string()),
        });
        RecordLine { timestamp: time, key, value: Some(Bytes::new(event.to_string())), ..RecordLine::default() }
    }

    fn mapped(&self, row: &Value) -> Value {
        let mut event = Value::Object(Map::new());
        for (field, path) in &self.map {
            if let Some(value) = at(row, path) {
                put(&mut event, field, value.clone());
            }
        }
        event
    }
}

fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"))
}

/// The rows of a CSV file, whose header must have the columns that `map` names.
fn rows(
    file: impl std::io::Read,
    path: &Path,
    map: &[(String, String)],
) -> impl Iterator<Item = Result<Value, CoreError>> {
    let path = path.to_owned();
    let taken = Rc::new(Cell::new(0));
    let mut reader = csv::ReaderBuilder::new().from_reader(Bounded { file, taken: Rc::clone(&taken) });
    let headers = reader.headers().cloned();
    let name = path.display().to_string();
    let wrong = move |error: csv::Error| CoreError::Usage(format!("{}: {error}", path.display()));
    let (headers, first) = match headers.map_err(&wrong) {
        Ok(headers) => {
            let absent = map.iter().find(|(_, column)| !headers.iter().any(|there| there == column));
            let refused = absent.map(|(field, column)| {
                let there = headers.iter().collect::<Vec<_>>().join(", ");
                Err(CoreError::Usage(format!(
                    "{name} has no column {column}, which --map {field}={column} names; it has {there}"
                )))
            });
            (headers, refused)
        }
        Err(error) => (csv::StringRecord::new(), Some(Err(error))),
    };
    let mut row = csv::StringRecord::new();
    let rows = std::iter::from_fn(move || {
        let line = reader.position().line();
        taken.set(0);
        match reader.read_record(&mut row) {
            Ok(false) => None,
            Ok(true) => {
                let fields = headers.iter().zip(row.iter()).filter(|(_, text)| !text.is_empty());
                Some(Ok(Value::Object(fields.map(|(name, text)| (name.to_owned(), cell(text))).collect())))
            }
            Err(_) if taken.get() > LINE_BYTES_MAX => Some(Err(too_long(&name, line))),
            Err(error) => Some(Err(wrong(error))),
        }
    });
    first.into_iter().chain(rows)
}

/// A file that ends with an error where one row has taken too much of it: an open quote would make the rest
/// of any file a single row.
struct Bounded<R> {
    file: R,
    /// Bytes since the last row, and what the reader above had gathered ahead.
    taken: Rc<Cell<u64>>,
}

impl<R: std::io::Read> std::io::Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.taken.get() > LINE_BYTES_MAX {
            return Err(std::io::Error::other("the row is too long"));
        }
        let bytes = self.file.read(buffer)?;
        self.taken.set(self.taken.get() + bytes as u64);
        Ok(bytes)
    }
}

/// A number if the text is exactly how one is written, so that `007` stays text.
fn cell(text: &str) -> Value {
    let number = serde_json::from_str::<serde_json::Number>(text).ok().filter(|number| number.to_string() == text);
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn objects(file: impl BufRead, path: &Path) -> impl Iterator<Item = Result<Value, CoreError>> {
    let name = path.display().to_string();
    lines(file, name.clone()).filter(|line| !matches!(line, Ok((_, line)) if line.trim().is_empty())).map(move |line| {
        let (number, line) = line?;
        serde_json::from_str(&line).map_err(|error| CoreError::Usage(format!("{name} line {number}: {error}")))
    })
}

/// As the contracts read it: RFC 3339, epoch seconds or epoch milliseconds.
fn timestamp(value: &Value) -> Option<Timestamp> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    match Timestamp::from_text(&text) {
        Field::Given(time) => Some(time),
        _ => None,
    }
}

fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    // A column may have dots in its name.
    value.get(path).or_else(|| path.split('.').try_fold(value, |at, field| at.get(field)))
}

fn put(event: &mut Value, path: &str, value: Value) {
    let mut place = event;
    for field in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(fields) = place else { return };
        place = fields.entry(field).or_insert(Value::Null);
    }
    *place = value;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_mapped_into_nested_fields() {
        let replay = Replay {
            file: PathBuf::new(),
            topic: String::new(),
            map: vec![("payload.city".into(), "dest".into()), ("timestamp".into(), "at.time".into())],
            set: vec![("event_type".into(), "search.executed".into())],
            key: Some("payload.city".into()),
            data: clap_data(),
        };
        let record = replay.record(json!({"dest": "LIS", "at": {"time": 1_760_000_000_000_i64}, "x": 1}));
        let value: Value = serde_json::from_slice(record.value.unwrap().bytes()).unwrap();
        let wanted =
            json!({"payload": {"city": "LIS"}, "timestamp": 1_760_000_000_000_i64, "event_type": "search.executed"});
        assert_eq!(value, wanted);
        assert_eq!(record.key.unwrap().bytes(), b"LIS");
        assert_eq!(record.timestamp, Some(LogTime(1_760_000_000_000)));
    }

    #[test]
    fn cells_are_numbers_only_where_they_are_written_as_such() {
        assert_eq!(cell("12"), json!(12));
        assert_eq!(cell("007"), json!("007"));
        assert_eq!(cell("1.50"), json!("1.50"));
        assert_eq!(cell("NA"), json!("NA"));
    }

    #[test]
    fn an_open_quote_does_not_take_the_rest_of_the_file_into_memory() {
        let mut table = b"a,b\n1,2\n3,\"4\n".to_vec();
        table.resize(LINE_BYTES_MAX as usize * 2, b'x');
        let mut rows = rows(&*table, Path::new("t.csv"), &[]).take(9);
        assert_eq!(rows.next().unwrap().unwrap(), json!({"a": 1, "b": 2}));
        let told = rows.next().unwrap().unwrap_err().to_string();
        assert_eq!(told, "t.csv line 3: longer than 16 MiB, which no record can be");
    }

    fn clap_data() -> DataFolder {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            data: DataFolder,
        }
        <Line as clap::Parser>::parse_from(["x"]).data
    }
}
