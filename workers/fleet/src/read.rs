//! `streamfleet read`: records of a topic as lines of JSON.
//!
//! Invariant: only committed records are shown, each once, in offset order within its partition.

use std::io::Write as _;
use std::str::FromStr;
use std::time::Duration;

use chrono::DateTime;
use clap::Args;
use processing_core::batch::RecordBatch;
use processing_core::error::CoreError;
use processing_core::log::{FreeReader, Read as Found};
use processing_core::record::{LogTime, Offset, TopicName, TopicPartition};
use processing_core::service::signals::{self, Shutdown};

use crate::door;
use crate::folder::DataFolder;
use crate::record_line::RecordLine;

/// How often a topic is looked at again when there is nothing new.
const PAUSE: Duration = Duration::from_millis(50);

/// Print the committed records of a topic, one line of JSON each; works while a demo runs
#[derive(Args)]
pub(crate) struct Read {
    /// The topic; `streamfleet topics` lists them
    topic: String,
    #[command(flatten)]
    data: DataFolder,
    /// Where to begin: `beginning`, `end`, an offset of every partition, or a time such as 2026-11-21T08:00:00Z
    #[arg(long, default_value = "beginning", value_name = "WHERE")]
    from: From,
    /// Only this partition
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Go on with what comes in later, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Stop after so many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum From {
    Beginning,
    End,
    Offset(Offset),
    Time(LogTime),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "beginning" => return Ok(Self::Beginning),
            "end" => return Ok(Self::End),
            _ => {}
        }
        if let Ok(offset) = text.parse() {
            return Ok(Self::Offset(Offset(offset)));
        }
        let time = DateTime::parse_from_rfc3339(text)
            .map_err(|_| "takes beginning, end, an offset, or a time such as 2026-11-21T08:00:00Z".to_owned())?;
        Ok(Self::Time(LogTime(time.timestamp_millis())))
    }
}

impl Read {
    pub(crate) fn run(self) -> Result<(), CoreError> {
        let folder = door::existing(self.data.log()?)?;
        let log = door::beside(&folder)?;
        let topic = TopicName::new(&self.topic);
        let Some(info) = log.admin().topic(&topic)? else {
            return Err(CoreError::Usage(format!(
                "there is no topic {topic} in {}; `streamfleet topics` lists those that are there",
                folder.display()
            )));
        };
        let count = info.settings.partitions;
        if let Some(wrong) = self.partition.filter(|partition| *partition >= count) {
            return Err(CoreError::Usage(format!(
                "topic {topic} has no partition {wrong}; its partitions are 0 to {}",
                count.saturating_sub(1)
            )));
        }
        // Ended by a signal, it still removes its scratch folder.
        let shutdown = Shutdown::new();
        signals::listen(&shutdown).map_err(|error| CoreError::config(format!("no signal can be heard: {error}")))?;
        let mut reader = log.reader();
        let partitions = (0..count).filter(|p| self.partition.is_none_or(|only| only == *p));
        let mut places = Vec::new();
        for partition in partitions {
            let place = TopicPartition::new(topic.clone(), partition);
            let next = self.from.offset(&mut *reader, &place)?;
            places.push((place, next));
        }
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let mut batch = RecordBatch::new();
        let (mut bytes, mut left) = (Vec::new(), self.limit.unwrap_or(u64::MAX));
        while !shutdown.requested() {
            let mut found = false;
            for (place, next) in &mut places {
                match reader.read(place, *next, &mut batch)? {
                    Found::Records(after) => {
                        found = true;
                        *next = after;
                    }
                    Found::End(end) => *next = end,
                    // Retention or compaction was faster than this reader.
                    Found::OutOfRange(marks) => {
                        eprintln!("{place}: what lay between {next} and {} has been deleted", marks.start);
                        *next = marks.start.max((*next).min(marks.high));
                        found = true;
                        continue;
                    }
                }
                for record in batch.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
                    left -= 1;
                    bytes.clear();
                    RecordLine::of(place.partition, record).write(&mut bytes)?;
                    // Whoever reads this has seen enough.
                    if out.write_all(&bytes).is_err() {
                        return Ok(());
                    }
                }
            }
            if left == 0 {
                break;
            }
            if !found {
                if out.flush().is_err() || !self.follow {
                    break;
                }
                shutdown.wait(PAUSE);
            }
        }
        drop(out.flush());
        if shutdown.requested() && !self.follow {
            return Err(CoreError::config(format!("stopped by a signal before the end of {topic}")));
        }
        Ok(())
    }
}

impl From {
    fn offset(self, reader: &mut dyn FreeReader, place: &TopicPartition) -> Result<Offset, CoreError> {
        let marks = reader.watermarks(place)?;
        Ok(match self {
            Self::Beginning => marks.start,
            Self::End => marks.last_stable,
            Self::Offset(offset) => {
                if offset < marks.start {
                    eprintln!("{place}: what lay between {offset} and {} has been deleted", marks.start);
                }
                offset.clamp(marks.start, marks.last_stable)
            }
            Self::Time(time) => reader.offset_for_time(place, time)?.unwrap_or(marks.last_stable),
        })
    }
}
