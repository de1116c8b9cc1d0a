//! Single rules of exactly-once, each by its own small story on the memory log.
//!
//! Not here: what follows from all of them together, which the simulator tells. Invariant: each test names
//! the rule it would break without.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use state::OwnedRange;

use super::{InlineNursery, Worker, WorkerTerms};
use crate::aggregate::{Aggregate, Exactness, Mergeable, count};
use crate::batch::{Headers, RecordBatch, RecordRef};
use crate::dsl::{Topic, Topology};
use crate::error::{CoreError, Remedy};
use crate::layout::Layout;
use crate::limits::Bounds;
use crate::log::memory::{FaultPlan, MemoryLog, MemoryOptions};
use crate::log::{
    Admin, Cleanup, FreeReader, GroupMetadata, GroupSource, Log, LogError, Membership, Publish, TopicSettings,
    Transaction, TransactionalId,
};
use crate::plan::Plan;
use crate::query::Inquiry;
use crate::record::{DurationMs, EventTime, Offset, TopicName, TopicPartition, WallTime};
use crate::task::Task;
use crate::testing::{Disk, MemoryHome};
use crate::window::Tumbling;

const INTERVAL: DurationMs = DurationMs(100);

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) at: i64,
    pub(super) key: String,
}

pub(super) fn local() -> Plan {
    local_of(&["in"])
}

/// Counts by key and second, in the tasks of the inputs.
pub(super) fn local_of(topics: &'static [&'static str]) -> Plan {
    let app = Topology::named("rules");
    app.streams(topics.iter().map(|topic| Topic::json(*topic)))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .already_keyed_by(|seen| seen.key.clone())
        .window(Tumbling::seconds(1))
        .fold("counts", count())
        .on_close()
        .map(|closed| closed.value.get())
        .to(Topic::json("out"));
    app.build().unwrap()
}

pub(super) fn shuffled() -> Plan {
    let app = Topology::named("rules");
    app.stream(Topic::json("in"))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .key_by(|seen| seen.key.clone())
        .window(Tumbling::seconds(1))
        .fold("counts", count())
        .on_close()
        .map(|closed| closed.value.get())
        .to(Topic::json("out"));
    app.build().unwrap()
}

/// A number that can be written and never be read again, as after a change of its encoding.
#[derive(Debug, Clone, Default, Serialize)]
struct Foreign(u64);

impl<'de> Deserialize<'de> for Foreign {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("another encoding"))
    }
}

impl Mergeable for Foreign {
    const EXACTNESS: Exactness = Exactness::Exact;
    fn merge(&mut self, other: &Self) {
        self.0 += other.0;
    }
}

impl Aggregate<Seen> for Foreign {
    fn add(&mut self, _: &Seen) {
        self.0 += 1;
    }
}

fn unreadable() -> Plan {
    let app = Topology::named("rules");
    app.stream(Topic::json("in"))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .already_keyed_by(|seen| seen.key.clone())
        .window(Tumbling::seconds(1))
        .aggregate::<Foreign>("counts")
        .on_close()
        .map(|closed| closed.value.0)
        .to(Topic::json("out"));
    app.build().unwrap()
}

#[test]
fn a_state_that_its_changelog_cannot_mend_stops_the_worker() {
    let mut stage = Stage::new(unreadable, 1);
    stage.append(0, "a", 100);
    stage.rest().unwrap();
    assert!(stage.commits() > 0);
    stage.start();
    stage.append(0, "a", 200);
    let stopped = (0..100).find_map(|_| stage.rest().err()).unwrap();
    assert_eq!(stopped.remedy(), Remedy::Stop);
    assert!(stopped.to_string().contains("task 0_0: its state was restored"), "{stopped}");
}

/// One worker on one log.
pub(super) struct Stage {
    pub(super) log: Arc<MemoryLog>,
    front: Arc<dyn Log>,
    pub(super) plan: fn() -> Plan,
    pub(super) home: MemoryHome,
    pub(super) bounds: Bounds,
    pub(super) epoch: u32,
    pub(super) worker: Option<Worker<MemoryHome, InlineNursery<Disk>>>,
}

impl Stage {
    pub(super) fn new(plan: fn() -> Plan, partitions: u32) -> Self {
        let mut stage = Self::unstarted(plan);
        stage.create("in", partitions);
        stage.start();
        stage
    }

