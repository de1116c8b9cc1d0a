//! The records that llm-rollups publishes once for each thing that happens: timeouts, and alerts of budgets and objectives.
//!
//! Not here: when they are told ([`crate::exchange`], [`crate::ledger`], [`crate::slo`]). Invariant: that of
//! [`crate::results`]; a key names what has happened, so that nobody is told of it twice.

use compact_str::CompactString;
use serde::Serialize;

use crate::budget::{EVERYBODY, Period};
use crate::exchange::Unanswered;
use crate::ledger::{Alert, Standing};
use crate::results::{Scope, Stamp};
use crate::series::Series;
use crate::settings::LlmSettings;
use crate::slo::{BurnAlert, Tally};

/// `llm.requests.timeout.v1`: a request that nobody answered in time, once.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timeout {
    /// From the request to the end of its patience.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// `process`, `lead` or `embedding`.
    pub exchange: &'static str,
    /// Whose.
    pub tenant: CompactString,
    /// The processing, the lead or the request of an embedding.
    pub id: CompactString,
    /// How long it waited.
    pub timeout_ms: i64,
}

impl Timeout {
    /// An unanswered request.
    pub fn of(settings: &LlmSettings, of: &Unanswered) -> Self {
        let key = format!("{}|{}|{}@{}", of.exchange.as_str(), of.tenant, of.id, of.requested.0);
        Self {
            stamp: Stamp::new(settings, key, of.requested, of.until),
            exchange: of.exchange.as_str(),
            tenant: of.tenant.clone(),
            id: of.id.clone(),
            timeout_ms: of.until.0 - of.requested.0,
        }
    }
}

/// How a budget stands, as alerts and answers show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BudgetStanding {
    /// Its id.
    pub budget: CompactString,
    /// Its version.
    pub version: u64,
    /// Whose; `*` for everybody together.
    pub tenant: CompactString,
    /// Of which user only.
    pub user: Option<CompactString>,
    /// Of which model only.
    pub model: Option<CompactString>,
    /// Which of these three the budget judges one by one: `tenant`, `user`, `model`.
    pub each: Vec<&'static str>,
    /// `day` or `month`.
    pub period: Period,
    /// Whose midnights.
    pub time_zone: CompactString,
    /// ISO 4217.
    pub currency: CompactString,
    /// The budget.
    pub amount: String,
    /// What is spent of it.
    pub spent: String,
    /// Calls that count in it and whose cost nobody knows.
    pub requests_unknown: u64,
    /// When this was so.
    pub at_ms: i64,
    /// (spent / budget) / (elapsed / period), to the thousandth.
    pub burn: Option<f64>,
    /// What will be spent at the period's end, at the rate of the last 24 hours.
    pub forecast: String,
}

impl BudgetStanding {
    /// A standing.
    pub fn of(standing: &Standing) -> Self {
        let Standing { account, at, burn, forecast } = standing;
        let (budget, whose) = (&account.budget, &account.whose);
        Self {
            budget: budget.id.clone(),
            version: budget.version,
            tenant: whose.tenant.clone().unwrap_or_else(|| EVERYBODY.into()),
            user: whose.user.clone(),
            model: whose.model.clone(),
            each: budget.each(),
            period: budget.period,
            time_zone: budget.time_zone.clone(),
            currency: budget.currency.text(),
            amount: budget.amount.to_string(),
            spent: account.spent.to_string(),
            requests_unknown: account.unknown,
            at_ms: at.0,
            burn: burn.map(thousandths),
            forecast: forecast.to_string(),
        }
    }
}

/// `llm.budget.alert.v1`: a threshold of a budget was reached, once for each version and period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BudgetAlert {
    /// Which period.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Which threshold, in percent.
    pub threshold: u16,
    /// How the budget stood at the close of the minute.
    #[serde(flatten)]
    pub standing: BudgetStanding,
}

impl BudgetAlert {
    /// An alert.
    pub fn of(settings: &LlmSettings, alert: &Alert) -> Self {
        let account = &alert.standing.account;
        let (budget, start) = (&account.budget, account.start);
        let name = budget.account(&account.whose);
        let key = format!("{name}|{}@{}@{}", budget.version, start.0, alert.threshold);
        Self {
            stamp: Stamp::new(settings, key, start, account.end),
            threshold: alert.threshold,
            standing: BudgetStanding::of(&alert.standing),
        }
    }
}

/// Calls in a window of an objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BurnWindow {
    /// How long it is.
    pub minutes: i64,
    /// Calls in it.
    pub requests: u64,
    /// Those that were not good.
    pub bad: u64,
    /// How many times as fast as allowed the budget of failures burns, to the thousandth.
    pub burn_rate: f64,
}

/// `llm.slo.alert.v1`: the budget of failures of an objective begins or ceases to burn too fast.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SloAlert {
    /// From the beginning to this minute's close.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Whose calls.
    #[serde(flatten)]
    pub scope: Scope,
    /// `errors` or `latency`.
    pub objective: &'static str,
    /// The share of calls that is to be good.
    pub target: f64,
    /// `firing` or `resolved`.
    pub state: &'static str,
    /// From which burn rate on somebody is told.
    pub factor: f64,
    /// The long window.
    pub long: BurnWindow,
    /// The short window.
    pub short: BurnWindow,
}

impl SloAlert {
    /// An alert.
    pub fn of(settings: &LlmSettings, series: &Series, alert: &BurnAlert) -> Self {
        let BurnAlert { objective, share, pair, is_burning, since, at, long, short } = alert;
        let state = if *is_burning { "firing" } else { "resolved" };
        let factor = f64::from(pair.factor_tenths) / 10.0;
        let window = |minutes, tally: &Tally| BurnWindow {
            minutes,
            requests: tally.all,
            bad: tally.bad[*objective as usize],
            burn_rate: thousandths(tally.burn(*objective, *share)),
        };
        let key = format!("{series}|{}|{factor}@{}@{state}", objective.as_str(), since.0);
        Self {
            stamp: Stamp::new(settings, key, *since, *at),
            scope: series.into(),
            objective: objective.as_str(),
            target: f64::from(*share) / 1e6,
            state,
            factor,
            long: window(pair.long, long),
            short: window(pair.short, short),
        }
    }
}

/// Rounded where a person reads it; nothing is computed from it.
fn thousandths(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}
