//! A process that dies between two batches, for real: the test starts itself as a child, which writes
//! and then aborts. Whatever is left on disk must be the state after one of its batches, rows and
//! positions of all columns together, whoever has begun the flushes: the base, or RocksDB where memory is short.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::process::Command;

use state::{Base, Batch, KeyRange, MemoryBudget, Position, RocksBase, RocksOptions};
use support::{COLUMNS, open, options, rows};

const FOLDER: &str = "STATE_TEST_CRASH_FOLDER";
const BATCHES: &str = "STATE_TEST_CRASH_BATCHES";
const FLUSHES: &str = "STATE_TEST_CRASH_FLUSHES";
const ROWS_A_BATCH: u64 = 50;

/// Who begins to flush.
#[derive(Clone, Copy, PartialEq)]
enum Flushes {
    /// The base, every two or three batches.
    Base,
    /// RocksDB, when memtables are as large as the budget lets them be.
    RocksDb,
}

impl Flushes {
    fn options(self) -> RocksOptions {
        match self {
            // Small enough that flushes run in the background between the batches.
            Self::Base => RocksOptions { flush_after_bytes: 40_000, ..options() },
            Self::RocksDb => RocksOptions { budget: MemoryBudget::new(8 << 20), ..options() },
        }
    }

    /// How often a value is repeated: batches of some 20 KB, or of a megabyte.
    fn repeated(self) -> usize {
        match self {
            Self::Base => 8,
            Self::RocksDb => 400,
        }
    }

    /// Batch `number` overwrites some rows, adds some, and drops the oldest by range, in all columns.
    fn batch(self, number: u64) -> Batch<'static> {
        let mut batch = Batch::new();
        for column in COLUMNS {
            for row in 0..ROWS_A_BATCH {
                let key = number * ROWS_A_BATCH / 2 + row;
                let value = [number.to_be_bytes(), [column.0; 8]].concat().repeat(self.repeated());
                batch.put(column, &key.to_be_bytes(), &value);
            }
            let expired = (number.saturating_sub(20)) * ROWS_A_BATCH / 2;
            batch.delete_range(column, KeyRange::before(&expired.to_be_bytes()));
            batch.set_position(column, Position(number + 1));
        }
        batch
    }
}

/// The child: not a test of its own, it does nothing unless it was started as one.
#[test]
fn child_writes_and_dies() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let batches: u64 = std::env::var(BATCHES).unwrap().parse().unwrap();
    let flushes = if std::env::var(FLUSHES).unwrap() == "base" { Flushes::Base } else { Flushes::RocksDb };
    let mut base = RocksBase::open(folder.as_ref(), &flushes.options()).unwrap();
    let first = base.position(COLUMNS[0]).unwrap().map_or(0, |position| position.0);
    for number in first..first + batches {
        base.write(&flushes.batch(number)).unwrap();
    }
    std::process::abort();
}

#[test]
fn what_is_left_is_one_moment_of_all_columns() {
    what_is_left_is_one_moment(Flushes::Base, 24);
}

#[test]
fn what_rocksdb_flushes_by_itself_is_one_moment_of_all_columns() {
    what_is_left_is_one_moment(Flushes::RocksDb, 8);
}

fn what_is_left_is_one_moment(flushes: Flushes, rounds: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut model = state::MemoryBase::new();
    let (mut from, mut lost, mut kept) = (0, 0, 0);
    for round in 0..rounds {
        let batches = 1 + round * 7 % 40;
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_writes_and_dies", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(BATCHES, batches.to_string())
            .env(FLUSHES, if flushes == Flushes::Base { "base" } else { "rocksdb" })
            .output()
            .unwrap();
        assert!(!child.status.success(), "the child was to abort");
        let base = open(folder.path());
        let position = base.position(COLUMNS[0]).unwrap().map_or(0, |position| position.0);
        assert!((from..=from + batches).contains(&position), "{position} after {from} + {batches}");
        // Written and not flushed, being flushed, and the batch that went over.
        let batch_bytes = flushes.batch(from).bytes() as u64;
        let gone = (from + batches - position) * batch_bytes;
        let most = (flushes.options().flush_after_bytes as u64).saturating_add(batch_bytes).saturating_mul(2);
        assert!(gone <= most, "{gone} bytes are gone");
        for number in from..position {
            model.write(&flushes.batch(number)).unwrap();
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
