//! Several processes in one, on one log: whoever is asked gives the same answer, or says who cannot and why.
//!
//! The oracle is one instance alone with the same input, and a count of the input by hand. Three real processes on
//! Kafka are in `tests/kafka/instances.rs`.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use state::keys::pane::PaneKey;
use state::{OwnedRange, Row, StateKey as _, codec};

use super::forward::{HOP, ROUTE};
use super::note::{Claim, Hold, Note};
use super::wire::{Head, Question};
use crate::batch::{Headers, RecordBatch, RecordRef};
use crate::bulletin::instances_topic;
use crate::control;
use crate::log::memory::{MemoryLog, MemoryOptions};
use crate::log::{Cleanup, Log, TopicSettings, TransactionalId, partition_for_key};
use crate::metrics::ProcessMetrics;
use crate::prelude::*;
use crate::query::{Inquiry, QueryError};
use crate::record::{LogTime, Offset, TopicName, TopicPartition, WallTime};
use crate::run::{RunOptions, Running, StatePlace, Surroundings};
use crate::service::http::{HttpServer, routes};
use crate::service::settings::HttpSettings;
use crate::task::TaskId;

const PARTITIONS: u32 = 6;
const INPUT: &str = "trips";
const STORE: &str = "pulse";
const APP: &str = "app";
const MINUTE: i64 = 60_000;

#[derive(serde::Deserialize)]
struct Trip {
    at: i64,
    city: String,
}

/// Trips per city and minute, kept for an hour.
fn plan() -> Plan {
    let app = Topology::named(APP);
    app.stream(Topic::<Json<Trip>>::json(INPUT))
        .event_time(|trip| EventTime(trip.at))
        .already_keyed_by(|trip| trip.city.clone())
        .window(Tumbling::minutes(1))
        .keep(DurationMs::hours(1))
        .fold(STORE, count())
        .on_update(DurationMs::seconds(1), |updates| updates.map(|u| u.is_final).to(Topic::json("now")))
        .end();
    app.build().unwrap()
}

/// A log with this input: a trip in the minute for each pair.
fn log_of(trips: &[(i64, &str)]) -> Arc<MemoryLog> {
    let log = MemoryLog::new(MemoryOptions::default());
    let shape =
        TopicSettings { partitions: PARTITIONS, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false };
    log.admin().unwrap().create_topic(&TopicName::new(INPUT), shape).unwrap();
    for (minute, city) in trips {
        let at = log.now().0 + minute * MINUTE;
        let value = format!(r#"{{"at": {at}, "city": "{city}"}}"#);
        let place = TopicPartition { topic: TopicName::new(INPUT), partition: partition_of(city) };
        append(&log, &place, city.as_bytes(), Some(value.as_bytes()));
    }
    log
}

fn append(log: &MemoryLog, place: &TopicPartition, key: &[u8], value: Option<&[u8]>) {
    let mut batch = RecordBatch::new();
    let (offset, timestamp, headers) = (Offset::ZERO, LogTime(log.now().0), Headers::NONE);
    batch.push(RecordRef { offset, timestamp, key: Some(key), value, headers });
    log.append(place, &batch).unwrap();
}

fn group(city: &str) -> Vec<u8> {
    let mut key = Vec::new();
    city.to_owned().encode(&mut key);
    key
}

fn partition_of(city: &str) -> crate::record::Partition {
    partition_for_key(&group(city), PARTITIONS)
}

fn everything() -> Vec<OwnedRange> {
    vec![OwnedRange { start: Vec::new(), end: None }]
}

/// A process.
struct Instance {
    name: String,
    around: Surroundings,
    running: Running,
    server: HttpServer,
}

impl Instance {
    fn start(log: &Arc<MemoryLog>, name: &str) -> Self {
        let around = Surroundings::quiet(APP);
        let options = RunOptions {
            instance: name.to_owned(),
            threads: 1,
            commit_interval: DurationMs(5),
            idle_after: None,
            idle_close: None,
            future_bound: None,
            epoch: 0,
            cached_bytes: crate::limits::CACHED_BYTES_MAX,
            applied_bytes: crate::limits::APPLIED_BYTES_MAX,
            state: StatePlace::Memory,
        };
        let shared = Arc::clone(log) as Arc<dyn Log>;
        let running = Running::start(Arc::new(plan()), shared, options, around.clone()).unwrap();
        let process = Arc::new(ProcessMetrics::new(&around.telemetry, "0", ""));
        let all = routes(Arc::clone(&around.board), Arc::clone(&around.telemetry), process, running.routes());
        let listen = HttpSettings { listen: Some("127.0.0.1:0".parse().unwrap()), next_free: false, advertised: None };
        let server = HttpServer::start(&listen, all).unwrap().unwrap();
        running.instances().advertise(Some(server.address().to_string()));
        Self { name: name.to_owned(), around, running, server }
    }

    fn ask(&self, group: Option<Vec<u8>>, ranges: Vec<OwnedRange>) -> Result<Vec<Row>, QueryError> {
        let answer = self.running.queries().ask(Inquiry { store: STORE.to_owned(), group, ranges })?;
        Ok(answer.rows)
    }

    /// Asks until there is an answer; each refusal before has to be one that passes.
    fn ask_until_answered(&self, group: Option<Vec<u8>>, ranges: Vec<OwnedRange>) -> Vec<Row> {
        loop {
            match self.ask(group.clone(), ranges.clone()) {
                Ok(rows) => return rows,
                Err(error) => self.passes(&error),
            }
        }
    }

    /// Waits a moment after a refusal that passes.
    fn passes(&self, error: &QueryError) {
        assert!(matches!(error, QueryError::NotNow { .. } | QueryError::Restoring(_) | QueryError::Busy), "{error}");
        self.around.shutdown.wait(Duration::from_millis(2));
    }

    fn running_tasks(&self) -> usize {
        let tasks = self.running.status().tasks;
        tasks.values().filter(|task| task.state == crate::service::status::TaskState::Running).count()
    }

    /// Sends a request by hand; the status, the head and the body.
    fn send(&self, method: &str, path: &str, hop: bool, body: &[u8]) -> (u16, String, Value) {
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        let hop = if hop { format!("{HOP}: 1\r\n") } else { String::new() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{hop}content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), serde_json::from_str(body).unwrap_or_default())
    }
}

