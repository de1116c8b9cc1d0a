//! What an operator can set for llm-rollups.
//!
//! Not here: reading files and environment (`processing_core::service::settings`). Invariant: the defaults are the
//! definition of the product, and stand in [`LlmSettings::default`] alone; every test of a number uses them or says
//! otherwise.

use std::path::PathBuf;
use std::sync::Arc;

use events::Contracts;
use processing_core::error::CoreError;
use processing_core::prelude::Tz;
use processing_core::record::DurationMs;
use processing_core::service::settings::{Declarations, Settings, Spec, ValueKind};

use crate::budget::Budgets;
use crate::card::Card;
use crate::exchange::Patience;
use crate::pricing::{Preference, Pricing};
use crate::reading::CONTRACTS;
use crate::slo::{Objective, Targets};

/// Inputs, windows, prices, budgets and objectives.
#[derive(Debug, Clone)]
pub struct LlmSettings {
    /// The application's id: the prefix of its group and its internal topics.
    pub application_id: String,
    /// The contracts of the events, as the settings map them.
    pub contracts: Contracts,
    /// The topic whose rows stand before the price cards; `None` where there is none. A call that is later than the grace
    /// is priced by the rows of the moment at which it comes; it counts in budgets alone.
    pub prices: Option<String>,
    /// The topic of budgets; `None` where there is none.
    pub budgets_topic: Option<String>,
    /// Where results go.
    pub outputs: Outputs,
    /// How late an event may come and still count.
    pub grace: DurationMs,
    /// Within how much event time an id that comes again is the same event.
    pub repeats: DurationMs,
    /// So many accounts a budget for each user, model or tenant may have in a period.
    pub budget_names_max: u64,
    /// Whose midnights cut days.
    pub time_zone: Tz,
    /// How many hours can be asked for.
    pub hours_kept: DurationMs,
    /// The price cards, and whose word counts.
    pub pricing: Arc<Pricing>,
    /// The budgets of the operator's file.
    pub budgets: Arc<Budgets>,
    /// How long requests wait for their answers.
    pub timeouts: [DurationMs; 3],
    /// What is to be kept.
    pub targets: Targets,
    /// A call that takes longer is slow.
    pub slow: DurationMs,
    /// Tells runs apart in the results; reprocessing gives a new one.
    pub run_id: String,
}

/// The topics of the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// Minutes.
    pub minutes: String,
    /// Hours.
    pub hours: String,
    /// Days.
    pub days: String,
    /// What the present day cost.
    pub current: String,
    /// Requests that nobody answered.
    pub timeouts: String,
    /// Thresholds of budgets.
    pub budget_alerts: String,
    /// Burn rates of objectives.
    pub slo_alerts: String,
}

impl Default for Outputs {
    fn default() -> Self {
        let topic = |name: &str| format!("llm.{name}.v1");
        Self {
            minutes: topic("rollups.1m"),
            hours: topic("rollups.1h"),
            days: topic("rollups.1d"),
            current: topic("cost.current"),
            timeouts: topic("requests.timeout"),
            budget_alerts: topic("budget.alert"),
            slo_alerts: topic("slo.alert"),
        }
    }
}

impl Default for LlmSettings {
    fn default() -> Self {
        Self {
            application_id: "llm-rollups.v1".to_owned(),
            contracts: Contracts::shipped(),
            prices: None,
            budgets_topic: None,
            outputs: Outputs::default(),
            grace: DurationMs::minutes(1),
            repeats: DurationMs::minutes(10),
            budget_names_max: 10_000,
            time_zone: Tz::UTC,
            hours_kept: DurationMs::hours(24 * 35),
            pricing: Pricing::shipped(),
            budgets: Arc::default(),
            timeouts: [DurationMs::minutes(5), DurationMs::minutes(5), DurationMs::hours(1)],
            targets: Targets { shares: [Some(990_000), Some(950_000)], calls_min: 10 },
            slow: DurationMs::seconds(10),
            run_id: "live".to_owned(),
        }
    }
}

const GRACE: ValueKind = ValueKind::Millis { min: DurationMs(0), max: DurationMs::hours(24), off: false };
const SPAN: ValueKind = ValueKind::Millis { min: DurationMs::seconds(1), max: DurationMs::hours(24), off: false };
const KEPT: ValueKind = ValueKind::Millis { min: DurationMs::hours(1), max: DurationMs::hours(24 * 400), off: false };
const TOPIC: ValueKind = ValueKind::Checked {
    wants: "1 to 249 of the letters a-z A-Z 0-9 . _ -",
    check: |text| {
        let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        (1..=249).contains(&text.len()) && text.bytes().all(legal) && text != "." && text != ".."
    },
};
const RUN_ID: ValueKind =
    ValueKind::Checked { wants: "1 to 100 characters", check: |text| (1..=100).contains(&text.len()) };
