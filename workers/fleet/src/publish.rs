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

use crate::door::{CHUNK_BYTES, Door};
use crate::folder::{DataFolder, refused};
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
        let door = Door::find(&self.data.log()?)?;
        let topic = TopicName::new(&self.topic);
        let input: Box<dyn BufRead> = match &self.file {
            Some(path) => Box::new(BufReader::new(File::open(path).map_err(|error| refused("open", path, &error))?)),
            None => {
                if std::io::stdin().is_terminal() {
                    eprintln!("type one record a line; Ctrl-D ends");
                }
                Box::new(BufReader::new(std::io::stdin()))
            }
        };
        let (mut chunk, mut bytes, mut sent) = (Vec::new(), 0, 0_u64);
        let mut send = |chunk: &mut Vec<RecordLine>| {
            door.send(&topic, chunk).inspect_err(|_| eprintln!("{sent} records are in {topic}"))?;
            sent += chunk.len() as u64;
            chunk.clear();
            Ok::<(), CoreError>(())
        };
        for (number, line) in (1_u64..).zip(input.lines()) {
            let line = line.map_err(|error| CoreError::Usage(format!("line {number} cannot be read: {error}")))?;
            if line.is_empty() {
                continue;
            }
            let record = self.record(&line).map_err(|why| CoreError::Usage(format!("line {number}: {why}")))?;
            bytes += record.size();
            chunk.push(record);
            if bytes >= CHUNK_BYTES {
                send(&mut chunk)?;
                bytes = 0;
            }
        }
        send(&mut chunk)?;
        eprintln!("{sent} records published to {topic}");
        Ok(())
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
