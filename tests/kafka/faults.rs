//! State and topics that are not what they were: mended where that is possible, refused with the reason and the way
//! out where it is not.
//!
//! Not here: crashes. Invariant: a worker that cannot go on ends with a code and a message, and has written nothing.

use std::fs;
use std::path::{Path, PathBuf};

use processing_core::error::ExitCode;
use state::{Contents, MemoryBudget, RocksBase, RocksOptions, StateDirectory};
use tests::kafka::cluster::shared;

use crate::events::Events;
use crate::stage::Stage;

/// An application that has said a part of what it has to say, and is stopped.
pub(crate) fn stopped(name: &str, seed: u64) -> (Stage, Events) {
    let stage = Stage::new(shared(), name, 4);
    let mut events = Events::new(seed, 4);
    stage.feed(&events.take(800));
    let mut worker = stage.setup.start("one");
    stage.settle(&mut [&mut worker]);
    worker.terminate();
    stage.group().await_empty();
    (stage, events)
}

#[test]
fn state_that_is_deleted_or_damaged_is_restored() {
    let (stage, mut events) = stopped("restored", 81);
    let state = stage.setup.folder("one").join("state");
    fs::remove_dir_all(&state).unwrap();
    stage.feed(&events.take(400));
    let mut worker = stage.setup.start("one");
    stage.settle(&mut [&mut worker]);
    worker.terminate();
    // Every file of every store loses its middle.
    let tables = files(&state).into_iter().filter(|file| file.extension().is_some_and(|e| e == "sst"));
    let damaged = tables.map(|file| damage(&file)).count();
    assert!(damaged > 0, "nothing was damaged");
    stage.feed(&events.take(400));
    stage.feed(&events.last());
    let mut worker = stage.setup.start("one");
    stage.conclude(&mut [("one", &mut worker)]);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn damage(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let (from, to) = (bytes.len() / 4, bytes.len() / 2);
    bytes[from..to].fill(0xa5);
    fs::write(file, bytes).unwrap();
}

/// A format version that this program does not know is not guessed at; whoever does as the message says has the state
/// back. What merely follows other changelogs is made anew without a word from anybody.
#[test]
fn state_of_another_version_is_refused_and_comes_back_from_its_changelogs() {
    let (stage, mut events) = stopped("versions", 86);
    let state = stage.setup.folder("one").join("state").join("versions");
    let tasks = || {
        let entries = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.join("store").is_dir()).collect::<Vec<_>>()
    };
    for task in StateDirectory::new(state.parent().unwrap(), "versions").unwrap().tasks().unwrap() {
        let contents = stage.plan().sub_topologies()[task.subtopology as usize].contents();
        let options = RocksOptions {
            adapt: true,
            ..RocksOptions::new(Contents::new(contents).unwrap(), MemoryBudget::new(16 << 20))
        };
        let mut store = RocksBase::open(&state.join(task.to_string()).join("store"), &options).unwrap();
        store.write_format_version(3).unwrap();
    }
    stage.feed(&events.take(400));
    let said = refused(&stage);
    assert!(said.contains("format version 3") && said.contains("reads version 2"), "{said}");
    assert!(said.contains("state/versions/") && said.contains("delete the folder to restore"), "{said}");
    for task in tasks() {
        fs::remove_dir_all(task).unwrap();
    }
    let mut worker = stage.setup.start("one");
    stage.settle(&mut [&mut worker]);
    worker.terminate();
    assert!(!tasks().is_empty(), "nothing has come back");
    for task in tasks() {
        fs::write(task.join("origin"), "in the words of another version\n").unwrap();
    }
    stage.feed(&events.take(400));
    stage.feed(&events.last());
    let mut worker = stage.setup.start("one");
    stage.settle(&mut [&mut worker]);
    assert!(worker.log().contains("the store is made anew from its changelog"), "{}", worker.log());
    worker.terminate();
    stage.assert_results();
    stage.assert_stores(&["one"]);
}

/// The worker ends by itself because of its log or its state; answers its last word.
pub(crate) fn refused(stage: &Stage) -> String {
    let mut worker = stage.setup.start("one");
    let (code, said) = worker.wait();
    let ends = [ExitCode::Config, ExitCode::Log, ExitCode::State].map(|end| Some(end as i32));
    assert!(ends.contains(&code), "it ended with {code:?}\n{said}");
    assert!(!said.contains("panicked"), "{said}");
    said.lines().rfind(|line| line.contains("ERROR")).unwrap_or_default().to_owned()
}

#[test]
fn offsets_that_were_set_by_hand_are_refused() {
    let (stage, _) = stopped("by-hand", 82);
    stage.group().commit(&stage.input, 2, 1_000_000);
    let said = refused(&stage);
    assert!(said.contains("by-hand.in-2") && said.contains("1000000") && said.contains("reprocess"), "{said}");
}

#[test]
fn records_that_were_deleted_before_they_were_read_stop_the_worker() {
    let (stage, mut events) = stopped("deleted", 83);
    stage.feed(&events.take(400));
    let (_, end) = stage.admin.watermarks(&stage.input, 1);
    stage.admin.delete_records(&stage.input, 1, end);
    let said = refused(&stage);
    assert!(said.contains("deleted.in-1") && said.contains("reprocess"), "{said}");
}

#[test]
fn an_input_that_was_made_anew_stops_the_worker() {
    let (stage, mut events) = stopped("anew", 84);
    stage.admin.delete_topic(&stage.input);
    stage.admin.create_topic(&stage.input, 4, &[]);
    stage.feed(&events.take(1_600));
    let said = refused(&stage);
    assert!(said.contains("anew.in") && said.contains("made anew") && said.contains("reprocess"), "{said}");
}

#[test]
fn partitions_that_were_added_are_refused() {
    let (stage, _) = stopped("wider", 85);
    stage.admin.add_partitions(&stage.input, 6);
    let said = refused(&stage);
    assert!(said.contains("partition") && said.contains("reprocess"), "{said}");
}
