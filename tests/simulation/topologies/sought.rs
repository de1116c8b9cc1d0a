//! The simulated application whose records partly lack something, look it up in a table, and are counted with the others.
//!
//! Not here: what it has to say (the oracle of the same name). Invariant: some records are late on one way that would be in
//! time on the other.

use processing_core::aggregate::{count, sum};
use processing_core::dsl::{Topic, Topology};
use processing_core::plan::Plan;
use processing_core::window::Tumbling;

use super::{amount, built, key, line, ms, time};
use crate::events::{Happening, Plain, TABLE, Text};

/// Every third amount is looked up by key, and then counts by another one.
pub(crate) fn sought() -> Plan {
    let topology = Topology::named("sought");
    let windows = Tumbling::millis(200);
    let table = topology.table(Topic::with(TABLE, Plain)).event_time(time).grace(ms(60));
    let stream = topology.stream(Topic::with("in", Plain)).event_time(time);
    let (direct, sought) =
        stream.split().branch_off(|event| event.amount % 3 == 0, |side| side.key_by(key).repartition("sought"));
    let found = sought.left_join_table(table, "rows", |_, event, row| match row {
        Some(row) => Happening { key: (row.amount % 5) as u16, ..event },
        None => event,
    });
    direct
        .rest()
        .key_by(key)
        .window(windows.grace(ms(60)))
        .merge(found.key_by(key).window(windows))
        .fold("sums", (count(), sum(amount)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}
