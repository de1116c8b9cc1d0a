//! What one may ask the worker, asked over TCP, against what it has published.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test is the outside: it asks over TCP, and stops where its helper finds nothing"
)]

#[allow(dead_code, reason = "of what is published, other tests tell")]
#[path = "../../served.rs"]
mod served;

use std::collections::BTreeMap;
use std::sync::Arc;

use events::Contracts;
use llm_rollups::budget::Budgets;
use llm_rollups::{LlmSettings, http, topology};
use processing_core::batch::{Headers, RecordBatch, RecordRef};
use processing_core::record::{DurationMs, LogTime, Offset, TopicPartition};
use serde_json::{Value, json};
use served::{Answer, Worker};

/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000;
const HOUR: i64 = 3_600_000;
const TOPIC: &str = "chat.response.generated";

impl Worker {
    /// Two threads on a log with an empty input of two partitions.
    fn start() -> Self {
        let only = format!("[[mapping]]\ncontract = \"loci.{TOPIC}\"\ntopics = [\"{TOPIC}\"]");
        let budgets = "[[budget]]\nid = \"b\"\ntenant = \"acme\"\nperiod = \"month\"\namount = \"1000\"";
        let settings = LlmSettings {
            contracts: Contracts::of_systems(&[]).with(&only, "the test").unwrap(),
            budgets: Arc::new(Budgets::from_toml(budgets).unwrap()),
            ..LlmSettings::default()
        };
        let plan = topology(&settings).unwrap();
        let worker = Self::serve(plan, START, Some(DurationMs::hours(1)), |queries| http::routes(&settings, queries));
        worker.create_topic(TOPIC, 2);
        worker
    }

    /// A call each ten minutes, for so long; the first one of each hour at its very beginning. Then both partitions end.
    fn feed(&self, hours: i64) {
        let mut batches: BTreeMap<TopicPartition, RecordBatch> = BTreeMap::new();
        let mut push = |partition: u32, time: i64, payload: &Value| {
            let event = json!({
                "event_id": format!("{partition}-{time}"), "event_type": TOPIC, "timestamp": time, "payload": payload,
            });
            batches.entry(TopicPartition::new(TOPIC, partition)).or_default().push(RecordRef {
                offset: Offset::ZERO,
                timestamp: LogTime(time),
                key: None,
                value: Some(event.to_string().as_bytes()),
                headers: Headers::NONE,
            });
        };
        for number in 0..hours * 6 {
            let (tenant, model) = if number % 3 == 0 { ("acme", "gpt-4o") } else { ("beta", "claude-sonnet-4-5") };
            let payload = json!({
                "tenant_id": tenant, "model": model, "cost": "0.5", "latency_ms": 100 + number,
                "time_to_first_token_ms": 50, "input_tokens": 10, "output_tokens": 5,
            });
            push((number % 2) as u32, START + number * HOUR / 6, &payload);
        }
        // Another hour is begun, and the ones before are over.
        for partition in 0..2 {
            push(
                partition,
                START + hours * HOUR + 20 * 60_000,
                &json!({ "tenant_id": "end", "model": "m", "cost": "1" }),
            );
        }
        self.append(&batches);
    }
}

/// The lines by name: a field of each.
fn lines(answer: &Answer, field: &str) -> BTreeMap<String, Value> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let lines = answer.body["lines"].as_array().unwrap().iter();
    lines
        .map(|line| (line["name"].as_str().unwrap_or("all").to_owned(), line.pointer(field).unwrap().clone()))
        .collect()
}

