//! llm-rollups computed from flat lists, straight from its definition.
//!
//! Not here: panes, partial aggregates, sketches, incremental anything; budgets and objectives ([`crate::alerts`]).
//! Invariant: shares no code with the worker. Each partition is read in the order of its log, which decides what is late;
//! every window looks at every fact.

use std::collections::{BTreeMap, BTreeSet};

use processing_core::record::TopicPartition;
use processing_core::testing::Story;
use serde_json::{Value, json};

use crate::feed::TOPICS;
use crate::tables::{Table, by_row};

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 3_600_000;
pub(crate) const DAY: i64 = 24 * HOUR;
/// The settings of the runs.
pub(crate) const GRACE: i64 = 30_000;
pub(crate) const REPEATS: i64 = 600_000;
pub(crate) const PROCESS_TIMEOUT: i64 = 120_000;
pub(crate) const LEAD_TIMEOUT: i64 = 90_000;
pub(crate) const EMBEDDING_TIMEOUT: i64 = 60_000;
pub(crate) const SLOW: u64 = 10_000;

/// An event that came, at its time and at the moment at which it takes effect.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) id: String,
    pub(crate) time: i64,
    pub(crate) moment: i64,
    pub(crate) topic: String,
    pub(crate) payload: Value,
    /// Whether it counts in its minute.
    pub(crate) is_in_time: bool,
    /// Whether it is neither a repetition nor too old to tell.
    pub(crate) is_fresh: bool,
    /// The row of prices that it meets.
    row: Option<Value>,
}

/// Everything that came, beside the rows of the topic of prices if there is one.
///
/// Where there is one, events wait for it by their own times, and take effect at these; what comes later than the grace
/// counts in no rollup, and meets the row of the moment at which it comes.
pub(crate) fn came(story: &Story, prices: Option<&Table>) -> Vec<Came> {
    let mut all = Vec::new();
    for (place, records) in story.inputs.iter().filter(|(place, _)| TOPICS.contains(&place.topic.as_str())) {
        let mut stream_time = i64::MIN;
        let mut fresh = BTreeSet::new();
        for record in records {
            let raises = story.raises.iter().filter(|(at, offset, _)| at == place && *offset <= record.offset);
            stream_time = raises.map(|(.., time)| time.0).fold(stream_time, i64::max);
            let event: Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
            let time = event["timestamp"].as_i64().unwrap();
            let moment = time.max(stream_time);
            let TopicPartition { topic, .. } = place;
            let minute_end = time - time.rem_euclid(MINUTE) + MINUTE;
            if event["event_type"] == topic.as_str() {
                let id = event["event_id"].as_str().unwrap().to_owned();
                let is_late = prices.is_some() && time + GRACE < stream_time;
                let is_fresh = !is_late && time + REPEATS > stream_time && fresh.insert(id.clone());
                let seen = if is_late { moment } else { time };
                let payload = &event["payload"];
                let provider = payload["provider"].as_str().or((payload["model"] == "gpt-4o").then_some("openai"));
                all.push(Came {
                    id,
                    time,
                    moment: if prices.is_some() { seen } else { moment },
                    topic: topic.as_str().to_owned(),
                    payload: payload.clone(),
                    is_in_time: minute_end + GRACE > stream_time,
                    is_fresh,
                    row: prices.and_then(|prices| prices.row(provider?, seen).cloned()),
                });
            }
            stream_time = moment;
        }
    }
    all
}

/// A call: what it says, and what it costs.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) payload: Value,
    /// Billionths, by currency; `None` where nobody knows.
    pub(crate) cost: Option<(String, i128)>,
    pub(crate) is_billable: bool,
    is_of_loci: bool,
    pub(crate) error: Option<String>,
}

