//! Stores as files, and workers that go on with them.
//!
//! Not here: the file's layout, every byte of which is checked where it is written ([`state::snapshot`]). Invariant: a
//! worker on an imported store does what it would have done on the exported one.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use state::snapshot::SnapshotReader;
use state::{Base as _, KeyRange, MemoryBudget, RocksBase, StateDirectory, TaskName};

use super::earlier::{BEGIN, Housed, before_plan, copy, fixture, go_on_and_check};
use crate::error::{CoreError, ExitCode};
use crate::snapshot::{Wanted, export, import};

type Rows = BTreeMap<(String, Vec<u8>), Vec<u8>>;

/// Everything in a store: rows by the name of their column, and positions.
fn held(store: &Path) -> (Rows, BTreeMap<String, Option<u64>>) {
    let base = RocksBase::open_as_it_is(store, MemoryBudget::new(16 << 20)).unwrap().unwrap();
    let (mut rows, mut positions) = (Rows::new(), BTreeMap::new());
    for column in base.found().columns() {
        positions.insert(column.name.clone(), base.position(column.id).unwrap().map(|position| position.0));
        base.scan(column.id, KeyRange::ALL, &mut |key, value| {
            rows.insert((column.name.clone(), key.to_vec()), value.to_vec());
            ControlFlow::Continue(())
        })
        .unwrap();
    }
    (rows, positions)
}

/// The fixture, and its tasks in files; their folders are gone.
fn exported() -> (tempfile::TempDir, Vec<(TaskName, PathBuf)>) {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture(), folder.path());
    let state = folder.path().join("state");
    let directory = StateDirectory::new(&state, "earlier").unwrap();
    let mut files = Vec::new();
    for task in directory.tasks().unwrap() {
        let file = folder.path().join(format!("{task}.snapshot"));
        let done = export(&state, "earlier", task, &file).unwrap();
        assert_eq!((done.task, done.epoch, done.application.as_str()), (task, 0, "earlier"));
        assert!(done.commit > 0 && done.rows > 0);
        files.push((task, file));
    }
    fs::remove_dir_all(&state).unwrap();
    (folder, files)
}

fn take(folder: &Path, task: TaskName, file: &Path) -> Result<(), CoreError> {
    let plan = before_plan();
    import(&folder.join("state"), Wanted { plan: &plan, task, epoch: 0 }, file).map(drop)
}

#[test]
fn what_was_exported_is_imported_row_by_row_and_the_worker_goes_on() {
    let (folder, files) = exported();
    for (task, file) in &files {
        take(folder.path(), *task, file).unwrap();
        let of = |root: &Path| root.join("state/earlier").join(task.to_string());
        let fresh = tempfile::tempdir().unwrap();
        copy(&fixture(), fresh.path());
        let (mut now, mut once) = (held(&of(folder.path()).join("store")), held(&of(fresh.path()).join("store")));
        // What its rows are, which the earlier version did not say in a row.
        now.0.remove(&("meta".to_owned(), vec![9]));
        once.0.remove(&("meta".to_owned(), vec![9]));
        assert!(now == once, "task {task}");
    }
    let mut housed = Housed::open(folder.path(), BEGIN + 600_000);
    housed.start(before_plan());
    go_on_and_check(&mut housed);
    assert_eq!(housed.worker.as_ref().unwrap().status().restored, 0, "nothing had to be read again");
}

