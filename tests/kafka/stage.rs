//! A test's own input, application and workers on a broker, and the comparison of what has come out with what has to.
//!
//! Not here: what happens to them. Invariant: results are read by the witness from the broker; nothing is asked of a
//! worker that is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use processing_core::dsl::TopologyError;
use processing_core::plan::Plan;
use tests::kafka::admin::{Admin, Group};
use tests::kafka::cluster::Cluster;
use tests::kafka::dump::{Dumped, committed, uncommitted};
use tests::kafka::feed::{Fed, Feed};
use tests::kafka::worker::{WorkerProcess, WorkerSetup};
use tests::stores::{Stored, replay, stored_with_positions};

use crate::oracle::{self, Closed, Expected};
use crate::plan::{Version, outputs, plan};

/// How long results may take before the test fails with everything that the workers have said.
const PATIENCE: Duration = Duration::from_secs(180);

/// An input and an application of their own.
pub(crate) struct Stage {
    pub(crate) brokers: String,
    pub(crate) admin: Admin,
    pub(crate) app: String,
    pub(crate) input: String,
    pub(crate) setup: WorkerSetup,
    plan: fn(&str, &str) -> Result<Plan, TopologyError>,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// The application `name` over an input of this many partitions.
    pub(crate) fn new(cluster: &Cluster, name: &str, partitions: u32) -> Self {
        let folder = tempfile::Builder::new().prefix("streamfleet-stage-").tempdir().unwrap();
        let (app, input) = (name.to_owned(), format!("{name}.in"));
        let setup = WorkerSetup {
            program: env!("CARGO_BIN_EXE_kafka_worker").into(),
            app: app.clone(),
            input: input.clone(),
            brokers: Some(cluster.brokers()),
            data: folder.path().to_owned(),
            variables: Vec::new(),
            flags: Vec::new(),
        };
        // Idleness is a matter of clocks: on only where a test is about it.
        let setup = setup
            .setting("idle.after.ms", "off")
            .variable("KAFKA_SESSION_TIMEOUT_MS", "4000")
            .variable("KAFKA_HEARTBEAT_INTERVAL_MS", "500");
        let admin = cluster.admin();
        admin.create_topic(&input, partitions, &[]);
        let plan = |app: &str, input: &str| plan(app, input, Version::First);
        Self { brokers: cluster.brokers(), admin, app, input, setup, plan, _folder: folder }
    }

    /// With another plan, which the worker knows by this name.
    pub(crate) fn running(mut self, name: &str, plan: fn(&str, &str) -> Result<Plan, TopologyError>) -> Self {
        self.setup = self.setup.variable("WORKER_PLAN", name);
        Self { plan, ..self }
    }

    /// The plan that its workers run.
    pub(crate) fn plan(&self) -> Plan {
        (self.plan)(&self.app, &self.input).unwrap()
    }

    /// Records that stand in the input when this returns.
    pub(crate) fn feed(&self, fed: &[Fed]) {
        Feed::new(&self.brokers).send_all(&self.input, fed);
    }

    /// What has to be said about all that stands in the input.
    pub(crate) fn expected(&self) -> Expected {
        let input = committed(&self.brokers, &self.input);
        let time = format!("{}-time", self.app);
        let log = if self.admin.partitions(&time).is_some() { committed(&self.brokers, &time) } else { Vec::new() };
        oracle::expected(&input, &oracle::raises(&self.input, &log))
    }

    /// The application's group.
    pub(crate) fn group(&self) -> Group {
        self.admin.group(&self.app)
    }

    /// How many input records the group has committed.
    pub(crate) fn taken(&self, group: &Group) -> i64 {
        // Not every broker knows a new topic at once.
        let Some(partitions) = self.admin.partitions(&self.input) else { return 0 };
        group.committed(&self.input, partitions).into_iter().map(|offset| offset.max(0)).sum()
    }

    /// Waits until the group has committed so many input records.
    pub(crate) fn await_taken(&self, group: &Group, wanted: i64) {
        let deadline = Instant::now() + PATIENCE;
        while self.taken(group) < wanted {
            if Instant::now() > deadline {
                self.keep();
                let taken = self.taken(group);
                panic!("the group has committed {taken} of {wanted} records\n{}", self.setup.last_words());
            }
        }
    }

    /// Waits until as much has come out as has to.
    pub(crate) fn settle(&self, workers: &mut [&mut WorkerProcess]) {
        self.settle_until(workers, || {
            let (expected, found) = (self.expected(), self.found());
            // More than there has to be is no reason to wait either.
            if found.as_ref().is_some_and(|found| found.len() >= expected.len()) {
                return None;
            }
            Some(move || {
                let found = found.unwrap_or_default();
                let difference = found.difference(&expected).unwrap_or_else(|| "the counts differ".to_owned());
                format!("{} of {}: {difference}", found.len(), expected.len())
            })
        });
    }

