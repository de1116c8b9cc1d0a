//! A task's store as one file, and back: rows, positions and commit record, with a checksum over all of it.
//!
//! The file's layout stands in [`state::snapshot`]; the words in its head say whose store it is:
//!
//! ```text
//!   application │ sub-topology u32, partition u32 │ origin │ commit number u64 │ state epoch u32     in the state's codec
//! ```
//! `origin` is the file of that name ([`crate::home`]): the changelogs that the store follows. So an imported store is used
//! by a worker on the same log, which reads its changelogs from the store's positions on. On another log, or after the
//! changelogs were made anew, the worker finds that out as it does of any store, and restores.
//!
//! Not here: who asks for it (`streamfleet state export` and `import`). Invariant: a folder gets a store only when the whole
//! file was read and found right; until then it lies beside under another name, which no worker looks at.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use state::snapshot::{self, SnapshotError, SnapshotHead, SnapshotReader};
use state::{
    Base, MemoryBudget, RocksBase, RocksOptions, StateDirectory, TaskDirectory, TaskName, TaskStore, TaskStoreLimits,
};

use crate::error::CoreError;
use crate::home::{ORIGIN, STORE, note_contents, note_origin};
use crate::limits::SNAPSHOT_MEMORY;
use crate::plan::Plan;
use crate::restore::begun_in;
use crate::task::{TaskId, TaskReceipt, read_record};
use crate::upgrade::Upgrade;

/// Beside the store, while a snapshot is being read.
const IMPORTED: &str = "store.imported";

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose store it is.
    pub application: String,
    /// Of which task.
    pub task: TaskName,
    /// The number of the last commit in it.
    pub commit: u64,
    /// The state epoch.
    pub epoch: u32,
    /// How many rows it has, those of the task about itself among them.
    pub rows: u64,
}

#[derive(Serialize, Deserialize)]
struct About {
    application: String,
    subtopology: u32,
    partition: u32,
    origin: String,
    commit: u64,
    epoch: u32,
}

/// Writes the store of `task` of an application below `state_dir` into a new file.
///
/// # Errors
/// If there is no such store, a worker has it open, it is half of a restore, or the file is there already.
pub fn export(state_dir: &Path, application: &str, task: TaskName, file: &Path) -> Result<Snapshot, CoreError> {
    let directory = StateDirectory::new(state_dir, application)?;
    let store = directory.path().join(task.to_string()).join(STORE);
    let none = || CoreError::config(format!("there is no store of task {task} in {}", directory.path().display()));
    if !store.exists() {
        return Err(none());
    }
    let lock = directory.lock(task)?;
    let base = RocksBase::open_as_it_is(&store, MemoryBudget::new(SNAPSHOT_MEMORY))?.ok_or_else(none)?;
    let contents = base.found().clone();
    let mut positions = Vec::new();
    for column in contents.columns() {
        positions.extend(base.position(column.id)?.map(|position| (column.id, position)));
    }
    let origin_file = lock.path().join(ORIGIN);
    let origin = fs::read_to_string(&origin_file).map_err(|error| failed("read", &origin_file, &error))?;
    let rows = rows_of(base);
    if begun_in(&rows)?.is_some() {
        return Err(CoreError::config(format!(
            "the store of task {task} is half of a restore: let the worker finish it, and stop it then"
        )));
    }
    let record = read_record(&rows)?;
    let record = record.ok_or_else(|| CoreError::config(format!("task {task} has committed nothing yet")))?;
    let about = About {
        application: application.to_owned(),
        subtopology: task.subtopology,
        partition: task.partition,
        origin,
        commit: record.number,
        epoch: record.epoch,
    };
    let mut words = Vec::new();
    state::codec::encode_into(&mut words, &about).map_err(|error| CoreError::store_refused(error.to_string()))?;
    let head = SnapshotHead { about: words, contents, positions };
    let opened = File::options().write(true).create_new(true).open(file);
    let mut out = BufWriter::new(opened.map_err(|error| failed("make", file, &error))?);
    let written = snapshot::write(rows.base(), &head, &mut out).map_err(CoreError::from_snapshot(file));
    let written = written.and_then(|rows| {
        let synced = out.flush().and_then(|()| out.get_ref().sync_all());
        synced.map(|()| rows).map_err(|error| failed("write", file, &error))
    });
    match written {
        Ok(rows) => Ok(about.with(rows)),
        Err(error) => {
            // Half a file would be told from a whole one, but nobody needs it.
            drop(fs::remove_file(file));
            Err(error)
        }
    }
}

/// What an import must find in the file.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The application's plan: what its stores must hold, or be migrated to.
    pub plan: &'a Plan,
    /// The task.
    pub task: TaskName,
    /// The state epoch in which the worker works.
    pub epoch: u32,
}

