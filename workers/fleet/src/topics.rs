//! `streamfleet topics`: what is in the log.

use std::io::Write as _;

use clap::Args;
use processing_core::error::CoreError;
use processing_core::log::Cleanup;
use processing_core::record::TopicPartition;

use crate::door;
use crate::folder::DataFolder;

/// List the topics of the log, also while a demo runs
#[derive(Args)]
pub(crate) struct Topics {
    #[command(flatten)]
    data: DataFolder,
    /// Also the topics that workers keep for themselves: changelogs, repartition topics, time, instances, control
    #[arg(long)]
    internal: bool,
}

impl Topics {
    pub(crate) fn run(self) -> Result<(), CoreError> {
        let log = door::beside(&door::existing(self.data.log()?)?)?;
        let (mut admin, mut reader) = (log.admin(), log.reader());
        let mut out = std::io::stdout().lock();
        let mut line = |texts: [&str; 4]| {
            let [name, partitions, records, kept] = texts;
            writeln!(out, "{name:<52} {partitions:>10} {records:>12}  {kept}").is_ok()
        };
        if !line(["TOPIC", "PARTITIONS", "RECORDS", "KEPT"]) {
            return Ok(());
        }
        for topic in admin.topics()? {
            let name = topic.name.as_str();
            let internal =
                ["-changelog", "-repartition", "-time", "-instances", "-control"].iter().any(|end| name.ends_with(end));
            if internal && !self.internal {
                continue;
            }
            let mut records = 0;
            for partition in 0..topic.settings.partitions {
                let marks = reader.watermarks(&TopicPartition::new(topic.name.clone(), partition))?;
                records += marks.last_stable.0.saturating_sub(marks.start.0);
            }
            let kept = match (topic.settings.cleanup, topic.settings.retention_ms) {
                (Cleanup::Delete, None) => "until it is deleted".to_owned(),
                (Cleanup::Delete, Some(ms)) => format!("for {}", hours(ms)),
                (Cleanup::Compact, _) => "the last of each key".to_owned(),
                (Cleanup::CompactDelete, None) => "the last of each key".to_owned(),
                (Cleanup::CompactDelete, Some(ms)) => format!("the last of each key, for {}", hours(ms)),
            };
            if !line([name, &topic.settings.partitions.to_string(), &records.to_string(), &kept]) {
                break;
            }
        }
        Ok(())
    }
}

fn hours(ms: u64) -> String {
    format!("{:.1} h", ms as f64 / 3_600_000.0)
}
