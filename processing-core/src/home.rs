//! The folders in which a process keeps its tasks' stores.
//!
//! ```text
//!   <state.dir>/<application>/0_3/origin    which changelogs the store follows
//!   <state.dir>/<application>/0_3/store/    the rows
//! ```
//!
//! ```text
//! origin    changelogs by store           the topic's id, in base 16
//!           meta 0190a1...                one line for each store; earlier ones named the column's number
//!           trending 0190a2...
//! ```
//! A store whose topology has changed is opened as it is: columns are found by name, and what their rows mean is told by a
//! row of the store ([`crate::contents`]), which is written here for a store that was begun before there was one.
//!
//! Not here: what a restore reads ([`crate::restore`]). Invariant: a store is opened only if it follows
//! the very changelogs that the log holds now, as far as there are changelogs of the same names; any other is thrown
//! away, with a message, and comes back from its changelog.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use state::keys::meta::MetaKey;
use state::{
    Base, Batch, ColumnContents, ColumnId, Contents, KeyRange, MemoryBase, MemoryBudget, Position, RocksBase,
    RocksOptions, Row, StateDirectory, StoreError, TaskDirectory, TaskName, Visit,
};

use crate::changelog::META;
use crate::clock::Clock;
use crate::contents::{self, Held};
use crate::error::CoreError;
use crate::layout::{Layout, PartLayout};
use crate::limits::{STATE_UNUSED_MAX, STORE_HANDOVER_MAX, STORE_WANTED};
use crate::log::LogError;
use crate::plan::SubTopology;
use crate::task::TaskId;
use crate::worker::StateHome;

pub(crate) const ORIGIN: &str = "origin";
pub(crate) const STORE: &str = "store";

/// The state folder of one application on this machine, shared by the threads of a process.
#[derive(Clone)]
pub struct RocksHome {
    shared: Arc<Shared>,
}

struct Shared {
    directory: StateDirectory,
    budget: MemoryBudget,
    clock: Arc<dyn Clock>,
    /// By sub-topology: its changelogs, as the file `origin` names them.
    origins: Vec<Origin>,
    present: Mutex<Present>,
}

#[derive(Default)]
struct Present {
    /// Stores that were found damaged while they were open.
    damaged: BTreeSet<TaskId>,
    /// Worker threads that wait for folders which somebody else has.
    awaited: BTreeMap<TaskId, Awaited>,
}

/// A folder that is wanted.
#[derive(Clone, Copy)]
struct Awaited {
    since: Duration,
    /// When it was last asked for.
    last: Duration,
}

impl RocksHome {
    /// The folder below `state_dir`, for the tasks of `layout`. What stands there is used however long nobody had it
    /// open: a restore finds out whether its changelogs can still follow it.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn new(
        state_dir: &Path,
        layout: &Layout,
        budget: MemoryBudget,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CoreError> {
        Ok(Self {
            shared: Arc::new(Shared {
                directory: StateDirectory::new(state_dir, layout.plan.name())?,
                budget,
                clock,
                origins: layout.plan.sub_topologies().iter().zip(&layout.parts).map(Origin::of).collect(),
                present: Mutex::default(),
            }),
        })
    }

    /// Removes the stores that nobody has open and that have not been in use for long: tasks that have moved to
    /// another machine. To be called now and then, and not before this process has opened its own; answers how
    /// many.
    pub fn remove_unused(&self) -> Result<usize, CoreError> {
        let shared = &*self.shared;
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(shared.clock.now().0.unsigned_abs());
        let age = STATE_UNUSED_MAX.span();
        let removed = shared.directory.remove_unused(age, now)?;
        for task in &removed {
            tracing::info!(%task, "removed a store that was not in use for long; its changelog has its rows");
        }
        Ok(removed.len())
    }

    /// The memory that the stores use now, in bytes: blocks and memtables, and memtables alone.
    pub fn memory_bytes(&self) -> (usize, usize) {
        (self.shared.budget.used_bytes(), self.shared.budget.memtable_bytes())
    }

    /// Whether a worker thread waits for the folder of `task`.
    pub(crate) fn is_wanted(&self, task: TaskId) -> bool {
        let now = self.shared.clock.elapsed();
        let present = self.shared.present();
        present.awaited.get(&task).is_some_and(|awaited| now.saturating_sub(awaited.last) < STORE_WANTED.span())
    }

