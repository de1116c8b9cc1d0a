//! Short lines of stories, and the events that they stand for.

use events::Contracts;
use model_performance::ModelSettings;
use model_performance::reading::{CONTRACTS, ModelDecoder};
use processing_core::dsl::{Topic, TopologyError};
use processing_core::plan::Plan;
use serde_json::{Value, json};

/// The topic that holds up a story until its end.
const HELD: &str = "ai.error";

/// Every input; the one that holds up the others comes last.
const TOPICS: [&str; 8] = [
    "recommendation-requests",
    "recommendation-responses",
    "user-interactions",
    "model-metrics",
    "ab-test-events",
    "ai.process.result",
    "lead.updated",
    HELD,
];

/// The worker over those inputs that the story has events of: time is that of the slowest input.
pub(crate) fn topology(settings: &ModelSettings, story: &str) -> Result<Plan, TopologyError> {
    let topics = Contracts::shipped().topics(CONTRACTS).into_iter();
    let told = topics.filter(|topic| story.contains(&format!("in {} ", topic.topic())));
    let topics = told.map(read);
    model_performance::topology(settings, topics.collect())
}

/// A story with its short lines written out. `end TIME` is an event on every topic of the story, and on one that has no
/// other: so nothing closes before.
pub(crate) fn written_out(story: &str) -> String {
    let mut lines: Vec<String> = story.lines().map(told).collect();
    let named = |lines: &[String], topic: &&str| {
        *topic == HELD || lines.iter().any(|line| line.trim_start().starts_with(&format!("in {topic} ")))
    };
    let topics: Vec<&str> = TOPICS.into_iter().filter(|topic| named(&lines, topic)).collect();
    for line in &mut lines {
        let Some(time) = line.trim().strip_prefix("end ").map(str::to_owned) else { continue };
        *line = topics.iter().map(|topic| input(topic, &time, "end", "-", ending(topic))).collect();
    }
    lines.concat()
}

/// An event that nothing is seen of, but that time has come so far.
fn ending(topic: &str) -> Value {
    match topic {
        "recommendation-requests" | "recommendation-responses" => json!({ "request_id": "end" }),
        "user-interactions" => json!({ "interactionType": "none" }),
        "model-metrics" => json!({ "model": "end", "metric": "end", "value": 0 }),
        "ab-test-events" => json!({ "experiment": "end", "event": "none" }),
        "lead.updated" => json!({ "lead_id": "end" }),
        _ => json!({}),
    }
}

/// A line of a script. Short ones are written out; `-` is nobody known:
///
/// | line | event |
/// |---|---|
/// | `ask TIME USER REQUEST MODEL` | recommendations are asked for |
/// | `give TIME USER REQUEST MODEL ITEM,ITEM` | and given |
/// | `click TIME USER ITEM`, `rate TIME USER ITEM STARS` | a user does something with an item |
/// | `report TIME MODEL METRIC VALUE` | a model reports on itself |
/// | `take TIME LEAD MODEL INTENT CONFIDENCE` | a message is understood |
/// | `fail TIME LEAD MODEL ERROR` | a message is not |
/// | `know TIME LEAD INTENT` | a lead's true intent |
/// | `assign TIME USER EXPERIMENT VARIANT` | a user is assigned to a variant |
/// | `does TIME USER EXPERIMENT ACTION` | a user does something in an experiment |
fn told(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |text: &str| text.parse::<f64>().unwrap_or_else(|_| panic!("{text} is no number"));
    let (topic, who, fields) = match words.as_slice() {
        ["ask", _, user, request, model] => {
            ("recommendation-requests", *user, json!({ "request_id": request, "model": model }))
        }
        ["give", _, user, request, model, items] => {
            let items: Vec<&str> = items.split(',').collect();
            let answer = json!({ "requestId": request, "model": model, "item_ids": items });
            ("recommendation-responses", *user, answer)
        }
        ["click", _, user, item] => {
            ("user-interactions", *user, json!({ "interactionType": "click", "movieId": item }))
        }
        ["rate", _, user, item, stars] => {
            let rated = json!({ "interactionType": "rate", "movieId": item, "rating": number(stars) });
            ("user-interactions", *user, rated)
        }
        ["report", _, model, metric, value] => {
            ("model-metrics", "-", json!({ "model": model, "metric": metric, "value": number(value) }))
        }
        ["take", _, lead, model, intent, confidence] => {
            let intent = json!({ "intent": intent, "confidence": number(confidence), "tier": "rules" });
            let taken = json!({ "lead_id": lead, "model": model, "intent": intent, "suggested_actions": ["call"] });
            ("ai.process.result", "-", taken)
        }
        ["fail", _, lead, model, error] => {
            let error = if *error == "-" { Value::Null } else { json!({ "type": error }) };
            ("ai.error", "-", json!({ "lead_id": lead, "model": model, "error": error }))
        }
        ["know", _, lead, intent] => ("lead.updated", "-", json!({ "lead_id": lead, "intent": intent })),
        ["assign", _, user, experiment, variant] => {
            ("ab-test-events", *user, json!({ "experiment": experiment, "variant": variant, "event": "assigned" }))
        }
        ["does", _, user, experiment, action] => {
            ("ab-test-events", *user, json!({ "experiment": experiment, "event": action }))
        }
        _ => return format!("{line}\n"),
    };
    input(topic, words[1], line.trim(), who, fields)
}

/// A line `in`: of BizNavigate's topics in their envelope, of LENS' as they are.
fn input(topic: &str, time: &str, id: &str, user: &str, mut fields: Value) -> String {
    let key = if user == "-" { "x" } else { user };
    let event = if topic.contains('.') {
        json!({ "event_id": id, "event_type": topic, "timestamp": "$time", "payload": fields })
    } else {
        fields["event_id"] = json!(id);
        fields["timestamp"] = json!("$time");
        if user != "-" {
            fields["userId"] = json!(user);
        }
        fields
    };
    format!("in {topic} {time} {key} {event}\n")
}

/// A topic with what reads it.
fn read(topic: events::TopicReader) -> Topic<ModelDecoder> {
    let name = topic.topic().to_owned();
    Topic::with(name, ModelDecoder::new(topic))
}
