//! What is published of models.
//!
//! Not here: how it is counted ([`crate::performance`]). Invariant: a section is null where nothing was counted for it; a
//! rate is null where its denominator is 0.

use compact_str::CompactString;
use processing_core::aggregate::{Mean, Quantiles};
use serde::{Deserialize, Serialize};

use super::Stamp;
use crate::drift::Moved;
use crate::intents::Intents;
use crate::performance::Performance;
use crate::series::Series;
use crate::serving::Serving;
use crate::settings::ModelSettings;
use crate::signals::Hour;
use crate::span::Span;
use crate::statistics::wilson;
use crate::subject::Subject;
use crate::tally::Tally;

const MICRO: f64 = 1e6;

/// Which model, in results; a tenant as a whole has empty names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelLabels {
    /// The application.
    pub app: CompactString,
    /// The tenant.
    pub tenant: CompactString,
    /// The model.
    pub model: CompactString,
    /// Its version.
    pub version: CompactString,
    /// The variant of an experiment that it serves.
    pub variant: CompactString,
}

impl ModelLabels {
    /// Of a model's key.
    pub fn of(model: &Subject) -> Self {
        let [app, tenant, name, version, variant] = [0, 1, 2, 3, 4].map(|at| model.part(at));
        Self { app, tenant, model: name, version, variant }
    }
}

/// `model.performance.1m.v1` and `model.performance.1h.v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerformanceRecord {
    /// Whose window.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Which model.
    #[serde(flatten)]
    pub model: ModelLabels,
    /// Requests that ended in this window.
    pub serving: Option<ServingSection>,
    /// What became of the lists that were shown one attribution window earlier.
    pub recommendations: Option<OutcomesSection>,
    /// What the model reports, by name.
    pub metrics: Vec<MetricLine>,
    /// What it took messages for.
    pub intents: Option<IntentsSection>,
    /// Whether it was right, where that has become known.
    pub calibration: Option<CalibrationSection>,
    /// Of a tenant as a whole: what users did.
    pub interactions: Option<InteractionsSection>,
    /// Numbers that can be compared with the seven days before; only of hours.
    pub drift: Vec<Moved>,
    /// The hour of the day with most requests in the seven days before; only of hours.
    pub peak_hour: Option<PeakHour>,
    /// Events that were too many to be looked at.
    pub cut: u64,
}

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServingSection {
    /// All that ended.
    pub requests: u64,
    /// With an answer.
    pub answered: u64,
    /// With an answer that went well.
    pub succeeded: u64,
    /// Without an answer in time.
    pub timeouts: u64,
    /// Answers without a request.
    pub unasked: u64,
    /// Requests and answers that repeat others.
    pub repeated: u64,
    /// Lists that were shown to nobody known.
    pub shown_to_nobody: u64,
    /// Succeeded / requests.
    pub success_rate: Option<f64>,
    /// In milliseconds.
    pub response_time_ms: Option<Distribution>,
}

/// A distribution, quantiles within 1 %.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Exactly.
    pub mean: Option<f64>,
    /// The median.
    pub p50: Option<f64>,
    /// One in twenty is beyond.
    pub p95: Option<f64>,
    /// One in a hundred is beyond.
    pub p99: Option<f64>,
    /// Exactly.
    pub max: Option<f64>,
}

/// What became of lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomesSection {
    /// The lists were shown from here on.
    pub shown_from_ms: i64,
    /// Up to here.
    pub shown_to_ms: i64,
    /// Lists.
    pub lists: u64,
    /// Lists that were told early.
    pub early: u64,
    /// (list, item).
    pub impressions: u64,
    /// Clicked impressions, by last touch.
    pub clicks: u64,
    /// By first touch.
    pub clicks_first_touch: u64,
    /// Clicks / impressions.
    pub click_through_rate: Option<f64>,
    /// Wilson's interval of 95 %.
    pub click_through_lower: Option<f64>,
    /// Its upper end.
    pub click_through_upper: Option<f64>,
    /// Mean over lists with a click.
    pub ndcg: Option<f64>,
    /// Lists with a click / lists.
    pub hit_rate: Option<f64>,
    /// Mean over lists.
    pub mean_reciprocal_rank: Option<f64>,
    /// Ratings of the lists' items.
    pub ratings: u64,
    /// Their mean.
    pub mean_rating: Option<f64>,
}

