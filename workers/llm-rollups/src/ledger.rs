//! What is spent of each budget, and who is told when.
//!
//! Not here: budgets ([`crate::budget`]). Invariant: each threshold of a budget's version is told once in a period, whatever
//! commits and crashes lie between; what is judged is everything that came before the minute's close, and nothing of it
//! hangs on the order in which the calls of that minute came.
//!
//! A call counts in the period of its own time, until 24 hours after the period's end. Burn is (spent / budget) / (elapsed
//! / period): 1 means that the money lasts exactly as long as the period. The forecast is what is spent and what the rest of
//! the period costs at the rate of the last 24 hours of the clock, the present one among them.

use compact_str::CompactString;
use events::identity::IdHash;
use processing_core::dsl::Setup;
use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::budget::{Budget, Budgets};
use crate::money::{Currency, Nanos, half_even};

/// How long after its end a period still takes in what comes late.
pub const LATE: DurationMs = DurationMs::hours(24);
const MINUTE: i64 = 60_000;
const HOUR: i64 = 3_600_000;
/// Over how many hours of the clock the rate goes.
const RATE_HOURS: i64 = 24;

/// What a call cost, for those whose budgets it counts in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    /// By which it is known when it comes again.
    pub id: IdHash,
    /// When the call was made.
    pub time: EventTime,
    /// Whose budgets: a tenant, or [`crate::budget::EVERYBODY`].
    pub tenant: CompactString,
    /// Who called.
    pub user: Option<CompactString>,
    /// Which model.
    pub model: CompactString,
    /// How much, where it is known.
    pub amount: Option<(Currency, Nanos)>,
}

/// A call's cost and the budgets in which it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// When the call was made.
    pub time: EventTime,
    /// How much, where it is known.
    pub amount: Option<(Currency, Nanos)>,
    /// In which budgets.
    pub budgets: Vec<Budget>,
}

/// A period of a budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Of which budget, in its latest version that counted a call.
    pub budget: Budget,
    /// When the period began.
    pub start: EventTime,
    /// The first moment that is no longer in it.
    pub end: EventTime,
    /// What calls in it cost, in the budget's currency.
    pub spent: Nanos,
    /// How many calls in it cost what nobody knows.
    pub unknown: u64,
    /// Of the version's thresholds so many were told, from the lowest.
    told: u8,
}

/// What a budget's calls cost in an hour of the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Hour {
    budget: CompactString,
    start: i64,
    spent: i128,
}

/// All accounts of a tenant that are open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    /// By budget and period.
    pub open: Vec<Account>,
    hours: Vec<Hour>,
}

/// How a budget stands at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The period.
    pub account: Account,
    /// When it is judged.
    pub at: EventTime,
    /// (spent / budget) / (elapsed / period); `None` in the first millisecond.
    pub burn: Option<f64>,
    /// What will have been spent at the period's end.
    pub forecast: Nanos,
}

/// A threshold that was reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// How the budget stood at the minute's close.
    pub standing: Standing,
    /// Which one, in percent.
    pub threshold: u16,
}

impl Spending {
    /// What it has in common with itself when it comes again: an event is spent of a tenant's budgets and of everybody's.
    pub fn of_event(&self) -> (CompactString, u64) {
        (self.tenant.clone(), self.id.get())
    }
}

impl Charge {
    /// What was spent, with the budgets of its tenant in which it counts: of the operator's file, and of the tenant's row.
    pub fn of(file: &Budgets, row: Option<&Budgets>, spending: &Spending) -> Self {
        // Whose a row is, its key says.
        let theirs = |budget: &Budget| Budget { tenant: spending.tenant.clone(), ..budget.clone() };
        let of_row = row.into_iter().flat_map(|row| &row.0).map(theirs);
        // A row's budget stands before one of the file that has its id.
        let is_replaced = |own: &&Budget| row.is_none_or(|row| row.0.iter().all(|other| other.id != own.id));
        let own = file.of(&spending.tenant).filter(is_replaced).cloned().chain(of_row);
        let budgets = own.filter(|budget| budget.covers(spending.user.as_deref(), &spending.model)).collect();
        Self { time: spending.time, amount: spending.amount, budgets }
    }
}

