//! Budgets: so much money for these calls in each day or month.
//!
//! Not here: what is spent of them ([`crate::ledger`]). Invariant: a budget says of a call whether it counts, and in which
//! period, by the call alone.
//!
//! A file of budgets is TOML; a record of the topic of budgets is JSON of the same `budget` list, under the tenant's name as
//! its key (`*` for budgets over all tenants), and a tombstone withdraws them:
//!
//! ```toml
//! [[budget]]
//! id = "acme-daily"       # unique within its tenant
//! version = 2             # raised with each change; alerts come once for each version
//! tenant = "acme"         # without it: all tenants together
//! user = "u1"             # without it: all users
//! model = "gpt-4o"        # without it: all models
//! period = "day"          # or "month"
//! time_zone = "Europe/Lisbon"
//! amount = "25.00"
//! currency = "EUR"        # without it: USD; only what is paid in it counts
//! thresholds = [50, 80, 100]
//! ```

use compact_str::CompactString;
use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::money::{Currency, Nanos};

/// The tenant of budgets over all tenants.
pub const EVERYBODY: &str = "*";
/// So many budgets a tenant may have.
const BUDGETS_MAX: usize = 100;
/// Percent at which somebody is told, unless a budget says otherwise.
const THRESHOLDS: [u16; 3] = [50, 80, 100];
/// So many thresholds a budget may have.
const THRESHOLDS_MAX: usize = 8;

/// A budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Its name, unique within its tenant.
    pub id: CompactString,
    /// Rises with each change.
    pub version: u64,
    /// Whose calls; [`EVERYBODY`] for all of them.
    pub tenant: CompactString,
    /// Of which user only.
    pub user: Option<CompactString>,
    /// Of which model only.
    pub model: Option<CompactString>,
    /// For how long it is.
    pub period: Period,
    /// An IANA name.
    pub time_zone: CompactString,
    /// How much; above 0.
    pub amount: Nanos,
    /// Of what.
    pub currency: Currency,
    /// Percent of the amount, ascending.
    pub thresholds: Vec<u16>,
}

/// For how long a budget is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A day, from midnight to midnight in the budget's time zone.
    Day,
    /// A month, from its first midnight in the budget's time zone.
    Month,
}

impl Budget {
    /// Whether a call of this user with this model counts.
    pub fn covers(&self, user: Option<&str>, model: &str) -> bool {
        self.user.as_deref().is_none_or(|wanted| user == Some(wanted))
            && self.model.as_deref().is_none_or(|wanted| model.eq_ignore_ascii_case(wanted))
    }

    /// The period that holds `time`.
    pub fn period_at(&self, time: EventTime) -> Window {
        // A time zone that cannot be read has been refused with the budget.
        let zone = self.time_zone.parse::<Tz>().unwrap_or(Tz::UTC);
        let windows = match self.period {
            Period::Day => LocalDays::of(zone).windows(),
            Period::Month => LocalMonths::of(zone).windows(),
        };
        // Only a grace can be wrong, and there is none.
        windows.map_or(Window { start: time, end: time.plus(DurationMs(1)) }, |windows| windows.window_at(time))
    }
}

/// The budgets of a tenant: a row of the topic of budgets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budgets(pub Vec<Budget>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetsText {
    #[serde(default)]
    budget: Vec<BudgetText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetText {
    id: CompactString,
    version: Option<u64>,
    tenant: Option<CompactString>,
    user: Option<CompactString>,
    model: Option<CompactString>,
    period: Period,
    time_zone: Option<CompactString>,
    amount: String,
    currency: Option<String>,
    thresholds: Option<Vec<u16>>,
}

impl Budgets {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong, and with which budget.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        Self::compiled(toml::from_str(text).map_err(|error| error.to_string())?)
    }

    /// Reads a record of the topic of budgets.
    ///
    /// # Errors
    /// What is wrong, and with which budget.
    pub fn from_json(text: &[u8]) -> Result<Self, String> {
        Self::compiled(serde_json::from_slice(text).map_err(|error| error.to_string())?)
    }

    fn compiled(text: BudgetsText) -> Result<Self, String> {
        let budgets = text.budget.into_iter().map(BudgetText::compile).collect::<Result<Vec<_>, _>>()?;
        for (place, budget) in budgets.iter().enumerate() {
            let is_same = |other: &&Budget| (&other.tenant, &other.id) == (&budget.tenant, &budget.id);
            if budgets.iter().take(place).any(|other| is_same(&other)) {
                return Err(format!("two budgets of the tenant `{}` have the id `{}`", budget.tenant, budget.id));
            }
            if budgets.iter().filter(|other| other.tenant == budget.tenant).count() > BUDGETS_MAX {
                return Err(format!("the tenant `{}` has more than {BUDGETS_MAX} budgets", budget.tenant));
            }
        }
        Ok(Self(budgets))
    }

    /// Those of a tenant.
    pub fn of<'a>(&'a self, tenant: &'a str) -> impl Iterator<Item = &'a Budget> + 'a {
        self.0.iter().filter(move |budget| budget.tenant == tenant)
    }
}

