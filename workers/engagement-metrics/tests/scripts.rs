//! The worker told as stories: what people do, what comes out, and what fails in between.
//!
//! Each story is run as it is written, with a crash and with a rebalance before each of its lines, and with a crash at each
//! stage of the commit after it. `do TIME USER KIND [FIELDS]` is short for a line `in` with an action: the user is a letter
//! or `-` for nobody, and FIELDS are more fields of it as JSON. Its event's id is made of its time, user and kind.

use engagement_metrics::action::Reading;
use engagement_metrics::definitions::Definitions;
use engagement_metrics::{EngagementSettings, topology_of};
use events::identity::IdHash;
use processing_core::prelude::*;
use processing_core::testing::script;

fn settings() -> EngagementSettings {
    EngagementSettings { grace: DurationMs(0), ..EngagementSettings::default() }
}

fn plan(settings: &EngagementSettings, definitions: &Definitions) -> Plan {
    let topic = Topic::<Json<Reading>>::json("actions");
    topology_of(settings, definitions, [topic]).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn check(settings: &EngagementSettings, definitions: &Definitions, story: &str) {
    script::check(|| plan(settings, definitions), &story.lines().map(told).collect::<String>());
}

fn shipped() -> Definitions {
    Definitions::shipped().unwrap_or_else(|error| panic!("{error}"))
}

/// A line of a script; short ones are written out.
fn told(line: &str) -> String {
    let words: Vec<&str> = line.trim().splitn(5, ' ').collect();
    let ["do", time, user, kind, rest @ ..] = &words[..] else { return format!("{line}\n") };
    let fields = rest.first().map_or(String::new(), |fields| format!(",{fields}"));
    let event = IdHash::of(&format!("{time} {user} {kind}")).get();
    let who = if *user == "-" { "null".to_owned() } else { id(user).to_string() };
    format!(
        "in actions {time} {user} {{\"time\":$ms,\"app\":\"lens\",\"tenant\":\"acme\",\"user\":{who},\"event\":{event},\
         \"kind\":\"{kind}\"{fields}}}\n"
    )
}

fn id(name: &str) -> u64 {
    IdHash::of(name).get()
}

#[test]
fn a_session_is_told_when_its_gap_is_over() {
    check(
        &settings(),
        &shipped(),
        &format!(
            r#"
        do 10:00:00 a search
        do 10:00:10 a click
        do 10:00:50 a rate "amount":4500
        crash
        do 10:31:20 b view
        has engagement.sessions.v1 lens/acme/{a:016x} {{"journey": "search > click > rate", "requests": 3, "duration_ms": 50000, "bounce": false, "ratings_after_search": 1}}
        do 11:40:00 b view
        has engagement.sessions.v1 lens/acme/{b:016x} {{"journey": "view", "bounce": true}}
        "#,
            a = id("a"),
            b = id("b")
        ),
    );
}

#[test]
fn a_minute_counts_each_user_once() {
    check(
        &settings(),
        &shipped(),
        r#"
        do 10:00:00 a search
        do 10:00:10 a click
        do 10:00:20 b search
        # The same event again.
        do 10:00:20 b search
        do 10:00:30 - document.parsed
        do 10:05:00 a view
        has engagement.metrics.1m.v1 lens/* {"requests": 4, "active_users": 2, "tenant": null}
        has engagement.metrics.1m.v1 lens/acme {"requests": 4, "active_users": 2, "by_kind": {"search": 2, "click": 1, "document.parsed": 1}}
        "#,
    );
}