/// Makes the store in `file` that of a task below `state_dir`, which must have none.
///
/// # Errors
/// If the file is damaged or cut off, or its store is of another application, task, state epoch or topology; if the task
/// has a store already, or a worker has its folder. Nothing is left behind then.
pub fn import(state_dir: &Path, wanted: Wanted<'_>, file: &Path) -> Result<Snapshot, CoreError> {
    let opened = File::open(file).map_err(|error| failed("open", file, &error))?;
    let mut reader = SnapshotReader::open(BufReader::new(opened)).map_err(CoreError::from_snapshot(file))?;
    let about: About = state::codec::decode(&reader.head().about)
        .map_err(|error| CoreError::config(format!("{}: its head cannot be read: {error}", file.display())))?;
    about.check(wanted, file)?;
    let directory = StateDirectory::new(state_dir, wanted.plan.name())?;
    let lock = directory.lock(wanted.task)?;
    let store = lock.path().join(STORE);
    if store.exists() {
        return Err(CoreError::config(format!(
            "task {} has a store already, in {}: move or remove it first; a snapshot takes the place of none",
            wanted.task,
            store.display()
        )));
    }
    let imported = lock.path().join(IMPORTED);
    clear(&imported)?;
    let taken = take(&mut reader, wanted, &imported, file).and_then(|rows| {
        // ORDER: a store without this file would be thrown away, and this file without a store says nothing.
        note_origin(lock.path(), &about.origin)?;
        fs::rename(&imported, &store).map_err(|error| failed("rename", &imported, &error))?;
        sync(&lock)?;
        Ok(rows)
    });
    match taken {
        Ok(rows) => Ok(about.with(rows)),
        Err(error) => {
            clear(&imported)?;
            Err(error)
        }
    }
}

/// Reads all of a snapshot into a store in `folder`, and looks whether the topology can use it.
fn take<R: Read>(
    reader: &mut SnapshotReader<R>,
    wanted: Wanted<'_>,
    folder: &Path,
    file: &Path,
) -> Result<u64, CoreError> {
    let contents = reader.head().contents.clone();
    let mut base = RocksBase::open(folder, &RocksOptions::new(contents.clone(), MemoryBudget::new(SNAPSHOT_MEMORY)))?;
    let rows = snapshot::restore(reader, &mut base).map_err(CoreError::from_snapshot(file))?;
    note_contents(&mut base, &contents)?;
    let store = rows_of(base);
    let id = TaskId {
        sub_topology: u16::try_from(wanted.task.subtopology).unwrap_or(u16::MAX),
        partition: wanted.task.partition,
    };
    let refused = |error: CoreError| CoreError::config(format!("{}: {error}", file.display()));
    Upgrade::of(id, &store, wanted.plan, true).map_err(refused)?;
    Ok(rows)
}

impl About {
    fn check(&self, wanted: Wanted<'_>, file: &Path) -> Result<(), CoreError> {
        let Wanted { plan, task, epoch } = wanted;
        let own = TaskName { subtopology: self.subtopology, partition: self.partition };
        let wrong = |what: String| Err(CoreError::config(format!("{}: it is a snapshot of {what}", file.display())));
        if self.application != plan.name() {
            return wrong(format!("application {}, not of {}", self.application, plan.name()));
        }
        if own != task {
            return wrong(format!("task {own}, not of {task}"));
        }
        if plan.sub_topologies().get(task.subtopology as usize).is_none() {
            return wrong(format!("task {task}, and the topology has no sub-topology {}", task.subtopology));
        }
        if self.epoch != epoch {
            return wrong(format!("state epoch {}, and the application works in epoch {epoch}", self.epoch));
        }
        Ok(())
    }

    fn with(self, rows: u64) -> Snapshot {
        let Self { application, subtopology, partition, commit, epoch, .. } = self;
        Snapshot { application, task: TaskName { subtopology, partition }, commit, epoch, rows }
    }
}

impl CoreError {
    /// A snapshot's own word, with the name of its file.
    fn from_snapshot(file: &Path) -> impl Fn(SnapshotError) -> Self {
        move |error| match error {
            SnapshotError::Store(error) => error.into(),
            SnapshotError::Io(error) => failed("read or write", file, &error),
            told => Self::config(format!("{}: {told}", file.display())),
        }
    }
}

fn rows_of<B: Base>(base: B) -> TaskStore<B, TaskReceipt> {
    TaskStore::new(base, [], TaskStoreLimits::default())
}

fn clear(folder: &Path) -> Result<(), CoreError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", folder, &error)),
        _ => Ok(()),
    }
}

/// Puts the names in a task's folder on disk.
fn sync(lock: &TaskDirectory) -> Result<(), CoreError> {
    let synced = File::open(lock.path()).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed("sync", lock.path(), &error))
}

fn failed(doing: &str, path: &Path, error: &std::io::Error) -> CoreError {
    let told = format!("cannot {doing} {}: {error}", path.display());
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => CoreError::DiskFull(told),
        _ => CoreError::config(told),
    }
}