/// Three processes that share the tasks.
fn three(log: &Arc<MemoryLog>) -> [Instance; 3] {
    let all = ["pod-0", "pod-1", "pod-2"].map(|name| Instance::start(log, name));
    while all.iter().map(Instance::running_tasks).sum::<usize>() != PARTITIONS as usize
        || all.iter().any(|instance| instance.running_tasks() == 0)
    {
        all[0].around.shutdown.wait(Duration::from_millis(2));
    }
    all.iter().for_each(|instance| assert!(instance.running.settle(Duration::from_secs(60))));
    all
}

/// What a scan must show, counted by hand.
fn counted(log: &MemoryLog, trips: &[(i64, &str)]) -> BTreeMap<(i64, String), u64> {
    let mut counts = BTreeMap::new();
    for (minute, city) in trips {
        *counts.entry((log.now().0 + minute * MINUTE, (*city).to_owned())).or_default() += 1;
    }
    counts
}

fn shown(rows: &[Row]) -> BTreeMap<(i64, String), u64> {
    let shown = rows.iter().map(|(key, value)| {
        let key = PaneKey::decode(key).unwrap();
        let city = String::decode(key.key).unwrap();
        ((key.pane, city), codec::decode::<Count>(value).unwrap().get())
    });
    shown.collect()
}

const CITIES: [&str; 12] =
    ["porto", "faro", "lisbon", "braga", "evora", "sintra", "beja", "leiria", "tomar", "lagos", "viseu", "guarda"];

/// Ten minutes of trips, each minute in other cities.
fn trips() -> Vec<(i64, &'static str)> {
    (0..10).flat_map(|minute| CITIES.iter().skip(minute as usize % 4).step_by(2).map(move |c| (minute, *c))).collect()
}

