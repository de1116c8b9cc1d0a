//! Apache Kafka's own programs: where their jars are, and how one is run.
//!
//! Not here: the broker as a running process ([`super::cluster`]).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder that `make test` has fetched the jars into, or else fetched now.
pub fn jars() -> &'static Path {
    static JARS: OnceLock<PathBuf> = OnceLock::new();
    JARS.get_or_init(|| {
        if let Some(folder) = std::env::var_os("STREAMFLEET_KAFKA_JARS") {
            return folder.into();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/kafka");
        let output = Command::new(script).output().expect("the script that fetches Kafka can be started");
        let told = String::from_utf8(output.stdout).expect("a script prints text");
        let folder = told.trim().strip_prefix("export STREAMFLEET_KAFKA_JARS=\"").and_then(|f| f.strip_suffix('"'));
        folder.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr))).into()
    })
}

/// `java` with Kafka on its class path. A program that is over in a second gains nothing from a second compiler.
pub fn java(heap: &str) -> Command {
    let mut command = Command::new("java");
    command.args([heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
    command.args(["-Dorg.slf4j.simpleLogger.showDateTime=true", "-cp"]).arg(jars().join("*"));
    command
}

/// Runs one of Kafka's tools to its end; answers what it has printed.
pub fn tool(class: &str, arguments: &[&str]) -> String {
    let mut command = java("-Xmx128m");
    let output = command.arg(class).args(arguments).output().expect("java can be started");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{class} {arguments:?}:\n{}\n{}", said(&output.stdout), said(&output.stderr));
    said(&output.stdout)
}
