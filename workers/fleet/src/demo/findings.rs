//! What llm-rollups, engagement-metrics and model-performance have found, in a line or two each.
//!
//! Not here: the table of trending cities ([`super::results`]). Invariant: made of committed results alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::DateTime;
use engagement_metrics::results::Metrics;
use model_performance::results::experiment::{AbDecision, AbResults};
use processing_core::error::CoreError;
use processing_core::log::Log;
use serde::Deserialize;

use super::screen::grouped;
use super::tail::Tail;

/// An hour of all calls of language models.
#[derive(Debug, Deserialize)]
struct Calls {
    window_end_ms: i64,
    requests: u64,
    errors: u64,
    cost: Cost,
    latency_ms: Latency,
}

#[derive(Debug, Deserialize)]
struct Cost {
    sums: Vec<Sum>,
    requests_unknown: u64,
}

#[derive(Debug, Deserialize)]
struct Sum {
    currency: String,
    amount: String,
}

#[derive(Debug, Deserialize)]
struct Latency {
    p95: Option<u64>,
}

/// Somebody was told how much of a budget is spent.
#[derive(Debug, Deserialize)]
struct BudgetTold {
    budget: String,
    threshold: u16,
    window_start_ms: i64,
}

/// A result whose window alone is of interest.
#[derive(Debug, Deserialize)]
struct Windowed {
    window_end_ms: i64,
}

/// The newest results of three workers.
pub(crate) struct Findings {
    log: Arc<dyn Log>,
    calls: (Tail, Option<Calls>),
    budgets: (Tail, Option<BudgetTold>),
    /// By application.
    days: (Tail, BTreeMap<String, Metrics>),
    /// Until when the hours are counted.
    hours: (Tail, i64),
    tests: (Tail, Option<AbResults>),
    decisions: (Tail, BTreeMap<String, AbDecision>),
}

/// What a worker has found.
#[derive(Debug, Default)]
pub(crate) struct Finding {
    /// Until when it has counted, in milliseconds since 1970; 0 before its first result.
    pub(crate) until_ms: i64,
    /// In words.
    pub(crate) lines: Vec<String>,
}

/// Only sums over everything: the parts need not be parsed.
const OF_ALL: &[u8] = br#""tenant":null,"provider":null,"model":null,"operation":null"#;
const OF_APPLICATION: &[u8] = br#""tenant":null"#;

