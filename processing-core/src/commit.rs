//! Step 7 of 7: everything above becomes true at once.
//!
//! Not here: when a commit is due ([`crate::worker`]). Invariant: a base store is written only after the
//! log has answered `Published` for the transaction that carries the same rows, and in no other case.
//!
//! One transaction carries all tasks of a thread: results, changelogs, time, input offsets.

use std::ops::ControlFlow;

use state::Base;

use crate::counts::Counts;
use crate::error::CoreError;
use crate::log::{GroupMetadata, Publish, Transaction};
use crate::record::WallTime;
use crate::task::Task;

/// Where a commit stands; each word goes on where the one before stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommitStage {
    /// Windows that are due close, what a task holds in memory is staged and logged, and then…
    Drain,
    /// …its records go to the log within the open transaction. When those of all tasks have,…
    Send,
    /// …it is committed together with the input offsets; now the world has seen the results, so…
    Publish,
    /// …the staged rows are applied with their changelog positions, and the source goes on.
    Apply,
}

impl CommitStage {
    /// All stages in order.
    pub const ALL: [Self; 4] = [Self::Drain, Self::Send, Self::Publish, Self::Apply];
}

/// Called before each stage; a break is a crash at that point. Only tests have one that ever breaks.
pub type Probe = Box<dyn FnMut(CommitStage) -> ControlFlow<()> + Send>;

/// How a commit ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Nothing had moved.
    Nothing,
    /// It is true.
    Committed(Counts),
    /// It is undone; every task must be rewound.
    Aborted(String),
    /// It is undone or not, nobody knows, or this member has been replaced: producer and tasks must be made
    /// anew.
    Rebuild(CoreError),
    /// The probe broke: the process would be dead.
    Crashed,
}

/// Commits all tasks of a thread. `Err` means that a task cannot go on; the transaction is lost.
pub(crate) fn commit<'t, B: Base + 't>(
    mut tasks: Vec<&'t mut Task<B>>,
    producer: &mut dyn Transaction,
    group: impl FnOnce() -> GroupMetadata,
    now: WallTime,
    probe: &mut Option<Probe>,
) -> Result<Outcome, CoreError> {
    let mut crashes = |stage| probe.as_mut().is_some_and(|probe| probe(stage).is_break());
    if crashes(CommitStage::Drain) {
        return Ok(Outcome::Crashed);
    }
    let mut moved = Vec::with_capacity(tasks.len());
    for task in tasks.drain(..) {
        if !task.prepare(now)? {
            continue;
        }
        if crashes(CommitStage::Send) {
            return Ok(Outcome::Crashed);
        }
        // Before the next one prepares: what waits to be sent is held once more by whoever sends it.
        task.send_all(|place, batch| producer.send(place, batch))?;
        moved.push(task);
    }
    if moved.is_empty() {
        return Ok(Outcome::Nothing);
    }
    if crashes(CommitStage::Publish) {
        return Ok(Outcome::Crashed);
    }
    let positions: Vec<_> = moved.iter().flat_map(|task| task.positions()).collect();
    let published = match producer.publish(&positions, &group()) {
        Publish::Published(published) => published,
        Publish::Aborted(why) => return Ok(Outcome::Aborted(why)),
        Publish::Refused(error) => return Ok(Outcome::Rebuild(error.into())),
        Publish::Fenced(why) => return Ok(Outcome::Rebuild(crate::log::LogError::Fenced(why).into())),
        Publish::Ambiguous(why) => return Ok(Outcome::Rebuild(CoreError::Ambiguous(why))),
    };
    if crashes(CommitStage::Apply) {
        return Ok(Outcome::Crashed);
    }
    let mut counts = Counts::default();
    for task in &mut moved {
        counts.add(&task.apply(&published)?);
    }
    Ok(Outcome::Committed(counts))
}
