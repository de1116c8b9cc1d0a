//! State that an earlier version of this program has left, and what later topologies make of it.
//!
//! `tests/fixtures/earlier` is the data folder of a worker of the commit before a store's contents went along with its
//! changelog: an embedded log and the tasks' stores. Not here: single rules ([`super::upgrading`]). Invariant: the
//! fixture is never written again; [`leave_a_fixture`] is how it came about.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use state::MemoryBudget;

use super::rules::Seen;
use super::upgrading::after::Counted;
use super::upgrading::counted;
use super::{InlineNursery, Worker, WorkerTerms};
use crate::aggregate::{Aggregate, Exactness, Mergeable, fold_of};
use crate::batch::{Headers, RecordBatch, RecordRef};
use crate::clock::ManualClock;
use crate::dsl::{Topic, Topology, TopologyError};
use crate::home::{HousedBase, RocksHome};
use crate::layout::Layout;
use crate::limits::Bounds;
use crate::log::embedded::{Durability, EmbeddedLog, EmbeddedOptions};
use crate::log::{Cleanup, Log as _, Read, TopicSettings};
use crate::migration::Migration;
use crate::plan::Plan;
use crate::record::{DurationMs, EventTime, LogTime, Offset, TopicPartition, WallTime};
use crate::window::Tumbling;

pub(super) const BEGIN: i64 = 1_767_225_600_000;

pub(super) mod before {
    use super::*;

    /// How many.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
    pub(crate) struct Tally {
        pub(crate) count: u64,
    }

    impl Mergeable for Tally {
        const EXACTNESS: Exactness = Exactness::Exact;
        fn merge(&mut self, other: &Self) {
            self.count += other.count;
        }
    }

    impl Aggregate<Seen> for Tally {
        fn add(&mut self, _: &Seen) {
            self.count += 1;
        }
    }
}

/// Windows and a table within the tasks of their inputs, and windows behind a repartition.
pub(super) fn before_plan() -> Plan {
    plan_of::<before::Tally>(|tally| tally.count, |_| {}).unwrap()
}

fn plan_of<A: Aggregate<Seen>>(count: fn(&A) -> u64, complete: impl FnOnce(&Topology)) -> Result<Plan, TopologyError> {
    plan_under(["counts", "visitors", "totals"], count, complete)
}

