//! A broker that demands to know who is there: TLS with a certificate of its own, SASL, and rights by user.
//!
//! Not here: what a worker needs. Invariant: through the secure listener nobody may do anything that was not granted;
//! the plain one beside it is the administrator's.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cluster::{Cluster, Listener, Setup};
use super::jars::tool;

/// What the broker's users have to show, by the mechanism that they use.
pub const USERS: [(&str, &str, &str); 3] = [
    ("PLAIN", "paula", "paula's secret"),
    ("SCRAM-SHA-256", "stella", "stella's secret"),
    ("SCRAM-SHA-512", "sixtus", "sixtus' secret"),
];

/// Such a broker.
#[derive(Debug)]
pub struct SecureBroker {
    /// The broker; its plain listener asks for nothing.
    pub cluster: Cluster,
    certificates: tempfile::TempDir,
}

impl SecureBroker {
    /// Makes certificates, starts the broker, and waits until it answers.
    pub fn start() -> Self {
        let certificates = tempfile::tempdir().expect("a folder can be made");
        make_certificates(certificates.path());
        let keys = certificates.path().join("broker.pem");
        let [(_, plain, plain_password), scram @ ..] = USERS;
        let login = "org.apache.kafka.common.security";
        let property = |name: &str, value: String| (name.to_owned(), value);
        let properties = vec![
            property("listener.name.secure.ssl.keystore.type", "PEM".into()),
            property("listener.name.secure.ssl.keystore.location", keys.display().to_string()),
            property("listener.name.secure.sasl.enabled.mechanisms", USERS.map(|(mechanism, ..)| mechanism).join(",")),
            property(
                "listener.name.secure.plain.sasl.jaas.config",
                format!("{login}.plain.PlainLoginModule required user_{plain}=\"{plain_password}\";"),
            ),
            property(
                "listener.name.secure.scram-sha-256.sasl.jaas.config",
                format!("{login}.scram.ScramLoginModule required;"),
            ),
            property(
                "listener.name.secure.scram-sha-512.sasl.jaas.config",
                format!("{login}.scram.ScramLoginModule required;"),
            ),
            property("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer".into()),
            property("allow.everyone.if.no.acl.found", "false".into()),
            property("super.users", "User:ANONYMOUS".into()),
        ];
        let format = scram.iter().flat_map(|(mechanism, user, password)| {
            ["--add-scram".to_owned(), format!("{mechanism}=[name={user},password={password}]")]
        });
        let setup = Setup {
            listeners: vec![Listener { name: "SECURE", protocol: "SASL_SSL", advertised: None }],
            properties,
            format: format.collect(),
            ..Setup::plain(1)
        };
        Self { cluster: Cluster::start(setup), certificates }
    }

    /// `bootstrap.servers` of the listener that asks who is there.
    pub fn brokers(&self) -> String {
        self.cluster.listener("SECURE")
    }

    /// The certificate of the authority that has signed the broker's: `ssl.ca.location`.
    pub fn authority(&self) -> PathBuf {
        self.certificates.path().join("authority.crt")
    }

    /// Runs `kafka-acls` with the words after its `--bootstrap-server`, as they stand in one of its commands.
    pub fn acls(&self, words: &[&str]) -> String {
        let brokers = self.cluster.brokers();
        let words = [&["--bootstrap-server", &brokers, "--force"], words].concat();
        tool("org.apache.kafka.tools.AclCommand", &words)
    }
}

/// An authority, and a certificate of its for this machine's loopback address.
fn make_certificates(folder: &Path) {
    let openssl = |words: &str| {
        let mut command = Command::new("openssl");
        let output = command.current_dir(folder).args(words.split(' ')).output().expect("openssl can be started");
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout authority.key -out authority.crt -days 2 -subj /CN=authority"));
    openssl(&format!("req {key} -keyout broker.key -out broker.csr -subj /CN=127.0.0.1"));
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").expect("a file can be written");
    openssl(
        "x509 -req -in broker.csr -CA authority.crt -CAkey authority.key -CAcreateserial -days 2 -extfile names \
         -out broker.crt",
    );
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("openssl has written it");
    let chain = read("broker.key") + &read("broker.crt") + &read("authority.crt");
    std::fs::write(folder.join("broker.pem"), chain).expect("a file can be written");
}
