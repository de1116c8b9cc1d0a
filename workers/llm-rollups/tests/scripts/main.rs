//! The worker told as stories: who calls which model, what comes out, and what fails in between.
//!
//! Each story is run as it is written, with a crash and with a rebalance before each of its lines, and with a crash at each
//! stage of the commit after it. `call TIME {..}` is short for a line `in` of `chat.response.generated` with this payload;
//! `send TOPIC TIME {..}` for one of another topic. The event's id is `id` of the payload, else its topic and time. `tick
//! TIME` brings an event of another type on every topic, so that time goes on.

#![allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]

mod budgets;

use std::sync::Arc;

use events::Contracts;
use llm_rollups::card::Card;
use llm_rollups::pricing::Pricing;
use llm_rollups::reading::CONTRACTS;
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
        contracts: only(&TOPICS),
        grace: DurationMs(0),
        pricing: Arc::new(Pricing { cards, ..Pricing::default() }),
        targets: Targets::default(),
        ..LlmSettings::default()
    }
}

/// The same of Loci's chat alone.
fn chat() -> LlmSettings {
    LlmSettings { contracts: only(&["chat.response.generated"]), ..settings() }
}

#[track_caller]
fn check(settings: &LlmSettings, story: &str) {
    let told: String = story.lines().map(|line| told(settings, line)).collect();
    if std::env::var("STORY").is_ok() {
        let plan = || topology(settings).unwrap_or_else(|error| panic!("{error}"));
        println!("{}", script::complete(plan, &told).unwrap());
    }
    script::check(|| topology(settings).unwrap_or_else(|error| panic!("{error}")), &told);
}

/// A line of a script; short ones are written out.
fn told(settings: &LlmSettings, line: &str) -> String {
    let mut rest = line.trim();
    let mut word = || {
        let (word, after) = rest.split_once(' ')?;
        rest = after.trim_start();
        Some(word)
    };
    let topic = match word() {
        Some("call") => "chat.response.generated",
        Some("send") => word().unwrap(),
        Some("tick") => {
            let topics = settings.contracts.topics(&CONTRACTS);
            return topics.iter().map(|reader| event(reader.topic(), rest, "another.type", "{}", "-")).collect();
        }
        _ => return format!("{line}\n"),
    };
    let time = word().unwrap();
    let payload: Value = serde_json::from_str(rest).unwrap_or_else(|error| panic!("{line}: {error}"));
    let id = payload["id"].as_str().map_or_else(|| format!("{topic} {time}"), str::to_owned);
    event(topic, time, topic, rest, &id)
}

/// A line `in` of an event.
fn event(topic: &str, time: &str, event_type: &str, payload: &str, id: &str) -> String {
    format!(
        "in {topic} {time} k {{\"event_id\":\"{id}\",\"event_type\":\"{event_type}\",\"timestamp\":$ms,\"payload\":{payload}}}\n"
    )
}

/// The contracts of these topics, and no others.
fn only(topics: &[&str]) -> Contracts {
    let contract = |topic: &str| match topic {
        "ai.process.request" | "ai.process.result" | "ai.error" | "lead.created" | "lead.message" => {
            format!("biznavigate.{topic}")
        }
        _ => format!("loci.{topic}"),
    };
    let mappings =
        topics.iter().map(|topic| format!("[[mapping]]\ncontract = \"{}\"\ntopics = [\"{topic}\"]\n", contract(topic)));
    Contracts::of_systems(&[]).with(&mappings.collect::<String>(), "the test").unwrap()
}

const TOPICS: [&str; 10] = [
    "chat.session.started",
    "chat.response.generated",
    "chat.itinerary.saved",
    "poi.embedding.requested",
    "poi.embedding.completed",
    "lead.created",
    "lead.message",
    "ai.process.request",
    "ai.process.result",
    "ai.error",
];

