//! Objectives for errors and latency, and who burns their budget of failures how fast.
//!
//! Multiwindow, multi-burn-rate alerts of the Site Reliability Workbook (Beyer and others 2018, chapter 5, table 5-8, and 6
//! hours behind the slowest): somebody is told when the failures of the long window and those of the short one both burn
//! the error budget at least so many times as fast as the objective allows, and again when they do not any more.
//!
//! | factor | long window | short window |
//! |---|---|---|
//! | 14.4 | 1 h | 5 min |
//! | 6 | 6 h | 30 min |
//! | 3 | 1 d | 2 h |
//! | 1 | 3 d | 6 h |
//!
//! Not here: what is an error and what is slow ([`crate::rollup`]). Invariant: a state is told once when it begins and once
//! when it ends; it is judged at the close of each minute in which the series had calls, and of every minute while it lasts.

use processing_core::dsl::Setup;
use processing_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::rollup::Rollup;
use crate::series::Series;

const MINUTE: i64 = 60_000;
/// The windows, in minutes.
const WINDOWS: [i64; 7] = [5, 30, 60, 120, 360, 1_440, 4_320];
/// A series is forgotten when all its windows are empty.
const LONGEST: i64 = WINDOWS[WINDOWS.len() - 1] * MINUTE;
/// The store of minutes holds what the longest window still has to take out again.
const KEPT: DurationMs = DurationMs::minutes(4_320 + 60);
/// Shares are in so many parts.
const WHOLE: u32 = 1_000_000;

/// A burn rate and the windows in which it must be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// In tenths.
    pub factor_tenths: u32,
    /// Minutes.
    pub long: i64,
    /// Minutes.
    pub short: i64,
}

/// The pairs.
pub const PAIRS: [Pair; 4] = [
    Pair { factor_tenths: 144, long: 60, short: 5 },
    Pair { factor_tenths: 60, long: 360, short: 30 },
    Pair { factor_tenths: 30, long: 1_440, short: 120 },
    Pair { factor_tenths: 10, long: 4_320, short: 360 },
];

/// What is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Calls succeed.
    Errors,
    /// Calls are fast enough.
    Latency,
}

impl Objective {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Errors, Self::Latency];

    /// As results name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Latency => "latency",
        }
    }
}

/// The shares of calls that are to be good, in millionths, below 1 000 000; `None` where nothing is to be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Targets {
    /// By [`Objective`].
    pub shares: [Option<u32>; Objective::ALL.len()],
    /// So many calls each of the two windows must hold before somebody is told that the budget burns: one failure of three
    /// calls is no burn rate. That it burns no more is told of any number: thin traffic would else come and go.
    pub calls_min: u64,
}

/// A closed minute of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinuteOfCalls {
    /// When it ended.
    pub end: EventTime,
    /// What was in it.
    pub calls: Tally,
}

/// Calls, and those of them that were not good by each objective.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Calls.
    pub all: u64,
    /// By [`Objective`].
    pub bad: [u64; Objective::ALL.len()],
}

impl Tally {
    /// What of a minute counts here.
    pub fn of(rollup: &Rollup) -> Self {
        Self { all: rollup.counts.requests, bad: [rollup.errors.count(), rollup.counts.slow] }
    }

    fn add(&mut self, other: &Self) {
        self.all += other.all;
        self.bad.iter_mut().zip(other.bad).for_each(|(bad, more)| *bad += more);
    }

    fn remove(&mut self, other: &Self) {
        self.all = self.all.saturating_sub(other.all);
        self.bad.iter_mut().zip(other.bad).for_each(|(bad, gone)| *bad = bad.saturating_sub(gone));
    }

    /// How many times as fast as allowed the budget of failures burns; 0 without calls.
    pub fn burn(&self, objective: Objective, share: u32) -> f64 {
        let allowed = f64::from(WHOLE - share) / f64::from(WHOLE);
        let failed = self.bad[objective as usize] as f64 / self.all.max(1) as f64;
        failed / allowed
    }

    /// Whether the budget burns at least so fast: in whole numbers, so that no rounding decides.
    fn burns(&self, objective: Objective, share: u32, factor_tenths: u32) -> bool {
        let failed = u128::from(self.bad[objective as usize]) * u128::from(WHOLE) * 10;
        self.all > 0 && failed >= u128::from(self.all) * u128::from(WHOLE - share) * u128::from(factor_tenths)
    }
}

/// A series' windows up to its last minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Burning {
    /// When the last minute ended that is in the windows.
    end: i64,
    /// By [`WINDOWS`].
    windows: [Tally; WINDOWS.len()],
    /// Since when each objective and pair burns; `None` where it does not.
    #[serde(with = "crate::sparse")]
    since: [[Option<i64>; PAIRS.len()]; Objective::ALL.len()],
}

/// An objective's budget begins or ceases to burn too fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BurnAlert {
    /// Which objective.
    pub objective: Objective,
    /// The share that is to be good, in millionths.
    pub share: u32,
    /// Which pair.
    pub pair: Pair,
    /// Whether it burns.
    pub is_burning: bool,
    /// Since when, or since when it did.
    pub since: EventTime,
    /// The minute's close at which it is told.
    pub at: EventTime,
    /// What is in the long window.
    pub long: Tally,
    /// What is in the short window.
    pub short: Tally,
}

impl Burning {
    fn window(&self, minutes: i64) -> Tally {
        WINDOWS.iter().zip(self.windows).find(|(size, _)| **size == minutes).map(|(_, tally)| tally).unwrap_or_default()
    }