/// Numbers under one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricLine {
    /// The name.
    pub metric: CompactString,
    /// How many.
    pub count: u64,
    /// That of the latest event.
    pub last: Option<f64>,
    /// To the millionth.
    pub mean: Option<f64>,
    /// The least.
    pub min: Option<f64>,
    /// The greatest.
    pub max: Option<f64>,
    /// The median, within 1 %.
    pub p50: Option<f64>,
}

/// Messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IntentsSection {
    /// Understood messages.
    pub messages: u64,
    /// Messages that failed.
    pub errors: u64,
    /// The same by the type of the error (OpenTelemetry's `error.type`); `_OTHER` where none is named.
    #[serde(default)]
    pub errors_by_type: Vec<Share>,
    /// By intent; empty where none was found.
    pub by_intent: Vec<Share>,
    /// By tier; empty where none is named.
    pub by_tier: Vec<Share>,
    /// Suggested actions.
    pub actions: Vec<Share>,
    /// Messages by confidence, in 15 equal bins.
    pub confidence_histogram: Vec<u64>,
}

/// A part of a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Of which name; null for all names that are too many.
    pub name: Option<CompactString>,
    /// How often.
    pub count: u64,
    /// Count / all.
    pub share: f64,
}

/// Whether confidence was deserved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationSection {
    /// Messages whose true intent has become known.
    pub judged: u64,
    /// The share that was right.
    pub accuracy: f64,
    /// ECE with 15 equal bins.
    pub expected_calibration_error: f64,
    /// The Brier score.
    pub brier: f64,
}

/// What users did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InteractionsSection {
    /// Ratings.
    pub ratings: u64,
    /// Their mean.
    pub mean_rating: Option<f64>,
    /// Clicks that belonged to no list.
    pub unattributed_clicks: u64,
}

/// When most is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeakHour {
    /// The hour of the day, UTC.
    pub hour: u8,
    /// Requests in it, of seven days.
    pub requests: u64,
}