#[test]
fn a_call_is_counted_and_priced_in_its_series_its_tenant_and_in_all() {
    check(
        &chat(),
        r#"
        call 10:00:00 {"tenant_id": "acme", "model": "gpt-4o", "provider": "azure.ai.openai", "input_tokens": 1000, "cached_input_tokens": 400, "output_tokens": 101, "latency_ms": 1200, "time_to_first_token_ms": 200, "session_id": "s"}
        # Whoever names no provider means the one that has such a model.
        call 10:00:59.999 {"tenant_id": "beta", "model": "gpt-4o-2024-08-06", "input_tokens": 1}
        call 10:01:00 {"tenant_id": "acme", "model": "gpt-4o"}
        out llm.rollups.1m.v1 *|*|*|* {"run_id":"live","revision":0,"key":"*|*|*|*@1m@$ms(10:01)","window_start_ms":$ms(10:00),"window_end_ms":$ms(10:01),"granularity":"1m","tenant":null,"provider":null,"model":null,"operation":null,"requests":2,"errors":0,"tokens":{"input":1001,"cached_input":400,"output":101},"cost":{"sums":[{"currency":"USD","amount":"0.003012500"}],"requests_reported":0,"requests_computed":2,"requests_unknown":0,"requests_not_billable":0,"requests_in_other_currencies":0},"latency_ms":{"count":1,"p50":1200,"p95":1200,"p99":1200,"max":1200},"time_to_first_token_ms":{"count":1,"p50":199,"p95":199,"p99":199,"max":200},"tokens_per_second":101.0,"cache_share":0.3996003996003996,"sessions":1,"cost_per_session":[{"currency":"USD","amount":"0.003010000"}]}
        has llm.rollups.1m.v1 acme|*|*|* {"tenant": "acme", "model": null, "requests": 1, "cache_share": 0.4}
        has llm.rollups.1m.v1 acme|openai|gpt-4o|chat {"provider": "openai", "model": "gpt-4o", "operation": "chat", "requests": 1}
        has llm.rollups.1m.v1 beta|*|*|* {"requests": 1}
        has llm.rollups.1m.v1 beta|openai|gpt-4o-2024-08-06|chat {"cost": {"sums": [{"currency": "USD", "amount": "0.000002500"}], "requests_computed": 1}}
        advance 2s
        last llm.cost.current.v1 acme|*|*|* {"key": "acme|*|*|*", "window_start_ms": $ms(00:00), "window_end_ms": $ms(24:00), "is_final": false, "requests": 1, "cost": {"sums": [{"currency": "USD", "amount": "0.003010000"}]}}
        "#,
    );
}

