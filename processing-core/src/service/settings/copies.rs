//! How many copies there are of the topics that a worker makes, and of its tasks' stores.
//!
//! Not here: copies of topics that others own. Invariant: topics that stand keep theirs; the number is for topics
//! that this worker makes.

use crate::limits::STANDBYS_MAX;

use super::{Problem, SettingsError, Spec, ValueKind, Values};

const REPLICATION: &str = "replication.factor";
const STANDBY: &str = "num.standby.replicas";

pub(super) const SPECS: &[Spec] = &[
    Spec::new(
        REPLICATION,
        ValueKind::Integer { min: -1, max: i16::MAX as i64 },
        "-1",
        "On Kafka: copies of each topic that the worker makes; -1: as many as the brokers' own default says",
    ),
    Spec::new(
        STANDBY,
        ValueKind::Integer { min: 0, max: STANDBYS_MAX as i64 },
        "0",
        "On Kafka: other processes, each with a `state.dir` of its own, that keep a copy of each task's state",
    ),
];

/// How many copies there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiesSettings {
    /// `replication.factor` of topics that are made; `None`: the brokers' `default.replication.factor`.
    pub replication: Option<u16>,
    /// `num.standby.replicas`: how many processes keep a copy of a task's state that another one runs.
    pub standby: u32,
}

impl CopiesSettings {
    pub(super) fn read(values: &Values) -> Result<Self, SettingsError> {
        let replication: i64 = values.get(REPLICATION)?;
        if replication == 0 {
            let text =
                format!("{}: `{REPLICATION}` takes -1, or 1 and more: a topic has a copy", values.origin(REPLICATION));
            return Err(SettingsError { problems: vec![Problem::new(text)] });
        }
        Ok(Self { replication: u16::try_from(replication).ok(), standby: values.get(STANDBY)? })
    }
}