impl Accounts {
    /// Takes in what a call cost; `false` where a period that it counts in is over for good.
    fn charge(&mut self, charge: &Charge, now: EventTime) -> bool {
        let time = charge.time;
        let mut is_taken = true;
        for budget in &charge.budgets {
            let period = budget.period_at(time);
            if now >= period.end.plus(LATE) {
                is_taken = false;
                continue;
            }
            let known = self.open.iter().position(|open| open.budget.id == budget.id && open.start == period.start);
            let place = known.unwrap_or_else(|| {
                let (budget, spent) = (budget.clone(), Nanos(0));
                self.open.push(Account { budget, start: period.start, end: period.end, spent, unknown: 0, told: 0 });
                self.open.len() - 1
            });
            let Some(account) = self.open.get_mut(place) else { continue };
            // A call that comes late brings a version that was in force before.
            if budget.version > account.budget.version {
                account.budget = budget.clone();
                account.told = 0;
            }
            match charge.amount {
                None => account.unknown += 1,
                Some((currency, amount)) if currency == budget.currency => {
                    account.spent.0 += amount.0;
                    self.add_to_hour(&budget.id, time.0 - time.0.rem_euclid(HOUR), amount.0);
                }
                Some(_) => {}
            }
        }
        is_taken
    }

    fn add_to_hour(&mut self, budget: &CompactString, start: i64, amount: i128) {
        match self.hours.iter_mut().find(|hour| hour.start == start && hour.budget == *budget) {
            Some(hour) => hour.spent += amount,
            None => self.hours.push(Hour { budget: budget.clone(), start, spent: amount }),
        }
    }

    /// How an account stands at `at`.
    pub fn standing(&self, account: &Account, at: EventTime) -> Standing {
        let (period, amount) = (account.end.0 - account.start.0, account.budget.amount.0);
        let elapsed = (at.0 - account.start.0).clamp(0, period);
        let burn = (account.spent.0 as f64 / amount as f64) / (elapsed as f64 / period as f64);
        let present = at.0 - at.0.rem_euclid(HOUR);
        let last = present - (RATE_HOURS - 1) * HOUR..=present;
        let hours = self.hours.iter().filter(|hour| hour.budget == account.budget.id && last.contains(&hour.start));
        let of_a_day: i128 = hours.map(|hour| hour.spent).sum();
        // Sums of money and a day's milliseconds are far below 2^64 each.
        let rest = half_even(of_a_day * i128::from(period - elapsed), i128::from(RATE_HOURS * HOUR));
        Standing {
            account: account.clone(),
            at,
            burn: (elapsed > 0).then_some(burn),
            forecast: Nanos(account.spent.0 + rest),
        }
    }

    /// Thresholds that are reached and were not told, which then are.
    fn judge(&mut self, at: EventTime) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for place in 0..self.open.len() {
            let Some(account) = self.open.get(place) else { continue };
            let (spent, amount) = (account.spent.0, account.budget.amount.0);
            let is_reached = |percent: &&u16| spent * 100 >= amount * i128::from(**percent);
            let reached = account.budget.thresholds.iter().filter(is_reached).count();
            let told = usize::from(account.told);
            if reached <= told {
                continue;
            }
            let standing = self.standing(account, at);
            let fresh = account.budget.thresholds.iter().take(reached).skip(told);
            alerts.extend(fresh.map(|threshold| Alert { standing: standing.clone(), threshold: *threshold }));
            if let Some(account) = self.open.get_mut(place) {
                account.told = u8::try_from(reached).unwrap_or(u8::MAX);
            }
        }
        alerts
    }

    /// Lets go what nothing comes to any more.
    fn close(&mut self, now: EventTime) {
        self.open.retain(|account| account.end.plus(LATE) > now);
        let first = now.0 - now.0.rem_euclid(HOUR) - RATE_HOURS * HOUR;
        self.hours.retain(|hour| hour.start >= first);
    }
}