#[test]
fn whoever_is_asked_gives_the_answer_of_one_instance_alone() {
    let trips = trips();
    let alone = Instance::start(&log_of(&trips), "alone");
    let wanted = alone.ask_until_answered(None, everything());
    assert!(alone.running.settle(Duration::from_secs(60)));
    let log = log_of(&trips);
    let all = three(&log);
    for instance in &all {
        let scan = instance.ask_until_answered(None, everything());
        assert_eq!(shown(&scan), counted(&log, &trips), "{}", instance.name);
        for city in CITIES {
            let rows = instance.ask_until_answered(Some(group(city)), everything());
            assert!(shown(&rows).keys().any(|(_, shown)| shown == city), "{city} by {}", instance.name);
        }
    }
    drop(wanted);
    // Any ranges, of any group or of all: the same rows in the same order.
    let bound = (0..14_i64, 0..CITIES.len());
    let range = (bound.clone(), proptest::option::of(bound));
    let asked = (proptest::collection::vec(range, 0..4), proptest::option::of(0..CITIES.len()));
    let row = |(minute, city): (i64, usize)| {
        let pane = log.now().0 + (minute - 2) * MINUTE;
        let mut row = Vec::new();
        PaneKey { pane, first_window: pane, key: &group(CITIES[city]) }.encode_into(&mut row);
        row
    };
    let seen = std::cell::Cell::new(0);
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&asked, |(ranges, city)| {
            let ranges: Vec<_> =
                ranges.into_iter().map(|(start, end)| OwnedRange { start: row(start), end: end.map(row) }).collect();
            let group = city.map(|city| group(CITIES[city]));
            let one = alone.ask_until_answered(group.clone(), ranges.clone());
            for instance in &all {
                let many = instance.ask_until_answered(group.clone(), ranges.clone());
                prop_assert_eq!(&many, &one, "{}", &instance.name);
            }
            seen.set(seen.get() + one.len());
            Ok(())
        })
        .unwrap();
    assert!(seen.get() > 100, "{} rows were compared", seen.get());
}

#[test]
fn tasks_without_an_owner_are_named_until_they_have_moved() {
    let trips = trips();
    let log = log_of(&trips);
    let [first, second, third] = three(&log);
    first.ask_until_answered(None, everything());
    let gone: Vec<u32> = {
        let tasks = second.running.status().tasks;
        tasks.keys().map(|task| task.split_once('_').unwrap().1.parse().unwrap()).collect()
    };
    let Instance { running, server, .. } = second;
    running.stop().unwrap();
    drop(server);
    // A member that has ended in good order keeps its partitions until its session ends.
    let refusal = first.ask(None, everything()).unwrap_err();
    let QueryError::NotNow { task, after, .. } = &refusal else { panic!("{refusal}") };
    assert!(gone.contains(&task.partition), "{refusal}");
    assert!(after.0 > 0 && refusal.to_string().contains("has nobody at present"), "{refusal}");
    for city in CITIES {
        let answer = first.ask(Some(group(city)), everything());
        assert_eq!(answer.is_ok(), !gone.contains(&partition_of(city).0), "{city}: {answer:?}");
    }
    assert!(log.expire_session("pod-1-0"));
    for instance in [&first, &third] {
        let rows = instance.ask_until_answered(None, everything());
        assert_eq!(shown(&rows), counted(&log, &trips), "{}", instance.name);
    }
}

#[test]
fn a_restore_is_told_with_its_task_and_place() {
    let trips = trips();
    let log = log_of(&trips);
    let [first, second, third] = three(&log);
    let city = *CITIES
        .iter()
        .find(|city| second.running.status().tasks.contains_key(&format!("0_{}", partition_of(city).0)))
        .unwrap();
    let partition = partition_of(city).0;
    // Somebody's open transaction in the changelog holds up whoever restores from it.
    let changelog = TopicPartition::new(format!("{APP}-{STORE}-changelog").as_str(), partition);
    let mut open = log.transaction(&TransactionalId("somebody".to_owned())).unwrap();
    let mut batch = RecordBatch::new();
    let (offset, timestamp, headers) = (Offset::ZERO, LogTime(log.now().0), Headers::NONE);
    batch.push(RecordRef { offset, timestamp, key: Some(b"?"), value: Some(b"?"), headers });
    open.send(&changelog, &batch).unwrap();
    second.running.stop().unwrap();
    assert!(log.expire_session("pod-1-0"));
    for instance in [&first, &third] {
        let told = loop {
            match instance.ask(Some(group(city)), everything()).unwrap_err() {
                told @ QueryError::NotNow { instance: Some(_), .. } => break told,
                other => instance.passes(&other),
            }
        };
        let problem = crate::service::problem::Problem::from(told.clone());
        assert_eq!((problem.status, problem.task.as_deref()), (503, Some(format!("0_{partition}").as_str())));
        assert!(["pod-0", "pod-2"].contains(&problem.instance.as_deref().unwrap()), "{told}");
        assert!(told.to_string().contains("is being restored on instance pod-"), "{told}");
    }
    open.abort().unwrap();
    for instance in [&first, &third] {
        let rows = instance.ask_until_answered(Some(group(city)), everything());
        assert!(shown(&rows).keys().any(|(_, shown)| shown == city));
    }
}

