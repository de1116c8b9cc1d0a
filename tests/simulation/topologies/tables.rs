//! Applications that join tables with tables, and streams with tables that every task holds.
//!
//! Not here: what their results have to be ([`crate::oracle`]). Invariant: as in [`super`].

use super::*;
use crate::events::{EVERYWHERE, TABLE_TOO};

fn pair(left: Option<&Happening>, right: Option<&Happening>) -> String {
    let word = |side: Option<&Happening>| side.map_or("-".to_owned(), |row| row.amount.to_string());
    format!("{} {}", word(left), word(right))
}

/// Rows that both tables have.
fn tables_inner() -> Plan {
    let topology = Topology::named("tables-inner");
    let right = topology.table(Topic::with(TABLE_TOO, Plain)).event_time(time);
    topology
        .table::<u16, _>(Topic::with(TABLE, Plain))
        .join(right, "both", |_, left, right| pair(Some(left), Some(right)))
        .on_update(|rows| rows.to_table(Topic::with("out", Text).compacted()));
    built(topology)
}

/// Rows that one of the tables has.
fn tables_outer() -> Plan {
    let topology = Topology::named("tables-outer");
    let right = topology.table(Topic::with(TABLE_TOO, Plain));
    topology
        .table::<u16, _>(Topic::with(TABLE, Plain))
        .event_time(time)
        .outer_join(right, "both", |_, left, right| pair(left, right))
        .on_update(|rows| rows.to_table(Topic::with("out", Text).compacted()));
    built(topology)
}

/// A table that is folded from a stream beside two that are joined.
fn tables_of_three() -> Plan {
    let topology = Topology::named("tables-of-three");
    let counts = topology.stream(Topic::with(IN_TOO, Plain)).event_time(time).already_keyed_by(key);
    let right = topology.table(Topic::with(TABLE_TOO, Plain));
    topology
        .table(Topic::with(TABLE, Plain))
        .left_join(right, "two", |_, left, right| pair(Some(left), right))
        .join(counts.fold_table("counts", (count(), sum(amount))), "three", |_, two, counts| {
            format!("{two} {} {}", counts.0.get(), counts.1.get())
        })
        .on_update(|rows| rows.to_table(Topic::with("out", Text).compacted()));
    built(topology)
}

/// Records of several partitions under one key, beside the row that it has at their time.
fn gathered() -> Plan {
    let topology = Topology::named("gathered");
    let table = topology.table(Topic::with(TABLE, Plain)).event_time(time).grace(ms(3));
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .key_by(|event| event.key % 3)
        .repartition("by-third")
        .left_join_table(table, "rows", |_, event, row| {
            format!("{} {} {} {}", event.time.0, event.key, event.amount, row.map_or(0, |row| row.amount))
        })
        .to(Topic::with("out", Text));
    built(topology)
}

/// How far at least two words of a key of these topics of [`limited`] lie apart.
pub(crate) const LIMITS: [(&str, i64); 3] = [("latest", 300), ("current", 700), ("out", 450)];

/// Tables whose rows come out at a limited rate: folded ones and joined ones, with and without tombstones, before and
/// after another step.
fn limited() -> Plan {
    let [latest, current, pairs] = LIMITS.map(|(_, interval)| ms(interval));
    let topology = Topology::named("limited");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .already_keyed_by(key)
        .tee(|side| {
            let last = side.reduce_table("last", |_, event| (event.amount % 5 > 0).then_some(event));
            last.on_update(|rows| {
                rows.rate_limit("last-shown", latest).to_table(Topic::with("latest", Plain).compacted())
            })
        })
        .fold_table("rows", (count(), sum(amount)))
        .on_update(|rows| {
            let text = rows.map(|row| row.map(|(count, sum)| format!("{} {}", count.get(), sum.get())));
            text.rate_limit("rows-shown", current).to_table(Topic::with("current", Text).compacted())
        });
    let right = topology.table(Topic::with(TABLE_TOO, Plain));
    topology
        .table::<u16, _>(Topic::with(TABLE, Plain))
        .outer_join(right, "both", |_, left, right| pair(left, right))
        .on_update(|rows| {
            let limited = rows.rate_limit("both-shown", pairs);
            limited.to_table(Topic::with("out", Text).compacted())
        });
    built(topology)
}

/// The row that an event names, which may be any, or none.
pub(crate) fn named(event: &Happening) -> Option<u16> {
    (event.amount % 7 != 0).then(|| (event.amount % 12).unsigned_abs() as u16)
}

/// Records without a key beside the row that they name, by the rows' own times.
fn broadcast_join() -> Plan {
    let topology = Topology::named("broadcast");
    let table = topology.table::<u16, _>(Topic::with(EVERYWHERE, Plain)).event_time(time).grace(ms(3));
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .join_broadcast(table, "rows", named, |_, event, row| {
            (event.key, format!("{} {} {}", event.time.0, event.amount, row.amount))
        })
        .already_keyed_by(|(key, _)| *key)
        .map(|(_, text)| text)
        .to(Topic::with("out", Text));
    built(topology)
}

/// The same by the log's time, of two topics of any width, where records without a row come out as well; and windows
/// over what comes out, by way of a repartition.
fn broadcast_left_join() -> Plan {
    let topology = Topology::named("broadcast-left");
    let table = topology.table::<u16, _>(Topic::with(EVERYWHERE, Plain));
    topology
        .streams([Topic::with("in", Plain), Topic::with("in-b", Plain)])
        .event_time(time)
        .left_join_broadcast(table, "rows", named, |_, event, row| (event.key, row.map_or(0, |row| row.amount)))
        .key_by(|(key, _)| *key)
        .window(Tumbling::millis(200).grace(ms(50)))
        .fold("sums", (count(), sum(|joined: &(u16, i64)| joined.1)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

macro_rules! scenario {
    ($constant:ident, $name:ident, $scale:expr, $inputs:expr) => {
        pub(super) const $constant: Scenario = Scenario {
            name: stringify!($name),
            inputs: $inputs,
            scale: $scale,
            alike: false,
            plan: $name,
            expected: oracle::joined_tables::$name,
        };
    };
}

scenario!(TABLES_INNER, tables_inner, 300, &[TABLE, TABLE_TOO]);
scenario!(TABLES_OUTER, tables_outer, 300, &[TABLE, TABLE_TOO]);
scenario!(TABLES_OF_THREE, tables_of_three, 300, &[TABLE, IN_TOO, TABLE_TOO]);
// So dense that records of one key often have one time.
scenario!(GATHERED, gathered, 6, &["in", TABLE]);
scenario!(LIMITED, limited, 300, &["in", TABLE, TABLE_TOO]);
// So dense that updates and records often have one time.
scenario!(BROADCAST_JOIN, broadcast_join, 6, &["in", EVERYWHERE]);
scenario!(BROADCAST_LEFT_JOIN, broadcast_left_join, 90, &["in", "in-b", EVERYWHERE]);
