//! What an instance says of itself: where it answers, and which tasks it has.
//!
//! Not here: whom to believe ([`super::table`]). Invariant: fields are only ever added; `v` is raised when a
//! program that does not know them would be misled, and such a program then takes nothing from the note.
//!
//! The record's key is the instance's name, its value JSON, so that a person can read the topic:
//!
//! ```json
//! {"v":1,"term":3,"address":"10.0.0.3:9464","epoch":0,"at_ms":1760000000000,"running":{"0_1":7},"restoring":{"1_1":7}}
//! ```
//!
//! The number behind a task is the group's generation in which its thread has it; for `term` see [`super::term`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::term::Term;
use crate::record::WallTime;
use crate::task::TaskId;

const VERSION: u32 = 1;

/// How far an instance is with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hold {
    /// It reads the task's changelogs.
    Restoring,
    /// It answers for the task.
    Running,
}

/// An instance's word that a task is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) hold: Hold,
    /// The group's generation, by which the younger of two claims is known.
    pub(crate) generation: u64,
}

/// See the file's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) term: Term,
    /// Host and port; `None` where nobody can ask it.
    pub(crate) address: Option<String>,
    /// The state epoch in which it works.
    pub(crate) epoch: u32,
    /// When it was written, by the clock of its writer.
    pub(crate) at: WallTime,
    pub(crate) tasks: BTreeMap<TaskId, Claim>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    #[serde(default)]
    term: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    epoch: u32,
    at_ms: i64,
    #[serde(default)]
    running: BTreeMap<String, u64>,
    #[serde(default)]
    restoring: BTreeMap<String, u64>,
}

impl Note {
    /// The bytes of the record's value.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let held = |hold: Hold| {
            let tasks = self.tasks.iter().filter(move |(_, claim)| claim.hold == hold);
            tasks.map(|(task, claim)| (task.to_string(), claim.generation)).collect()
        };
        let wire = Wire {
            v: VERSION,
            term: self.term.0,
            address: self.address.clone(),
            epoch: self.epoch,
            at_ms: self.at.0,
            running: held(Hold::Running),
            restoring: held(Hold::Restoring),
        };
        // Maps with text as keys and numbers: nothing that JSON could refuse.
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    /// Reads a record's value; `None` for other versions and unknown forms.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let wire: Wire = serde_json::from_slice(value).ok().filter(|wire: &Wire| wire.v == VERSION)?;
        let mut tasks = BTreeMap::new();
        for (hold, held) in [(Hold::Restoring, wire.restoring), (Hold::Running, wire.running)] {
            for (task, generation) in held {
                tasks.insert(task_of(&task)?, Claim { hold, generation });
            }
        }
        let (term, at) = (Term(wire.term), WallTime(wire.at_ms));
        Some(Self { term, address: wire.address, epoch: wire.epoch, at, tasks })
    }
}

/// `0_3`, read back.
fn task_of(text: &str) -> Option<TaskId> {
    let (sub_topology, partition) = text.split_once('_')?;
    Some(TaskId { sub_topology: sub_topology.parse().ok()?, partition: partition.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOLDEN: &str =
        r#"{"v":1,"term":4,"address":"10.0.0.3:9464","epoch":2,"at_ms":5,"running":{"0_1":7},"restoring":{"1_1":8}}"#;

    fn task(sub_topology: u16, partition: u32) -> TaskId {
        TaskId { sub_topology, partition }
    }

    #[test]
    fn the_layout_never_changes_and_other_versions_are_passed() {
        let claim = |hold, generation| Claim { hold, generation };
        let note = Note {
            term: Term(4),
            address: Some("10.0.0.3:9464".to_owned()),
            epoch: 2,
            at: WallTime(5),
            tasks: [(task(0, 1), claim(Hold::Running, 7)), (task(1, 1), claim(Hold::Restoring, 8))].into(),
        };
        assert_eq!(String::from_utf8(note.to_bytes()).unwrap(), GOLDEN);
        assert_eq!(Note::read(GOLDEN.as_bytes()), Some(note.clone()));
        let added = GOLDEN.replace("\"epoch\"", "\"zone\":\"b\",\"epoch\"");
        assert_eq!(Note::read(added.as_bytes()), Some(note.clone()), "a field more is no other version");
        let older = GOLDEN.replace("\"term\":4,", "");
        assert_eq!(
            Note::read(older.as_bytes()),
            Some(Note { term: Term(0), ..note }),
            "written before there were terms"
        );
        for other in [GOLDEN.replace("\"v\":1", "\"v\":2"), GOLDEN.replace("0_1", "0-1"), String::new()] {
            assert_eq!(Note::read(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            term in any::<u64>(), address in proptest::option::of("[a-z.:0-9]{0,20}"), epoch in any::<u32>(), at in any::<i64>(),
            held in proptest::collection::btree_map((any::<u16>(), any::<u32>()), (any::<bool>(), any::<u64>()), 0..9),
        ) {
            let claim = |(runs, generation)| {
                Claim { hold: if runs { Hold::Running } else { Hold::Restoring }, generation }
            };
            let tasks = held.into_iter().map(|((s, p), held)| (task(s, p), claim(held))).collect();
            let note = Note { term: Term(term), address, epoch, at: WallTime(at), tasks };
            prop_assert_eq!(Note::read(&note.to_bytes()), Some(note));
        }
    }
}
