//! Who steps restores while the worker goes on.
//!
//! Not here: the one with a thread of its own ([`crate::nursery`]). Invariant: what was admitted is handed back,
//! cancelled or cleared, and its store is closed with that.

use state::Base;

use crate::error::CoreError;
use crate::restore::{RestoreJob, Restoring};
use crate::task::TaskId;

/// Who steps restores: a thread of its own, or the simulator.
pub trait Nursery<B>: Send {
    /// Takes a restore in.
    fn admit(&mut self, job: RestoreJob<B>);
    /// What has come of those that were taken in; never waits.
    fn outcomes(&mut self) -> Vec<Result<Outcomes<B>, CoreError>>;
    /// Gives a task's restore up. Its store is closed when this returns, and nothing more comes of it.
    fn cancel(&mut self, task: TaskId);
    /// Gives every restore up.
    fn clear(&mut self);
}

/// What a nursery hands back; opaque outside the core.
pub struct Outcomes<B>(pub(crate) Restoring<B>);

/// Steps each restore once whenever it is asked.
pub struct InlineNursery<B>(Vec<RestoreJob<B>>);

impl<B> Default for InlineNursery<B> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<B: Base + Send> Nursery<B> for InlineNursery<B> {
    fn admit(&mut self, job: RestoreJob<B>) {
        self.0.push(job);
    }

    fn outcomes(&mut self) -> Vec<Result<Outcomes<B>, CoreError>> {
        let mut outcomes = Vec::new();
        for job in std::mem::take(&mut self.0) {
            match job.step() {
                Ok(Restoring::Working(job) | Restoring::Waiting(job, _)) => self.0.push(job),
                Ok(done) => outcomes.push(Ok(Outcomes(done))),
                Err(error) => outcomes.push(Err(error)),
            }
        }
        outcomes
    }

    fn cancel(&mut self, task: TaskId) {
        self.0.retain(|job| job.id != task);
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}