#[test]
fn what_a_call_costs_is_reported_computed_unknown_or_nothing() {
    check(
        &chat(),
        r#"
        # 3 tokens at 2.5 pico-dollars and 1 at 10: reported costs stand before, and other currencies apart.
        call 10:00:00 {"id": "a", "model": "gpt-4o", "input_tokens": 3, "output_tokens": 1, "cost": "0.0000000015"}
        call 10:00:01 {"id": "b", "model": "gpt-4o", "input_tokens": 3, "cost": 0.25, "currency": "eur"}
        call 10:00:02 {"id": "c", "model": "gpt-4o", "input_tokens": 2, "batch": true}
        # The same event again.
        call 10:00:03 {"id": "c", "model": "gpt-4o", "input_tokens": 2, "batch": true}
        # No such model; no tokens; a currency that is none.
        call 10:00:04 {"id": "d", "model": "gpt-99", "input_tokens": 3, "operation": "x"}
        call 10:00:05 {"id": "e", "model": "gpt-4o", "operation": "x"}
        call 10:00:06 {"id": "f", "model": "gpt-4o", "cost": "1", "currency": "credits", "operation": "x"}
        # Rules answered.
        call 10:00:07 {"id": "g", "tier": "rules", "operation": "y"}
        crash
        tick 10:01:00
        has llm.rollups.1m.v1 *|*|*|* {"requests": 7, "cost": {"sums": [{"currency": "EUR", "amount": "0.250000000"}, {"currency": "USD", "amount": "0.000002502"}], "requests_reported": 2, "requests_computed": 1, "requests_unknown": 3, "requests_not_billable": 1}}
        has llm.rollups.1m.v1 loci|*|*|* {"requests": 7}
        has llm.rollups.1m.v1 loci|openai|gpt-4o|chat {"requests": 3}
        has llm.rollups.1m.v1 loci|openai|gpt-4o|x {"requests": 2, "cost": {"sums": [], "requests_unknown": 2}}
        has llm.rollups.1m.v1 loci|unknown|gpt-99|x {"requests": 1, "cost": {"sums": [], "requests_unknown": 1}}
        has llm.rollups.1m.v1 loci|unknown|unknown|y {"requests": 1, "cost": {"sums": [], "requests_not_billable": 1}}
        # A price of its own from 11:00 on, also for what comes late.
        call 11:00:00 {"id": "h", "model": "gpt-4o", "input_tokens": 1000000}
        tick 11:01:00
        has llm.rollups.1m.v1 *|*|*|* {"cost": {"sums": [{"currency": "USD", "amount": "3.000000000"}]}}
        has llm.rollups.1m.v1 loci|*|*|* {"cost": {"sums": [{"currency": "USD", "amount": "3.000000000"}]}}
        has llm.rollups.1m.v1 loci|openai|gpt-4o|chat {"cost": {"sums": [{"currency": "USD", "amount": "3.000000000"}]}}
        "#,
    );
}

#[test]
fn hours_and_days_are_made_of_minutes_and_late_calls_are_set_aside() {
    // Nepal's midnight is 18:15 in UTC: its days are made of quarters of an hour, not of hours.
    let settings =
        LlmSettings { time_zone: "Asia/Kathmandu".parse().unwrap(), grace: DurationMs::seconds(30), ..chat() };
    check(
        &settings,
        r#"
        call 18:14:59 {"model": "gpt-4o", "cost": "1", "latency_ms": 100, "error_type": "timeout"}
        call 18:15:00 {"model": "gpt-4o", "cost": "2", "latency_ms": 300, "error_type": "rate_limit"}
        # Within the grace, and beyond it.
        in chat.response.generated 18:15:30 k {"event_id": "a", "event_type": "chat.response.generated", "timestamp": $ms(18:14:30), "payload": {"model": "gpt-4o", "cost": "4", "latency_ms": 200}}
        call 18:15:31 {"model": "gpt-4o", "cost": "8"}
        has llm.rollups.1d.v1 *|*|*|* {"key": "*|*|*|*@1d@$ms(18:15)", "granularity": "1d", "window_end_ms": $ms(18:15), "requests": 2, "cost": {"sums": [{"currency": "USD", "amount": "5.000000000"}]}}
        has llm.rollups.1d.v1 loci|*|*|* {"requests": 2}
        has llm.rollups.1d.v1 loci|openai|gpt-4o|chat {"requests": 2}
        in chat.response.generated 18:15:32 k {"event_id": "b", "event_type": "chat.response.generated", "timestamp": $ms(18:14:40), "payload": {"model": "gpt-4o", "cost": "16"}}
        late {"event_id": "b", "event_type": "chat.response.generated", "timestamp": $ms(18:14:40), "payload": {"model": "gpt-4o", "cost": "16"}}
        crash
        tick 19:00:30
        has llm.rollups.1h.v1 *|*|*|* {"key": "*|*|*|*@1h@$ms(19:00)", "granularity": "1h", "window_start_ms": $ms(18:00), "requests": 4, "errors": 2, "errors_by_type": {"rate_limit": 1, "timeout": 1}, "cost": {"sums": [{"currency": "USD", "amount": "15.000000000"}]}, "latency_ms": {"count": 3, "p50": 199, "max": 300}}
        has llm.rollups.1h.v1 loci|*|*|* {"requests": 4}
        has llm.rollups.1h.v1 loci|openai|gpt-4o|chat {"requests": 4}
        "#,
    );
}

