//! Events drawn by chance, few and close together, with everything that goes wrong on the way: disorder, lateness, events
//! that come again, answers without requests and requests without answers.
//!
//! These are drawn: logs of real calls of models are not to be had. Not here: what becomes of them. Invariant: an event
//! comes again in the partition in which it came at first.

use processing_core::record::{LogTime, TopicName, TopicPartition};
use processing_core::testing::{Arrival, Dice, Feed};
use serde_json::{Value, json};

/// 2026-01-01T23:40:00Z: shortly before a day ends.
pub(crate) const START: i64 = 1_767_310_800_000;
/// When everything is over.
pub(crate) const END: i64 = START + 48 * 3_600_000;

pub(crate) const TOPICS: [&str; 7] = [
    "chat.session.started",
    "chat.response.generated",
    "chat.itinerary.saved",
    "lead.message",
    "ai.process.request",
    "ai.process.result",
    "ai.error",
];

/// What one run is fed with.
pub(crate) fn feed(dice: &mut Dice) -> Feed {
    let partitions = 1 + dice.below(3) as u32;
    let mut arrivals = Vec::new();
    let (mut at_ms, mut sent) = (0, START);
    // Clocks of whole seconds let much happen at one moment.
    let tick = dice.pick([1, 1_000, 20_000]);
    for number in 0..20 + dice.below(60) {
        at_ms += dice.below(80);
        let gap = if dice.chance(0.05) { 1_500_000 } else { 30_000 };
        sent += dice.below(gap) as i64;
        let late = match dice.below(10) {
            0 => dice.below(700_000),
            1 | 2 => dice.below(90_000),
            _ => dice.below(4_000),
        };
        let topic = TOPICS[dice.below(9).min(6) as usize];
        // Calls are what most of it is about.
        let topic = if dice.chance(0.35) { "chat.response.generated" } else { topic };
        let time = (sent - late as i64) / tick * tick;
        let value = event(dice, topic, number, time);
        let partition = dice.below(u64::from(partitions)) as u32;
        let arrival = |at_ms: u64, sent: i64| Arrival {
            at_ms,
            timestamp: Some(LogTime(sent)),
            place: TopicPartition::new(topic, partition),
            key: Some(b"k".to_vec()),
            value: Some(value.to_string().into_bytes()),
        };
        arrivals.push(arrival(at_ms, sent));
        if dice.chance(0.1) {
            let later = dice.below(200);
            arrivals.push(arrival(at_ms + later, sent + dice.below(60_000) as i64));
        }
    }
    arrivals.sort_by_key(|arrival| arrival.at_ms);
    let end = json!({ "event_id": "end", "event_type": "another.type", "timestamp": END, "payload": {} }).to_string();
    for topic in TOPICS {
        for partition in 0..partitions {
            arrivals.push(Arrival {
                at_ms: at_ms + 400,
                timestamp: Some(LogTime(END)),
                place: TopicPartition::new(topic, partition),
                key: None,
                value: Some(end.clone().into_bytes()),
            });
        }
    }
    Feed { inputs: TOPICS.map(|topic| (TopicName::new(topic), partitions)).to_vec(), arrivals }
}

fn event(dice: &mut Dice, topic: &str, number: u64, time: i64) -> Value {
    let mut payload = json!({ "tenant_id": dice.pick(["acme", "beta"]) });
    let mut say = |name: &str, value: Value| payload[name] = value;
    if dice.chance(0.7) {
        say("user_id", json!(dice.pick(["u1", "u2"])));
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
        _ => {
            if topic != "chat.response.generated" {
                say("processing_id", json!(dice.pick(["p1", "p2", "p3"])));
                if dice.chance(0.6) {
                    say("lead_id", json!(dice.pick(["l1", "l2"])));
                }
            }
            if dice.chance(0.8) {
                say("model", json!(dice.pick(["gpt-4o", "gpt-4o", "another"])));
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
