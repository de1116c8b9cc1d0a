//! Short lines of stories, and the events that they stand for.

use model_performance::ModelSettings;
use model_performance::event::ModelEvent;
use processing_core::decode::Json;
use processing_core::dsl::{Topic, TopologyError};
use processing_core::plan::Plan;
use serde_json::json;

/// Every input.
const TOPICS: [&str; 8] = [
    "recommendation-requests",
    "recommendation-responses",
    "user-interactions",
    "model-metrics",
    "ab-test-events",
    "ai.process.result",
    "ai.error",
    "lead.updated",
];

/// The worker over those inputs that the story has events of: time is that of the slowest input.
pub(crate) fn topology(settings: &ModelSettings, story: &str) -> Result<Plan, TopologyError> {
    let told = TOPICS.into_iter().filter(|topic| story.contains(&format!("in {topic} ")));
    model_performance::topology(settings, told.map(|topic| Topic::with(topic, Json::<ModelEvent>::new())).collect())
}

/// A line of a script. Short ones are written out:
///
/// | line | event |
/// |---|---|
/// | `assign TIME USER EXPERIMENT VARIANT` | a user is assigned to a variant |
/// | `does TIME USER EXPERIMENT ACTION` | a user does something in an experiment |
pub(crate) fn told(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (topic, what) = match words.as_slice() {
        ["assign", _, _, experiment, variant] => (
            "ab-test-events",
            json!({ "Tested": { "experiment": experiment, "variant": variant, "action": "assigned" } }),
        ),
        ["does", _, _, experiment, action] => {
            ("ab-test-events", json!({ "Tested": { "experiment": experiment, "variant": null, "action": action } }))
        }
        _ => return format!("{line}\n"),
    };
    let (time, user) = (words[1], words[2]);
    let id = events::identity::IdHash::of(line).get();
    let who = events::identity::IdHash::of(user).get();
    format!(
        "in {topic} {time} {user} {{\"id\":{id},\"time\":$ms,\"app\":\"lens\",\"tenant\":\"lens\",\"who\":{who},\"what\":{what}}}\n"
    )
}
