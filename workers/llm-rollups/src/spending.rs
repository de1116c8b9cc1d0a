//! What a call spends, and of which accounts of budgets.
//!
//! A call counts once in each budget that is in force when it comes, in the period of its own time, until 24 hours after the
//! period's end. Ids are remembered for as long: those of calls that count in months for 36 days of event time, others for
//! five; a call that comes again at most a day apart in its own time is the same one. The rows are on disk, as many as such
//! calls come in so many days.
//!
//! A budget for each has at most so many accounts in a period as `budgets.names.max` says, and those that begin in the
//! minute in which it is reached; calls of others are counted (`stream_records_dropped_total`, `budget_names`).
//!
//! Not here: budgets ([`crate::budget`]), and how accounts stand ([`crate::ledger`]). Invariant: whether a call counts hangs
//! on the moments at which calls come, and not on the order within a minute.

use compact_str::CompactString;
use events::identity::IdHash;
use processing_core::dsl::Setup;
use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::budget::{Budget, Budgets, Caller, Period, Whose};
use crate::money::{Currency, Nanos};

/// How long after its end a period still takes in what comes late.
pub const LATE: DurationMs = DurationMs::hours(24);
const MINUTE: i64 = 60_000;
const DAY: DurationMs = DurationMs::hours(24);
/// A day of 25 hours takes calls in for two days after it began, and a call may come again under a time a day apart; ids
/// stand under the midnight before their time.
const DAYS_KEPT: DurationMs = DurationMs::hours(24 * 5);
/// The same of a month of 31 days.
const MONTHS_KEPT: DurationMs = DurationMs::hours(24 * 36);

/// What a call cost, for those whose budgets it counts in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    /// By which it is known when it comes again.
    pub id: IdHash,
    /// When the call was made.
    pub time: EventTime,
    /// Whose budgets: a tenant, or [`crate::budget::EVERYBODY`].
    pub owner: CompactString,
    /// Whose call.
    pub caller: Caller,
    /// How much, where it is known.
    pub amount: Option<(Currency, Nanos)>,
}

/// A call's cost and the accounts in which it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// By which it is known when it comes again.
    pub id: IdHash,
    /// When the call was made.
    pub time: EventTime,
    /// How much, where it is known.
    pub amount: Option<(Currency, Nanos)>,
    /// In which budgets, and in which account of each.
    pub budgets: Vec<(Budget, Whose)>,
}

/// What a call cost, in one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debit {
    /// The account's name.
    pub account: CompactString,
    /// The budget.
    pub budget: Budget,
    /// Whose account it is.
    pub whose: Whose,
    /// When the call was made.
    pub time: EventTime,
    /// The period that it counts in.
    pub period: Window,
    /// How much, where it is known.
    pub amount: Option<(Currency, Nanos)>,
}

/// What becomes of a charge in one of its accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// It counts.
    Debit(Box<Debit>),
    /// The call has come before.
    Repeated,
    /// Its budget has too many accounts.
    OneTooMany,
}

impl Admitted {
    /// What counts, if it does.
    pub fn debit(self) -> Option<Debit> {
        if let Self::Debit(debit) = self { Some(*debit) } else { None }
    }
}

impl Charge {
    /// What was spent, with the budgets of its owner in which it counts: of the operator's file, and of the owner's row.
    pub fn of(file: &Budgets, row: Option<&Budgets>, spending: &Spending) -> Self {
        let of_row = row.into_iter().flat_map(|row| row.under(&spending.owner));
        // A row's budget stands before one of the file that has its id.
        let is_replaced = |own: &&Budget| row.is_none_or(|row| row.0.iter().all(|other| other.id != own.id));
        let own = file.of(&spending.owner).filter(is_replaced).cloned().chain(of_row);
        let budgets = own.filter_map(|budget| budget.account_of(&spending.caller).map(|whose| (budget, whose)));
        Self { id: spending.id, time: spending.time, amount: spending.amount, budgets: budgets.collect() }
    }
}

/// How many accounts a budget has in a period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Names {
    /// The last minute in which one began.
    minute: i64,
    /// How many there were when it began.
    before: u64,
    /// How many have begun in it.
    within: u64,
}

impl Names {
    /// Takes one more in at this minute, unless there were enough when the minute began.
    fn admit(&mut self, minute: i64, most: u64) -> bool {
        if self.minute < minute {
            *self = Self { minute, before: self.before + self.within, within: 0 };
        }
        let has_room = self.before < most;
        self.within += u64::from(has_room);
        has_room
    }
}

/// What is remembered of a kind of periods.
#[derive(Clone, Copy)]
struct Memory {
    /// Ids of calls by owner, under the midnight before their time.
    ids: WindowedStore<(CompactString, u64), bool>,
    /// Accounts of budgets for each, under the beginning of their period.
    accounts: WindowedStore<CompactString, bool>,
    /// How many these are, by owner and budget.
    names: WindowedStore<(CompactString, CompactString), Names>,
}

