//! The records that llm-rollups publishes, as their readers see them: rollups, and what they have in common.
//!
//! Not here: how they come about, and what is told once ([`crate::alerts`]). Invariant: each has a JSON Schema in `schemas/` that a test holds it to, a `run_id` and a
//! `revision`, and a key that depends on what it is about and on nothing else, so that a replay replaces instead of adding.
//! Money is decimal text, exact to the billionth. Of a rollup, what most series never have is left out where there is none of
//! it; the schema says of what (`default`), and a reader who finds nothing takes 0.

use std::collections::BTreeMap;

use compact_str::CompactString;
use processing_core::record::EventTime;
use processing_core::updates::Updated;
use processing_core::window::Window;
use serde::Serialize;

use crate::event::Exchange;
use crate::money::{Currency, Money, Nanos};
use crate::rollup::{Counts, DayCost, Rollup, Times};
use crate::series::{Parts, Series};
use crate::settings::LlmSettings;
use crate::tokens::{TokenKind, Tokens};

/// The JSON Schema (draft 2020-12) of each result, by the topic that it goes to by default.
pub const SCHEMAS: [(&str, &str); 7] = [
    ("llm.rollups.1m.v1", include_str!("../schemas/llm.rollups.v1.json")),
    ("llm.rollups.1h.v1", include_str!("../schemas/llm.rollups.v1.json")),
    ("llm.rollups.1d.v1", include_str!("../schemas/llm.rollups.v1.json")),
    ("llm.cost.current.v1", include_str!("../schemas/llm.cost.current.v1.json")),
    ("llm.requests.timeout.v1", include_str!("../schemas/llm.requests.timeout.v1.json")),
    ("llm.budget.alert.v1", include_str!("../schemas/llm.budget.alert.v1.json")),
    ("llm.slo.alert.v1", include_str!("../schemas/llm.slo.alert.v1.json")),
];

/// What every result carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stamp {
    /// Which run made it.
    pub run_id: String,
    /// Rises when a run says something anew about the same window.
    pub revision: u32,
    /// What it is about: the same for every run.
    pub key: String,
    /// The first moment that it is about, in milliseconds since 1970 UTC.
    pub window_start_ms: i64,
    /// The first moment that it is no longer about.
    pub window_end_ms: i64,
}

impl Stamp {
    pub(crate) fn new(settings: &LlmSettings, key: String, start: EventTime, end: EventTime) -> Self {
        Self { run_id: settings.run_id.clone(), revision: 0, key, window_start_ms: start.0, window_end_ms: end.0 }
    }
}

/// Whose calls; null stands for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// The tenant.
    pub tenant: Option<CompactString>,
    /// The provider.
    pub provider: Option<CompactString>,
    /// The model.
    pub model: Option<CompactString>,
    /// What was asked for.
    pub operation: Option<CompactString>,
}

impl From<&Series> for Scope {
    fn from(series: &Series) -> Self {
        let Parts { tenant, provider, model, operation } = series.parts();
        Self { tenant, provider, model, operation }
    }
}

/// A sum in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// ISO 4217.
    pub currency: CompactString,
    /// Decimal text.
    pub amount: String,
}

impl Sum {
    fn of((currency, amount): (Currency, Nanos)) -> Self {
        Self { currency: currency.text(), amount: amount.to_string() }
    }
}

/// What calls cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CostAnswer {
    /// By currency.
    pub sums: Vec<Sum>,
    /// Calls whose cost they report.
    pub requests_reported: u64,
    /// Calls whose cost was computed.
    pub requests_computed: u64,
    /// Calls whose cost nobody knows; they are in no sum.
    pub requests_unknown: u64,
    /// Calls of no model, which cost nothing.
    pub requests_not_billable: u64,
    /// Calls paid in currencies beyond the eight that are shown.
    pub requests_in_other_currencies: u64,
}

