//! A random world, and its input log as the definition reads it.
//!
//! Invariant: a world follows from its seed. Numbers that go into sketches are few and far apart, so that no two share a
//! bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use events::Contracts;
use model_performance::ModelSettings;
use model_performance::event::ModelEvent;
use model_performance::experiments::Experiments;
use model_performance::reading::{CONTRACTS, ModelDecoder};
use model_performance::settings::Drift;
use processing_core::decode::Decoder;
use processing_core::log::partition_for_key;
use processing_core::plan::Plan;
use processing_core::record::{DurationMs, LogTime, TopicName, TopicPartition};
use processing_core::testing::{Arrival, Dice, Feed, Story};
use serde_json::{Value, json};

/// 2026-01-01T00:00:00Z, which is that of the simulator's log.
pub(crate) const START: i64 = 1_767_225_600_000;
pub(crate) const MINUTE: i64 = 60_000;
const EVENTS: usize = 260;
/// So long after everything else time goes on, and everything closes: a day, before what is compared ends.
const TAIL: i64 = 2 * DAY + 2 * 60 * MINUTE;
const DAY: i64 = 24 * 60 * MINUTE;

pub(crate) fn settings() -> ModelSettings {
    let experiments = Experiments::from_toml(
        r#"
        [experiments.look]
        ends = 2026-01-01T01:10:00Z
        alpha = 0.45
        window_hours = 1
        conversions = ["converted"]
        shares = { control = 1, b = 1 }
        guardrails = [{ event = "error", margin = 0.05 }, { event = "refund" }]
        [experiments.split]
        ends = 2026-01-01T01:00:00Z
        shares = { control = 1, b = 1 }
        "#,
    );
    ModelSettings {
        grace: DurationMs::seconds(30),
        attribution: DurationMs::minutes(2),
        outcome: DurationMs::minutes(5),
        drift: Drift { psi: 0.3, distance: 0.3, values_min: 5 },
        retrain_ratings: 8,
        experiments: Arc::new(experiments.unwrap()),
        ..ModelSettings::default()
    }
}

pub(crate) fn topology(settings: &ModelSettings) -> Plan {
    model_performance::topology_of(settings, &Contracts::shipped()).unwrap()
}

/// A record before it has a place in the log.
struct Sent {
    at: i64,
    topic: &'static str,
    key: String,
    value: Value,
}

/// A world, on topics of so many partitions; as many as it draws without it.
pub(crate) fn feed(seed: u64, partitions: Option<u32>) -> Feed {
    let mut dice = Dice::new(seed ^ 0x0001_0de1);
    let mut sent = Vec::new();
    let mut now = START;
    // Every fifth world is one experiment of many users, in which something is true.
    let effect = (seed % 5 == 4).then(|| dice.pick([Effect::Better, Effect::Worse, Effect::Errors]));
    // Every fifth is silent twice for days, each time until shortly before midnight.
    let silences = (seed % 5 == 3).then(|| [dice.pick([2, 7, 8, 9]), dice.pick([5, 27, 28, 29])]);
    let events = if effect.is_some() { EVENTS * 3 / 2 } else { EVENTS };
    for number in 0..events {
        let silence = silences.iter().flatten().nth(number / 90).filter(|_| number % 90 == 89);
        if let Some(days) = silence {
            now = now - now.rem_euclid(DAY) + days * DAY - dice.below(3_600_000) as i64;
        }
        now += match dice.below(20) {
            _ if effect.is_some() => dice.below(20_000) as i64,
            0 => dice.below(900_000) as i64,
            1..=6 => 0,
            _ => dice.below(40_000) as i64,
        };
        match effect {
            None => draw(&mut dice, number, now, &mut sent),
            Some(effect) => try_out(&mut dice, effect, number, now, &mut sent),
        }
    }
    sent.sort_by_key(|sent| sent.at);
    let drawn = 1 + dice.below(3) as u32;
    let partitions = partitions.unwrap_or(drawn);
    let topics: Vec<String> = Contracts::shipped().topics(CONTRACTS).iter().map(|it| it.topic().to_owned()).collect();
    let mut feed =
        Feed { inputs: topics.iter().map(|it| (TopicName::new(it), partitions)).collect(), ..Feed::default() };
    let mut at_ms = 0;
    let mut push = |feed: &mut Feed, at: i64, topic: &str, partition: u32, key: &str, value: &Value| {
        at_ms += dice.below(60);
        feed.arrivals.push(Arrival {
            at_ms,
            timestamp: Some(LogTime(at)),
            place: TopicPartition::new(topic, partition),
            key: Some(key.as_bytes().to_vec()),
            value: Some(value.to_string().into_bytes()),
        });
    };
    let mut again: Vec<usize> = Vec::new();
    for number in 0..sent.len() {
        again.push(number);
        let mut those = vec![number];
        // Delivered again after some others.
        if number % 7 == 3 {
            those.push(again[again.len().saturating_sub(1 + number % 5)]);
        }
        for which in those {
            let Sent { topic, key, value, .. } = &sent[which];
            let partition = partition_for_key(key.as_bytes(), partitions).0;
            push(&mut feed, sent[number].at, topic, partition, key, value);
        }
    }
    let end = sent.last().map_or(now, |last| last.at) + TAIL;
    for topic in &topics {
        for partition in 0..partitions {
            push(&mut feed, end, topic, partition, "end", &ending(topic, partition, end));
        }
    }
    feed
}

