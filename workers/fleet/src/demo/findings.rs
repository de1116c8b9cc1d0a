//! What llm-rollups, engagement-metrics and model-performance have found, in a line or two each.
//!
//! Not here: the table of trending cities ([`super::results`]). Invariant: made of committed results alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::DateTime;
use engagement_metrics::results::{Metrics, Retention};
use model_performance::results::experiment::{AbDecision, AbResults};
use processing_core::error::CoreError;
use processing_core::log::Log;
use serde::Deserialize;

use super::screen::grouped;
use super::tail::Tail;

/// A minute or an hour of all calls of language models.
#[derive(Debug, Deserialize)]
struct Calls {
    window_end_ms: i64,
    granularity: String,
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

/// What became of the lists of a model.
#[derive(Debug, Deserialize)]
struct Shown {
    window_end_ms: i64,
    model: String,
    recommendations: Option<Clicks>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
struct Clicks {
    impressions: u64,
    clicks: u64,
}

/// Those of the newest window alone, by what they are about.
#[derive(Debug)]
struct Newest<T> {
    end_ms: i64,
    of: BTreeMap<String, T>,
}

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self { end_ms: 0, of: BTreeMap::new() }
    }
}

impl<T> Newest<T> {
    /// Where one of a window that ends at `end_ms` is kept; `None` if there is a newer window.
    fn window(&mut self, end_ms: i64) -> Option<&mut BTreeMap<String, T>> {
        if end_ms < self.end_ms {
            return None;
        }
        if end_ms > self.end_ms {
            self.of.clear();
        }
        self.end_ms = end_ms;
        Some(&mut self.of)
    }
}

/// The newest results of three workers. Of what is told by minute and by hour, minutes count until there is an hour.
pub(crate) struct Findings {
    log: Arc<dyn Log>,
    calls: [(Tail, Option<Calls>); 2],
    /// By budget.
    budgets: (Tail, BTreeMap<String, BudgetTold>),
    /// By application.
    people: [(Tail, Newest<Metrics>); 2],
    days: (Tail, Newest<Metrics>),
    /// By application and age.
    retention: (Tail, Newest<Retention>),
    tests: (Tail, Option<AbResults>),
    decisions: (Tail, BTreeMap<String, AbDecision>),
    /// By model.
    clicks: (Tail, Newest<Clicks>),
}

/// What a worker has found.
#[derive(Debug, Default)]
pub(crate) struct Finding {
    /// Until when it has counted, in milliseconds since 1970; 0 before its first result.
    pub(crate) until_ms: i64,
    /// In words, what matters most first.
    pub(crate) lines: Vec<String>,
}

/// Only sums over everything: the parts need not be parsed.
const OF_ALL: &[u8] = br#""tenant":null,"provider":null,"model":null,"operation":null"#;
const OF_APPLICATION: &[u8] = br#""tenant":null"#;
/// Ages of a cohort, in days.
const AGES: [u16; 3] = [1, 7, 28];