fn of<const N: usize>(expected: [(&str, Value); N]) -> BTreeMap<String, Value> {
    expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[test]
fn wrong_questions_are_told_what_would_be_right() {
    let worker = Worker::start();
    for path in ["/v1/llm/cost", "/v1/llm/latency", "/v1/llm/budgets"] {
        let answer = worker.get(path);
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
        assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
    }
    worker.feed(2);
    for (path, part) in [
        ("/v1/llm/cost?by=city", "`by` takes total, tenant, provider, model, operation, not `city`"),
        ("/v1/llm/cost?from=1", "`from` takes a whole hour"),
        ("/v1/llm/cost?to=2026-01-01T00:30:00Z", "`to` takes a whole hour"),
        ("/v1/llm/latency?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "`from` must be before `to`"),
        ("/v1/llm/latency?from=2020-01-02T00:00:00Z", "at most 840 hours"),
        ("/v1/llm/latency?limit=5", "no parameter `limit`; there are by, tenant, from, to"),
        ("/v1/llm/budgets?tenant=a&tenant=b", "`tenant` is given twice"),
    ] {
        let answer = worker.get(path);
        assert_eq!(answer.status, 400, "{path}: {}", answer.body);
        assert!(answer.head.contains("application/problem+json"), "{path}: {}", answer.head);
        assert!(answer.body["detail"].as_str().unwrap().contains(part), "{path}: {}", answer.body);
    }
}

#[test]
fn hours_are_put_together_by_what_is_asked_for() {
    let worker = Worker::start();
    worker.feed(4);
    // Eight calls of acme, sixteen of beta; of the fifth hour the first quarter has nothing.
    let requests = |path: &str| lines(&worker.get(path), "/requests");
    assert_eq!(requests("/v1/llm/cost"), of([("all", json!(24))]));
    assert_eq!(requests("/v1/llm/cost?by=tenant"), of([("acme", json!(8)), ("beta", json!(16))]));
    assert_eq!(requests("/v1/llm/cost?by=provider"), of([("anthropic", json!(16)), ("openai", json!(8))]));
    assert_eq!(requests("/v1/llm/cost?by=model&tenant=acme"), of([("gpt-4o", json!(8))]));
    assert_eq!(requests("/v1/llm/cost?tenant=beta"), of([("all", json!(16))]));
    assert_eq!(requests("/v1/llm/cost?by=operation&tenant=nobody"), of([]));
    let answer = worker.get(&format!("/v1/llm/cost?by=model&from={}&to=2026-01-01T03:00:00Z", START + HOUR));
    assert_eq!(
        (answer.body["window_start_ms"].as_i64(), answer.body["by"].as_str()),
        (Some(START + HOUR), Some("model"))
    );
    assert_eq!(answer.body["final_until_ms"], json!(START + 4 * HOUR));
    let sum = |amount: &str| json!([{ "currency": "USD", "amount": amount }]);
    assert_eq!(
        lines(&answer, "/cost/sums"),
        of([("claude-sonnet-4-5", sum("4.000000000")), ("gpt-4o", sum("2.000000000"))])
    );
    assert_eq!(lines(&answer, "/tokens/input"), of([("claude-sonnet-4-5", json!(80)), ("gpt-4o", json!(40))]));

    let latency = worker.get("/v1/llm/latency?by=model");
    let longest = of([("claude-sonnet-4-5", json!(123)), ("gpt-4o", json!(121))]);
    assert_eq!(lines(&latency, "/latency_ms/max"), longest);
    let speed = lines(&latency, "/tokens_per_second")["gpt-4o"].as_f64().unwrap();
    let exact = 40_000.0 / (0..24).step_by(3).map(|number| f64::from(50 + number)).sum::<f64>();
    assert!((speed - exact).abs() < 1e-9, "{speed} and {exact}");
}

#[test]
fn budgets_stand_as_what_was_spent() {
    let worker = Worker::start();
    worker.feed(4);
    let answer = worker.get("/v1/llm/budgets?tenant=acme");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let budget = &answer.body["budgets"][0];
    for (field, value) in [
        ("budget", json!("b")),
        ("spent", json!("4.000000000")),
        ("amount", json!("1000.000000000")),
        ("period", json!("month")),
        ("period_start_ms", json!(START)),
        ("requests_unknown", json!(0)),
    ] {
        assert_eq!(budget[field], value, "{field}: {}", answer.body);
    }
    assert_eq!(worker.get("/v1/llm/budgets?tenant=beta").body["budgets"], json!([]));
    assert_eq!(worker.get("/v1/llm/budgets").body["budgets"].as_array().unwrap().len(), 1);
}