#[test]
fn a_request_is_answered_or_times_out_once() {
    let settings = LlmSettings {
        contracts: only(&["lead.created", "lead.message", "ai.process.request", "ai.process.result", "ai.error"]),
        timeouts: [DurationMs::minutes(2), DurationMs::minutes(3), DurationMs::minutes(1)],
        ..settings()
    };
    check(
        &settings,
        r#"
        send lead.created       10:00:00 {"business_id": "biz", "lead_id": "l1", "initial_message": "hello"}
        send lead.created       10:00:01 {"business_id": "biz", "lead_id": "l2"}
        send lead.message       10:00:05 {"business_id": "biz", "lead_id": "l1", "direction": "inbound"}
        send lead.message       10:00:06 {"business_id": "biz", "lead_id": "l1", "direction": "outbound"}
        send ai.process.request 10:00:10 {"business_id": "biz", "lead_id": "l1", "processing_id": "p1"}
        send ai.process.request 10:00:11 {"business_id": "biz", "processing_id": "p2"}
        send ai.process.request 10:00:12 {"business_id": "biz", "processing_id": "p3"}
        # Answered at once, and told before it is asked.
        send ai.process.result  10:00:12.500 {"business_id": "biz", "processing_id": "p4"}
        send ai.process.request 10:00:12.500 {"business_id": "biz", "processing_id": "p4"}
        # Nobody asked for this one, and nobody is missing.
        send ai.process.result  10:00:13 {"business_id": "biz", "processing_id": "p9", "intent": {"intent": "buy", "tier": "rules"}, "processing_time_ms": 3}
        crash
        # Answers the processing, and the lead's two messages.
        send ai.process.result  10:00:15 {"business_id": "biz", "lead_id": "l1", "processing_id": "p1", "model": "gpt-4o", "input_tokens": 4, "processing_time_ms": 4000}
        send ai.error           10:00:41 {"business_id": "biz", "processing_id": "p2"}
        tick 10:01:00
        has llm.rollups.1m.v1 *|*|*|* {"requests": 4, "errors_by_type": {"_OTHER": 1}, "exchanges": {"process": {"end_to_end_ms": {"count": 3, "max": 30000}, "timeouts": 0}, "lead": {"end_to_end_ms": {"count": 2, "max": 15000}}}}
        has llm.rollups.1m.v1 biz|*|*|* {"requests": 4}
        has llm.rollups.1m.v1 biz|openai|gpt-4o|process {"requests": 1, "exchanges": {"process": {"end_to_end_ms": {"count": 1, "max": 5000}}, "lead": {"end_to_end_ms": {"count": 2, "max": 15000}}}}
        has llm.rollups.1m.v1 biz|unknown|unknown|process {"requests": 3, "cost": {"requests_not_billable": 3}, "exchanges": {"process": {"end_to_end_ms": {"count": 2, "max": 30000}}}}
        tick 10:02:12
        # Its last moment is over when nothing of it can come any more.
        tick 10:02:12.001
        out llm.requests.timeout.v1 process|biz|p3 {"run_id": "live", "revision": 0, "key": "process|biz|p3@$ms(10:00:12)", "window_start_ms": $ms(10:00:12), "window_end_ms": $ms(10:02:12), "exchange": "process", "tenant": "biz", "id": "p3", "timeout_ms": 120000}
        # Too late to be an answer.
        send ai.process.result  10:02:20 {"business_id": "biz", "processing_id": "p3"}
        tick 10:03:01
        has llm.rollups.1m.v1 *|*|*|* {"requests": 1, "exchanges": {"process": {"end_to_end_ms": {"count": 0}, "timeouts": 1}}}
        has llm.rollups.1m.v1 biz|*|*|* {"requests": 1}
        has llm.rollups.1m.v1 biz|unknown|unknown|process {"requests": 1, "exchanges": {"process": {"timeouts": 1}}}
        "#,
    );
}

