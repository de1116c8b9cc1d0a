//! Stores as the program of format version 1 made them, written with RocksDB alone, and what is found in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use rocksdb::{DB, FlushOptions, IteratorMode, Options};

use super::*;
use crate::batch::Batch;
use crate::error::StoreRemedy;
use crate::keys::KeyFamily;
use crate::position::Position;
use crate::rocks::base::{RocksBase, RocksOptions, open_files};
use crate::rocks::budget::MemoryBudget;
use crate::rocks::layout::FORMAT_KEY;
use crate::rocks::tuning;
use crate::store::{Base, KeyRange};

type Rows = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

const COLUMNS: [(u8, &str); 4] = [(0, "meta"), (1, "large"), (2, "empty"), (250, "last")];

fn contents(columns: &[(u8, &str)]) -> Contents {
    let column = |(id, name): &(u8, &str)| ColumnContents {
        id: ColumnId(*id),
        name: (*name).to_owned(),
        keys: KeyFamily::Pane,
        fingerprint: format!("holds {name}"),
    };
    Contents::new(columns.iter().map(column)).unwrap()
}

fn options(columns: &[(u8, &str)]) -> RocksOptions {
    RocksOptions::new(contents(columns), MemoryBudget::default())
}

fn family(column: u8) -> String {
    let (_, name) = COLUMNS.iter().find(|(id, _)| *id == column).unwrap();
    format!("{column:03}-{name}")
}

/// Rows whose keys look like other columns' first bytes, and more of them than are copied at once.
fn rows() -> Rows {
    let small = [0, 250].into_iter().flat_map(|column| {
        let keys = [&b""[..], &[0], &[1], &[1, 0], &[2], &[3], &[252], &[253], &[255], &[255; 80], b"key"];
        keys.into_iter().map(move |key| ((column, key.to_vec()), [&[column], key].concat()))
    });
    let large = (0..300_u64).map(|row| ((1, row.to_be_bytes().to_vec()), row.to_le_bytes().repeat(1 << 10)));
    small.chain(large).collect()
}

fn positions() -> BTreeMap<u8, u64> {
    BTreeMap::from([(0, 7), (1, u64::MAX), (250, 0)])
}

fn open_version_1(path: &Path) -> Db {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    let families = COLUMNS.iter().map(|(column, _)| family(*column)).chain(["default".to_owned()]);
    Db::open_cf(&options, path, families).unwrap()
}

/// A store of version 1 with [`rows`] and [`positions`], in several files.
fn version_1(path: &Path) {
    let db = open_version_1(path);
    db.put_opt([0], contents(&COLUMNS).to_bytes_of(1), &without_log()).unwrap();
    for (column, position) in positions() {
        db.put_opt([1, column], position.to_be_bytes(), &without_log()).unwrap();
    }
    let families = COLUMNS.map(|(column, _)| db.cf_handle(&family(column)).unwrap());
    for (number, ((column, key), value)) in rows().into_iter().enumerate() {
        db.put_cf_opt(db.cf_handle(&family(column)).unwrap(), key, value, &without_log()).unwrap();
        if number == 100 {
            db.flush_cfs_opt(&families, &FlushOptions::default()).unwrap();
        }
    }
}

/// Every key of the store, by RocksDB alone; and its column families.
fn raw(path: &Path) -> (BTreeMap<Vec<u8>, Vec<u8>>, Vec<String>) {
    let families = DB::list_cf(&Options::default(), path).unwrap();
    let db = DB::open_cf_for_read_only(&Options::default(), path, &families, false).unwrap();
    let rows = db.iterator(IteratorMode::Start).map(|row| row.unwrap());
    (rows.map(|(key, value)| (key.to_vec(), value.to_vec())).collect(), families)
}

/// What version 2 has on disk, written down from its definition.
fn version_2(rows: Rows) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let record = [b"SFstate\x00\x02".as_slice(), &contents(&COLUMNS).to_bytes_of(1)[9..]].concat();
    let positions =
        positions().into_iter().map(|(column, position)| (vec![1, column], position.to_be_bytes().to_vec()));
    let rows = rows.into_iter().map(|((column, key), value)| ([&[2 + column], key.as_slice()].concat(), value));
    rows.chain(positions).chain([(vec![0], record)]).collect()
}

fn held(base: &RocksBase) -> (Rows, BTreeMap<u8, u64>) {
    let (mut rows, mut positions) = (Rows::new(), BTreeMap::new());
    for column in base.found().columns().iter().map(|column| column.id) {
        base.scan(column, KeyRange::ALL, &mut |key, value| {
            rows.insert((column.0, key.to_vec()), value.to_vec());
            ControlFlow::Continue(())
        })
        .unwrap();
        positions.extend(base.position(column).unwrap().map(|position| (column.0, position.0)));
    }
    (rows, positions)
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Opens the store, takes so many steps of what is left of its migration, and answers the last of them.
fn taken(path: &Path, count: usize) -> (Db, String) {
    let (mut db, steps) = left(path);
    steps.iter().take(count).for_each(|step| step.take(&mut db, path).unwrap());
    (db, format!("{:?}", steps[..count.min(steps.len())].last()))
}

fn left(path: &Path) -> (Db, Vec<Step>) {
    let families = DB::list_cf(&Options::default(), path).unwrap();
    let db = open_files(path, &tuning::task(&MemoryBudget::default()), &families).unwrap();
    let record = db.get(FORMAT_KEY).unwrap().unwrap();
    let steps = steps(path, &record, &families).unwrap();
    (db, steps)
}

fn is_migrated(path: &Path, what: &str) {
    let base = RocksBase::open(path, &options(&COLUMNS)).unwrap();
    let (found, at) = held(&base);
    assert!(found == rows(), "{what}: {} rows of {}", found.len(), rows().len());
    assert_eq!((at, base.found()), (positions(), &contents(&COLUMNS)), "{what}");
    drop(base);
    let (keys, families) = raw(path);
    assert!(keys == version_2(rows()), "{what}: other keys");
    assert_eq!(families, ["default"], "{what}");
}

#[test]
fn a_store_of_version_1_is_found_whole_wherever_its_migration_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, again] = ["whole", "again"].map(|name| folder.path().join(name));
    version_1(&whole);
    assert_eq!(raw(&whole).0.get([0].as_slice()), Some(&contents(&COLUMNS).to_bytes_of(1)), "it is of version 1");
    copy_folder(&whole, &again);
    let all = left(&whole).1.len();
    assert_eq!(all, 1 + COLUMNS.len() + 2 + COLUMNS.len());
    for count in 0..=all {
        // What a kill leaves behind the step, and what an end in good order does.
        let [open, killed] = ["open", "killed"].map(|name| folder.path().join(format!("{name} {count}")));
        copy_folder(&whole, &open);
        let (db, last) = taken(&open, count);
        copy_folder(&open, &killed);
        drop(db);
        is_migrated(&killed, &format!("killed after {last}"));
        is_migrated(&open, &format!("after {last}"));
        // Interrupted ever later.
        drop(taken(&again, count));
    }
    is_migrated(&again, "interrupted again and again");
}

