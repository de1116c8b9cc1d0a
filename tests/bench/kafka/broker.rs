//! The bench's broker: a folder, a port, a process.
//!
//! Not here: the brokers of the tests, which look after their logs every two seconds and are compiled in a hurry, so
//! that they start fast. Invariant: it ends with its handle, and leaves no folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tests::guarded::Guarded;
use tests::kafka::cluster::free_port;
use tests::kafka::jars::jars;

const PATIENCE: Duration = Duration::from_secs(90);

/// A broker at work.
pub(crate) struct Broker {
    folder: tempfile::TempDir,
    port: u16,
    process: Guarded,
}

impl Broker {
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("streamfleet-bench-").tempdir().expect("a folder");
        let (port, control) = (free_port(), free_port());
        let settings = folder.path().join("server.properties");
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{control}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{control}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\nlog.dirs={}\n\
             log.retention.ms=-1\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=4\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=4\nshare.coordinator.state.topic.replication.factor=1\n\
             share.coordinator.state.topic.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n\
             auto.create.topics.enable=false\n",
            folder.path().join("data").display()
        );
        std::fs::write(&settings, text).expect("written");
        let log = folder.path().join("broker.log");
        let java = |heap: &str| {
            let mut command = Command::new("java");
            command.args([heap, "-XX:+UseSerialGC", "-cp"]).arg(jars().join("*"));
            command
        };
        let mut format = java("-Xmx128m");
        format.args(["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c"]).arg(&settings);
        let mut format = Guarded::start("StorageTool", format, &log);
        assert!(format.wait(PATIENCE).success(), "{}", format.last_words());
        let mut broker = java("-Xmx512m");
        broker.arg("kafka.Kafka").arg(&settings);
        let process = Guarded::start_in("broker", broker, &log, folder.path());
        let mut broker = Self { folder, port, process };
        broker.wait_for_port();
        broker
    }

    #[allow(clippy::disallowed_types, reason = "whether a port answers is asked of the port")]
    fn wait_for_port(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let fit = self.process.ended().is_none() && Instant::now() < deadline;
            assert!(fit, "the broker does not answer\n{}", self.process.last_words());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The folder of its partitions.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// For files of the bench that go with the broker.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}