#[test]
fn a_snapshot_of_an_earlier_moment_is_brought_up_by_the_changelogs() {
    let (folder, files) = exported();
    let mut housed = Housed::open(folder.path(), BEGIN + 600_000);
    files.iter().for_each(|(task, file)| take(folder.path(), *task, file).unwrap());
    housed.start(before_plan());
    go_on_and_check(&mut housed);
    housed.leave();
    fs::remove_dir_all(folder.path().join("state")).unwrap();
    files.iter().for_each(|(task, file)| take(folder.path(), *task, file).unwrap());
    housed.start(before_plan());
    housed.rest().unwrap();
    assert!(housed.worker.as_ref().unwrap().status().restored > 0);
    let rows = |task: &TaskName| held(&folder.path().join("state/earlier").join(task.to_string()).join("store")).0;
    housed.leave();
    let caught_up: Vec<Rows> = files.iter().map(|(task, _)| rows(task)).collect();
    fs::remove_dir_all(folder.path().join("state")).unwrap();
    housed.start(before_plan());
    housed.rest().unwrap();
    housed.leave();
    let restored: Vec<Rows> = files.iter().map(|(task, _)| rows(task)).collect();
    let last_commit = |rows: Vec<Rows>| -> Vec<Rows> {
        let without = |mut rows: Rows| {
            // Each start commits once.
            rows.retain(|(column, key), _| column != "meta" || key.first() != Some(&1));
            rows
        };
        rows.into_iter().map(without).collect()
    };
    assert!(last_commit(caught_up) == last_commit(restored));
}

#[test]
fn what_does_not_belong_there_is_refused_and_nothing_is_left() {
    let (folder, files) = exported();
    let (task, file) = &files[0];
    let state = folder.path().join("state");
    let plan = before_plan();
    let other = {
        let app = crate::dsl::Topology::named("other");
        app.build().unwrap()
    };
    let wanted = Wanted { plan: &plan, task: *task, epoch: 0 };
    let strange = TaskName { partition: 7, ..*task };
    let damaged = folder.path().join("damaged");
    let mut bytes = fs::read(file).unwrap();
    // Behind the head: in a row.
    let middle = bytes.len() - 60;
    bytes[middle] ^= 0x10;
    fs::write(&damaged, &bytes).unwrap();
    let short = folder.path().join("short");
    fs::write(&short, &fs::read(file).unwrap()[..middle]).unwrap();
    for (wanted, file, part) in [
        (Wanted { plan: &other, ..wanted }, file, "application earlier, not of other"),
        (Wanted { task: strange, ..wanted }, file, "not of 0_7"),
        (Wanted { epoch: 3, ..wanted }, file, "works in epoch 3"),
        (wanted, &damaged, "is damaged"),
        (wanted, &short, "cut off"),
        (wanted, &folder.path().join("none"), "cannot open"),
    ] {
        let error = import(&state, wanted, file).unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Config);
        assert!(error.to_string().contains(part), "{part}: {error}");
        let left = walk(&state);
        assert!(left.iter().all(|path| path.extension().is_some_and(|end| end == "lock")), "{left:?}");
    }
    take(folder.path(), *task, file).unwrap();
    let told = take(folder.path(), *task, file).unwrap_err().to_string();
    assert!(told.contains("has a store already"), "{told}");
    let again = export(&state, "earlier", *task, file).unwrap_err().to_string();
    assert!(again.contains("cannot make"), "a file is not written over: {again}");
    let nowhere = export(&state, "earlier", strange, &folder.path().join("new")).unwrap_err().to_string();
    assert!(nowhere.contains("there is no store of task 0_7"), "{nowhere}");
    let held = StateDirectory::new(&state, "earlier").unwrap();
    let _lock = held.lock(*task).unwrap();
    let in_use = export(&state, "earlier", *task, &folder.path().join("new")).unwrap_err().to_string();
    assert!(in_use.contains("is open in another process"), "{in_use}");
    let in_use = take(folder.path(), *task, file).unwrap_err().to_string();
    assert!(in_use.contains("is open in another process"), "{in_use}");
    SnapshotReader::open(fs::File::open(file).unwrap()).unwrap();
}

#[test]
fn a_store_of_another_topology_is_refused_before_it_lies_there() {
    let (folder, files) = exported();
    let state = folder.path().join("state");
    let plan = super::earlier::changed_plan();
    for (task, file) in files.iter().filter(|(task, _)| task.subtopology == 0) {
        let told = import(&state, Wanted { plan: &plan, task: *task, epoch: 0 }, file).unwrap_err().to_string();
        assert!(told.contains("store `counts` holds") && told.contains("topology.migrate("), "{told}");
        assert!(!state.join("earlier").join(task.to_string()).join("store").exists());
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files
}
