//! A worker takes over the copy that another process has kept of a task.
//!
//! Not here: which process keeps one ([`crate::standby`]). Invariant: wherever a copy was left, what a worker makes of
//! it is the state that the changelogs have.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use state::{KeyRange, TaskStore, TaskStoreLimits};

use super::StateHome as _;
use super::rules::{Stage, local};
use crate::changelog::{self, Logged, META};
use crate::layout::Layout;
use crate::log::{FreeReader, GroupMetadata, Log as _, TransactionalId};
use crate::standby::replica::{Following, Replica};
use crate::task::{TaskId, read_record};
use crate::testing::{Disk, MemoryHome};

const TASK: TaskId = TaskId { sub_topology: 0, partition: 0 };

/// The copy's side: a process with folders and a reader of its own.
struct Other {
    layout: Layout,
    home: MemoryHome,
    reader: Box<dyn FreeReader>,
    replica: Option<Replica<Disk>>,
}

impl Other {
    fn new(stage: &Stage) -> Self {
        let layout = Layout::new(Arc::new((stage.plan)()), &mut *stage.log.admin().unwrap()).unwrap();
        // Each batch is on disk at once, so that a copy can be left anywhere.
        Self { layout, home: MemoryHome::new(Some(1)), reader: stage.log.reader().unwrap(), replica: None }
    }

    /// The store as it was left, as a copy; `None` if it cannot be one.
    fn open(&mut self, epoch: u32) -> Option<Replica<Disk>> {
        let base = self.home.open(TASK, &[]).unwrap();
        let changelogs = self.layout.changelogs(TASK);
        let limits = TaskStoreLimits { applied_bytes_max: 0, ..TaskStoreLimits::default() };
        let store = TaskStore::new(base, changelogs.iter().map(|(column, _)| *column), limits);
        Replica::new(TASK, store, epoch, changelogs).unwrap().ok()
    }

    fn step(&mut self) -> Following {
        if self.replica.is_none() {
            self.replica = self.open(1);
        }
        self.replica.as_mut().unwrap().step(&mut *self.reader).unwrap()
    }

    /// Reads until it has caught up; says in how many steps.
    fn catch_up(&mut self) -> usize {
        (1..).find(|_| self.step() == Following::CaughtUp).unwrap()
    }

