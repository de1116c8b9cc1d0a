//! What a demo says when it ends: on the terminal, and as JSON where a report is wanted.
//!
//! Not here: how the parts look ([`super::screen`]). Invariant: made of committed results and of the workers' last pages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use processing_core::batch::RecordBatch;
use processing_core::error::CoreError;
use processing_core::log::{FreeReader, Log, LogError, Read};
use processing_core::plan::{OutputKind, Plan};
use processing_core::record::TopicPartition;
use serde::Serialize;

use super::position::FeedPosition;
use super::screen::{self, Paint};
use super::view::View;
use crate::folder::refused;

/// Answers that a log may owe in a row while records are counted.
const COUNT_TRIES_MAX: u32 = 25;

/// What is said at the end.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) data: PathBuf,
    /// The cluster, if the log is not in `data`.
    pub(crate) brokers: Option<String>,
    pub(crate) feed: FeedPosition,
    /// The feed's position at which this process went on; 0 for a new folder.
    pub(crate) resumed_at: u64,
    /// Whether the worker has followed the feed to its end.
    pub(crate) complete: bool,
    /// Records that each output topic holds.
    pub(crate) outputs: BTreeMap<String, u64>,
    #[serde(flatten)]
    pub(crate) view: View,
}

impl Summary {
    /// Says it, and writes it where a report is wanted.
    pub(crate) fn tell(&self, headless: bool, report: Option<&Path>) -> Result<(), CoreError> {
        let view = &self.view;
        let columns = screen::columns_of_output();
        if headless {
            println!("{}", screen::progress_line(view));
            let table = view.trending.as_ref().map(|list| screen::table(list, Paint::PLAIN));
            table.iter().flatten().for_each(|line| println!("{line}"));
        }
        println!();
        println!(
            "{} events in {:.1} s, {} a second, in {} commits; {} late, {} poison",
            screen::grouped(view.events),
            view.seconds,
            screen::grouped(view.events_per_second as u64),
            screen::grouped(view.commits),
            screen::grouped(view.late),
            screen::grouped(view.poison),
        );
        for worker in &view.workers {
            screen::fellow(worker, Paint::PLAIN, columns).iter().for_each(|line| println!("{line}"));
            println!(
                "  {:<18} {} events, {} results; {} late, {} poison",
                "",
                screen::grouped(worker.events),
                screen::grouped(worker.results),
                screen::grouped(worker.late),
                screen::grouped(worker.poison),
            );
        }
        for (topic, records) in &self.outputs {
            println!("  {topic:<32} {:>12} records", screen::grouped(*records));
        }
        println!(
            "the same command goes on after event {} in {}",
            screen::grouped(view.feed_position),
            self.data.display()
        );
        if let Some(path) = report {
            let text = serde_json::to_vec_pretty(self).map_err(|error| CoreError::config(error.to_string()))?;
            std::fs::write(path, text).map_err(|error| refused("write", path, &error))?;
        }
        Ok(())
    }
}

/// How many records each output topic holds.
pub(crate) fn outputs<'p>(
    plans: impl Iterator<Item = &'p Plan>,
    log: &dyn Log,
) -> Result<BTreeMap<String, u64>, CoreError> {
    let (mut admin, mut reader) = (log.admin()?, log.reader()?);
    let mut counts = BTreeMap::new();
    for output in plans.flat_map(Plan::outputs).filter(|output| matches!(output.kind, OutputKind::Topic(_))) {
        let Some(info) = admin.topic(&output.topic)? else { continue };
        let mut records = 0;
        for partition in 0..info.settings.partitions {
            records += count(&mut *reader, &TopicPartition::new(output.topic.clone(), partition))?;
        }
        counts.insert(output.topic.to_string(), records);
    }
    Ok(counts)
}

/// By reading: offsets are no numbers of records where topics are compacted, and where transactions take some.
fn count(reader: &mut dyn FreeReader, place: &TopicPartition) -> Result<u64, LogError> {
    let (mut next, mut batch) = (reader.watermarks(place)?.start, RecordBatch::new());
    let (mut records, mut tries) = (0, 0);
    loop {
        match reader.read(place, next, &mut batch) {
            Ok(Read::Records(after)) => (next, records, tries) = (after, records + batch.len() as u64, 0),
            Ok(Read::End(_)) => return Ok(records),
            Ok(Read::OutOfRange(marks)) => next = marks.start,
            Err(LogError::Retry(_)) if tries < COUNT_TRIES_MAX => tries += 1,
            Err(error) => return Err(error),
        }
    }
}