impl CostAnswer {
    /// The cost of the calls that are counted.
    pub fn of(counts: &Counts, cost: &Money) -> Self {
        Self {
            sums: sums(cost),
            requests_reported: counts.cost_reported,
            requests_computed: counts.cost_computed,
            requests_unknown: counts.cost_unknown,
            requests_not_billable: counts.not_billable,
            requests_in_other_currencies: cost.elsewhere(),
        }
    }
}

fn sums(money: &Money) -> Vec<Sum> {
    money.amounts().map(|(currency, amount, _)| Sum::of((currency, amount))).collect()
}

/// Tokens; the kinds below are parts of the two sums and disjoint, and left out where there are none of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TokenCounts {
    /// All input.
    pub input: u64,
    /// Of it, read from a cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cached_input: u64,
    /// Of it, written into a cache for five minutes.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_5m: u64,
    /// Of it, written into a cache for an hour.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    /// Of it, sound.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_input: u64,
    /// Of it, pictures.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_input: u64,
    /// All output.
    pub output: u64,
    /// Of it, thought.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    /// Of it, sound.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_output: u64,
}

/// As serde asks: by reference.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl From<&Tokens> for TokenCounts {
    fn from(tokens: &Tokens) -> Self {
        Self {
            input: tokens.input(),
            cached_input: tokens.get(TokenKind::CachedInput),
            cache_write_5m: tokens.get(TokenKind::CacheWrite5m),
            cache_write_1h: tokens.get(TokenKind::CacheWrite1h),
            audio_input: tokens.get(TokenKind::AudioInput),
            image_input: tokens.get(TokenKind::ImageInput),
            output: tokens.output(),
            reasoning: tokens.get(TokenKind::Reasoning),
            audio_output: tokens.get(TokenKind::AudioOutput),
        }
    }
}

/// How times are distributed, in milliseconds: quantiles within 1 % and to the millisecond, the longest exactly. All null
/// where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Distribution {
    /// How many.
    pub count: u64,
    /// Half are shorter.
    pub p50: Option<u64>,
    /// One in twenty is longer.
    pub p95: Option<u64>,
    /// One in a hundred is longer.
    pub p99: Option<u64>,
    /// The longest.
    pub max: Option<u64>,
}

impl From<&Times> for Distribution {
    fn from(times: &Times) -> Self {
        let max = times.max.get().copied();
        // A bucket's number may be 1 % above all that is in it.
        let whole = |ms: Option<f64>| Some((ms?.round() as u64).min(max?));
        let sketch = &times.sketch;
        Self {
            count: sketch.count(),
            p50: whole(sketch.p50()),
            p95: whole(sketch.p95()),
            p99: whole(sketch.p99()),
            max,
        }
    }
}

/// How requests of one kind were answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Exchanged {
    /// From the request to its answer.
    pub end_to_end_ms: Distribution,
    /// Requests that nobody answered in time.
    pub timeouts: u64,
}

/// What is known of answers' quality.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct QualityCounts {
    /// The model refused.
    pub refused: u64,
    /// They were flagged.
    pub flagged: u64,
    /// They were asked for again.
    pub regenerated: u64,
    /// Somebody found them good.
    pub feedback_positive: u64,
    /// Somebody found them bad.
    pub feedback_negative: u64,
}

