//! Brokers of a test: in fresh folders, on free ports of this machine, stopped by their ids.
//!
//! Not here: topics ([`super::admin`]). Invariant: a node keeps its ports and its folder through every death, and no
//! port lies where the system takes those of outgoing connections from, so that nobody has it when the node comes
//! back.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::admin::Admin;
use super::jars::java;
use crate::guarded::Guarded;

/// The longest that anything of a broker may take before the test fails with its log.
const PATIENCE: Duration = Duration::from_secs(90);

/// Any id will do: a cluster is told by its folder.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// What brokers are to be.
#[derive(Debug, Clone)]
pub struct Setup {
    /// One, or three with replication 3 and two in sync at least.
    pub nodes: u32,
    /// Listeners beside the plain one.
    pub listeners: Vec<Listener>,
    /// More lines of `server.properties`.
    pub properties: Vec<(String, String)>,
    /// More words for `StorageTool format`.
    pub format: Vec<String>,
}

/// A listener of a broker beside the plain one.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its name.
    pub name: &'static str,
    /// `PLAINTEXT` or `SASL_SSL`.
    pub protocol: &'static str,
    /// The port that clients are told, if it is not its own: that of a proxy.
    pub advertised: Option<u16>,
}

impl Setup {
    /// This many plain brokers.
    pub fn plain(nodes: u32) -> Self {
        Self { nodes, listeners: Vec::new(), properties: Vec::new(), format: Vec::new() }
    }
}

/// Brokers that make a cluster, each a controller too.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    listeners: Vec<Listener>,
    folder: tempfile::TempDir,
}

#[derive(Debug)]
struct Node {
    id: u32,
    port: u16,
    controller: u16,
    extra: Vec<u16>,
    folder: PathBuf,
    process: Option<Guarded>,
}

/// One plain broker for all tests of this process that do it no harm. It ends with the process.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(Setup::plain(1)))
}

impl Cluster {
    /// Starts brokers and waits until they answer.
    pub fn start(setup: Setup) -> Self {
        let folder = tempfile::Builder::new().prefix("streamfleet-kafka-").tempdir().expect("a folder can be made");
        let nodes = (1..=setup.nodes)
            .map(|id| Node {
                id,
                port: free_port(),
                controller: free_port(),
                extra: setup.listeners.iter().map(|_| free_port()).collect(),
                folder: folder.path().join(format!("node-{id}")),
                process: None,
            })
            .collect();
        let mut cluster = Self { nodes, listeners: setup.listeners.clone(), folder };
        let formatting: Vec<_> = (0..cluster.nodes.len())
            .map(|at| {
                let file = cluster.write_properties(at, &setup.properties);
                let mut format = java("-Xmx128m");
                format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(file);
                let log = cluster.nodes[at].folder.join("format.log");
                Guarded::start(
                    "StorageTool",
                    {
                        format.args(&setup.format);
                        format
                    },
                    &log,
                )
            })
            .collect();
        for mut format in formatting {
            assert!(format.wait(PATIENCE).success(), "{}", format.last_words());
        }
        for id in 1..=setup.nodes {
            cluster.spawn(id);
        }
        cluster.await_ready();
        cluster
    }

