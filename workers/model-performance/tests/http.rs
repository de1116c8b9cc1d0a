//! What one may ask the worker, asked over TCP, against what it has published.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test is the outside: it asks over TCP, and stops where its helper finds nothing"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use events::Contracts;
use model_performance::reading::CONTRACTS;
use model_performance::{ModelSettings, http, topology_of};
use processing_core::batch::{Headers, RecordBatch, RecordRef};
use processing_core::log::embedded::{Durability, EmbeddedLog, EmbeddedOptions};
use processing_core::log::{Cleanup, Log, Read, TopicSettings};
use processing_core::metrics::ProcessMetrics;
use processing_core::record::{DurationMs, LogTime, Offset, TopicName, TopicPartition};
use processing_core::run::{RunOptions, Running, StatePlace, Surroundings};
use processing_core::service::http::{HttpServer, routes};
use processing_core::service::settings::HttpSettings;
use serde_json::{Value, json};
use tempfile::TempDir;

/// 2025-10-09T17:00:00Z.
const START: i64 = 1_760_029_200_000;
const MINUTE: i64 = 60_000;

struct Worker {
    log: Arc<EmbeddedLog>,
    running: Running,
    server: HttpServer,
    _folder: TempDir,
}

struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Worker {
    /// Two threads on an empty log, without input topics.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = EmbeddedOptions::new(Arc::new(|| LogTime(START)));
        options.durability = Durability::Os;
        let log = EmbeddedLog::open(folder.path(), options).unwrap();
        let settings = ModelSettings::default();
        let plan = Arc::new(topology_of(&settings, &Contracts::shipped()).unwrap());
        let around = Surroundings::quiet("model-performance");
        let options = RunOptions {
            instance: "http".to_owned(),
            threads: 2,
            commit_interval: DurationMs(20),
            idle_after: None,
            idle_close: None,
            future_bound: Some(DurationMs::hours(1)),
            epoch: 0,
            state: StatePlace::Memory,
        };
        let shared = Arc::clone(&log) as Arc<dyn Log>;
        let running = Running::start(plan, shared, options, around.clone()).unwrap();
        let own = http::routes(&settings, running.queries());
        let process = Arc::new(ProcessMetrics::new(&around.telemetry, "0", ""));
        let all = routes(Arc::clone(&around.board), Arc::clone(&around.telemetry), process, own);
        let listen = HttpSettings { listen: Some("127.0.0.1:0".parse().unwrap()), next_free: false, advertised: None };
        let server = HttpServer::start(&listen, all).unwrap().unwrap();
        Self { log, running, server, _folder: folder }
    }

    fn get(&self, path: &str) -> Answer {
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: serde_json::from_str(body).unwrap() }
    }

    /// Makes the input topics: half an hour of requests, answers and users of an experiment, then the end on every topic.
    fn feed(&self) {
        for topic in Contracts::shipped().topics(CONTRACTS) {
            let shape =
                TopicSettings { partitions: 1, cleanup: Cleanup::Delete, retention_ms: None, log_append_time: false };
            let topic = topic.topic();
            self.log.admin().unwrap().create_topic(&TopicName::new(topic), shape).unwrap();
            let mut batch = RecordBatch::default();
            for (time, value) in (0..31).map(|minute| (START + minute * MINUTE, event(topic, minute))) {
                batch.push(RecordRef {
                    offset: Offset::ZERO,
                    timestamp: LogTime(time),
                    key: None,
                    value: Some(value.to_string().as_bytes()),
                    headers: Headers::NONE,
                });
            }
            self.log.append(&TopicPartition::new(topic, 0), &batch, Durability::Os).unwrap();
        }
        assert!(self.running.settle(Duration::from_secs(60)));
    }

    /// The records of a key of an output, in order.
    fn published(&self, topic: &str, key: &str) -> Vec<Value> {
        let info = self.log.admin().unwrap().topic(&TopicName::new(topic)).unwrap().unwrap();
        let (mut reader, mut found, mut batch) = (self.log.reader().unwrap(), Vec::new(), RecordBatch::new());
        for partition in 0..info.settings.partitions {
            let place = TopicPartition::new(topic, partition);
            let mut from = Offset::ZERO;
            while let Read::Records(next) = reader.read(&place, from, &mut batch).unwrap() {
                let of = batch.iter().filter(|record| record.key == Some(key.as_bytes()));
                found.extend(of.map(|record| serde_json::from_slice::<Value>(record.value.unwrap()).unwrap()));
                from = next;
            }
        }
        found
    }
}

/// What happens in a minute on a topic.
fn event(topic: &str, minute: i64) -> Value {
    let time = START + minute * MINUTE;
    let id = format!("{topic} {minute}");
    json!({
        "event_id": id, "event_type": topic, "timestamp": time, "payload": { "lead_id": "l", "model": "gpt", "intent": "ASK" },
        "request_id": format!("r{minute}"), "model": "a/b", "userId": format!("u{minute}"), "item_ids": ["i1"],
        "interactionType": "click", "metric": "loss", "value": minute, "experiment": "look",
        "variant": if minute % 2 == 0 { "control" } else { "b" }, "event": "assigned",
    })
}

#[test]
fn nothing_is_answered_before_there_is_something_to_answer() {
    let worker = Worker::start();
    let answer = worker.get("/v1/models/lens/lens/als");
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
}

#[test]
fn answers_are_what_was_published() {
    let worker = Worker::start();
    worker.feed();

    // A name with a slash is one part of the path.
    let answer = worker.get("/v1/models/lens/lens/a%2Fb?variant=control");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let (mut closed, mut open) = (Vec::new(), 0);
    for minute in answer.body["minutes"].as_array().unwrap() {
        let mut minute = minute.clone();
        match minute.as_object_mut().unwrap().remove("is_final") {
            Some(Value::Bool(true)) => closed.push(minute),
            _ => open += 1,
        }
    }
    let published = worker.published("model.performance.1m.v1", "lens/lens/a%2Fb//control");
    assert_eq!(closed, published);
    assert!(closed.len() > 10 && open > 0, "{} closed, {open} open", closed.len());

    let mut answer = worker.get("/v1/experiments/look");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let last = worker.published("ab.results.v1", "lens/lens/look").pop().unwrap();
    for field in ["key", "window_start_ms"] {
        answer.body[field] = last[field].clone();
    }
    assert_eq!(answer.body, last);
}

#[test]
fn wrong_questions_are_told_what_would_be_right() {
    let worker = Worker::start();
    worker.feed();
    for (path, status, part) in [
        ("/v1/models/lens/lens/a%2Fb?minutes=0", 400, "`minutes` takes a whole number from 1 to 60, not `0`"),
        ("/v1/models/lens/lens/a%2Fb?k=5", 400, "unknown field `k`"),
        ("/v1/models/lens/lens/nobody", 404, "nothing is known of `lens/lens/nobody//`"),
        ("/v1/experiments/other", 404, "there is no experiment `lens/lens/other`"),
        ("/v1/experiments/look?tenant=acme", 404, "there is no experiment `lens/acme/look`"),
    ] {
        let answer = worker.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.head.contains("application/problem+json"), "{path}: {}", answer.head);
        assert!(answer.body["detail"].as_str().unwrap().contains(part), "{path}: {}", answer.body);
    }
}
