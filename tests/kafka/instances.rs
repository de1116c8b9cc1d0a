//! Three processes on a broker: each answers for all of them, and all obey one word.
//!
//! Not here: what an answer is made of (the library's own tests, on the log in memory). Invariant: what is compared
//! are rows by key, counted from what was fed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use processing_core::control::Word;
use processing_core::log::kafka::{KafkaLog, KafkaOptions};
use processing_core::record::LogTime;
use tests::kafka::cluster::shared;
use tests::kafka::feed::{Fed, Feed};
use tests::kafka::worker::{WorkerProcess, WorkerSetup};

const APP: &str = "instances.v1";
const INPUT: &str = "instances.in";
const KEYS: u64 = 40;
/// 2026-01-01.
const START: i64 = 1_767_225_600_000;

const NAMES: [&str; 3] = ["a", "b", "c"];

type Rows = BTreeMap<String, u64>;

/// Events of one window that stays open, and how many each key has.
fn fed() -> (Vec<Fed>, Rows) {
    let mut rows = Rows::new();
    let events = (0..500_u64).map(|n| {
        let key = n * n % KEYS;
        *rows.entry(key.to_string()).or_default() += 1;
        let time = START + (n % 1_000) as i64;
        let value = Some(format!("{key} {time} 1").into_bytes());
        Fed { partition: (n % 4) as u32, timestamp: START, key: None, value, headers: Vec::new() }
    });
    (events.collect(), rows)
}

fn answers(worker: &mut WorkerProcess, wanted: &Rows) {
    let equals = |body: &str| serde_json::from_str::<Rows>(body).is_ok_and(|rows| rows == *wanted);
    worker.await_answer("/v1/counts", 200, equals);
}

/// Which of the processes has a task of the store that is asked; not every one needs to.
fn owner_of_counts(page: &str) -> usize {
    const SUB_TOPOLOGY: &str = "2_";
    let page: serde_json::Value = serde_json::from_str(page).unwrap();
    let entries = page["instances"].as_array().unwrap();
    let has = |entry: &&serde_json::Value| {
        let tasks = entry["running"].as_array().unwrap();
        tasks.iter().any(|task| task.as_str().is_some_and(|task| task.starts_with(SUB_TOPOLOGY)))
    };
    let owner = entries.iter().find(has).expect("somebody has the store's tasks")["instance"].as_str().unwrap();
    NAMES.iter().position(|name| *name == owner).unwrap()
}

#[test]
fn each_of_three_processes_answers_for_all() {
    let cluster = shared();
    cluster.admin().create_topic(INPUT, 4, &[]);
    let data = tempfile::tempdir().unwrap();
    let setup = WorkerSetup {
        program: PathBuf::from(env!("CARGO_BIN_EXE_kafka_worker")),
        app: APP.to_owned(),
        input: INPUT.to_owned(),
        brokers: Some(cluster.brokers()),
        data: data.path().to_owned(),
        variables: Vec::new(),
        flags: Vec::new(),
    };
    let mut workers: Vec<WorkerProcess> = NAMES.iter().map(|name| setup.start(name)).collect();
    let (events, mut wanted) = fed();
    let feed = Feed::new(&cluster.brokers());
    feed.send_all(INPUT, &events);
    feed.flush();
    // All of them have tasks, so that all of them have to ask others.
    let share = |page: &str| {
        let addresses = page.matches("\"address\":\"127.0.0.1:").count();
        addresses == 3 && page.matches("\"restoring\":[]").count() == 3 && !page.contains("\"running\":[]")
    };
    workers.iter_mut().for_each(|worker| drop(worker.await_answer("/instances", 200, share)));
    workers.iter_mut().for_each(|worker| answers(worker, &wanted));

    // A static member that is away keeps its tasks: nobody has them, and it is said which.
    let (away, asked) = {
        let page = workers[0].await_answer("/instances", 200, share);
        let owner = owner_of_counts(&page);
        (owner, (owner + 1) % workers.len())
    };
    workers[away].terminate();
    let told = workers[asked].await_answer("/v1/counts", 503, |problem| problem.contains("has nobody at present"));
    assert!(told.contains("\"task\":\"2_"), "{told}");
    let one_more = Fed { value: Some(format!("7 {} 1", START + 10).into_bytes()), ..events[0].clone() };
    feed.send(INPUT, &one_more);
    feed.flush();
    *wanted.entry("7".to_owned()).or_default() += 1;
    workers[away] = setup.start(NAMES[away]);
    workers.iter_mut().for_each(|worker| answers(worker, &wanted));

    // An operator's word reaches all of them; what comes meanwhile waits, and they answer as before.
    let properties = [("bootstrap.servers".to_owned(), cluster.brokers())].into();
    let options = KafkaOptions { application: APP.to_owned(), properties, replication: 1 };
    let log = KafkaLog::open(options).unwrap();
    Word::Pause(true).say(&*log, APP, LogTime(START)).unwrap();
    for worker in &mut workers {
        worker.await_answer("/status", 200, |page| page.contains("\"state\":\"paused\""));
    }
    feed.send(INPUT, &one_more);
    feed.flush();
    workers.iter_mut().for_each(|worker| answers(worker, &wanted));
    Word::Pause(false).say(&*log, APP, LogTime(START)).unwrap();
    *wanted.entry("7".to_owned()).or_default() += 1;
    workers.iter_mut().for_each(|worker| answers(worker, &wanted));
}
