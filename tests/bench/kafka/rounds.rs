//! A case's rounds: both sides in turn on one broker, each run checked.
//!
//! Not here: latency and restarts. Invariant: a run ends when all input is committed and nothing more comes out, and
//! counts only if its results are the expected ones.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::broker::Broker;
use crate::client::{self, Client};
use crate::expected::{self, Case};
use crate::feed::{Fed, Feed};
use crate::floor::Floor;
use crate::input::PARTITIONS;
pub(crate) use crate::process::Work;
use crate::process::{Ground, Running, System, Usage};
use crate::table::{Table, Taken};

const PATIENCE: Duration = Duration::from_secs(3_600);
pub(crate) const COMMIT_INTERVAL_MS: u32 = 100;
/// Who says nothing for so long has said everything. Kafka Streams, closing many windows on a machine that is busy
/// otherwise, is silent for more than a second between two commits.
const QUIET: Duration = Duration::from_secs(5);

/// What the command line may change.
pub(crate) struct Terms {
    /// Instead of each case's own number.
    pub(crate) events: Option<u64>,
    pub(crate) rounds: u64,
    pub(crate) systems: Vec<System>,
    /// How long latency is measured in a round.
    pub(crate) latency_seconds: u64,
    /// How large the state is that a restart finds.
    pub(crate) state_mib: u64,
}

impl Default for Terms {
    fn default() -> Self {
        let systems = vec![System::KafkaStreams, System::Streamfleet];
        Self { events: None, rounds: 3, systems, latency_seconds: 30, state_mib: 1_000 }
    }
}

/// A broker, and what is loaded on it.
pub(crate) struct Bench {
    pub(crate) terms: Terms,
    pub(crate) broker: Broker,
    pub(crate) client: Client,
    /// The topics that are filled already.
    pub(crate) loaded: RefCell<BTreeSet<String>>,
}

