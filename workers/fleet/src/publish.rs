//! `streamfleet publish`: lines become records.
//!
//! Invariant: memory is bounded by the chunk, not by the input; at an error it says how many records
//! are in the log.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal as _};
use std::path::PathBuf;

use clap::Args;
use processing_core::error::CoreError;
use processing_core::record::TopicName;
use serde_json::Value;

use crate::door::{self, CHUNK_BYTES, Door};
use crate::folder::{DataFolder, refused};
use crate::lines::lines;
use crate::record_line::{Bytes, RecordLine};

/// Publish lines to a topic, also into a running demo
///
/// Each line is a record's value. With `--records` each line is a record as `streamfleet read` prints it.
#[derive(Args)]
pub(crate) struct Publish {
    /// The topic; it is made if there is none
    topic: String,
    /// The file; without it, the standard input
    file: Option<PathBuf>,
    #[command(flatten)]
    data: DataFolder,
    /// Field of the value that is the record's key, as a path such as payload.user_id
    #[arg(long, value_name = "PATH")]
    key: Option<String>,
    /// Lines are whole records with key, value, timestamp and headers
    #[arg(long, conflicts_with = "key")]
    records: bool,
}

impl Publish {
    pub(crate) fn run(self) -> Result<(), CoreError> {
        let topic = door::topic_name(&self.topic)?;
        let input: Box<dyn BufRead> = match &self.file {
            Some(path) => Box::new(BufReader::new(File::open(path).map_err(|error| refused("open", path, &error))?)),
            None => {
                if std::io::stdin().is_terminal() {
                    eprintln!("type one record a line; Ctrl-D ends");
                }
                Box::new(BufReader::new(std::io::stdin()))
            }
        };
        let door = Door::find(&self.data.log()?)?;
        let name = self.file.as_ref().map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
        let wrong = |number: u64, why: String| CoreError::Usage(format!("{name} line {number}: {why}"));
        let records = lines(input, name.clone()).map(|line| {
            let (number, line) = line?;
            self.record(&line).map_err(|why| wrong(number, why))
        });
        Sending::new(door, topic).all(records, |_| {})
    }

    fn record(&self, line: &str) -> Result<RecordLine, String> {
        if self.records {
            return RecordLine::parse(line).map_err(|error| format!("not a record as `read` prints it: {error}"));
        }
        let key = match &self.key {
            None => None,
            Some(path) => {
                let value: Value =
                    serde_json::from_str(line).map_err(|error| format!("no JSON to take a key from: {error}"))?;
                let found = path.split('.').try_fold(&value, |at, field| at.get(field));
                match found.ok_or_else(|| format!("there is no field {path}"))? {
                    Value::String(text) => Some(Bytes::new(text.as_bytes())),
                    other => Some(Bytes::new(other.to_string())),
                }
            }
        };
        Ok(RecordLine { key, value: Some(Bytes::new(line)), ..RecordLine::default() })
    }
}

/// Records on their way, a chunk at a time.
pub(crate) struct Sending {
    door: Door,
    topic: TopicName,
    chunk: Vec<RecordLine>,
    bytes: usize,
    /// Records that are in the log.
    sent: u64,
}

impl Sending {
    pub(crate) fn new(door: Door, topic: TopicName) -> Self {
        Self { door, topic, chunk: Vec::new(), bytes: 0, sent: 0 }
    }

    /// Sends records up to the first bad one, which is then the error, and says how many are in the log.
    /// `passed` is told whenever that number has grown.
    pub(crate) fn all(
        mut self,
        records: impl Iterator<Item = Result<RecordLine, CoreError>>,
        mut passed: impl FnMut(u64),
    ) -> Result<(), CoreError> {
        let mut sent = Ok(());
        for record in records {
            let before = self.sent;
            sent = record.and_then(|record| self.push(record));
            if sent.is_err() {
                break;
            }
            if self.sent > before {
                passed(self.sent);
            }
        }
        // What stands before a bad line is good.
        let flushed = self.flush();
        eprintln!("{} published to {}", door::records(self.sent), self.topic);
        sent.and(flushed)
    }

    fn push(&mut self, record: RecordLine) -> Result<(), CoreError> {
        self.bytes += record.size();
        self.chunk.push(record);
        if self.bytes >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    /// A chunk is never sent twice, also when nobody knows what became of it.
    fn flush(&mut self) -> Result<(), CoreError> {
        let chunk = std::mem::take(&mut self.chunk);
        self.bytes = 0;
        if !chunk.is_empty() {
            self.door.send(&self.topic, &chunk)?;
            self.sent += chunk.len() as u64;
        }
        Ok(())
    }
}
