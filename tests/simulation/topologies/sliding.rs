//! Sliding windows: what comes out of them is compared with `oracle/sliding.rs`.
//!
//! Not here: other windows ([`super`]). Invariant: as there.

use processing_core::aggregate::{count, distinct_hash, max, sum};
use processing_core::dsl::{Topic, Topology};
use processing_core::plan::Plan;
use processing_core::sliding_windows::SlidingWindows;
use processing_core::window::Tumbling;

use super::{amount, built, key, line, ms, spread, time};
use crate::events::{Plain, Text};

/// By way of a repartition, of aggregates that cannot be taken out again; so dense that many records have one time.
pub(crate) fn sliding() -> Plan {
    let topology = Topology::named("sliding");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .key_by(key)
        .sliding(SlidingWindows::difference(ms(50)).grace(ms(40)))
        .fold("sliding", (count(), sum(amount), max(amount), distinct_hash(spread)))
        .on_close()
        .map(|closed| {
            let (count, sum, max, distinct) = closed.value;
            let max = max.get().copied().unwrap_or_default();
            line(closed.window, format!("{} {} {max} {}", count.get(), sum.get(), distinct.count()))
        })
        .to(Topic::with("out", Text));
    built(topology)
}

/// Of aggregates that can be taken out again, of two topics.
pub(crate) fn sliding_running() -> Plan {
    let topology = Topology::named("sliding-running");
    topology
        .streams([Topic::with("in", Plain), Topic::with("in-b", Plain)])
        .event_time(time)
        .key_by(key)
        .sliding(SlidingWindows::difference(ms(3_000)).grace(ms(600)))
        .fold("sliding", (count(), sum(amount)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// No repartition and no grace, and panes of a millisecond.
pub(crate) fn sliding_local() -> Plan {
    let topology = Topology::named("sliding-local");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .already_keyed_by(key)
        .sliding(SlidingWindows::difference(ms(7)))
        .fold("sliding", (count(), sum(amount)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// Over closed windows, in the same task.
pub(crate) fn sliding_of_windows() -> Plan {
    let topology = Topology::named("sliding-of-windows");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .already_keyed_by(key)
        .window(Tumbling::millis(300).grace(ms(200)))
        .fold("fine", sum(amount))
        .on_close()
        .map(|closed| closed.value.get() as i64)
        .sliding(SlidingWindows::difference(ms(600)).grace(ms(100)))
        .fold("sliding", (count(), sum(|fine: &i64| *fine)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}

/// Windows of sliding windows, behind another repartition.
pub(crate) fn sliding_totals() -> Plan {
    let topology = Topology::named("sliding-totals");
    topology
        .stream(Topic::with("in", Plain))
        .event_time(time)
        .key_by(key)
        .sliding(SlidingWindows::difference(ms(400)).grace(ms(900)))
        .fold("sliding", sum(amount))
        .on_close()
        .map_keyed(|key, closed| (*key, closed.value.get() as i64))
        .key_by(|(key, _): &(u16, i64)| key % 3)
        .window(Tumbling::millis(2_000).grace(ms(300)))
        .fold("totals", (count(), sum(|sliding: &(u16, i64)| sliding.1)))
        .on_close()
        .map(|closed| line(closed.window, format!("{} {}", closed.value.0.get(), closed.value.1.get())))
        .to(Topic::with("out", Text));
    built(topology)
}