/// Passes on what is spent as of the moment at which it takes effect. So what comes late meets the budgets that are in
/// force when it comes, and a join with them finds nothing that is late.
#[derive(Clone)]
pub struct AsItComes {
    waiting: KeyValueStore<CompactString, Vec<Spending>>,
    moment: Timer,
}

impl AsItComes {
    /// Declares what it keeps.
    pub fn declare(setup: &mut Setup<CompactString>) -> Self {
        Self { waiting: setup.key_value_store("spendings-of-a-moment"), moment: setup.timer("moment") }
    }
}

impl Processor for AsItComes {
    type Key = CompactString;
    type In = Spending;
    type Out = Spending;

    fn process(&self, ctx: &mut Context<'_, '_, Self>, tenant: &CompactString, spent: Spending) -> Result<(), Poison> {
        ctx.store(&self.waiting).change(tenant, |row| row.get_or_insert_default().push(spent));
        let now = ctx.stream_time();
        ctx.set_timer(self.moment, now);
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<'_, '_, Self>, tenant: &CompactString, _: Timer) -> Result<(), Poison> {
        let waiting = ctx.store(&self.waiting).get(tenant).cloned().unwrap_or_default();
        ctx.store(&self.waiting).delete(tenant);
        waiting.into_iter().for_each(|spent| ctx.forward(tenant.clone(), spent));
        Ok(())
    }
}

/// Keeps the accounts of each tenant.
#[derive(Clone)]
pub struct Ledger {
    accounts: KeyValueStore<CompactString, Accounts>,
    minute: Timer,
}

impl Ledger {
    /// Declares what it keeps.
    pub fn declare(setup: &mut Setup<CompactString>) -> Self {
        Self { accounts: setup.key_value_store(ACCOUNTS), minute: setup.timer("minute") }
    }
}

/// A timer comes behind all records of its moment: those of the last millisecond count, those of the next minute do not.
fn before(time: EventTime) -> EventTime {
    time.minus(DurationMs(1))
}

/// The store of accounts.
pub const ACCOUNTS: &str = "budget-accounts";

impl Processor for Ledger {
    type Key = CompactString;
    type In = Charge;
    type Out = Alert;

    fn process(&self, ctx: &mut Context<'_, '_, Self>, tenant: &CompactString, charge: Charge) -> Result<(), Poison> {
        let now = ctx.stream_time();
        let mut is_taken = true;
        ctx.store(&self.accounts).change(tenant, |row| {
            is_taken = row.get_or_insert_default().charge(&charge, now);
        });
        let close = before(EventTime(now.0 - now.0.rem_euclid(MINUTE) + MINUTE));
        let known = ctx.timer(self.minute).unwrap_or(EventTime::MAX);
        ctx.set_timer(self.minute, close.min(known));
        if is_taken {
            return Ok(());
        }
        Err(Poison::new("late_for_budget", "its budget's period ended more than 24 hours ago"))
    }

    fn on_timer(&self, ctx: &mut Context<'_, '_, Self>, tenant: &CompactString, _: Timer) -> Result<(), Poison> {
        let now = ctx.stream_time().plus(DurationMs(1));
        let Some(mut accounts) = ctx.store(&self.accounts).get(tenant).cloned() else { return Ok(()) };
        for alert in accounts.judge(now) {
            ctx.forward(tenant.clone(), alert);
        }
        accounts.close(now);
        match accounts.open.iter().map(|account| account.end.plus(LATE)).min() {
            Some(next) => {
                ctx.set_timer(self.minute, before(next));
                ctx.store(&self.accounts).put(tenant, accounts);
            }
            None => ctx.store(&self.accounts).delete(tenant),
        }
        Ok(())
    }
}