    /// The same, and each poll brings one record.
    pub(super) fn one_by_one(plan: fn() -> Plan, topics: &[&str]) -> Self {
        let mut stage = Self::upon(plan, MemoryOptions { max_batch: 1, ..MemoryOptions::default() });
        topics.iter().for_each(|topic| stage.create(topic, 1));
        stage.start();
        stage
    }

    fn unstarted(plan: fn() -> Plan) -> Self {
        Self::upon(plan, MemoryOptions::default())
    }

    fn upon(plan: fn() -> Plan, options: MemoryOptions) -> Self {
        let log = MemoryLog::new(options);
        Self {
            front: Arc::clone(&log) as Arc<dyn Log>,
            log,
            plan,
            home: MemoryHome::new(None),
            bounds: Bounds::default(),
            epoch: 1,
            worker: None,
        }
    }

    /// Of a topology that reads these topics, each of one partition.
    pub(super) fn new_of(plan: fn() -> Plan, topics: &[&str]) -> Self {
        let mut stage = Self::unstarted(plan);
        topics.iter().for_each(|topic| stage.create(topic, 1));
        stage.start();
        stage
    }

    /// Five events in one open window, committed.
    pub(super) fn with_open_window() -> Self {
        let mut stage = Self::new(local, 1);
        (0..5).for_each(|n| stage.append(0, "a", n));
        stage.rest().unwrap();
        stage
    }

    pub(super) fn create(&mut self, topic: &str, partitions: u32) {
        let settings =
            TopicSettings { partitions, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false };
        self.log.admin().unwrap().create_topic(&topic.into(), settings).unwrap();
    }

    /// The worker comes up; it does not run yet.
    pub(super) fn start(&mut self) {
        let layout = Layout::new(Arc::new((self.plan)()), &mut *self.log.admin().unwrap()).unwrap();
        let terms = WorkerTerms {
            instance: "pod-0".into(),
            commit_interval: INTERVAL,
            idle_after: None,
            idle_close: None,
            future_bound: None,
            epoch: self.epoch,
            bounds: self.bounds,
        };
        let (front, home) = (Arc::clone(&self.front), self.home.clone());
        self.worker = Some(Worker::new(front, Arc::new(layout), terms, home, InlineNursery::default()).unwrap());
    }

    pub(super) fn worker(&mut self) -> &mut Worker<MemoryHome, InlineNursery<Disk>> {
        self.worker.as_mut().unwrap()
    }

    /// An event of `key`, `at` milliseconds after the beginning.
    pub(super) fn append(&self, partition: u32, key: &str, at: i64) {
        self.append_to("in", partition, key, at);
    }

    pub(super) fn append_to(&self, topic: &str, partition: u32, key: &str, at: i64) {
        self.append_with(topic, partition, key, at, Headers::NONE);
    }

