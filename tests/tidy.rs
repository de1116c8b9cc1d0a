//! Style that a machine can hold, so that reviews are about the rest.
//!
//! Not here: what rustfmt, clippy and cargo-deny say already. Reads the files as text and needs
//! nothing but the standard library, so that `make check` compiles it alone in seconds.
//! Invariant: a rule names the file, the line and what to do instead; the lists of exceptions may
//! only shrink, and an exception that is no longer needed is an error as well.

#![expect(clippy::unwrap_used, reason = "a tree that cannot be read is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file may grow to this; about 500 lines is the aim.
const LINES_MAX: usize = 600;

/// Files that were longer when the rule came, with the length they may not pass again.
const LONGER: &[(&str, usize)] = &[];

/// Files that may hold `unsafe`, each with the one thing that it needs it for.
const UNSAFE: &[(&str, &str)] = &[
    ("processing-core/src/log/kafka/ffi.rs", "the calls of librdkafka that its wrapper lacks"),
    ("tests/bench/kafka/floor.rs", "reading in batches, which the wrapper lacks, as the bench's floor"),
];

/// Everything that may lie at the top. Another folder means another map of the whole: ask first.
const TOP: &[&str] = &[
    ".ci",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "clippy.toml",
    "dashboards",
    "deny.toml",
    "deploy",
    "processing-core",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "state",
    "tests",
    "workers",
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "impl", "manager", "misc", "util", "utils", "v2"];

/// The files (or folders) of `processing-core/src` that a record travels through, and what they are
/// built from. They are pure: the same log gives the same results in the simulator and after a crash.
const PURE: &[&str] = &[
    "source",
    "decode",
    "process",
    "processor",
    "window_store",
    "changelog",
    "sink",
    "commit",
    "dsl",
    "aggregate",
    "plan",
    "record",
    "session",
    "sliding",
    "window",
    "join",
    "foreign_key",
    "repartition",
    "repeats",
];

/// What a pure file may not name, not even by way of an opt-out of clippy's bans.
const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "Utc::now",
    "Local::now",
    "thread::",
    "tokio::",
    "rand::",
    "Uuid::new_v4",
    "RandomState",
    "collections::HashMap",
    "collections::HashSet",
    "std::net",
    "std::fs",
    "std::env",
    "clippy::disallowed_",
];

/// A text file of the workspace.
struct Source {
    /// Relative to the top, with `/` on every system.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The lines with their numbers, comments left out. A `//` within a string cuts that line short,
    /// which can hide a match and never invents one.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines.map(|(at, line)| (at + 1, line.split("//").next().unwrap_or(line)))
    }

    /// As [`Source::code`], up to the unit tests at the end of the file.
    fn code_without_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code().take_while(|(_, line)| line.trim() != "#[cfg(test)]")
    }
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every text file that a person wrote, in the order of their paths.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for name in TOP {
        collect(&top().join(name), name, &mut found);
    }
    assert!(
        found.iter().any(|file| file.path == "tests/tidy.rs"),
        "this file was not found; the rules would hold of nothing"
    );
    found
}

fn collect(place: &Path, path: &str, found: &mut Vec<Source>) {
    const DATA: &[&str] = &["csv", "tsv", "gz", "json", "jsonl", "lock", "png", "svg"];
    if place.is_dir() {
        let mut names: Vec<String> = fs::read_dir(place)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name != "target")
            .collect();
        names.sort();
        for name in names {
            collect(&place.join(&name), &format!("{path}/{name}"), found);
        }
        return;
    }
    let extension = Path::new(path).extension().and_then(|e| e.to_str());
    if place.is_file() && !extension.is_some_and(|e| DATA.contains(&e)) {
        match fs::read_to_string(place) {
            Ok(text) => found.push(Source { path: path.to_owned(), text }),
            Err(error) => assert!(!path.ends_with(".rs"), "{path} is not UTF-8: {error}"),
        }
    }
}

