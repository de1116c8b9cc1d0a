//! The whole of llm-rollups, engagement-metrics and model-performance, each upon events of its own.
//!
//! Not here: the demo's world, which is livelier. Invariant: an event is a function of its number; 100 000 users, 10
//! tenants and 1 000 models do all of them within one hour.

use std::fmt::Write as _;
use std::path::Path;

use engagement_metrics::EngagementSettings;
use engagement_metrics::definitions::Definitions;
use events::Contracts;
use llm_rollups::LlmSettings;
use model_performance::ModelSettings;
use processing_core::limits::Bounds;
use processing_core::plan::Plan;
use processing_core::service::settings::{Settings, Sources};

use super::cases::Memory;
use super::input::{self, START_MS, USERS, hash, time};

const MODELS: u64 = 1_000;
const TENANTS: u64 = 10;
const ITEMS: u64 = 20_000;
const KINDS: [&str; 6] = ["view", "view", "click", "search", "rate", "bookmark"];

/// The cases, and how many events of `events` each takes in.
pub(crate) const CASES: [&str; 3] = ["llm_rollups", "engagement", "models"];

/// Writes what a case reads.
pub(crate) fn feed(case: &str, folder: &Path, events: u64) {
    match case {
        "llm_rollups" => input::fill(folder, "bench.answers", 0..events, |number, key, value| {
            answer(number, time(number, events), key, value)
        }),
        "engagement" => input::fill(folder, "bench.interactions", 0..events, |number, key, value| {
            let user = user(number);
            interaction(
                number,
                user,
                hash(number) % ITEMS,
                KINDS[(hash(number) >> 13) as usize % 6],
                time(number, events),
                key,
                value,
            )
        }),
        // Of each four events one is a request, one its response, and two are what follows.
        "models" => {
            let requests = events / 4;
            input::fill(folder, "bench.requests", 0..requests, |number, key, value| {
                request(number, time(number, requests), key, value)
            });
            input::fill(folder, "bench.responses", 0..requests, |number, key, value| {
                response(number, time(number, requests) + 80, key, value)
            });
            input::fill(folder, "bench.clicks", 0..requests * 2, |number, key, value| {
                let of = number / 2;
                let item = item(of, hash(number) % 10);
                let kind = if hash(number).is_multiple_of(8) { "click" } else { "view" };
                interaction(number, user(of), item, kind, time(of, requests) + 5_000, key, value)
            });
        }
        _ => {}
    }
}

/// The memory that the case's worker takes by its own defaults, as one thread.
pub(crate) fn memory(case: &str) -> Memory {
    let declared = match case {
        "llm_rollups" => LlmSettings::declared(),
        "engagement" => EngagementSettings::declared(),
        "models" => ModelSettings::declared(),
        other => panic!("no worker is called {other}"),
    };
    let settings = Settings::load(declared, &Sources::default()).expect("defaults can be read");
    let bounds = Bounds::of_one_of(1, settings.cached_by_each_thread(), settings.applied_by_all_threads());
    Memory { budget: settings.memory_of_stores(), bounds }
}

/// The case's plan: its worker, upon its own topics alone, since a topic without records holds time up.
pub(crate) fn plan(case: &str) -> Plan {
    let mapped = |mappings: &[(&str, &str)]| {
        let mut text = String::new();
        for (contract, topic) in mappings {
            write!(text, "[[mapping]]\ncontract = \"{contract}\"\ntopics = [\"{topic}\"]\n")
                .expect("a String takes all");
        }
        Contracts::of_systems(&[]).with(&text, "bench").expect("the mappings are right")
    };
    match case {
        "llm_rollups" => {
            let contracts = mapped(&[("loci.chat.response.generated", "bench.answers")]);
            llm_rollups::topology(&LlmSettings { contracts, ..LlmSettings::default() }).expect("a topology")
        }
        "engagement" => {
            let contracts = mapped(&[("lens.user-interactions", "bench.interactions")]);
            let definitions = Definitions::shipped().expect("the shipped definitions");
            let settings = EngagementSettings { contracts, ..EngagementSettings::default() };
            engagement_metrics::topology(&settings, &definitions).expect("a topology")
        }
        "models" => {
            let contracts = mapped(&[
                ("lens.recommendation-requests", "bench.requests"),
                ("lens.recommendation-responses", "bench.responses"),
                ("lens.user-interactions", "bench.clicks"),
            ]);
            model_performance::topology_of(&ModelSettings::default(), &contracts).expect("a topology")
        }
        other => panic!("no worker is called {other}"),
    }
}