    /// Opens the store of a task that another process runs; `None` where somebody has it open or wants it.
    pub(crate) fn open_copy(&self, task: TaskId, contents: &[ColumnContents]) -> Result<Option<HousedBase>, CoreError> {
        if self.is_wanted(task) {
            return Ok(None);
        }
        match self.shared.directory.lock(name(task)) {
            Ok(directory) => self.house(task, directory, contents).map(Some),
            Err(StoreError::Locked { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn house(
        &self,
        task: TaskId,
        directory: TaskDirectory,
        contents: &[ColumnContents],
    ) -> Result<HousedBase, CoreError> {
        let shared = &self.shared;
        let nothing = Origin::default();
        let wanted = shared.origins.get(usize::from(task.sub_topology)).unwrap_or(&nothing);
        let was_damaged = shared.present().damaged.remove(&task);
        if let Some(why) = unfit(directory.path(), wanted, was_damaged) {
            tracing::warn!(%task, "{why}; the store is made anew from its changelog");
            directory.clear()?;
        }
        let is_there = directory.path().join(STORE).exists();
        if !is_there {
            note_origin(directory.path(), &wanted.by_name)?;
        }
        let contents = Contents::new(contents.iter().cloned())
            .ok_or_else(|| CoreError::config(format!("two stores of task {task} have one name or one column")))?;
        let mut options = RocksOptions::new(contents, shared.budget.clone());
        options.adapt = true;
        let path = directory.path().join(STORE);
        let mut base = match RocksBase::open(&path, &options) {
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::warn!(%task, "{error}");
                directory.clear()?;
                note_origin(directory.path(), &wanted.by_name)?;
                RocksBase::open(&path, &options)?
            }
            opened => opened?,
        };
        if is_there {
            // ORDER: when columns that are no more have been dropped. Until then it tells of their changelogs.
            note_origin(directory.path(), &wanted.by_name)?;
        }
        note_contents(&mut base, &options.contents)?;
        Ok(HousedBase { base, task, shared: Arc::clone(shared), directory })
    }

    fn lock(&self, task: TaskId) -> Result<TaskDirectory, CoreError> {
        let shared = &*self.shared;
        match shared.directory.lock(name(task)) {
            Ok(directory) => {
                shared.present().awaited.remove(&task);
                Ok(directory)
            }
            Err(StoreError::Locked { path, detail }) => {
                let now = shared.clock.elapsed();
                let mut present = shared.present();
                let awaited = present.awaited.entry(task).or_insert(Awaited { since: now, last: now });
                if now.saturating_sub(awaited.last) >= STORE_WANTED.span() {
                    // It was given up since, and is wanted anew.
                    awaited.since = now;
                }
                awaited.last = now;
                let since = awaited.since;
                drop(present);
                let most = STORE_HANDOVER_MAX.span();
                if now.saturating_sub(since) >= most {
                    return Err(StoreError::Locked { path, detail }.into());
                }
                // A thread of this process that is just closing it, most of the time.
                Err(LogError::Retry(format!("{}: {detail}", path.display())).into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl StateHome for RocksHome {
    type Base = HousedBase;

    fn open(&mut self, task: TaskId, contents: &[ColumnContents]) -> Result<HousedBase, CoreError> {
        self.house(task, self.lock(task)?, contents)
    }

    fn destroy(&mut self, task: TaskId) -> Result<(), CoreError> {
        Ok(self.lock(task)?.clear()?)
    }
}

impl Shared {
    fn present(&self) -> MutexGuard<'_, Present> {
        // Both sets are changed in one step each.
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store together with the lock of its folder. Damage that is met while it is open is remembered, so
/// that the next opening begins with an empty store.
pub struct HousedBase {
    // ORDER: fields are dropped from the top: the store is closed before its folder is given up.
    base: RocksBase,
    task: TaskId,
    shared: Arc<Shared>,
    directory: TaskDirectory,
}

impl HousedBase {
    /// Closes the store and throws it away, before anybody else can have it.
    pub(crate) fn clear(self) -> Result<(), CoreError> {
        let Self { base, directory, .. } = self;
        drop(base);
        Ok(directory.clear()?)
    }

    fn told<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Damaged { .. }) = &answer {
            self.shared.present().damaged.insert(self.task);
        }
        answer
    }
}

impl Base for HousedBase {
    fn read(&self, column: ColumnId, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.told(self.base.read(column, key, visit))
    }

    fn scan(&self, column: ColumnId, range: KeyRange<'_>, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.told(self.base.scan(column, range, visit))
    }

    fn last(&self, column: ColumnId, range: KeyRange<'_>) -> Result<Option<Row>, StoreError> {
        self.told(self.base.last(column, range))
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let written = self.base.write(batch);
        self.told(written)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let flushed = self.base.flush();
        self.told(flushed)
    }

    fn position(&self, column: ColumnId) -> Result<Option<Position>, StoreError> {
        self.told(self.base.position(column))
    }

    fn unflushed_bytes(&self) -> usize {
        self.base.unflushed_bytes()
    }
}

/// Stores that begin empty whenever they are opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryHome;

impl StateHome for MemoryHome {
    type Base = MemoryBase;

    fn open(&mut self, _: TaskId, _: &[ColumnContents]) -> Result<MemoryBase, CoreError> {
        Ok(MemoryBase::default())
    }

    fn destroy(&mut self, _: TaskId) -> Result<(), CoreError> {
        Ok(())
    }
}

fn name(task: TaskId) -> TaskName {
    TaskName { subtopology: u32::from(task.sub_topology), partition: task.partition }
}

/// The changelogs of a sub-topology. Topic ids are made at random, so that they also tell apart two logs that stood in
/// one place.
#[derive(Default)]
struct Origin {
    /// As the file says it.
    by_name: String,
    /// As it was said once, when columns were known by their numbers.
    by_column: String,
}

const BY_NAME: &str = "changelogs by store\n";
const BY_COLUMN: &str = "changelogs by column\n";

impl Origin {
    fn of((sub, part): (&SubTopology, &PartLayout)) -> Self {
        let (mut by_name, mut by_column) = (String::from(BY_NAME), String::from(BY_COLUMN));
        for column in sub.contents() {
            let Some(Some(id)) = part.changelog_ids.get(usize::from(column.id.0)) else { continue };
            by_name.push_str(&format!("{} {:032x}\n", column.name, id.0));
            by_column.push_str(&format!("{} {:032x}\n", column.id.0, id.0));
        }
        Self { by_name, by_column }
    }

    /// Whether a store with this file follows these changelogs, as far as it has stores of the same names.
    fn fits(&self, found: &str) -> bool {
        if found == self.by_column {
            return true;
        }
        let lines = |text: &str| -> Option<BTreeMap<String, String>> {
            let lines = text.strip_prefix(BY_NAME)?.lines();
            lines.map(|line| line.split_once(' ').map(|(name, id)| (name.to_owned(), id.to_owned()))).collect()
        };
        let (Some(found), Some(wanted)) = (lines(found), lines(&self.by_name)) else { return false };
        found.iter().all(|(name, id)| wanted.get(name).is_none_or(|wanted| wanted == id))
    }
}

/// Why a folder's store must not be used; `None` also if there is no store yet.
fn unfit(folder: &Path, wanted: &Origin, was_damaged: bool) -> Option<String> {
    if was_damaged {
        return Some("damage was found while the store was open".to_owned());
    }
    if !folder.join(STORE).exists() {
        return None;
    }
    match std::fs::read_to_string(folder.join(ORIGIN)) {
        Ok(found) if wanted.fits(&found) => None,
        Ok(_) => Some("its changelogs were deleted and made anew, or belong to another log".to_owned()),
        Err(error) => Some(format!("nothing says which changelogs it follows ({error})")),
    }
}

/// Writes down what a store's rows are, where the store alone says so; and takes the word of its rows where they are
/// all what the topology says.
pub(crate) fn note_contents(base: &mut RocksBase, wanted: &Contents) -> Result<(), CoreError> {
    let key = MetaKey::Contents.to_bytes();
    match base.get(META, &key)? {
        Some(bytes) if contents::held_of(&bytes)? == Held::of(wanted.columns()) => base.note_fingerprints(wanted)?,
        Some(_) => {}
        // Half of a restore, and a store that was made for another topology's rows, say nothing.
        None if base.found().say_all()
            && base.get(META, &MetaKey::CommitRecord.to_bytes())?.is_some()
            && base.get(META, &MetaKey::StateEpoch.to_bytes())?.is_none() =>
        {
            let mut value = Vec::new();
            let encoded = state::codec::encode_into(&mut value, &Held::of_record(base.found()));
            encoded.map_err(|error| CoreError::store_refused(error.to_string()))?;
            let mut batch = Batch::new();
            batch.put(META, &key, &value);
            base.write(&batch)?;
            base.flush()?;
        }
        None => {}
    }
    Ok(())
}

pub(crate) fn note_origin(folder: &Path, wanted: &str) -> Result<(), CoreError> {
    let path: PathBuf = folder.join(ORIGIN);
    if std::fs::read_to_string(&path).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    std::fs::write(&path, wanted).map_err(|error| {
        let told = format!("cannot write {}: {error}", path.display());
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                CoreError::DiskFull(format!("{told}; free space or enlarge the volume, then start again"))
            }
            _ => CoreError::config(told),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::count;
    use crate::clock::ManualClock;
    use crate::dsl::{Topic, Topology};
    use crate::log::memory::{MemoryLog, MemoryOptions};
    use crate::log::{Cleanup, Log, TopicSettings};
    use crate::record::{EventTime, TopicName};
    use crate::window::Tumbling;

    const TASK: TaskId = TaskId { sub_topology: 0, partition: 0 };
    const ROWS: ColumnId = ColumnId(1);

    fn layout(log: &MemoryLog) -> Layout {
        let app = Topology::named("housed");
        app.stream(Topic::json("in"))
            .event_time(|at: &i64| EventTime(*at))
            .already_keyed_by(|at| *at)
            .window(Tumbling::seconds(1))
            .fold("counts", count())
            .on_close()
            .end();
        let mut admin = log.admin().unwrap();
        let settings =
            TopicSettings { partitions: 1, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false };
        admin.create_topic(&"in".into(), settings).unwrap();
        Layout::new(Arc::new(app.build().unwrap()), &mut *admin).unwrap()
    }

    fn open(folder: &Path, layout: &Layout) -> HousedBase {
        let budget = MemoryBudget::new(64 << 20);
        let clock = Arc::new(ManualClock::at(crate::record::WallTime(1_767_225_600_000)));
        let mut home = RocksHome::new(folder, layout, budget, clock).unwrap();
        home.open(TASK, &layout.plan.sub_topologies()[0].contents()).unwrap()
    }

    fn leave_a_row(folder: &Path, layout: &Layout) {
        let mut store = open(folder, layout);
        let mut batch = Batch::new();
        batch.put(ROWS, b"key", b"value");
        store.write(&batch).unwrap();
        store.flush().unwrap();
    }

    #[test]
    fn a_store_of_long_ago_is_used_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(&MemoryLog::new(MemoryOptions::default()));
        leave_a_row(folder.path(), &layout);
        let in_a_year = Arc::new(ManualClock::at(crate::record::WallTime(4_000_000_000_000)));
        let mut home = RocksHome::new(folder.path(), &layout, MemoryBudget::new(64 << 20), in_a_year).unwrap();
        let store = home.open(TASK, &layout.plan.sub_topologies()[0].contents()).unwrap();
        assert_eq!(store.get(ROWS, b"key").unwrap(), Some(b"value".to_vec()));
        assert_eq!(home.remove_unused().unwrap(), 0, "it is in use");
        drop(store);
    }

    #[test]
    fn a_store_follows_the_changelogs_that_it_was_made_for_or_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let log = MemoryLog::new(MemoryOptions::default());
        let before = layout(&log);
        leave_a_row(folder.path(), &before);
        assert_eq!(open(folder.path(), &before).get(ROWS, b"key").unwrap(), Some(b"value".to_vec()), "as it was left");
        log.admin().unwrap().delete_topic(&TopicName::new("housed-counts-changelog")).unwrap();
        let after = layout(&log);
        assert_eq!(open(folder.path(), &after).get(ROWS, b"key").unwrap(), None, "the changelog is another topic now");
    }
}
