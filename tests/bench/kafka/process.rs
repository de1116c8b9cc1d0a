//! A side of the comparison as a process, and what the kernel says of it.
//!
//! Not here: what it computes. Invariant: figures are the kernel's, of the whole process with all its threads, start
//! included.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tests::guarded::Guarded;

/// How long a side may take to end in good order.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum System {
    KafkaStreams,
    Streamfleet,
    Librdkafka,
}

impl System {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KafkaStreams => "kafka-streams",
            Self::Streamfleet => "streamfleet",
            Self::Librdkafka => "librdkafka",
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        let all = [Self::KafkaStreams, Self::Streamfleet, Self::Librdkafka];
        *all.iter().find(|system| system.name() == name).unwrap_or_else(|| panic!("no system is called {name}"))
    }
}

/// What a side is to do.
pub(crate) struct Work<'w> {
    pub(crate) case: &'w str,
    /// Another one is another run: the group, the internal topics and the results are named by it.
    pub(crate) app: &'w str,
    pub(crate) input: &'w str,
    /// What a case with two inputs reads beside it.
    pub(crate) beside: Option<&'w str>,
    pub(crate) commit_interval_ms: u32,
    /// The worker's; Kafka Streams is run with one.
    pub(crate) threads: u32,
}

/// Where it does it.
pub(crate) struct Ground<'g> {
    pub(crate) brokers: &'g str,
    /// For its state, and for what it says.
    pub(crate) folder: &'g Path,
}

/// A process of one side.
pub(crate) struct Running(Guarded);

impl Running {
    pub(crate) fn start(system: System, ground: &Ground<'_>, work: &Work<'_>) -> Self {
        let state = ground.folder.join(work.app);
        let command = match system {
            System::KafkaStreams => kafka_streams(ground, work, &state),
            System::Streamfleet => streamfleet(ground, work, &state),
            System::Librdkafka => unreachable!("the floor has no state and no job"),
        };
        Self(Guarded::start(work.app, command, &ground.folder.join(format!("{}.log", work.app))))
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.0.id())
    }

    /// Panics with its last words if it has ended.
    pub(crate) fn must_live(&mut self) {
        if let Some(status) = self.0.ended() {
            panic!("it has ended with {status}\n{}", self.0.last_words());
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.0.kill();
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(mut self) {
        self.0.signal("TERM");
        self.0.wait(PATIENCE);
    }
}

fn kafka_streams(ground: &Ground<'_>, work: &Work<'_>, state: &Path) -> Command {
    let classes =
        std::env::var("STREAMFLEET_STREAMS_CLASSES").expect("STREAMFLEET_STREAMS_CLASSES: see .ci/bench-kafka");
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", &classes, "StreamsBench"]);
    command.args([work.case, ground.brokers, work.app]).arg(state);
    command.args([&work.commit_interval_ms.to_string(), work.input]).args(work.beside);
    command
}

fn streamfleet(ground: &Ground<'_>, work: &Work<'_>, state: &Path) -> Command {
    let worker = std::env::current_exe().expect("this program").with_file_name("bench_worker");
    let mut command = Command::new(worker);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("KAFKA_") || text.starts_with("STREAMFLEET_") {
            command.env_remove(&name);
        }
    }
    command.env("KAFKA_BROKERS", ground.brokers).env("STREAMFLEET_BENCH_CASE", work.case);
    command.args(["--application.id", work.app, "--inputs.events.topic", work.input]);
    if let Some(beside) = work.beside {
        command.args(["--inputs.beside.enabled", "true", "--inputs.beside.topic", beside]);
    }
    command.args(["--commit.interval.ms", &work.commit_interval_ms.to_string()]);
    command.args(["--num.stream.threads", &work.threads.to_string()]);
    command.args(["--http.listen", "off", "--idle.after.ms", "off"]);
    command.arg("--data").arg(state);
    command
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_ms: f64,
    pub(crate) peak_rss_mib: f64,
    pub(crate) written_bytes: f64,
}

impl Usage {
    /// Nothing is reaped here, so the numbers of a process that has just ended are still there.
    pub(crate) fn of(id: u32) -> Self {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
        let field = |text: &str, name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
            line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0)
        };
        let stat = read("stat");
        // The name before it may hold anything, blanks and brackets too.
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        let ticks: f64 = after.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        Self {
            // The kernel counts in hundredths of a second, whatever its own clock.
            cpu_ms: ticks * 10.0,
            peak_rss_mib: field(&read("status"), "VmHWM:") / 1024.0,
            written_bytes: field(&read("io"), "write_bytes:"),
        }
    }
}
