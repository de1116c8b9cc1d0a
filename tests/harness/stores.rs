//! The rows of a worker's stores, read twice: from the stores' own folders, and from their changelogs.
//!
//! Not here: what they should be. Invariant: nothing is read while a process has the folders.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use processing_core::changelog::{self, Logged};
use processing_core::log::embedded::EmbeddedReaderProcess;
use processing_core::plan::Plan;
use state::keys::meta::MetaKey;
use state::{Base as _, ColumnId, Contents, KeyRange, MemoryBudget, RocksBase, RocksOptions, StateDirectory, TaskName};

use crate::demo_process::committed;

/// The column of a task's rows about itself.
const META: ColumnId = ColumnId(0);

/// Rows by key.
pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
/// Rows by the name of a store's changelog and by task.
pub type Stores = BTreeMap<(String, u32), Rows>;

/// The rows of every store of `plan`, by the name of its changelog and by task, as the stores' folders
/// in `folder` hold them.
pub fn stored(plan: &Plan, folder: &Path) -> Stores {
    let whole = |(store, found): (_, Stored)| {
        assert!(found.is_whole, "{store:?} is half a restore");
        (store, found.rows)
    };
    stored_with_positions(plan, folder).into_iter().map(whole).collect()
}

/// A column as it lies in a store's folder.
#[derive(Debug)]
pub struct Stored {
    /// Its rows, without the mark of a restore, which is of the folder alone.
    pub rows: Rows,
    /// The changelog offset that it has followed up to.
    pub position: u64,
    /// Whether no restore was cut off in it: a process that is killed leaves half a restore behind, and whoever opens
    /// that folder next goes on with it.
    pub is_whole: bool,
}

/// The same, each with the changelog offset that it has followed up to; half restores too.
pub fn stored_with_positions(plan: &Plan, folder: &Path) -> BTreeMap<(String, u32), Stored> {
    let directory = StateDirectory::new(&folder.join("state"), plan.name()).expect("the folder has a name");
    let mut stores = BTreeMap::new();
    for task in directory.tasks().expect("the state folder can be read") {
        let sub = &plan.sub_topologies()[task.subtopology as usize];
        let lock = directory.lock(task).expect("nobody has the store");
        let contents = Contents::new(sub.contents()).expect("columns differ");
        let options = RocksOptions { adapt: true, ..RocksOptions::new(contents, MemoryBudget::new(16 << 20)) };
        let base = RocksBase::open(&lock.path().join("store"), &options).expect("the store can be opened");
        let mark = MetaKey::StateEpoch.to_bytes();
        let is_whole = base.get(META, &mark).expect("the store can be read").is_none();
        for column in sub.contents() {
            let mut rows = Rows::new();
            base.scan(column.id, KeyRange::ALL, &mut |key, value| {
                if column.id != META || key != mark.as_slice() {
                    rows.insert(key.to_vec(), value.to_vec());
                }
                ControlFlow::Continue(())
            })
            .expect("the store can be read");
            let position = base.position(column.id).expect("the store can be read").map_or(0, |position| position.0);
            let found = Stored { rows, position, is_whole };
            stores.insert((changelog_of(plan, task, &column.name), task.partition), found);
        }
    }
    stores
}

fn changelog_of(plan: &Plan, task: TaskName, column: &str) -> String {
    match column {
        "meta" => format!("{}-{}-meta-changelog", plan.name(), task.subtopology),
        store => format!("{}-{store}-changelog", plan.name()),
    }
}

/// The same, as the changelogs in the log say when they are replayed from their beginning.
pub fn replayed(plan: &Plan, folder: &Path) -> Stores {
    let log = EmbeddedReaderProcess::open(&folder.join("log")).expect("the log can be read");
    let own = format!("{}-", plan.name());
    let topics = log.admin().topics().expect("topics can be read");
    let mut stores = BTreeMap::new();
    let changelogs = topics.iter().map(|topic| topic.name.as_str());
    for topic in changelogs.filter(|name| name.starts_with(&own) && name.ends_with("-changelog")) {
        for (partition, records) in (0..).zip(committed(folder, topic)) {
            let records = records.iter().map(|record| (record.key.as_deref(), record.value.as_deref()));
            let rows = replay(topic, records);
            stores.insert((topic.to_owned(), partition), rows);
        }
    }
    stores
}

/// The rows that changelog records leave behind, from the first to the last.
pub fn replay<'r>(changelog: &str, records: impl Iterator<Item = (Option<&'r [u8]>, Option<&'r [u8]>)>) -> Rows {
    let mut rows = Rows::new();
    for (key, value) in records {
        match changelog::read(0, key, value) {
            Some(Logged::Row { key, value: Some(value) }) => drop(rows.insert(key.to_vec(), value.to_vec())),
            Some(Logged::Row { key, value: None }) => drop(rows.remove(key)),
            Some(Logged::Expiry { before }) => rows = rows.split_off(before),
            other => panic!("{changelog} holds {other:?}"),
        }
    }
    rows
}
