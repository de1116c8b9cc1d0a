//! What can go wrong, told by what is to be done about it.
//!
//! Not here: the logs' and stores' own errors, which are turned into these at their borders, and
//! verdicts on records that go to the dead letters in good order.
//! Invariant: every error of the core answers [`CoreError::remedy`], and nobody decides by reading
//! a message.

use std::fmt;

use thiserror::Error;

use state::{StoreError, StoreRemedy};

use crate::log::LogError;
use crate::record::{Offset, TopicPartition};

/// What to do about an error. From the mildest to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remedy {
    /// The same step again, a little later, at most [`crate::limits::RETRIES_MAX`] times.
    Retry,
    /// The record goes to the dead letters within the open transaction; the stream goes on.
    DropRecord,
    /// The member has been replaced or its producer fenced: abort, join again, rebuild every task.
    Rejoin,
    /// What is in memory or in the store can no longer be trusted: drop the staged state, make the
    /// producer anew, restore, resume from what is committed.
    Rebuild,
    /// Nothing that this process could do: it ends with [`CoreError::exit_code`].
    Stop,
}

/// How a process ends, so that whatever started it can tell why. A process that is ended by force
/// (a second signal, or [`crate::limits::SHUTDOWN_BUDGET`] is over) ends with 128 + the signal's
/// number; it loses nothing, it only recovers more at its next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// Everything that was taken in is committed.
    Ok = 0,
    /// A setting is wrong, a port is taken, or the topology does not make sense with them.
    Config = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The log cannot go on, or somebody else runs under this identity.
    Log = 3,
    /// The state on disk contradicts the log in a way that restoring cannot mend.
    State = 4,
    /// The disk is full; nothing is lost.
    DiskFull = 5,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// The place of a record in the log; every message about a record names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPlace {
    /// Its topic and partition.
    pub partition: TopicPartition,
    /// Its offset there.
    pub offset: Offset,
}

impl fmt::Display for RecordPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {} partition {} offset {}", self.partition.topic, self.partition.partition, self.offset)
    }
}

/// An error of the core. Its message says what happened, where, and what helps.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CoreError {
    /// A log's own word.
    #[error("{0}")]
    Log(#[from] LogError),
    /// The log undid the transaction. Every task of the thread goes back to the last commit.
    #[error("the transaction was undone and is done again from the last commit: {0}")]
    Aborted(String),
    /// The log cannot tell whether the transaction became true.
    #[error("nobody knows whether the transaction was committed, so it is not guessed; the tasks are rebuilt: {0}")]
    Ambiguous(String),
    /// A record that cannot be decoded or processed.
    #[error("{place}: {reason}")]
    Record {
        /// Which record.
        place: RecordPlace,
        /// Why; never its content.
        reason: String,
    },
    /// A store's failure, with the remedy that the store knows.
    #[error("{message}")]
    Store {
        /// What and where: directory, column family, key kind.
        message: String,
        /// What to do.
        remedy: Remedy,
    },
    /// The disk under the stores is full; nothing is lost.
    #[error("{0}")]
    DiskFull(String),
    /// Log and state contradict each other; only a person can say which is right.
    #[error("{0}")]
    Contradiction(String),
    /// A setting or the topology is wrong.
    #[error("{0}")]
    Config(String),
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// A step was tried as often as allowed.
    #[error("gave up after {tries} tries: {last}")]
    Exhausted {
        /// How often.
        tries: u32,
        /// The last error.
        last: Box<CoreError>,
    },
}

impl From<StoreError> for CoreError {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match (&error, error.remedy()) {
            (StoreError::Full { .. }, _) => Self::DiskFull(message),
            (_, StoreRemedy::Rebuild) => Self::Store { message, remedy: Remedy::Rebuild },
            (_, StoreRemedy::Stop) => Self::Store { message, remedy: Remedy::Stop },
        }
    }
}

impl CoreError {
    /// An error about the record at `offset` of `partition`. `reason` must not quote the record.
    pub fn record(partition: TopicPartition, offset: Offset, reason: impl Into<String>) -> Self {
        Self::Record { place: RecordPlace { partition, offset }, reason: reason.into() }
    }

