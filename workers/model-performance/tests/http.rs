//! What one may ask the worker, asked over TCP, against what it has published.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test is the outside: it asks over TCP, and stops where its helper finds nothing"
)]

#[path = "../../served.rs"]
mod served;

use std::collections::BTreeMap;

use events::Contracts;
use model_performance::reading::CONTRACTS;
use model_performance::{ModelSettings, http, topology_of};
use processing_core::batch::{Headers, RecordBatch, RecordRef};
use processing_core::record::{DurationMs, LogTime, Offset, TopicPartition};
use serde_json::{Value, json};
use served::Worker;

/// 2025-10-09T17:00:00Z.
const START: i64 = 1_760_029_200_000;
const MINUTE: i64 = 60_000;

impl Worker {
    /// Two threads on an empty log, without input topics.
    fn start() -> Self {
        let settings = ModelSettings::default();
        let plan = topology_of(&settings, &Contracts::shipped()).unwrap();
        Self::serve(plan, START, Some(DurationMs::hours(1)), |queries| http::routes(&settings, queries))
    }

    /// Makes the input topics: so many minutes of requests, answers and users of an experiment.
    fn feed(&self, minutes: i64) {
        let mut batches = BTreeMap::new();
        for topic in Contracts::shipped().topics(CONTRACTS) {
            let topic = topic.topic();
            self.create_topic(topic, 1);
            let mut batch = RecordBatch::default();
            for (time, value) in (0..minutes).map(|minute| (START + minute * MINUTE, event(topic, minute))) {
                batch.push(RecordRef {
                    offset: Offset::ZERO,
                    timestamp: LogTime(time),
                    key: None,
                    value: Some(value.to_string().as_bytes()),
                    headers: Headers::NONE,
                });
            }
            batches.insert(TopicPartition::new(topic, 0), batch);
        }
        self.append(&batches);
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
    worker.feed(31);

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
    let published = worker.published("model.performance.1m.v1").remove("lens/lens/a%2Fb//control").unwrap();
    assert_eq!(closed, published);
    assert!(closed.len() > 10 && open > 0, "{} closed, {open} open", closed.len());

    let mut answer = worker.get("/v1/experiments/look");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let last = worker.published("ab.results.v1").remove("lens/lens/look").unwrap().pop().unwrap();
    for field in ["key", "window_start_ms"] {
        answer.body[field] = last[field].clone();
    }
    assert_eq!(answer.body, last);
}

/// A list may be empty; an experiment is there or not.
#[test]
fn before_anything_has_closed_lists_are_empty_and_there_is_no_experiment() {
    let worker = Worker::start();
    worker.feed(1);
    for path in ["/v1/models/lens/lens/a%2Fb?variant=control", "/v1/models/lens/lens/nobody"] {
        let answer = worker.get(path);
        assert_eq!((answer.status, &answer.body["minutes"]), (200, &json!([])), "{path}: {}", answer.body);
        assert!(answer.body["final_until_ms"].as_i64().unwrap() < START, "{}", answer.body);
    }
    let answer = worker.get("/v1/experiments/look");
    assert_eq!(answer.status, 404, "{}", answer.body);
}

#[test]
fn wrong_questions_are_told_what_would_be_right() {
    let worker = Worker::start();
    worker.feed(31);
    for (path, status, part) in [
        ("/v1/models/lens/lens/a%2Fb?minutes=0", 400, "`minutes` takes a whole number from 1 to 60, not `0`"),
        ("/v1/models/lens/lens/a%2Fb?k=5", 400, "unknown field `k`"),
        ("/v1/experiments/other", 404, "there is no experiment `lens/lens/other` of which a minute has closed"),
        ("/v1/experiments/look?tenant=acme", 404, "there is no experiment `lens/acme/look`"),
    ] {
        let answer = worker.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.head.contains("application/problem+json"), "{path}: {}", answer.head);
        assert!(answer.body["detail"].as_str().unwrap().contains(part), "{path}: {}", answer.body);
    }
}