#[test]
fn a_store_that_is_opened_as_it_is_is_migrated() {
    let folder = tempfile::tempdir().unwrap();
    version_1(folder.path());
    let base = RocksBase::open_as_it_is(folder.path(), MemoryBudget::default()).unwrap().unwrap();
    assert!(held(&base) == (rows(), positions()));
    assert_eq!(base.found(), &contents(&COLUMNS));
    drop(base);
    is_migrated(folder.path(), "opened before");
}

#[test]
fn rows_that_an_earlier_program_has_changed_beside_half_a_migration_are_as_it_left_them() {
    let folder = tempfile::tempdir().unwrap();
    version_1(folder.path());
    drop(taken(folder.path(), 5));
    let mut expected = rows();
    let earlier = open_version_1(folder.path());
    for ((column, key), value) in expected.extract_if(.., |(column, key), _| *column != 0 || key.len() == 1) {
        drop(value);
        earlier.delete_cf_opt(earlier.cf_handle(&family(column)).unwrap(), key, &without_log()).unwrap();
    }
    drop(earlier);
    let base = RocksBase::open(folder.path(), &options(&COLUMNS)).unwrap();
    assert_eq!(held(&base).0, expected);
    drop(base);
    assert!(raw(folder.path()).0 == version_2(expected));
}

/// By what lies on disk: the layout is written down in this file.
#[test]
fn the_layout_never_changes() {
    let folder = tempfile::tempdir().unwrap();
    let mut base = RocksBase::open(folder.path(), &options(&COLUMNS)).unwrap();
    let mut batch = Batch::new();
    rows().iter().for_each(|((column, key), value)| batch.put(ColumnId(*column), key, value));
    positions().into_iter().for_each(|(column, position)| batch.set_position(ColumnId(column), Position(position)));
    base.write(&batch).unwrap();
    drop(base);
    let (keys, families) = raw(folder.path());
    assert!(keys == version_2(rows()));
    assert_eq!(families, ["default"]);
}

#[test]
fn a_store_of_version_1_is_taken_by_the_names_of_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    version_1(folder.path());
    let renumbered = [(0, "meta"), (1, "begun"), (2, "last")];
    let adapting = RocksOptions { adapt: true, ..options(&renumbered) };
    let base = RocksBase::open(folder.path(), &adapting).unwrap();
    let of = |column| rows().into_iter().filter(move |((of, _), _)| *of == column);
    let read = |column| {
        let mut rows = Vec::new();
        let visit = &mut |key: &[u8], value: &[u8]| {
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        };
        base.scan(ColumnId(column), KeyRange::ALL, visit).unwrap();
        (rows, base.position(ColumnId(column)).unwrap())
    };
    let expected = |column, position| (of(column).map(|((_, key), value)| (key, value)).collect(), position);
    assert_eq!(read(0), expected(0, Some(Position(7))));
    assert_eq!(read(1), (Vec::new(), None));
    assert_eq!(read(2), expected(250, Some(Position(0))));
}

#[test]
fn what_is_refused_stays_of_version_1() {
    let folder = tempfile::tempdir().unwrap();
    version_1(folder.path());
    let before = raw(folder.path());
    let error = RocksBase::open(folder.path(), &options(&COLUMNS[..3])).unwrap_err();
    assert!(matches!(error, StoreError::Incompatible { .. }), "{error}");
    assert!(raw(folder.path()) == before);
}

#[test]
fn a_store_of_version_1_that_is_damaged_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, damaged] = ["whole", "damaged"].map(|name| folder.path().join(name));
    version_1(&whole);
    let mut files: Vec<PathBuf> = fs::read_dir(&whole).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "sst"));
    assert!(files.len() > 4, "{files:?}");
    let is_told = |what: &str| {
        let error = RocksBase::open(&damaged, &options(&COLUMNS)).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{what}: {error:?}");
        assert_eq!(error.remedy(), StoreRemedy::Rebuild);
        fs::remove_dir_all(&damaged).unwrap();
    };
    for file in files {
        copy_folder(&whole, &damaged);
        let mut bytes = fs::read(&file).unwrap();
        bytes[9] ^= 1;
        fs::write(damaged.join(file.file_name().unwrap()), bytes).unwrap();
        is_told(&file.display().to_string());
    }
    copy_folder(&whole, &damaged);
    open_version_1(&damaged).drop_cf(&family(2)).unwrap();
    is_told("a family that is not there");
}