    /// What changes when the windows end at [`Self::end`].
    fn judge(&mut self, targets: &Targets) -> Vec<BurnAlert> {
        let mut alerts = Vec::new();
        for objective in Objective::ALL {
            let Some(share) = targets.shares[objective as usize] else { continue };
            for (number, pair) in PAIRS.into_iter().enumerate() {
                let (long, short) = (self.window(pair.long), self.window(pair.short));
                let since = &mut self.since[objective as usize][number];
                let burns = |tally: Tally| {
                    let is_enough = since.is_some() || tally.all >= targets.calls_min;
                    is_enough && tally.burns(objective, share, pair.factor_tenths)
                };
                let is_burning = burns(long) && burns(short);
                if is_burning == since.is_some() {
                    continue;
                }
                let began = since.unwrap_or(self.end);
                *since = is_burning.then_some(began);
                let (since, at) = (EventTime(began), EventTime(self.end));
                alerts.push(BurnAlert { objective, share, pair, is_burning, since, at, long, short });
            }
        }
        alerts
    }

    fn burns(&self) -> bool {
        self.since.iter().flatten().any(Option::is_some)
    }
}

/// Judges the minutes of each series.
#[derive(Clone)]
pub struct Objectives {
    targets: Targets,
    minutes: WindowedStore<Series, Tally>,
    burning: KeyValueStore<Series, Burning>,
    minute: Timer,
    /// When a series that fell silent is forgotten.
    silent: Timer,
}

impl Objectives {
    /// Declares what it keeps.
    pub fn declare(setup: &mut Setup<Series>, targets: Targets) -> Self {
        Self {
            targets,
            minutes: setup.windowed_store("slo-minutes", KEPT),
            burning: setup.key_value_store("slo-burning"),
            minute: setup.timer("minute"),
            silent: setup.timer("silent"),
        }
    }

    /// Moves the windows so that they end at `end`, with these calls in the last minute.
    fn move_to(&self, ctx: &mut Context<'_, '_, Self>, series: &Series, row: &mut Burning, end: i64, calls: &Tally) {
        // The window before, which is shorter: when it began, and how many calls were in it.
        let mut within: Option<(i64, u64)> = None;
        for (size, tally) in WINDOWS.into_iter().zip(&mut row.windows) {
            // Minutes by their end: those in (last end - size, end - size] leave.
            let (first, last) = (row.end - size * MINUTE, end - size * MINUTE);
            // What leaves has no calls if all of them are in the shorter window, which begins behind it.
            let is_empty = within.is_some_and(|(begin, calls)| calls == tally.all && last <= begin);
            within = Some((first, tally.all));
            if end - row.end >= size * MINUTE {
                *tally = Tally::default();
            } else if !is_empty {
                let mut leaving = first + MINUTE;
                while leaving <= last && tally.all > 0 {
                    if let Some(gone) = ctx.store(&self.minutes).get(series, EventTime(leaving)) {
                        tally.remove(&gone);
                    }
                    leaving += MINUTE;
                }
            }
            tally.add(calls);
        }
        row.end = end;
        if calls.all > 0 {
            ctx.store(&self.minutes).put(series, EventTime(end), calls);
        }
    }

    fn judge(&self, ctx: &mut Context<'_, '_, Self>, series: &Series, mut row: Burning) {
        for alert in row.judge(&self.targets) {
            ctx.forward(series.clone(), alert);
        }
        if row.burns() {
            ctx.set_timer(self.minute, EventTime(row.end + MINUTE));
        }
        ctx.store(&self.burning).put(series, row);
    }
}

impl Processor for Objectives {
    type Key = Series;
    type In = MinuteOfCalls;
    type Out = BurnAlert;

    fn process(&self, ctx: &mut Context<'_, '_, Self>, series: &Series, minute: MinuteOfCalls) -> Result<(), Poison> {
        let end = minute.end.0;
        let known = ctx.store(&self.burning).get(series).cloned();
        if known.is_none() {
            // Put off when it comes up, and not by every minute: that would be a row for each.
            ctx.set_timer(self.silent, EventTime(end + LONGEST));
        }
        let mut row = known.unwrap_or_default();
        if row.end >= end {
            // A timer has closed this minute as an empty one: its calls still count in all windows that hold it.
            row.windows.iter_mut().for_each(|tally| tally.add(&minute.calls));
            ctx.store(&self.minutes).put(series, minute.end, &minute.calls);
        } else {
            self.move_to(ctx, series, &mut row, end, &minute.calls);
        }
        self.judge(ctx, series, row);
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<'_, '_, Self>, series: &Series, timer: Timer) -> Result<(), Poison> {
        let now = ctx.stream_time().0;
        let Some(mut row) = ctx.store(&self.burning).get(series).cloned() else { return Ok(()) };
        if timer == self.silent {
            // While it burns, the other timer moves its windows on.
            let forgotten = row.end + LONGEST;
            if forgotten <= now && !row.burns() {
                ctx.store(&self.burning).delete(series);
            } else {
                ctx.set_timer(self.silent, EventTime(forgotten.max(now + MINUTE)));
            }
            return Ok(());
        }
        let end = now - now.rem_euclid(MINUTE);
        if end > row.end {
            self.move_to(ctx, series, &mut row, end, &Tally::default());
        }
        self.judge(ctx, series, row);
        Ok(())
    }
}
