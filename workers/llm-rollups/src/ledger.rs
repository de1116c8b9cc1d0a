//! How the accounts of budgets stand, and who is told when.
//!
//! Not here: budgets ([`crate::budget`]), and which calls count in which account ([`crate::spending`]). Invariant: each
//! threshold of a budget's version is told once for an account and period, whatever commits and crashes lie between; what is
//! judged is everything that came before the minute's close, and nothing of it hangs on the order in which the calls of that
//! minute came.
//!
//! Burn is (spent / budget) / (elapsed / period): 1 means that the money lasts exactly as long as the period. The forecast is
//! what is spent and what the rest of the period costs at the rate of the last 24 hours of the clock, the present one among
//! them.

use compact_str::CompactString;
use processing_core::dsl::Setup;
use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::budget::{Budget, Whose};
use crate::money::{Nanos, half_even};
use crate::spending::{Debit, LATE};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 3_600_000;
/// Over how many hours of the clock the rate goes.
const RATE_HOURS: i64 = 24;

/// A period of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Of which budget, in its latest version that counted a call.
    pub budget: Budget,
    /// Whose calls it counts.
    pub whose: Whose,
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

/// What an account's calls cost in an hour of the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Hour {
    start: i64,
    spent: i128,
}

/// The periods of an account that are open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    /// By their beginning.
    pub open: Vec<Account>,
    hours: Vec<Hour>,
}

/// How an account stands at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The account, in its period.
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
    /// How the account stood at the minute's close.
    pub standing: Standing,
    /// Which one, in percent.
    pub threshold: u16,
}

impl Accounts {
    /// Takes in what a call cost.
    fn take(&mut self, debit: Debit) {
        let Debit { budget, whose, time, period: Window { start, end }, amount, .. } = debit;
        let (version, currency) = (budget.version, budget.currency);
        let place = self.open.partition_point(|open| open.start < start);
        if self.open.get(place).is_none_or(|open| open.start != start) {
            let budget = budget.clone();
            self.open.insert(place, Account { budget, whose, start, end, spent: Nanos(0), unknown: 0, told: 0 });
        }
        let Some(account) = self.open.get_mut(place) else { return };
        // A call that comes late brings a version that was in force before.
        if version > account.budget.version {
            account.budget = budget;
            account.told = 0;
        }
        match amount {
            None => account.unknown += 1,
            Some((of, amount)) if of == currency => {
                account.spent.0 += amount.0;
                self.add_to_hour(time.0 - time.0.rem_euclid(HOUR), amount.0);
            }
            Some(_) => {}
        }
    }

    fn add_to_hour(&mut self, start: i64, amount: i128) {
        match self.hours.iter_mut().find(|hour| hour.start == start) {
            Some(hour) => hour.spent += amount,
            None => self.hours.push(Hour { start, spent: amount }),
        }
    }

    /// How an account stands at `at`.
    pub fn standing(&self, account: &Account, at: EventTime) -> Standing {
        let (period, amount) = (account.end.0 - account.start.0, account.budget.amount.0);
        let elapsed = (at.0 - account.start.0).clamp(0, period);
        let burn = (account.spent.0 as f64 / amount as f64) / (elapsed as f64 / period as f64);
        let present = at.0 - at.0.rem_euclid(HOUR);
        let last = present - (RATE_HOURS - 1) * HOUR..=present;
        let of_a_day: i128 = self.hours.iter().filter(|hour| last.contains(&hour.start)).map(|hour| hour.spent).sum();
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

/// Keeps accounts, by their names.
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
    type In = Debit;
    type Out = Alert;

    fn process(&self, ctx: &mut Context<'_, '_, Self>, account: &CompactString, debit: Debit) -> Result<(), Poison> {
        let now = ctx.stream_time();
        ctx.store(&self.accounts).change(account, |row| row.get_or_insert_default().take(debit));
        let close = before(EventTime(now.0 - now.0.rem_euclid(MINUTE) + MINUTE));
        let known = ctx.timer(self.minute).unwrap_or(EventTime::MAX);
        ctx.set_timer(self.minute, close.min(known));
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<'_, '_, Self>, account: &CompactString, _: Timer) -> Result<(), Poison> {
        let now = ctx.stream_time().plus(DurationMs(1));
        let Some(mut accounts) = ctx.store(&self.accounts).get(account).cloned() else { return Ok(()) };
        for alert in accounts.judge(now) {
            ctx.forward(account.clone(), alert);
        }
        accounts.close(now);
        match accounts.open.iter().map(|account| account.end.plus(LATE)).min() {
            Some(next) => {
                ctx.set_timer(self.minute, before(next));
                ctx.store(&self.accounts).put(account, accounts);
            }
            None => ctx.store(&self.accounts).delete(account),
        }
        Ok(())
    }
}