pub(super) fn rate(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean(mean: Mean, unit: f64) -> Option<f64> {
    (mean.count() > 0).then(|| mean.sum() as f64 / unit / mean.count() as f64)
}

impl PerformanceRecord {
    /// A minute.
    pub fn minute(settings: &ModelSettings, model: &Subject, minute: &Span<Performance>) -> Self {
        Self::of(settings, model, &minute.value, (minute.start, minute.end))
    }

    /// An hour, with what it is beside the days before it.
    pub fn hour(settings: &ModelSettings, model: &Subject, hour: &Span<Hour>, drift: Vec<Moved>) -> Self {
        let Hour { performance, reference } = &hour.value;
        let peak_hour = reference.peak_hour().map(|(hour, requests)| PeakHour { hour, requests });
        Self { drift, peak_hour, ..Self::of(settings, model, performance, (hour.start, hour.end)) }
    }

    fn of(settings: &ModelSettings, model: &Subject, of: &Performance, window: (i64, i64)) -> Self {
        let calibration = of.calibration.expected_error().zip(of.calibration.brier());
        let is_tenant = of.ratings.count() + of.unattributed > 0;
        Self {
            stamp: Stamp::new(settings, model.as_str(), window),
            model: ModelLabels::of(model),
            serving: ServingSection::of(&of.serving),
            recommendations: OutcomesSection::of(settings, of, window),
            metrics: of.series.names().map(|(name, series)| MetricLine::of(name, series)).collect(),
            intents: IntentsSection::of(&of.intents),
            calibration: calibration.map(|(expected_calibration_error, brier)| CalibrationSection {
                judged: of.calibration.count(),
                accuracy: of.calibration.right() as f64 / of.calibration.count() as f64,
                expected_calibration_error,
                brier,
            }),
            interactions: is_tenant.then(|| InteractionsSection {
                ratings: of.ratings.count(),
                mean_rating: mean(of.ratings, MICRO),
                unattributed_clicks: of.unattributed,
            }),
            drift: Vec::new(),
            peak_hour: None,
            cut: of.cut + of.series.cut,
        }
    }
}

impl ServingSection {
    fn of(serving: &Serving) -> Option<Self> {
        let is_something =
            serving.requests() + serving.unasked + serving.repeated + serving.shown_to_nobody + serving.scores.count();
        (is_something > 0).then(|| Self {
            requests: serving.requests(),
            answered: serving.answered,
            succeeded: serving.succeeded,
            timeouts: serving.timeouts,
            unasked: serving.unasked,
            repeated: serving.repeated,
            shown_to_nobody: serving.shown_to_nobody,
            success_rate: rate(serving.succeeded, serving.requests()),
            response_time_ms: Distribution::of(serving),
        })
    }
}

impl Distribution {
    fn of(serving: &Serving) -> Option<Self> {
        let sketch: &Quantiles = &serving.response_time;
        (sketch.count() > 0).then(|| Self {
            mean: mean(serving.mean, 1.0),
            p50: sketch.p50(),
            p95: sketch.p95(),
            p99: sketch.p99(),
            max: serving.slowest.get().map(|slowest| *slowest as f64),
        })
    }
}

impl OutcomesSection {
    fn of(settings: &ModelSettings, of: &Performance, (start, end): (i64, i64)) -> Option<Self> {
        let outcomes = &of.outcomes;
        let interval = wilson::wilson(outcomes.clicks, outcomes.impressions);
        (outcomes.lists > 0).then(|| Self {
            shown_from_ms: start - settings.attribution.0,
            shown_to_ms: end - settings.attribution.0,
            lists: outcomes.lists,
            early: outcomes.early,
            impressions: outcomes.impressions,
            clicks: outcomes.clicks,
            clicks_first_touch: outcomes.clicks_first,
            click_through_rate: rate(outcomes.clicks, outcomes.impressions),
            click_through_lower: interval.map(|interval| interval.lower),
            click_through_upper: interval.map(|interval| interval.upper),
            ndcg: rate(outcomes.ndcg_sum_micros, outcomes.hits).map(|sum| sum / MICRO),
            hit_rate: rate(outcomes.hits, outcomes.lists),
            mean_reciprocal_rank: rate(outcomes.reciprocal_rank_sum_micros, outcomes.lists).map(|sum| sum / MICRO),
            ratings: outcomes.ratings,
            mean_rating: (outcomes.ratings > 0)
                .then(|| outcomes.rating_sum_micros as f64 / MICRO / outcomes.ratings as f64),
        })
    }
}

impl MetricLine {
    fn of(name: &CompactString, series: &Series) -> Self {
        let micros = |value: i64| value as f64 / MICRO;
        Self {
            metric: name.clone(),
            count: series.mean.count(),
            last: series.last.get().map(|(_, _, value)| micros(*value)),
            mean: mean(series.mean, MICRO),
            min: series.least.get().copied().map(micros),
            max: series.greatest.get().copied().map(micros),
            p50: series.sketch.p50(),
        }
    }
}

impl IntentsSection {
    fn of(intents: &Intents) -> Option<Self> {
        let (messages, errors) = (intents.intents.total(), intents.errors.total());
        (messages + errors > 0).then(|| Self {
            messages,
            errors,
            errors_by_type: shares(&intents.errors),
            by_intent: shares(&intents.intents),
            by_tier: shares(&intents.tiers),
            actions: shares(&intents.actions),
            confidence_histogram: intents.confidences.to_vec(),
        })
    }
}

fn shares(tally: &Tally) -> Vec<Share> {
    let total = tally.total() as f64;
    let share = |name: Option<CompactString>, count: u64| Share { name, count, share: count as f64 / total };
    let mut all: Vec<Share> = tally.names().map(|(name, count)| share(Some(name.clone()), count)).collect();
    if tally.others() > 0 {
        all.push(share(None, tally.others()));
    }
    all
}
