//! The applications that are simulated.
//!
//! Not here: their events, and what their results have to be ([`crate::oracle`]). Invariant: every kind of
//! operator of the language is in one of them at least, and results are text that begins with the
//! window's start and end, so that an oracle can write the same without the library.

mod joins;
mod sought;

use processing_core::aggregate::{Count, Sum, count, distinct_hash, max, sum, top_k};
use processing_core::decode::Poison;
use processing_core::dsl::{Topic, Topology};
use processing_core::hindsight::Frame;
use processing_core::plan::Plan;
use processing_core::record::{DurationMs, EventTime};
use processing_core::session::Sessions;
use processing_core::window::{Hopping, Tumbling, Window};

pub(crate) mod operators;
pub(crate) mod processors;
pub(crate) mod tables;

use operators::{count_distinct, distinct_by, local_days, rollup, split};

use self::sought::sought;
use crate::events::{Happening, IN_TOO, Plain, TABLE, Text};
use crate::oracle::{self, Expected};
use processing_core::testing::Story;

/// An application, what it reads, and what it has to say.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) inputs: &'static [&'static str],
    /// The span of event time in which something happens.
    pub(crate) scale: i64,
    /// Whether all inputs are split alike, each key in the partition that is its own.
    pub(crate) alike: bool,
    pub(crate) plan: fn() -> Plan,
    /// The naive definition of its results.
    pub(crate) expected: fn(&Story) -> Expected,
}

const fn ms(n: i64) -> DurationMs {
    DurationMs(n)
}

fn time(event: &Happening) -> EventTime {
    event.time
}

fn amount(event: &Happening) -> i64 {
    event.amount
}

fn key(event: &Happening) -> u16 {
    event.key
}

