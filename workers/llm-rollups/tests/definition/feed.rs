//! Events drawn by chance, few and close together, with everything that goes wrong on the way: disorder, lateness, events
//! that come again, answers without requests and requests without answers.
//!
//! These are drawn: logs of real calls of models are not to be had. Not here: what becomes of them. Invariant: an event
//! comes again in the partition in which it came at first.

use processing_core::record::{LogTime, TopicName, TopicPartition};
use processing_core::testing::{Arrival, Dice, Feed};
use serde_json::{Value, json};

/// 2026-01-31T23:40:00Z: shortly before a day and a month end.
pub(crate) const START: i64 = 1_769_902_800_000;
const HOUR: i64 = 3_600_000;

pub(crate) const TOPICS: [&str; 9] = [
    "chat.session.started",
    "chat.response.generated",
    "chat.itinerary.saved",
    "lead.message",
    "poi.embedding.requested",
    "poi.embedding.completed",
    "ai.process.request",
    "ai.process.result",
    "ai.error",
];
pub(crate) const PRICES: &str = "llm.prices.v1";
pub(crate) const BUDGETS: &str = "llm.budgets.v1";

/// What is drawn for a run beside its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Prices have a topic.
    pub(crate) has_prices: bool,
    /// Budgets have a topic.
    pub(crate) has_budgets: bool,
    /// Days and weeks go by, and events come as late.
    pub(crate) is_long: bool,
    /// Events come once, in the order of their times, in so many partitions.
    pub(crate) in_order: Option<u32>,
}

impl Kind {
    /// Every other run is short and has neither topic.
    pub(crate) fn of(seed: u64) -> Self {
        let is_plain = seed.is_multiple_of(2);
        let mut dice = Dice::new(seed ^ 0x70_91c5);
        let mut is = |chance: f64| !is_plain && dice.chance(chance);
        Self { has_prices: is(0.6), has_budgets: is(0.6), is_long: is(0.8), in_order: None }
    }

    /// When everything is over.
    pub(crate) fn end(self) -> i64 {
        START + if self.is_long { 24 * 120 * HOUR } else { 48 * HOUR }
    }

    fn tables(self) -> Vec<&'static str> {
        [(PRICES, self.has_prices), (BUDGETS, self.has_budgets)]
            .iter()
            .filter(|(_, is)| *is)
            .map(|(it, _)| *it)
            .collect()
    }
}

/// What one run is fed with.
pub(crate) fn feed(dice: &mut Dice, kind: Kind) -> Feed {
    let drawn = 1 + dice.below(3) as u32;
    let partitions = kind.in_order.unwrap_or(drawn);
    let tables: Vec<(&str, u32)> = kind.tables().into_iter().map(|topic| (topic, 1 + dice.below(2) as u32)).collect();
    let mut arrivals = Vec::new();
    let (mut at_ms, mut sent) = (0, START);
    // Clocks of whole seconds let much happen at one moment.
    let tick = dice.pick([1, 1_000, 10_000]);
    for number in 0..20 + dice.below(60) {
        at_ms += dice.below(80);
        let gap = if dice.chance(0.05) { 1_500_000 } else { 30_000 };
        sent += dice.below(gap) as i64;
        if kind.is_long && dice.chance(0.06) {
            let longest = dice.pick([30, 60, 700]);
            sent += dice.below(longest) as i64 * HOUR;
        }
        let hours = dice.pick([40, 800]);
        let late = match dice.below(10) {
            _ if kind.in_order.is_some() => 0,
            0 if kind.is_long => dice.below(hours) * HOUR as u64,
            0 => dice.below(700_000),
            1 | 2 => dice.below(90_000),
            _ => dice.below(4_000),
        };
        let topic = TOPICS[dice.below(9) as usize];
        // Calls are what most of it is about.
        let topic = if dice.chance(0.35) { "chat.response.generated" } else { topic };
        let time = (sent - late as i64) / tick * tick;
        let value = event(dice, topic, number, time);
        let partition = dice.below(6) as u32 % partitions;
        let place = || TopicPartition::new(topic, partition);
        arrivals.push(arrival(at_ms, sent, place(), "k", Some(&value)));
        if dice.chance(0.1) && kind.in_order.is_none() {
            // In a long run, days behind.
            let later = dice.below(if kind.is_long { 3_000 } else { 200 });
            arrivals.push(arrival(at_ms + later, sent + dice.below(60_000) as i64, place(), "k", Some(&value)));
        }
        for (topic, partitions) in &tables {
            if dice.chance(0.15) {
                let (key, row) = row(dice, topic, number, sent);
                let place = TopicPartition::new(*topic, u32::from(key == "mine" || key == "beta") % partitions);
                arrivals.push(arrival(at_ms, sent, place, key, row.as_ref()));
            }
        }
    }
    arrivals.sort_by_key(|arrival| arrival.at_ms);
    ended(arrivals, kind, partitions, tables)
}