    pub(super) fn append_with(&self, topic: &str, partition: u32, key: &str, at: i64, headers: Headers<'_>) {
        let value = format!(r#"{{"at": {}, "key": "{key}"}}"#, MemoryOptions::default().start.0 + at);
        let mut batch = RecordBatch::new();
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        batch.push(RecordRef { offset: Offset::ZERO, timestamp: self.log.now(), key, value, headers });
        self.log.append(&TopicPartition::new(topic, partition), &batch).unwrap();
    }

    /// How many rows a query for all of the store `counts` sees.
    pub(super) fn rows(&mut self) -> usize {
        let mut rows = 0;
        let visit = &mut |_: &[u8], _: &[u8]| {
            rows += 1;
            ControlFlow::Continue(())
        };
        let all = OwnedRange { start: Vec::new(), end: None };
        let inquiry = Inquiry { store: "counts".to_owned(), group: None, ranges: vec![all] };
        self.worker().query(&inquiry, None, visit).unwrap();
        rows
    }

    pub(super) fn step(&mut self) -> Result<(), CoreError> {
        let now = WallTime(self.log.now().0);
        self.worker().step(now).map(|_| ())
    }

    /// Time passes until nothing is left to do.
    pub(super) fn rest(&mut self) -> Result<(), CoreError> {
        for _ in 0..100 {
            self.log.advance(10);
            self.step()?;
        }
        Ok(())
    }

    fn commits(&mut self) -> u64 {
        self.worker().status().commits
    }

    /// Milliseconds until the next commit.
    pub(super) fn until_commit(&mut self) -> u64 {
        let before = self.commits();
        (0..)
            .find(|_| {
                self.step().unwrap();
                let committed = self.commits() > before;
                if !committed {
                    self.log.advance(1);
                }
                committed
            })
            .unwrap()
    }

    pub(super) fn leave(&mut self) {
        let now = WallTime(self.log.now().0);
        self.worker.take().unwrap().close(now).unwrap();
    }

    pub(super) fn crash(&mut self) {
        self.worker = None;
        self.log.crash_member("pod-0");
        self.home.crash();
    }

    fn committed(&self, partition: u32) -> Option<Offset> {
        let place = TopicPartition::new("in", partition);
        self.log.group_offsets("rules").into_iter().find(|(at, _)| *at == place).map(|(_, offset)| offset)
    }

    pub(super) fn results(&self) -> Vec<String> {
        let records = self.log.committed_records(&TopicName::new("out")).into_iter().flatten();
        records.map(|record| String::from_utf8(record.value.unwrap()).unwrap()).collect()
    }
}

#[test]
fn a_commit_is_due_an_interval_after_the_oldest_record() {
    let mut stage = Stage::new(local, 1);
    stage.rest().unwrap();
    stage.append(0, "a", 0);
    stage.step().unwrap();
    stage.log.advance(60);
    stage.append(0, "a", 1);
    stage.step().unwrap();
    assert_eq!(stage.until_commit(), 40, "the younger record does not put the commit off");
}

#[test]
fn what_the_tasks_of_a_thread_hold_together_makes_a_commit_due() {
    let mut stage = Stage::new(local, 2);
    stage.rest().unwrap();
    stage.append(0, "a", 0);
    stage.step().unwrap();
    let one: usize = stage.worker().tasks.values().map(Task::transaction_bytes).sum();
    stage.worker().terms.bounds.transaction_bytes = one + 1;
    stage.append(1, "b", 0);
    assert_eq!(stage.until_commit(), 0);
}

#[test]
fn committed_rows_that_are_too_many_together_go_to_the_stores() {
    let too_much: [fn(&mut Bounds); 2] = [|it| it.all_applied_bytes = 0, |it| it.all_changed_bytes = 0];
    for bound in too_much {
        let mut stage = Stage::with_open_window();
        let kept =
            |stage: &mut Stage| stage.worker().tasks.values().map(|task| task.store.applied_bytes()).sum::<usize>();
        assert!(kept(&mut stage) > 0);
        bound(&mut stage.worker().terms.bounds);
        stage.append(0, "b", 0);
        stage.rest().unwrap();
        assert_eq!((kept(&mut stage), stage.rows()), (0, 2));
    }
}

#[test]
fn partials_are_committed_when_they_are_read_out_yet_not_at_once() {
    let mut stage = Stage::new(shuffled, 1);
    stage.rest().unwrap();
    stage.append(0, "a", 0);
    stage.step().unwrap();
    assert_eq!(stage.until_commit(), 100, "the source record");
    assert_eq!(stage.until_commit(), 20, "what it made of itself in the repartition topic");
}

#[test]
fn a_commit_of_partials_brings_no_new_ones_about() {
    let mut stage = Stage::new(shuffled, 1);
    stage.rest().unwrap();
    let sent = |stage: &Stage| stage.log.committed_records(&"rules-counts-repartition".into()).concat().len();
    let (before, commits) = (sent(&stage), stage.commits());
    for n in 0..200 {
        stage.append(0, "a", n * 5);
        stage.log.advance(5);
        stage.step().unwrap();
    }
    let (sent, commits) = (sent(&stage) - before, stage.commits() - commits);
    assert!((9..=11).contains(&sent), "{sent} partials of one key in ten intervals");
    assert!((15..=20).contains(&commits), "{commits} commits: of what was gathered, and of what became of it");
}

#[test]
fn a_restart_reads_only_what_was_not_flushed() {
    let mut stage = Stage::new(local, 1);
    for n in 0..50 {
        stage.append(0, &format!("key {n}"), n);
    }
    stage.rest().unwrap();
    stage.leave();
    stage.start();
    stage.rest().unwrap();
    assert_eq!(stage.worker().status().restored, 0, "everything was flushed");
    stage.append(0, "one more", 50);
    stage.rest().unwrap();
    stage.crash();
    stage.start();
    stage.rest().unwrap();
    let restored = stage.worker().status().restored;
    assert!((1..10).contains(&restored), "{restored} records restored: the last commits, not the state");
}

#[test]
fn offsets_that_were_set_by_hand_stop_the_worker() {
    let mut stage = Stage::with_open_window();
    stage.leave();
    stage.log.set_group_offset("rules", &TopicPartition::new("in", 0), Some(Offset(2)));
    stage.start();
    let error = stage.rest().unwrap_err();
    assert_eq!(error.remedy(), Remedy::Stop);
    assert!(error.to_string().contains("streamfleet reprocess"), "{error}");
}

#[test]
fn a_topic_that_was_made_anew_stops_the_worker() {
    let mut stage = Stage::with_open_window();
    stage.leave();
    stage.log.admin().unwrap().delete_topic(&"in".into()).unwrap();
    stage.create("in", 1);
    stage.start();
    let error = stage.rest().unwrap_err();
    assert!(error.to_string().contains("made anew"), "{error}");
}

#[test]
fn offsets_that_have_expired_are_in_the_commit_record() {
    let mut stage = Stage::with_open_window();
    stage.leave();
    stage.log.set_group_offset("rules", &TopicPartition::new("in", 0), None);
    stage.start();
    stage.append(0, "a", 2_000);
    stage.rest().unwrap();
    assert_eq!(stage.results(), ["5"], "nothing is counted twice");
}

#[test]
fn offsets_without_state_stop_the_worker() {
    let mut stage = Stage::new(local, 1);
    stage.worker = None;
    stage.log.set_group_offset("rules", &TopicPartition::new("in", 0), Some(Offset(3)));
    stage.start();
    let error = stage.rest().unwrap_err();
    assert!(error.to_string().contains("no state that belongs to it"), "{error}");
}

#[test]
fn a_store_that_is_ahead_of_its_changelog_is_made_anew() {
    let mut first = Stage::with_open_window();
    first.leave();
    // The same volume on another log, which knows nothing of what the store has seen.
    let mut second = Stage::new(local, 1);
    second.worker = None;
    second.home = first.home.clone();
    second.append(0, "a", 0);
    second.append(0, "a", 2_000);
    second.start();
    second.rest().unwrap();
    assert_eq!(second.results(), ["1"]);
}

#[test]
fn a_query_sees_committed_rows_only() {
    let mut stage = Stage::new(local, 1);
    stage.rest().unwrap();
    stage.append(0, "a", 0);
    stage.step().unwrap();
    assert_eq!(stage.rows(), 0, "read, and not committed");
    stage.until_commit();
    assert_eq!(stage.rows(), 1);
}

#[test]
fn what_is_revoked_is_committed_and_what_is_lost_is_not() {
    let mut stage = Stage::new(local, 1);
    stage.rest().unwrap();
    stage.append(0, "a", 0);
    stage.step().unwrap();
    stage.log.force_rebalance();
    stage.step().unwrap();
    assert_eq!(stage.committed(0), Some(Offset(1)), "committed before it was given back");
    stage.rest().unwrap();
    stage.append(0, "a", 1);
    stage.step().unwrap();
    stage.log.expire_session("pod-0");
    stage.step().unwrap();
    assert_eq!(stage.committed(0), Some(Offset(1)), "somebody else's by now");
    stage.append(0, "a", 2_000);
    stage.rest().unwrap();
    assert_eq!(stage.results(), ["2"]);
}

#[test]
fn a_failing_apply_closes_the_store_and_rebuilds_it() {
    let mut stage = Stage::new(local, 1);
    stage.worker = None;
    // Every commit is written to the base at once.
    stage.bounds.applied_bytes = 0;
    stage.start();
    stage.rest().unwrap();
    stage.append(0, "a", 0);
    stage.home.fail_writes(1.0, 0);
    stage.until_commit_fails();
    stage.home.fail_writes(0.0, 0);
    stage.append(0, "a", 2_000);
    stage.rest().unwrap();
    assert_eq!(stage.results(), ["1"], "what was published is in the changelog, and counted once");
}

impl Stage {
    fn until_commit_fails(&mut self) {
        let before = self.worker().status().rebuilds;
        while self.worker().status().rebuilds == before {
            self.log.advance(10);
            self.step().unwrap();
        }
    }
}

/// A log that looks at what each transaction holds.
struct Spy {
    log: Arc<MemoryLog>,
    /// Transactions that carried no offset of a task that had written in them.
    found: Arc<Mutex<Vec<String>>>,
    /// What was opened, in order.
    opened: Arc<Mutex<Vec<&'static str>>>,
}

impl Spy {
    fn note(&self, side: &'static str) {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(side);
    }
}

struct SpiedTransaction {
    transaction: Box<dyn Transaction>,
    /// The partitions whose tasks have written their commit record.
    wrote: BTreeSet<u32>,
    found: Arc<Mutex<Vec<String>>>,
}

impl Log for Spy {
    fn group_source(&self, membership: Membership) -> Result<Box<dyn GroupSource>, LogError> {
        self.note("group");
        self.log.group_source(membership)
    }

