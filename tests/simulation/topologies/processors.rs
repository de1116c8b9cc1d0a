//! Applications of processors of their own.
//!
//! Not here: what their results have to be ([`crate::oracle::processors`]). Invariant: as in [`super`].

use processing_core::processor::{Context, KeyValueStore, Output, Processor, Timer, VersionedStore, WindowedStore};
use serde::{Deserialize, Serialize};

use super::*;
use crate::oracle::processors as expected;

/// Visits end when so much time has passed without an event…
pub(crate) const GAP: i64 = 700;
/// …and are reminded of so much after they began.
pub(crate) const REMINDER: i64 = 300;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Visit {
    start: i64,
    count: u64,
    sum: i64,
}

/// Sessions by hand, in the order of the log: a timer that each event puts off, one that stays, rows that come and go.
#[derive(Clone)]
struct Visits {
    open: KeyValueStore<u16, Visit>,
    totals: KeyValueStore<u16, i64>,
    quiet: Timer,
    reminder: Timer,
    begun: Output<String>,
    reminders: Output<String>,
}

impl Visits {
    fn end(&self, ctx: &mut Context<Self>, key: u16, how: &str) {
        let total = ctx.store(&self.totals).get(&key).copied().unwrap_or_default();
        let Some(Visit { start, count, sum }) = ctx.store(&self.open).get(&key).cloned() else { return };
        ctx.store(&self.open).delete(&key);
        ctx.cancel_timer(self.reminder);
        ctx.cancel_timer(self.quiet);
        ctx.forward(key, format!("{how} {start} {} {count} {sum} {total}", ctx.event_time().0));
    }
}

impl Processor for Visits {
    type Key = u16;
    type In = Happening;
    type Out = String;

    fn process(&self, ctx: &mut Context<Self>, key: &u16, event: Happening) -> Result<(), Poison> {
        if event.amount % 25 == 0 {
            return Err(Poison::new("quarter", "the amount is a multiple of 25"));
        }
        ctx.store(&self.totals).change(key, |total| *total = Some(total.unwrap_or(0) + event.amount));
        let is_new = ctx.store(&self.open).get(key).is_none();
        ctx.store(&self.open).change(key, |visit| {
            let before = visit.take().unwrap_or(Visit { start: event.time.0, count: 0, sum: 0 });
            *visit = Some(Visit { count: before.count + 1, sum: before.sum + event.amount, ..before });
        });
        if is_new {
            let after = ctx.store(&self.open).range(*key.., 5).len();
            ctx.forward_to(&self.begun, *key, format!("{} {after}", event.time.0));
            let at = ctx.stream_time().plus(ms(REMINDER));
            ctx.set_timer(self.reminder, at);
        }
        if event.amount % 7 == 0 {
            self.end(ctx, *key, "bye");
        } else {
            let at = ctx.stream_time().plus(ms(GAP));
            ctx.set_timer(self.quiet, at);
        }
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<Self>, key: &u16, timer: Timer) -> Result<(), Poison> {
        if timer == self.quiet {
            self.end(ctx, *key, "quiet");
        } else {
            let count = ctx.store(&self.open).get(key).map_or(0, |visit| visit.count);
            ctx.forward_to(&self.reminders, *key, format!("{} {count}", ctx.event_time().0));
        }
        Ok(())
    }
}

fn visits() -> Plan {
    let topology = Topology::named("visits");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .already_keyed_by(key)
        .process("visits", |setup| Visits {
            open: setup.key_value_store("open"),
            totals: setup.key_value_store("totals"),
            quiet: setup.timer("quiet"),
            reminder: setup.timer("reminder"),
            begun: setup.output(|begun| begun.to(Topic::with("begun", Text))),
            reminders: setup.output(|reminders| reminders.to(Topic::with("reminders", Text))),
        })
        .to(Topic::with("out", Text));
    built(topology)
}

/// How far back versions can be seen, and rows by window.
pub(crate) const HISTORY: i64 = 2_000;
pub(crate) const RETENTION: i64 = 1_500;

/// Two topics in one order, beside what was true half a second ago and what has happened around.
#[derive(Clone)]
struct Lookups {
    amounts: VersionedStore<u16, i64>,
    buckets: WindowedStore<u16, u64>,
}

