//! When a thread commits, and which of its tasks.
//!
//! Not here: what a commit does ([`crate::commit`]). Invariant: a task that has written something into the open
//! transaction is in the commit that ends it, with an offset of each of its sources.

use state::staged::TaskStore;

use super::{Nursery, StateHome, Worker};
use crate::commit::{self, Outcome};
use crate::error::CoreError;
use crate::limits::Bounds;
use crate::record::WallTime;
use crate::step::Shares;
use crate::task::{Task, TaskReceipt};

/// Which tasks a commit takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those that read repartition topics. What others have gathered since their last commit stays in memory and goes on
    /// being gathered: were it sent as well, each commit would bring about the next, as fast as they may follow.
    Downstream,
    /// All of the thread.
    All,
}

impl<H: StateHome, N: Nursery<H::Base>> Worker<H, N> {
    /// Commits until no window is left that is due.
    pub(super) fn commit_all_due(&mut self, now: WallTime) -> Result<(), CoreError> {
        loop {
            self.commit(now)?;
            if self.crashed || !self.is_unfinished() {
                return Ok(());
            }
        }
    }

    /// A commit is due a set time after the oldest uncommitted source record; records from our own
    /// repartition topics when their queue is drained, yet not so often that pre-aggregation would vanish.
    pub(super) fn commit_is_due(&self, now: WallTime, nothing: bool) -> Option<Scope> {
        let interval = self.terms.commit_interval.0;
        let since = now.0.saturating_sub(self.last_commit.0);
        let soon = since >= if nothing { interval / 5 } else { interval };
        let all = self.tasks.values().any(Task::is_full)
            || self.tasks.values().map(Task::transaction_bytes).sum::<usize>() >= self.terms.bounds.transaction_bytes
            || self.oldest.is_some_and(|oldest| now.0.saturating_sub(oldest.0) >= interval)
            || (self.moved && soon)
            || (since >= interval && self.tasks.values().any(|task| task.waiting || task.has_rows_to_write_again(now)));
        match all {
            true => Some(Scope::All),
            false => (self.shuffled && soon).then_some(Scope::Downstream),
        }
    }

    /// Commits all tasks. Answers whether something became true.
    pub(crate) fn commit(&mut self, now: WallTime) -> Result<bool, CoreError> {
        self.commit_within(Scope::All, now)
    }

    pub(super) fn commit_within(&mut self, scope: Scope, now: WallTime) -> Result<bool, CoreError> {
        if scope == Scope::All {
            self.idleness.tell(&mut self.tasks, now);
            // After an answer that is no answer, the same commit is tried again.
            self.moved = true;
        }
        self.shuffled = true;
        let source = &self.source;
        let tasks = self.tasks.values_mut().filter(|task| scope == Scope::All || task.is_downstream()).collect();
        let outcome = commit::commit(tasks, &mut *self.producer, || source.group_metadata(), now, &mut self.probe)?;
        self.last_commit = now;
        match outcome {
            Outcome::Nothing => {
                self.settle(scope);
                Ok(false)
            }
            Outcome::Committed(counts) => {
                self.settle(scope);
                self.write_applied()?;
                self.share_cache();
                self.status.counts.add(&counts);
                self.status.commits += 1;
                self.remade.clear();
                Ok(true)
            }
            Outcome::Aborted(why) => {
                tracing::warn!(why, "the transaction was undone");
                self.status.aborts += 1;
                self.rewind_all();
                Ok(false)
            }
            Outcome::Rebuild(error) => Err(error),
            Outcome::Crashed => {
                self.crashed = true;
                Ok(false)
            }
        }
    }

    /// Where the tasks together keep too many committed rows in memory, or a crash would have to bring too much back, those
    /// that have the most of it write theirs.
    fn write_applied(&mut self) -> Result<(), CoreError> {
        let Bounds { all_applied_bytes, all_changed_bytes, .. } = self.terms.bounds;
        self.write_beyond(all_applied_bytes, TaskStore::applied_bytes)?;
        self.write_beyond(all_changed_bytes, TaskStore::changed_bytes)
    }

    fn write_beyond(
        &mut self,
        most: usize,
        bytes: fn(&TaskStore<H::Base, TaskReceipt>) -> usize,
    ) -> Result<(), CoreError> {
        let mut all: usize = self.tasks.values().map(|task| bytes(&task.store)).sum();
        while all > most
            && let Some(task) = self.tasks.values_mut().max_by_key(|task| bytes(&task.store))
        {
            all -= bytes(&task.store);
            task.store.write_applied()?;
        }
        Ok(())
    }

    /// Stores that grow take room from those that have more than they need.
    fn share_cache(&mut self) {
        let kept = self.tasks.values().flat_map(|task| task.kept_bytes().iter().copied());
        let lasting = self.tasks.values().flat_map(|task| task.lasting_bytes().iter().copied());
        let shares = Shares::of_all(kept, lasting, self.terms.bounds.cached_bytes);
        self.tasks.values_mut().for_each(|task| task.set_shares(shares));
    }

    /// Nothing waits any more in these tasks.
    fn settle(&mut self, scope: Scope) {
        self.shuffled = false;
        if scope == Scope::All {
            (self.oldest, self.moved) = (None, false);
        }
    }
}
