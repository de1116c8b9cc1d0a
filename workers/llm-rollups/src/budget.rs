//! Budgets: so much money for these calls in each day or month.
//!
//! Not here: what is spent of them ([`crate::ledger`]). Invariant: a budget says of a call whether it counts, in which
//! account and in which period, by the call alone.
//!
//! A file of budgets is TOML; a record of the topic of budgets is JSON of the same `budget` list, under the tenant's name as
//! its key (`*` for budgets over all tenants), and a tombstone withdraws them:
//!
//! ```toml
//! [[budget]]
//! id = "acme-daily"       # unique within its tenant
//! version = 2             # raised with each change; alerts come once for each version
//! tenant = "acme"         # without it: all tenants together; "*": each tenant for itself
//! user = "u1"             # without it: all users together; "*": each user for itself
//! model = "gpt-4o"        # without it: all models together; "*": each model for itself
//! period = "day"          # or "month"
//! time_zone = "Europe/Lisbon"
//! amount = "25.00"
//! currency = "EUR"        # without it: USD; only what is paid in it counts
//! thresholds = [50, 80, 100]
//! ```
//! What is for each counts calls that name one: a call without a user is in no account of a budget for each user.

use compact_str::{CompactString, format_compact};
use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::card::lower;
use crate::money::{Currency, Nanos};

/// Whose budgets those over all tenants are, together or each for itself; it also stands for each user and each model.
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
    /// Of which tenants.
    pub tenant: Over,
    /// Of which users.
    pub user: Over,
    /// Of which models, in any case of letters.
    pub model: Over,
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

/// Whose calls a budget is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Over {
    /// Those of all, together.
    All,
    /// Those of each for itself.
    Each,
    /// Those of this one.
    Only(CompactString),
}

/// Whose a call is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The tenant.
    pub tenant: CompactString,
    /// The user, if it names one.
    pub user: Option<CompactString>,
    /// The model, if it names one.
    pub model: Option<CompactString>,
}

/// Whose calls an account of a budget is over; `None` for those of all together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whose {
    /// The tenant.
    pub tenant: Option<CompactString>,
    /// The user.
    pub user: Option<CompactString>,
    /// The model; in small letters where the budget is for each.
    pub model: Option<CompactString>,
}

impl Over {
    fn of(text: Option<CompactString>) -> Self {
        match text {
            None => Self::All,
            Some(text) if text == EVERYBODY => Self::Each,
            Some(text) => Self::Only(text),
        }
    }

    /// Whom a call of `name` is counted for; `None` where it does not count.
    fn counted(&self, name: Option<&str>, is_same: fn(&str, &str) -> bool) -> Option<Option<CompactString>> {
        match self {
            Self::All => Some(None),
            Self::Each => name.map(|name| Some(name.into())),
            Self::Only(wanted) => name.is_some_and(|name| is_same(name, wanted)).then(|| Some(wanted.clone())),
        }
    }
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
    /// Under whose name it is kept: a tenant's, or [`EVERYBODY`].
    pub fn owner(&self) -> &str {
        match &self.tenant {
            Over::Only(tenant) => tenant,
            Over::All | Over::Each => EVERYBODY,
        }
    }

    /// In which account a call counts; `None` where it counts in none.
    pub fn account_of(&self, call: &Caller) -> Option<Whose> {
        let model =
            call.model.as_deref().map(|model| if self.model == Over::Each { lower(model) } else { model.into() });
        Some(Whose {
            tenant: self.tenant.counted(Some(&call.tenant), |a, b| a == b)?,
            user: self.user.counted(call.user.as_deref(), |a, b| a == b)?,
            model: self.model.counted(model.as_deref(), str::eq_ignore_ascii_case)?,
        })
    }

