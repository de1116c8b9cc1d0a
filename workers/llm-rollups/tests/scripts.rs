//! The worker told as stories: who calls which model, what comes out, and what fails in between.
//!
//! Each story is run as it is written, with a crash and with a rebalance before each of its lines, and with a crash at each
//! stage of the commit after it. `call TIME {..}` is short for a line `in` of `chat.response.generated` with this payload;
//! `send TOPIC TIME {..}` for one of another topic. The event's id is `id` of the payload, else its topic and time.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

use std::sync::Arc;

use events::Contracts;
use events::contract::System;
use llm_rollups::budget::Budgets;
use llm_rollups::card::Card;
use llm_rollups::pricing::Pricing;
use llm_rollups::slo::Targets;
use llm_rollups::{LlmSettings, topology};
use processing_core::record::DurationMs;
use processing_core::testing::script;
use serde_json::Value;

const CARD: &str = r#"
    [[provider]]
    name = "openai"
    aliases = ["azure.ai.openai"]
    [[provider.model]]
    name = "gpt-4o"
    prefixes = ["gpt-4o-2024"]
    price = [
      { input = "2.5", cached_input = "1.25", output = "10" },
      { batch = true, input = "1.25", output = "5" },
      { effective_from = "2026-01-01T11:00:00Z", input = "3", output = "12" },
    ]
"#;

fn settings() -> LlmSettings {
    let cards = vec![Card::from_toml(CARD).unwrap()];
    LlmSettings {
        contracts: Contracts::of_systems(&[System::Loci]),
        grace: DurationMs(0),
        pricing: Arc::new(Pricing { cards, ..Pricing::default() }),
        targets: Targets::default(),
        ..LlmSettings::default()
    }
}

#[track_caller]
fn check(settings: &LlmSettings, story: &str) {
    let told: String = story.lines().map(told).collect();
    if std::env::var("STORY").is_ok() {
        let plan = || topology(settings).unwrap_or_else(|error| panic!("{error}"));
        println!("{}", script::complete(plan, &told).unwrap());
    }
    script::check(|| topology(settings).unwrap_or_else(|error| panic!("{error}")), &told);
}

/// A line of a script; short ones are written out.
fn told(line: &str) -> String {
    let mut rest = line.trim();
    let mut word = || {
        let (word, after) = rest.split_once(' ')?;
        rest = after.trim_start();
        Some(word)
    };
    let topic = match word() {
        Some("call") => "chat.response.generated",
        Some("send") => word().unwrap(),
        _ => return format!("{line}\n"),
    };
    let time = word().unwrap();
    let payload: Value = serde_json::from_str(rest).unwrap_or_else(|error| panic!("{line}: {error}"));
    let id = payload["id"].as_str().map_or_else(|| format!("{topic} {time}"), str::to_owned);
    format!(
        "in {topic} {time} k {{\"event_id\":\"{id}\",\"event_type\":\"{topic}\",\"timestamp\":$ms,\"payload\":{payload}}}\n"
    )
}

#[test]
fn a_call_is_counted_and_priced() {
    check(
        &settings(),
        r#"
        set idle 10s
        call 10:00:00 {"tenant_id": "acme", "model": "gpt-4o", "provider": "openai", "input_tokens": 1000, "cached_input_tokens": 400, "output_tokens": 101, "latency_ms": 1200, "time_to_first_token_ms": 200}
        call 10:01:00 {"tenant_id": "acme", "model": "gpt-4o"}
        advance 30s
        "#,
    );
}