/// Two hundred calls that come late at one moment: more than are kept in one row.
pub(crate) fn burst(kind: Kind) -> Feed {
    let (topic, now) = ("chat.response.generated", START + 2 * HOUR);
    let call = |(number, time): (u64, i64)| {
        let payload = json!({ "tenant_id": "acme", "user_id": "u1", "model": "m", "cost": "0.5", "currency": "USD" });
        let event = json!({
            "event_id": number.to_string(), "event_type": topic, "timestamp": time, "payload": payload,
        });
        arrival(number, now, TopicPartition::new(topic, 0), "k", Some(&event))
    };
    let times = [(0, now)].into_iter().chain((1..=200).map(|number| (number, START + number as i64)));
    ended(times.map(call).collect(), kind, 1, kind.tables().into_iter().map(|topic| (topic, 1)).collect())
}

fn arrival(at_ms: u64, sent: i64, place: TopicPartition, key: &str, value: Option<&Value>) -> Arrival {
    Arrival {
        at_ms,
        timestamp: Some(LogTime(sent)),
        place,
        key: Some(key.as_bytes().to_vec()),
        value: value.map(|value| value.to_string().into_bytes()),
    }
}

/// What comes, and behind it the end of every partition.
fn ended(mut arrivals: Vec<Arrival>, kind: Kind, partitions: u32, tables: Vec<(&str, u32)>) -> Feed {
    let (time, at_ms) = (kind.end(), arrivals.last().map_or(0, |last| last.at_ms) + 400);
    let end = json!({ "event_id": "end", "event_type": "another.type", "timestamp": time, "payload": {} });
    let inputs: Vec<(&str, u32)> = TOPICS.iter().map(|topic| (*topic, partitions)).chain(tables).collect();
    for (topic, partitions) in &inputs {
        for partition in 0..*partitions {
            let value = TOPICS.contains(topic).then_some(&end);
            arrivals.push(arrival(at_ms, time, TopicPartition::new(*topic, partition), "end", value));
        }
    }
    Feed {
        inputs: inputs.into_iter().map(|(topic, partitions)| (TopicName::new(topic), partitions)).collect(),
        arrivals,
    }
}

