//! Who the worker is, and how it works.
//!
//! Invariant: the ids are fit to be parts of topic names, because internal topics are named by them.

use super::{Problem, SettingsError, Spec, ValueKind, Values};
use crate::limits::{COMMIT_INTERVAL_MAX, THREADS_MAX};
use crate::record::DurationMs;

/// Internal topics append up to 100 letters of their own to the id; Kafka allows 249 in all.
const ID_LENGTH: usize = 149;
const ID: ValueKind =
    ValueKind::Checked { wants: "1 to 149 of the letters a-z A-Z 0-9 . _ -", check: |text| is_name(text, ID_LENGTH) };
const PREFIX: &str = "application.prefix";

pub(super) const SPECS: &[Spec] = &[
    Spec::new(
        "application.id",
        ID,
        "",
        "Name of the application: its consumer group, and the beginning of its internal topics' names",
    ),
    Spec::new(
        PREFIX,
        ValueKind::Checked {
            wants: "1 to 100 of the letters a-z A-Z 0-9 . _ -, or nothing",
            check: |text| text.is_empty() || is_name(text, 100),
        },
        "",
        "Goes before `application.id`, with a dash, so that several installations can share brokers",
    )
    // Where the events come from, this variable names one group for a whole backend. Workers that took it for
    // their own would meet in one group and take each other's partitions away.
    .aliases(&["KAFKA_GROUP_ID"]),
    Spec::new(
        "group.instance.id",
        ID,
        "local",
        "Name of this process among the application's, the same after a restart; in Kubernetes the pod's name",
    )
    .aliases(&["KAFKA_GROUP_INSTANCE_ID", "POD_NAME"]),
    Spec::new(
        "num.stream.threads",
        ValueKind::Integer { min: 1, max: THREADS_MAX as i64 },
        "1",
        "Worker threads of this process",
    ),
    Spec::new(
        "commit.interval.ms",
        ValueKind::Millis { min: DurationMs(1), max: COMMIT_INTERVAL_MAX, off: false },
        "100",
        "The oldest uncommitted input record waits this long for its commit",
    ),
    Spec::new(
        "max.task.idle.ms",
        ValueKind::Millis { min: DurationMs(0), max: DurationMs::hours(1), off: false },
        "0",
        "How long a task waits for an input that is behind before it goes on with the others",
    ),
];

/// Who the worker is, and how it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationSettings {
    /// `application.id`, with `application.prefix` before it: the group, and the beginning of the names of topics
    /// and transactions.
    pub id: String,
    /// `group.instance.id`: this process; a thread adds its number.
    pub instance: String,
    /// `num.stream.threads`.
    pub threads: u32,
    /// `commit.interval.ms`.
    pub commit_interval: DurationMs,
    /// `max.task.idle.ms`.
    pub max_task_idle: DurationMs,
}

impl ApplicationSettings {
    pub(super) fn read(values: &Values) -> Result<Self, SettingsError> {
        Ok(Self {
            id: full_id(values)?,
            instance: values.get("group.instance.id")?,
            threads: values.get("num.stream.threads")?,
            commit_interval: values.get("commit.interval.ms")?,
            max_task_idle: values.get("max.task.idle.ms")?,
        })
    }
}

fn full_id(values: &Values) -> Result<String, SettingsError> {
    let (prefix, id): (String, String) = (values.get(PREFIX)?, values.get("application.id")?);
    if prefix.is_empty() {
        return Ok(id);
    }
    let full = format!("{prefix}-{id}");
    if is_name(&full, ID_LENGTH) {
        return Ok(full);
    }
    Err(SettingsError {
        problems: vec![Problem::new(format!(
            "{}: `{PREFIX}` and `application.id` are longer than {ID_LENGTH} letters together: {full}",
            values.origin(PREFIX)
        ))],
    })
}

/// Whether `text` is a name as Kafka allows it, of at most `longest` letters.
pub(super) fn is_name(text: &str, longest: usize) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=longest).contains(&text.len()) && text.bytes().all(fits) && text != "." && text != ".."
}
