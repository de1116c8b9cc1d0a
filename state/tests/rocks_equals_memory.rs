//! The base on disk against the base in memory, operation by operation: reads, atomic batches with
//! range deletes and positions, clean restarts, and the image that a killed process leaves.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use state::{Base, Batch, Change, ColumnId, KeyRange, MemoryBase, Position};
use support::{COLUMNS, copy_folder, open, rows};

#[derive(Debug, Clone)]
enum Edit {
    Put(ColumnId, Vec<u8>, Vec<u8>),
    Delete(ColumnId, Vec<u8>),
    DeleteRange(ColumnId, Vec<u8>, Option<Vec<u8>>),
    Position(ColumnId, u64),
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Edit>),
    Reopen,
    Kill,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop::sample::select(vec![0u8, 1, 7, 255]), 0..3)
}

fn edit() -> impl Strategy<Value = Edit> {
    let column = || prop::sample::select(COLUMNS.to_vec());
    prop_oneof![
        6 => (column(), key(), vec(any::<u8>(), 0..40)).prop_map(|(c, k, v)| Edit::Put(c, k, v)),
        2 => (column(), key()).prop_map(|(c, k)| Edit::Delete(c, k)),
        2 => (column(), key(), prop::option::weighted(0.7, key())).prop_map(|(c, s, e)| Edit::DeleteRange(c, s, e)),
        2 => (column(), any::<u64>()).prop_map(|(c, p)| Edit::Position(c, p)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => vec(edit(), 0..12).prop_map(Step::Write),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

fn batch(edits: &[Edit]) -> Batch<'_> {
    let mut batch = Batch::new();
    for edit in edits {
        match edit {
            Edit::Put(column, key, value) => batch.add(*column, Change::Put { key, value }),
            Edit::Delete(column, key) => batch.add(*column, Change::Delete { key }),
            Edit::DeleteRange(column, start, end) => {
                batch.delete_range(*column, KeyRange { start, end: end.as_deref() });
            }
            Edit::Position(column, position) => batch.set_position(*column, Position(*position)),
        }
    }
    batch
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn operation_by_operation(
        steps in vec(step(), 1..40),
        probes in vec((key(), prop::option::weighted(0.6, key()), prop_oneof![Just(usize::MAX), 1usize..4]), 3),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut home = folder.path().join("0");
        let (mut rocks, mut memory) = (open(&home), MemoryBase::new());
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Write(edits) => {
                    rocks.write(&batch(edits)).unwrap();
                    memory.write(&batch(edits)).unwrap();
                }
                Step::Reopen => {
                    drop(rocks);
                    rocks = open(&home);
                }
                Step::Kill => {
                    rocks.settle().unwrap();
                    home = folder.path().join((number + 1).to_string());
                    copy_folder(&folder.path().join(rocks_home(&steps, number)), &home);
                    rocks = open(&home);
                }
            }
            for column in COLUMNS {
                prop_assert_eq!(rocks.position(column).unwrap(), memory.position(column).unwrap());
                prop_assert_eq!(rows(&rocks, column, KeyRange::ALL, usize::MAX), rows(&memory, column, KeyRange::ALL, usize::MAX));
                for (start, end, most) in &probes {
                    let range = KeyRange { start, end: end.as_deref() };
                    prop_assert_eq!(rows(&rocks, column, range, *most), rows(&memory, column, range, *most));
                    prop_assert_eq!(rocks.last(column, range).unwrap(), memory.last(column, range).unwrap());
                    prop_assert_eq!(rocks.get(column, start).unwrap(), memory.get(column, start).unwrap());
                }
            }
        }
    }
}

/// The folder in use before step `number`: each kill moves to one named after it.
fn rocks_home(steps: &[Step], number: usize) -> String {
    let last_kill = steps[..number].iter().rposition(|step| matches!(step, Step::Kill));
    last_kill.map_or(0, |kill| kill + 1).to_string()
}