/// Fails with all findings at once, one a line.
fn none(findings: Vec<String>, instead: &str) {
    assert!(findings.is_empty(), "\n{}\n\n{instead}\n", findings.join("\n"));
}

/// Where `word` stands in `line` and is not part of a longer name.
fn names(line: &str, word: &str) -> bool {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part_of_a_name) && !line[at + word.len()..].starts_with(part_of_a_name))
}

#[test]
fn nothing_else_lies_at_the_top() {
    let unknown: Vec<String> = fs::read_dir(top())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name == ".ci" || !name.starts_with('.'))
        .filter(|name| name != "target" && !TOP.contains(&name.as_str()))
        .collect();
    none(unknown, "find it a place in one of the six folders");
}

#[test]
fn every_file_says_first_what_it_is() {
    let findings = sources()
        .iter()
        .filter(|file| file.is_rust() && !file.text.starts_with("//!"))
        .map(|file| file.path.clone())
        .collect();
    none(findings, "start the file with `//!`: what it is, what it is not, its one invariant");
}

#[test]
fn files_stay_short() {
    let mut findings = Vec::new();
    for file in sources().iter().filter(|file| file.is_rust()) {
        let lines = file.text.lines().count();
        let longer = LONGER.iter().find(|(path, _)| *path == file.path);
        let max = longer.map_or(LINES_MAX, |(_, lines)| *lines);
        if lines > max {
            findings.push(format!("{}: {lines} lines, at most {max}", file.path));
        }
        if longer.is_some() && lines < max {
            findings.push(format!("{}: {lines} lines now, lower its entry in LONGER", file.path));
        }
    }
    none(findings, "one noun per file: split it");
}

#[test]
fn names_say_something() {
    let findings = sources()
        .into_iter()
        .map(|file| file.path)
        .filter(|path| {
            let parts = path.split('/');
            parts.map(|part| part.split('.').next().unwrap_or(part)).any(|stem| EMPTY_NAMES.contains(&stem))
        })
        .collect();
    none(findings, "name the file by the noun that it is about");
}

#[test]
fn unsafe_code_has_its_places() {
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    for file in sources().iter().filter(|file| file.is_rust()) {
        if file.path == "tests/tidy.rs" {
            continue;
        }
        for (line, code) in file.code() {
            if !names(code, "unsafe") {
                continue;
            }
            if UNSAFE.iter().any(|(path, _)| *path == file.path) {
                used.insert(file.path.clone());
            } else {
                findings.push(format!("{}:{line}", file.path));
            }
        }
    }
    let idle = UNSAFE.iter().filter(|(path, _)| !used.contains(*path));
    findings.extend(idle.map(|(path, _)| format!("{path}: holds none any more, take it off UNSAFE")));
    none(findings, "do without, or enter the file in UNSAFE with its reason");
}

#[test]
fn no_path_of_one_machine() {
    // In pieces, or this file would find itself.
    let places = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];
    let mut findings = Vec::new();
    for file in &sources() {
        for (at, line) in file.text.lines().enumerate() {
            if places.iter().any(|place| line.contains(place)) {
                findings.push(format!("{}:{}", file.path, at + 1));
            }
        }
    }
    none(findings, "name the place relative to the clone, or by an environment variable");
}

#[test]
fn each_storage_and_client_library_is_named_in_its_folders_only() {
    // A harness that went through the log that it judges would be no witness of it.
    let rdkafka = ["processing-core/src/log/kafka/", "tests/harness/kafka/", "tests/bench/kafka/"];
    let borders: [(&str, &[&str], &[&str]); 2] = [
        ("rocksdb", &["state/src/rocks/"], &["state/Cargo.toml"]),
        ("rdkafka", &rdkafka, &["processing-core/Cargo.toml", "tests/Cargo.toml"]),
    ];
    let mut findings = Vec::new();
    for file in &sources() {
        for (library, folders, manifests) in borders {
            let crate_path = format!("{library}::");
            for (line, code) in file.code() {
                let in_code = file.is_rust()
                    && file.path != "tests/tidy.rs"
                    && !folders.iter().any(|folder| file.path.starts_with(folder))
                    && code.contains(&crate_path);
                let in_manifest = file.path.ends_with("/Cargo.toml")
                    && !manifests.contains(&file.path.as_str())
                    && code.trim_start().starts_with(library);
                if in_code || in_manifest {
                    findings.push(format!("{}:{line}: {library}", file.path));
                }
            }
        }
    }
    none(findings, "go through the store's or the log's traits: dependencies point one way");
}

