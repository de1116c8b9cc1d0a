//! Who has which task, by the last note of each instance.
//!
//! Not here: reading the notes ([`crate::bulletin`]). Invariant: of two that claim one task the later owner is
//! believed, an instance that was not heard of for [`INSTANCE_GONE`] is none, and the table holds at most
//! [`INSTANCES_MAX`] of them.
//!
//! Ages are counted by the reader's own clock from when it heard a note: clocks of two machines that differ make
//! nobody gone. Only for what was written before the reader came is the writer's time the best that there is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::note::{Claim, Note};
use crate::limits::{INSTANCE_GONE, INSTANCES_MAX};
use crate::record::Offset;
use crate::task::TaskId;

/// What is known of an instance.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) note: Note,
    /// When the note came, by the reader's clock.
    pub(crate) heard: Duration,
    /// Where in the topic each claim was made first, without a break since.
    since: BTreeMap<TaskId, Offset>,
}

/// Who has a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) instance: String,
    pub(crate) address: Option<String>,
    pub(crate) claim: Claim,
}

/// See the file's head.
#[derive(Debug, Default)]
pub(crate) struct Table {
    entries: BTreeMap<String, Entry>,
}

impl Table {
    /// Takes in a note, or with `None` the word that the instance has ended. `heard` is when, by the clock that
    /// [`Self::owner`] is asked with.
    pub(crate) fn hear(&mut self, instance: &str, note: Option<Note>, at: Offset, heard: Duration) {
        let Some(note) = note else {
            self.entries.remove(instance);
            return;
        };
        let before = self.entries.remove(instance);
        let before = before.as_ref().map(|entry| &entry.since);
        let first = |task: &TaskId| before.and_then(|since| since.get(task)).copied().unwrap_or(at);
        let since = note.tasks.keys().map(|task| (*task, first(task))).collect();
        if self.entries.len() >= INSTANCES_MAX {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.heard).map(|(name, _)| name.clone());
            oldest.and_then(|name| self.entries.remove(&name));
        }
        self.entries.insert(instance.to_owned(), Entry { note, heard, since });
    }

    /// The instances that are not gone at `now`, by name.
    pub(crate) fn living(&self, now: Duration) -> impl Iterator<Item = (&str, &Entry)> {
        let bound = INSTANCE_GONE.span();
        let lives = move |entry: &Entry| now.saturating_sub(entry.heard) <= bound;
        self.entries.iter().filter(move |(_, entry)| lives(entry)).map(|(name, entry)| (name.as_str(), entry))
    }

    /// Who has `task` in the state epoch `epoch`, as far as is known at `now`.
    pub(crate) fn owner(&self, task: TaskId, epoch: u32, now: Duration) -> Option<Owner> {
        let claims = self.living(now).filter(|(_, entry)| entry.note.epoch == epoch).filter_map(|(name, entry)| {
            let claim = *entry.note.tasks.get(&task)?;
            Some(((claim.generation, entry.since.get(&task).copied()), name, entry, claim))
        });
        let (_, instance, entry, claim) = claims.max_by_key(|(age, ..)| *age)?;
        Some(Owner { instance: instance.to_owned(), address: entry.note.address.clone(), claim })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instances::note::Hold;
    use crate::instances::term::Term;
    use crate::record::WallTime;

    const TASK: TaskId = TaskId { sub_topology: 0, partition: 3 };

    fn note(generation: u64, hold: Hold) -> Note {
        let tasks = [(TASK, Claim { hold, generation })].into();
        Note { term: Term(1), address: Some("a:1".to_owned()), epoch: 0, at: WallTime(0), tasks }
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn owner(table: &Table, now: u64) -> Option<String> {
        table.owner(TASK, 0, seconds(now)).map(|owner| owner.instance)
    }

    #[test]
    fn the_younger_generation_is_believed_whoever_spoke_last() {
        let mut table = Table::default();
        table.hear("new", Some(note(8, Hold::Restoring)), Offset(1), seconds(0));
        table.hear("old", Some(note(7, Hold::Running)), Offset(2), seconds(1));
        assert_eq!(owner(&table, 1).as_deref(), Some("new"));
        assert_eq!(table.owner(TASK, 0, seconds(1)).unwrap().claim.hold, Hold::Restoring);
    }

    #[test]
    fn within_a_generation_the_later_claim_is_believed_and_repeating_one_makes_it_no_later() {
        let mut table = Table::default();
        table.hear("first", Some(note(7, Hold::Running)), Offset(1), seconds(0));
        table.hear("second", Some(note(7, Hold::Running)), Offset(2), seconds(0));
        table.hear("first", Some(note(7, Hold::Running)), Offset(3), seconds(0));
        assert_eq!(owner(&table, 0).as_deref(), Some("second"));
        // Given up and claimed again, it is later.
        table.hear("first", Some(Note { tasks: BTreeMap::new(), ..note(7, Hold::Running) }), Offset(4), seconds(0));
        table.hear("first", Some(note(7, Hold::Running)), Offset(5), seconds(0));
        assert_eq!(owner(&table, 0).as_deref(), Some("first"));
    }

    #[test]
    fn who_is_silent_for_too_long_or_has_ended_owns_nothing() {
        let bound = (INSTANCE_GONE.0 / 1_000).unsigned_abs();
        let mut table = Table::default();
        table.hear("a", Some(note(9, Hold::Running)), Offset(1), seconds(5));
        table.hear("b", Some(note(1, Hold::Running)), Offset(2), seconds(6));
        assert_eq!(owner(&table, 5 + bound).as_deref(), Some("a"));
        assert_eq!(owner(&table, 6 + bound).as_deref(), Some("b"), "the next best that lives");
        table.hear("b", None, Offset(3), seconds(7));
        assert_eq!(owner(&table, 6 + bound), None);
    }

    #[test]
    fn another_state_epoch_is_another_state() {
        let mut table = Table::default();
        table.hear("a", Some(Note { epoch: 1, ..note(9, Hold::Running) }), Offset(1), seconds(0));
        assert_eq!(owner(&table, 0), None);
        assert!(table.owner(TASK, 1, seconds(0)).is_some());
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = Table::default();
        for n in 0..=INSTANCES_MAX as u64 {
            table.hear(&format!("i{n}"), Some(note(1, Hold::Running)), Offset(n), seconds(n));
        }
        assert_eq!(table.entries.len(), INSTANCES_MAX);
        assert!(!table.entries.contains_key("i0"), "the one heard of longest ago goes");
    }
}
