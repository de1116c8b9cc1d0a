//! Deletes what the demo's topics keep for too long by the feed's own clock.
//!
//! A feed at sixty times the speed leaves days of events behind in an hour, with timestamps ahead of the
//! machine's clock, so that retention by age would keep them all. Invariant: an input record goes only
//! after every worker that reads it has committed it, and topics that a worker itself reads again are left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use processing_core::error::CoreError;
use processing_core::log::{Cleanup, Log};
use processing_core::plan::{OutputKind, Plan};
use processing_core::record::{LogTime, Offset, TopicName, TopicPartition};

/// How often it sweeps.
const EVERY: Duration = Duration::from_secs(5);

/// Results that are so few that they are kept: days, decisions, and what somebody was told.
const FEW: [&str; 3] = [".1d.", ".decision.", ".alert"];

/// What is swept, and when last.
pub(crate) struct Broom {
    /// Each input with the groups that read it.
    inputs: BTreeMap<TopicName, Vec<String>>,
    /// Results, and what was set aside.
    outputs: Vec<TopicName>,
    keep_ms: i64,
    swept: Duration,
}

impl Broom {
    /// For the inputs and outputs of `plans`, which keep so many milliseconds of the feed's time.
    pub(crate) fn new<'p>(plans: impl Iterator<Item = &'p Plan>, keep_ms: i64) -> Self {
        let mut broom = Self { inputs: BTreeMap::new(), outputs: Vec::new(), keep_ms, swept: Duration::ZERO };
        for plan in plans {
            for input in plan.inputs() {
                broom.inputs.entry(input.clone()).or_default().push(plan.name().to_owned());
            }
            let outputs = plan.outputs().iter().filter(|output| matches!(output.kind, OutputKind::Topic(_)));
            let many =
                outputs.map(|output| &output.topic).filter(|topic| !FEW.iter().any(|few| topic.as_str().contains(few)));
            broom.outputs.extend(many.cloned());
            broom.outputs.extend(["late", "dlq"].map(|aside| TopicName::new(format!("{}-{aside}", plan.name()))));
        }
        broom
    }

    /// Sweeps now and then.
    pub(crate) fn sweep(&mut self, log: &dyn Log, now: Duration, feed_time: LogTime) -> Result<(), CoreError> {
        if now.saturating_sub(self.swept) < EVERY {
            return Ok(());
        }
        self.swept = now;
        let before = LogTime(feed_time.0.saturating_sub(self.keep_ms));
        let (mut admin, mut reader) = (log.admin()?, log.reader()?);
        let nobody = Vec::new();
        let inputs = self.inputs.iter();
        for (topic, groups) in inputs.chain(self.outputs.iter().map(|topic| (topic, &nobody))) {
            let Some(info) = admin.topic(topic)?.filter(|info| info.settings.cleanup == Cleanup::Delete) else {
                continue;
            };
            let places: Vec<_> = (0..info.settings.partitions).map(|n| TopicPartition::new(topic.clone(), n)).collect();
            let mut committed = Vec::new();
            for group in groups {
                committed.push(admin.group_offsets(group, &places)?);
            }
            for place in places {
                // The first record that is young enough; late ones behind it stay until it goes.
                let Some(young) = reader.offset_for_time(&place, before)? else { continue };
                let read = committed.iter().map(|offsets| {
                    offsets.iter().find(|(at, _)| *at == place).map_or(Offset::ZERO, |(_, offset)| *offset)
                });
                admin.purge(&place, read.fold(young, Offset::min))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use events::Gazetteer;
    use processing_core::batch::{Headers, RecordBatch, RecordRef};
    use processing_core::log::TopicSettings;
    use processing_core::log::embedded::Durability;

    use super::*;
    use crate::demo::feeder;
    use crate::describe::plan_of;
    use crate::door;

    #[test]
    fn what_was_set_aside_is_swept_as_results_are() {
        let folder = std::env::temp_dir().join(format!("streamfleet-broom-{}", std::process::id()));
        let log = door::open(&folder, None).unwrap();
        feeder::make_topics(&*log, false).unwrap();
        let plan = plan_of("trending-cities", Arc::new(Gazetteer::shipped())).unwrap();
        let mut batch = RecordBatch::new();
        for time in [10, 20, 30] {
            let value = Some(&b"x"[..]);
            batch.push(RecordRef {
                offset: Offset::ZERO,
                timestamp: LogTime(time),
                key: None,
                value,
                headers: Headers::NONE,
            });
        }
        let settings =
            TopicSettings { partitions: 1, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false };
        let names = ["trending.cities.v1", "trending-cities.v1-late", "trending-cities.v1-dlq", "search.executed"];
        let places = names.map(|name| TopicPartition::new(name, 0));
        for place in &places {
            log.admin().unwrap().create_topic(&place.topic, settings).unwrap();
            log.append(place, &batch, Durability::Os).unwrap();
        }
        let mut broom = Broom::new([&plan].into_iter(), 5);
        broom.sweep(&*log, EVERY, LogTime(25)).unwrap();
        let mut reader = log.reader().unwrap();
        let starts = places.each_ref().map(|place| reader.watermarks(place).unwrap().start.0);
        assert_eq!(starts, [1, 1, 1, 0], "an input record stays until the worker has committed it");
        drop((reader, log));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