const ZONE: ValueKind =
    ValueKind::Checked { wants: "an IANA time zone such as Europe/Lisbon", check: |text| text.parse::<Tz>().is_ok() };
const SHARE: ValueKind = ValueKind::Checked {
    wants: "off, or a share of good calls in percent from 0 to below 100 such as 99.9",
    check: |text| share(text).is_some(),
};

/// A share in millionths of what is written in percent; the inner `None` stands for `off`.
fn share(text: &str) -> Option<Option<u32>> {
    if text == "off" {
        return Some(None);
    }
    let (digits, exponent) = crate::money::decimal(text)?;
    // Percent are hundredths: 99.9 is 999 000 millionths.
    let factor = 10_i128.checked_pow(u32::try_from(exponent + 4).ok()?)?;
    let millionths = u32::try_from(digits.checked_mul(factor)?).ok()?;
    (millionths < 1_000_000).then_some(Some(millionths))
}

impl LlmSettings {
    /// The library's settings and the worker's own.
    pub fn declared() -> Declarations {
        let default = Self::default();
        let spec = |name, kind, default: &dyn std::fmt::Display, help| Spec {
            default: default.to_string().into(),
            ..Spec::new(name, kind, "", help)
        };
        let [process, lead, embedding] = default.timeouts;
        let percent = |objective: Objective| {
            let share = default.targets.shares[objective as usize];
            share.map_or("off".to_owned(), |share| (f64::from(share) / 1e4).to_string())
        };
        let count = ValueKind::Integer { min: 1, max: 1_000_000 };
        let topics = [
            ("outputs.minutes.topic", &default.outputs.minutes, "Topic of minutes"),
            ("outputs.hours.topic", &default.outputs.hours, "Topic of hours"),
            ("outputs.days.topic", &default.outputs.days, "Topic of days"),
            ("outputs.current.topic", &default.outputs.current, "Topic of what the present day cost"),
            ("outputs.timeouts.topic", &default.outputs.timeouts, "Topic of requests that nobody answered"),
            ("outputs.budget-alerts.topic", &default.outputs.budget_alerts, "Topic of budgets' thresholds"),
            ("outputs.slo-alerts.topic", &default.outputs.slo_alerts, "Topic of objectives' burn rates"),
        ];
        // A topic that is read is waited for, and not everybody has those of prices and of budgets.
        Declarations::library(&default.application_id)
            .with([
                spec("rollups.grace.ms", GRACE, &default.grace.0, "How late an event may come and still count"),
                spec(
                    "events.repeats.ms",
                    SPAN,
                    &default.repeats.0,
                    "Within how much event time an id that comes again is the same event",
                ),
                spec(
                    "budgets.names.max",
                    count,
                    &default.budget_names_max,
                    "Users, models or tenants that a budget for each may have in a period; the others are counted",
                ),
                spec("rollups.time-zone", ZONE, &default.time_zone, "Whose midnights cut days"),
                spec(
                    "rollups.hours.kept.ms",
                    KEPT,
                    &default.hours_kept.0,
                    "For how long closed hours can be asked for",
                ),
                spec(
                    "prices.file",
                    ValueKind::Path,
                    &"",
                    "TOML file of prices that stand before those of the card that is shipped",
                ),
                spec(
                    "cost.preference",
                    ValueKind::OneOf(&["reported", "computed"]),
                    &"reported",
                    "Whose word counts where a call says its cost and has a price",
                ),
                spec(
                    "prices.topic",
                    ValueKind::Text,
                    &"",
                    "Compacted topic of prices that stand before those of the files, such as llm.prices.v1",
                ),
                spec("budgets.file", ValueKind::Path, &"", "TOML file of budgets"),
                spec(
                    "budgets.topic",
                    ValueKind::Text,
                    &"",
                    "Compacted topic of budgets beside those of the file, such as llm.budgets.v1",
                ),
                spec("timeouts.process.ms", SPAN, &process.0, "How long a processing may take"),
                spec("timeouts.lead.ms", SPAN, &lead.0, "How long a lead may wait for the next result"),
                spec("timeouts.embedding.ms", SPAN, &embedding.0, "How long embeddings may take"),
                spec("slo.errors.percent", SHARE, &percent(Objective::Errors), "Share of calls that are to succeed"),
                spec("slo.latency.percent", SHARE, &percent(Objective::Latency), "Share of calls that are to be fast"),
                spec("slo.latency.ms", SPAN, &default.slow.0, "A call that takes longer is slow"),
                spec(
                    "slo.calls.min",
                    count,
                    &default.targets.calls_min,
                    "Calls that each of an objective's two windows must hold before somebody is told that it burns",
                ),
                spec("run.id", RUN_ID, &default.run_id, "Tells runs apart in the results"),
            ])
            .with(events::settings::specs())
            .with(topics.map(|(name, default, help)| spec(name, TOPIC, default, help)))
    }

