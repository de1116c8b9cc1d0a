//! One broker of the bench: a folder, a port, a process.
//!
//! Not here: its jars (`.ci/kafka`). Invariant: it ends with its handle, and leaves no folder.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A broker at work.
pub(crate) struct Broker {
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Broker {
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("bench-kafka-").tempdir().expect("a folder");
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let (port, control) = (free(), free());
        let settings = folder.path().join("server.properties");
        let data = folder.path().join("data");
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
            data.display()
        );
        std::fs::write(&settings, text).expect("written");
        let jars = std::env::var("STREAMFLEET_KAFKA_JARS").expect("STREAMFLEET_KAFKA_JARS: see .ci/kafka");
        let java = |heap: &str| {
            let mut command = Command::new("java");
            command.args([heap, "-XX:+UseSerialGC", "-cp", &format!("{jars}/*")]);
            command.stdout(File::create(folder.path().join("broker.log")).expect("a file")).stderr(Stdio::null());
            command
        };
        let formatted = java("-Xmx256m")
            .args(["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c"])
            .arg(&settings)
            .status()
            .expect("java runs");
        assert!(formatted.success(), "the broker's folder cannot be formatted");
        let child = java("-Xmx512m").arg("kafka.Kafka").arg(&settings).spawn().expect("java runs");
        let mut broker = Self { folder, port, child };
        broker.wait_for_port();
        broker
    }

    fn wait_for_port(&mut self) {
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(self.child.try_wait().expect("it can be asked").is_none(), "the broker has ended: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("broker.log")).unwrap_or_default()
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
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

impl Drop for Broker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