fn user(number: u64) -> u64 {
    (hash(number) >> 17) % USERS
}

/// Which one: the third power skews models, as it does cities. A tenant has models of its own.
fn model(number: u64) -> u64 {
    let unit = (hash(number) >> 11) as f64 / (1_u64 << 53) as f64;
    (unit * unit * unit * MODELS as f64) as u64
}

fn item(request: u64, rank: u64) -> u64 {
    hash(request * 10 + rank) % ITEMS
}

fn begin(user: u64, key: &mut String, value: &mut String) {
    key.clear();
    value.clear();
    write!(key, "u{user:06}").expect("a String takes all");
}

fn answer(number: u64, time: i64, key: &mut String, value: &mut String) -> i64 {
    let (hash, user) = (hash(number), user(number));
    begin(user, key, value);
    let latency = 300 + (hash >> 20) % 4_000;
    write!(
        value,
        "{{\"event_id\":\"{hash:016x}\",\"event_type\":\"chat.response.generated\",\"timestamp\":{time},\
         \"payload\":{{\"tenant_id\":\"t{}\",\"user_id\":\"u{user:06}\",\"session_id\":\"s{:08x}\",\"provider\":\"openai\",\
         \"model\":\"model-{:03}\",\"latency_ms\":{latency},\"ttft_ms\":{},\"cost_usd\":0.00{:04},\
         \"usage\":{{\"prompt_tokens\":{},\"completion_tokens\":{}}}}}}}",
        model(number) % TENANTS,
        hash >> 32,
        model(number),
        latency / 4,
        hash % 9_973,
        200 + hash % 3_000,
        20 + (hash >> 5) % 700,
    )
    .expect("a String takes all");
    time
}

fn interaction(number: u64, user: u64, item: u64, kind: &str, time: i64, key: &mut String, value: &mut String) -> i64 {
    begin(user, key, value);
    write!(
        value,
        "{{\"event_id\":\"i{number:x}\",\"userId\":\"u{user:06}\",\"movieId\":\"m{item:05}\",\"interactionType\":\"{kind}\",\
         \"timestamp\":{time}"
    )
    .expect("a String takes all");
    if kind == "rate" {
        write!(value, ",\"rating\":{}", 1 + number % 5).expect("a String takes all");
    }
    value.push('}');
    time
}

fn request(number: u64, time: i64, key: &mut String, value: &mut String) -> i64 {
    let user = user(number);
    begin(user, key, value);
    write!(
        value,
        "{{\"requestId\":\"r{number:x}\",\"userId\":\"u{user:06}\",\"model\":\"ranker-{:03}\",\"version\":\"1\",\
         \"limit\":10,\"timestamp\":{time}}}",
        model(number),
    )
    .expect("a String takes all");
    time
}

fn response(number: u64, time: i64, key: &mut String, value: &mut String) -> i64 {
    let user = user(number);
    begin(user, key, value);
    write!(
        value,
        "{{\"requestId\":\"r{number:x}\",\"userId\":\"u{user:06}\",\"model\":\"ranker-{:03}\",\"version\":\"1\",\
         \"success\":true,\"response_time_ms\":{},\"timestamp\":{time},\"items\":[",
        model(number),
        20 + hash(number) % 200,
    )
    .expect("a String takes all");
    for rank in 0..10 {
        let comma = if rank == 0 { "" } else { "," };
        write!(value, "{comma}\"m{:05}\"", item(number, rank)).expect("a String takes all");
    }
    value.push_str("]}");
    debug_assert!(time >= START_MS, "within the hour");
    time
}