/// The amount as 64 bits that all matter, as [`distinct_hash`] wants them.
fn spread(event: &Happening) -> u64 {
    (event.amount as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn line(window: Window, rest: impl std::fmt::Display) -> String {
    format!("{} {} {rest}", window.start.0, window.end.0)
}

fn built(topology: Topology) -> Plan {
    topology.build().expect("the topology is sound")
}

/// One repartition, windows side by side.
fn tumbling() -> Plan {
    let topology = Topology::named("tumbling");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .key_by(key)
        .window(Tumbling::millis(1_000).grace(ms(500)))
        .fold("counts", (count(), sum(amount)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// No repartition: each task closes by its own partition's time.
fn local() -> Plan {
    let topology = Topology::named("local");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .already_keyed_by(key)
        .window(Tumbling::millis(700).grace(ms(300)).offset(ms(100)))
        .keep(ms(2_000))
        .fold("counts", (count(), sum(amount)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text).partitions(2));
    built(topology)
}

/// Overlapping windows of aggregates that cannot be taken out again: two stacks.
fn hopping() -> Plan {
    let topology = Topology::named("hopping");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .key_by(key)
        .window(Hopping::new(ms(1_000), ms(300)).grace(ms(400)))
        .fold("panes", (count(), sum(amount), max(amount), distinct_hash(spread)))
        .on_close()
        .map(|closed| {
            let (count, sum, max, distinct) = closed.value;
            let max = max.get().copied().unwrap_or_default();
            line(closed.window, format!("{} {} {max} {}", count.get(), sum.get(), distinct.count()))
        })
        .to(Topic::with("out", Text));
    built(topology)
}

/// Overlapping windows of aggregates that can be taken out again: a running value. The advance divides the
/// size, and there is no grace.
fn running() -> Plan {
    let topology = Topology::named("running");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .already_keyed_by(key)
        .window(Hopping::new(ms(2_000), ms(500)))
        .fold("panes", (count(), sum(amount)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// Two repartitions: closed windows are grouped anew and windowed again.
fn two_repartitions() -> Plan {
    let topology = Topology::named("twice");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .key_by(key)
        .window(Tumbling::millis(500).grace(ms(200)))
        .fold("fine", sum(amount))
        .on_close()
        .map_keyed(|key, closed| (*key, closed.value.get() as i64))
        .key_by(|(key, _): &(u16, i64)| key % 3)
        .window(Tumbling::millis(2_000).grace(ms(300)))
        .fold("coarse", (count(), sum(|fine: &(u16, i64)| fine.1)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// Sums per key, and of each window the three largest: first in each task, then of all.
fn ranking() -> Plan {
    let topology = Topology::named("ranking");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .key_by(key)
        .window(Tumbling::millis(1_000).grace(ms(300)))
        .fold("sums", sum(amount))
        .on_close()
        .map_keyed(|key, closed| (closed.value.get() as i64, *key))
        .key_by(|_: &(i64, u16)| 0_u16)
        .window(Tumbling::millis(1_000))
        .fold("top", top_k(3, |scored: &(i64, u16)| *scored))
        .on_close()
        .map(|closed| {
            let ranked = closed.value.entries().iter().map(|entry| format!("{}:{}", entry.item, entry.score));
            line(closed.window, ranked.collect::<Vec<_>>().join(" "))
        })
        .to(Topic::with("out", Text));
    built(topology)
}

/// Windows of windows in one task, without a repartition between.
fn nested() -> Plan {
    let topology = Topology::named("nested");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .already_keyed_by(key)
        .window(Tumbling::millis(300).grace(ms(200)))
        .fold("fine", sum(amount))
        .on_close()
        .map(|closed| closed.value.get() as i64)
        .window(Hopping::new(ms(1_500), ms(500)))
        .fold("coarse", (count(), sum(|fine: &i64| *fine)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// Three inputs of different width, two of them as one stream.
fn merged() -> Plan {
    let topology = Topology::named("merged");
    let pair = topology.streams([Topic::with("in", Plain), Topic::with("in-b", Plain)]).event_time(time);
    let third = topology.stream(Topic::with("in-c", Plain)).event_time(time).filter(|event| event.amount % 2 == 0);
    pair.merge(third)
        .key_by(key)
        .window(Tumbling::millis(1_000).grace(ms(500)))
        .fold("counts", (count(), sum(amount)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// Each window beside what lies before it.
fn hindsight() -> Plan {
    let topology = Topology::named("hindsight");
    let frames = [Frame::before(ms(3_000)), Frame::same_window_earlier(ms(2_000), ms(500))];
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .key_by(key)
        .window(Tumbling::millis(500).grace(ms(300)))
        .fold("counts", (count(), sum(amount)))
        .on_close_with("history", &frames, |value: &(_, _)| *value)
        .map(|closed| {
            let (value, earlier) = closed.value;
            let frames = earlier.frames.iter().map(|(count, sum)| format!("{}/{}", count.get(), sum.get()));
            let frames = frames.collect::<Vec<_>>().join(" ");
            line(closed.window, format!("{} {} {frames} {}", value.0.get(), value.1.get(), earlier.covered.0))
        })
        .to(Topic::with("out", Text));
    built(topology)
}

/// Each window beside its predecessor, and an empty one for a key that falls silent; and of both the latest
/// at a limited rate.
fn previous() -> Plan {
    fn text((window, value, previous): (Window, (Count, Sum), Option<(Count, Sum)>)) -> String {
        let previous = previous.map_or("none".to_owned(), |(count, _)| count.get().to_string());
        line(window, format!("{} {} {previous}", value.0.get(), value.1.get()))
    }
    let topology = Topology::named("previous");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .key_by(key)
        .window(Hopping::new(ms(900), ms(300)).grace(ms(200)))
        .fold("counts", (count(), sum(amount)))
        .on_close()
        .with_previous("last", ms(0))
        .on_latest(ms(300), |latest| {
            latest
                .map(|latest| text((latest.window, latest.value, latest.previous)))
                .to(Topic::with("latest", Text).compacted())
        })
        .map(|successive| text((successive.window, successive.value, successive.previous)))
        .to(Topic::with("out", Text));
    built(topology)
}

/// The present word at a limited rate beside the last one.
fn updates() -> Plan {
    let topology = Topology::named("updates");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .key_by(key)
        .window(Tumbling::millis(1_000).grace(ms(500)))
        .fold("counts", (count(), sum(amount)))
        .on_update(ms(300), |updates| {
            let text = updates.map(|update| {
                let (count, sum) = update.value;
                line(update.window, format!("{} {} {}", count.get(), sum.get(), update.is_final))
            });
            text.to(Topic::with("current", Text).compacted())
        })
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// Everything that has no state: a side chain, one event made two, a verdict in the middle of the chain.
fn stateless() -> Plan {
    let topology = Topology::named("stateless");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .tee(|side| {
            let even = side.filter(|event| event.amount % 2 == 0).key_by(key);
            even.to(Topic::with("even", Plain))
        })
        .try_map(|event| match event.amount % 25 {
            0 => Err(Poison::new("quarter", "the amount is a multiple of 25")),
            _ => Ok(event),
        })
        .flat_map(|event| [event.clone(), Happening { amount: -1, ..event }])
        .key_by(key)
        .window(Tumbling::millis(1_000).grace(ms(500)))
        .fold("counts", (count(), sum(amount)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// Sessions by way of a repartition topic.
fn sessions() -> Plan {
    let topology = Topology::named("sessions");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .key_by(key)
        .sessions(Sessions::gap(ms(1_000)).grace(ms(500)))
        .fold("sessions", (count(), sum(amount)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// The same, cut where a pane does not end by itself, of two inputs.
fn sessions_cut() -> Plan {
    let topology = Topology::named("cut");
    topology
        .streams([Topic::with("in", Plain), Topic::with("in-b", Plain)])
        .event_time(time)
        .key_by(key)
        .sessions(Sessions::gap(ms(800)).grace(ms(300)).cut(ms(2_500), ms(130)))
        .fold("sessions", (count(), sum(amount)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// Sessions in each task by itself, without grace, cut.
fn local_sessions() -> Plan {
    let topology = Topology::named("local-sessions");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .already_keyed_by(key)
        .sessions(Sessions::gap(ms(1_500)).cut(ms(7_000), ms(0)))
        .fold("sessions", (count(), sum(amount)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// Sessions of closed windows in one task, which are never late.
fn sessions_of_windows() -> Plan {
    let topology = Topology::named("sessions-of-windows");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .already_keyed_by(key)
        .window(Tumbling::millis(300).grace(ms(200)))
        .fold("fine", sum(amount))
        .on_close()
        .map(|closed| closed.value.get() as i64)
        .sessions(Sessions::gap(ms(1_000)))
        .fold("sessions", (count(), sum(|fine: &i64| *fine)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// Sessions that are over are grouped anew and windowed.
fn session_totals() -> Plan {
    let topology = Topology::named("totals");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .key_by(key)
        .sessions(Sessions::gap(ms(600)).grace(ms(900)))
        .fold("sessions", sum(amount))
        .on_close()
        .map_keyed(|key, closed| (*key, closed.value.get() as i64))
        .key_by(|(key, _): &(u16, i64)| key % 3)
        .window(Tumbling::millis(2_000).grace(ms(300)))
        .fold("totals", (count(), sum(|session: &(u16, i64)| session.1)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// Records beside the row that their key has at their time, by the rows' own times.
fn table_join() -> Plan {
    let topology = Topology::named("table-join");
    let table = topology.table(Topic::with(TABLE, Plain)).event_time(time).grace(ms(3));
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .already_keyed_by(key)
        .join_table(table, "rows", |_, event, row| format!("{} {} {}", event.time.0, event.amount, row.amount))
        .to(Topic::with("out", Text));
    built(topology)
}

/// The same by the log's time, of two topics without a grace, where records without a row come out as well; and
/// windows over what comes out.
fn table_left_join() -> Plan {
    let topology = Topology::named("table-left-join");
    let table = topology.table(Topic::with(TABLE, Plain));
    let pair = topology.streams([Topic::with("in", Plain), Topic::with(IN_TOO, Plain)]);
    pair.event_time(time)
        .already_keyed_by(key)
        .left_join_table(table, "rows", |_, event, row| (event.time, event.amount, row.map_or(0, |row| row.amount)))
        .tee(|joined| joined.map(|(time, own, row)| format!("{} {own} {row}", time.0)).to(Topic::with("joined", Text)))
        .window(Tumbling::millis(200).grace(ms(50)))
        .fold("sums", (count(), sum(|joined: &(EventTime, i64, i64)| joined.2)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// A table by key whose rows go when nothing comes any more, and one that keeps the last record, or none.
fn folded() -> Plan {
    let topology = Topology::named("folded");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .already_keyed_by(key)
        .tee(|side| {
            let last = side.reduce_table("last", |_, event| (event.amount % 5 > 0).then_some(event));
            last.on_update(|rows| rows.to_table(Topic::with("latest", Plain).compacted()))
        })
        .fold_table("rows", (count(), sum(amount)))
        .time_to_live(ms(900))
        .on_update(|rows| {
            let text = rows.map(|row| row.map(|(count, sum)| format!("{} {}", count.get(), sum.get())));
            text.to_table(Topic::with("current", Text).compacted())
        });
    built(topology)
}

macro_rules! scenario {
    ($name:ident, $scale:expr, $inputs:expr) => {
        Scenario {
            name: stringify!($name),
            inputs: $inputs,
            scale: $scale,
            alike: false,
            plan: $name,
            expected: oracle::expected::$name,
        }
    };
}

/// All of them.
pub(crate) const ALL: &[Scenario] = &[
    scenario!(tumbling, 1_000, &["in"]),
    scenario!(two_repartitions, 1_000, &["in"]),
    scenario!(hopping, 1_000, &["in"]),
    scenario!(merged, 1_000, &["in", "in-b", "in-c"]),
    scenario!(ranking, 1_000, &["in"]),
    scenario!(local, 700, &["in"]),
    scenario!(hindsight, 500, &["in"]),
    scenario!(nested, 500, &["in"]),
    scenario!(previous, 600, &["in"]),
    scenario!(updates, 1_000, &["in"]),
    scenario!(running, 800, &["in"]),
    scenario!(stateless, 1_000, &["in"]),
    scenario!(sessions, 1_000, &["in"]),
    scenario!(sessions_cut, 800, &["in", "in-b"]),
    scenario!(local_sessions, 1_000, &["in"]),
    scenario!(session_totals, 800, &["in"]),
    scenario!(sessions_of_windows, 500, &["in"]),
    joins::INNER_JOIN,
    joins::LEFT_JOIN,
    joins::OUTER_JOIN,
    joins::REQUESTS,
    joins::REPARTITIONED,
    processors::VISITS,
    processors::LOOKUPS,
    processors::ROUNDS,
    scenario!(rollup, 1_000, &["in"]),
    scenario!(count_distinct, 1_000, &["in"]),
    scenario!(distinct_by, 700, &["in"]),
    scenario!(split, 1_000, &["in"]),
    scenario!(local_days, 1_000, &["in"]),
    scenario!(folded, 300, &["in"]),
    // So dense that updates and records often have one time.
    scenario!(table_join, 6, &["in", TABLE]),
    scenario!(table_left_join, 90, &["in", IN_TOO, TABLE]),
    tables::TABLES_INNER,
    tables::TABLES_OUTER,
    tables::TABLES_OF_THREE,
    tables::LIMITED,
    tables::GATHERED,
    tables::BROADCAST_JOIN,
    tables::BROADCAST_LEFT_JOIN,
    scenario!(sought, 60, &["in", TABLE]),
];