/// An event of which nothing is seen, but that time has come so far.
fn ending(topic: &str, partition: u32, at: i64) -> Value {
    let id = format!("end {partition}");
    let mut event = match topic {
        "recommendation-requests" | "recommendation-responses" => json!({ "request_id": id }),
        "user-interactions" => json!({ "interactionType": "none" }),
        "model-metrics" => json!({ "model": "end", "metric": "end", "value": 0 }),
        "ab-test-events" => json!({ "experiment": "end", "event": "none" }),
        _ => return enveloped(topic, &id, at, json!({ "lead_id": "end" })),
    };
    event["event_id"] = json!(id);
    event["timestamp"] = json!(at);
    event
}

fn enveloped(topic: &str, id: &str, at: i64, payload: Value) -> Value {
    let event_type = match topic {
        "ai.result" => "ai.process.result",
        other => other,
    };
    json!({ "event_id": id, "event_type": event_type, "timestamp": at, "payload": payload })
}

/// What is true of the variant.
#[derive(Clone, Copy)]
enum Effect {
    Better,
    Worse,
    Errors,
}

/// One more user of an experiment.
fn try_out(dice: &mut Dice, effect: Effect, number: usize, now: i64, sent: &mut Vec<Sent>) {
    let user = format!("x{number}");
    let is_variant = dice.below(2) == 0;
    let (often, error) = match effect {
        Effect::Better => (if is_variant { 85 } else { 15 }, 10),
        Effect::Worse => (if is_variant { 15 } else { 85 }, 10),
        Effect::Errors => (40, if is_variant { 92 } else { 8 }),
    };
    let arm = if is_variant { "b" } else { "control" };
    let mut does = vec![("assigned", json!(arm))];
    does.extend((dice.below(100) < often).then_some(("converted", Value::Null)));
    does.extend((dice.below(100) < error).then_some(("error", Value::Null)));
    for (action, variant) in does {
        let mut value = json!({ "experiment": "look", "event": action, "event_id": format!("{action} {number}") });
        (value["timestamp"], value["userId"], value["variant"]) = (json!(now), json!(user), variant);
        sent.push(Sent { at: now, topic: "ab-test-events", key: user.clone(), value });
    }
}