#[test]
fn the_stores_know_no_log() {
    let mut findings = Vec::new();
    for file in sources().iter().filter(|f| f.path.starts_with("state/")) {
        for (line, code) in file.code() {
            if names(code, "processing_core") || names(code, "processing-core") {
                findings.push(format!("{}:{line}", file.path));
            }
        }
    }
    none(findings, "dependencies point one way: workers -> processing-core -> state");
}

/// The files whose `mod` line stands under `#[cfg(test)]`.
fn test_only(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in sources.iter().filter(|file| file.is_rust()) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
        for pair in lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]") {
            if let Some(name) = pair[1].strip_prefix("mod ").and_then(|name| name.strip_suffix(';')) {
                // Beside a `mod.rs` or a crate's root, or in the folder of the file's own name.
                found.push(format!("{folder}/{name}.rs"));
                found.push(format!("{}/{name}.rs", file.path.trim_end_matches(".rs")));
            }
        }
    }
    found
}

#[test]
fn the_way_of_a_record_is_pure() {
    let mut findings = Vec::new();
    let sources = sources();
    let test_only = test_only(&sources);
    for file in sources.iter().filter(|file| file.is_rust()) {
        let Some(within) = file.path.strip_prefix("processing-core/src/") else {
            continue;
        };
        let module = within.split(['/', '.']).next().unwrap_or(within);
        if !PURE.contains(&module) || test_only.contains(&file.path) {
            continue;
        }
        for (line, code) in file.code_without_tests() {
            for call in IMPURE.iter().filter(|call| code.contains(**call)) {
                findings.push(format!("{}:{line}: {call}", file.path));
            }
        }
    }
    none(findings, "hand it in: the Clock, the log, the store or a seed; see clippy.toml");
}

#[test]
fn text_is_only_text() {
    let mut findings = Vec::new();
    for file in &sources() {
        for (at, line) in file.text.lines().enumerate() {
            let tab_is_syntax = file.path == "Makefile";
            let strange = |c: char| c.is_control() && !(c == '\t' && tab_is_syntax);
            if line.contains(strange) {
                findings.push(format!("{}:{}", file.path, at + 1));
            }
        }
    }
    none(findings, "write control characters as escapes: search tools take the file for a binary");
}

#[test]
fn nothing_is_left_for_later_in_a_comment() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut findings = Vec::new();
    for file in &sources() {
        for (at, line) in file.text.lines().enumerate() {
            if marks.iter().any(|mark| names(line, mark)) {
                findings.push(format!("{}:{}", file.path, at + 1));
            }
        }
    }
    none(findings, "do it now, or open an issue and say nothing here");
}

#[test]
fn the_prebuilt_rocksdb_is_the_one_of_the_lock_file() {
    let script = fs::read_to_string(top().join(".ci/rocksdb")).unwrap();
    let prebuilt = script.lines().find_map(|line| line.strip_prefix("version=")).unwrap();
    let lock = fs::read_to_string(top().join("Cargo.lock")).unwrap();
    let mut lines = lock.lines();
    lines.find(|line| *line == "name = \"librocksdb-sys\"");
    let locked = lines.next().unwrap_or_default();
    assert!(
        locked.ends_with(&format!("+{prebuilt}\"")),
        "Cargo.lock has librocksdb-sys {locked}, .ci/rocksdb fetches {prebuilt}: change both together"
    );
}