/// Something that counts in a minute.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub(crate) time: i64,
    /// Tenant, provider, model, operation.
    pub(crate) series: [String; 4],
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Call(Call),
    Answered(&'static str, u64),
    TimedOut(&'static str),
    Session,
    Itinerary,
}

impl Came {
    pub(crate) fn tenant(&self) -> &str {
        self.payload["tenant_id"].as_str().unwrap()
    }

    pub(crate) fn call(&self) -> Option<Call> {
        let calls = ["chat.response.generated", "poi.embedding.completed", "ai.process.result", "ai.error"];
        if !calls.contains(&self.topic.as_str()) {
            return None;
        }
        let p = &self.payload;
        let count = |name: &str| p[name].as_u64().map(i128::from);
        let reported = p["cost"].as_str().map(|text| {
            let (whole, fraction) = text.split_once('.').unwrap();
            (p["currency"].as_str().unwrap().to_owned(), format!("{whole}{fraction:0<9}").parse().unwrap())
        });
        let computed = count("input_tokens").and_then(|input| {
            let (cached, output) = (count("cached_input_tokens").unwrap(), count("output_tokens").unwrap());
            let (plain, model) = (input - cached, p["model"].as_str()?);
            let by_row = self.row.as_ref().and_then(|row| by_row(row, model, self.time, [plain, cached, output]));
            let is_on_card = model == "gpt-4o" && (p["provider"].is_null() || p["provider"] == "openai");
            // 2.5, 1.25 and 10 dollars for a million tokens.
            let by_card = is_on_card.then(|| plain * 2_500 + cached * 1_250 + output * 10_000);
            Some(("USD".to_owned(), by_row.unwrap_or(by_card)?))
        });
        let is_billable = !p["model"].is_null() || count("input_tokens").is_some() || reported.is_some();
        let own = p["error_type"].as_str().map(str::to_owned);
        let error = own.or((self.topic == "ai.error").then(|| "_OTHER".to_owned()));
        Some(Call {
            payload: p.clone(),
            cost: reported.or(computed),
            is_billable,
            is_of_loci: self.topic.starts_with("chat") || self.topic.starts_with("poi"),
            error,
        })
    }

    fn series(&self) -> [String; 4] {
        let model = self.payload["model"].as_str().unwrap_or("unknown");
        let found = if model == "gpt-4o" { "openai" } else { "unknown" };
        let provider = self.payload["provider"].as_str().unwrap_or(found);
        let (provider, model, operation) = match self.topic.as_str() {
            "chat.response.generated" => (provider, model, "chat"),
            "ai.process.result" | "ai.error" => (provider, model, "process"),
            "poi.embedding.completed" => (provider, model, "embeddings"),
            "chat.session.started" => ("unknown", "unknown", "session"),
            _ => ("unknown", "unknown", "itinerary"),
        };
        [self.tenant(), provider, model, operation].map(str::to_owned)
    }

    fn fact(&self) -> Option<Fact> {
        let what = match self.topic.as_str() {
            "chat.session.started" => What::Session,
            "chat.itinerary.saved" => What::Itinerary,
            _ => What::Call(self.call()?),
        };
        Some(Fact { time: self.time, series: self.series(), what })
    }
}

/// A request that timed out: its kind, tenant, id and time.
pub(crate) type Unanswered = (&'static str, String, String, i64);

/// Requests and answers.
type Turns<'a> = (Vec<&'a Came>, Vec<&'a Came>);

/// The names that a key stands for; `None` for all.
pub(crate) type Scope = [Option<String>; 4];

/// Everything that counts, and the requests that timed out.
pub(crate) fn facts(came: &[Came]) -> (Vec<Fact>, Vec<Unanswered>) {
    let fresh: Vec<&Came> = came.iter().filter(|came| came.is_fresh).collect();
    let mut facts: Vec<Fact> = fresh.iter().filter(|came| came.is_in_time).filter_map(|came| came.fact()).collect();
    let mut timeouts = Vec::new();
    let kinds = [
        ("process", PROCESS_TIMEOUT, "processing_id", "ai.process.request", &["ai.process.result", "ai.error"][..]),
        ("lead", LEAD_TIMEOUT, "lead_id", "lead.message", &["ai.process.result"]),
        ("embedding", EMBEDDING_TIMEOUT, "request_id", "poi.embedding.requested", &["poi.embedding.completed"]),
    ];
    for (kind, timeout, id, request, answer) in kinds {
        let mut keys: BTreeMap<(String, String), Turns<'_>> = BTreeMap::new();
        for came in &fresh {
            let Some(id) = came.payload[id].as_str() else { continue };
            let key = (came.tenant().to_owned(), id.to_owned());
            if came.topic == request && came.payload["direction"] != "outbound" {
                keys.entry(key).or_default().0.push(came);
            } else if answer.contains(&came.topic.as_str()) {
                keys.entry(key).or_default().1.push(came);
            }
        }
        for ((tenant, id), (requests, answers)) in keys {
            // Something can be decided when something came, and when somebody has waited long enough.
            let over = |request: &Came| request.moment.max(request.time + timeout + GRACE);
            let mut moments: BTreeSet<i64> = requests.iter().chain(&answers).map(|turn| turn.moment).collect();
            moments.extend(requests.iter().map(|request| over(request)));
            let mut open: Vec<&Came> = Vec::new();
            for now in moments {
                for request in requests.iter().filter(|request| request.moment == now) {
                    open.push(request);
                }
                if kind != "lead" {
                    // The earlier request stands for one that repeats it.
                    let first = open.iter().map(|request| request.time).min();
                    open.retain(|request| Some(request.time) == first);
                    open.truncate(1);
                }
                open.retain(|request| {
                    let is_known =
                        |answer: &&&Came| answer.moment <= now && now <= answer.moment.max(answer.time + GRACE);
                    let fits = answers.iter().filter(is_known).filter(|answer| answer.time >= request.time);
                    let first = fits.min_by_key(|answer| (answer.time, answer.series()));
                    match first.filter(|answer| answer.time <= request.time + timeout) {
                        Some(answer) => {
                            let what = What::Answered(kind, answer.time.abs_diff(request.time));
                            facts.push(Fact { time: now, series: answer.series(), what });
                            false
                        }
                        None if request.time + timeout + GRACE <= now => {
                            timeouts.push((kind, tenant.clone(), id.clone(), request.time));
                            let operation = if kind == "embedding" { "embeddings" } else { "process" };
                            let series = [tenant.as_str(), "unknown", "unknown", operation].map(str::to_owned);
                            facts.push(Fact { time: now, series, what: What::TimedOut(kind) });
                            false
                        }
                        None => true,
                    }
                });
            }
        }
    }
    timeouts.sort();
    (facts, timeouts)
}

/// The keys under which a series counts, and what they stand for.
pub(crate) fn scopes(series: &[String; 4]) -> [(String, Scope); 3] {
    let [tenant, provider, model, operation] = series.clone();
    [
        ("*|*|*|*".to_owned(), [None, None, None, None]),
        (format!("{tenant}|*|*|*"), [Some(tenant.clone()), None, None, None]),
        (
            format!("{tenant}|{provider}|{model}|{operation}"),
            [Some(tenant), Some(provider), Some(model), Some(operation)],
        ),
    ]
}

fn start(time: i64, size: i64) -> i64 {
    time - time.rem_euclid(size)
}

/// The results of all windows of this size: key and value, by key in the order of time.
pub(crate) fn rollups(facts: &[Fact], granularity: &str, size: i64) -> BTreeMap<String, Vec<Value>> {
    let mut windows: BTreeMap<(String, i64), (Scope, Vec<&Fact>)> = BTreeMap::new();
    for fact in facts {
        for (key, scope) in scopes(&fact.series) {
            let window = windows.entry((key, start(fact.time, size)));
            window.or_insert_with(|| (scope, Vec::new())).1.push(fact);
        }
    }
    let mut results: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for ((key, start), (scope, facts)) in windows {
        let end = start + size;
        let mut value = rollup(&facts, scope[3].is_some());
        let own = json!({
            "run_id": "live", "revision": 0, "key": format!("{key}@{granularity}@{end}"), "window_start_ms": start,
            "window_end_ms": end, "granularity": granularity, "tenant": scope[0], "provider": scope[1],
            "model": scope[2], "operation": scope[3],
        });
        value.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        results.entry(key).or_default().push(value);
    }
    results
}

/// Decimal text of billionths.
pub(crate) fn decimal(nanos: i128) -> String {
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

fn sums(of: &BTreeMap<String, i128>, count: i128) -> Vec<Value> {
    let each = |sum: i128| {
        let (whole, rest) = (sum / count, sum % count);
        whole + i128::from(2 * rest > count || (2 * rest == count && whole % 2 == 1))
    };
    of.iter().map(|(currency, sum)| json!({ "currency": currency, "amount": decimal(each(*sum)) })).collect()
}

/// What is said of a list of times; quantiles as the exact ones.
fn times(mut ms: Vec<u64>) -> Value {
    ms.sort_unstable();
    let rank = |q: f64| ms.get(((ms.len().max(1) - 1) as f64 * q) as usize);
    json!({ "count": ms.len(), "p50": rank(0.5), "p95": rank(0.95), "p99": rank(0.99), "max": ms.last() })
}

fn rollup(facts: &[&Fact], is_single: bool) -> Value {
    let calls: Vec<&Call> =
        facts.iter().filter_map(|fact| if let What::Call(call) = &fact.what { Some(call) } else { None }).collect();
    let count = |is: &dyn Fn(&Call) -> bool| calls.iter().filter(|call| is(call)).count();
    let total = |name: &str| calls.iter().filter_map(|call| call.payload[name].as_u64()).sum::<u64>();
    let mut errors: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut cost, mut session_cost) = (BTreeMap::new(), BTreeMap::new());
    let mut sessions = BTreeSet::new();
    for call in &calls {
        if let Some(error) = &call.error {
            *errors.entry(error).or_default() += 1;
        }
        // Sessions of two tenants are two, and so are those of two applications.
        let session = call.payload["session_id"].as_str();
        sessions.extend(session.map(|session| (call.is_of_loci, call.payload["tenant_id"].as_str(), session)));
        if let Some((currency, amount)) = &call.cost {
            *cost.entry(currency.clone()).or_insert(0) += amount;
            if session.is_some() {
                *session_cost.entry(currency.clone()).or_insert(0) += amount;
            }
        }
    }
    let (mut streamed_tokens, mut streamed_ms) = (0, 0);
    for call in &calls {
        let say = |name: &str| call.payload[name].as_u64();
        if let (Some(latency), Some(first), Some(output @ 1..)) =
            (say("latency_ms"), say("time_to_first_token_ms"), say("output_tokens"))
            && first <= latency
        {
            (streamed_tokens, streamed_ms) = (streamed_tokens + output, streamed_ms + latency - first);
        }
    }
    let all = |name: &str| calls.iter().filter_map(|call| call.payload[name].as_u64()).collect::<Vec<u64>>();
    let exchange = |kind: &str| {
        let answered = facts.iter().filter_map(|fact| match fact.what {
            What::Answered(of, ms) if of == kind => Some(ms),
            _ => None,
        });
        let timeouts = facts.iter().filter(|fact| matches!(fact.what, What::TimedOut(of) if of == kind)).count();
        json!({ "end_to_end_ms": times(answered.collect()), "timeouts": timeouts })
    };
    let saved = facts.iter().filter(|fact| matches!(fact.what, What::Itinerary)).count();
    let (input, output) = (total("input_tokens"), total("output_tokens"));
    let is_reported = |call: &Call| !call.payload["cost"].is_null();
    without_what_is_not(json!({
        "requests": calls.len(),
        "errors": errors.values().sum::<u64>(),
        "errors_by_type": errors,
        "tokens": {
            "input": input, "cached_input": total("cached_input_tokens"), "cache_write_5m": 0, "cache_write_1h": 0,
            "audio_input": 0, "image_input": 0, "output": output, "reasoning": 0, "audio_output": 0,
        },
        "cost": {
            "sums": sums(&cost, 1),
            "requests_reported": count(&is_reported),
            "requests_computed": count(&|call| call.cost.is_some() && !is_reported(call)),
            "requests_unknown": count(&|call| call.cost.is_none() && call.is_billable),
            "requests_not_billable": count(&|call| !call.is_billable),
            "requests_in_other_currencies": 0,
        },
        "latency_ms": times(all("latency_ms")),
        "time_to_first_token_ms": times(all("time_to_first_token_ms")),
        "tokens_per_second": (streamed_ms > 0).then(|| streamed_tokens as f64 * 1_000.0 / streamed_ms as f64),
        "cache_share": (input > 0).then(|| total("cached_input_tokens") as f64 / input as f64),
        "exchanges": { "embedding": exchange("embedding"), "lead": exchange("lead"), "process": exchange("process") },
        "quality": {
            "refused": count(&|call| call.payload["refused"] == true),
            "flagged": count(&|call| call.payload["flagged"] == true),
            "regenerated": count(&|call| call.payload["regenerated"] == true),
            "feedback_positive": count(&|call| call.payload["feedback"] == "up"),
            "feedback_negative": count(&|call| call.payload["feedback"] == "down"),
        },
        "sessions_started": facts.iter().filter(|fact| matches!(fact.what, What::Session)).count(),
        "sessions": sessions.len(),
        "cost_per_session": if sessions.is_empty() { Vec::new() } else { sums(&session_cost, sessions.len() as i128) },
        "itineraries_saved": saved,
        "cost_per_itinerary": if is_single || saved == 0 { Vec::new() } else { sums(&cost, saved as i128) },
    }))
}

/// A rollup as it is written: what there is none of, and nobody asks of most series, is left out.
fn without_what_is_not(mut rollup: Value) -> Value {
    let nothing = times(Vec::new());
    let fields = rollup.as_object_mut().unwrap();
    let mut leave_out = |part: Option<&str>, names: &[&str], none: Value| {
        let fields = match part {
            Some(part) => fields.get_mut(part).unwrap().as_object_mut().unwrap(),
            None => &mut *fields,
        };
        fields.retain(|name, value| !names.contains(&name.as_str()) || *value != none);
    };
    let kinds = ["cached_input", "cache_write_5m", "cache_write_1h", "audio_input", "image_input"];
    leave_out(Some("tokens"), &kinds, json!(0));
    leave_out(Some("tokens"), &["reasoning", "audio_output"], json!(0));
    let unasked = json!({ "end_to_end_ms": nothing, "timeouts": 0 });
    leave_out(Some("exchanges"), &["embedding", "lead", "process"], unasked);
    leave_out(None, &["errors_by_type", "exchanges"], json!({}));
    leave_out(None, &["sessions_started", "itineraries_saved"], json!(0));
    leave_out(None, &["cost_per_session", "cost_per_itinerary"], json!([]));
    let unknown =
        json!({ "refused": 0, "flagged": 0, "regenerated": 0, "feedback_positive": 0, "feedback_negative": 0 });
    leave_out(None, &["quality"], unknown);
    rollup
}