impl BudgetText {
    fn compile(self) -> Result<Budget, String> {
        let id = self.id;
        let wrong = |what: String| Err(format!("budget `{id}`: {what}"));
        let time_zone = self.time_zone.unwrap_or_else(|| "UTC".into());
        if time_zone.parse::<Tz>().is_err() {
            return wrong(format!("`time_zone` takes an IANA name such as Europe/Lisbon, not `{time_zone}`"));
        }
        let amount = match Nanos::of_text(&self.amount) {
            Some(amount) if amount > Nanos(0) => amount,
            _ => return wrong(format!("`amount` takes a decimal number above 0, not `{}`", self.amount)),
        };
        let currency = match &self.currency {
            None => Currency::USD,
            Some(text) => match Currency::of(text) {
                Some(currency) => currency,
                None => return wrong(format!("`currency` takes three letters such as EUR, not `{text}`")),
            },
        };
        let mut thresholds = self.thresholds.unwrap_or_else(|| THRESHOLDS.to_vec());
        thresholds.sort_unstable();
        thresholds.dedup();
        if thresholds.len() > THRESHOLDS_MAX || thresholds.iter().any(|percent| !(1..=1_000).contains(percent)) {
            return wrong(format!("`thresholds` takes at most {THRESHOLDS_MAX} numbers of percent from 1 to 1000"));
        }
        Ok(Budget {
            id,
            version: self.version.unwrap_or(1),
            tenant: self.tenant.unwrap_or_else(|| EVERYBODY.into()),
            user: self.user,
            model: self.model,
            period: self.period,
            time_zone,
            amount,
            currency,
            thresholds,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use super::*;

    fn read(more: &str) -> Result<Budget, String> {
        let text = format!("[[budget]]\nid = \"b\"\nperiod = \"day\"\n{more}");
        Budgets::from_toml(&text).map(|budgets| budgets.0[0].clone())
    }

    #[test]
    fn what_a_budget_does_not_say_has_its_default() {
        let budget = read("amount = \"1.5\"").unwrap();
        assert_eq!((budget.tenant.as_str(), budget.version, &*budget.thresholds), ("*", 1, &[50, 80, 100][..]));
        assert_eq!((budget.amount, budget.currency), (Nanos(1_500_000_000), Currency::USD));
        let same = Budgets::from_json(br#"{"budget": [{"id": "b", "period": "day", "amount": "1.5"}]}"#).unwrap();
        assert_eq!(same.0, [budget]);
    }

    #[test]
    fn what_is_wrong_is_told_with_the_budgets_id() {
        for (more, part) in [
            ("amount = \"0\"", "budget `b`: `amount` takes a decimal number above 0"),
            ("amount = \"1\"\ntime_zone = \"Lisbon\"", "not `Lisbon`"),
            ("amount = \"1\"\ncurrency = \"Euro\"", "not `Euro`"),
            ("amount = \"1\"\nthresholds = [0]", "percent from 1 to 1000"),
            ("amount = \"1\"\nlimit = 3", "unknown field `limit`"),
            ("amount = \"1\"\n[[budget]]\nid = \"b\"\nperiod = \"month\"\namount = \"2\"", "have the id `b`"),
        ] {
            let told = read(more).unwrap_err();
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn a_period_is_a_local_one() {
        let budget = read("amount = \"1\"\ntime_zone = \"Europe/Lisbon\"").unwrap();
        // 2026-03-29, when the clocks go forward: a day of 23 hours.
        let day = budget.period_at(EventTime(1_774_785_600_000));
        assert_eq!(day.end.0 - day.start.0, 23 * 3_600_000);
    }

    #[test]
    fn a_call_counts_by_its_user_and_model() {
        let budget = Budget { user: Some("u".into()), model: Some("GPT".into()), ..read("amount = \"1\"").unwrap() };
        assert!(budget.covers(Some("u"), "gpt"));
        for (user, model) in [(None, "gpt"), (Some("v"), "gpt"), (Some("u"), "gpt-4")] {
            assert!(!budget.covers(user, model));
        }
    }
}