/// A row of prices or of budgets, under its key.
fn row(dice: &mut Dice, topic: &str, number: u64, sent: i64) -> (&'static str, Option<Value>) {
    if topic == PRICES {
        let key = dice.pick(["openai", "openai", "mine"]);
        let mut price = || {
            let mut price = json!({ "input": dice.pick(["0", "1", "3.5", "100"]) });
            for kind in ["cached_input", "output"] {
                if dice.chance(0.7) {
                    price[kind] = json!(dice.pick(["0.5", "2", "400"]));
                }
            }
            price
        };
        let mut prices = vec![price(), price()];
        let from = chrono::DateTime::from_timestamp_millis(sent + dice.below(7_200_000) as i64 - HOUR);
        prices[1]["effective_from"] = json!(from.unwrap().to_rfc3339());
        if dice.chance(0.4) {
            prices.remove(dice.below(2) as usize);
        }
        let row = json!({ "model": [{ "name": dice.pick(["gpt-4o", "gpt-4o", "another"]), "price": prices }] });
        return (key, (!dice.chance(0.15)).then_some(row));
    }
    // Each says something else, in a version of its own.
    let version = 2 + number;
    let amount = dice.pick(["1", "2", "4"]);
    let (key, budgets) = match dice.below(4) {
        0 => (
            "acme",
            json!([
                { "id": "daily", "version": version, "period": "day", "amount": amount, "thresholds": [50, 100] },
                { "id": "seats", "version": version, "period": "month", "amount": amount, "thresholds": [30], "user": "*",
                  "time_zone": "Asia/Tokyo" },
            ]),
        ),
        1 => (
            "beta",
            json!([
                { "id": "models", "version": version, "period": "month", "amount": amount, "thresholds": [10, 20, 100],
                  "model": "*", "user": "*" },
            ]),
        ),
        2 => (
            "*",
            json!([
                { "id": "tenants", "version": version, "period": "month", "amount": amount, "thresholds": [20, 50, 100],
                  "tenant": "*" },
            ]),
        ),
        _ => (
            "*",
            json!([
                { "id": "all", "version": version, "period": "month", "amount": amount, "thresholds": [20, 60] },
            ]),
        ),
    };
    (key, (!dice.chance(0.15)).then_some(json!({ "budget": budgets })))
}

fn event(dice: &mut Dice, topic: &str, number: u64, time: i64) -> Value {
    let mut payload = json!({ "tenant_id": dice.pick(["acme", "beta"]) });
    let mut say = |name: &str, value: Value| payload[name] = value;
    if dice.chance(0.7) {
        say("user_id", json!(dice.pick(["u1", "u1", "u2", "u3", "u4"])));
    }
    if dice.chance(0.5) {
        say("session_id", json!(dice.pick(["s1", "s2", "s3"])));
    }
    match topic {
        "lead.message" => {
            say("lead_id", json!(dice.pick(["l1", "l2"])));
            say("direction", json!(dice.pick(["inbound", "inbound", "outbound"])));
        }
        "ai.process.request" => say("processing_id", json!(dice.pick(["p1", "p2", "p3"]))),
        "chat.itinerary.saved" => say("itinerary_id", json!("i")),
        "chat.session.started" => {}
        "poi.embedding.requested" => say("request_id", json!(dice.pick(["r1", "r2", "r3"]))),
        _ => {
            if topic == "poi.embedding.completed" {
                say("request_id", json!(dice.pick(["r1", "r2", "r3"])));
            } else if topic != "chat.response.generated" {
                say("processing_id", json!(dice.pick(["p1", "p2", "p3"])));
                if dice.chance(0.6) {
                    say("lead_id", json!(dice.pick(["l1", "l2"])));
                }
            }
            if dice.chance(0.8) {
                say("model", json!(dice.pick(["gpt-4o", "gpt-4o", "another"])));
            }
            if dice.chance(0.3) {
                say("provider", json!(dice.pick(["openai", "mine"])));
            }
            if dice.chance(0.7) {
                let input = dice.below(5_000);
                say("input_tokens", json!(input));
                say("cached_input_tokens", json!(dice.below(input + 1)));
                say("output_tokens", json!(dice.below(900)));
            }
            if dice.chance(0.3) {
                say("cost", json!(dice.pick(["0.5", "1.25", "0.000000001"])));
                say("currency", json!(dice.pick(["USD", "USD", "EUR"])));
            }
            if dice.chance(0.8) {
                let latency = 1 + dice.below(20_000);
                say("latency_ms", json!(latency));
                if dice.chance(0.6) {
                    say("time_to_first_token_ms", json!(dice.below(latency + 500)));
                }
            }
            if dice.chance(0.3) {
                say("error_type", json!(dice.pick(["timeout", "rate_limit"])));
            }
            for flag in ["refused", "flagged", "regenerated"] {
                if dice.chance(0.1) {
                    say(flag, json!(true));
                }
            }
            if dice.chance(0.2) {
                say("feedback", json!(dice.pick(["up", "down", "hm"])));
            }
        }
    }
    json!({ "event_id": format!("e{number}"), "event_type": topic, "timestamp": time, "payload": payload })
}
