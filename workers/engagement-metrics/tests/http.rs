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

use engagement_metrics::definitions::Definitions;
use engagement_metrics::{EngagementSettings, http, topology};
use events::Contracts;
use events::contract::System;
use processing_core::batch::{Headers, RecordBatch, RecordRef};
use processing_core::log::partition_for_key;
use processing_core::record::{DurationMs, LogTime, Offset, TopicPartition};
use processing_core::testing::Dice;
use serde_json::{Value, json};
use served::Worker;

/// 2025-10-09T00:00:00Z.
const START: i64 = 1_759_968_000_000;
const PARTITIONS: u32 = 2;
const TOPIC: &str = "user-interactions";

/// LENS's own funnel, and how long it takes to rate what was seen.
const DEFINITIONS: &str = r#"
[[pipeline]]
name = "view-to-rating"
start = "view"
stages = ["rate"]
key = "user-subject"
timeout = "2h"
"#;

impl Worker {
    /// Two threads on an empty log, with LENS's topic alone.
    fn start() -> Self {
        let contracts = Contracts::of_systems(&[System::Lens]);
        let settings = EngagementSettings { contracts, grace: DurationMs(0), ..EngagementSettings::default() };
        let definitions = Definitions::from_toml(DEFINITIONS).unwrap();
        let plan = topology(&settings, &definitions).unwrap();
        Self::serve(plan, START, None, |queries| http::routes(&settings, &definitions, queries))
    }

    /// Makes the topic, and fills it with so many days and a half of two tenants' interactions.
    fn feed(&self, days: i64) {
        self.create_topic(TOPIC, PARTITIONS);
        let mut dice = Dice::new(7);
        let mut batches: BTreeMap<TopicPartition, RecordBatch> = BTreeMap::new();
        let mut put = |partition: u32, time: i64, key: &str, value: Value| {
            batches.entry(TopicPartition::new(TOPIC, partition)).or_default().push(RecordRef {
                offset: Offset::ZERO,
                timestamp: LogTime(time),
                key: Some(key.as_bytes()),
                value: Some(value.to_string().as_bytes()),
                headers: Headers::NONE,
            });
        };
        let mut time = START;
        // The last day is half over, and so is its last hour.
        while time < START + days * 86_400_000 + 37_800_000 {
            time += dice.below(900_000) as i64;
            let user = format!("u{}", dice.below(12));
            let partition = partition_for_key(user.as_bytes(), PARTITIONS).0;
            let value = json!({
                "userId": user, "movieId": dice.below(3), "rating": 4, "timestamp": time,
                "interactionType": dice.pick(["view", "search", "click", "rate"]),
                "tenant_id": dice.pick(["acme", "beta"]),
            });
            put(partition, time, &user, value);
        }
        // An open minute and an open hour.
        for partition in 0..PARTITIONS {
            let value = json!({
                "userId": "end", "interactionType": "view", "timestamp": time + 1_000, "tenant_id": "acme",
                "movieId": partition,
            });
            put(partition, time + 1_000, "end", value);
        }
        self.append(&batches);
    }

    /// The rows of an answer that are final, as they were published, and how many are not.
    fn rows(&self, path: &str) -> (Vec<Value>, usize) {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let (mut rows, mut open) = (Vec::new(), 0);
        for row in answer.body["rows"].as_array().unwrap() {
            let mut row = row.clone();
            match row.as_object_mut().unwrap().remove("is_final") {
                Some(Value::Bool(true)) => rows.push(row),
                _ => open += 1,
            }
        }
        (rows, open)
    }
}

#[test]
fn what_is_answered_is_what_was_published_and_what_is_open() {
    let worker = Worker::start();
    worker.feed(4);
    let whose = |key: &str| match key.split('/').nth(1).unwrap() {
        "*" => "app=lens".to_owned(),
        tenant => format!("app=lens&tenant={tenant}"),
    };
    let (mut shown, mut open) = (0, 0);
    for (topic, route, count) in [
        ("engagement.metrics.1d.v1", "metrics", "1000"),
        ("engagement.metrics.1h.v1", "metrics", "40"),
        ("engagement.retention.1d.v1", "retention", "1000"),
        ("engagement.funnels.1h.v1", "funnels/lens-search-to-rating", "1000"),
        ("engagement.pipelines.1h.v1", "pipelines/view-to-rating", "1000"),
        ("engagement.top.1d.v1", "top/journeys", "1000"),
    ] {
        let grain = if topic.contains("metrics.1h") { "&grain=1h" } else { "" };
        let published = worker.published(topic);
        assert!(published.len() >= 3, "{topic}: {published:?}");
        for (key, results) in published {
            let path = format!("/v1/engagement/{route}?{}&count={count}{grain}", whose(&key));
            let (rows, open_rows) = worker.rows(&path);
            // Hours are kept for two days.
            let results = if grain.is_empty() { &results[..] } else { &results[results.len() - rows.len()..] };
            assert!(!rows.is_empty(), "{path}");
            assert_eq!(rows, results, "{path}");
            (shown, open) = (shown + rows.len(), open + open_rows);
        }
    }
    assert!(shown > 100 && open > 4, "{shown} rows, {open} open");
    let (minutes, _) = worker.rows("/v1/engagement/metrics?app=lens&grain=1m&count=60");
    assert!(minutes.iter().all(|minute| minute["grain"] == "1m"), "{minutes:?}");
    assert_eq!(worker.rows("/v1/engagement/metrics?app=nobody").0, Vec::<Value>::new());
}

#[test]
fn nothing_is_answered_before_time_has_begun() {
    let worker = Worker::start();
    for path in ["metrics", "retention", "funnels/lens-search-to-rating", "top/journeys"] {
        let answer = worker.get(&format!("/v1/engagement/{path}?app=lens"));
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
        assert!(answer.head.contains("retry-after"), "{}", answer.head);
    }
}

#[test]
fn wrong_questions_are_told_what_would_be_right() {
    let worker = Worker::start();
    worker.feed(1);
    for (path, status, part) in [
        ("metrics", 400, "`app` is missing: name the application, as app=lens"),
        ("metrics?app=lens&grain=1w", 400, "`grain` takes 1m, 1h or 1d, not `1w`"),
        ("metrics?app=lens&count=0", 400, "`count` takes a whole number from 1 to 1000, not `0`"),
        ("metrics?app=lens&days=3", 400, "no parameter `days`; there are app, tenant, grain, count"),
        ("metrics?app=lens&app=loci", 400, "`app` is given twice"),
        ("funnels/none?app=lens", 404, "no funnel called `none`; there are lens-search-to-rating"),
        ("pipelines/none?app=lens", 404, "no pipeline called `none`; there are view-to-rating"),
        ("top/none?app=lens", 404, "no dimension called `none`; there are favourite_places"),
    ] {
        let answer = worker.get(&format!("/v1/engagement/{path}"));
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.head.contains("application/problem+json"), "{path}: {}", answer.head);
        assert!(answer.body["detail"].as_str().unwrap().contains(part), "{path}: {}", answer.body);
    }
}