impl Bench {
    pub(crate) fn start(terms: Terms) -> Self {
        let broker = Broker::start();
        let client = Client::new(&broker.address());
        Self { terms, broker, client, loaded: RefCell::default() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.broker.folder()
    }

    pub(crate) fn broker_cpu_ms(&self) -> f64 {
        Usage::of(self.broker.id()).cpu_ms
    }

    /// CPU and memory of one case, side by side.
    pub(crate) fn cost(&self, case: &Case, with_floor: bool, table: &mut Table) {
        let events = self.terms.events.unwrap_or(case.events);
        let fed = self.feed(case.feed, events);
        let expected = (case.results)(events);
        for round in 1..=self.terms.rounds {
            for system in self.terms.systems.iter().copied() {
                let taken = self.run(case, system, &fed, round, &expected);
                eprintln!("{} {} round {round}: {taken:?}", case.name, system.name());
                table.add(case.name, system, fed.events, taken);
            }
            if with_floor && case.name == "tumbling" {
                self.floor_once(&fed.topic, events, table);
            }
        }
    }

    /// The floor alone.
    pub(crate) fn floor(&self, table: &mut Table) {
        let events = self.terms.events.unwrap_or(3_000_000);
        let topic = self.feed(Feed::Searches, events).topic;
        for _ in 0..self.terms.rounds {
            self.floor_once(&topic, events, table);
        }
    }

    fn floor_once(&self, topic: &str, events: u64, table: &mut Table) {
        let broker = self.broker_cpu_ms();
        let floor = self.read_floor(topic, events);
        let taken = Taken {
            cpu_us_per_event: Some(floor.cpu_ms * 1e3 / events as f64),
            broker_cpu_us_per_event: Some((self.broker_cpu_ms() - broker) * 1e3 / events as f64),
            peak_rss_mib: Some(floor.peak_rss_mib),
            ..Taken::default()
        };
        eprintln!("floor: {taken:?}");
        table.add("floor", System::Librdkafka, events, taken);
    }

    pub(crate) fn read_floor(&self, topic: &str, events: u64) -> Floor {
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["--floor", &self.broker.address(), topic, &events.to_string()])
            .output()
            .expect("it runs");
        assert!(output.status.success(), "the floor: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("figures")
    }

    fn run(&self, case: &Case, system: System, fed: &Fed, round: u64, expected: &[String]) -> Taken {
        let app = format!("{}-{}-{round}", system.name(), case.name);
        let broker = self.broker_cpu_ms();
        let work = Work {
            case: case.name,
            app: &app,
            input: &fed.topic,
            beside: fed.beside.as_deref(),
            commit_interval_ms: COMMIT_INTERVAL_MS,
            threads: 1,
        };
        let mut running = self.begin(system, &work);
        for topic in [&fed.topic].into_iter().chain(&fed.beside) {
            let target = self.client.end(topic).expect("the input has ends");
            let group = self.client.group(&app, topic);
            client::wait_until(&app, PATIENCE, || {
                running.must_live();
                group.committed() == target
            });
        }
        let (used, broker) = self.settle(&app, &running, broker);
        let mut found = Vec::with_capacity(expected.len());
        for out in expected::outputs(case.name, &app) {
            self.client.reader(&out).values(Duration::from_secs(3), |line| found.push(line.to_owned()));
        }
        let found = expected::compared(case.name, found);
        expected::compare(&app, &found, expected);
        running.stop();
        let changelogs = self.bytes_of(&app, "-changelog-");
        self.clear(&app);
        let per_event = |total: f64| Some(total / fed.events as f64);
        Taken {
            cpu_us_per_event: per_event(used.cpu_ms * 1e3),
            broker_cpu_us_per_event: per_event(broker * 1e3),
            peak_rss_mib: Some(used.peak_rss_mib),
            disk_bytes_per_event: per_event(used.written_bytes),
            changelog_bytes_per_event: per_event(changelogs),
            ..Taken::default()
        }
    }

    /// Takes away what an application has left: its topics and its state.
    pub(crate) fn clear(&self, app: &str) {
        self.client.delete(app);
        std::fs::remove_dir_all(self.folder().join(app)).ok();
    }

    /// Starts a side; its results' topic stands where the side does not make it by itself.
    pub(crate) fn begin(&self, system: System, work: &Work<'_>) -> Running {
        if system == System::KafkaStreams {
            expected::outputs(work.case, work.app).iter().for_each(|out| self.client.create(out, PARTITIONS));
        }
        self.begin_again(system, work)
    }

    /// Starts a side that has run before.
    pub(crate) fn begin_again(&self, system: System, work: &Work<'_>) -> Running {
        Running::start(system, &Ground { brokers: &self.broker.address(), folder: self.folder() }, work)
    }

    /// Waits until the side's topics have not grown for as long as [`QUIET`]; answers what the side and the broker had
    /// used when they stopped growing.
    pub(crate) fn settle(&self, app: &str, running: &Running, broker_before: f64) -> (Usage, f64) {
        // The time of inputs is logged now and then, with nothing to do as well.
        let topics: Vec<String> = self.client.topics(app).into_iter().filter(|name| !name.ends_with("-time")).collect();
        loop {
            let used = (running.usage(), self.broker_cpu_ms() - broker_before);
            let ends = || topics.iter().map(|topic| self.client.end(topic)).collect::<Vec<_>>();
            let before = ends();
            std::thread::sleep(QUIET);
            if ends() == before {
                // Markers included.
                for (topic, end) in topics.iter().zip(before) {
                    eprintln!("{topic}: {} records", end.iter().flatten().sum::<i64>());
                }
                return used;
            }
        }
    }

    /// Bytes of record segments of an application's topics whose names hold `kind`.
    fn bytes_of(&self, app: &str, kind: &str) -> f64 {
        let mut total = 0;
        for partition in std::fs::read_dir(self.broker.data()).expect("the broker's folder") {
            let partition = partition.expect("an entry");
            let name = partition.file_name().to_string_lossy().into_owned();
            if !name.starts_with(app) || !name.contains(kind) {
                continue;
            }
            let files = std::fs::read_dir(partition.path()).expect("a partition's folder").filter_map(Result::ok);
            let segments = files.filter(|file| file.path().extension().is_some_and(|e| e == "log"));
            total += segments.filter_map(|file| Some(file.metadata().ok()?.len())).sum::<u64>();
        }
        total as f64
    }
}