/// The same with other names of its stores.
fn plan_under<A: Aggregate<Seen>>(
    [counts, visitors, totals]: [&'static str; 3],
    count: fn(&A) -> u64,
    complete: impl FnOnce(&Topology),
) -> Result<Plan, TopologyError> {
    let app = Topology::named("earlier");
    complete(&app);
    app.stream(Topic::json("in"))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .already_keyed_by(|seen| seen.key.clone())
        .window(Tumbling::minutes(1))
        .keep(DurationMs::hours(1))
        .aggregate::<A>(counts)
        .on_close()
        .map(move |closed| count(&closed.value))
        .to(Topic::json("out"));
    app.stream(Topic::json("visits"))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .already_keyed_by(|seen| seen.key.clone())
        .fold_table(visitors, fold_of::<A>())
        .on_update(|rows| {
            rows.map(move |row| row.map(|row| count(&row))).to_table(Topic::json("visitors.out").compacted())
        });
    app.stream(Topic::json("trips"))
        .event_time(|seen: &Seen| EventTime(seen.at))
        .key_by(|seen| seen.key.clone())
        .window(Tumbling::minutes(1))
        .keep(DurationMs::hours(1))
        .aggregate::<A>(totals)
        .on_close()
        .map(move |closed| count(&closed.value))
        .to(Topic::json("totals.out"));
    app.build()
}

/// A worker on an embedded log, with its state on disk.
pub(super) struct Housed {
    folder: PathBuf,
    pub(super) log: Arc<EmbeddedLog>,
    clock: Arc<ManualClock>,
    pub(super) worker: Option<Worker<RocksHome, InlineNursery<HousedBase>>>,
}

impl Housed {
    pub(super) fn open(folder: &Path, at: i64) -> Self {
        let clock = Arc::new(ManualClock::at(WallTime(at)));
        let ticks = Arc::clone(&clock);
        let options = EmbeddedOptions::new(Arc::new(move || LogTime(crate::clock::Clock::now(&*ticks).0)));
        let log = EmbeddedLog::open(&folder.join("log"), options).unwrap();
        Self { folder: folder.to_owned(), log, clock, worker: None }
    }

    pub(super) fn create(&self, topic: &str, partitions: u32) {
        let settings =
            TopicSettings { partitions, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false };
        self.log.admin().unwrap().create_topic(&topic.into(), settings).unwrap();
    }

    pub(super) fn append(&self, topic: &str, partition: u32, key: &str, at: i64) {
        let value = format!(r#"{{"at": {}, "key": "{key}"}}"#, BEGIN + at);
        let mut batch = RecordBatch::new();
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        let timestamp = LogTime(BEGIN + at);
        batch.push(RecordRef { offset: Offset::ZERO, timestamp, key, value, headers: Headers::NONE });
        self.log.append(&TopicPartition::new(topic, partition), &batch, Durability::Disk).unwrap();
    }

    pub(super) fn start(&mut self, plan: Plan) {
        let layout = Arc::new(Layout::new(Arc::new(plan), &mut *self.log.admin().unwrap()).unwrap());
        let clock: Arc<dyn crate::clock::Clock> = Arc::clone(&self.clock) as _;
        let budget = MemoryBudget::new(64 << 20);
        let home = RocksHome::new(&self.folder.join("state"), &layout, budget, clock).unwrap();
        let terms = WorkerTerms {
            instance: "pod-0".into(),
            commit_interval: DurationMs(100),
            idle_after: None,
            future_bound: None,
            epoch: 0,
            bounds: Bounds::default(),
        };
        let log = Arc::clone(&self.log) as Arc<dyn crate::log::Log>;
        self.worker = Some(Worker::new(log, layout, terms, home, InlineNursery::default()).unwrap());
    }

    pub(super) fn rest(&mut self) -> Result<(), crate::error::CoreError> {
        for _ in 0..300 {
            self.clock.advance(DurationMs(10));
            let now = crate::clock::Clock::now(&*self.clock);
            self.worker.as_mut().unwrap().step(now)?;
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        let now = crate::clock::Clock::now(&*self.clock);
        self.worker.take().unwrap().close(now).unwrap();
    }
}

pub(super) fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/earlier")
}

const INPUTS: [&str; 3] = ["in", "visits", "trips"];

fn append_all(housed: &Housed, n: i64) {
    for topic in INPUTS {
        housed.append(topic, (n % 2) as u32, if n % 2 == 0 { "even" } else { "odd" }, n * 7_000);
    }
}

/// A worker on a copy of the fixture.
fn on_a_copy(plan: Plan) -> (tempfile::TempDir, Housed) {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture(), folder.path());
    let mut housed = Housed::open(folder.path(), BEGIN + 600_000);
    housed.start(plan);
    (folder, housed)
}

pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What a topic holds: values by key, in the order of the log.
pub(super) fn values(housed: &Housed, topic: &str) -> BTreeMap<String, Vec<u64>> {
    let mut values = BTreeMap::<String, Vec<u64>>::new();
    let info = housed.log.admin().unwrap().topic(&topic.into()).unwrap().unwrap();
    let mut reader = housed.log.reader().unwrap();
    let mut batch = RecordBatch::new();
    for partition in 0..info.settings.partitions {
        let place = TopicPartition::new(topic, partition);
        let mut next = reader.watermarks(&place).unwrap().start;
        loop {
            next = match reader.read(&place, next, &mut batch).unwrap() {
                Read::Records(after) => after,
                Read::End(_) => break,
                Read::OutOfRange(marks) => marks.start,
            };
            for record in batch.iter() {
                let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
                let value = serde_json::from_slice(record.value.unwrap()).unwrap();
                values.entry(key).or_default().push(value);
            }
        }
    }
    values
}

/// More events, and one that closes all windows with something in them; then what has come out must be what a naive
/// count of all events says.
pub(super) fn go_on_and_check(housed: &mut Housed) {
    (60..80).for_each(|n| append_all(housed, n));
    for topic in INPUTS {
        (0..2).for_each(|partition| housed.append(topic, partition, "end", 1_000_000));
    }
    housed.rest().unwrap();
    let mut minutes = BTreeMap::<(&str, i64), u64>::new();
    (0..80)
        .for_each(|n| *minutes.entry((if n % 2 == 0 { "even" } else { "odd" }, n * 7_000 / 60_000)).or_default() += 1);
    let mut expected = BTreeMap::<String, Vec<u64>>::new();
    for ((key, _), count) in &minutes {
        expected.entry((*key).to_owned()).or_default().push(*count);
    }
    assert_eq!(values(housed, "out"), expected);
    assert_eq!(values(housed, "totals.out"), expected, "behind a repartition");
    let visitors = values(housed, "visitors.out");
    assert_eq!([&visitors["even"], &visitors["odd"]].map(|all| all.last().copied()), [Some(40), Some(40)]);
}

/// How the stores were described by the version that has left them.
fn fingerprints() -> BTreeMap<&'static str, String> {
    let tally = "processing_core::worker::earlier::before::Tally by alloc::string::String";
    let windows = "tumbling 60000 ms, grace 0 ms";
    let of = |store, kind| (store, format!("{store}: {kind} of {tally}"));
    BTreeMap::from([of("counts", windows), of("visitors", "table"), of("totals", windows)])
}