    fn close(&mut self) {
        drop(self.replica.take().map(|replica| replica.close().unwrap()));
    }
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The task's rows by column, and what its changelogs come to when they are replayed from their beginning.
fn rows_and_replayed(stage: &mut Stage) -> (Vec<Rows>, Vec<Rows>) {
    let (mut all, mut replays) = (Vec::new(), Vec::new());
    let log = Arc::clone(&stage.log);
    let task = stage.worker().running_tasks().next().unwrap();
    for (column, place) in (0_u8..).zip(&task.changelogs) {
        let mut rows = BTreeMap::new();
        let visit = |key: &[u8], value: &[u8]| {
            rows.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        };
        task.store.scan(state::ColumnId(column), KeyRange::ALL, visit).unwrap();
        let mut replayed = BTreeMap::new();
        for record in log.committed_records(&place.topic).remove(place.partition.0 as usize) {
            match changelog::read(1, record.key.as_deref(), record.value.as_deref()).unwrap() {
                Logged::Row { key, value: Some(value) } => drop(replayed.insert(key.to_vec(), value.to_vec())),
                Logged::Row { key, value: None } => drop(replayed.remove(key)),
                Logged::Expiry { before } => replayed = replayed.split_off(before),
                Logged::OtherEpoch => {}
            }
        }
        all.push(rows);
        replays.push(replayed);
    }
    (all, replays)
}

/// Events of several keys; the first window closes at the fiftieth.
fn feed(stage: &mut Stage, from: i64, count: i64) {
    for n in from..from + count {
        stage.append(0, &format!("key {}", n % 23), n * 20);
        if n % 5 == 0 {
            stage.rest().unwrap();
        }
    }
}

#[test]
fn a_copy_that_was_left_anywhere_becomes_the_state_that_the_changelogs_have() {
    let oracle = {
        let mut stage = Stage::new(local, 1);
        feed(&mut stage, 0, 60);
        stage.rest().unwrap();
        stage.results()
    };
    assert!(!oracle.is_empty());
    let mut tails = Vec::new();
    for steps in 0.. {
        let mut stage = Stage::new(local, 1);
        let mut other = Other::new(&stage);
        // While the owner commits, the copy takes so many steps in all, one after each few events.
        let mut left = steps;
        for part in 0..10 {
            feed(&mut stage, part * 5, 5);
            for _ in 0..left.min(3) {
                other.step();
                left -= 1;
            }
        }
        stage.rest().unwrap();
        let whole = left > 0 && { (0..left).any(|_| other.step() == Following::CaughtUp) };
        drop(other.replica.take());
        other.home.crash();
        stage.crash();
        stage.home = other.home.clone();
        stage.start();
        stage.rest().unwrap();
        tails.push(stage.worker().status().restored);
        let (rows, replayed) = rows_and_replayed(&mut stage);
        assert!(rows == replayed, "left after {steps} steps: the store differs from its changelogs");
        feed(&mut stage, 50, 10);
        stage.rest().unwrap();
        assert_eq!(stage.results(), oracle, "left after {steps} steps");
        if whole {
            break;
        }
    }
    let (first, last) = (tails[0], tails[tails.len() - 1]);
    assert!(tails.len() > 20, "the copy was left in {} places", tails.len());
    assert!(first > 50 && last == 0, "a worker without a copy restored {first} records, one with a whole copy {last}");
}

#[test]
fn the_record_never_runs_ahead_of_the_rows() {
    let mut stage = Stage::new(local, 1);
    let mut other = Other::new(&stage);
    let mut numbers = BTreeSet::new();
    for part in 0..80 {
        feed(&mut stage, part * 3, 3);
        other.step();
        // All that the record of commit n vouches for was read: were it not so, a log that forgets could take rows
        // that nobody misses.
        let store = other.replica.as_ref().unwrap().store();
        let number = read_record(store).unwrap().map_or(0, |record| record.number);
        let ends = ends_of_commits(&stage);
        for (column, place) in other.layout.changelogs(TASK).iter().filter(|(column, _)| *column != META) {
            let wanted = ends.get(&number).and_then(|ends| ends.get(&place.topic.to_string())).copied().unwrap_or(0);
            let at = store.position(*column).unwrap().map_or(0, |position| position.0);
            assert!(at >= wanted, "{place} was read up to {at}, and commit {number} reaches {wanted}");
        }
        numbers.insert(number);
    }
    assert!(numbers.len() > 5, "only the records {numbers:?} were taken over");
}

/// By commit number: one past the last record that each changelog had at the time of the commit, from log times.
fn ends_of_commits(stage: &Stage) -> BTreeMap<u64, BTreeMap<String, u64>> {
    let meta = "rules-0-meta-changelog";
    let mut commits = Vec::new();
    for record in stage.log.committed_records(&meta.into()).remove(0) {
        if let Some(Logged::Row { key, value: Some(value) }) =
            changelog::read(1, record.key.as_deref(), record.value.as_deref())
            && key == state::keys::meta::MetaKey::CommitRecord.to_bytes()
        {
            commits.push((crate::task::record_of(value).unwrap().number, record.timestamp));
        }
    }
    let rows = stage.log.committed_records(&"rules-counts-changelog".into()).remove(0);
    let end = |time| rows.iter().filter(|row| row.timestamp <= time).map(|row| row.offset.0 + 1).max().unwrap_or(0);
    let ends = commits.into_iter().map(|(number, time)| (number, end(time)));
    ends.map(|(number, end)| (number, [("rules-counts-changelog".to_owned(), end)].into())).collect()
}

#[test]
fn a_copy_whose_log_has_forgotten_what_it_lacks_is_made_anew() {
    let mut stage = Stage::new(local, 1);
    feed(&mut stage, 0, 10);
    stage.rest().unwrap();
    let mut other = Other::new(&stage);
    other.catch_up();
    feed(&mut stage, 10, 10);
    stage.rest().unwrap();
    let (_, place) = other.layout.changelogs(TASK).pop().unwrap();
    let end = other.reader.watermarks(&place).unwrap().high;
    stage.log.admin().unwrap().purge(&place, end).unwrap();
    assert!(matches!(other.step(), Following::Anew(_)));
}

#[test]
fn a_copy_that_began_above_the_floor_of_live_rows_takes_no_record_over() {
    let mut stage = Stage::new(local, 1);
    feed(&mut stage, 0, 10);
    stage.rest().unwrap();
    let mut other = Other::new(&stage);
    let (_, place) = other.layout.changelogs(TASK).pop().unwrap();
    let end = other.reader.watermarks(&place).unwrap().high;
    stage.log.admin().unwrap().purge(&place, end).unwrap();
    let outcome = (0..100).map(|_| other.step()).find(|outcome| !matches!(outcome, Following::Working));
    assert!(matches!(outcome, Some(Following::Anew(_))), "{outcome:?}");
    assert!(!other.replica.as_ref().unwrap().has_record().unwrap());
}

#[test]
fn a_copy_waits_for_an_open_transaction_and_is_of_one_state_epoch() {
    let mut stage = Stage::new(local, 1);
    feed(&mut stage, 0, 10);
    stage.rest().unwrap();
    let mut other = Other::new(&stage);
    let (_, place) = other.layout.changelogs(TASK).pop().unwrap();
    let mut stranger = stage.log.transaction(&TransactionalId("stranger".into())).unwrap();
    let mut batch = crate::batch::RecordBatch::new();
    let (offset, headers) = (crate::record::Offset::ZERO, crate::batch::Headers::NONE);
    let key = Some(&[0, 0, 0, 9, 1][..]);
    batch.push(crate::batch::RecordRef { offset, timestamp: stage.log.now(), key, value: None, headers });
    stranger.send(&place, &batch).unwrap();
    let outcome = (0..100).map(|_| other.step()).find(|outcome| !matches!(outcome, Following::Working));
    assert_eq!(outcome, Some(Following::Waiting));
    stranger.publish(&[], &GroupMetadata::nobody());
    other.catch_up();
    other.close();
    assert!(other.open(2).is_none(), "its rows are epoch 1's");
    assert!(other.open(1).is_some());
}