    /// For whom it is judged one by one: `tenant`, `user`, `model`.
    pub fn each(&self) -> Vec<&'static str> {
        let parts = [("tenant", &self.tenant), ("user", &self.user), ("model", &self.model)];
        parts.into_iter().filter(|(_, over)| **over == Over::Each).map(|(name, _)| name).collect()
    }

    /// The account's name: `owner|id`, and behind it whose it is where the budget is for each: `acme|seats|user=u1`. In a
    /// part, % and | are written %25 and %7C.
    pub fn account(&self, whose: &Whose) -> CompactString {
        let mut key = format_compact!("{}|{}", written(self.owner()), written(&self.id));
        for (name, over, value) in [
            ("tenant", &self.tenant, &whose.tenant),
            ("user", &self.user, &whose.user),
            ("model", &self.model, &whose.model),
        ] {
            if let (Over::Each, Some(value)) = (over, value) {
                key.push_str(&format_compact!("|{name}={}", written(value)));
            }
        }
        key
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

fn written(part: &str) -> CompactString {
    if part.contains(['%', '|']) { part.replace('%', "%25").replace('|', "%7C").into() } else { part.into() }
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
            let owner = budget.owner();
            if budgets.iter().take(place).any(|other| other.owner() == owner && other.id == budget.id) {
                return Err(format!("two budgets of the tenant `{owner}` have the id `{}`", budget.id));
            }
            if budgets.iter().filter(|other| other.owner() == owner).count() > BUDGETS_MAX {
                return Err(format!("the tenant `{owner}` has more than {BUDGETS_MAX} budgets"));
            }
        }
        Ok(Self(budgets))
    }

    /// Those that are kept under a name.
    pub fn of<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a Budget> + 'a {
        self.0.iter().filter(move |budget| budget.owner() == owner)
    }

    /// Those of a record with this key, which says whose they are.
    pub fn under<'a>(&'a self, key: &'a str) -> impl Iterator<Item = Budget> + 'a {
        self.0.iter().map(move |budget| {
            let tenant = match (key, &budget.tenant) {
                (EVERYBODY, Over::Each) => Over::Each,
                (EVERYBODY, _) => Over::All,
                _ => Over::Only(key.into()),
            };
            Budget { tenant, ..budget.clone() }
        })
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
            tenant: Over::of(self.tenant),
            user: Over::of(self.user),
            model: Over::of(self.model),
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
        assert_eq!((budget.owner(), budget.version, &*budget.thresholds), ("*", 1, &[50, 80, 100][..]));
        assert_eq!([&budget.tenant, &budget.user, &budget.model], [&Over::All; 3]);
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

    fn call(tenant: &str, user: Option<&str>, model: Option<&str>) -> Caller {
        Caller { tenant: tenant.into(), user: user.map(CompactString::from), model: model.map(CompactString::from) }
    }

    #[test]
    fn a_call_counts_by_its_user_and_model() {
        let budget = read("amount = \"1\"\nuser = \"u\"\nmodel = \"GPT\"").unwrap();
        let found = budget.account_of(&call("t", Some("u"), Some("gpt"))).unwrap();
        assert_eq!((budget.account(&found).as_str(), found.user.as_deref()), ("*|b", Some("u")));
        for (user, model) in
            [(None, Some("gpt")), (Some("v"), Some("gpt")), (Some("u"), Some("gpt-4")), (Some("u"), None)]
        {
            assert_eq!(budget.account_of(&call("t", user, model)), None);
        }
    }

    #[test]
    fn what_is_for_each_has_an_account_for_each() {
        let budget = read("amount = \"1\"\ntenant = \"*\"\nuser = \"*\"\nmodel = \"*\"").unwrap();
        assert_eq!((budget.owner(), budget.each()), ("*", vec!["tenant", "user", "model"]));
        let account = |user: &str, model: &str| {
            let found = budget.account_of(&call("acme", Some(user), Some(model)));
            budget.account(&found.unwrap()).to_string()
        };
        assert_eq!(account("a@b", "GPT-4o"), "*|b|tenant=acme|user=a@b|model=gpt-4o");
        // No name passes for another one's.
        assert_eq!(account("u|model=x%", "y"), "*|b|tenant=acme|user=u%7Cmodel=x%25|model=y");
        assert_eq!(budget.account_of(&call("acme", None, Some("m"))), None);
        // Under a tenant's key, a budget is that tenant's.
        let rows = Budgets(vec![budget]);
        let of_key = |key| rows.under(key).map(|budget| budget.tenant).collect::<Vec<_>>();
        assert_eq!((of_key("acme"), of_key("*")), (vec![Over::Only("acme".into())], vec![Over::Each]));
    }
}