#[test]
fn a_question_makes_one_hop_and_only_to_whom_it_was_meant() {
    let log = log_of(&trips());
    let all = three(&log);
    all[0].ask_until_answered(None, everything());
    let has =
        |instance: &Instance, partition: u32| instance.running.status().tasks.contains_key(&format!("0_{partition}"));
    let own = (0..PARTITIONS).find(|partition| has(&all[0], *partition)).unwrap();
    let foreign = (0..PARTITIONS).find(|partition| has(&all[1], *partition)).unwrap();
    let question = |app: &str, epoch: u32, instance: &str, store: &str, tasks: &[u32]| {
        let [app, instance, store] = [app, instance, store].map(str::to_owned);
        Question { head: Head { app, epoch, instance, store, tasks: tasks.to_vec() }, ranges: everything() }.to_bytes()
    };
    for (body, hop, status, part) in [
        (question(APP, 0, "pod-0", STORE, &[own]), true, 200, ""),
        (question(APP, 0, "pod-0", STORE, &[own]), false, 400, "x-streamfleet-hop is missing"),
        (question(APP, 0, "pod-0", STORE, &[own, foreign]), true, 421, "does not have the tasks of store pulse"),
        (question(APP, 0, "pod-1", STORE, &[foreign]), true, 421, "this is instance pod-0, not pod-1"),
        (question("other", 0, "pod-0", STORE, &[own]), true, 421, "this is app, not other"),
        (question(APP, 1, "pod-0", STORE, &[own]), true, 421, "works in state epoch 0, not 1"),
        (question(APP, 0, "pod-0", "nothing", &[own]), true, 404, "no store called nothing"),
        (b"hello".to_vec(), true, 400, "no question that this version understands"),
    ] {
        let (answered, head, body) = all[0].send("POST", ROUTE, hop, &body);
        assert_eq!(answered, status, "{head} {body}");
        assert!(body["detail"].as_str().unwrap_or_default().contains(part), "{body}");
    }
    // Each is listed once what it last wrote is read, itself too.
    loop {
        let (status, _, page) = all[2].send("GET", "/instances", false, b"");
        let entries = page["instances"].as_array().unwrap();
        let listed: Vec<&str> = entries.iter().map(|entry| entry["instance"].as_str().unwrap()).collect();
        assert_eq!(status, 200);
        assert!(listed.iter().all(|name| ["pod-0", "pod-1", "pod-2"].contains(name)), "{page}");
        let tasks = entries.iter().flat_map(|entry| entry["running"].as_array().unwrap());
        if (listed.len(), tasks.count()) == (3, PARTITIONS as usize) {
            break;
        }
        all[2].around.shutdown.wait(Duration::from_millis(2));
    }
}