impl QualityCounts {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// `llm.rollups.1m.v1`, `llm.rollups.1h.v1`, `llm.rollups.1d.v1`: the last word on a window of a series, of a tenant and of
/// everything.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RollupResult {
    /// Which window.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// `1m`, `1h` or `1d`.
    pub granularity: &'static str,
    /// Whose calls.
    #[serde(flatten)]
    pub scope: Scope,
    /// Calls.
    pub requests: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Those by their type, the first 32 of the alphabet.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub errors_by_type: BTreeMap<CompactString, u64>,
    /// Tokens by kind.
    pub tokens: TokenCounts,
    /// What they cost.
    pub cost: CostAnswer,
    /// How long they took.
    pub latency_ms: Distribution,
    /// How long until the first token came.
    pub time_to_first_token_ms: Distribution,
    /// Output tokens over the time in which they came; null where no call says both.
    pub tokens_per_second: Option<f64>,
    /// Cached tokens among those of the input; null without input.
    pub cache_share: Option<f64>,
    /// Requests and their answers: those of `process`, `lead` and `embedding` of which there was one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exchanges: BTreeMap<&'static str, Exchanged>,
    /// Of the answers; left out where nothing is known of any.
    #[serde(skip_serializing_if = "QualityCounts::is_nothing")]
    pub quality: QualityCounts,
    /// Chats that began.
    #[serde(skip_serializing_if = "is_zero")]
    pub sessions_started: u64,
    /// Sessions with a call: exact up to some hundreds, then within 1.6 %.
    pub sessions: u64,
    /// What the calls of these sessions cost, by session.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cost_per_session: Vec<Sum>,
    /// Itineraries that were saved.
    #[serde(skip_serializing_if = "is_zero")]
    pub itineraries_saved: u64,
    /// What all calls cost, by saved itinerary: of a tenant and of everything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cost_per_itinerary: Vec<Sum>,
}

impl RollupResult {
    /// A closed window.
    pub fn of(
        settings: &LlmSettings,
        granularity: &'static str,
        series: &Series,
        window: &Window,
        of: &Rollup,
    ) -> Self {
        let counts = &of.counts;
        let key = format!("{series}@{granularity}@{}", window.end.0);
        let each = |money: &Money, count: u64| Rollup::cost_per(money, count).into_iter().map(Sum::of).collect();
        let sessions = of.sessions.count();
        let exchange = |kind: Exchange| {
            let (times, timeouts) = (&of.answered[kind as usize], counts.timeouts[kind as usize]);
            let exchanged = Exchanged { end_to_end_ms: times.into(), timeouts };
            (exchanged.end_to_end_ms.count > 0 || timeouts > 0).then_some((kind.as_str(), exchanged))
        };
        Self {
            stamp: Stamp::new(settings, key, window.start, window.end),
            granularity,
            scope: series.into(),
            requests: counts.requests,
            errors: of.errors.count(),
            errors_by_type: of.errors.by_type().clone(),
            tokens: (&of.tokens).into(),
            cost: CostAnswer::of(counts, &of.cost),
            latency_ms: (&of.latency).into(),
            time_to_first_token_ms: (&of.first_token).into(),
            tokens_per_second: of.tokens_per_second(),
            cache_share: of.cache_share(),
            exchanges: Exchange::ALL.into_iter().filter_map(exchange).collect(),
            quality: QualityCounts {
                refused: counts.refused,
                flagged: counts.flagged,
                regenerated: counts.regenerated,
                feedback_positive: counts.feedback_positive,
                feedback_negative: counts.feedback_negative,
            },
            sessions_started: counts.sessions_started,
            sessions,
            cost_per_session: each(&of.session_cost, sessions),
            itineraries_saved: counts.itineraries_saved,
            // A series has either calls or saves.
            cost_per_itinerary: if series.is_single() { Vec::new() } else { each(&of.cost, counts.itineraries_saved) },
        }
    }
}

/// `llm.cost.current.v1`: what was spent in the present day, by what has closed of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CurrentCost {
    /// Which day.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Whose calls.
    #[serde(flatten)]
    pub scope: Scope,
    /// Whether the day is over.
    pub is_final: bool,
    /// Calls.
    pub requests: u64,
    /// What they cost.
    pub cost: CostAnswer,
}

impl CurrentCost {
    /// A day, over or not.
    pub fn of(settings: &LlmSettings, series: &Series, day: &Updated<DayCost>) -> Self {
        let DayCost { counts, cost } = &day.value;
        Self {
            stamp: Stamp::new(settings, series.as_str().to_owned(), day.window.start, day.window.end),
            scope: series.into(),
            is_final: day.is_final,
            requests: counts.requests,
            cost: CostAnswer::of(counts, cost),
        }
    }
}
