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
use std::sync::Arc;

use events::feed::{Feed, FeedOptions};
use events::{Gazetteer, SignalContract};
use processing_core::batch::{Headers, RecordBatch, RecordRef};
use processing_core::log::partition_for_key;
use processing_core::record::{DurationMs, EventTime, LogTime, Offset, TopicPartition};
use serde_json::json;
use served::{Answer, Worker};
use trending_cities::{TrendingSettings, http, topology};

/// 2025-10-09T17:00:00Z.
const START: EventTime = EventTime(1_760_029_200_000);
const PARTITIONS: u32 = 2;

impl Worker {
    /// Two threads on an empty log, without input topics.
    fn start() -> Self {
        let (settings, cities) = (TrendingSettings::default(), Arc::new(Gazetteer::shipped()));
        let plan = topology(&settings, &cities).unwrap();
        Self::serve(plan, START.0, Some(DurationMs::hours(1)), |queries| http::routes(&settings, &cities, queries))
    }

    /// Makes the input topics and fills them with this much of the feed's history, then with its present.
    fn feed(&self, history: DurationMs, present: DurationMs) {
        for (_, topic) in &TrendingSettings::default().inputs {
            self.create_topic(topic, PARTITIONS);
        }
        let options = FeedOptions {
            history_events_per_minute: 20,
            history,
            events_per_minute: 120,
            cities: 200,
            users: 2_000,
            ..FeedOptions::new(7, START)
        };
        let mut feed = Feed::new(options, Arc::new(Gazetteer::shipped()));
        let mut batches: BTreeMap<TopicPartition, RecordBatch> = BTreeMap::new();
        let mut bytes = Vec::new();
        while feed.next_sent().0 < START.plus(present).0 {
            let record = feed.next_into(&mut bytes);
            let partition = partition_for_key(&bytes[record.key.clone()], PARTITIONS);
            let place = TopicPartition::new(record.contract.event_type(), partition.0);
            batches.entry(place).or_default().push(RecordRef {
                offset: Offset::ZERO,
                timestamp: LogTime(record.sent.0),
                key: Some(&bytes[record.key]),
                value: Some(&bytes[record.value]),
                headers: Headers::NONE,
            });
        }
        self.append(&batches);
    }
}

#[test]
fn nothing_is_answered_before_there_is_something_to_answer() {
    let worker = Worker::start();
    for path in ["/v1/trending", "/v1/cities/Lisbon/activity"] {
        let answer = worker.get(path);
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
        assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
    }
    // Inputs that are there and empty have no time yet.
    worker.feed(DurationMs(0), DurationMs(0));
    let answer = worker.get("/v1/trending");
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.body["detail"].as_str().unwrap().contains("no window has closed yet"), "{}", answer.body);
}

#[test]
fn wrong_questions_are_told_what_would_be_right() {
    let worker = Worker::start();
    worker.feed(DurationMs::minutes(20), DurationMs::minutes(2));
    for (path, status, part) in [
        ("/v1/trending?k=0", 400, "`k` takes a whole number from 1 to 20, not `0`"),
        ("/v1/trending?k=21", 400, "from 1 to 20"),
        ("/v1/trending?k=many", 400, "not `many`"),
        ("/v1/trending?by=name", 400, "`by` takes trend or volume, not `name`"),
        ("/v1/trending?scope=Portugal", 400, "world or a country's code of two letters"),
        ("/v1/trending?scope=QX", 404, "no country with the code QX"),
        ("/v1/trending?limit=5", 400, "no parameter `limit`; there are scope, k, by"),
        ("/v1/trending?k=5&k=6", 400, "`k` is given twice"),
        ("/v1/cities/Lisbon/activity?minutes=61", 400, "`minutes` takes a whole number from 1 to 60, not `61`"),
        ("/v1/cities/Lisbon/activity?country=Portugal", 400, "`country` takes a code of two letters"),
        ("/v1/cities/Lisbon/activity?country=QX", 404, "no country with the code QX"),
        ("/v1/cities/Atlantis-on-Sea/activity", 404, "no city called `Atlantis-on-Sea`"),
        ("/v1/cities/---/activity", 404, "no city called `---`"),
        ("/v1/cities", 404, ""),
    ] {
        let answer = worker.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.head.contains("application/problem+json"), "{path}: {}", answer.head);
        assert!(answer.body["detail"].as_str().unwrap().contains(part), "{path}: {}", answer.body);
    }
}