#[test]
fn who_does_not_answer_is_named_and_believed_no_longer_than_it_says_so() {
    let log = log_of(&trips());
    let alone = Instance::start(&log, "pod-0");
    alone.ask_until_answered(None, everything());
    let city = "porto";
    let task = TaskId { sub_topology: 0, partition: partition_of(city).0 };
    // A port that was free a moment ago: nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let says = |address: Option<String>| Note {
        term: super::Term(1),
        address,
        epoch: 0,
        at: WallTime(alone.around.clock.now().0),
        tasks: [(task, Claim { hold: Hold::Running, generation: u64::MAX })].into(),
    };
    let notes = TopicPartition::new(instances_topic(APP), 0);
    for (address, wanted) in [
        (Some(closed.to_string()), "which does not answer"),
        // Itself under another name: it refuses what is not meant for it, and nothing goes round in circles.
        (Some(alone.server.address().to_string()), "which answers 421"),
        (None, "set `http.advertised` there"),
    ] {
        append(&log, &notes, b"ghost", Some(&says(address).to_bytes()));
        let told = loop {
            match alone.ask(Some(group(city)), everything()) {
                Err(told) if told.to_string().contains(wanted) => break told,
                Err(other) => alone.passes(&other),
                // The note is not read yet.
                Ok(_) => {}
            }
        };
        assert!(told.to_string().contains("instance ghost"), "{told}");
        let QueryError::NotNow { task: named, instance, .. } = told else { panic!("{told}") };
        assert_eq!((named, instance.as_deref()), (task, Some("ghost")));
    }
    append(&log, &notes, b"ghost", None);
    alone.ask_until_answered(Some(group(city)), everything());
}

#[test]
fn a_clean_end_takes_the_note_back() {
    let log = log_of(&trips());
    let alone = Instance::start(&log, "pod-0");
    alone.ask_until_answered(None, everything());
    alone.running.stop().unwrap();
    let notes = log.committed_records(&instances_topic(APP)).remove(0);
    let last = notes.last().unwrap();
    assert_eq!((last.key.as_deref(), last.value.as_deref()), (Some(&b"pod-0"[..]), None));
    assert!(notes.len() > 1);
}

#[test]
fn of_two_processes_with_one_name_the_later_one_stays() {
    let log = log_of(&trips());
    let first = Instance::start(&log, "pod-0");
    first.ask_until_answered(None, everything());
    let second = Instance::start(&log, "pod-0");
    let ended = first.running.wait().unwrap_err();
    assert!(ended.to_string().contains("another process has started as instance pod-0"), "{ended}");
    assert_eq!(ended.exit_code(), crate::error::ExitCode::Log);
    assert_eq!(shown(&second.ask_until_answered(None, everything())), counted(&log, &trips()));
    // The one that ended has taken nothing back that is not its own.
    let notes = log.committed_records(&instances_topic(APP)).remove(0);
    assert!(notes.iter().all(|note| note.value.is_some()));
}

/// The threads of a process begin anew in the epoch that the control topic names.
#[test]
fn a_changed_state_epoch_is_entered_without_a_new_process() {
    let trips = trips();
    let log = log_of(&[]);
    let alone = Instance::start(&log, "pod-0");
    while alone.running_tasks() < PARTITIONS as usize {
        alone.around.shutdown.wait(Duration::from_millis(2));
    }
    assert!(alone.running.settle(Duration::from_secs(60)));
    let epoch = || alone.running.instances().lock().epoch;
    assert_eq!(epoch(), 0);
    // What sets the epoch sets the group's offsets too: those of another epoch's state belong to none of this one.
    for partition in 0..PARTITIONS {
        log.set_group_offset(APP, &TopicPartition::new(INPUT, partition), None);
    }
    control::Word::Epoch(3).say(&*log, APP, LogTime(log.now().0)).unwrap();
    while epoch() != 3 || alone.running_tasks() < PARTITIONS as usize {
        assert!(!alone.running.has_ended(), "{:?}", alone.around.shutdown.reason());
        alone.around.shutdown.wait(Duration::from_millis(2));
    }
    for (minute, city) in &trips {
        let value = format!(r#"{{"at": {}, "city": "{city}"}}"#, log.now().0 + minute * MINUTE);
        let place = TopicPartition { topic: TopicName::new(INPUT), partition: partition_of(city) };
        append(&log, &place, city.as_bytes(), Some(value.as_bytes()));
    }
    assert!(alone.running.settle(Duration::from_secs(60)));
    assert_eq!(shown(&alone.ask_until_answered(None, everything())), counted(&log, &trips));
    // Whoever starts now takes the topic's epoch, whatever its options say, and finds this state.
    alone.running.stop().unwrap();
    assert!(log.expire_session("pod-0-0"));
    let next = Instance::start(&log, "pod-1");
    assert_eq!(shown(&next.ask_until_answered(None, everything())), counted(&log, &trips));
    assert_eq!(next.running.instances().lock().epoch, 3);
}