    /// The settings in force, and the prices and budgets that they name.
    ///
    /// # Errors
    /// What does not go together, by name; a file that cannot be used.
    pub fn read(settings: &Settings) -> Result<Self, CoreError> {
        let wrong = |name: &str, error: &dyn std::fmt::Display| {
            CoreError::config(format!("{}: `{name}`: {error}", settings.origin(name)))
        };
        let text = |name: &str| -> Result<Option<String>, CoreError> {
            let Some(file) = settings.get::<Option<PathBuf>>(name)? else { return Ok(None) };
            let read = std::fs::read_to_string(&file);
            read.map(Some).map_err(|error| wrong(name, &format!("cannot read {}: {error}", file.display())))
        };
        let mut cards = Vec::new();
        if let Some(text) = text("prices.file")? {
            cards.push(Card::from_toml(&text).map_err(|error| wrong("prices.file", &error))?);
        }
        cards.extend(Pricing::shipped().cards.iter().cloned());
        let budgets = match text("budgets.file")? {
            None => Budgets::default(),
            Some(text) => Budgets::from_toml(&text).map_err(|error| wrong("budgets.file", &error))?,
        };
        let preference = match settings.get::<String>("cost.preference")?.as_str() {
            "computed" => Preference::Computed,
            _ => Preference::Reported,
        };
        // Checked when it was read.
        let percent = |name: &str| Ok::<_, CoreError>(share(&settings.get::<String>(name)?).flatten());
        let contracts = Contracts::read(settings)?;
        if contracts.topics(&CONTRACTS).is_empty() {
            return Err(CoreError::config(
                "`contracts.systems` and `contracts.file` leave no topic to read: name loci, biznavigate or paka, or map \
                 a contract of theirs",
            ));
        }
        Ok(Self {
            application_id: settings.application.id.clone(),
            contracts,
            prices: settings.get("prices.topic")?,
            budgets_topic: settings.get("budgets.topic")?,
            outputs: Outputs {
                minutes: settings.get("outputs.minutes.topic")?,
                hours: settings.get("outputs.hours.topic")?,
                days: settings.get("outputs.days.topic")?,
                current: settings.get("outputs.current.topic")?,
                timeouts: settings.get("outputs.timeouts.topic")?,
                budget_alerts: settings.get("outputs.budget-alerts.topic")?,
                slo_alerts: settings.get("outputs.slo-alerts.topic")?,
            },
            grace: settings.get("rollups.grace.ms")?,
            repeats: settings.get("events.repeats.ms")?,
            budget_names_max: settings.get::<i64>("budgets.names.max")?.unsigned_abs(),
            time_zone: settings.get::<String>("rollups.time-zone")?.parse().unwrap_or(Tz::UTC),
            hours_kept: settings.get("rollups.hours.kept.ms")?,
            pricing: Arc::new(Pricing { cards, preference }),
            budgets: Arc::new(budgets),
            timeouts: [
                settings.get("timeouts.process.ms")?,
                settings.get("timeouts.lead.ms")?,
                settings.get("timeouts.embedding.ms")?,
            ],
            targets: Targets {
                shares: [percent("slo.errors.percent")?, percent("slo.latency.percent")?],
                calls_min: settings.get::<i64>("slo.calls.min")?.unsigned_abs(),
            },
            slow: settings.get("slo.latency.ms")?,
            run_id: settings.get("run.id")?,
        })
    }

    /// How long exchanges wait.
    pub(crate) fn patience(&self) -> Patience {
        Patience { timeouts: self.timeouts, grace: self.grace }
    }
}

#[cfg(test)]
mod tests {
    use super::{LlmSettings, share};

    #[test]
    fn whoever_sets_nothing_has_the_prices_that_are_shipped() {
        let pricing = LlmSettings::default().pricing;
        assert_eq!(pricing.cards.iter().map(|card| card.models().count() > 500).collect::<Vec<_>>(), [true]);
    }

    #[test]
    fn shares_are_read_in_percent() {
        assert_eq!(share("off"), Some(None));
        assert_eq!(share("99.9"), Some(Some(999_000)));
        assert_eq!(share("0"), Some(Some(0)));
        for none in ["100", "-1", "99.99999", "most", ""] {
            assert_eq!(share(none), None, "{none}");
        }
    }
}
