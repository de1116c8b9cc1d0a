//! A process that writes is killed, or its disk is full; what it was told to be published is there, and nothing by halves.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use super::*;

const FOLDER: &str = "STREAMFLEET_TEST_LOG_FOLDER";
const THIS: &str = "log::embedded::tests::durability::";

/// Not a test of its own: the process that the tests below start and kill. It publishes numbers from
/// where the group stands, and says each after it was published.
#[test]
fn writing_process() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let log = open(Path::new(&folder));
    topic(&*log, "t", settings(2));
    let (group, instance) = ("g".to_owned(), "a".to_owned());
    let mut source = log.group_source(Membership { group, instance, anchors: vec!["t".into()] }).unwrap();
    source.poll(&mut RecordBatch::new()).unwrap();
    let from = source.committed(&tp("t", 0)).unwrap().unwrap_or(Offset::ZERO).0;
    let mut transaction = log.transaction(&TransactionalId("p".to_owned())).unwrap();
    let mut out = std::io::stdout().lock();
    for number in from.. {
        let text = number.to_string();
        transaction.send(&tp("t", 0), &batch_of(&[&text])).unwrap();
        transaction.send(&tp("t", 1), &batch_of(&[&text, &"filling ".repeat(500)])).unwrap();
        let answer = transaction.publish(&[(tp("t", 0), Offset(number + 1))], &source.group_metadata());
        assert!(matches!(answer, Publish::Published(_)), "{answer:?}");
        if number % 5 == 0 {
            log.maintain(LogTime(0)).unwrap();
        }
        if writeln!(out, "\npublished {number}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

struct Running {
    child: Child,
    said: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([&format!("{THIS}writing_process"), "--exact", "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, said }
    }

    /// Waits until one more number is published.
    fn next(&mut self) -> u64 {
        loop {
            let line = self.said.next().expect("the writing process ended by itself").unwrap();
            if let Some(number) = line.strip_prefix("published ") {
                return number.parse().unwrap();
            }
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone where `kill` was called; here only if an assertion failed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn numbers(values: Vec<String>) -> Vec<u64> {
    values.iter().filter_map(|value| value.parse().ok()).collect()
}

#[test]
fn what_was_published_survives_the_kill_of_its_process() {
    let folder = tempfile::tempdir().unwrap();
    for round in [1, 2, 17, 5, 60, 3] {
        let mut running = Running::start(folder.path());
        let mut said = 0;
        for _ in 0..round {
            said = running.next();
        }
        running.kill();
        let log = open(folder.path());
        let first = numbers(values(&*log, &tp("t", 0)));
        let count = first.len() as u64;
        assert!(count > said, "{said} was published, {count} are there");
        assert_eq!(first, (0..count).collect::<Vec<_>>());
        assert_eq!(numbers(values(&*log, &tp("t", 1))), first);
        assert_eq!(lines(&*log, &tp("t", 1)).len() as u64, 2 * count);
        assert_eq!(log.admin().unwrap().group_offsets("g", &[tp("t", 0)]).unwrap(), [(tp("t", 0), Offset(count))]);
    }
}

#[test]
fn others_read_while_a_process_writes() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(folder.path());
    running.next();
    let error = EmbeddedLog::open(folder.path(), options(&Hands::at(0))).map(drop).unwrap_err();
    assert!(error.to_string().contains(&format!("process {}", running.child.id())), "{error}");

    let beside = EmbeddedReaderProcess::open(folder.path()).unwrap();
    let mut reader = beside.reader();
    let (mut seen, mut next, mut batch) = (Vec::new(), Offset::ZERO, RecordBatch::new());
    for _ in 0..40 {
        let said = running.next();
        while let Read::Records(after) = reader.read(&tp("t", 0), next, &mut batch).unwrap() {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            seen.extend(batch.iter().map(|record| text(record.value.unwrap())));
            next = after;
        }
        assert!(seen.len() as u64 > said, "{said} is published, {} are seen", seen.len());
        let marks = reader.watermarks(&tp("t", 1)).unwrap();
        assert!(marks.high.0 >= 2 * seen.len() as u64, "one partition of a transaction without the other");
    }
    assert_eq!(numbers(seen.clone()), (0..seen.len() as u64).collect::<Vec<_>>());
    let mut admin = beside.admin();
    assert_eq!(admin.topic(&"t".into()).unwrap().unwrap().settings, settings(2));
    assert!(admin.group_offsets("g", &[tp("t", 0)]).unwrap()[0].1.0 >= seen.len() as u64);
    assert_eq!(reader.read(&tp("u", 0), next, &mut batch), Err(LogError::Unknown(tp("u", 0))));
    let refused = admin.purge(&tp("t", 0), next).unwrap_err();
    assert!(refused.to_string().contains("reading only"), "{refused}");
    running.kill();
    // A reader stays able to read when the writer is gone.
    assert!(reader.watermarks(&tp("t", 0)).unwrap().high >= next);
}

const FULL: &str = "STREAMFLEET_TEST_FULL_FOLDER";

/// Not a test of its own: the process that the next test gives a disk of 24 MB.
#[test]
fn filling_process() {
    let Some(place) = std::env::var_os(FULL) else { return };
    let (folder, ballast) = (Path::new(&place).join("log"), Path::new(&place).join("ballast"));
    std::fs::write(&ballast, vec![1; 8 << 20]).unwrap();
    let log = open(&folder);
    topic(&*log, "t", settings(2));
    let mut transaction = log.transaction(&TransactionalId("p".to_owned())).unwrap();
    let mut published = 0_u64;
    let answer = loop {
        let mut noise = published + 1;
        let mut text = published.to_string();
        while text.len() < 100_000 {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(&format!(" {noise}"));
        }
        transaction.send(&tp("t", 0), &batch_of(&[&text])).unwrap();
        transaction.send(&tp("t", 1), &batch_of(&[&text])).unwrap();
        match transaction.publish(&[], &nobody()) {
            Publish::Published(_) => published += 1,
            other => break other,
        }
        assert!(published < 1_000, "the disk never fills");
    };
    assert!(matches!(&answer, Publish::Ambiguous(why) if why.contains("no room")), "{answer:?}");
    let error = log.transaction(&TransactionalId("p".to_owned())).map(drop).unwrap_err();
    assert!(matches!(error, LogError::Full(_)), "{error}");
    let whole = |log: &EmbeddedLog| -> u64 {
        let [first, second] = [0, 1].map(|p| values(log, &tp("t", p)));
        assert_eq!(first, second, "one partition of a transaction without the other");
        for (number, value) in first.iter().enumerate() {
            assert!(value.starts_with(&format!("{number} ")));
        }
        first.len() as u64
    };
    assert_eq!(whole(&log), published);
    drop(transaction);
    drop(log);
    std::fs::remove_file(&ballast).unwrap();
    let log = open(&folder);
    let present = whole(&log);
    // The last answer was `Ambiguous`, and either is right.
    assert!((published..=published + 1).contains(&present), "{present} of {published}");
    log.append(&tp("t", 0), &batch_of(&["goes on"]), Durability::Os).unwrap();
    println!("\nwent on after {published}");
}

/// On a disk of its own, where the machine lets a process have one.
#[test]
fn a_disk_that_fills_up_loses_nothing() {
    let place = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=24m none \"$1\" || exit 77; shift; exec \"$@\"";
    let own_disk = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(place.path())
        .arg(std::env::current_exe().unwrap())
        .args([&format!("{THIS}filling_process"), "--exact", "--nocapture"])
        .env(FULL, place.path())
        .output();
    let output = match own_disk {
        Ok(output) if output.status.success() || output.status.code() == Some(101) => output,
        other => {
            eprintln!("left out: no disk of its own can be had here ({other:?})");
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("went on after"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn reading_a_folder_without_a_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = EmbeddedReaderProcess::open(folder.path()).map(drop).unwrap_err();
    assert!(error.to_string().contains("there is no log in"), "{error}");
}