/// Lets each call count once, and not in more accounts than there may be.
#[derive(Clone)]
pub struct Admission {
    names_max: u64,
    days: Memory,
    months: Memory,
}

impl Admission {
    /// Declares what it keeps.
    pub fn declare(setup: &mut Setup<CompactString>, names_max: u64) -> Self {
        Self {
            names_max,
            days: Memory {
                ids: setup.windowed_store("budget-calls-of-days", DAYS_KEPT),
                accounts: setup.windowed_store("budget-accounts-of-days", DAYS_KEPT),
                names: setup.windowed_store("budget-names-of-days", DAYS_KEPT),
            },
            months: Memory {
                ids: setup.windowed_store("budget-calls-of-months", MONTHS_KEPT),
                accounts: setup.windowed_store("budget-accounts-of-months", MONTHS_KEPT),
                names: setup.windowed_store("budget-names-of-months", MONTHS_KEPT),
            },
        }
    }

    fn memory(&self, period: Period) -> &Memory {
        match period {
            Period::Day => &self.days,
            Period::Month => &self.months,
        }
    }

    /// Whether a call has come before; it is remembered from here on.
    fn is_repeated(
        &self,
        ctx: &mut Context<'_, '_, Self>,
        owner: &CompactString,
        charge: &Charge,
        has_months: bool,
    ) -> bool {
        let id = (owner.clone(), charge.id.get());
        let day = EventTime(charge.time.0 - charge.time.0.rem_euclid(DAY.0));
        // Whatever counts is among those of days: the budgets of the call that comes again may be others.
        let memories = [Some(&self.days), has_months.then_some(&self.months)];
        let is_known = memories.iter().flatten().any(|memory| {
            [day, day.minus(DAY), day.plus(DAY)].iter().any(|day| ctx.store(&memory.ids).get(&id, *day).is_some())
        });
        if !is_known {
            for memory in memories.into_iter().flatten() {
                ctx.store(&memory.ids).put(&id, day, &true);
            }
        }
        is_known
    }

    /// Whether a budget for each has this account in the period, or may have one more.
    fn has_room(&self, ctx: &mut Context<'_, '_, Self>, owner: &CompactString, debit: &Debit) -> bool {
        let Memory { accounts, names, .. } = self.memory(debit.budget.period);
        let start = debit.period.start;
        if debit.budget.each().is_empty() || ctx.store(accounts).get(&debit.account, start).is_some() {
            return true;
        }
        let of_budget = (owner.clone(), debit.budget.id.clone());
        let mut known = ctx.store(names).get(&of_budget, start).unwrap_or_default();
        let now = ctx.stream_time().0;
        if !known.admit(now - now.rem_euclid(MINUTE), self.names_max) {
            return false;
        }
        ctx.store(names).put(&of_budget, start, &known);
        ctx.store(accounts).put(&debit.account, start, &true);
        true
    }
}

impl Processor for Admission {
    type Key = CompactString;
    type In = Charge;
    type Out = Admitted;

    fn process(&self, ctx: &mut Context<'_, '_, Self>, owner: &CompactString, charge: Charge) -> Result<(), Poison> {
        let (now, time, amount) = (ctx.stream_time(), charge.time, charge.amount);
        let mut debits = Vec::with_capacity(charge.budgets.len());
        for (budget, whose) in &charge.budgets {
            let period = budget.period_at(time);
            if now < period.end.plus(LATE) {
                let (account, budget, whose) = (budget.account(whose), budget.clone(), whose.clone());
                debits.push(Debit { account, budget, whose, time, period, amount });
            }
        }
        let is_late = debits.len() < charge.budgets.len();
        let has_months = debits.iter().any(|debit| debit.budget.period == Period::Month);
        if !debits.is_empty() && self.is_repeated(ctx, owner, &charge, has_months) {
            ctx.forward(owner.clone(), Admitted::Repeated);
            return Ok(());
        }
        for debit in debits {
            let has_room = self.has_room(ctx, owner, &debit);
            let admitted = if has_room { Admitted::Debit(Box::new(debit)) } else { Admitted::OneTooMany };
            ctx.forward(owner.clone(), admitted);
        }
        if is_late {
            return Err(Poison::new("late_for_budget", "its budget's period ended more than 24 hours ago"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    /// Who is admitted does not hang on the order within a minute.
    #[test]
    fn a_minute_that_begins_below_the_bound_takes_all_in() {
        let mut names = Names::default();
        assert!((0..5).all(|_| names.admit(60_000, 3)));
        assert!((0..5).all(|_| !names.admit(120_000, 3)));
        assert_eq!(names.before, 5);
    }
}