impl Findings {
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        Self {
            log,
            calls: (Tail::of("llm.rollups.1h.v1"), None),
            budgets: (Tail::of("llm.budget.alert.v1"), None),
            days: (Tail::of("engagement.metrics.1d.v1"), BTreeMap::new()),
            hours: (Tail::of("engagement.metrics.1h.v1"), 0),
            tests: (Tail::of("ab.results.v1"), None),
            decisions: (Tail::of("ab.decision.v1"), BTreeMap::new()),
        }
    }

    /// Takes in what has come since the last look; answers how many records that were.
    pub(crate) fn look(&mut self) -> Result<usize, CoreError> {
        let log = &*self.log;
        let mut taken = 0;
        let (tail, newest) = &mut self.calls;
        taken += tail.look(log, |value| {
            if holds(value, OF_ALL)
                && let Ok(hour) = serde_json::from_slice::<Calls>(value)
                && newest.as_ref().is_none_or(|newest| newest.window_end_ms <= hour.window_end_ms)
            {
                *newest = Some(hour);
            }
        })?;
        let (tail, newest) = &mut self.budgets;
        taken += tail.look(log, |value| {
            if let Ok(told) = serde_json::from_slice::<BudgetTold>(value)
                && newest.as_ref().is_none_or(|newest| newest.window_start_ms <= told.window_start_ms)
            {
                *newest = Some(told);
            }
        })?;
        let (tail, newest) = &mut self.days;
        taken += tail.look(log, |value| {
            if holds(value, OF_APPLICATION)
                && let Ok(day) = serde_json::from_slice::<Metrics>(value)
            {
                newest.insert(day.stamp.app.to_string(), day);
            }
        })?;
        let (tail, until_ms) = &mut self.hours;
        taken += tail.look(log, |value| {
            if let Ok(hour) = serde_json::from_slice::<Windowed>(value) {
                *until_ms = (*until_ms).max(hour.window_end_ms);
            }
        })?;
        let (tail, newest) = &mut self.tests;
        taken += tail.look(log, |value| {
            if let Ok(result) = serde_json::from_slice::<AbResults>(value) {
                *newest = Some(result);
            }
        })?;
        let (tail, decided) = &mut self.decisions;
        taken += tail.look(log, |value| {
            if let Ok(decision) = serde_json::from_slice::<AbDecision>(value) {
                decided.insert(format!("{} {}", decision.experiment, decision.variant), decision);
            }
        })?;
        Ok(taken)
    }

    /// What a worker has found.
    pub(crate) fn of(&self, worker: &str) -> Finding {
        match worker {
            "llm-rollups" => self.of_calls(),
            "engagement-metrics" => self.of_people(),
            "model-performance" => self.of_tests(),
            _ => Finding::default(),
        }
    }

    fn of_calls(&self) -> Finding {
        let Some(hour) = &self.calls.1 else { return Finding::default() };
        let sums: Vec<String> = hour.cost.sums.iter().map(|sum| format!("{} {}", sum.amount, sum.currency)).collect();
        let line = format!(
            "the hour to {}: {} for {} calls, {} failed, {} of unknown cost; p95 {} ms",
            minute(hour.window_end_ms),
            if sums.is_empty() { "0".to_owned() } else { sums.join(" and ") },
            grouped(hour.requests),
            hour.errors,
            hour.cost.requests_unknown,
            hour.latency_ms.p95.map_or("-".to_owned(), grouped),
        );
        let budget = self.budgets.1.as_ref().map(|told| {
            format!(
                "{} % of the budget {} spent, in the period from {}",
                told.threshold,
                told.budget,
                minute(told.window_start_ms)
            )
        });
        Finding { until_ms: hour.window_end_ms, lines: [line].into_iter().chain(budget).collect() }
    }

    fn of_people(&self) -> Finding {
        let until_ms = self.hours.1;
        let days = self.days.1.values();
        let Some(newest) = days.clone().map(|day| day.stamp.window_end_ms).max() else {
            return Finding { until_ms, lines: Vec::new() };
        };
        let those = days.filter(|day| day.stamp.window_end_ms == newest);
        let parts = those.filter_map(|day| {
            let sums = day.day.as_ref().filter(|sums| sums.active_users_28d > 0)?;
            Some(format!("{} {} of {}", day.stamp.app, grouped(day.active_users), grouped(sums.active_users_28d)))
        });
        let parts: Vec<String> = parts.collect();
        let line = format!("active users of the day to {}, of 28 days: {}", minute(newest), parts.join(", "));
        Finding { until_ms, lines: vec![line] }
    }

    fn of_tests(&self) -> Finding {
        let Some(result) = &self.tests.1 else { return Finding::default() };
        let rate = |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
        let control = result.arms.iter().find(|arm| arm.is_control).and_then(|arm| arm.conversions.rate);
        let mut lines: Vec<String> = Vec::new();
        for arm in result.arms.iter().filter(|arm| !arm.is_control) {
            let decided = self.decisions.1.get(&format!("{} {}", result.experiment, arm.variant));
            let how = match decided {
                Some(decision) => {
                    format!("{}, decided at {}", decision.decision, minute(decision.stamp.window_end_ms))
                }
                None => "not decided yet".to_owned(),
            };
            lines.push(format!(
                "{}: {} {} against {} {} of {} users, p {}: {how}",
                result.experiment,
                arm.variant,
                rate(arm.conversions.rate),
                result.control,
                rate(control),
                grouped(result.arms.iter().map(|arm| arm.conversions.users).sum()),
                arm.p_value.map_or("-".to_owned(), |p| format!("{p:.4}")),
            ));
        }
        Finding { until_ms: result.stamp.window_end_ms, lines }
    }
}

fn holds(value: &[u8], part: &[u8]) -> bool {
    value.windows(part.len()).any(|found| found == part)
}

fn minute(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).map_or_else(|| "-".to_owned(), |time| time.format("%Y-%m-%d %H:%M").to_string())
}
