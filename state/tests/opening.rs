//! Who is let into a store on disk, and what the others are told.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use state::{
    Base, Batch, ColumnContents, ColumnId, Contents, KeyFamily, KeyRange, OrderedStore, Position, RocksBase,
    RocksOptions, StoreError, StoreRemedy,
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

fn named(columns: &[(u8, &str)]) -> RocksOptions {
    let column = |(id, name): &(u8, &str)| ColumnContents {
        id: ColumnId(*id),
        name: (*name).into(),
        keys: KeyFamily::Pane,
        fingerprint: "count".into(),
    };
    RocksOptions { contents: Contents::new(columns.iter().map(column)).unwrap(), adapt: true, ..options() }
}

#[test]
fn columns_are_found_by_their_names_and_those_that_are_no_more_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    // All in one batch, whose columns have other numbers in the store, and another order.
    let write = |base: &mut RocksBase, rows: &[(u8, &[u8; 1])]| {
        let mut batch = Batch::new();
        for (column, value) in rows {
            batch.put(ColumnId(*column), b"key", *value);
            batch.set_position(ColumnId(*column), Position(u64::from(value[0])));
        }
        base.write(&batch).unwrap();
    };
    let held = |base: &RocksBase, column: u8| {
        let column = ColumnId(column);
        let scanned = rows(base, column, KeyRange::ALL, usize::MAX);
        let value = base.get(column, b"key").unwrap();
        assert_eq!(scanned, value.iter().map(|value| (b"key".to_vec(), value.clone())).collect::<Vec<_>>());
        assert_eq!(base.last(column, KeyRange::ALL).unwrap(), scanned.last().cloned());
        (value, base.position(column).unwrap().map(|position| position.0))
    };
    let is = |value: &[u8]| (Some(value.to_vec()), Some(u64::from(value[0])));
    let mut base = RocksBase::open(folder.path(), &named(&[(0, "meta"), (1, "a"), (2, "b")])).unwrap();
    assert!(base.found().say_all());
    write(&mut base, &[(0, b"m"), (1, b"a"), (2, b"b")]);
    base.flush().unwrap();
    drop(base);
    // Another one in front, and one gone.
    let mut base = RocksBase::open(folder.path(), &named(&[(0, "meta"), (1, "new"), (2, "b")])).unwrap();
    assert!(!base.found().say_all(), "nobody has said what the rows mean");
    assert_eq!([held(&base, 0), held(&base, 1), held(&base, 2)], [is(b"m"), (None, None), is(b"b")]);
    write(&mut base, &[(1, b"n")]);
    let said = named(&[(0, "meta"), (1, "new"), (2, "b")]).contents;
    base.note_fingerprints(&said).unwrap();
    base.flush().unwrap();
    drop(base);
    // What was dropped comes back empty, under whatever number; what stays is where it is now said to be.
    let mut base = RocksBase::open(folder.path(), &named(&[(0, "meta"), (1, "b"), (2, "a"), (3, "new")])).unwrap();
    assert!(base.found().say_all());
    assert_eq!([held(&base, 1), held(&base, 2), held(&base, 3)], [is(b"b"), (None, None), is(b"n")]);
    write(&mut base, &[(1, b"c"), (2, b"x"), (3, b"o")]);
    base.flush().unwrap();
    base.verify().unwrap();
    drop(base);
    let as_it_is = RocksBase::open_as_it_is(folder.path(), options().budget).unwrap().unwrap();
    let rows = as_it_is.found().columns().iter().map(|column| (column.name.as_str(), held(&as_it_is, column.id.0)));
    let rows: std::collections::BTreeMap<_, _> = rows.collect();
    let expected = [("meta", is(b"m")), ("a", is(b"x")), ("b", is(b"c")), ("new", is(b"o"))];
    assert_eq!(rows, expected.into_iter().collect());
    assert!(RocksBase::open_as_it_is(&folder.path().join("none"), options().budget).unwrap().is_none());
}

#[test]
fn a_column_whose_keys_have_another_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(RocksBase::open(folder.path(), &named(&[(1, "a")])).unwrap());
    let mut other = named(&[(1, "a")]);
    let table = ColumnContents { keys: KeyFamily::Table, ..other.contents.columns()[0].clone() };
    other.contents = Contents::new([table]).unwrap();
    let error = RocksBase::open(folder.path(), &other).unwrap_err();
    assert!(matches!(error, StoreError::Incompatible { .. }) && error.to_string().contains("`a` has keys"), "{error}");
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

/// A crash while the store was being made leaves files without a format record.
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

/// The child of the test above; an ordered store has the same column family and nothing in it.
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
