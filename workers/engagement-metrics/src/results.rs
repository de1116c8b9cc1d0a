//! The records that engagement-metrics publishes, as their readers see them.
//!
//! Not here: how they come about. Invariant: each has a JSON Schema in `schemas/` that a test holds it to, a `run_id` and a
//! `revision`, and a key that depends on what it is about and on nothing else, so that a replay replaces instead of adding.
//!
//! `tenant` is null where all tenants of an application are meant. Their distinct users are the sum of the tenants':
//! identity is (application, tenant, user).

pub mod flows;
pub mod metrics;

use compact_str::CompactString;
use processing_core::aggregate::Quantiles;
use processing_core::record::EventTime;
use serde::{Deserialize, Serialize};

use crate::scope::Scope;
use crate::settings::EngagementSettings;

pub use flows::{FunnelResult, PipelineResult, SessionResult, TopResult};
pub use metrics::{Metrics, Retention};

/// The JSON Schema (draft 2020-12) of each result, by the topic that it goes to by default.
pub const SCHEMAS: [(&str, &str); 8] = [
    ("engagement.metrics.1m.v1", include_str!("../schemas/engagement.metrics.v1.json")),
    ("engagement.metrics.1h.v1", include_str!("../schemas/engagement.metrics.v1.json")),
    ("engagement.metrics.1d.v1", include_str!("../schemas/engagement.metrics.v1.json")),
    ("engagement.sessions.v1", include_str!("../schemas/engagement.sessions.v1.json")),
    ("engagement.funnels.1h.v1", include_str!("../schemas/engagement.funnels.1h.v1.json")),
    ("engagement.pipelines.1h.v1", include_str!("../schemas/engagement.pipelines.1h.v1.json")),
    ("engagement.retention.1d.v1", include_str!("../schemas/engagement.retention.1d.v1.json")),
    ("engagement.top.1d.v1", include_str!("../schemas/engagement.top.1d.v1.json")),
];

/// What every result carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Which run made it.
    pub run_id: String,
    /// Rises when a run says something anew about the same window.
    pub revision: u32,
    /// What it is about: the same for every run.
    pub key: String,
    /// The first moment that is counted, in milliseconds since 1970 UTC.
    pub window_start_ms: i64,
    /// The first moment that is no longer counted.
    pub window_end_ms: i64,
    /// The application.
    pub app: CompactString,
    /// Its tenant; null for all of them.
    pub tenant: Option<CompactString>,
}

impl Stamp {
    fn new(settings: &EngagementSettings, scope: &Scope, about: &str, start: EventTime, end: EventTime) -> Self {
        let scope_text = scope.as_str();
        let key = if about.is_empty() {
            format!("{scope_text}@{}", end.0)
        } else {
            format!("{scope_text}/{about}@{}", end.0)
        };
        Self {
            run_id: settings.run_id.clone(),
            revision: 0,
            key,
            window_start_ms: start.0,
            window_end_ms: end.0,
            app: scope.app(),
            tenant: scope.tenant(),
        }
    }
}

impl Stamp {
    /// What it is about, without the time: the key of the record.
    pub fn about(&self) -> CompactString {
        self.key.rsplit_once('@').map_or(self.key.as_str(), |(about, _)| about).into()
    }
}

/// How long things took, in milliseconds. Quantiles are within 1 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spans {
    /// How many.
    pub count: u64,
    /// The mean; null of none.
    pub mean_ms: Option<i64>,
    /// The median.
    pub p50_ms: Option<i64>,
    /// What one in twenty exceeds.
    pub p95_ms: Option<i64>,
    /// The longest.
    pub max_ms: Option<i64>,
}

impl Spans {
    fn of(quantiles: &Quantiles, sum: i128) -> Self {
        let count = quantiles.count();
        let whole = |value: Option<f64>| value.map(|value| value.round() as i64);
        let number = i128::from(count);
        let mean = (count > 0).then(|| i64::try_from((sum + number / 2).div_euclid(number)).unwrap_or(i64::MAX));
        Self {
            count,
            mean_ms: mean,
            p50_ms: whole(quantiles.p50()),
            p95_ms: whole(quantiles.p95()),
            max_ms: whole(quantiles.max()),
        }
    }
}

/// A share, to the millionth; `None` of nothing.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| millionth(part as f64 / whole as f64))
}

fn millionth(value: f64) -> f64 {
    const MILLION: f64 = 1_000_000.0;
    let rounded = (value * MILLION).round() / MILLION;
    // JSON tells 0 from -0.
    if rounded == 0.0 { 0.0 } else { rounded }
}