fn draw(dice: &mut Dice, number: usize, now: i64, sent: &mut Vec<Sent>) {
    let user = format!("u{}", dice.below(4));
    let model = dice.pick(["als", "mf"]);
    let lead = format!("l{}", dice.below(3));
    let item = |dice: &mut Dice| format!("i{}", dice.below(6));
    // Half of all events come in time, most others within the grace.
    let mut time = match dice.below(8) {
        0 => now - dice.below(150_000) as i64,
        1..=3 => now - dice.below(25_000) as i64,
        _ => now,
    };
    let mut flat = |at: i64, topic: &'static str, key: String, user: Option<&str>, time: i64, mut value: Value| {
        value["event_id"] = json!(format!("{topic} {number}"));
        value["timestamp"] = json!(time);
        if let Some(user) = user {
            value["userId"] = json!(user);
        }
        sent.push(Sent { at, topic, key, value });
    };
    match dice.below(20) {
        0..=6 => {
            let request = format!("r{number}");
            let who = (dice.below(8) > 0).then_some(user.as_str());
            let asks = json!({ "request_id": request, "model": model, "variant": dice.pick(["", "b"]) });
            flat(now, "recommendation-requests", request.clone(), who, time, asks);
            if dice.below(8) == 0 {
                return;
            }
            time += dice.below(45_000) as i64 - 2_000;
            let at = now.max(time) + dice.below(20_000) as i64;
            let mut items: Vec<String> = (0..dice.below(5)).map(|_| item(dice)).collect();
            items.sort();
            items.dedup();
            let scores: Vec<f64> = items.iter().map(|_| dice.pick([0.125, 0.5, 0.875])).collect();
            let answers = json!({
                "request_id": request, "item_ids": items, "scores": scores, "latency_ms": dice.pick([20, 50, 100, 400]),
                "success": dice.below(6) > 0,
            });
            flat(at, "recommendation-responses", request, who, time, answers);
        }
        7..=11 => {
            let action = dice.pick(["click", "Click", "view", "bookmark"]);
            // Of some items no list has ever been shown.
            let mut acts = json!({ "interactionType": action, "movieId": format!("i{}", dice.below(8)) });
            if dice.below(3) == 0 {
                acts =
                    json!({ "interactionType": "rate", "movieId": item(dice), "rating": dice.pick([1.0, 2.5, 4.0]) });
            }
            if dice.below(4) == 0 {
                acts["request_id"] = json!(format!("r{}", number.saturating_sub(dice.below(12) as usize)));
            }
            flat(now, "user-interactions", user.clone(), Some(&user), time, acts);
        }
        12 | 13 => {
            let value = dice.pick([1.0, 2.0, 10.0, -40.0]);
            let reports = json!({ "model": model, "metric": dice.pick(["loss", "auc"]), "value": value });
            flat(now, "model-metrics", model.to_owned(), None, time, reports);
        }
        14..=16 => {
            let user = format!("x{}", dice.below(90));
            let arm = if dice.below(2) == 0 { "control" } else { "b" };
            let experiment = dice.pick(["look", "look", "look", "split", "free"]);
            let arm = if experiment == "split" && dice.below(12) == 0 { "stray" } else { arm };
            let assigns = json!({ "experiment": experiment, "variant": arm, "event": "assigned" });
            flat(now, "ab-test-events", user.clone(), Some(&user), time, assigns);
            if dice.below(if arm == "b" { 2 } else { 8 }) == 0 {
                let after = time + dice.below(4) as i64 * 1_000;
                let mut does = json!({ "experiment": experiment, "event": dice.pick(["converted", "converted", "error", "refund"]) });
                does["event_id"] = json!(format!("does {number}"));
                does["timestamp"] = json!(after);
                does["userId"] = json!(user);
                sent.push(Sent { at: now.max(after), topic: "ab-test-events", key: user, value: does });
            }
        }
        17 | 18 => {
            let mut payload = json!({ "lead_id": lead, "model": dice.pick(["gpt", "rules"]) });
            payload["intent"] = json!({
                "intent": dice.pick([json!("ORDER"), json!("ORDER"), json!("ASK"), json!("ASK"), Value::Null]),
                "confidence": dice.pick([json!(0.2), json!(0.55), json!(0.95), json!(0.95), Value::Null]),
                "tier": dice.pick([json!("t1"), json!("t2"), Value::Null]),
            });
            payload["suggested_actions"] = json!([dice.pick(["call", "mail"])]);
            let is_error = dice.below(4) == 0;
            if is_error {
                payload["error"] = dice.pick([json!({ "type": "timeout" }), json!({ "code": 429 }), Value::Null]);
            }
            let topic = if is_error { "ai.error" } else { "ai.process.result" };
            let value = enveloped(topic, &format!("ai {number}"), time, payload);
            sent.push(Sent { at: now, topic, key: lead, value });
        }
        _ => {
            let payload = json!({ "lead_id": lead, "intent": dice.pick(["order", "ask"]) });
            let value = enveloped("lead.updated", &format!("lead {number}"), time, payload);
            sent.push(Sent { at: now, topic: "lead.updated", key: lead, value });
        }
    }
}

