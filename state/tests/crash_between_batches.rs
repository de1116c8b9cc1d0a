//! A process that dies between two batches, for real: the test starts itself as a child, which writes
//! and then aborts. Whatever is left on disk must be the state after one of its batches, rows and
//! positions of all columns together.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::process::Command;

use state::{Base, Batch, KeyRange, Position, RocksBase, RocksOptions};
use support::{COLUMNS, open, options, rows};

const FOLDER: &str = "STATE_TEST_CRASH_FOLDER";
const BATCHES: &str = "STATE_TEST_CRASH_BATCHES";
const ROWS_A_BATCH: u64 = 50;
const FLUSH_AFTER_BYTES: usize = 40_000;

/// Batch `number` overwrites some rows, adds some, and drops the oldest by range, in both columns.
fn batch(number: u64) -> Batch {
    let mut batch = Batch::new();
    for column in COLUMNS {
        for row in 0..ROWS_A_BATCH {
            let key = number * ROWS_A_BATCH / 2 + row;
            batch.put(column, &key.to_be_bytes(), &[number.to_be_bytes(), [column.0; 8]].concat().repeat(8));
        }
        let expired = (number.saturating_sub(20)) * ROWS_A_BATCH / 2;
        batch.delete_range(column, KeyRange::before(&expired.to_be_bytes()));
        batch.set_position(column, Position(number + 1));
    }
    batch
}

/// The child: not a test of its own, it does nothing unless it was started as one.
#[test]
fn child_writes_and_dies() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let batches: u64 = std::env::var(BATCHES).unwrap().parse().unwrap();
    // Small enough that flushes run in the background between the batches.
    let options = RocksOptions { flush_after_bytes: FLUSH_AFTER_BYTES, ..options() };
    let mut base = RocksBase::open(folder.as_ref(), &options).unwrap();
    let first = base.position(COLUMNS[0]).unwrap().map_or(0, |position| position.0);
    for number in first..first + batches {
        base.write(&batch(number)).unwrap();
    }
    std::process::abort();
}

#[test]
fn what_is_left_is_one_moment_of_all_columns() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = state::MemoryBase::new();
    let (mut from, mut lost, mut kept) = (0, 0, 0);
    for round in 0..24u64 {
        let batches = 1 + round * 7 % 40;
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_writes_and_dies", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(BATCHES, batches.to_string())
            .output()
            .unwrap();
        assert!(!child.status.success(), "the child was to abort");
        let base = open(folder.path());
        let position = base.position(COLUMNS[0]).unwrap().map_or(0, |position| position.0);
        assert!((from..=from + batches).contains(&position), "{position} after {from} + {batches}");
        // Written and not flushed, being flushed, and the batch that went over.
        let batch_bytes = batch(from).bytes() as u64;
        let gone = (from + batches - position) * batch_bytes;
        assert!(gone <= 2 * FLUSH_AFTER_BYTES as u64 + 2 * batch_bytes, "{gone} bytes are gone");
        for number in from..position {
            model.write(&batch(number)).unwrap();
        }
        for column in COLUMNS {
            assert_eq!(base.position(column).unwrap(), model.position(column).unwrap());
            let (found, expected) =
                (rows(&base, column, KeyRange::ALL, usize::MAX), rows(&model, column, KeyRange::ALL, usize::MAX));
            assert!(found == expected, "round {round}: {} rows, expected {}", found.len(), expected.len());
        }
        lost += from + batches - position;
        kept += position - from;
        from = position;
    }
    // Otherwise the test has not seen what it is about.
    assert!(lost > 0, "no crash lost anything");
    assert!(kept > 0, "no crash kept anything");
}