fn to_counted(app: &Topology) {
    app.stable_name::<Counted>("counted/1");
    for (store, from) in fingerprints() {
        let to = from.replace("processing_core::worker::earlier::before::Tally", "counted/1");
        app.migrate(Migration::of(store).from(from).to(to).values(counted));
    }
}

/// Another aggregate, without a way to it.
pub(super) fn changed_plan() -> Plan {
    plan_of::<Counted>(|counted| counted.count, |_| {}).unwrap()
}

fn to_a_name(app: &Topology) {
    app.stable_name::<before::Tally>("tally");
    for (store, from) in fingerprints() {
        let to = from.replace("processing_core::worker::earlier::before::Tally", "tally");
        app.migrate(Migration::of(store).from(from).to(to).unchanged());
    }
}

#[test]
fn a_worker_goes_on_with_what_an_earlier_version_has_left() {
    let (_folder, mut housed) = on_a_copy(before_plan());
    go_on_and_check(&mut housed);
    assert_eq!(housed.worker.as_ref().unwrap().status().restored, 0, "the stores are used as they are");
}

#[test]
fn stores_of_an_earlier_version_are_migrated() {
    let (folder, mut housed) = on_a_copy(plan_of::<Counted>(|counted| counted.count, to_counted).unwrap());
    housed.rest().unwrap();
    assert_eq!(housed.worker.as_ref().unwrap().status().restored, 0, "the stores are used as they are");
    go_on_and_check(&mut housed);
    // By now the changelogs say what they hold, and an empty volume is as good.
    housed.leave();
    std::fs::remove_dir_all(folder.path().join("state")).unwrap();
    housed.start(plan_of::<Counted>(|counted| counted.count, to_counted).unwrap());
    housed.rest().unwrap();
    assert!(housed.worker.as_ref().unwrap().status().restored > 0);
    housed.leave();
    std::fs::remove_dir_all(folder.path().join("state")).unwrap();
    housed.start(before_plan());
    let told = housed.rest().unwrap_err().to_string();
    assert!(told.contains("topology.migrate("), "{told}");
}

#[test]
fn stores_of_an_earlier_version_get_names_of_their_own() {
    let (_folder, mut housed) = on_a_copy(plan_of::<before::Tally>(|tally| tally.count, to_a_name).unwrap());
    go_on_and_check(&mut housed);
}

fn renamed_plan() -> Plan {
    let names = ["by-key", "guests", "by-trip"];
    plan_under::<before::Tally>(
        names,
        |tally| tally.count,
        |app| names.into_iter().zip(["counts", "visitors", "totals"]).for_each(|(name, old)| app.stored_as(name, old)),
    )
    .unwrap()
}

#[test]
fn stores_of_an_earlier_version_are_found_by_topologies_that_call_them_otherwise() {
    let (folder, mut housed) = on_a_copy(renamed_plan());
    housed.rest().unwrap();
    assert_eq!(housed.worker.as_ref().unwrap().status().restored, 0, "the stores are used as they are");
    // And their changelogs, where the folder is gone.
    housed.leave();
    std::fs::remove_dir_all(folder.path().join("state")).unwrap();
    housed.start(renamed_plan());
    go_on_and_check(&mut housed);
    assert!(housed.worker.as_ref().unwrap().status().restored > 0);
}

#[test]
fn stores_of_an_earlier_version_are_refused_without_a_migration() {
    let (_folder, mut housed) = on_a_copy(changed_plan());
    let told = housed.rest().unwrap_err().to_string();
    let named = fingerprints().values().any(|fingerprint| told.contains(fingerprint));
    assert!(named && told.contains("Migration::of(") && told.contains("streamfleet reprocess"), "{told}");
}

#[test]
fn rows_of_which_nothing_tells_the_type_are_not_guessed_at() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture().join("log"), &folder.path().join("log"));
    let mut housed = Housed::open(folder.path(), BEGIN + 600_000);
    housed.start(plan_of::<Counted>(|counted| counted.count, to_counted).unwrap());
    let told = housed.rest().unwrap_err().to_string();
    assert!(told.contains("nothing says whether the rows of store"), "{told}");
    // Nor by the store that was made meanwhile, for rows that it was told nothing of.
    drop(housed.worker.take());
    housed.start(plan_of::<Counted>(|counted| counted.count, to_counted).unwrap());
    let told = housed.rest().unwrap_err().to_string();
    assert!(told.contains("nothing says whether the rows of store"), "{told}");
}

/// How the fixture came about, at a time when the program did not write down what a changelog holds.
#[test]
#[ignore = "writes the fixture, which is there to stay"]
fn leave_a_fixture() {
    let folder = fixture();
    assert!(!folder.exists(), "the fixture is never written again");
    let mut housed = Housed::open(&folder, BEGIN);
    for topic in ["in", "visits", "trips"] {
        housed.create(topic, 2);
    }
    (0..60).for_each(|n| append_all(&housed, n));
    housed.start(before_plan());
    housed.rest().unwrap();
    housed.leave();
}