#[test]
fn embeddings_and_itineraries_have_their_time_and_their_price() {
    let settings = LlmSettings {
        contracts: only(&[
            "chat.session.started",
            "chat.response.generated",
            "chat.itinerary.saved",
            "poi.embedding.requested",
            "poi.embedding.completed",
        ]),
        ..settings()
    };
    check(
        &settings,
        r#"
        send chat.session.started    10:00:00 {"session_id": "s1"}
        call 10:00:01 {"id": "1", "session_id": "s1", "model": "gpt-4o", "cost": "1", "refused": true, "feedback": "up"}
        call 10:00:02 {"id": "2", "session_id": "s2", "model": "gpt-4o", "cost": "1", "regenerated": true, "feedback": "down"}
        call 10:00:03 {"id": "3", "session_id": "s2", "model": "gpt-4o", "cost": "3", "flagged": true, "feedback": "hm"}
        send chat.itinerary.saved    10:00:04 {"itinerary_id": "i"}
        send chat.itinerary.saved    10:00:05 {"itinerary_id": "j"}
        send poi.embedding.requested 10:00:06 {"request_id": "r"}
        send poi.embedding.completed 10:00:09 {"request_id": "r", "model": "text-embedding-3-small", "input_tokens": 10}
        crash
        tick 10:01:00
        has llm.rollups.1m.v1 *|*|*|* {"requests": 4, "sessions_started": 1, "sessions": 2, "itineraries_saved": 2, "cost_per_session": [{"currency": "USD", "amount": "2.500000000"}], "cost_per_itinerary": [{"currency": "USD", "amount": "2.500000000"}], "quality": {"refused": 1, "flagged": 1, "regenerated": 1, "feedback_positive": 1, "feedback_negative": 1}, "exchanges": {"embedding": {"end_to_end_ms": {"count": 1, "max": 3000}}}}
        has llm.rollups.1m.v1 loci|*|*|* {"cost_per_itinerary": [{"currency": "USD", "amount": "2.500000000"}]}
        has llm.rollups.1m.v1 loci|openai|gpt-4o|chat {"requests": 3, "sessions": 2}
        has llm.rollups.1m.v1 loci|unknown|text-embedding-3-small|embeddings {"requests": 1, "cost": {"requests_unknown": 1}}
        has llm.rollups.1m.v1 loci|unknown|unknown|itinerary {"requests": 0, "itineraries_saved": 2}
        has llm.rollups.1m.v1 loci|unknown|unknown|session {"requests": 0, "sessions_started": 1}
        "#,
    );
}