impl Processor for Lookups {
    type Key = u16;
    type In = Happening;
    type Out = String;

    fn process(&self, ctx: &mut Context<Self>, key: &u16, event: Happening) -> Result<(), Poison> {
        let (at, amount) = (event.time, event.amount);
        let was = ctx.store(&self.amounts).get(key, at.minus(ms(500))).copied().unwrap_or(-1);
        let known = match amount % 10 {
            0 => ctx.store(&self.amounts).delete(key, at),
            _ => ctx.store(&self.amounts).put(key, amount, at),
        };
        let start = EventTime(at.0 - at.0.rem_euclid(400));
        let count = ctx.store(&self.buckets).get(key, start).unwrap_or(0) + 1;
        match amount % 9 {
            0 => ctx.store(&self.buckets).delete(key, start),
            _ => drop(ctx.store(&self.buckets).put(key, start, &count)),
        }
        let mut line = format!("{} {amount} {was} {known} {count}", at.0);
        let around = ctx.store(&self.buckets).range(start.minus(ms(800))..start.plus(ms(400)), 4);
        for ((start, key), count) in around {
            line.push_str(&format!(" {}/{key}={count}", start.0));
        }
        ctx.forward(*key, line);
        Ok(())
    }
}

fn lookups() -> Plan {
    let topology = Topology::named("lookups");
    topology
        .streams([Topic::with("in", Plain), Topic::with(IN_TOO, Plain)])
        .event_time(time)
        .already_keyed_by(key)
        .process("lookups", |setup| Lookups {
            amounts: setup.versioned_store("amounts", ms(HISTORY)),
            buckets: setup.windowed_store("buckets", ms(RETENTION)),
        })
        .to(Topic::with("out", Text));
    built(topology)
}

/// How long a round is.
pub(crate) const ROUND: i64 = 400;

/// Counts by rounds of stream time, behind a repartition; what comes out is windowed.
#[derive(Clone)]
struct Rounds {
    counts: KeyValueStore<u16, (u64, i64)>,
    over: Timer,
}

impl Processor for Rounds {
    type Key = u16;
    type In = Happening;
    type Out = (u64, i64);

    fn process(&self, ctx: &mut Context<Self>, key: &u16, event: Happening) -> Result<(), Poison> {
        ctx.store(&self.counts).change(key, |counts| {
            let (count, sum) = counts.unwrap_or_default();
            *counts = Some((count + 1, sum + event.amount));
        });
        let EventTime(now) = ctx.stream_time();
        ctx.set_timer(self.over, EventTime(now - now.rem_euclid(ROUND) + ROUND - 1));
        Ok(())
    }

    fn on_timer(&self, ctx: &mut Context<Self>, key: &u16, _: Timer) -> Result<(), Poison> {
        if let Some(counts) = ctx.store(&self.counts).get(key).copied() {
            ctx.store(&self.counts).delete(key);
            ctx.forward(*key, counts);
        }
        Ok(())
    }
}

fn rounds() -> Plan {
    let topology = Topology::named("rounds");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .key_by(|event: &Happening| event.key % 3)
        .repartition("by-third")
        .process("rounds", |setup| Rounds { counts: setup.key_value_store("counts"), over: setup.timer("over") })
        .tee(|rounds| rounds.map(|(count, sum)| format!("{count} {sum}")).to(Topic::with("rounds-out", Text)))
        .window(Tumbling::millis(2 * ROUND))
        .fold("pairs", (count(), sum(|round: &(u64, i64)| round.1)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

const fn scenario(
    name: &'static str,
    inputs: &'static [&'static str],
    scale: i64,
    plan: fn() -> Plan,
    expected: fn(&Story) -> Expected,
) -> Scenario {
    Scenario { name, inputs, scale, alike: false, plan, expected }
}

pub(crate) const VISITS: Scenario = scenario("visits", &["in"], 900, visits, expected::visits);
pub(crate) const LOOKUPS: Scenario = scenario("lookups", &["in", IN_TOO], 600, lookups, expected::lookups);
pub(crate) const ROUNDS: Scenario = scenario("rounds", &["in"], 700, rounds, expected::rounds);