    fn write_properties(&self, at: usize, more: &[(String, String)]) -> PathBuf {
        let node = &self.nodes[at];
        let (nodes, replication) = (self.nodes.len(), self.nodes.len().min(3));
        let in_sync = replication.min(2);
        let voters: Vec<String> = self.nodes.iter().map(|n| format!("{}@127.0.0.1:{}", n.id, n.controller)).collect();
        let mut listeners = format!("PLAINTEXT://127.0.0.1:{}", node.port);
        let mut advertised = listeners.clone();
        let mut protocols = String::from("CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT");
        for (listener, port) in self.listeners.iter().zip(&node.extra) {
            let Listener { name, protocol, .. } = listener;
            let told = listener.advertised.unwrap_or(*port);
            write!(listeners, ",{name}://127.0.0.1:{port}").expect("text grows");
            write!(advertised, ",{name}://127.0.0.1:{told}").expect("text grows");
            write!(protocols, ",{name}:{protocol}").expect("text grows");
        }
        let mut text = format!(
            "process.roles=broker,controller\n\
             node.id={id}\n\
             controller.quorum.voters={voters}\n\
             listeners={listeners},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners={advertised}\n\
             controller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=PLAINTEXT\n\
             listener.security.protocol.map={protocols}\n\
             log.dirs={data}\n\
             default.replication.factor={replication}\n\
             min.insync.replicas={in_sync}\n\
             offsets.topic.replication.factor={replication}\n\
             offsets.topic.num.partitions=4\n\
             transaction.state.log.replication.factor={replication}\n\
             transaction.state.log.min.isr={in_sync}\n\
             transaction.state.log.num.partitions=4\n\
             share.coordinator.state.topic.replication.factor={replication}\n\
             share.coordinator.state.topic.min.isr={in_sync}\n\
             auto.create.topics.enable=false\n\
             group.initial.rebalance.delay.ms=0\n\
             group.min.session.timeout.ms=1000\n\
             transaction.abort.timed.out.transaction.cleanup.interval.ms=1000\n",
            id = node.id,
            voters = voters.join(","),
            controller = node.controller,
            data = node.folder.join("data").display(),
        );
        // Retention counts from the records' own timestamps, and those of the tests are old. Where a topic names
        // a retention of its own, it is enforced within seconds, so that what it would lose is lost here too.
        text.push_str(
            "log.retention.ms=-1\nlog.retention.check.interval.ms=2000\nlog.initial.task.delay.ms=1000\n\
             log.cleaner.backoff.ms=2000\n",
        );
        // A dead broker's partitions are led by others after this time, 9 s by default. A broker that is alone has nobody
        // to hand over to, and on a busy machine it must not be given up by itself.
        let session = if nodes > 1 { 3_000 } else { 60_000 };
        writeln!(text, "broker.session.timeout.ms={session}\nbroker.heartbeat.interval.ms=500").expect("text grows");
        for (name, value) in more {
            writeln!(text, "{name}={value}").expect("text grows");
        }
        fs::create_dir_all(&node.folder).expect("a folder can be made");
        let file = node.folder.join("server.properties");
        fs::write(&file, text).expect("a file can be written");
        file
    }

    /// The folder of this cluster, for files that belong to it.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// `bootstrap.servers` of the plain listeners.
    pub fn brokers(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        nodes.join(",")
    }

    /// The address of the first node's listener `name`.
    pub fn listener(&self, name: &str) -> String {
        let at = self.listeners.iter().position(|listener| listener.name == name);
        format!("127.0.0.1:{}", self.nodes[0].extra[at.expect("the listener was asked for")])
    }

    /// The administrator's view.
    pub fn admin(&self) -> Admin {
        Admin::new(&self.brokers(), self.nodes.len().min(3))
    }

    /// How many nodes it was made of.
    pub fn size(&self) -> u32 {
        self.nodes.len() as u32
    }

    fn node(&mut self, id: u32) -> &mut Node {
        &mut self.nodes[id as usize - 1]
    }

    /// `kill -9` for one node.
    pub fn kill(&mut self, id: u32) {
        self.node(id).process.take().expect("the node runs").kill();
    }

    /// Stops a node for a while without its knowing; [`Self::thaw`] goes on.
    pub fn freeze(&mut self, id: u32) {
        self.node(id).process.as_ref().expect("the node runs").signal("STOP");
    }

    /// Goes on after [`Self::freeze`].
    pub fn thaw(&mut self, id: u32) {
        self.node(id).process.as_ref().expect("the node runs").signal("CONT");
    }

    /// Starts a node that was killed, and does not wait for it.
    pub fn spawn(&mut self, id: u32) {
        let all = self.folder.path().to_owned();
        let node = self.node(id);
        assert!(node.process.is_none(), "node {id} runs already");
        let mut command = java("-Xmx400m");
        command.arg("kafka.Kafka").arg(node.folder.join("server.properties"));
        let log = node.folder.join("broker.log");
        node.process = Some(Guarded::start_in(format!("broker {id}"), command, &log, &all));
    }

    /// Waits until every node has said that it is there, and each partition has all its replicas in sync.
    pub fn await_ready(&mut self) {
        let admin = self.admin();
        let deadline = Instant::now() + PATIENCE;
        let nodes = self.nodes.len();
        while !admin.is_whole(nodes) {
            for node in &mut self.nodes {
                let process = node.process.as_mut().expect("the node runs");
                assert!(process.ended().is_none(), "a broker has ended\n{}", process.last_words());
            }
            assert!(Instant::now() < deadline, "the brokers do not answer\n{}", self.last_words());
        }
    }

    /// What the brokers have said last, for a message.
    pub fn last_words(&self) -> String {
        self.nodes.iter().filter_map(|node| Some(node.process.as_ref()?.last_words())).collect()
    }
}

/// A port that nobody listens on, and that is given out once by this process.
pub fn free_port() -> u16 {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        // Several test processes begin at several places.
        let number = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id().wrapping_mul(97);
        let port = (FIRST + number % COUNT) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free")
}