    /// A store that is damaged or was closed half-way: it is made anew from its changelog.
    pub fn store_rebuild(message: impl Into<String>) -> Self {
        Self::Store { message: message.into(), remedy: Remedy::Rebuild }
    }

    /// A store that must not be touched: an unknown format, another topology's state.
    pub fn store_refused(message: impl Into<String>) -> Self {
        Self::Store { message: message.into(), remedy: Remedy::Stop }
    }

    /// The group's offsets, the commit records and the state disagree; `message` names `reprocess`.
    pub fn contradiction(message: impl Into<String>) -> Self {
        Self::Contradiction(message.into())
    }

    /// A wrong setting or topology.
    pub fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }

    /// This error after its last allowed try: whatever its remedy was, the worker stops now.
    #[must_use]
    pub fn exhausted(self, tries: u32) -> Self {
        Self::Exhausted { tries, last: Box::new(self) }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Log(LogError::Retry(_)) => Remedy::Retry,
            // A missing topic is waited for and named: whoever creates it may come later.
            Self::Log(LogError::Unknown(_)) => Remedy::Retry,
            Self::Log(LogError::Fenced(_)) => Remedy::Rejoin,
            Self::Log(LogError::Full(_) | LogError::Fatal(_)) => Remedy::Stop,
            Self::Aborted(_) | Self::Ambiguous(_) => Remedy::Rebuild,
            Self::Record { .. } => Remedy::DropRecord,
            Self::Store { remedy, .. } => *remedy,
            Self::DiskFull(_) | Self::Contradiction(_) | Self::Config(_) | Self::Usage(_) | Self::Exhausted { .. } => {
                Remedy::Stop
            }
        }
    }

    /// How the process ends if this error stops it.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Log(LogError::Full(_)) | Self::DiskFull(_) => ExitCode::DiskFull,
            Self::Log(_) | Self::Aborted(_) | Self::Ambiguous(_) => ExitCode::Log,
            Self::Record { .. } | Self::Store { .. } | Self::Contradiction(_) => ExitCode::State,
            Self::Config(_) => ExitCode::Config,
            Self::Usage(_) => ExitCode::Usage,
            Self::Exhausted { last, .. } => last.exit_code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_says_what_to_do_and_how_the_process_ends() {
        let topic = TopicPartition::new("search.executed", 3);
        for (error, remedy, code) in [
            (LogError::Retry("x".into()).into(), Remedy::Retry, 3),
            (LogError::Unknown(topic.clone()).into(), Remedy::Retry, 3),
            (LogError::Fenced("x".into()).into(), Remedy::Rejoin, 3),
            (LogError::Full("x".into()).into(), Remedy::Stop, 5),
            (LogError::Fatal("x".into()).into(), Remedy::Stop, 3),
            (CoreError::Aborted("x".into()), Remedy::Rebuild, 3),
            (CoreError::Ambiguous("x".into()), Remedy::Rebuild, 3),
            (CoreError::record(topic, Offset(7), "x"), Remedy::DropRecord, 4),
            (CoreError::store_rebuild("x"), Remedy::Rebuild, 4),
            (CoreError::store_refused("x"), Remedy::Stop, 4),
            (StoreError::Full { path: "s".into(), detail: "x".into() }.into(), Remedy::Stop, 5),
            (CoreError::contradiction("x"), Remedy::Stop, 4),
            (CoreError::config("x"), Remedy::Stop, 1),
            (CoreError::Usage("x".into()), Remedy::Stop, 2),
        ] {
            assert_eq!(error.remedy(), remedy, "{error:?}");
            assert_eq!(error.exit_code() as u8, code, "{error:?}");
            let given_up = error.clone().exhausted(60);
            assert_eq!(given_up.remedy(), Remedy::Stop);
            assert_eq!(given_up.exit_code(), error.exit_code());
        }
    }

    #[test]
    fn a_record_error_names_topic_partition_and_offset() {
        let error = CoreError::record(TopicPartition::new("a.b", 3), Offset(42), "not JSON: ends at byte 7");
        assert_eq!(error.to_string(), "topic a.b partition 3 offset 42: not JSON: ends at byte 7");
    }
}