impl Findings {
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        Self {
            log,
            calls: ["llm.rollups.1m.v1", "llm.rollups.1h.v1"].map(|topic| (Tail::of(topic), None)),
            budgets: (Tail::of("llm.budget.alert.v1"), BTreeMap::new()),
            people: ["engagement.metrics.1m.v1", "engagement.metrics.1h.v1"]
                .map(|topic| (Tail::of(topic), Newest::default())),
            days: (Tail::of("engagement.metrics.1d.v1"), Newest::default()),
            retention: (Tail::of("engagement.retention.1d.v1"), Newest::default()),
            tests: (Tail::of("ab.results.v1"), None),
            decisions: (Tail::of("ab.decision.v1"), BTreeMap::new()),
            clicks: (Tail::of("model.performance.1h.v1"), Newest::default()),
        }
    }

    /// Takes in what has come since the last look; answers how many records that were.
    pub(crate) fn look(&mut self) -> Result<usize, CoreError> {
        let log = &*self.log;
        let mut taken = 0;
        let has_hour = self.calls[1].1.is_some();
        for (tail, newest) in self.calls.iter_mut().skip(usize::from(has_hour)) {
            taken += tail.look(log, |value| {
                if holds(value, OF_ALL)
                    && let Ok(calls) = serde_json::from_slice::<Calls>(value)
                    && newest.as_ref().is_none_or(|newest| newest.window_end_ms <= calls.window_end_ms)
                {
                    *newest = Some(calls);
                }
            })?;
        }
        let (tail, told) = &mut self.budgets;
        taken += tail.look(log, |value| {
            if let Ok(new) = serde_json::from_slice::<BudgetTold>(value)
                && told
                    .get(&new.budget)
                    .is_none_or(|last| (last.window_start_ms, last.threshold) <= (new.window_start_ms, new.threshold))
            {
                told.insert(new.budget.clone(), new);
            }
        })?;
        let has_hour = !self.people[1].1.of.is_empty();
        let [minutes, hours] = &mut self.people;
        for (tail, newest) in [minutes, hours, &mut self.days].into_iter().skip(usize::from(has_hour)) {
            taken += tail.look(log, |value| {
                if holds(value, OF_APPLICATION)
                    && let Ok(metrics) = serde_json::from_slice::<Metrics>(value)
                    && let Some(those) = newest.window(metrics.stamp.window_end_ms)
                {
                    those.insert(metrics.stamp.app.to_string(), metrics);
                }
            })?;
        }
        let (tail, newest) = &mut self.retention;
        taken += tail.look(log, |value| {
            if holds(value, OF_APPLICATION)
                && let Ok(cohort) = serde_json::from_slice::<Retention>(value)
                && let Some(those) = newest.window(cohort.stamp.window_end_ms)
            {
                those.insert(format!("{} {}", cohort.stamp.app, cohort.age_days), cohort);
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
        let (tail, newest) = &mut self.clicks;
        taken += tail.look(log, |value| {
            if let Ok(shown) = serde_json::from_slice::<Shown>(value)
                && let Some(of_lists) = shown.recommendations.filter(|of_lists| of_lists.impressions > 0)
                && let Some(those) = newest.window(shown.window_end_ms)
            {
                let sum = those.entry(shown.model).or_default();
                sum.impressions += of_lists.impressions;
                sum.clicks += of_lists.clicks;
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
        let [minute, hour] = &self.calls;
        let Some(calls) = hour.1.as_ref().or(minute.1.as_ref()) else { return Finding::default() };
        let sums: Vec<String> =
            calls.cost.sums.iter().map(|sum| format!("{} {}", short(&sum.amount), sum.currency)).collect();
        let line = format!(
            "{} to {}: {} for {} calls, p95 {} ms, {} failed, {} unpriced",
            if calls.granularity == "1h" { "hour" } else { "minute" },
            moment(calls.window_end_ms),
            if sums.is_empty() { "0".to_owned() } else { sums.join(" and ") },
            grouped(calls.requests),
            calls.latency_ms.p95.map_or("-".to_owned(), grouped),
            calls.errors,
            calls.cost.requests_unknown,
        );
        let told = self.budgets.1.values().map(|told| format!("{} {} %", told.budget, told.threshold));
        let told: Vec<String> = told.collect();
        let budgets = (!told.is_empty()).then(|| format!("budgets: {} spent", told.join(", ")));
        Finding { until_ms: calls.window_end_ms, lines: [line].into_iter().chain(budgets).collect() }
    }

    fn of_people(&self) -> Finding {
        let [minute, hour] = &self.people;
        let (span, newest) = if hour.1.of.is_empty() { ("minute", &minute.1) } else { ("hour", &hour.1) };
        let until_ms = newest.end_ms;
        let days = &self.days.1;
        let mut lines = Vec::new();
        if days.of.is_empty() {
            if until_ms > 0 {
                lines.push(format!("active in the {span} to {}: {}", moment(until_ms), by_application(newest)));
            }
            return Finding { until_ms, lines };
        }
        let sums = days.of.values().filter_map(|day| day.day.as_ref());
        let (of_day, of_month): (u64, u64) =
            (days.of.values().map(|day| day.active_users).sum(), sums.map(|sums| sums.active_users_28d).sum());
        lines.push(format!(
            "active on {}: {} of {} in 28 days{}",
            day(days.end_ms.saturating_sub(1)),
            grouped(of_day),
            grouped(of_month),
            percent(of_day, of_month).map_or_else(String::new, |share| format!(", {share}")),
        ));
        lines.extend(self.came_back());
        lines.push(format!("of those {}", by_application(days)));
        Finding { until_ms, lines }
    }

    /// Who came back so many days after the first one, over all applications.
    fn came_back(&self) -> Option<String> {
        let those = &self.retention.1.of;
        let parts = AGES.into_iter().filter_map(|age| {
            let cohorts = those.values().filter(|cohort| cohort.age_days == age);
            let (back, all) =
                cohorts.fold((0, 0), |(back, all), one| (back + one.retained_users, all + one.cohort_users));
            Some(format!("after {age} {} {}", if age == 1 { "day" } else { "days" }, percent(back, all)?))
        });
        let parts: Vec<String> = parts.collect();
        (!parts.is_empty()).then(|| format!("back {}", parts.join(", ")))
    }

    fn of_tests(&self) -> Finding {
        let clicks = &self.clicks.1;
        let mut lines: Vec<String> = Vec::new();
        if let Some(result) = &self.tests.1 {
            let rate = |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
            let control = result.arms.iter().find(|arm| arm.is_control).and_then(|arm| arm.conversions.rate);
            for arm in result.arms.iter().filter(|arm| !arm.is_control) {
                let decided = self.decisions.1.get(&format!("{} {}", result.experiment, arm.variant));
                let how = match decided {
                    Some(decision) => {
                        format!("{}, decided {}", decision.decision, moment(decision.stamp.window_end_ms))
                    }
                    None => "not decided yet".to_owned(),
                };
                let p =
                    arm.p_value.map(|p| if p < 0.000_1 { ", p < 0.0001".to_owned() } else { format!(", p {p:.4}") });
                lines.push(format!(
                    "{}: {} {} against {} {}, {} users{}: {how}",
                    result.experiment,
                    arm.variant,
                    rate(arm.conversions.rate),
                    result.control,
                    rate(control),
                    grouped(result.arms.iter().map(|arm| arm.conversions.users).sum()),
                    p.unwrap_or_default(),
                ));
            }
        }
        let rates = clicks
            .of
            .iter()
            .filter_map(|(model, sum)| Some(format!("{model} {}", percent(sum.clicks, sum.impressions)?)));
        let rates: Vec<String> = rates.collect();
        if !rates.is_empty() {
            lines.push(format!("clicked, hour to {}: {}", moment(clicks.end_ms), rates.join(", ")));
        }
        let until_ms = self.tests.1.as_ref().map_or(0, |result| result.stamp.window_end_ms).max(clicks.end_ms);
        Finding { until_ms, lines }
    }
}

/// Active users by application, where there are any.
fn by_application(newest: &Newest<Metrics>) -> String {
    let those = newest.of.iter().filter(|(_, metrics)| metrics.active_users > 0);
    let parts: Vec<String> = those.map(|(app, metrics)| format!("{app} {}", grouped(metrics.active_users))).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn percent(part: u64, whole: u64) -> Option<String> {
    (whole > 0).then(|| format!("{:.1} %", part as f64 / whole as f64 * 100.0))
}

/// An amount with four decimals, or as many as show two digits of it.
fn short(amount: &str) -> &str {
    let Some(point) = amount.find('.') else { return amount };
    let digit = amount.find(|c: char| ('1'..='9').contains(&c)).unwrap_or(amount.len());
    amount.get(..(point + 5).max(digit + 2)).unwrap_or(amount)
}

fn holds(value: &[u8], part: &[u8]) -> bool {
    value.windows(part.len()).any(|found| found == part)
}

/// The year stands in the feed's own time, above.
fn moment(ms: i64) -> String {
    shown(ms, "%b %-d %H:%M")
}

fn day(ms: i64) -> String {
    shown(ms, "%b %-d")
}

fn shown(ms: i64, form: &str) -> String {
    DateTime::from_timestamp_millis(ms).map_or_else(|| "-".to_owned(), |time| time.format(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_cut_behind_four_decimals_and_never_to_nothing() {
        let all = [
            ("0.085389120", "0.0853"),
            ("12", "12"),
            ("0.5", "0.5"),
            ("1234.56789", "1234.5678"),
            ("0.0000123456", "0.000012"),
            ("0.000000", "0.000000"),
        ];
        for (amount, shown) in all {
            assert_eq!(short(amount), shown);
        }
    }

    #[test]
    fn only_the_newest_window_is_kept() {
        let mut newest = Newest::default();
        for (end, what) in [(10, "a"), (20, "b"), (10, "c"), (20, "d")] {
            if let Some(those) = newest.window(end) {
                those.insert(what.to_owned(), ());
            }
        }
        assert_eq!((newest.end_ms, newest.of.into_keys().collect::<String>().as_str()), (20, "bd"));
    }
}
