//! The folders of tasks, each with a lock, and the removal of those that nobody needs any more.
//!
//! ```text
//!   <state.dir>/<application>/0_3/        files of the task of sub-topology 0, partition 3
//!   <state.dir>/<application>/0_3.lock    locked while a process has the task open
//! ```
//!
//! The lock lies beside the folder, not in it, and is never deleted: otherwise one process could lock
//! a file that another is just removing, and a third could make and lock a new one.
//!
//! Not here: what lies in a folder.
//! Invariant: a task's folder is written or removed only by the one who holds its lock.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::error::StoreError;

/// A task: one partition of one sub-topology.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TaskName {
    /// The sub-topology's number in the plan.
    pub subtopology: u32,
    /// The partition.
    pub partition: u32,
}

impl TaskName {
    fn parse(name: &str) -> Option<Self> {
        let (subtopology, partition) = name.split_once('_')?;
        let task = Self { subtopology: subtopology.parse().ok()?, partition: partition.parse().ok()? };
        // "00_1" and "+0_1" are read as numbers too, but are no folders of ours.
        (task.to_string() == name).then_some(task)
    }
}

impl FromStr for TaskName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| format!("`{text}` is no task: sub-topology and partition, such as 0_3"))
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.subtopology, self.partition)
    }
}

/// The folder of an application's tasks.
#[derive(Clone, Debug)]
pub struct StateDirectory {
    path: PathBuf,
}