#[test]
fn an_objective_that_burns_is_told_once_and_once_more_when_it_does_not() {
    // One in ten may fail: the fastest pair burns at more than that 14.4 times as often, which cannot be; the next one at 60 %.
    let settings = LlmSettings { targets: Targets { shares: [Some(900_000), None], calls_min: 4 }, ..chat() };
    check(
        &settings,
        r#"
        call 10:00:00 {"id": "1", "model": "m"}
        call 10:00:01 {"id": "2", "model": "m", "error_type": "x"}
        call 10:01:00 {"id": "3", "model": "m", "error_type": "x"}
        crash
        call 10:02:00 {"id": "4", "model": "m", "error_type": "x"}
        call 10:03:00 {"id": "5", "model": "m", "error_type": "x"}
        has llm.slo.alert.v1 *|*|*|* {"key": "*|*|*|*|errors|6@$ms(10:03)@firing", "factor": 6.0, "state": "firing", "target": 0.9, "long": {"minutes": 360, "requests": 4, "bad": 3, "burn_rate": 7.5}, "short": {"minutes": 30, "requests": 4, "bad": 3, "burn_rate": 7.5}}
        has llm.slo.alert.v1 *|*|*|* {"key": "*|*|*|*|errors|3@$ms(10:03)@firing", "factor": 3.0}
        has llm.slo.alert.v1 *|*|*|* {"key": "*|*|*|*|errors|1@$ms(10:03)@firing", "factor": 1.0}
        has llm.slo.alert.v1 loci|*|*|* {"factor": 6.0}
        has llm.slo.alert.v1 loci|*|*|* {"factor": 3.0}
        has llm.slo.alert.v1 loci|*|*|* {"factor": 1.0}
        has llm.slo.alert.v1 loci|unknown|m|chat {"factor": 6.0}
        has llm.slo.alert.v1 loci|unknown|m|chat {"factor": 3.0}
        has llm.slo.alert.v1 loci|unknown|m|chat {"factor": 1.0}
        tick 10:20:00
        # The last failure leaves the window of half an hour with the minute that ends at 10:04.
        tick 10:34:00
        crash
        tick 10:35:00
        has llm.slo.alert.v1 *|*|*|* {"key": "*|*|*|*|errors|6@$ms(10:03)@resolved", "state": "resolved", "window_start_ms": $ms(10:03), "window_end_ms": $ms(10:34), "short": {"requests": 0, "burn_rate": 0.0}}
        has llm.slo.alert.v1 loci|*|*|* {"state": "resolved", "factor": 6.0}
        has llm.slo.alert.v1 loci|unknown|m|chat {"state": "resolved", "factor": 6.0}
        "#,
    );
}

/// Four calls in six hours are enough for the slowest pair; half an hour and two hours never hold as many. It is over when
/// the last failure has left, and not when fewer than four are left.
#[test]
fn few_calls_are_no_burn_rate_in_either_window() {
    let settings = LlmSettings { targets: Targets { shares: [Some(900_000), None], calls_min: 4 }, ..chat() };
    check(
        &settings,
        r#"
        call 10:00:00 {"id": "1", "model": "m", "error_type": "x"}
        call 10:40:00 {"id": "2", "model": "m", "error_type": "x"}
        call 11:20:00 {"id": "3", "model": "m", "error_type": "x"}
        call 12:00:00 {"id": "4", "model": "m", "error_type": "x"}
        crash
        tick 12:01:00
        has llm.slo.alert.v1 *|*|*|* {"factor": 1.0, "state": "firing", "window_end_ms": $ms(12:01), "short": {"requests": 4}}
        has llm.slo.alert.v1 loci|*|*|* {"factor": 1.0}
        has llm.slo.alert.v1 loci|unknown|m|chat {"factor": 1.0}
        tick 18:02:00
        has llm.slo.alert.v1 *|*|*|* {"factor": 1.0, "state": "resolved", "window_start_ms": $ms(12:01), "window_end_ms": $ms(18:01)}
        has llm.slo.alert.v1 loci|*|*|* {"state": "resolved"}
        has llm.slo.alert.v1 loci|unknown|m|chat {"state": "resolved"}
        "#,
    );
}

#[test]
fn poison_is_set_aside_and_the_stream_goes_on() {
    check(
        &chat(),
        r#"
        in chat.response.generated 10:00:00 k {"event_id":
        dead truncated
        in chat.response.generated 10:00:01 k ~
        dead tombstone
        call 10:00:02 {"model": "gpt-4o", "input_tokens": "many"}
        dead wrong_value
        call 10:00:03 {"model": "gpt-4o", "input_tokens": 1}
        tick 10:01:00
        has llm.rollups.1m.v1 *|*|*|* {"requests": 1}
        has llm.rollups.1m.v1 loci|*|*|* {"requests": 1}
        has llm.rollups.1m.v1 loci|openai|gpt-4o|chat {"requests": 1}
        "#,
    );
}