    /// Waits until nothing is lacking any more; what `lacking` hands back says what, if it is waited for in vain.
    pub(crate) fn settle_until<W: FnOnce() -> String>(
        &self,
        workers: &mut [&mut WorkerProcess],
        lacking: impl Fn() -> Option<W>,
    ) {
        let deadline = Instant::now() + PATIENCE;
        while let Some(what) = lacking() {
            let all_run = workers.iter_mut().all(|worker| worker.runs());
            if !all_run || Instant::now() > deadline {
                self.keep();
                let ends: Vec<_> = workers.iter_mut().map(|worker| worker.ended()).collect();
                let why = if all_run { "results do not come" } else { "a worker has ended" };
                panic!("{why} ({ends:?}): {}\n{}", what(), self.setup.last_words());
            }
        }
    }

    /// Waits until as much has come out as has to, stops these instances in good order, and compares results and stores.
    pub(crate) fn conclude(&self, workers: &mut [(&str, &mut WorkerProcess)]) {
        let mut all: Vec<&mut WorkerProcess> = workers.iter_mut().map(|(_, worker)| &mut **worker).collect();
        self.settle(&mut all);
        all.into_iter().for_each(WorkerProcess::terminate);
        self.assert_results();
        let names: Vec<&str> = workers.iter().map(|(name, _)| *name).collect();
        self.assert_stores(&names);
    }

    /// What has come out is what has to, no more and no less.
    pub(crate) fn assert_results(&self) {
        let expected = self.expected();
        assert!(!expected.tumbling.is_empty() && !expected.hopping.is_empty(), "nothing is compared");
        let found = self.found().expect("the outputs are there");
        if let Some(difference) = found.difference(&expected) {
            panic!("{difference}\n{}", self.setup.last_words());
        }
        println!(
            "{}: {} and {} windows, {} late and {} dead records are as defined",
            self.app,
            expected.tumbling.len(),
            expected.hopping.len(),
            expected.late.len(),
            expected.dead.len()
        );
    }

    /// Each store in the folders of these instances, which have ended, holds what its changelog says up to the offset
    /// that the store has followed it to, and for each task one of them that is whole has followed it to the end.
    pub(crate) fn assert_stores(&self, instances: &[&str]) {
        let plan = self.plan();
        let mut changelogs = BTreeMap::<String, Vec<Vec<Dumped>>>::new();
        let mut farthest = BTreeMap::<(String, u32), u64>::new();
        let mut compared = 0;
        for instance in instances {
            let folder = self.setup.folder(instance);
            for ((changelog, partition), stored) in stored_with_positions(&plan, &folder) {
                let Stored { rows, position, is_whole } = stored;
                let records =
                    changelogs.entry(changelog.clone()).or_insert_with(|| committed(&self.brokers, &changelog));
                let followed = records[partition as usize].iter().filter(|record| record.offset < position);
                let replayed = replay(&changelog, followed.map(|one| (one.key.as_deref(), one.value.as_deref())));
                assert!(
                    rows == replayed,
                    "{instance}: the store of {changelog} {partition} at {position} has {} rows, its changelog {}\n{}",
                    rows.len(),
                    replayed.len(),
                    self.setup.last_words()
                );
                compared += rows.len();
                if is_whole {
                    let farthest = farthest.entry((changelog, partition)).or_default();
                    *farthest = position.max(*farthest);
                }
            }
        }
        for (changelog, records) in &changelogs {
            for (partition, records) in (0..).zip(records) {
                let end = records.last().map_or(0, |record| record.offset + 1);
                let reached = farthest.get(&(changelog.clone(), partition)).copied().unwrap_or_default();
                assert!(reached >= end, "no store has followed {changelog} {partition} to {end}, only to {reached}");
            }
        }
        assert!(compared > 0, "the stores are empty: nothing is compared");
        println!("{}: {} stores of {compared} rows equal their changelogs", self.app, farthest.len());
    }

    /// Writes every record of the application's topics, and all that the workers have said, into the folder that
    /// `STREAMFLEET_KEEP` names, for whoever looks for the reason of a failure.
    fn keep(&self) {
        let Some(folder) = std::env::var_os("STREAMFLEET_KEEP") else { return };
        for log in self.setup.logs() {
            let name = log.file_name().expect("a log has a name");
            std::fs::copy(&log, std::path::Path::new(&folder).join(name)).expect("a log can be copied");
        }
        for topic in self.admin.topics().iter().filter(|topic| topic.starts_with(&self.app)) {
            for (kind, dump) in
                [("all", uncommitted(&self.brokers, topic)), ("committed", committed(&self.brokers, topic))]
            {
                let lines: String = dump.iter().flatten().map(|record| format!("{record:?}\n")).collect();
                std::fs::write(std::path::Path::new(&folder).join(format!("{topic}.{kind}")), lines).unwrap();
            }
        }
    }