#[test]
fn the_last_list_is_the_one_that_was_published_last() {
    let worker = Worker::start();
    worker.feed(DurationMs::hours(3), DurationMs::minutes(70));
    let published = worker.published("trending.cities.v1");
    let newest = published["world"].last().unwrap();
    let (mut shown, mut silent, mut moved) = (0, 0, 0);
    for (scope, lists) in &published {
        let last = lists.last().unwrap();
        for by in ["trend", "volume"] {
            let answer = worker.get(&format!("/v1/trending?scope={scope}&k=20&by={by}"));
            assert_eq!(answer.status, 200, "{scope}: {}", answer.body);
            let expected = if last["window_end_ms"] == newest["window_end_ms"] {
                last[if by == "trend" { "trending" } else { "volume" }].clone()
            } else {
                silent += 1;
                json!([])
            };
            shown += expected.as_array().unwrap().len();
            moved += expected.as_array().unwrap().iter().filter(|line| !line["previous_rank"].is_null()).count();
            assert_eq!(answer.body["cities"], expected, "{scope} by {by}");
            // Of a scope that was silent one list earlier too, nobody said a word on this window.
            let warming = if last["window_end_ms"] == newest["window_end_ms"] { json!(true) } else { json!(null) };
            assert_eq!(answer.body["warming"], warming, "{scope} by {by}");
            for field in ["window_start_ms", "window_end_ms", "is_final", "run_id"] {
                assert_eq!(answer.body[field], newest[field], "{scope} by {by}");
            }
        }
    }
    assert!(shown > 20 && silent > 0 && moved > 10, "{shown} lines, {silent} silent, {moved} with an earlier rank");

    let few = worker.get("/v1/trending?by=volume&k=3");
    assert_eq!(few.body["cities"].as_array().unwrap().len(), 3);
    assert_eq!(few.body["scope"], "world");
    let small = worker.get("/v1/trending?scope=pt");
    assert_eq!((small.status, &small.body["scope"]), (200, &json!("PT")));
    let never = worker.get("/v1/trending?scope=NR");
    assert_eq!((never.status, &never.body["cities"]), (200, &json!([])));
}

#[test]
fn a_citys_minutes_are_those_that_were_published_and_the_open_ones() {
    let worker = Worker::start();
    worker.feed(DurationMs::hours(1), DurationMs::minutes(70));
    let published = worker.published("city.activity.1m.v1");
    let mut open = 0;
    for (key, minutes) in &published {
        let (country, city) = key.split_once('/').unwrap();
        let name: String = city.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = worker.get(&format!("/v1/cities/{name}/activity?country={country}"));
        assert_eq!(answer.status, 200, "{key}: {}", answer.body);
        let time = |field: &str| answer.body[field].as_i64().unwrap();
        let (from, until, sure) = (time("window_start_ms"), time("window_end_ms"), time("final_until_ms"));
        assert_eq!(until - from, DurationMs::hours(1).0);
        // The grace is a minute: the present minute and the one before it are open.
        assert_eq!(until - sure, DurationMs::minutes(2).0);
        let (closed, rest): (Vec<_>, Vec<_>) = answer.body["minutes"]
            .as_array()
            .unwrap()
            .iter()
            .cloned()
            .partition(|minute| minute["window_end_ms"].as_i64().unwrap() <= sure);
        let expected: Vec<_> =
            minutes.iter().filter(|minute| minute["window_start_ms"].as_i64().unwrap() >= from).collect();
        assert_eq!(closed.len(), expected.len(), "{key}");
        for (mut closed, expected) in closed.into_iter().zip(expected) {
            assert_eq!(closed.as_object_mut().unwrap().remove("is_final"), Some(json!(true)));
            assert_eq!(closed, *expected);
        }
        assert!(rest.iter().all(|minute| minute["is_final"] == json!(false)), "{key}");
        open += rest.len();
    }
    assert!(published.len() > 20 && open > 20, "{} cities, {open} open minutes", published.len());

    let (key, _) = published.first_key_value().unwrap();
    let (country, city) = key.split_once('/').unwrap();
    let short = worker.get(&format!("/v1/cities/{}/activity?minutes=5&country={country}", city.replace(' ', "%20")));
    let span = |answer: &Answer| {
        answer.body["window_end_ms"].as_i64().unwrap() - answer.body["window_start_ms"].as_i64().unwrap()
    };
    assert_eq!(span(&short), DurationMs::minutes(5).0);
    // Known to the gazetteer, and nobody searched for it: an alias shows how it is really called.
    let silent = worker.get("/v1/cities/lisboa/activity?country=PT");
    assert_eq!((silent.status, &silent.body["city"]), (200, &json!("Lisbon")));
}

/// Each contract's topic is one of those that are fed.
#[test]
fn the_feed_fills_the_topics_of_the_default_settings() {
    let topics: Vec<String> = TrendingSettings::default().inputs.into_iter().map(|(_, topic)| topic).collect();
    let types: Vec<String> = SignalContract::ALL.iter().map(|contract| contract.event_type().to_owned()).collect();
    assert_eq!(topics, types);
}
