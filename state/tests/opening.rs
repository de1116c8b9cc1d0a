//! Who is let into a store on disk, and what the others are told.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use state::{
    Base, Batch, ColumnContents, ColumnId, Contents, KeyFamily, KeyRange, OrderedStore, RocksBase, RocksOptions,
    StoreError, StoreRemedy,
};
use support::{COLUMNS, open, options, rows};

fn other_contents(fingerprint: &str) -> RocksOptions {
    let column = ColumnContents {
        id: COLUMNS[0],
        name: "store-0".into(),
        keys: KeyFamily::Pane,
        fingerprint: fingerprint.into(),
    };
    RocksOptions { contents: Contents::new([column]).unwrap(), ..options() }
}

#[test]
fn a_changed_topology_is_refused_and_the_rows_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut base = open(folder.path());
    let mut batch = Batch::new();
    batch.put(COLUMNS[1], b"key", b"value");
    base.write(&batch).unwrap();
    drop(base);
    let error = RocksBase::open(folder.path(), &other_contents("mean per city")).unwrap_err();
    assert!(matches!(error, StoreError::Incompatible { .. }), "{error}");
    assert_eq!(error.remedy(), StoreRemedy::Stop);
    let text = error.to_string();
    for part in ["count per city", "mean per city", "reprocess", "the topology that wrote it"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert_eq!(rows(&open(folder.path()), COLUMNS[1], KeyRange::ALL, 2), [(b"key".to_vec(), b"value".to_vec())]);
}

#[test]
fn a_store_is_open_once_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _held = open(folder.path());
    let error = RocksBase::open(folder.path(), &options()).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
}

#[test]
fn a_column_that_was_not_declared_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut base = open(folder.path());
    let mut batch = Batch::new();
    batch.put(ColumnId(99), b"key", b"value");
    for error in [base.get(ColumnId(99), b"key").unwrap_err(), base.write(&batch).unwrap_err()] {
        assert!(matches!(error, StoreError::NoSuchColumn { column: ColumnId(99), .. }), "{error}");
    }
}

/// A crash while the store was being made leaves column families without a format record.
#[test]
fn a_store_that_was_never_finished_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_makes_an_unfinished_store"])
        .env("STATE_TEST_UNFINISHED", folder.path())
        .output()
        .unwrap();
    assert!(!child.status.success(), "the child was to abort");
    assert!(folder.path().join("CURRENT").exists());
    assert_eq!(rows(&open(folder.path()), COLUMNS[0], KeyRange::ALL, 1), []);
    assert!(RocksBase::open(folder.path(), &other_contents("x")).is_err(), "now it has a format record");
}

/// The child of the test above; an ordered store has the default column family and nothing in it.
#[test]
fn child_makes_an_unfinished_store() {
    let Ok(folder) = std::env::var("STATE_TEST_UNFINISHED") else {
        return;
    };
    let _store = OrderedStore::open(folder.as_ref(), state::OrderedOptions::default()).unwrap();
    std::process::abort();
}

#[test]
fn reading_a_log_that_is_not_there_yet_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = OrderedStore::open_secondary(&folder.path().join("log"), &folder.path().join("scratch")).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
}