    fn found(&self) -> Option<Found> {
        let topics = self.admin.topics();
        let [tumbling, hopping] = outputs(&self.app);
        let sides = ["late", "dlq"].map(|side| format!("{}-{side}", self.app));
        let dump = |topic: &String| topics.contains(topic).then(|| committed(&self.brokers, topic));
        Some(Found {
            tumbling: dump(&tumbling)?,
            hopping: dump(&hopping)?,
            late: dump(&sides[0])?,
            dead: dump(&sides[1])?,
        })
    }
}

/// What has come out.
#[derive(Debug, Default)]
struct Found {
    tumbling: Vec<Vec<Dumped>>,
    hopping: Vec<Vec<Dumped>>,
    late: Vec<Vec<Dumped>>,
    dead: Vec<Vec<Dumped>>,
}

impl Expected {
    fn len(&self) -> usize {
        self.tumbling.len() + self.hopping.len() + self.late.len() + self.dead.len()
    }
}

impl Found {
    fn len(&self) -> usize {
        [&self.tumbling, &self.hopping, &self.late, &self.dead]
            .iter()
            .flat_map(|topic| topic.iter())
            .map(Vec::len)
            .sum()
    }

    /// The first difference, for a person.
    fn difference(&self, expected: &Expected) -> Option<String> {
        windows("tumbling", &self.tumbling, &expected.tumbling)
            .or_else(|| windows("hopping", &self.hopping, &expected.hopping))
            .or_else(|| {
                let expected = expected.dead.iter().map(|(place, reason)| (*place, (*reason).to_owned())).collect();
                let reason = |record: &Dumped| record.header("__streams.errors.exception").unwrap_or_default();
                aside("dead", &self.dead, &expected, reason)
            })
            .or_else(|| {
                let stores = |stores: &BTreeSet<String>| stores.iter().cloned().collect::<Vec<_>>().join(", ");
                let expected = expected.late.iter().map(|(place, late)| (*place, stores(late))).collect();
                aside("late", &self.late, &expected, |record| {
                    let message = record.header("__streams.errors.message").unwrap_or_default();
                    let named = message.split_once("of store ").and_then(|(_, rest)| rest.split_once(" that holds"));
                    stores(&named.map_or("", |(named, _)| named).split(", ").map(str::to_owned).collect())
                })
            })
    }
}

/// Closed windows: each once, a key in one partition only, and each partition in the order of end and key.
fn windows(what: &str, found: &[Vec<Dumped>], expected: &BTreeSet<Closed>) -> Option<String> {
    let mut all = BTreeSet::new();
    let mut homes = BTreeMap::new();
    for (partition, records) in found.iter().enumerate() {
        let mut last: Option<Closed> = None;
        for record in records {
            let Some(closed) = closed(record) else { return Some(format!("{what}: nobody can read {record:?}")) };
            if *homes.entry(closed.1).or_insert(partition) != partition {
                return Some(format!("{what}: key {} stands in two partitions", closed.1));
            }
            if last.as_ref().is_some_and(|last| (last.0, last.1) >= (closed.0, closed.1)) {
                let offset = record.offset;
                return Some(format!("{what} {partition}: at {offset}, {closed:?} comes after {last:?}"));
            }
            last = Some(closed.clone());
            all.insert(closed);
        }
    }
    let missing: Vec<_> = expected.difference(&all).take(3).collect();
    let foreign: Vec<_> = all.difference(expected).take(3).collect();
    (!missing.is_empty() || !foreign.is_empty())
        .then(|| format!("{what}: of {} windows, missing {missing:?}, should not be there {foreign:?}", expected.len()))
}

fn closed(record: &Dumped) -> Option<Closed> {
    let text = record.text();
    let end = text.split(' ').nth(1)?.parse().ok()?;
    Some((end, u16::from_be_bytes(record.key.as_deref()?.try_into().ok()?), text))
}

/// Records that were set aside: each once, told by where it came from.
fn aside(
    what: &str,
    found: &[Vec<Dumped>],
    expected: &BTreeMap<(u32, u64), String>,
    reason: impl Fn(&Dumped) -> String,
) -> Option<String> {
    let mut all = BTreeMap::new();
    for record in found.iter().flatten() {
        let number = |name| record.header(name).and_then(|text| text.parse::<u64>().ok());
        let place = number("__streams.errors.partition").zip(number("__streams.errors.offset"));
        let Some((partition, offset)) = place else { return Some(format!("{what}: no place in {record:?}")) };
        if all.insert((partition as u32, offset), reason(record)).is_some() {
            return Some(format!("{what}: {partition}@{offset} was set aside twice"));
        }
    }
    let missing: Vec<_> = expected.iter().filter(|(place, why)| all.get(*place) != Some(*why)).take(3).collect();
    let foreign: Vec<_> = all.iter().filter(|(place, why)| expected.get(*place) != Some(*why)).take(3).collect();
    (!missing.is_empty() || !foreign.is_empty())
        .then(|| format!("{what}: of {} records, missing {missing:?}, should not be there {foreign:?}", expected.len()))
}
