//! Rules of exactly-once, each broken on purpose: what proves that the simulator would notice.
//!
//! A mutant stands where a worker meets the world: its log, its disk, its chain of operators. There it makes
//! of a worker that keeps a rule one that does not; the worker itself knows nothing of it, so no line of
//! the record path is there for the sake of mutants.
//!
//! Not here: the checks that find them. Invariant: without a mutation, every wrapper here is the thing it
//! wraps.

mod chain;
mod home;
mod log;

pub(super) use chain::forget_nothing;
pub(super) use home::MutantHome;
pub(super) use log::MutantLog;

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutation {
    /// The staged rows are applied first, and the transaction is published a little later.
    ApplyBeforePublish,
    /// Changelog positions are on disk at once, the rows they speak for only with the next flush.
    PositionsOutliveRows,
    /// A write to the base that failed counts as done.
    FailedApplyIgnored,
    /// Results are appended at once instead of within the transaction.
    OutputsOutsideTransaction,
    /// Changelog records are appended at once instead of within the transaction.
    ChangelogOutsideTransaction,
    /// Raises are appended to the time log at once instead of within the transaction that applies them.
    TimeLogOutsideTransaction,
    /// Raises are appended to the time log once the transaction that applied them is known to be true.
    TimeLogAfterTransaction,
    /// Raises are applied and not written into the time log.
    RaisesNotLogged,
    /// Input offsets are committed first, and the results after them.
    OffsetsBeforeOutputs,
    /// A transaction is checked against no generation of the group, as one without offsets is.
    ZombiesNotFenced,
    /// A publish whose answer is unknown counts as undone.
    AmbiguousIsFailure,
    /// A publish whose answer is unknown counts as done.
    AmbiguousIsSuccess,
    /// After an abort, operators keep what they hold in memory.
    CachesSurviveAbort,
    /// After an abort, reading goes on where it was.
    PositionsSurviveAbort,
    /// A task runs without its changelogs having been read.
    RestoreSkipped,
    /// A restore ends at the last stable offset, where a commit may lie beyond whose marker is under way.
    RestoreEndsAtLastStable,
    /// In a transaction, time records come before the partial aggregates they speak for.
    TimeBeforeData,
    /// A worker that hears that its partitions are somebody else's now goes on with them.
    LostIsIgnored,
    /// Batches that were fetched before a seek, a revoke or an abort are taken.
    StaleBatchesTaken,
    /// Answers of a foreign-key join do not say which version of a row they were made of.
    VersionsForgotten,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::ApplyBeforePublish,
        Self::PositionsOutliveRows,
        Self::FailedApplyIgnored,
        Self::OutputsOutsideTransaction,
        Self::ChangelogOutsideTransaction,
        Self::TimeLogOutsideTransaction,
        Self::TimeLogAfterTransaction,
        Self::RaisesNotLogged,
        Self::OffsetsBeforeOutputs,
        Self::ZombiesNotFenced,
        Self::AmbiguousIsFailure,
        Self::AmbiguousIsSuccess,
        Self::CachesSurviveAbort,
        Self::PositionsSurviveAbort,
        Self::RestoreSkipped,
        Self::RestoreEndsAtLastStable,
        Self::TimeBeforeData,
        Self::LostIsIgnored,
        Self::StaleBatchesTaken,
        Self::VersionsForgotten,
    ];
}