    fn transaction(&self, id: &TransactionalId) -> Result<Box<dyn Transaction>, LogError> {
        self.note("producer");
        let transaction = self.log.transaction(id)?;
        Ok(Box::new(SpiedTransaction { transaction, wrote: BTreeSet::new(), found: Arc::clone(&self.found) }))
    }

    fn reader(&self) -> Result<Box<dyn FreeReader>, LogError> {
        self.note("reader");
        self.log.reader()
    }

    fn admin(&self) -> Result<Box<dyn Admin>, LogError> {
        self.log.admin()
    }
}

impl Transaction for SpiedTransaction {
    fn send(&mut self, to: &TopicPartition, records: &RecordBatch) -> Result<(), LogError> {
        self.transaction.send(to, records)?;
        if to.topic.as_str().ends_with("meta-changelog") {
            self.wrote.insert(to.partition.0);
        }
        Ok(())
    }

    fn publish(&mut self, positions: &[(TopicPartition, Offset)], group: &GroupMetadata) -> Publish {
        for partition in std::mem::take(&mut self.wrote) {
            if !positions.iter().any(|(at, _)| *at == TopicPartition::new("in", partition)) {
                let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                found.push(format!("in-{partition} at {positions:?}"));
            }
        }
        self.transaction.publish(positions, group)
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.wrote.clear();
        self.transaction.abort()
    }
}

#[test]
fn every_transaction_attaches_an_offset_of_each_task_that_wrote() {
    let mut stage = Stage::new(local, 3);
    stage.worker = None;
    let found = Arc::default();
    stage.front = Arc::new(Spy { log: Arc::clone(&stage.log), found: Arc::clone(&found), opened: Arc::default() });
    // One result for each commit: most commits close windows and advance no input.
    stage.bounds.close_slice_records = 1;
    stage.start();
    for n in 0..40 {
        (0..3).for_each(|partition| stage.append(partition, &format!("key {}", n % 7), n * 500));
    }
    stage.log.set_faults(FaultPlan { retry: 0.2, ..FaultPlan::NONE });
    for _ in 0..6 {
        stage.rest().unwrap();
    }
    let results = stage.results().len();
    assert!(results > 100, "{results} results");
    assert_eq!(*found.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn a_predecessor_is_fenced_before_anything_is_read() {
    let mut stage = Stage::new(local, 1);
    stage.worker = None;
    let opened = Arc::default();
    stage.front = Arc::new(Spy { log: Arc::clone(&stage.log), found: Arc::default(), opened: Arc::clone(&opened) });
    stage.start();
    assert_eq!(opened.lock().unwrap()[..], ["producer", "group", "reader"]);
    // The same after an answer that is none: everything is made anew, in the same order.
    opened.lock().unwrap().clear();
    stage.rest().unwrap();
    stage.log.set_faults(FaultPlan { ambiguous_committed: 1.0, ..FaultPlan::NONE });
    stage.append(0, "a", 0);
    stage.until_commit_fails();
    stage.log.set_faults(FaultPlan::NONE);
    opened.lock().unwrap().clear();
    stage.rest().unwrap();
    assert_eq!(opened.lock().unwrap()[..3], ["producer", "group", "reader"]);
}