/// An event of the log that is no repetition.
pub(crate) struct Event {
    pub(crate) event: ModelEvent,
    /// The stream time of its partition before it.
    before: i64,
    grace: i64,
}

impl Event {
    /// Too late for what ends at this moment.
    pub(crate) fn misses(&self, end: i64) -> bool {
        end + self.grace <= self.before
    }

    pub(crate) fn time(&self) -> i64 {
        self.event.time.0
    }

    /// Too late for its minute.
    pub(crate) fn misses_its_minute(&self) -> bool {
        self.misses(minute_of(self.time()) + MINUTE)
    }

    /// Too late for its hour.
    pub(crate) fn misses_its_hour(&self) -> bool {
        self.misses(self.time() - self.time().rem_euclid(60 * MINUTE) + 60 * MINUTE)
    }

    /// Too late to meet a request or an answer.
    pub(crate) fn misses_its_partner(&self) -> bool {
        self.time() + self.grace < self.before
    }
}

pub(crate) fn minute_of(time: i64) -> i64 {
    time - time.rem_euclid(MINUTE)
}

/// The input log, read partition by partition.
pub(crate) struct Events {
    pub(crate) all: Vec<Event>,
    /// What nothing but the ends of all topics reaches.
    last: i64,
    /// How many came too late to be told from what they may repeat.
    forgotten: usize,
}

impl Events {
    pub(crate) fn of(story: &Story, settings: &ModelSettings) -> Self {
        assert!(story.raises.is_empty());
        let readers = Contracts::shipped().topics(CONTRACTS).into_iter();
        let readers: BTreeMap<String, ModelDecoder> =
            readers.map(|topic| (topic.topic().to_owned(), ModelDecoder::new(topic))).collect();
        let (mut all, mut end, mut forgotten) = (Vec::new(), i64::MIN, 0);
        for (place, records) in &story.inputs {
            let (mut before, mut seen) = (i64::MIN, BTreeSet::new());
            for record in records {
                let event = readers[place.topic.as_str()].decode(record.value.as_deref()).unwrap();
                let (time, id) = (event.time.0, event.id);
                end = end.max(time);
                // Too late to be told from what it may repeat.
                let is_forgotten = time + settings.duplicates.0 <= before;
                forgotten += usize::from(is_forgotten && !seen.contains(&id));
                if !is_forgotten && seen.insert(id) {
                    all.push(Event { event, before, grace: settings.grace.0 });
                }
                before = before.max(time);
            }
        }
        Self { all, last: end - TAIL, forgotten }
    }

    /// How many came too late for anything.
    pub(crate) fn late(&self) -> usize {
        let is_late = |event: &&Event| event.misses_its_minute() || event.misses_its_partner();
        self.all.iter().filter(is_late).count() + self.forgotten
    }
}

/// Windows that end later are not compared: what ends the world is in some of them.
pub(crate) fn cutoff(events: &Events) -> i64 {
    events.last + TAIL / 2
}
