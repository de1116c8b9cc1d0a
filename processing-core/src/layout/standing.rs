//! A topic that stands already: whether the plan can work with its settings, and what mends it if not.
//!
//! Not here: which topics a plan needs ([`super::Layout`]). Invariant: a topic whose settings would lose what a
//! worker counts on is refused, with the setting, its value and the command that changes it.

use crate::error::CoreError;
use crate::log::{Admin, Cleanup, TopicInfo, TopicSettings};
use crate::record::TopicName;

/// What a topic is for, which decides what it must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Rows of windows, which expire by the time at which they were logged.
    WindowedChangelog,
    /// Commit records, and rows that no time drops.
    LastingChangelog,
    /// Partial aggregates between sub-topologies; read ones are deleted by the worker.
    Repartition,
    /// Raises and progress of inputs.
    TimeLog,
    /// What instances and operators say; who says it says it again.
    Bulletin,
    /// Results, late records, dead letters: whoever reads them may decide how long they are kept.
    Output,
}

/// Makes a topic, or checks the one that stands.
pub(super) fn make(
    admin: &mut dyn Admin,
    name: &TopicName,
    purpose: Purpose,
    wanted: TopicSettings,
) -> Result<TopicInfo, CoreError> {
    let info = admin.create_topic(name, wanted)?;
    let found = info.settings;
    if found.cleanup != wanted.cleanup {
        let policy = policy(wanted.cleanup);
        return Err(wrong(name, "cleanup.policy", found.cleanup.policy(), wanted.cleanup.policy(), policy));
    }
    if purpose == Purpose::WindowedChangelog && !found.log_append_time {
        // By the rows' own times a replay of old events would be forgotten while it is written.
        return Err(wrong(name, "message.timestamp.type", "CreateTime", "LogAppendTime", "LogAppendTime"));
    }
    let keeps = |ms: Option<u64>| ms.map_or_else(|| "-1".to_owned(), |ms| ms.to_string());
    let keeps_less = match (purpose, found.retention_ms, wanted.retention_ms) {
        (Purpose::LastingChangelog | Purpose::Bulletin | Purpose::Output, ..) | (_, None, _) => false,
        (Purpose::Repartition | Purpose::TimeLog, Some(_), _) | (_, Some(_), None) => true,
        (Purpose::WindowedChangelog, Some(found), Some(wanted)) => found < wanted,
    };
    if keeps_less {
        let (found, wanted) = (keeps(found.retention_ms), keeps(wanted.retention_ms));
        return Err(wrong(name, "retention.ms", &found, &format!("at least {wanted}"), &wanted));
    }
    Ok(info)
}

/// A topic whose partitions belong to tasks one to one.
pub(super) fn same_partitions(info: &TopicInfo, tasks: u32) -> Result<(), CoreError> {
    if info.settings.partitions == tasks {
        return Ok(());
    }
    Err(CoreError::config(format!(
        "topic {} has {} partitions, but its tasks are {tasks}: the input's partition count was changed, so keys have \
         moved between partitions; `streamfleet reprocess` rebuilds the state for the new count",
        info.name, info.settings.partitions
    )))
}

fn wrong(name: &TopicName, setting: &str, found: &str, wanted: &str, value: &str) -> CoreError {
    CoreError::config(format!(
        "topic {name} stands with {setting}={found}, and this worker needs {wanted}, or it would lose what it counts on: \
         change it by `kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config \
         {setting}={value}`, or delete the topic if nobody needs its records"
    ))
}

/// As Kafka's tools take it: a list is in brackets.
fn policy(cleanup: Cleanup) -> &'static str {
    match cleanup {
        Cleanup::CompactDelete => "[compact,delete]",
        single => single.policy(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::log::memory::{MemoryLog, MemoryOptions};

    #[test]
    fn a_topic_that_would_lose_something_is_refused_with_the_remedy() {
        let log = MemoryLog::new(MemoryOptions::default());
        let mut admin = log.admin().unwrap();
        let changelog = TopicSettings {
            partitions: 2,
            cleanup: Cleanup::CompactDelete,
            retention_ms: Some(1_000),
            log_append_time: true,
        };
        let delete = TopicSettings { cleanup: Cleanup::Delete, log_append_time: false, ..changelog };
        let forever = TopicSettings { retention_ms: None, ..delete };
        for (purpose, stands, wanted, part) in [
            (
                Purpose::Output,
                delete,
                TopicSettings { cleanup: Cleanup::Compact, ..delete },
                Some("cleanup.policy=compact"),
            ),
            (Purpose::Output, delete, forever, None),
            (Purpose::Repartition, delete, forever, Some("retention.ms=-1")),
            (Purpose::TimeLog, delete, forever, Some("retention.ms=-1")),
            (Purpose::Repartition, forever, forever, None),
            (Purpose::WindowedChangelog, changelog, changelog, None),
            (Purpose::WindowedChangelog, TopicSettings { retention_ms: None, ..changelog }, changelog, None),
            (
                Purpose::WindowedChangelog,
                TopicSettings { retention_ms: Some(999), ..changelog },
                changelog,
                Some("retention.ms=1000"),
            ),
            (
                Purpose::WindowedChangelog,
                TopicSettings { log_append_time: false, ..changelog },
                changelog,
                Some("LogAppendTime"),
            ),
            (Purpose::WindowedChangelog, delete, changelog, Some("cleanup.policy=[compact,delete]")),
            (
                Purpose::LastingChangelog,
                TopicSettings { cleanup: Cleanup::Compact, ..delete },
                TopicSettings { cleanup: Cleanup::Compact, ..forever },
                None,
            ),
        ] {
            let name = TopicName::new("app-t");
            admin.create_topic(&name, stands).unwrap();
            let answer = make(&mut *admin, &name, purpose, wanted);
            match part {
                None => assert_eq!(answer.unwrap().settings, stands),
                Some(part) => {
                    let told = answer.unwrap_err().to_string();
                    assert!(told.contains(part) && told.contains("--entity-name app-t "), "{told}");
                }
            }
            admin.delete_topic(&name).unwrap();
        }
    }
}