impl StateDirectory {
    /// The folder of `application` below `state_dir`; made when the first task is locked.
    ///
    /// # Errors
    /// If `application` is no plain folder name.
    pub fn new(state_dir: &Path, application: &str) -> Result<Self, StoreError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if application.is_empty() || !application.chars().all(plain) || application.starts_with('.') {
            let detail = format!(
                "the application's name `{application}` cannot be a folder: use letters, digits, `-`, `_` and `.`"
            );
            return Err(StoreError::Io { path: state_dir.to_path_buf(), detail });
        }
        Ok(Self { path: state_dir.join(application) })
    }

    /// Where the tasks' folders are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the folder of `task` for this process, until the answer is dropped.
    ///
    /// # Errors
    /// `Locked` if another process, or another part of this one, has it.
    pub fn lock(&self, task: TaskName) -> Result<TaskDirectory, StoreError> {
        fs::create_dir_all(&self.path).map_err(|error| StoreError::io(&self.path, "create the folder", &error))?;
        let lock_path = self.path.join(format!("{task}.lock"));
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|error| StoreError::io(&lock_path, "open the lock file", &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let detail = format!("task {task} is open in another process or thread");
                return Err(StoreError::Locked { path: lock_path, detail });
            }
            Err(TryLockError::Error(error)) => {
                return Err(StoreError::io(&lock_path, "lock", &error));
            }
        }
        let directory = TaskDirectory { task, path: self.path.join(task.to_string()), lock, lock_path };
        directory.touch()?;
        directory.make()?;
        Ok(directory)
    }

    /// The tasks that have a folder here.
    pub fn tasks(&self) -> Result<BTreeSet<TaskName>, StoreError> {
        let io = |error| StoreError::io(&self.path, "list the folder", &error);
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(io(error)),
        };
        let mut tasks = BTreeSet::new();
        for entry in entries {
            let entry = entry.map_err(io)?;
            tasks.extend(entry.file_name().to_str().and_then(TaskName::parse));
        }
        Ok(tasks)
    }

    /// Removes the folders of tasks that nobody has open and that were last used more than `age` before
    /// `now`: their changelogs may have dropped what they would still need. Answers which.
    pub fn remove_unused(&self, age: Duration, now: SystemTime) -> Result<Vec<TaskName>, StoreError> {
        let mut removed = Vec::new();
        for task in self.tasks()? {
            let used = newest_change(&self.path.join(task.to_string()), &self.path.join(format!("{task}.lock")))?;
            // A time in the future, after a clock was set back, is no age.
            if now.duration_since(used).unwrap_or_default() <= age {
                continue;
            }
            match self.lock(task) {
                Ok(directory) => {
                    directory.remove()?;
                    removed.push(task);
                }
                Err(StoreError::Locked { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}

/// The folder of one task, locked.
#[derive(Debug)]
pub struct TaskDirectory {
    task: TaskName,
    path: PathBuf,
    /// Held for its lock, which goes with it; and touched, to tell when the task was last used.
    lock: File,
    lock_path: PathBuf,
}

impl TaskDirectory {
    /// Whose folder it is.
    pub fn task(&self) -> TaskName {
        self.task
    }

    /// The folder, which exists.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes everything in the folder: the store is to be rebuilt. It must not be open.
    pub fn clear(&self) -> Result<(), StoreError> {
        self.remove_folder()?;
        self.make()
    }

    /// Removes the folder and gives up the lock.
    pub fn remove(self) -> Result<(), StoreError> {
        self.remove_folder()
    }

    fn make(&self) -> Result<(), StoreError> {
        fs::create_dir_all(&self.path).map_err(|error| StoreError::io(&self.path, "create the folder", &error))
    }

    #[expect(clippy::disallowed_methods, reason = "the age of a folder is for cleaning up, no result depends on it")]
    fn touch(&self) -> Result<(), StoreError> {
        let now = self.lock.set_modified(SystemTime::now());
        now.map_err(|error| StoreError::io(&self.lock_path, "set the time of last use", &error))
    }

    fn remove_folder(&self) -> Result<(), StoreError> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(StoreError::io(&self.path, "remove the folder", &error))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for TaskDirectory {
    fn drop(&mut self) {
        // A failure leaves an older time of last use: the folder might go early and be restored.
        if let Err(error) = self.touch() {
            tracing::warn!(task = %self.task, %error, "cannot note when the task was last used");
        }
        // Said, and not left to closing: a process that another thread is just starting holds a copy of the
        // file until it becomes its own program, and with it the lock.
        drop(self.lock.unlock());
    }
}

/// When a task was last used: a killed process has not touched the lock, but its store wrote files.
fn newest_change(folder: &Path, lock: &Path) -> Result<SystemTime, StoreError> {
    let changed = |path: &Path| match fs::metadata(path).and_then(|metadata| metadata.modified()) {
        Ok(time) => Ok(time),
        // A file that a running store has just replaced: the others tell.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(SystemTime::UNIX_EPOCH),
        Err(error) => Err(StoreError::io(path, "read the time of last change", &error)),
    };
    let mut newest = changed(lock)?.max(changed(folder)?);
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let io = |error| StoreError::io(&folder, "list the folder", &error);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.map_err(io)?,
        };
        for entry in entries {
            let entry = entry.map_err(io)?;
            newest = newest.max(changed(&entry.path())?);
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn task(subtopology: u32, partition: u32) -> TaskName {
        TaskName { subtopology, partition }
    }

    #[test]
    fn a_task_is_open_once_at_a_time_and_keeps_its_files() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDirectory::new(root.path(), "trending-cities").unwrap();
        let held = state.lock(task(0, 3)).unwrap();
        assert_eq!(held.path(), root.path().join("trending-cities/0_3"));
        fs::write(held.path().join("row"), "x").unwrap();
        assert!(matches!(state.lock(task(0, 3)), Err(StoreError::Locked { .. })));
        let other = state.lock(task(0, 4)).unwrap();
        assert_eq!(state.tasks().unwrap(), BTreeSet::from([task(0, 3), task(0, 4)]));
        drop((held, other));
        let held = state.lock(task(0, 3)).unwrap();
        assert_eq!(fs::read(held.path().join("row")).unwrap(), b"x");
        held.clear().unwrap();
        assert_eq!(fs::read_dir(held.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_old_tasks_that_nobody_holds_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDirectory::new(root.path(), "app").unwrap();
        let held = state.lock(task(0, 0)).unwrap();
        drop(state.lock(task(0, 1)).unwrap());
        fs::create_dir_all(state.path().join("notes_of_mine")).unwrap();
        let now = SystemTime::now();
        assert_eq!(state.remove_unused(DAY, now).unwrap(), []);
        assert_eq!(state.remove_unused(DAY, now - 5 * DAY).unwrap(), []);
        assert_eq!(state.remove_unused(DAY, now + 2 * DAY).unwrap(), [task(0, 1)]);
        assert!(held.path().exists() && !state.path().join("0_1").exists());
        assert!(state.path().join("notes_of_mine").exists());
        drop(held);
        assert_eq!(state.remove_unused(DAY, now + 2 * DAY).unwrap(), [task(0, 0)]);
    }

    #[test]
    fn a_file_written_lately_keeps_a_task_whose_process_was_killed() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDirectory::new(root.path(), "app").unwrap();
        drop(state.lock(task(1, 2)).unwrap());
        let store = state.path().join("1_2/store");
        fs::create_dir_all(&store).unwrap();
        let now = SystemTime::now();
        let file = File::create(store.join("000001.sst")).unwrap();
        file.set_modified(now + 2 * DAY).unwrap();
        assert_eq!(state.remove_unused(DAY, now + 2 * DAY).unwrap(), []);
        assert_eq!(state.remove_unused(DAY, now + 4 * DAY).unwrap(), [task(1, 2)]);
    }

    #[test]
    fn names_that_would_leave_the_state_folder_are_refused() {
        for name in ["", "..", "a/b", ".hidden", "a b"] {
            assert!(StateDirectory::new(Path::new("/state"), name).is_err(), "{name}");
        }
    }

    #[test]
    fn only_our_own_folder_names_are_tasks() {
        assert_eq!(TaskName::parse("12_0"), Some(task(12, 0)));
        for name in ["00_1", "0_1.lock", "+0_1", "0_", "1", "0_1_2", "-1_0"] {
            assert_eq!(TaskName::parse(name), None, "{name}");
        }
    }
}
