//! A process that is killed wherever it is in its writes, for real: the test starts itself as a child, which writes batch
//! after batch and says so, and kills it. What is left on disk must be the state after one of the batches, rows and positions
//! of all columns together, and every batch whose write was answered must be in it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

use state::{Base, Batch, KeyRange, MemoryBase, Position, RocksBase};
use support::{COLUMNS, open, options, rows};

const FOLDER: &str = "STATE_TEST_CRASH_FOLDER";
const ROWS_A_BATCH: u64 = 50;

/// Batch `number` overwrites some rows, adds some, and drops the oldest by range, in all columns: some 20 KB, every seventh
/// some megabytes.
fn batch(number: u64) -> Batch<'static> {
    let repeated = if number.is_multiple_of(7) { 1_000 } else { 8 };
    let mut batch = Batch::new();
    for column in COLUMNS {
        for row in 0..ROWS_A_BATCH {
            let key = number * ROWS_A_BATCH / 2 + row;
            let value = [number.to_be_bytes(), [column.0; 8]].concat().repeat(repeated);
            batch.put(column, &key.to_be_bytes(), &value);
        }
        let expired = (number.saturating_sub(20)) * ROWS_A_BATCH / 2;
        batch.delete_range(column, KeyRange::before(&expired.to_be_bytes()));
        batch.set_position(column, Position(number + 1));
    }
    batch
}

fn next(base: &impl Base) -> u64 {
    base.position(COLUMNS[0]).unwrap().map_or(0, |position| position.0)
}

/// The child: not a test of its own, it does nothing unless it was started as one.
#[test]
fn child_writes_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let mut base = RocksBase::open(folder.as_ref(), &options()).unwrap();
    for number in next(&base).. {
        base.write(&batch(number)).unwrap();
        writeln!(std::io::stderr(), "written").unwrap();
    }
}

#[test]
fn what_is_left_is_one_moment_of_all_columns_and_no_answered_write_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = MemoryBase::new();
    for round in 0..16 {
        let from = next(&model);
        let answered = 1 + round * 7 % 20;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_writes_until_it_is_killed", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        for line in told.by_ref().take(answered) {
            assert_eq!(line, "written");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said by then, and the one batch that was written without its being said.
        let answered = (answered + told.count()) as u64;
        let base = open(folder.path());
        let left = next(&base);
        assert!((from + answered..=from + answered + 1).contains(&left), "{left} after {from} + {answered}");
        (from..left).for_each(|number| model.write(&batch(number)).unwrap());
        for column in COLUMNS {
            assert_eq!(base.position(column).unwrap(), model.position(column).unwrap());
            let (found, expected) =
                (rows(&base, column, KeyRange::ALL, usize::MAX), rows(&model, column, KeyRange::ALL, usize::MAX));
            assert!(found == expected, "round {round}: {} rows, expected {}", found.len(), expected.len());
        }
    }
}

#[test]
fn half_a_file_that_a_crash_has_left_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut base = open(folder.path());
    base.write(&batch(0)).unwrap();
    drop(base);
    std::fs::write(folder.path().join("taking-in"), [7; 5_000]).unwrap();
    let mut base = open(folder.path());
    base.write(&batch(1)).unwrap();
    drop(base);
    let (base, mut model) = (open(folder.path()), MemoryBase::new());
    (0..2).for_each(|number| model.write(&batch(number)).unwrap());
    for column in COLUMNS {
        assert!(rows(&base, column, KeyRange::ALL, usize::MAX) == rows(&model, column, KeyRange::ALL, usize::MAX));
    }
    base.verify().unwrap();
    assert!(!folder.path().join("taking-in").exists(), "it has a name of its own now");
}
