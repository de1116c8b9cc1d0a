//! The binary as an operator meets it: settings, files and exit codes. Not here: what it computes.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

use std::path::Path;
use std::process::{Command, Output};

fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llm-rollups"));
    // Settings of whoever runs the tests are none of the worker's.
    let settings = |name: &str| name.starts_with("STREAMFLEET_") || name.starts_with("KAFKA_") || name == "POD_NAME";
    for (name, _) in std::env::vars().filter(|(name, _)| settings(name)) {
        command.env_remove(name);
    }
    command.arg("--data").arg(data).args(["--http.listen", "127.0.0.1:0", "--log.format", "json"]);
    command
}

#[test]
fn what_cannot_be_used_is_told_with_its_setting() {
    let data = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = data.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let prices = file(
        "prices.toml",
        "[[provider]]\nname = \"p\"\n[[provider.model]]\nname = \"m\"\nprice = [{ input = \"-1\" }]",
    );
    let budgets = file("budgets.toml", "[[budget]]\nid = \"b\"\nperiod = \"day\"\namount = \"nothing\"");
    for (flags, code, part) in [
        (["--prices.file", prices.as_str()], 1, "`prices.file`: provider `p`, model `m`: price 1: `-1` is below 0"),
        (
            ["--budgets.file", budgets.as_str()],
            1,
            "`budgets.file`: budget `b`: `amount` takes a decimal number above 0",
        ),
        (["--budgets.file", "/nowhere.toml"], 1, "cannot read /nowhere.toml"),
        (["--slo.errors.percent", "100"], 1, "a share of good calls in percent from 0 to below 100"),
        (["--rollups.time-zone", "Lisbon"], 1, "an IANA time zone such as Europe/Lisbon"),
        (["--contracts.systems", "lens"], 1, "leave no topic to read"),
        (["--rollups.grace", "1m"], 2, "did you mean `rollups.grace.ms`"),
    ] {
        let Output { status, stdout, stderr } = command(data.path()).args(flags).output().unwrap();
        let words = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(code), "{flags:?}: {words}");
        assert!(words.contains(part), "{flags:?}: {words}");
    }
}

#[test]
fn explain_names_each_value() {
    let data = tempfile::tempdir().unwrap();
    let output = command(data.path()).args(["--explain", "--slo.errors.percent", "off"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "rollups.grace.ms = 60000  # default",
        "slo.errors.percent = \"off\"  # flag --slo.errors.percent",
        "slo.latency.percent = \"95\"  # default",
        "timeouts.process.ms = 300000  # default",
        "cost.preference = \"reported\"  # default",
        "outputs.minutes.topic = \"llm.rollups.1m.v1\"  # default",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}
